//! What becomes of a task by hand: put off, handed on, left out, ended; and what follows from its end.

use std::time::Duration;

use revisit_bootstrap::{
    Principal,
    audit::Deed,
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Timestamp,
    id::{SubjectId, TaskId},
};
use revisit_permission::{Action, Permits};
use revisit_proto::{customer::v1 as customer_pb, followup::v1 as pb};

use super::{
    CHANGED, REPEATED, find,
    locked::{Locked, active, loan, lock},
    shown,
};
use crate::{
    App,
    domain::{
        Error,
        plan::{EnrolmentState, Reason, Reminders},
        planning::Window,
        task::{Task, TaskKind, TaskState},
    },
    operations::{
        by_hand, customers, events, planner,
        rights::Rights,
        write::{self, Made, Sent, TRIES},
    },
    schedule,
    store::tasks,
};

/// Time allowed for telling customer directly that an access has ended; the event that says the same follows anyway.
const CLOSE_MAX: Duration = Duration::from_millis(300);

/// What every change of one task names.
pub struct Change {
    pub task: TaskId,
    pub etag: Option<i64>,
    /// In the caller's words.
    pub reason: String,
    pub repeat: Option<Repeatable>,
}

/// What is to become of a task.
#[derive(Clone, Copy)]
pub enum Act {
    /// Another due time.
    Snooze(Timestamp),
    /// Another person, or whoever answers for the customer.
    Reassign(Option<SubjectId>),
    /// It ends without an outcome.
    Cancel,
    /// Only occurrences of a plan: leaves this one out.
    Skip,
}

impl Act {
    const fn action(self) -> Action {
        match self {
            Self::Snooze(_) | Self::Reassign(_) | Self::Skip => Action::TaskUpdate,
            Self::Cancel => Action::TaskCancel,
        }
    }

    /// Which fields it writes, in the words of the contract.
    const fn fields(self) -> [&'static str; 2] {
        match self {
            Self::Snooze(_) => ["due_time", "reason"],
            Self::Reassign(_) => ["assignee_id", "reason"],
            Self::Cancel | Self::Skip => ["state", "reason"],
        }
    }
}

/// Changes a task, once, when the caller may and has seen its newest version. A repeat is answered before versions are
/// compared, and only to who may still do it.
pub async fn change(app: &App, who: &Principal, change: Change, act: Act) -> Result<pb::Task, Error> {
    let found = find(app, who, change.task).await?;
    let permit = who.decide(act.action(), &found.task.row(found.customer.as_ref()))?;
    let (permits, once) = (Permits(vec![permit]), Once::new(who, change.repeat.as_ref()));
    for _ in 0..TRIES {
        // The task before it, when it has ended.
        let mut ended = None;
        let work = async |tx: &Tx, sent: Sent| {
            let Some(locked) = lock(tx, who.tenant(), change.task).await? else { return Ok(Made::Overtaken) };
            let (mut rights, reason) = (Rights::of(who), change.reason.as_str());
            locked.decide(&mut rights, act.action())?;
            if let Sent::Again(_) = sent {
                let task = shown(app, tx, &mut rights, (&locked.task, locked.customer.as_ref()), REPEATED).await?;
                return Ok(Made::Unchanged((task, None), rights));
            }
            locked.unchanged(change.etag)?;
            let task = match act {
                Act::Snooze(due_at) => snooze(app, tx, &mut rights, &locked, (due_at, reason)).await?,
                Act::Reassign(assignee) => reassign(app, tx, &mut rights, &locked, (assignee, reason)).await?,
                Act::Skip if locked.task.origin.is_none() || !locked.task.state.is_live() => {
                    return Err(Error::NotSkippable);
                }
                Act::Skip | Act::Cancel => {
                    let task = end(app, tx, &mut rights, &locked, reason).await?;
                    ended = Some(locked.task);
                    task
                }
            };
            Ok(Made::Changed((task, None), Deed::on("task", [change.task.uuid()]).fields(act.fields()), rights))
        };
        let Some(task) = write::attempt(app, &permits, once, work).await? else { continue };
        match ended {
            Some(before) => closed(app, &before).await,
            None => app.wake.notify_one(),
        }
        return Ok(task);
    }
    Err(Error::Stale)
}

async fn snooze(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    locked: &Locked,
    (due_at, reason): (Timestamp, &str),
) -> Result<pb::Task, Error> {
    let now = app.now(tx).await?;
    let reminders = reminders_of(app, tx, locked).await?;
    let calendar = calendar_of(app, tx, &locked.task).await?;
    let zone = schedule::zone(&locked.task.zone).unwrap_or(chrono_tz::UTC);
    let window = Window { open_at: locked.task.open_at.min(now), due_at, zone };
    let agenda = window.agenda(&reminders, &calendar);
    let mut after = locked.task.clone().snoozed(due_at, agenda, now)?;
    let borrower = customers::borrower(tx, &after, locked.customer.as_ref(), now).await?;
    after = if borrower.is_none() && after.origin.is_some() {
        after.planned(now)
    } else {
        after.lending_on(&loan(rights, locked, now)?, (&locked.task, borrower), now)
    };
    after = app.sealed.explain(tx, after, reason).await?;
    tasks::replace(tx, &[&locked.task], &[&after]).await?;
    if after.state == TaskState::Open {
        // The access is told anew under the new generation, as far as it reaches.
        events::opened(&after, now).into_iter().for_each(|draft| tx.emit(draft));
    }
    shown(app, tx, rights, (&after, locked.customer.as_ref()), CHANGED).await
}

