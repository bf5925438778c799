//! Task operations: who may do what to a task, and what follows from it.

use std::time::Duration;

use revisit_bootstrap::{
    Principal, audit,
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Timestamp,
    id::{SubjectId, TaskId, TenantId},
};
use revisit_permission::{Action, Decided, Layer, Levels, Veiled};
use revisit_proto::{customer::v1 as customer_pb, followup::v1 as pb};

use super::{by_hand, customers, events, outcomes, planner};
use crate::{
    App,
    domain::{
        Error,
        people::Customer,
        plan::{Enrolment, EnrolmentState, Reason, Reminders},
        planning::Window,
        task::{Lending, Task, TaskKind, TaskState},
    },
    schedule,
    sealed::Texts,
    show::{self, Asked, Legible},
    store::{enrolments, lists, people, projection, tasks},
};

/// Tries of a change under which timers fire again and again; then the caller learns of it.
pub const TRIES: usize = 3;
/// Time allowed for telling customer directly that an access has ended; the event that says the same follows anyway.
const CLOSE_MAX: Duration = Duration::from_millis(300);

/// A task with what it is decided on.
pub struct Found {
    pub task: Task,
    pub customer: Option<Customer>,
    /// What the caller may see of it.
    pub levels: Levels,
}

/// One task that the caller may see.
pub async fn find(app: &App, who: &Principal, id: TaskId) -> Result<Found, Error> {
    let scope = who.scope(Action::TaskView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let task = tasks::find(tx, scope.tenant(), id).await?.ok_or(Error::NoSuchTask)?;
            let customer = match task.customer {
                // Whose it is and how it is guarded stands on the customer: old news decides nothing.
                Some(id) => {
                    app.freshness.require("customer")?;
                    projection::customer(tx, scope.tenant(), id, projection::Hold::Look).await?
                }
                None => None,
            };
            let levels = scope.levels(&task.row(customer.as_ref())).ok_or(Error::NoSuchTask)?;
            Ok(Found { task, customer, levels })
        })
        .await
}

/// One task as the caller may see it.
pub async fn get(app: &App, who: &Principal, id: TaskId, asked: Asked) -> Result<pb::Task, Error> {
    let Found { task, customer, levels } = find(app, who, id).await?;
    let scope = who.scope(Action::TaskView)?;
    let levels = disclosing(who, customer.as_ref(), levels);
    let reads = async |tx: &Tx| {
        let texts = app.sealed.texts(tx, [&task]).await?;
        let legible = legible(app, tx, (&task, customer.as_ref(), levels), asked, &texts).await?;
        let disclosed = legible.disclosed();
        if !disclosed.is_empty() {
            let entry = audit::Entry::new(&who.caller, Action::TaskView.name(), "task");
            audit::record(tx, &app.ids, entry.about([id.uuid()]).fields(disclosed)).await?;
        }
        Ok(show::task(legible))
    };
    // A clear read is in the audit before it leaves, or it does not leave.
    let writes = levels.discloses(asked.title) || levels.discloses(asked.reason);
    if writes { app.database.write(&scope, reads).await } else { app.database.read(&scope, reads).await }
}

/// The levels of a task for who may ask for sensitive values in its texts: they are its customer's, and clear to nobody
/// who does not read them there.
fn disclosing(who: &Principal, customer: Option<&Customer>, levels: Levels) -> Levels {
    let Some(customer) = customer else { return levels };
    let viewed = outcomes::viewed(who, customer).ok().flatten().unwrap_or(Levels::HIDDEN);
    levels.cap(Levels::WRITE.with(Layer::Sensitive, viewed.get(Layer::Sensitive)))
}

/// Makes a task ready to be shown: its title opened, its step named. Who has handed it away, or views no tasks at all, sees
/// what the change itself was about.
pub async fn shown(
    app: &App,
    tx: &Tx,
    who: &Principal,
    (task, customer): (&Task, Option<&Customer>),
) -> Result<pb::Task, Error> {
    let views = who.scope(Action::TaskView).ok();
    let levels = views.and_then(|scope| scope.levels(&task.row(customer))).unwrap_or(Levels::EVENT);
    let texts = app.sealed.texts(tx, [task]).await?;
    Ok(show::task(legible(app, tx, (task, customer, levels), Asked::NOTHING, &texts).await?))
}

async fn legible<'a>(
    app: &App,
    tx: &Tx,
    (task, customer, levels): (&'a Task, Option<&'a Customer>, Levels),
    asked: Asked,
    texts: &Texts,
) -> Result<Legible<'a>, Error> {
    let title = title(app, tx, task, texts).await?;
    let reason = if task.reason == Reason::Caller {
        texts.open(task, "reason_text", &task.reason_text)?
    } else {
        Veiled::new(Layer::Basic, task.reason.words().to_owned())
    };
    Ok(Legible { task, customer, levels, title, reason, asked, now: app.now(tx).await? })
}

