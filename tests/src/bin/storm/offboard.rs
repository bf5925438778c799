//! `tests/storm offboard`: one leaver's hand-over, broken off again and again, in process and by SIGKILL; then every
//! customer and task is counted.
//!
//! A life in process has threads of its own, which end in the middle of whatever they do: every transaction and call
//! that is under way is dropped. A life of the binary is killed. The next life finds what was committed, and no more.

use std::{path::Path, process::ExitCode, time::Duration};

use revisit_bootstrap::{Shutdown, status::answer};
use revisit_core::{Clock, Ids};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::{
    measure::{Line, Size, Table, machine, say},
    world::{Ground, TENANT, World, credentials},
};

mod count;
mod life;
mod work;

use count::Count;
use life::{Crash, Life, Plan, Progress};

const SEED: u64 = 20_261_121;
/// What is said over the settings that ship: small batches, so that there are many commits to break off between;
/// no mail; reminders at every hour; claims of a killed worker that end soon.
const SETTINGS: &str = "[customer]\nbatch_rows = 50\n[notification]\nclaim_seconds = 10\nquiet_start = \"\"\n\
    quiet_end = \"\"\n[notification.mail]\nhost = \"\"\ntimeout_seconds = 1\n[notification.webhook]\ntimeout_seconds = 1\n";
/// Time for the rest of the hand-over after the last crash.
const END_MAX: Duration = Duration::from_secs(600);
/// Time for notices that were held at the end of the hand-over.
const HELD_MAX: Duration = Duration::from_secs(120);
const ASK_EVERY: Duration = Duration::from_millis(100);

/// Those whose work is handed over, and to whom.
pub struct People {
    /// Leads the company: imports, and sees every task afterwards.
    pub lead: Person,
    /// Leaves.
    pub leaver: Person,
    /// Takes over.
    pub heir: Person,
}