/// The reminders that a task was planned with.
async fn reminders_of(app: &App, tx: &Tx, locked: &Locked) -> Result<Reminders, Error> {
    let task = &locked.task;
    if let Some(origin) = &task.origin {
        let version = planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?;
        let step = version.as_ref().and_then(|version| version.definition.step(&origin.step));
        return Ok(step.map(|step| step.reminders.clone()).unwrap_or_default());
    }
    if let Some(parent) = &locked.parent {
        return by_hand::follow_on(app, tx, parent, task.kind).await;
    }
    Ok(by_hand::reminders(task.kind, task.before_minutes.clone()))
}

async fn calendar_of(app: &App, tx: &Tx, task: &Task) -> Result<schedule::WorkCalendar, Error> {
    let named = match &task.origin {
        Some(origin) => planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?,
        None => None,
    };
    Ok(planner::calendar(tx, task.tenant, named.and_then(|version| version.definition.calendar)).await?)
}

async fn reassign(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    locked: &Locked,
    (assignee, reason): (Option<SubjectId>, &str),
) -> Result<pb::Task, Error> {
    active(tx, locked.task.tenant, assignee).await?;
    let customer = locked.customer.as_ref();
    let wanted = Task { named: assignee, ..locked.task.clone() };
    let responsible = customers::answering(tx, &wanted, customer).await?;
    let now = app.now(tx).await?;
    let mut after = locked.task.clone().reassigned(assignee, responsible, now)?;
    let borrower = customers::borrower(tx, &after, customer, now).await?;
    after = after.lending(&loan(rights, locked, now)?, (borrower, assignee), now);
    rights.decide_change(Action::TaskUpdate, &locked.task.row(customer), &after.row(customer))?;
    after = app.sealed.explain(tx, after, reason).await?;
    customers::tell_moved(app, tx, &after).await?;
    tasks::replace(tx, &[&locked.task], &[&after]).await?;
    shown(app, tx, rights, (&after, locked.customer.as_ref()), CHANGED).await
}

/// Ends a task without an outcome. A step that waits for its task plans the next one, so that nobody is forgotten.
async fn end(app: &App, tx: &Tx, rights: &mut Rights, locked: &Locked, reason: &str) -> Result<pb::Task, Error> {
    let now = app.now(tx).await?;
    let was_open = locked.task.state == TaskState::Open;
    let after = locked.task.clone().cancelled(Reason::Caller, now)?;
    let after = app.sealed.explain(tx, after, reason).await?;
    if was_open {
        tx.emit(events::closed(&after, false, now));
    }
    close_issue(tx, locked, &after, now).await?;
    plant_next(app, tx, locked, now).await?;
    shown(app, tx, rights, (&after, locked.customer.as_ref()), CHANGED).await
}

/// Replaces a task that has ended and, when it was an issue, tells its parent.
pub async fn close_issue(tx: &Tx, locked: &Locked, after: &Task, now: Timestamp) -> Result<(), Error> {
    let parent = match (&locked.parent, after.kind) {
        (Some(parent), TaskKind::Issue) => Some((parent, parent.clone().issue_closed(now))),
        _ => None,
    };
    match &parent {
        Some((before, parent)) => tasks::replace(tx, &[&locked.task, before], &[after, parent]).await?,
        None => tasks::replace(tx, &[&locked.task], &[after]).await?,
    }
    Ok(())
}

/// Plants what follows an occurrence that has ended. Answers it.
pub async fn plant_next(app: &App, tx: &Tx, locked: &Locked, now: Timestamp) -> Result<Option<Task>, Error> {
    let (Some(customer), Some(enrolment)) = (&locked.customer, &locked.enrolment) else {
        return Ok(None);
    };
    if enrolment.state != EnrolmentState::Active {
        return Ok(None);
    }
    let ground = planner::ground(app, tx, enrolment, customer, now).await?;
    let live = planner::live_of(tx, enrolment).await?;
    let added = planner::add(app, tx, ground.successors(enrolment, &locked.task, &live)).await?;
    Ok(added.into_iter().find(|task| task.state.is_live()))
}

/// Tells customer directly that an access has ended; within a second when all is well, and the event follows anyway.
pub async fn closed(app: &App, before: &Task) {
    app.wake.notify_one();
    let (Some(customer), TaskState::Open) = (before.customer, before.state) else { return };
    let peer = app.peers.channel("customer").within(CLOSE_MAX);
    let message = customer_pb::CloseTaskAccessRequest {
        tenant_id: before.tenant.to_string(),
        customer_id: customer.to_string(),
        task_id: before.id.to_string(),
        generation: before.version + 1,
    };
    let mut client = customer_pb::projections_client::ProjectionsClient::new(peer);
    if let Err(status) = client.close_task_access(message).await {
        tracing::debug!(follow_up.id = %before.id, code = ?status.code(), "the access ends by its event");
    }
}