async fn title(app: &App, tx: &Tx, task: &Task, texts: &Texts) -> Result<Veiled<String>, Error> {
    let named = |name: String| Veiled::new(Layer::Basic, name);
    let Some(origin) = &task.origin else {
        return Ok(match task.title.is_empty() {
            true => named(events::list_name(task.kind).to_owned()),
            false => texts.open(task, "title", &task.title)?,
        });
    };
    let version = planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?;
    let step = version.as_ref().and_then(|version| version.definition.step(&origin.step));
    Ok(named(step.map(|step| step.name.clone()).unwrap_or_default()))
}

/// A page of tasks of the caller's reach.
pub async fn list(app: &App, who: &Principal, wish: lists::Wish) -> Result<(Vec<pb::Task>, Option<lists::Key>), Error> {
    let scope = who.scope(Action::TaskView)?;
    app.freshness.require("customer")?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let page = lists::tasks(tx, &scope, &wish).await?;
            let texts = app.sealed.texts(tx, page.tasks.iter().map(|(task, _)| task)).await?;
            let mut rows = Vec::with_capacity(page.tasks.len());
            for (task, customer) in &page.tasks {
                let customer = customer.as_ref();
                let levels = scope.levels(&task.row(customer)).unwrap_or_default();
                let legible = legible(app, tx, (task, customer, levels), Asked::NOTHING, &texts).await?;
                rows.push(show::task(legible));
            }
            Ok((rows, page.next))
        })
        .await
}

/// The zone of a person, for their local day.
pub async fn zone_of(app: &App, who: &Principal, person: SubjectId) -> Result<chrono_tz::Tz, Error> {
    let scope = who.scope(Action::TaskView)?;
    let found = app
        .database
        .read(&scope, async |tx: &Tx| people::person(tx, scope.tenant(), person).await.map_err(Error::from));
    let named = found.await?.and_then(|person| schedule::zone(&person.zone));
    Ok(named.unwrap_or_else(|| app.config.zone()))
}

/// A task that is held for change, with what it hangs on.
pub struct Locked {
    pub task: Task,
    pub customer: Option<Customer>,
    pub enrolment: Option<Enrolment>,
    pub parent: Option<Task>,
}

/// Locks a task in the order that all follow: customer, enrolment, timer, tasks by key. Nothing when a timer fired
/// meanwhile: the caller begins again in a new transaction.
pub async fn lock(tx: &Tx, tenant: TenantId, id: TaskId) -> Result<Option<Locked>, Error> {
    let read = tasks::find(tx, tenant, id).await?.ok_or(Error::NoSuchTask)?;
    let customer = match read.customer {
        Some(customer) => projection::customer(tx, tenant, customer, projection::Hold::Share).await?,
        None => None,
    };
    let enrolment = match &read.origin {
        Some(origin) => enrolments::lock(tx, tenant, origin.enrolment).await?,
        None => None,
    };
    let parent = match read.parent {
        Some(parent) => tasks::find(tx, tenant, parent).await?,
        None => None,
    };
    let both: Vec<&Task> = [Some(&read), parent.as_ref()].into_iter().flatten().collect();
    let Some(mut locked) = tasks::lock(tx, &both).await? else { return Ok(None) };
    let Some(place) = locked.iter().position(|task| task.id == id) else { return Ok(None) };
    let task = locked.swap_remove(place);
    Ok(Some(Locked { task, customer, enrolment, parent: locked.pop() }))
}

impl Locked {
    /// Decides on the task as it is now that nobody changes it: it may have changed hands since it was read. Who was
    /// allowed then and is not now has lost a race, and learns by reading again what is true for them.
    pub fn decide(&self, who: &Principal, action: Action) -> Result<Decided, Error> {
        match who.decide(action, &self.task.row(self.customer.as_ref())).map_err(Error::from) {
            Err(Error::Denied(_)) => Err(Error::Stale),
            decided => decided,
        }
    }

    /// Refuses when the caller has seen an older version.
    pub fn unchanged(&self, etag: Option<i64>) -> Result<(), Error> {
        if etag.is_none_or(|etag| etag == self.task.version) { Ok(()) } else { Err(Error::Stale) }
    }
}

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
}

/// What a change of a task answers, and the task before it when it has ended.
type Changed = (pb::Task, Option<Task>);

