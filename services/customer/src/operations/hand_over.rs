//! This service's part of a hand-over: whatever a leaver owns goes to successors, in chunks, until nothing is left.
//!
//! identity has decided that it happens and has revoked the leaver's rights first; here a worker moves the rows. Each
//! pass lists anew, so a crash at any point repeats work and loses none.

use std::time::Duration;

use revisit_bootstrap::{Tx, answer, wire};
use revisit_core::{
    Failure, Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TenantId},
};
use revisit_permission::{Action, Caller, Reading, Row};
use revisit_proto::identity::v1 as pb;

use super::{consume::required, customers, rows_max};
use crate::{
    App,
    domain::{Error, timeline::EntryKind},
    store::{
        self,
        hand_overs::{HandOver, Rule},
        save::{Change, Handover},
    },
};

/// Refusals after which a customer stays where it is, is reported, and ends its part.
const REFUSALS_MAX: i32 = 5;
/// Pause after a pass that moved all it found, and when identity does not answer.
const AGAIN: Duration = Duration::from_secs(1);
/// Customers that a preview names.
const PREVIEW_MAX: u64 = 1_000;

/// Takes a hand-over in; a repeat changes nothing.
pub async fn begin(app: &App, tx: &Tx, tenant: TenantId, started: &pb::HandOverStarted) -> Result<(), Failure> {
    use pb::successor_rule::Rule as Sent;
    let rule = match started.successor.as_ref().and_then(|successor| successor.rule.as_ref()) {
        Some(Sent::UserId(user)) => Rule::Person(required(user)?),
        Some(Sent::DepartmentHeadId(department)) => Rule::Head(required(department)?),
        Some(Sent::RoundRobinDepartmentId(department)) => Rule::RoundRobin(required(department)?),
        None => Rule::None,
    };
    let department = match started.from_department_id.as_str() {
        "" => None,
        department => Some(required(department)?),
    };
    let hand_over = HandOver {
        tenant,
        id: required(&started.hand_over_id)?,
        user: required(&started.user_id)?,
        from_department: department,
        rule,
        ordered_by: started.ordered_by_id.parse().ok(),
        token: started.revision_token.clone(),
        effective_at: Timestamp::from_micros(started.effective_time_micros),
        turn: 0,
        pass: 0,
        moved: 0,
        next_at: Timestamp::MIN,
        done: false,
    };
    Ok(store::hand_overs::insert(tx, &app.workers.hand_over, &hand_over).await?)
}

/// Does the next pass of a hand-over that is due; answers whether there was one.
pub async fn work(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.hand_over;
    let now = app.clock.wall();
    let due = app.store.database.read(worker, async |tx| store::hand_overs::due(tx, worker, now).await).await?;
    let Some(mut hand_over) = due else { return Ok(false) };
    hand_over.next_at = now + AGAIN;
    hand_over.pass += 1;
    let passed = pass(app, &mut hand_over).await;
    match passed {
        Ok(true) => hand_over.done = true,
        Ok(false) => {}
        Err(error) => tracing::warn!(hand_over.id = %hand_over.id, %error, "a hand-over waits and tries again"),
    }
    let write = app.store.database.write(worker, async |tx| store::hand_overs::save(tx, worker, &hand_over).await);
    write.await?;
    Ok(true)
}

/// One pass over everything that the leaver still owns; answers whether the part has ended.
async fn pass(app: &App, hand_over: &mut HandOver) -> Result<bool, Error> {
    let worker = &app.workers.hand_over;
    // Nothing is decided on a state older than the one that revoked the leaver's rights.
    app.verifier.at_least(&hand_over.token, Some(hand_over.tenant)).await?;
    let began = app.store.database.read(worker, async |tx| Ok::<_, Error>(tx.now().await?)).await?;
    let refused = refused(app, hand_over).await?;
    loop {
        let chunk = move_chunk(app, hand_over, &refused).await?;
        if chunk == 0 {
            break;
        }
    }
    let owner = (hand_over.tenant, hand_over.user);
    let left = app
        .store
        .database
        .read(worker, async |tx| store::duty::owned_count(tx, worker, owner, hand_over.from_department).await);
    let refused = i64::try_from(refused.len()).unwrap_or(i64::MAX);
    let mut client = pb::hand_overs_client::HandOversClient::new(app.peers.channel("identity"));
    let request = pb::ReportHandOverRequest {
        tenant_id: hand_over.tenant.to_string(),
        hand_over_id: hand_over.id.to_string(),
        part: pb::HandOverPart::Customers.into(),
        pass: hand_over.pass,
        pass_start_time: Some(wire::time(began)),
        moved: hand_over.moved,
        refused,
        remaining: (left.await? - refused).max(0),
    };
    Ok(answer(client.report_hand_over(request).await)?.done)
}

/// Customers that found no successor in so many passes that they stay.
async fn refused(app: &App, hand_over: &HandOver) -> Result<Vec<CustomerId>, Error> {
    let worker = &app.workers.hand_over;
    let read = app
        .store
        .database
        .read(worker, async |tx| store::hand_overs::refused(tx, worker, hand_over, REFUSALS_MAX).await);
    read.await
}

