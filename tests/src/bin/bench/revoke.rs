//! `tests/bench revoke`: how soon a revocation is effective everywhere, with several replicas that decide all the while,
//! and how long a replica that hears nothing goes on allowing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use revisit_bootstrap::status::answer;
use revisit_core::{Clock, Steady, id::SubjectId, id::TenantId};
use revisit_proto::identity::v1 as pb;
use revisit_tests::{
    measure::{Line, Size, Table, machine, median, millis, percentile, say},
    replica::{Gate, Open, Replica, settings_of_identity},
    world::{Ground, World},
};

mod arrivals;
mod crowd;

use arrivals::Arrivals;

const REPLICAS: usize = 4;
/// As shipped.
const LEASE_MILLIS: u64 = 2_000;
/// How often each replica decides.
const EVERY: Duration = Duration::from_millis(1);
/// Time for a replica to learn of a grant; at first it loads all of them.
const LEARN_MAX: Duration = Duration::from_secs(60);

/// A replica that decides all the while, and when it last allowed.
struct Watched {
    replica: Arc<Replica>,
    gate: Gate,
    /// Microseconds of the boot-time clock; 0 for never.
    last: Arc<AtomicU64>,
    deciding: Arc<AtomicBool>,
}

/// Who is granted a right, and loses it.
#[derive(Clone, Copy)]
struct Holder {
    tenant: TenantId,
    subject: SubjectId,
}

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench revoke: {}\n", machine()));
    let settings = format!("[consumers]\nidentity = [\"identity\"]\n{}", settings_of_identity());
    let world = World::on(Ground { settings, only: vec![revisit_identity::NAME], beside: Vec::new() }).await;
    let who = world.roleless("mei").await;
    let (tenant, subject) = (who.tenant_id.parse(), who.id.parse());
    let holder = Holder { tenant: tenant.expect("a tenant"), subject: subject.expect("a subject") };
    let database = world.database(revisit_identity::NAME);
    let grants = size.pick(1_000, 100_000, 1_000_000);
    let [north, south] = [world.department("north", &world.root).await, world.department("south", &world.root).await];
    let store = world.department("store", &north).await;
    let people = crowd::plant(&database, holder.tenant, store.parse().expect("an id"), grants).await;
    let mut watched = Vec::new();
    for _ in 0..REPLICAS {
        watched.push(watch(world.running.address(), holder).await);
    }
    everywhere(&watched, holder, Some(false)).await;
    let replicas: Vec<_> = watched.iter().map(|it| Arc::clone(&it.replica)).collect();
    let arrivals = Arrivals::of(&database, holder.tenant, &replicas).await;
    let mut whole = Shown::default();
    for round in 0..size.pick(5, 200, 1_000) {
        let one = revocation(&world, &watched, holder, Cut::Nobody).await;
        // The first ones warm up.
        if round > 2 {
            whole.add(&one);
        }
    }
    let mut moves = Vec::new();
    for round in 0..size.pick(2, 20, 50) {
        let parent_id = if round % 2 == 0 { &south } else { &north };
        moves.push(millis(moved(&world, &watched, holder, (&store, parent_id)).await));
    }
    let arrived: Vec<f64> = arrivals.spans().await.into_iter().map(millis).collect();
    let mut cut = Shown::default();
    for _ in 0..size.pick(1, 8, 30) {
        cut.add(&revocation(&world, &watched, holder, Cut::EverySecond).await);
    }
    watched.iter().for_each(|it| it.deciding.store(false, Ordering::SeqCst));
    told((grants, people), (&arrived, &moves), (&whole, &cut));
    world.running.stop().await.expect("it stops without a fault");
}

/// Which replicas do not hear of the revocation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cut {
    Nobody,
    EverySecond,
}

/// One revocation, in spans.
struct Revoked {
    /// From the call that granted until the last replica allowed.
    reached: Duration,
    /// From the call that revoked until it was told effective.
    effective: Duration,
    /// From the call that revoked until the last decision that allowed.
    cut_off: Duration,
    /// Replicas that allowed after it was told.
    stale: usize,
}

/// What several have shown, in milliseconds.
#[derive(Default)]
struct Shown {
    reached: Vec<f64>,
    effective: Vec<f64>,
    cut_off: Vec<f64>,
    stale: usize,
}

impl Shown {
    fn add(&mut self, one: &Revoked) {
        self.reached.push(millis(one.reached));
        self.effective.push(millis(one.effective));
        self.cut_off.push(millis(one.cut_off));
        self.stale += one.stale;
    }
}

async fn watch(identity: std::net::SocketAddr, holder: Holder) -> Watched {
    let gate = Gate::before(identity).await;
    let replica = Arc::new(Replica::start(gate.address).await);
    let (last, deciding) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(true)));
    let watched = Watched { replica, gate, last, deciding };
    let (replica, last, deciding) =
        (Arc::clone(&watched.replica), Arc::clone(&watched.last), Arc::clone(&watched.deciding));
    tokio::spawn(async move {
        while deciding.load(Ordering::SeqCst) {
            let (asked, allowed) = replica.allows(holder.tenant, holder.subject);
            if allowed == Some(true) {
                last.store(micros(asked), Ordering::SeqCst);
            }
            tokio::time::sleep(EVERY).await;
        }
    });
    watched
}

