//! What becomes of follow-up when a customer changes: owner, stage, grade, tags, deletion.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Failure, Timestamp,
    id::{DepartmentId, SubjectId},
};

use super::{events, planner};
use crate::{
    App,
    domain::{
        Error,
        people::Customer,
        plan::{Enrolment, EnrolmentState, Reason, TriggerEvent},
        planning,
        task::{Task, TaskState, TimerKind},
    },
    store::{enrolments, people, projection, tasks},
};

/// Takes in a customer's facts of an event and all that follows from the difference. Facts that are not newer change
/// nothing. Answers the customer as it is known now, held for change.
pub async fn take_in(app: &App, tx: &Tx, new: Customer, event: &str) -> Result<Customer, Failure> {
    let known = projection::customer(tx, new.tenant, new.id, projection::Hold::Change).await?;
    let known = match known {
        Some(known) if known.version >= new.version => return Ok(known),
        known => known,
    };
    let now = app.now(tx).await?;
    let new = Customer { last_inbound_at: known.as_ref().and_then(|known| known.last_inbound_at), ..new };
    projection::save_customer(tx, &new).await?;
    if known.as_ref().map_or(!new.teams.is_empty(), |known| known.teams != new.teams) {
        projection::save_teams(tx, &new).await?;
    }
    if let Some(known) = known {
        react(app, tx, (&known, &new), event, now).await?;
    }
    Ok(new)
}

async fn react(app: &App, tx: &Tx, change: (&Customer, &Customer), event: &str, now: Timestamp) -> Result<(), Failure> {
    let (before, after) = change;
    if after.deleted {
        return if before.deleted { Ok(()) } else { forget(tx, after, now).await };
    }
    let standing = |customer: &Customer| (customer.stage.clone(), customer.grade.clone());
    let moved = standing(before) != standing(after);
    let owner = after.epoch > before.epoch;
    let tags: Vec<_> = after.tags.iter().filter(|tag| !before.tags.contains(tag)).collect();
    if !moved && !owner && tags.is_empty() {
        return Ok(());
    }
    let mut known = enrolments::lock_of_customer(tx, after.tenant, after.id).await?;
    if moved {
        for enrolment in &mut known {
            *enrolment = regrade(app, tx, enrolment.clone(), change).await?;
        }
    }
    if before.stage != after.stage
        && let Some(stage) = &after.stage
    {
        let happened = TriggerEvent::StageEntered(stage.clone());
        planner::trigger(app, tx, after, &known, (&happened, event)).await?;
    }
    if owner {
        move_open(app, tx, after).await?;
        planner::trigger(app, tx, after, &known, (&TriggerEvent::OwnerChanged, event)).await?;
    }
    for tag in tags {
        planner::trigger(app, tx, after, &known, (&TriggerEvent::TagAdded(tag.clone()), event)).await?;
    }
    Ok(())
}

/// Another stage or grade: future tasks are planned anew if other steps apply now.
async fn regrade(
    app: &App,
    tx: &Tx,
    enrolment: Enrolment,
    change: (&Customer, &Customer),
) -> Result<Enrolment, Failure> {
    let (before, after) = change;
    let version = planner::version(app, tx, (enrolment.tenant, enrolment.plan, enrolment.plan_version)).await?;
    let differs = version.is_some_and(|version| {
        let standing = |customer: &'_ Customer| (customer.stage.clone(), customer.grade.clone());
        let ((stage, grade), (new_stage, new_grade)) = (standing(before), standing(after));
        let before = (stage.as_deref(), grade.as_deref());
        planning::steps_differ(&version.definition, before, (new_stage.as_deref(), new_grade.as_deref()))
    });
    if enrolment.state != EnrolmentState::Active || !differs {
        return Ok(enrolment);
    }
    planner::replan(app, tx, enrolment, after, Reason::StageOrGrade).await
}

/// A deleted customer is followed up no more. Restored, it enters its segments again.
async fn forget(tx: &Tx, customer: &Customer, now: Timestamp) -> Result<(), Failure> {
    for enrolment in enrolments::lock_of_customer(tx, customer.tenant, customer.id).await? {
        planner::suspend(tx, enrolment, EnrolmentState::Released, Reason::CustomerDeleted, now).await?;
    }
    let live = tasks::live_of_customer(tx, customer.tenant, customer.id).await?;
    planner::cancel(tx, &live.iter().collect::<Vec<_>>(), Reason::CustomerDeleted, now).await
}

/// Open tasks move with the customer, unless they were given to somebody by name. Scheduled ones need no change: they
/// belong to the owner of the moment when they open.
async fn move_open(app: &App, tx: &Tx, customer: &Customer) -> Result<(), Failure> {
    let live = tasks::live_of_customer(tx, customer.tenant, customer.id).await?;
    let open: Vec<&Task> = live.iter().filter(|task| task.state == TaskState::Open && task.named.is_none()).collect();
    if open.is_empty() {
        return Ok(());
    }
    // None of them is given by name, so one person answers for all.
    let to = answering(tx, open[0], Some(customer)).await?;
    let open: Vec<&Task> = open.into_iter().filter(|task| task.assignee != to).collect();
    let given = |task: &Task| Given { named: None, responsible: to.or(task.assignee), by: None };
    move_to(app, tx, &open, Reason::OwnerChanged, given).await
}

