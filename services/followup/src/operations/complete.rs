//! The outcome call (一键记录): closes the task, plants what follows, raises issues and tells the others, in one commit.

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
use revisit_permission::{Action, Layer, Levels, Permits, Veiled};
use revisit_proto::followup::v1 as pb;

use super::{
    by_hand, events, outcomes, planner,
    rights::Rights,
    tasks::{self as task_operations, CHANGED, Locked, REPEATED, closed, find, lock},
    write::{self, Made, Sent, TRIES},
};
use crate::{
    App,
    domain::{
        Error,
        outcome::{Answer, Issue, Note, Outcome, Review},
        people::Customer,
        plan::{EnrolmentState, Reason, ResultRule},
        task::{AHEAD_MAX, Channel, Done, Task, TaskKind, TaskState},
    },
    schedule,
    store::{enrolments, outcomes as outcome_store, tasks},
};

/// Results of tasks without a plan, and whether each is a success.
const RESULTS: [(&str, bool); 4] = [("reached", true), ("done", true), ("no_answer", false), ("refused", false)];

/// What was recorded.
pub struct Record {
    pub task: TaskId,
    pub result: String,
    pub channel: Option<Channel>,
    pub satisfaction: Option<i16>,
    pub next_contact_at: Option<Timestamp>,
    pub notes: Vec<Note>,
    pub issues: Vec<Issue>,
    pub sensitive: bool,
    pub etag: Option<i64>,
    pub repeat: Option<Repeatable>,
}

/// Records an outcome.
pub async fn complete(app: &App, who: &Principal, record: Record) -> Result<pb::CompleteTaskResponse, Error> {
    let found = find(app, who, record.task).await?;
    let permit = who.decide(Action::TaskComplete, &found.task.row(found.customer.as_ref()))?;
    writable(permit.levels(), &record)?;
    let (permits, once) = (Permits(vec![permit]), Once::new(who, record.repeat.as_ref()));
    for _ in 0..TRIES {
        let mut before = None;
        let work = async |tx: &Tx, sent: Sent| {
            let Some(locked) = lock(tx, who.tenant(), record.task).await? else { return Ok(Made::Overtaken) };
            let mut rights = Rights::of(who);
            writable(locked.decide(&mut rights, Action::TaskComplete)?, &record)?;
            if let Sent::Again(next) = sent {
                let answer = completed(app, tx, &mut rights, &locked, next.map(TaskId::from_uuid)).await?;
                return Ok(Made::Unchanged((answer, None), rights));
            }
            locked.unchanged(record.etag)?;
            let (answer, next) = complete_in(app, tx, &mut rights, &locked, &record).await?;
            before = Some(locked.task);
            // The outcome is new: which notes it has is not told.
            let deed = Deed::on("task", [record.task.uuid()]).fields(["state"]);
            Ok(Made::Changed((answer, next.map(TaskId::uuid)), deed, rights))
        };
        if let Some(answer) = write::attempt(app, &permits, once, work).await? {
            if let Some(before) = before {
                closed(app, &before).await;
            }
            return Ok(answer);
        }
    }
    Err(Error::Stale)
}

/// Who may not write a layer may not leave a note in it; the request is refused whole.
fn writable(levels: Levels, record: &Record) -> Result<(), Error> {
    match record.notes.iter().find(|note| !levels.writes(note.layer)) {
        Some(note) => Err(Error::LayerNotWritable(note.layer)),
        None => Ok(()),
    }
}

/// What was recorded, and what follows it, as they are by now.
async fn completed(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    Locked { task, customer, .. }: &Locked,
    next: Option<TaskId>,
) -> Result<pb::CompleteTaskResponse, Error> {
    let outcome = outcome_store::find(tx, task.tenant, task.id).await?.ok_or(Error::NoSuchOutcome)?;
    let next = match next {
        Some(next) => tasks::find(tx, task.tenant, next).await?,
        None => None,
    };
    response(app, tx, rights, (task, customer.as_ref()), (&outcome, next.as_ref(), REPEATED)).await
}

