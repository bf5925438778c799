//! The hand-over of a leaver's tasks: open ones of theirs, and scheduled ones that name them, go to the first active
//! person that the rule yields, until a pass finds nothing.

use std::time::Duration;

use revisit_bootstrap::{answer, database::Tx, wire};
use revisit_core::{
    Failure, Timestamp,
    id::{DepartmentId, JobId, SubjectId, TaskId, TenantId},
};
use revisit_permission::Worker;
use revisit_proto::identity::v1 as pb;

use super::{
    consume::{optional, required},
    customers::{self, Given},
};
use crate::{
    App,
    domain::{
        people::{Customer, People, Person},
        plan::Reason,
        task::{Task, TaskState},
    },
    store::{
        hand_overs,
        hand_overs::{HandOver, Kind, Successor},
        people, projection, tasks,
    },
};

/// Tasks of one pass.
const BATCH: u64 = 200;
/// Refusals after which a task stays where it is, is reported, and ends its part.
const REFUSALS_MAX: i32 = 5;
/// The server's cap on write deadlines: a pass that began this long after the effective instant sees every late write.
const LATE_WRITES: Duration = Duration::from_secs(5);
/// Pause after a pass that moved all it found, and when identity does not answer.
const AGAIN: Duration = Duration::from_secs(1);

/// Takes a hand-over in; a repeat changes nothing.
pub async fn begin(app: &App, tx: &Tx, tenant: TenantId, started: &pb::HandOverStarted) -> Result<(), Failure> {
    let id = required(&started.hand_over_id)?;
    if hand_overs::find(tx, tenant, id).await?.is_some() {
        return Ok(());
    }
    let rule = started.successor.as_ref().and_then(|successor| successor.rule.as_ref());
    let successor = match rule {
        None => Successor::Default,
        Some(pb::successor_rule::Rule::UserId(user)) => Successor::Person(required(user)?),
        Some(pb::successor_rule::Rule::DepartmentHeadId(department)) => Successor::HeadOf(required(department)?),
        Some(pb::successor_rule::Rule::RoundRobinDepartmentId(department)) => Successor::InTurn(required(department)?),
    };
    let hand_over = HandOver {
        tenant,
        id,
        person: required(&started.user_id)?,
        from: optional(&started.from_department_id)?,
        ordered_by: optional(&started.ordered_by_id)?,
        successor,
        effective_at: Timestamp::from_micros(started.effective_time_micros),
        turn: 0,
        pass: 0,
        moved: 0,
        refused: 0,
        next_at: app.now(tx).await?,
        kind: Kind::Offboarding,
        done: false,
    };
    hand_overs::save(tx, &hand_over).await
}

/// Somebody was suspended: what they had open goes to who is responsible now, each suspension once. Nobody waits for
/// it, and it ends early when they are active again. A leaver's work waits for the hand-over that names the successor.
pub async fn stand_in(app: &App, tx: &Tx, tenant: TenantId, person: &Person) -> Result<(), Failure> {
    let (company, who) = (tenant.uuid(), person.id.uuid());
    let parts: [&[u8]; 3] = [company.as_bytes(), who.as_bytes(), &person.version.to_be_bytes()];
    let now = app.now(tx).await?;
    let hand_over = HandOver {
        tenant,
        id: JobId::derived("revisit followup suspension v1", &parts),
        person: person.id,
        from: None,
        ordered_by: None,
        successor: Successor::Default,
        effective_at: now,
        turn: 0,
        pass: 0,
        moved: 0,
        refused: 0,
        next_at: now,
        kind: Kind::Suspension,
        done: false,
    };
    hand_overs::save(tx, &hand_over).await
}

/// Does the next pass of the hand-over that has waited longest. Answers whether there was one.
pub async fn step(app: &App, worker: &Worker) -> Result<bool, Failure> {
    let passed = app.database.write(worker, async |tx: &Tx| pass(app, tx).await).await?;
    let Some(pass) = passed else { return Ok(false) };
    if pass.hand_over.kind == Kind::Suspension {
        return Ok(true);
    }
    let done = match report(app, &pass).await {
        Ok(done) => done,
        Err(failure) => {
            tracing::warn!(hand_over.id = %pass.hand_over.id, %failure, "a hand-over waits for identity");
            false
        }
    };
    if done {
        let ended = HandOver { done: true, ..pass.hand_over };
        app.database.write(worker, async |tx: &Tx| hand_overs::save(tx, &ended).await).await?;
    }
    Ok(true)
}

/// What one pass gave.
struct Pass {
    hand_over: HandOver,
    began_at: Timestamp,
    remaining: i64,
}