/// Storms, prints, and fails when anything was lost, doubled or orphaned.
pub async fn storm(size: Size, binary: &Path) -> ExitCode {
    say(&format!("storm offboard: {}\n", machine()));
    let (tasks, inside, kills) = size.pick((200, 6, 1), (10_000, 100, 5), (10_000, 1_000, 20));
    let clock = Clock::system();
    let world = World::on(Ground { settings: SETTINGS.to_owned(), ..Ground::default() }).await;
    let people = hire(&world).await;
    let began = clock.steady();
    work::plant(&world, &people, tasks).await;
    world.settle().await;
    say(&format!("{tasks} tasks of {} customers planted in {:.0?}\n", tasks / 2, clock.steady().since(began)));
    let progress = Progress::of(&world, &people).await;
    let order = begin(&world, &people).await;
    let began = clock.steady();
    let config = life::settings(&world);
    // The folder with the keys stays with what is left of the world.
    world.running.stop().await.expect("it stops without a fault");
    let plan = Plan::draw(&Ids::seeded(SEED), (inside, kills), progress.total());
    let crashes = Box::pin(break_off(&plan, &config, &progress, binary)).await;
    let running = life::setup(&config).start(None, Shutdown::new()).await.expect("it starts once more");
    let log_in = async |username: &str| {
        let who = credentials(TENANT, username);
        Person::log_in(running.channel(), running.clock(), &who).await.expect("a session")
    };
    let lead = log_in("lead").await;
    let hand_over = ended(&lead, &order).await;
    let took = clock.steady().since(began);
    running.settle().await.expect("it comes to rest");
    let count = count(&clock, &lead, &log_in("hui").await, (&people, tasks)).await;
    running.stop().await.expect("it stops without a fault");
    told(&crashes, &hand_over, &count, took);
    if count.is_clean() && crashes.len() == inside + kills { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

async fn hire(world: &World) -> People {
    let store = world.department("上海徐汇店", &world.root).await;
    let lead = world.hire("lead", "regional_manager", &world.root).await;
    let heir = world.hire("hui", "sales_manager", &store).await;
    world.appoint(&heir, &store).await;
    let leaver = world.hire("jun", "sales_rep", &store).await;
    People { lead, leaver, heir }
}

/// Orders the hand-over.
async fn begin(world: &World, people: &People) -> String {
    let to = identity::successor_rule::Rule::UserId(people.heir.id.to_string());
    let order = identity::StartHandOverRequest {
        user_id: people.leaver.id.to_string(),
        kind: identity::HandOverKind::Leave.into(),
        successor: Some(identity::SuccessorRule { rule: Some(to) }),
        reason: "leaves".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.hand_overs().start_hand_over(order).await).expect("it begins").hand_over_id
}

/// What is left, counted again while anything is missing: a notice that nobody could decide about under the load is held
/// and comes by itself. What has not come by then is lost.
async fn count(clock: &Clock, lead: &Person, heir: &Person, (people, tasks): (&People, usize)) -> Count {
    let began = clock.steady();
    loop {
        let count = Count::of(lead, heir, people, tasks).await;
        if count.is_clean() || clock.steady().since(began) > HELD_MAX {
            return count;
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Life after life, each up to its crash; answers how each ended.
async fn break_off(plan: &Plan, config: &Path, progress: &Progress, binary: &Path) -> Vec<Crash> {
    let mut crashes = Vec::new();
    for point in &plan.points {
        let life = Life::begin(point, config, binary);
        progress.reach(point).await;
        // What is over cannot be broken off any more.
        let over = progress.is_done().await;
        let moved = progress.moved().await;
        life.crash();
        if over {
            break;
        }
        crashes.push(Crash { moved, killed: point.kills });
        if crashes.len() % 10 == 0 {
            say(&format!("crash {}: {moved} of {} moved\n", crashes.len(), progress.total()));
        }
    }
    crashes
}

/// Waits for the end of the hand-over.
async fn ended(who: &Person, id: &str) -> identity::HandOver {
    let waiting = async {
        loop {
            let request = identity::GetHandOverRequest { hand_over_id: id.to_owned() };
            let who = who.fresh().await.expect("a session");
            let now = answer(who.hand_overs().get_hand_over(request).await).expect("it is there");
            if now.state() == identity::HandOverState::Done {
                return now;
            }
            tokio::time::sleep(ASK_EVERY).await;
        }
    };
    tokio::time::timeout(END_MAX, waiting).await.expect("the hand-over ends")
}

fn told(crashes: &[Crash], hand_over: &identity::HandOver, count: &Count, took: Duration) {
    let killed = crashes.iter().filter(|crash| crash.killed).count();
    let mut table = Table::new(&["what", "there", "lost", "doubled", "orphaned"]);
    for (what, tally) in [("customers", &count.customers), ("tasks", &count.tasks), ("notices", &count.notices)] {
        let cells = [tally.there, tally.lost, tally.doubled, tally.orphaned].map(|count| count.to_string());
        table.row(&[what, &cells[0], &cells[1], &cells[2], &cells[3]]);
    }
    table.print();
    let parts: Vec<_> = hand_over.parts.iter().map(|part| (part.part(), part.moved, part.refused)).collect();
    let between = crashes.iter().map(|crash| crash.moved).collect::<std::collections::BTreeSet<_>>().len();
    say(&format!(
        "seed {SEED}; {} crashes in process, {killed} by SIGKILL, at {between} different states of the work; the \
         hand-over took {took:.0?} and reports {parts:?}; ended with {}\n\n",
        crashes.len() - killed,
        machine()
    ));
    let all = [&count.customers, &count.tasks, &count.notices];
    Line::default()
        .with("crash_points", crashes.len())
        .with("tasks", count.tasks.there)
        .with("lost", all.iter().map(|tally| tally.lost).sum::<usize>())
        .with("doubled", all.iter().map(|tally| tally.doubled).sum::<usize>())
        .with("orphaned", all.iter().map(|tally| tally.orphaned).sum::<usize>())
        .print();
}

/// A page of everything is at most this long.
pub const PAGE: i32 = 1_000;

/// All customers in somebody's reach.
pub async fn customers(who: &Person) -> Vec<customer::Customer> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = customer::ListCustomersRequest { page_size: PAGE, page_token, ..Default::default() };
        let who = who.fresh().await.expect("a session");
        let page = answer(who.customers().list_customers(request).await).expect("customers");
        all.extend(page.customers);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}

/// All tasks in somebody's reach, whatever their state.
pub async fn tasks(who: &Person) -> Vec<followup::Task> {
    let (mut all, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = followup::ListTasksRequest { page_size: PAGE, page_token, ..Default::default() };
        let who = who.fresh().await.expect("a session");
        let page = answer(who.tasks().list_tasks(request).await).expect("tasks");
        all.extend(page.tasks);
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return all;
        }
    }
}