async fn response(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    (task, customer): (&Task, Option<&Customer>),
    (outcome, next, unseen): (&Outcome, Option<&Task>, Levels),
) -> Result<pb::CompleteTaskResponse, Error> {
    Ok(pb::CompleteTaskResponse {
        task: Some(task_operations::shown(app, tx, rights, (task, customer), unseen).await?),
        outcome: Some(outcomes::written(app, tx, rights, (task, customer), outcome).await?),
        next_task: match next {
            Some(next) => Some(task_operations::shown(app, tx, rights, (next, customer), unseen).await?),
            None => None,
        },
    })
}

/// Records it; answers also which task follows.
async fn complete_in(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    locked: &Locked,
    record: &Record,
) -> Result<(pb::CompleteTaskResponse, Option<TaskId>), Error> {
    let (now, by) = (app.now(tx).await?, rights.who().subject());
    let rule = rule_of(app, tx, &locked.task, &record.result).await?;
    let outcome = outcome_of(&locked.task, record, &rule, by, now);
    let done = Done {
        success: rule.success,
        satisfaction: record.satisfaction,
        issues: i32::try_from(record.issues.len()).unwrap_or(i32::MAX),
    };
    let mut after = locked.task.clone();
    if after.state == TaskState::Scheduled {
        // Done before its window began: whoever did it answers for it.
        after = after.opened(Some(by), locked.customer.as_ref());
    }
    let after = after.done(done, now)?;
    if locked.task.state == TaskState::Open {
        tx.emit(events::closed(&after, true, now));
    }
    tx.emit(events::recorded(&after, &outcome));
    task_operations::close_issue(tx, locked, &after, now).await?;
    outcome_store::save(tx, &outcome).await?;
    outcomes::save_notes(app, tx, &after, &record.notes).await?;
    raise(app, tx, rights, locked, record).await?;
    let contact = next_contact(app, tx, rights, locked, &outcome).await?;
    let following = follow(app, tx, locked, &rule, now).await?;
    let (next, seen) = (contact.or(following), (&after, locked.customer.as_ref()));
    Ok((response(app, tx, rights, seen, (&outcome, next.as_ref(), CHANGED)).await?, next.map(|next| next.id)))
}

fn outcome_of(task: &Task, record: &Record, rule: &ResultRule, by: SubjectId, now: Timestamp) -> Outcome {
    let sensitive = record.sensitive || rule.sensitive;
    let by_rule = rule.next_contact_days.map(|days| {
        let zone = schedule::zone(&task.zone).unwrap_or(chrono_tz::UTC);
        let today = schedule::local(now, zone);
        schedule::instant(schedule::after_days(today.date(), i64::from(days)).and_time(today.time()), zone)
    });
    Outcome {
        tenant: task.tenant,
        task: task.id,
        customer: task.customer,
        recorded_by: by,
        recorded_at: now,
        answer: Veiled::new(
            Outcome::layer(sensitive),
            Answer { result: record.result.clone(), satisfaction: record.satisfaction },
        ),
        channel: record.channel,
        next_contact_at: record.next_contact_at.or(by_rule).filter(|_| task.customer.is_some()),
        review: if sensitive { Review::Pending } else { Review::NotNeeded },
        reviewed_by: None,
    }
}

/// What a result means: as the plan's version says, or for other tasks as everybody knows.
async fn rule_of(app: &App, tx: &Tx, task: &Task, result: &str) -> Result<ResultRule, Error> {
    if let Some(origin) = &task.origin {
        let version = planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?;
        return version.and_then(|version| version.definition.result(result).cloned()).ok_or(Error::UnknownResult);
    }
    let (key, success) = RESULTS.into_iter().find(|(key, _)| *key == result).ok_or(Error::UnknownResult)?;
    Ok(ResultRule {
        key: key.to_owned(),
        name: key.to_owned(),
        success,
        sensitive: false,
        next_contact_days: None,
        ends_enrolment: false,
    })
}