async fn pass(app: &App, tx: &Tx) -> Result<Option<Pass>, Failure> {
    let now = app.now(tx).await?;
    let Some(mut hand_over) = hand_overs::next(tx, now).await? else { return Ok(None) };
    let given_up = hand_overs::given_up(tx, &hand_over, REFUSALS_MAX).await?;
    let people = people::everybody(tx, hand_over.tenant).await?;
    if hand_over.is_over(&people) {
        hand_overs::save(tx, &HandOver { done: true, ..hand_over }).await?;
        return Ok(None);
    }
    let departments = hand_over.from.map(|top| people.below(top));
    let held = tasks::Held {
        tenant: hand_over.tenant,
        person: hand_over.person,
        departments: departments.as_deref(),
        except: &given_up,
    };
    let found = tasks::live_of_person(tx, &held, BATCH).await?;
    let mut left = 0;
    for task in &found {
        let customer = match task.customer {
            Some(id) => projection::customer(tx, hand_over.tenant, id, projection::Hold::Share).await?,
            None => None,
        };
        match successor(&mut hand_over, &people, task, customer.as_ref()) {
            Some(to) => {
                give(app, tx, &hand_over, task, to).await?;
                hand_over.moved += 1;
            }
            None => {
                let tries = hand_overs::refuse(tx, &hand_over, task.id).await?;
                left += i64::from(tries < REFUSALS_MAX);
                hand_over.refused += i64::from(tries == REFUSALS_MAX);
                if tries == REFUSALS_MAX {
                    tracing::error!(follow_up.id = %task.id, "no successor can take a task; it stays where it is");
                }
            }
        }
    }
    hand_over.pass += 1;
    // A full batch means that there may be more at once; else late writes decide when to look again.
    let more = found.len() as u64 == BATCH;
    let late = hand_over.effective_at + LATE_WRITES;
    hand_over.next_at = if more || now >= late { now + AGAIN.min(Duration::from_secs(u64::from(!more))) } else { late };
    let remaining = left + i64::from(more);
    // Who was suspended may finish a write that began before; a second pass late enough sees it.
    hand_over.done = hand_over.kind == Kind::Suspension && remaining == 0 && now >= late;
    hand_overs::save(tx, &hand_over).await?;
    Ok(Some(Pass { hand_over, began_at: now, remaining }))
}

/// The first active person that the rule yields, never the leaver.
fn successor(hand_over: &mut HandOver, people: &People, task: &Task, customer: Option<&Customer>) -> Option<SubjectId> {
    let leaver = hand_over.person;
    let fit = |id: &SubjectId| *id != leaver && people.is_active(*id);
    // Whoever owns the customer by now is its follow-up's natural heir, and stands in for whoever was named beside them.
    let follows = task.named.is_none() || hand_over.kind == Kind::Suspension;
    let owner = customer.and_then(|customer| customer.owner).filter(fit).filter(|_| follows);
    let by_rule = match &hand_over.successor {
        Successor::Default => None,
        Successor::Person(person) => Some(*person).filter(fit),
        Successor::HeadOf(department) => people.head(Some(*department)).filter(fit),
        Successor::InTurn(department) => in_turn(people, *department, hand_over.turn, leaver),
    };
    hand_over.turn += 1;
    let department = customer.map_or(task.department, |customer| customer.department);
    let head = || people.head(department).filter(fit);
    owner.or(by_rule).or_else(head).or_else(|| {
        let mut others = people.clone();
        others.persons.remove(&leaver);
        others.responsible(None, None, department)
    })
}

fn in_turn(people: &People, department: DepartmentId, turn: i64, leaver: SubjectId) -> Option<SubjectId> {
    let members: Vec<SubjectId> = people
        .persons
        .values()
        .filter(|person| person.active && person.id != leaver && person.department == Some(department))
        .map(|person| person.id)
        .collect();
    let place = usize::try_from(turn.rem_euclid(i64::try_from(members.len().max(1)).unwrap_or(1))).unwrap_or(0);
    members.get(place).copied()
}

/// A task that was given by name keeps being given by name, as does one that has no customer to follow and one that has
/// not opened yet: it would open for the customer's owner of then. Another one follows its customer again later, and so does
/// what somebody stands in for, open or not. To who ordered it, it lends nothing: they see what their own rights show.
async fn give(app: &App, tx: &Tx, hand_over: &HandOver, task: &Task, to: SubjectId) -> Result<(), Failure> {
    let stands_in = hand_over.kind == Kind::Suspension;
    let kept = task.named.is_some() || task.state == TaskState::Scheduled;
    let by_name = task.customer.is_none() || (kept && !stands_in);
    let given = Given { named: by_name.then_some(to), responsible: Some(to), by: hand_over.ordered_by };
    customers::move_to(app, tx, &[task], Reason::HandedOver, |_| given).await
}

/// Tells identity; answers whether the part has ended.
async fn report(app: &App, pass: &Pass) -> Result<bool, Failure> {
    let mut client = pb::hand_overs_client::HandOversClient::new(app.peers.channel("identity"));
    let request = pb::ReportHandOverRequest {
        tenant_id: pass.hand_over.tenant.to_string(),
        hand_over_id: pass.hand_over.id.to_string(),
        part: pb::HandOverPart::Tasks.into(),
        pass: pass.hand_over.pass,
        pass_start_time: Some(wire::time(pass.began_at)),
        moved: pass.hand_over.moved,
        refused: pass.hand_over.refused,
        remaining: pass.remaining,
    };
    Ok(answer(client.report_hand_over(request).await)?.done)
}

/// What a hand-over would move: a number, and the first of the tasks.
pub async fn preview(
    app: &App,
    worker: &Worker,
    (tenant, person): (TenantId, SubjectId),
    from: Option<DepartmentId>,
) -> Result<(usize, Vec<TaskId>), Failure> {
    app.database
        .read(worker, async |tx: &Tx| {
            let departments = match from {
                Some(top) => Some(people::everybody(tx, tenant).await?.below(top)),
                None => None,
            };
            let held = tasks::Held { tenant, person, departments: departments.as_deref(), except: &[] };
            let found = tasks::live_of_person(tx, &held, PREVIEW_MAX).await?;
            Ok((found.len(), found.iter().take(IDS_MAX).map(|task| task.id).collect()))
        })
        .await
}

/// Tasks that a preview counts, and ids that it names.
const PREVIEW_MAX: u64 = 100_000;
const IDS_MAX: usize = 1_000;
