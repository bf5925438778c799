//! The fire transaction: claims due timers, emits what they stand for and plants what follows, in one short commit.
//!
//! A killed replica is an aborted transaction, so there is no lease, no heartbeat and no rescuer. Locks are taken in one
//! order everywhere: fire, timers, then customers and enrolments without waiting (a busy one holds only its own timer
//! back), and last the outbox positions. Every statement is set-wise; their number does not grow with the batch.
//!
//! One transaction fires all due shards whose lock it gets, up to [`BATCH`] timers: a quiet system has its few due
//! timers spread over many shards, and a commit costs more than a claim.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{CalendarId, CustomerId, EnrolmentId, PlanId, SubjectId, TaskId, TenantId},
};
use revisit_event::Draft;
use revisit_permission::Worker;

use crate::{
    App,
    domain::{
        people::{Customer, People},
        plan::{Enrolment, EnrolmentState, PlanVersion, Reason},
        planning::{self, Standing},
        task::{Moment, Task, TaskState, TimerKind},
    },
    operations::{events, planner},
    schedule::{self, WorkCalendar},
    store::{enrolments, people, plans, projection, tasks, timers},
};

/// Timers of one transaction.
pub const BATCH: u64 = 500;

/// What one transaction did.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Fired {
    /// Timers that were due and free.
    pub claimed: usize,
    /// Of these, left for later because their customer or enrolment was busy.
    pub skipped: usize,
    /// When the others were due.
    pub due_at: Vec<Timestamp>,
}

/// Fires what is due in some shards, each from the key of its first timer on.
pub async fn fire(app: &App, worker: &Worker, due: &[timers::Due]) -> Result<Fired, Failure> {
    let fired = app.database.write(worker, async |tx: &Tx| fire_in(app, tx, due).await).await?;
    // Only now has it left: the wait for the commit is part of being late.
    let now = app.clock.wall();
    fired.due_at.iter().for_each(|due| app.measures.fired(now.since(*due)));
    app.measures.skipped("busy", fired.skipped);
    Ok(fired)
}

async fn fire_in(app: &App, tx: &Tx, due: &[timers::Due]) -> Result<Fired, Failure> {
    let wanted: Vec<u32> = due.iter().map(|(shard, _)| *shard).collect();
    let locked = timers::try_fire_locks(tx, &wanted).await?;
    let mine: Vec<timers::Due> = due.iter().copied().filter(|(shard, _)| locked.contains(shard)).collect();
    if mine.is_empty() {
        return Ok(Fired::default());
    }
    let now = tx.now().await.map_err(fault)?;
    let claimed = timers::claim(tx, &mine, now, BATCH).await?;
    if claimed.is_empty() {
        return Ok(Fired::default());
    }
    let keys: Vec<_> = claimed.iter().map(|timer| (timer.tenant, timer.task)).collect();
    let read = tasks::find_all(tx, &keys).await?;
    let around = Around::read(app, tx, &claimed, &read, now).await?;
    let mut batch = Batch::default();
    for timer in claimed {
        batch.take(timer, &read, &around);
    }
    batch.write(app, tx, &around).await
}

/// What a batch changes.
#[derive(Default)]
struct Batch {
    claimed: usize,
    skipped: usize,
    gone: Vec<timers::Timer>,
    changed: Vec<Task>,
    /// Occurrences that follow those that opened.
    new: Vec<Task>,
    drafts: Vec<Draft>,
}

impl Batch {
    fn take(&mut self, timer: timers::Timer, read: &BTreeMap<TaskId, Task>, around: &Around) {
        self.claimed += 1;
        let Some(task) = read.get(&timer.task) else { return self.gone.push(timer) };
        // A timer that its task does not name belongs to a generation that is over; it goes without a word.
        let named = task.timer == Some(timer.moment) && task.version == timer.generation && task.state.is_live();
        let fired = if named { around.fire(task, timer.moment) } else { Some(Effect::default()) };
        match fired {
            Some(effect) => {
                self.changed.extend(effect.task);
                self.new.extend(effect.new);
                self.drafts.extend(effect.drafts);
                self.gone.push(timer);
            }
            None => self.skipped += 1,
        }
    }

    async fn write(self, app: &App, tx: &Tx, around: &Around) -> Result<Fired, Failure> {
        timers::delete(tx, &self.gone).await?;
        let changed: Vec<&Task> = self.changed.iter().collect();
        tasks::save(tx, &changed).await?;
        timers::plant(tx, &changed).await?;
        planner::add(app, tx, self.new).await?;
        self.drafts.into_iter().for_each(|draft| tx.emit(draft));
        tracing::debug!(claimed = self.claimed, skipped = self.skipped, at = ?around.now, "timers fired");
        let due_at = self.gone.iter().map(|timer| timer.moment.at).collect();
        Ok(Fired { claimed: self.claimed, skipped: self.skipped, due_at })
    }
}

