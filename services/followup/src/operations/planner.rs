//! Carrying a plan out for one customer: entering, planning anew, reacting to what happens, leaving.
//!
//! Whoever calls holds the customer's row for change, so that no two of these run for one customer at a time. The
//! order of locks is customer, enrolment, timer, task.

use std::{collections::BTreeMap, sync::Arc};

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Failure, Timestamp,
    id::{CalendarId, PlanId, TenantId},
};

use super::events;
use crate::{
    App,
    domain::{
        Error,
        people::Customer,
        plan::{Enrolment, EnrolmentState, Plan, PlanVersion, Reason, Step, Trigger, TriggerEvent},
        planning::{self, Occurrence, Standing},
        task::{Task, TaskState},
    },
    schedule::{self, WorkCalendar},
    store::{calendars, enrolments, people, plans, projection, tasks},
};

/// Adds planned tasks, and counts the occurrences among them that are left out. Answers those that are new.
pub async fn add(app: &App, tx: &Tx, planned: Vec<Task>) -> Result<Vec<Task>, Failure> {
    let added = tasks::add(tx, planned).await?;
    for task in added.iter().filter(|task| task.state == TaskState::Cancelled) {
        app.measures.skipped(task.reason.name(), 1);
    }
    Ok(added)
}

/// A published version; it never changes, so that what was read once is kept.
pub async fn version(app: &App, tx: &Tx, key: (TenantId, PlanId, i32)) -> Result<Option<Arc<PlanVersion>>, Failure> {
    if let Some(known) = app.versions.get(&key) {
        return Ok(Some(known));
    }
    let read = plans::versions(tx, &[key]).await?.into_iter().next();
    Ok(read.map(|version| app.versions.keep(version)))
}

/// The calendar that a plan names, else the tenant's default, else China's statutory one.
pub async fn calendar(tx: &Tx, tenant: TenantId, named: Option<CalendarId>) -> Result<WorkCalendar, Failure> {
    let found = match named {
        Some(id) => calendars::find(tx, tenant, id).await?,
        None => None,
    };
    let found = match found {
        Some(found) => Some(found),
        None => calendars::default(tx, tenant).await?,
    };
    Ok(found.map_or_else(WorkCalendar::china_office, |calendar| calendar.hours))
}

/// Everything that planning one enrolment looks at.
pub struct Ground {
    pub version: Arc<PlanVersion>,
    pub calendar: WorkCalendar,
    pub standing: Standing,
}

/// Reads the ground of an enrolment.
pub async fn ground(
    app: &App,
    tx: &Tx,
    enrolment: &Enrolment,
    customer: &Customer,
    now: Timestamp,
) -> Result<Ground, Failure> {
    let key = (enrolment.tenant, enrolment.plan, enrolment.plan_version);
    let version = version(app, tx, key).await?.ok_or_else(|| Failure::from(Error::NoSuchVersion))?;
    let calendar = calendar(tx, enrolment.tenant, version.definition.calendar).await?;
    let past = tasks::past(tx, enrolment).await?;
    let standing = Standing {
        now,
        zone: schedule::zone(&enrolment.zone).unwrap_or(chrono_tz::UTC),
        entered_at: enrolment.entered_at,
        stage: customer.stage.clone(),
        grade: customer.grade.clone(),
        last_inbound_at: customer.last_inbound_at,
        last_closed: past.iter().filter_map(|(step, past)| Some((step.clone(), past.closed_at?))).collect(),
        taken: past.iter().filter_map(|(step, past)| Some((step.clone(), past.taken?))).collect(),
        ended: past.into_iter().map(|(step, past)| (step, past.ended)).collect(),
        dates: match version.definition.watched_fields().is_empty() {
            true => Default::default(),
            false => projection::dates(tx, enrolment.tenant, enrolment.customer).await?,
        },
    };
    Ok(Ground { version, calendar, standing })
}

impl Ground {
    /// The tasks of some occurrences.
    fn tasks(&self, enrolment: &Enrolment, occurrences: Vec<Occurrence>) -> Vec<Task> {
        let definition = &self.version.definition;
        let task = |occurrence| planning::task(enrolment, definition, occurrence, self.standing.now);
        occurrences.into_iter().filter_map(task).collect()
    }