/// Who answers for a task that is open or opens now; never somebody who is not active, unless nobody is.
pub async fn answering(tx: &Tx, task: &Task, customer: Option<&Customer>) -> Result<Option<SubjectId>, Failure> {
    let (owner, department) = owner_of(task, customer);
    let Some(first) = task.named.or(owner) else {
        return Ok(people::everybody(tx, task.tenant).await?.responsible(None, None, department));
    };
    if people::persons(tx, task.tenant, &[first]).await?.is_active(first) {
        return Ok(Some(first));
    }
    let found = people::everybody(tx, task.tenant).await?.responsible(task.named, owner, department);
    // Nobody is known yet only while the projection of people is being built.
    Ok(found.or(Some(first)))
}

/// Who a live task lends its customer to; nobody yet while it is to open for whoever the customer belongs to by then.
pub async fn borrower(
    tx: &Tx,
    task: &Task,
    customer: Option<&Customer>,
    now: Timestamp,
) -> Result<Option<SubjectId>, Failure> {
    match (task.state, task.named) {
        (TaskState::Open, _) => Ok(task.assignee),
        (_, None) if task.open_at > now => Ok(None),
        (TaskState::Scheduled | TaskState::Done | TaskState::Cancelled, _) => answering(tx, task, customer).await,
    }
}

/// The person and the department that a task falls back to.
fn owner_of(task: &Task, customer: Option<&Customer>) -> (Option<SubjectId>, Option<DepartmentId>) {
    match customer {
        Some(customer) => (customer.owner, customer.department),
        None => (task.created_by, task.department),
    }
}

/// Whom a task is given to by name, who answers for it, and who has ordered that.
#[derive(Clone, Copy)]
pub struct Given {
    pub named: Option<SubjectId>,
    pub responsible: Option<SubjectId>,
    pub by: Option<SubjectId>,
}

/// Gives tasks to others. One that somebody else has moved while this transaction waited for it is left where it is: it was
/// given to, and told, whoever has it now.
pub async fn move_to(
    app: &App,
    tx: &Tx,
    read: &[&Task],
    reason: Reason,
    to: impl Fn(&Task) -> Given,
) -> Result<(), Failure> {
    if read.is_empty() {
        return Ok(());
    }
    let locked = tasks::lock(tx, read).await?.ok_or_else(|| Failure::from(Error::Stale))?;
    let holder = |task: &Task| (task.id, task.named, task.assignee);
    let as_read = |task: &&Task| read.iter().any(|then| holder(then) == holder(task));
    let before: Vec<&Task> = locked.iter().filter(as_read).collect();
    let now = app.now(tx).await?;
    let mut moved = Vec::new();
    for task in &before {
        let given = to(task);
        let mut after = (*task).clone();
        if let Some((by, to)) = given.by.zip(given.responsible) {
            after = after.passed_on(by, to, now);
        }
        after = after.reassigned(given.named, given.responsible, now).map_err(Failure::from)?;
        after.reason = reason;
        tell_moved(app, tx, &after).await?;
        moved.push(after);
    }
    tasks::replace(tx, &before, &moved.iter().collect::<Vec<_>>()).await
}

/// Tells that a task has opened, and reminds of it when it is to.
pub async fn announce(app: &App, tx: &Tx, task: &Task) -> Result<(), Failure> {
    let now = app.now(tx).await?;
    let name = plan_name(app, tx, task).await?;
    let drafts = [events::opened(task, now), events::reminder(task, TimerKind::Open, &name, now)];
    drafts.into_iter().flatten().for_each(|draft| tx.emit(draft));
    Ok(())
}

/// Tells that an open task is somebody else's from now on. The notifier tells the new assignee by what it hears of a
/// customer's task, so a reminder beside it would tell twice; of a task without a customer it hears nothing else.
pub async fn tell_moved(app: &App, tx: &Tx, task: &Task) -> Result<(), Failure> {
    if task.state != TaskState::Open {
        return Ok(());
    }
    let now = app.now(tx).await?;
    let told = if task.customer.is_some() {
        events::opened(task, now)
    } else {
        let reminded = Task { remind_open: true, ..task.clone() };
        events::reminder(&reminded, TimerKind::Open, &plan_name(app, tx, task).await?, now)
    };
    told.into_iter().for_each(|draft| tx.emit(draft));
    Ok(())
}

/// What the reminders of a task call it.
pub async fn plan_name(app: &App, tx: &Tx, task: &Task) -> Result<String, Failure> {
    let Some(origin) = &task.origin else { return Ok(events::list_name(task.kind).to_owned()) };
    let version = planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?;
    Ok(version.map(|version| version.name.clone()).unwrap_or_default())
}