async fn revocation(world: &World, watched: &[Watched], holder: Holder, cut: Cut) -> Revoked {
    let clock = Clock::system();
    let admin = world.admin.fresh().await.expect("a session");
    let began = clock.steady();
    let granted = answer(admin.access().create_grant(grant(holder)).await).expect("it is granted");
    everywhere(watched, holder, Some(true)).await;
    let reached = clock.steady().since(began);
    if cut == Cut::EverySecond {
        watched.iter().step_by(2).for_each(|it| it.gate.set_open(Open::No));
    }
    let began = clock.steady();
    let target = Some(pb::revoke_and_wait_request::Target::GrantId(granted.grant_id));
    let request = pb::RevokeAndWaitRequest { target, reason: "it is measured".to_owned() };
    let revoked = answer(admin.access().revoke_and_wait(request).await).expect("it is revoked");
    let told = clock.steady();
    assert_eq!(revoked.acknowledged, cut == Cut::Nobody, "who hears nothing cannot acknowledge");
    if cut == Cut::EverySecond {
        watched.iter().step_by(2).for_each(|it| it.gate.set_open(Open::Yes));
    }
    everywhere(watched, holder, Some(false)).await;
    let last = |it: &Watched| it.last.load(Ordering::SeqCst);
    let latest = watched.iter().map(last).max().unwrap_or_default();
    Revoked {
        reached,
        effective: told.since(began),
        cut_off: Duration::from_micros(latest.saturating_sub(micros(began))),
        stale: watched.iter().filter(|it| last(it) > micros(told)).count(),
    }
}

/// From the call that moves everybody's department until every replica has it.
async fn moved(world: &World, watched: &[Watched], holder: Holder, (store, parent): (&str, &str)) -> Duration {
    let clock = Clock::system();
    let mut revisions: Vec<_> = watched.iter().map(|it| it.replica.revision(holder.tenant)).collect();
    let before: Vec<i64> = revisions.iter_mut().map(|it| *it.borrow_and_update()).collect();
    let request = pb::MoveDepartmentRequest {
        department_id: store.to_owned(),
        parent_id: parent.to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    let began = clock.steady();
    answer(admin.directory().move_department(request).await).expect("it is moved");
    for (revision, before) in revisions.iter_mut().zip(before) {
        let next = revision.wait_for(|now| *now > before).await.expect("the replica runs");
        assert_eq!(*next, before + 1, "a move is one revision");
    }
    clock.steady().since(began)
}

fn grant(holder: Holder) -> pb::CreateGrantRequest {
    pb::CreateGrantRequest {
        holder_id: holder.subject.to_string(),
        right: Some(pb::GrantTemplate {
            actions: vec!["customer.view".to_owned()],
            extent: Some(pb::Extent { kind: pb::ExtentKind::Tenant.into(), ..Default::default() }),
            levels: Some(pb::LayerLevels { basic: pb::Level::Read.into(), ..Default::default() }),
            ..Default::default()
        }),
        reason: "it is measured".to_owned(),
        ..Default::default()
    }
}

async fn everywhere(watched: &[Watched], holder: Holder, answer: Option<bool>) {
    for it in watched {
        let learnt = tokio::time::timeout(LEARN_MAX, it.replica.until(holder.tenant, holder.subject, answer)).await;
        learnt.expect("every replica learns of it");
    }
}

fn micros(at: Steady) -> u64 {
    u64::try_from(at.since(Steady::default()).as_micros()).unwrap_or(u64::MAX)
}

fn told((grants, people): (usize, usize), (arrived, moves): (&[f64], &[f64]), (whole, cut): (&Shown, &Shown)) {
    let mut table = Table::new(&["span, ms", "revocations", "p50", "p99", "greatest"]);
    let mut row = |name: &str, spans: &[f64]| {
        let cells = [median(spans), percentile(spans, 99), percentile(spans, 100)].map(|it| format!("{it:.1}"));
        table.row(&[name, &spans.len().to_string(), &cells[0], &cells[1], &cells[2]]);
    };
    row("a grant reaches every replica", &whole.reached);
    row("loaded by every replica, from the commit", arrived);
    row(&format!("a moved department of {people} people reaches every replica"), moves);
    row("effective, all replicas hear", &whole.effective);
    row("last allow, all replicas hear", &whole.cut_off);
    row("effective, every second one hears nothing", &cut.effective);
    row("last allow, every second one hears nothing", &cut.cut_off);
    table.print();
    Line::default()
        .with("replicas", REPLICAS)
        .with("grants", grants)
        .with("effective_p50_ms", format!("{:.1}", median(&whole.effective)))
        .with("effective_p99_ms", format!("{:.1}", percentile(&whole.effective, 99)))
        .with("reach_p50_ms", format!("{:.1}", median(&whole.reached)))
        .with("loaded_p50_ms", format!("{:.1}", median(arrived)))
        .with("loaded_p99_ms", format!("{:.1}", percentile(arrived, 99)))
        .with("moved_p50_ms", format!("{:.1}", median(moves)))
        .with("moved_p99_ms", format!("{:.1}", percentile(moves, 99)))
        .with("cut_off_max_ms", format!("{:.1}", percentile(&cut.cut_off, 100)))
        .with("lease_ms", LEASE_MILLIS)
        .with("stale_allows", whole.stale + cut.stale)
        .print();
}