    /// What follows a task that has ended: the next of a step that waits for it, unless another task of the step is
    /// live, as after leaving and entering again; of one that goes by fixed dates the next date, if the task had not
    /// opened and planted it already.
    #[must_use]
    pub fn successors(&self, enrolment: &Enrolment, ended: &Task, live: &[Task]) -> Vec<Task> {
        let origin = ended.origin.as_ref();
        let step = origin.and_then(|origin| self.version.definition.step(&origin.step));
        let applies = |step: &&Step| step.applies(self.standing.stage.as_deref(), self.standing.grade.as_deref());
        let Some(step) = step.filter(applies) else { return Vec::new() };
        let another = live.iter().any(|task| task.id != ended.id && task.is_of(enrolment.id, &step.key));
        let next = match (planning::waits_for_completion(step), ended.state, ended.nominal) {
            (true, ..) if another => Vec::new(),
            (true, ..) => self.standing.of_step(step, &self.calendar),
            (false, TaskState::Scheduled, Some(nominal)) => self.standing.after_opening(step, &self.calendar, nominal),
            (false, ..) => Vec::new(),
        };
        self.tasks(enrolment, next)
    }

    /// Without those of a step whose task is being worked on: it plans its next one when that is completed.
    fn free_of(&self, mut occurrences: Vec<Occurrence>, live: &[Task]) -> Vec<Occurrence> {
        occurrences.retain(|occurrence| {
            let waits = self.version.definition.step(&occurrence.step).is_some_and(planning::waits_for_completion);
            let of_step = |task: &Task| task.origin.as_ref().is_some_and(|origin| origin.step == occurrence.step);
            !(waits && live.iter().any(|task| task.state == TaskState::Open && of_step(task)))
        });
        occurrences
    }

    /// What an event triggers.
    fn triggered(&self, enrolment: &Enrolment, happened: &TriggerEvent, key: &str) -> Vec<Task> {
        let occurrences = self.standing.of_event(&self.version.definition, &self.calendar, (happened, key));
        self.tasks(enrolment, occurrences)
    }
}

/// A customer enters a plan. One who is in it already stays as they are.
pub async fn enrol(app: &App, tx: &Tx, plan: &Plan, customer: &Customer, now: Timestamp) -> Result<(), Failure> {
    if customer.deleted || plan.published == 0 {
        return Ok(());
    }
    let id = Enrolment::id_of(plan.tenant, plan.id, customer.id);
    let known = enrolments::lock(tx, plan.tenant, id).await?;
    if known.as_ref().is_some_and(|known| known.state != EnrolmentState::Released) {
        return Ok(());
    }
    let version = version(app, tx, (plan.tenant, plan.id, plan.published)).await?;
    let version = version.ok_or_else(|| Failure::from(Error::NoSuchVersion))?;
    let enrolment = Enrolment {
        tenant: plan.tenant,
        id,
        plan: plan.id,
        plan_version: plan.published,
        customer: customer.id,
        state: EnrolmentState::Active,
        generation: known.as_ref().map_or(1, |known| known.generation + 1),
        zone: zone(app, tx, version.definition.zone.as_deref(), customer).await?,
        reason: Reason::Entered,
        entered_at: now,
        last_completed_at: None,
        version: known.as_ref().map_or(1, |known| known.version + 1),
    };
    enrolments::save(tx, &enrolment).await?;
    let ground = ground(app, tx, &enrolment, customer, now).await?;
    let occurrences = ground.standing.occurrences(&ground.version.definition, &ground.calendar);
    // A task may have stayed open when the customer left.
    let live = live_of(tx, &enrolment).await?;
    let mut new = ground.tasks(&enrolment, ground.free_of(occurrences, &live));
    new.extend(ground.triggered(&enrolment, &TriggerEvent::Enrolled, &planning::entry_key(enrolment.id)));
    add(app, tx, new).await?;
    Ok(())
}

/// The zone of the plan, else of the customer's owner, else the configured one.
pub async fn zone(app: &App, tx: &Tx, named: Option<&str>, customer: &Customer) -> Result<String, Failure> {
    if let Some(named) = named {
        return Ok(named.to_owned());
    }
    let owner = match customer.owner {
        Some(owner) => people::person(tx, customer.tenant, owner).await?,
        None => None,
    };
    let known = owner.map(|owner| owner.zone).filter(|zone| schedule::zone(zone).is_some());
    Ok(known.unwrap_or_else(|| app.config.time_zone.clone()))
}

/// Plans the future of an enrolment anew: its generation rises, scheduled tasks go, open ones stay.
pub async fn replan(
    app: &App,
    tx: &Tx,
    enrolment: Enrolment,
    customer: &Customer,
    reason: Reason,
) -> Result<Enrolment, Failure> {
    let now = app.now(tx).await?;
    let mut ground = ground(app, tx, &enrolment, customer, now).await?;
    // The next generation has had no task yet.
    ground.standing.ended.clear();
    let definition = &ground.version.definition;
    let live = live_of(tx, &enrolment).await?;
    let gone = live.iter().filter(|task| {
        task.state == TaskState::Scheduled && !planning::survives_replanning(task, definition, &ground.standing)
    });
    cancel(tx, &gone.collect::<Vec<_>>(), reason, now).await?;
    let enrolment =
        Enrolment { generation: enrolment.generation + 1, version: enrolment.version + 1, reason, ..enrolment };
    enrolments::save(tx, &enrolment).await?;
    let occurrences = ground.standing.occurrences(definition, &ground.calendar);
    add(app, tx, ground.tasks(&enrolment, ground.free_of(occurrences, &live))).await?;
    Ok(enrolment)
}

