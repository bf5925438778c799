//! Tasks that people make: to-dos and next contacts; and those that an outcome makes: issues and next contacts.

use std::time::Duration;

use revisit_bootstrap::{
    Principal,
    audit::Deed,
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TaskId, TenantId},
};
use revisit_permission::{Action, Levels, Permits};
use revisit_proto::followup::v1 as pb;

use super::{
    arrivals, customers, enrolments, planner,
    rights::Rights,
    tasks::{CHANGED, REPEATED, active, shown},
    write::{self, Made, Sent},
};
use crate::{
    App,
    domain::{
        Error,
        people::Customer,
        plan::{Reason, Reminders},
        planning::Window,
        task::{Agenda, Channel, Loan, Task, TaskKind, TaskState},
    },
    schedule,
    store::{people, tasks},
};

/// A next contact opens at least this long before it is due.
const NEXT_CONTACT_LEAD: Duration = Duration::from_hours(24);

/// The shipped reminders of these tasks: what people ask for, at due, and when it is overdue. Who settles an issue is
/// seldom who raised it, so an issue is announced.
#[must_use]
pub fn reminders(kind: TaskKind, before_minutes: Vec<u32>) -> Reminders {
    Reminders {
        at_open: kind == TaskKind::Issue,
        before_minutes,
        at_due: true,
        overdue_after_minutes: Some(60),
        escalate_after_minutes: Some(450),
    }
}

/// Reminders of what an outcome of a task plants: as the plan of the task says, else the shipped ones.
pub async fn follow_on(app: &App, tx: &Tx, task: &Task, kind: TaskKind) -> Result<Reminders, Error> {
    let said = match &task.origin {
        Some(origin) => planner::version(app, tx, (task.tenant, origin.plan, origin.version)).await?,
        None => None,
    };
    let said = said.and_then(|version| version.definition.follow_on.clone());
    Ok(said.unwrap_or_else(|| reminders(kind, Vec::new())))
}

/// A task that somebody makes by hand.
pub struct New {
    pub kind: TaskKind,
    pub title: String,
    pub customer: Option<CustomerId>,
    pub assignee: Option<SubjectId>,
    pub due_at: Timestamp,
    pub channel: Option<Channel>,
    pub reminders: Reminders,
    pub repeat: Option<Repeatable>,
}

/// Makes a to-do or a next contact.
pub async fn create(app: &App, who: &Principal, mut new: New) -> Result<pb::Task, Error> {
    let customer = match new.customer {
        Some(id) => Some(arrivals::viewed_customer(app, who, id).await?),
        None => None,
    };
    // A customer who is nobody's has nobody to follow.
    if customer.as_ref().is_some_and(|customer| customer.owner.is_none()) {
        new.assignee = new.assignee.or(Some(who.subject()));
    }
    let assignee =
        new.assignee.or_else(|| customer.as_ref().and_then(|customer| customer.owner)).unwrap_or(who.subject());
    let (department, zone) = whereabouts(app, who, assignee).await?;
    let id = app.ids.next(app.clock.wall());
    let draft = Draft { tenant: who.tenant(), id, zone, department, created_by: who.subject(), parent: None };
    let row = |customer: Option<&Customer>, assignee: SubjectId| {
        draft.task(&new, customer, app.clock.wall()).row(customer).with_owner(assignee)
    };
    let permit = who.decide(Action::TaskCreate, &row(customer.as_ref(), assignee))?;
    let work = async |tx: &Tx, sent: Sent| {
        let now = app.now(tx).await?;
        if let Sent::First = sent {
            if new.due_at <= now {
                return Err(Error::DueInPast);
            }
            active(tx, who.tenant(), new.assignee).await?;
        }
        // The customer may have changed hands since it was read; from here on it does not.
        let customer = match new.customer {
            Some(id) => Some(enrolments::held_customer(tx, who.tenant(), id).await?),
            None => None,
        };
        let owner =
            customer.as_ref().map(|customer| customer.owner.or(new.assignee).ok_or(Error::Stale)).transpose()?;
        let assignee = new.assignee.or(owner).unwrap_or(who.subject());
        let mut rights = Rights::of(who);
        rights.decide(Action::TaskCreate, &row(customer.as_ref(), assignee))?;
        let own = match &customer {
            // Beside the right to make tasks: who loses it meanwhile asks again, and hears that there is no such customer.
            Some(customer) => rights.allowed(Action::CustomerView, &customer.row())?.ok_or(Error::NoSuchCustomer)?,
            None => Levels::HIDDEN,
        };
        let (task, unseen) = match sent {
            Sent::First => {
                let loan = Loan::of_maker(who.subject(), own, now);
                (plant(app, tx, (&draft, &loan), &new, customer.as_ref()).await?, CHANGED)
            }
            Sent::Again(made) => {
                let made = made.map(TaskId::from_uuid).ok_or(Error::NoSuchTask)?;
                (tasks::find(tx, who.tenant(), made).await?.ok_or(Error::NoSuchTask)?, REPEATED)
            }
        };
        let made = task.id.uuid();
        let answer = (shown(app, tx, &mut rights, (&task, customer.as_ref()), unseen).await?, Some(made));
        Ok(match sent {
            Sent::First => Made::Changed(answer, Deed::on("task", [made]), rights),
            Sent::Again(_) => Made::Unchanged(answer, rights),
        })
    };
    let once = Once::new(who, new.repeat.as_ref());
    let task = write::attempt(app, &Permits(vec![permit]), once, work).await?.ok_or(Error::Stale)?;
    app.wake.notify_one();
    Ok(task)
}