/// Changes a task, once, when the caller may and has seen its newest version. A repeat is answered before versions are
/// compared, and only to who may still do it.
pub async fn change(app: &App, who: &Principal, change: Change, act: Act) -> Result<pb::Task, Error> {
    let found = find(app, who, change.task).await?;
    let permit = who.decide(act.action(), &found.task.row(found.customer.as_ref()))?;
    let once = Once::new(who, change.repeat.as_ref());
    for _ in 0..TRIES {
        let write = app.database.write(&permit, async |tx: &Tx| {
            if let Some(answer) = once.first(tx).await? {
                return Ok(Some((show::decode(&answer)?, None)));
            }
            let Some(locked) = lock(tx, permit.tenant(), change.task).await? else { return Ok::<_, Error>(None) };
            locked.decide(who, act.action())?;
            locked.unchanged(change.etag)?;
            let changed = match act {
                Act::Snooze(due_at) => snooze(app, tx, who, &locked, (due_at, &change.reason)).await?,
                Act::Reassign(assignee) => reassign(app, tx, who, &locked, (assignee, &change.reason)).await?,
                Act::Skip if locked.task.origin.is_none() || !locked.task.state.is_live() => {
                    return Err(Error::NotSkippable);
                }
                Act::Skip | Act::Cancel => end(app, tx, who, locked, &change.reason).await?,
            };
            once.keep(tx, &show::encode(&changed.0)).await?;
            Ok(Some(changed))
        });
        let Some((task, ended)) = write.await? else { continue };
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
    who: &Principal,
    locked: &Locked,
    (due_at, reason): (Timestamp, &str),
) -> Result<Changed, Error> {
    let now = app.now(tx).await?;
    let reminders = reminders_of(app, tx, locked).await?;
    let calendar = calendar_of(app, tx, &locked.task).await?;
    let zone = schedule::zone(&locked.task.zone).unwrap_or(chrono_tz::UTC);
    let window = Window { open_at: locked.task.open_at.min(now), due_at, zone };
    let (agenda, lending) = (window.agenda(&reminders, &calendar), lending(who, locked));
    let mut after = locked.task.clone().snoozed(due_at, lending, agenda, now)?;
    after = app.sealed.explain(tx, after, reason).await?;
    tasks::replace(tx, &[&locked.task], &[&after]).await?;
    if after.state == TaskState::Open {
        // The access is told anew under the new generation, as far as it reaches.
        events::opened(&after, now).into_iter().for_each(|draft| tx.emit(draft));
    }
    Ok((shown(app, tx, who, (&after, locked.customer.as_ref())).await?, None))
}

/// Whether the lent access moves with the due time: for the customer's owner, who has it anyway, and for supervisors
/// of the task. Anybody else who works on it would prolong their own access.
pub fn lending(who: &Principal, locked: &Locked) -> Lending {
    let owns = locked.customer.as_ref().is_some_and(|customer| customer.owner == Some(who.subject()));
    if owns || locked.decide(who, Action::TaskReview).is_ok() { Lending::Follows } else { Lending::Stays }
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
    who: &Principal,
    locked: &Locked,
    (assignee, reason): (Option<SubjectId>, &str),
) -> Result<Changed, Error> {
    active(tx, who.tenant(), assignee).await?;
    let customer = locked.customer.as_ref();
    let wanted = Task { named: assignee, ..locked.task.clone() };
    let responsible = customers::answering(tx, &wanted, customer).await?;
    let mut after = locked.task.clone().reassigned(assignee, responsible)?;
    // A change is decided before and after it: nobody pushes work to where they may not.
    let rows = (locked.task.row(customer), after.row(customer));
    who.caller.decide_change(&who.leases, Action::TaskUpdate, &rows.0, &rows.1)?;
    after = app.sealed.explain(tx, after, reason).await?;
    customers::tell_moved(app, tx, &after).await?;
    tasks::replace(tx, &[&locked.task], &[&after]).await?;
    Ok((shown(app, tx, who, (&after, locked.customer.as_ref())).await?, None))
}

/// Refuses a person who is not active where one is named.
pub async fn active(tx: &Tx, tenant: TenantId, named: Option<SubjectId>) -> Result<(), Error> {
    match named {
        Some(named) if !people::persons(tx, tenant, &[named]).await?.is_active(named) => Err(Error::NotActive(named)),
        Some(_) | None => Ok(()),
    }
}

/// Ends a task without an outcome. A step that waits for its task plans the next one, so that nobody is forgotten.
async fn end(app: &App, tx: &Tx, who: &Principal, locked: Locked, reason: &str) -> Result<Changed, Error> {
    let now = app.now(tx).await?;
    let was_open = locked.task.state == TaskState::Open;
    let after = locked.task.clone().cancelled(Reason::Caller, now)?;
    let after = app.sealed.explain(tx, after, reason).await?;
    if was_open {
        tx.emit(events::closed(&after, false, now));
    }
    close_issue(tx, &locked, &after, now).await?;
    plant_next(app, tx, &locked, now).await?;
    let shown = shown(app, tx, who, (&after, locked.customer.as_ref())).await?;
    Ok((shown, Some(locked.task)))
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