/// Raises the issues as open tasks with their own time limit. One that nobody was named for follows the customer like
/// any other task.
async fn raise(app: &App, tx: &Tx, rights: &mut Rights, locked: &Locked, record: &Record) -> Result<(), Error> {
    if record.issues.is_empty() {
        return Ok(());
    }
    let customer = locked.customer.as_ref();
    let now = app.now(tx).await?;
    let calendar = planner::calendar(tx, locked.task.tenant, None).await?;
    let zone = schedule::zone(&locked.task.zone).unwrap_or(chrono_tz::UTC);
    let reminders = by_hand::follow_on(app, tx, &locked.task, TaskKind::Issue).await?;
    let (lent, granted) =
        (task_operations::loan_of_outcome(rights, locked, now)?, dispatched(app, tx, &locked.task).await?);
    for (index, issue) in record.issues.iter().enumerate() {
        let due = calendar.add_working(schedule::local(now, zone), issue.due_within_minutes);
        task_operations::active(tx, locked.task.tenant, issue.assignee).await?;
        // Without a customer there is nobody to follow.
        let assignee = issue.assignee.or(locked.task.assignee.filter(|_| customer.is_none()));
        let new = by_hand::New {
            kind: TaskKind::Issue,
            title: issue.title.clone(),
            customer: locked.task.customer,
            assignee,
            due_at: schedule::instant(due, zone).clamp(now, now + AHEAD_MAX),
            channel: None,
            reminders: reminders.clone(),
            repeat: None,
        };
        let draft = draft(locked, (TaskKind::Issue, &format!("{}/{index}", locked.task.id)), rights);
        let gives = rights.allowed(Action::TaskCreate, &draft.task(&new, customer, now).row(customer))?.is_some();
        let loan = lent.clone().of_issue(gives, &granted);
        by_hand::plant(app, tx, (&draft, &loan), &new, customer).await?;
    }
    Ok(())
}

/// What the plan of a task has its issues lend to whoever they are dispatched to.
async fn dispatched(app: &App, tx: &Tx, task: &Task) -> Result<Vec<Layer>, Error> {
    let version = match &task.origin {
        Some(origin) => planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?,
        None => None,
    };
    Ok(version.map(|version| version.definition.issue_lent.clone()).unwrap_or_default())
}

async fn next_contact(
    app: &App,
    tx: &Tx,
    rights: &mut Rights,
    locked: &Locked,
    outcome: &Outcome,
) -> Result<Option<Task>, Error> {
    let Some(due_at) = outcome.next_contact_at else { return Ok(None) };
    let (customer, now) = (locked.customer.as_ref(), app.now(tx).await?);
    let mut new = by_hand::New {
        kind: TaskKind::NextContact,
        title: String::new(),
        customer: locked.task.customer,
        assignee: locked.task.named,
        due_at,
        channel: outcome.channel.or(locked.task.channel),
        reminders: by_hand::follow_on(app, tx, &locked.task, TaskKind::NextContact).await?,
        repeat: None,
    };
    let loan = task_operations::loan_of_outcome(rights, locked, now)?;
    let draft = draft(locked, (TaskKind::NextContact, &locked.task.id.to_string()), rights);
    // Who would not see the customer by then any more cannot keep the promise: it follows the customer.
    let opens_at = draft.task(&new, customer, now).open_at;
    new.assignee = new.assignee.filter(|named| loan.reaches(*named, opens_at));
    by_hand::plant(app, tx, (&draft, &loan), &new, customer).await.map(Some)
}

/// A task that an outcome makes has the follow-up's id in its own, so that it is made once.
fn draft(locked: &Locked, (kind, key): (TaskKind, &str), rights: &Rights) -> by_hand::Draft {
    by_hand::Draft {
        tenant: locked.task.tenant,
        id: Task::id_by_key(locked.task.tenant, kind, key),
        zone: locked.task.zone.clone(),
        department: locked.task.department,
        created_by: rights.who().subject(),
        parent: Some(locked.task.id),
    }
}

/// The enrolment goes on, or ends when the result says so.
async fn follow(app: &App, tx: &Tx, locked: &Locked, rule: &ResultRule, now: Timestamp) -> Result<Option<Task>, Error> {
    let Some(mut enrolment) = locked.enrolment.clone() else { return Ok(None) };
    enrolment.last_completed_at = Some(now);
    enrolment.version += 1;
    if rule.ends_enrolment && enrolment.state != EnrolmentState::Released {
        planner::suspend(tx, enrolment, EnrolmentState::Released, Reason::Ended, now).await?;
        return Ok(None);
    }
    enrolments::save(tx, &enrolment).await?;
    task_operations::plant_next(app, tx, locked, now).await
}