/// What one timer does.
#[derive(Default)]
struct Effect {
    task: Option<Task>,
    new: Vec<Task>,
    drafts: Vec<Draft>,
}

/// Everything that the timers of a batch look at besides their tasks.
struct Around {
    now: Timestamp,
    customers: BTreeMap<CustomerId, Customer>,
    enrolments: BTreeMap<EnrolmentId, Enrolment>,
    dates: BTreeMap<CustomerId, BTreeMap<String, chrono::NaiveDate>>,
    people: BTreeMap<TenantId, People>,
    versions: BTreeMap<(TenantId, PlanId, i32), Arc<PlanVersion>>,
    calendars: BTreeMap<(TenantId, Option<CalendarId>), WorkCalendar>,
}

impl Around {
    async fn read(
        app: &App,
        tx: &Tx,
        claimed: &[timers::Timer],
        read: &BTreeMap<TaskId, Task>,
        now: Timestamp,
    ) -> Result<Self, Failure> {
        let opening: Vec<&Task> = claimed
            .iter()
            .filter(|timer| timer.moment.kind == TimerKind::Open)
            .filter_map(|timer| read.get(&timer.task))
            .collect();
        let of_customers: BTreeSet<_> = opening.iter().filter_map(|task| Some((task.tenant, task.customer?))).collect();
        let customers = projection::share_customers(tx, &of_customers.into_iter().collect::<Vec<_>>()).await?;
        let of_enrolments: BTreeSet<_> =
            opening.iter().filter_map(|task| Some((task.tenant, task.origin.as_ref()?.enrolment))).collect();
        let enrolments = enrolments::share(tx, &of_enrolments.into_iter().collect::<Vec<_>>()).await?;
        let mut around = Self {
            now,
            people: people_of(tx, &opening, &customers).await?,
            versions: versions_of(app, tx, read, &enrolments).await?,
            customers,
            enrolments,
            dates: BTreeMap::new(),
            calendars: BTreeMap::new(),
        };
        around.read_successors(tx).await?;
        Ok(around)
    }

    /// Calendars and dates, for enrolments whose plan plants a next occurrence when one opens: most plans do not.
    async fn read_successors(&mut self, tx: &Tx) -> Result<(), Failure> {
        let mut dated = Vec::new();
        for enrolment in self.enrolments.values() {
            let key = (enrolment.tenant, enrolment.plan, enrolment.plan_version);
            let Some(version) = self.versions.get(&key) else { continue };
            if version.definition.steps.iter().all(|step| !plants_when_opening(step)) {
                continue;
            }
            if !version.definition.watched_fields().is_empty() {
                dated.push((enrolment.tenant, enrolment.customer));
            }
            let named = (enrolment.tenant, version.definition.calendar);
            if let Entry::Vacant(vacant) = self.calendars.entry(named) {
                vacant.insert(planner::calendar(tx, named.0, named.1).await?);
            }
        }
        self.dates = projection::dates_of(tx, &dated).await?;
        Ok(())
    }

    /// What a timer does; nothing when what it needs is busy, and it must wait.
    fn fire(&self, task: &Task, moment: Moment) -> Option<Effect> {
        match moment.kind {
            TimerKind::Open => self.open(task),
            TimerKind::Extend | TimerKind::Before(_) | TimerKind::Due | TimerKind::Overdue | TimerKind::Escalate => {
                Some(self.remind(task, moment))
            }
        }
    }

    fn remind(&self, task: &Task, moment: Moment) -> Effect {
        let mut after = task.clone();
        after.timer = task.next_timer(moment);
        let draft = match moment.kind {
            TimerKind::Extend => events::opened(&after, self.now),
            TimerKind::Open | TimerKind::Before(_) | TimerKind::Due | TimerKind::Overdue | TimerKind::Escalate => {
                events::reminder(&after, moment.kind, self.name_of(task), self.now)
            }
        };
        Effect { task: Some(after), new: Vec::new(), drafts: draft.into_iter().collect() }
    }

    fn open(&self, task: &Task) -> Option<Effect> {
        let customer = match task.customer {
            Some(id) => Some(self.customers.get(&id)?),
            None => None,
        };
        let enrolment = match &task.origin {
            Some(origin) => Some(self.enrolments.get(&origin.enrolment)?),
            None => None,
        };
        let gone = customer.is_some_and(|customer| customer.deleted);
        if gone || enrolment.is_some_and(|enrolment| enrolment.state != EnrolmentState::Active) {
            let reason = if gone { Reason::CustomerDeleted } else { Reason::Left };
            let task = task.clone().cancelled(reason, self.now).ok();
            return Some(Effect { task, ..Effect::default() });
        }
        let after = task.clone().opened(self.responsible(task, customer), customer);
        let drafts =
            [events::opened(&after, self.now), events::reminder(&after, TimerKind::Open, self.name_of(task), self.now)];
        let new = customer.zip(enrolment).map(|(customer, enrolment)| self.successors(task, customer, enrolment));
        Some(Effect { task: Some(after), new: new.unwrap_or_default(), drafts: drafts.into_iter().flatten().collect() })
    }