/// Moves those of the next chunk who find a successor in one transaction, and notes a refusal of each other one; answers
/// how many the chunk held, or 0 when nobody was moved, which ends the pass.
async fn move_chunk(app: &App, hand_over: &mut HandOver, refused: &[CustomerId]) -> Result<usize, Error> {
    let worker = &app.workers.hand_over;
    let tenant = hand_over.tenant;
    let size = rows_max(app, tenant).await?;
    let reading = Caller::named(tenant, hand_over.user).reading(&app.leases)?;
    let owner = (tenant, hand_over.user);
    let read = app.store.database.read(worker, async |tx| {
        let ids = store::duty::owned_page(tx, worker, owner, hand_over.from_department, (refused, size)).await?;
        Ok::<_, Error>(store::load::for_worker(tx, worker, tenant, &ids).await?)
    });
    let customers = read.await?;
    let count = customers.len();
    let now = app.clock.wall();
    let mut changes = Vec::new();
    for customer in customers {
        let Some((to, department)) = successor(&reading, hand_over, customer.department) else {
            let write = app.store.database.write(worker, async |tx| {
                store::hand_overs::refuse(tx, worker, hand_over, customer.id, "NO_SUCCESSOR").await
            });
            write.await?;
            continue;
        };
        let mut after = customer.clone();
        after.owner = Some(to);
        // The department of record stays: the work goes on where it was; only a successor elsewhere moves it.
        after.department = customer.department.or(department);
        after.ownership_epoch += 1;
        after.auth_rev = reading.snapshot.revision;
        let mut entry = customers::entry(app, EntryKind::Owner, &after, now)
            .change(Some(hand_over.user.to_string()), Some(to.to_string()))
            .about(hand_over.id);
        entry.actor = hand_over.ordered_by;
        let because = Handover { reason: "hand-over".to_owned(), audit_group: Some(hand_over.id.uuid()) };
        changes.push(Change::update(customer, after).because(because).entry(entry));
    }
    let moved = changes.len();
    if moved == 0 {
        return Ok(0);
    }
    // With the rows, so that a crash behind the commit loses no count.
    let next = HandOver { moved: hand_over.moved + i64::try_from(moved).unwrap_or(0), ..hand_over.clone() };
    let write = app.store.database.write(worker, async |tx| {
        store::save::save(tx, &app.store, worker, changes).await?;
        store::hand_overs::save(tx, worker, &next).await
    });
    match write.await {
        Ok(()) => *hand_over = next,
        // Somebody changed one of them meanwhile: the next look sees it as it is now.
        Err(Error::EtagStale { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(count)
}

/// The first active subject that the rule yields, where it reaches; without one the head of the department of record, which falls back
/// to the head above it and last to the administrator.
fn successor(
    reading: &Reading,
    hand_over: &mut HandOver,
    record: Option<DepartmentId>,
) -> Option<(SubjectId, Option<DepartmentId>)> {
    let snapshot = &reading.snapshot;
    let leaver = hand_over.user;
    let home = |subject: SubjectId| {
        let facts = snapshot.subject(subject).filter(|facts| facts.active && subject != leaver)?;
        Some((subject, facts.subject.department))
    };
    let record = record.or_else(|| snapshot.subject(leaver)?.subject.department);
    let by_rule = match hand_over.rule {
        Rule::None => None,
        _ if !ordered_there(reading, hand_over, record) => None,
        Rule::Person(person) => home(person),
        Rule::Head(department) => snapshot.head(department).and_then(home),
        Rule::RoundRobin(department) => {
            let members: Vec<_> = snapshot
                .subjects()
                .into_iter()
                .filter_map(home)
                .filter(|(_, primary)| *primary == Some(department))
                .collect();
            let turn = usize::try_from(hand_over.turn).unwrap_or(0).checked_rem(members.len());
            hand_over.turn += 1;
            turn.and_then(|turn| members.get(turn).copied())
        }
    };
    by_rule
        .or_else(|| record.and_then(|department| snapshot.head(department)).and_then(home))
        .or_else(|| snapshot.subject(leaver)?.manager.and_then(home))
}

/// Whether who ordered it may hand over what lies in a department: a rule is somebody's, and reaches as far as they do. What a
/// leaver has elsewhere is not theirs to give away, to themselves or to anybody else. Where the leaver was they could, when they
/// ordered it, whatever has become of them since: they may have been the leaver.
fn ordered_there(reading: &Reading, hand_over: &HandOver, record: Option<DepartmentId>) -> bool {
    let snapshot = &reading.snapshot;
    let left = hand_over.from_department.or_else(|| snapshot.subject(hand_over.user)?.subject.department);
    (left.is_some() && left == record)
        || hand_over.ordered_by.is_some_and(|author| {
            let row = Row::new(hand_over.tenant, hand_over.user).with_owner(hand_over.user).with_department(record);
            snapshot.decide(author, Action::HandOverManage, &row, reading.now).allowed
        })
}

/// Counts what a hand-over would move and names the first of it.
pub async fn preview(
    app: &App,
    (tenant, user): (TenantId, SubjectId),
    department: Option<DepartmentId>,
) -> Result<(i64, Vec<CustomerId>), Error> {
    let worker = &app.workers.hand_over;
    let read = app.store.database.read(worker, async |tx| {
        let count = store::duty::owned_count(tx, worker, (tenant, user), department).await?;
        let first = store::duty::owned_page(tx, worker, (tenant, user), department, (&[], PREVIEW_MAX)).await?;
        Ok::<_, Error>((count, first))
    });
    read.await
}

/// When the next hand-over is due.
pub async fn next_due(app: &App) -> Result<Option<Timestamp>, Error> {
    let worker = &app.workers.hand_over;
    app.store.database.read(worker, async |tx| store::hand_overs::next_at(tx, worker).await).await
}