/// Ends or interrupts an enrolment: scheduled tasks go, open ones stay with who works on them.
pub async fn suspend(
    tx: &Tx,
    enrolment: Enrolment,
    state: EnrolmentState,
    reason: Reason,
    now: Timestamp,
) -> Result<Enrolment, Failure> {
    let live = live_of(tx, &enrolment).await?;
    let scheduled: Vec<_> = live.iter().filter(|task| task.state == TaskState::Scheduled).collect();
    cancel(tx, &scheduled, reason, now).await?;
    let enrolment = Enrolment { state, reason, version: enrolment.version + 1, ..enrolment };
    enrolments::save(tx, &enrolment).await?;
    Ok(enrolment)
}

/// Something happened to a customer: steps that wait for it get their tasks, each event once.
pub async fn trigger(
    app: &App,
    tx: &Tx,
    customer: &Customer,
    enrolments: &[Enrolment],
    (happened, key): (&TriggerEvent, &str),
) -> Result<(), Failure> {
    let now = app.now(tx).await?;
    let mut new = Vec::new();
    for enrolment in enrolments.iter().filter(|enrolment| enrolment.state == EnrolmentState::Active) {
        let ground = ground(app, tx, enrolment, customer, now).await?;
        new.extend(ground.triggered(enrolment, happened, key));
    }
    add(app, tx, new).await?;
    Ok(())
}

/// A customer was heard of: the steps that wait for silence start to count anew, and their tasks go, open ones too.
pub async fn heard(app: &App, tx: &Tx, customer: &Customer, enrolments: &[Enrolment]) -> Result<(), Failure> {
    let now = app.now(tx).await?;
    let live = tasks::live_of_customer(tx, customer.tenant, customer.id).await?;
    for enrolment in enrolments.iter().filter(|enrolment| enrolment.state == EnrolmentState::Active) {
        let key = (enrolment.tenant, enrolment.plan, enrolment.plan_version);
        let Some(version) = version(app, tx, key).await? else { continue };
        let silent = |step: &Step| matches!(step.trigger, Trigger::Silence { .. });
        let own = |task: &&Task| task.origin.as_ref().is_some_and(|origin| origin.enrolment == enrolment.id);
        let step_of = |task: &Task| version.definition.step(&task.origin.as_ref()?.step).filter(|step| silent(step));
        let waiting: Vec<&Task> = live.iter().filter(own).filter(|task| step_of(task).is_some()).collect();
        if waiting.is_empty() {
            continue;
        }
        cancel(tx, &waiting, Reason::Replied, now).await?;
        let ground = ground(app, tx, enrolment, customer, now).await?;
        // One next task for each step, however many of it have gone.
        let steps: BTreeMap<&str, &Task> =
            waiting.iter().filter_map(|task| Some((step_of(task)?.key.as_str(), *task))).collect();
        let next = steps.values().flat_map(|task| ground.successors(enrolment, task, &[])).collect();
        add(app, tx, next).await?;
    }
    Ok(())
}

/// Cancels live tasks that were read in this transaction. Whoever loses the race against a firing timer begins again.
pub async fn cancel(tx: &Tx, read: &[&Task], reason: Reason, now: Timestamp) -> Result<(), Failure> {
    if read.is_empty() {
        return Ok(());
    }
    let locked = tasks::lock(tx, read).await?.ok_or_else(|| Failure::from(Error::Stale))?;
    let mut cancelled = Vec::new();
    for task in &locked {
        let was_open = task.state == TaskState::Open;
        let after = task.clone().cancelled(reason, now).map_err(Failure::from)?;
        if was_open {
            tx.emit(events::closed(&after, false, now));
        }
        cancelled.push(after);
    }
    tasks::replace(tx, &locked.iter().collect::<Vec<_>>(), &cancelled.iter().collect::<Vec<_>>()).await
}

/// The live tasks of an enrolment.
pub async fn live_of(tx: &Tx, enrolment: &Enrolment) -> Result<Vec<Task>, Failure> {
    let mut live = tasks::live_of_customer(tx, enrolment.tenant, enrolment.customer).await?;
    live.retain(|task| task.origin.as_ref().is_some_and(|origin| origin.enrolment == enrolment.id));
    Ok(live)
}