    fn responsible(&self, task: &Task, customer: Option<&Customer>) -> Option<SubjectId> {
        let owner = customer.map_or(task.created_by, |customer| customer.owner);
        let department = customer.map_or(task.department, |customer| customer.department);
        let found = self.people.get(&task.tenant).and_then(|people| people.responsible(task.named, owner, department));
        // Nobody is known yet only while the projection of people is being built.
        found.or(task.named).or(owner)
    }

    fn successors(&self, task: &Task, customer: &Customer, enrolment: &Enrolment) -> Vec<Task> {
        let key = (enrolment.tenant, enrolment.plan, enrolment.plan_version);
        let (Some(version), Some(origin), Some(nominal)) = (self.versions.get(&key), &task.origin, task.nominal) else {
            return Vec::new();
        };
        let definition = &version.definition;
        let calendar = self.calendars.get(&(enrolment.tenant, definition.calendar));
        let (Some(step), Some(calendar)) = (definition.step(&origin.step), calendar) else { return Vec::new() };
        if !plants_when_opening(step) || !step.applies(customer.stage.as_deref(), customer.grade.as_deref()) {
            return Vec::new();
        }
        let standing = Standing {
            now: self.now,
            zone: schedule::zone(&enrolment.zone).unwrap_or(chrono_tz::UTC),
            entered_at: enrolment.entered_at,
            stage: customer.stage.clone(),
            grade: customer.grade.clone(),
            last_inbound_at: customer.last_inbound_at,
            last_closed: BTreeMap::new(),
            ended: BTreeMap::new(),
            taken: BTreeMap::new(),
            dates: self.dates.get(&customer.id).cloned().unwrap_or_default(),
        };
        let occurrences = standing.after_opening(step, calendar, nominal);
        occurrences.into_iter().filter_map(|next| planning::task(enrolment, definition, next, self.now)).collect()
    }

    fn name_of(&self, task: &Task) -> &str {
        let key = task.origin.as_ref().map(|origin| (task.tenant, origin.plan, origin.version));
        let version = key.and_then(|key| self.versions.get(&key));
        version.map_or(events::list_name(task.kind), |version| &version.name)
    }
}

fn plants_when_opening(step: &crate::domain::plan::Step) -> bool {
    use crate::domain::plan::{Anchor, Trigger};
    match &step.trigger {
        Trigger::Cadence { anchor: Anchor::FixedDates(_), .. } | Trigger::Date { yearly: true, .. } => true,
        Trigger::Cadence { .. } | Trigger::Date { .. } | Trigger::Silence { .. } | Trigger::Event { .. } => false,
    }
}

/// Those who may become responsible: the few who are named or own, and everybody only where one of them is not active.
async fn people_of(
    tx: &Tx,
    opening: &[&Task],
    customers: &BTreeMap<CustomerId, Customer>,
) -> Result<BTreeMap<TenantId, People>, Failure> {
    let mut wanted: BTreeMap<TenantId, BTreeSet<Option<SubjectId>>> = BTreeMap::new();
    for task in opening {
        let customer = task.customer.and_then(|id| customers.get(&id));
        let first = task.named.or(customer.map_or(task.created_by, |customer| customer.owner));
        wanted.entry(task.tenant).or_default().insert(first);
    }
    let mut found = BTreeMap::new();
    for (tenant, who) in wanted {
        let ids: Vec<_> = who.iter().flatten().copied().collect();
        let mut people = people::persons(tx, tenant, &ids).await?;
        if !who.iter().all(|id| id.is_some_and(|id| people.is_active(id))) {
            people = people::everybody(tx, tenant).await?;
        }
        found.insert(tenant, people);
    }
    Ok(found)
}

/// The versions that tasks were planned by and that enrolments run on: from memory, and what is new in one statement.
async fn versions_of(
    app: &App,
    tx: &Tx,
    read: &BTreeMap<TaskId, Task>,
    enrolments: &BTreeMap<EnrolmentId, Enrolment>,
) -> Result<BTreeMap<(TenantId, PlanId, i32), Arc<PlanVersion>>, Failure> {
    let of_tasks = read.values().filter_map(|task| {
        let origin = task.origin.as_ref()?;
        (task.state != TaskState::Cancelled).then_some((task.tenant, origin.plan, origin.version))
    });
    let of_enrolments = enrolments.values().map(|one| (one.tenant, one.plan, one.plan_version));
    let wanted: BTreeSet<_> = of_tasks.chain(of_enrolments).collect();
    let mut found = BTreeMap::new();
    let mut missing = Vec::new();
    for key in wanted {
        match app.versions.get(&key) {
            Some(version) => drop(found.insert(key, version)),
            None => missing.push(key),
        }
    }
    for version in plans::versions(tx, &missing).await? {
        found.insert((version.tenant, version.plan, version.version), app.versions.keep(version));
    }
    Ok(found)
}