/// Department and zone of a person.
async fn whereabouts(app: &App, who: &Principal, person: SubjectId) -> Result<(Option<DepartmentId>, String), Error> {
    let scope = who.scope(Action::TaskCreate)?;
    let found = app
        .database
        .read(&scope, async |tx: &Tx| people::person(tx, scope.tenant(), person).await.map_err(Error::from));
    let found = found.await?;
    let zone = found.as_ref().map(|person| person.zone.clone()).filter(|zone| schedule::zone(zone).is_some());
    Ok((found.and_then(|person| person.department), zone.unwrap_or_else(|| app.config.time_zone.clone())))
}

/// What a task made by hand has beside what its maker wrote.
pub struct Draft {
    pub tenant: TenantId,
    pub id: TaskId,
    pub zone: String,
    pub department: Option<DepartmentId>,
    pub created_by: SubjectId,
    pub parent: Option<TaskId>,
}

impl Draft {
    /// The task as it would be, with nothing lent.
    pub fn task(&self, new: &New, customer: Option<&Customer>, now: Timestamp) -> Task {
        let earliest = new.reminders.before_minutes.iter().max();
        let earliest = earliest.map_or(Duration::ZERO, |minutes| Duration::from_secs(u64::from(*minutes) * 60));
        let open_at = match new.kind {
            // It opens soon enough for every reminder, and not long before it matters.
            TaskKind::NextContact => (new.due_at - NEXT_CONTACT_LEAD.max(earliest)).max(now),
            TaskKind::Todo | TaskKind::Issue | TaskKind::Plan => now,
        };
        Task {
            tenant: self.tenant,
            id: self.id,
            version: 1,
            kind: new.kind,
            state: TaskState::Scheduled,
            customer: new.customer,
            origin: None,
            occurrence: String::new(),
            nominal: schedule::zone(&self.zone).map(|zone| schedule::local(new.due_at, zone)),
            zone: self.zone.clone(),
            named: new.assignee,
            assignee: None,
            department: customer.map_or(self.department, |customer| customer.department),
            stage: None,
            grade: None,
            channel: new.channel,
            open_at,
            due_at: new.due_at,
            agenda: Agenda::default(),
            remind_open: new.reminders.at_open,
            before_minutes: new.reminders.before_minutes.clone(),
            timer: None,
            lent: Vec::new(),
            lent_until: now,
            lent_by: None,
            title: Vec::new(),
            reason: Reason::None,
            reason_text: Vec::new(),
            parent: self.parent,
            open_issues: 0,
            asks_satisfaction: false,
            success: None,
            satisfaction: None,
            done_at: None,
            closed_at: None,
            created_at: now,
            created_by: Some(self.created_by),
        }
    }
}

/// Adds a task made by hand, opened at once when its window has begun.
pub async fn plant(
    app: &App,
    tx: &Tx,
    (draft, loan): (&Draft, &Loan),
    new: &New,
    customer: Option<&Customer>,
) -> Result<Task, Error> {
    let now = app.now(tx).await?;
    let mut task = draft.task(new, customer, now);
    let zone = schedule::zone(&task.zone).unwrap_or(chrono_tz::UTC);
    let calendar = planner::calendar(tx, task.tenant, None).await?;
    let window = Window { open_at: task.open_at, due_at: task.due_at, zone };
    task.agenda = window.agenda(&new.reminders, &calendar);
    task.title = app.sealed.seal(tx, &task, "title", &new.title).await?;
    let named = task.named;
    task = task.lending(loan, (named, named), now);
    if task.open_at <= now {
        let responsible = customers::answering(tx, &task, customer).await?;
        task = task.opened(responsible, customer);
        customers::announce(app, tx, &task).await?;
    } else {
        task.timer = task.timer_from(now);
    }
    tasks::add(tx, vec![task.clone()]).await?;
    Ok(task)
}
