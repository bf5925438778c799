//! What a plan makes of a customer's standing: which tasks there are to be, when they open, when they are due, and when
//! to remind. Pure: the same standing always yields the same occurrences, so planning may be repeated anywhere.

use std::collections::BTreeMap;

use chrono::{NaiveDate, NaiveDateTime};
use chrono_tz::Tz;
use revisit_core::{Timestamp, id::EnrolmentId};

use super::{
    plan::{Anchor, Definition, Enrolment, Reason, Reminders, Step, Trigger, TriggerEvent},
    task::{Agenda, Moment, Origin, Task, TaskKind, TaskState, TimerKind},
};
use crate::schedule::{self, Roll, WorkCalendar};

/// What planning looks at, all of it stored.
#[derive(Clone, Debug)]
pub struct Standing {
    pub now: Timestamp,
    pub zone: Tz,
    pub entered_at: Timestamp,
    pub stage: Option<String>,
    pub grade: Option<String>,
    pub last_inbound_at: Option<Timestamp>,
    /// When a follow-up of a step was last completed, skipped or cancelled by somebody.
    pub last_closed: BTreeMap<String, Timestamp>,
    /// How many tasks of a step have ended in this generation: it tells an occurrence from one that was planned for
    /// the same time before and has ended.
    pub ended: BTreeMap<String, i64>,
    /// The latest date of a step whose task is open or was settled by somebody since the entry, maybe before it came.
    pub taken: BTreeMap<String, NaiveDate>,
    pub dates: BTreeMap<String, NaiveDate>,
}

/// One task that is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    pub step: String,
    pub key: String,
    pub nominal: NaiveDateTime,
    pub open_at: Timestamp,
    pub due_at: Timestamp,
    pub agenda: Agenda,
    /// Why it is left out, if it is: then it becomes a row that says so, and nobody's work.
    pub skipped: Option<Reason>,
}

/// Dates that are left out before the next occurrence at the most; missed ones beyond leave no row.
const SKIPS_MAX: usize = 31;

/// Dates that are tried after those.
const GAPS_MAX: usize = 8;

/// What dates behind us are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Behind {
    /// Before the customer's time in the plan: nothing.
    Before,
    /// Missed: they go together with the next one, each with a row.
    Missed,
}
const DAY_FORMAT: &str = "%Y-%m-%dT%H:%M";

impl Standing {
    fn today(&self) -> NaiveDate {
        schedule::local(self.now, self.zone).date()
    }
    fn date_of(&self, at: Timestamp) -> NaiveDate {
        schedule::local(at, self.zone).date()
    }

    /// The occurrences that follow from the standing alone: cadences, silence and dates of steps that apply. What
    /// events trigger is planned when they happen.
    #[must_use]
    pub fn occurrences(&self, definition: &Definition, calendar: &WorkCalendar) -> Vec<Occurrence> {
        let steps = definition.steps.iter().filter(|step| step.applies(self.stage.as_deref(), self.grade.as_deref()));
        steps.flat_map(|step| self.of_step(step, calendar)).collect()
    }

    /// The next occurrences of one step; usually one, two in a fold that counts both.
    #[must_use]
    pub fn of_step(&self, step: &Step, calendar: &WorkCalendar) -> Vec<Occurrence> {
        match &step.trigger {
            Trigger::Cadence { every, unit, anchor: Anchor::LastCompleted, first_after_days } => {
                let base = self.last_closed.get(&step.key).copied();
                let date = match (base, first_after_days) {
                    (None, Some(days)) => schedule::after_days(self.date_of(self.entered_at), i64::from(*days)),
                    (base, _) => schedule::after_units(self.date_of(base.unwrap_or(self.entered_at)), *unit, *every),
                };
                self.counted(step, calendar, date)
            }
            Trigger::Cadence { every, unit, anchor: Anchor::FixedDates(start), first_after_days } => {
                let entered = self.date_of(self.entered_at);
                let first = schedule::after_days(entered, i64::from(first_after_days.unwrap_or(0)));
                let (anchor, from) = (start.unwrap_or(first), self.earliest(step, calendar).max(first));
                self.dated(step, calendar, (from, Behind::Before), |from| {
                    Some(schedule::fixed_date(anchor, *unit, *every, from))
                })
            }
            Trigger::Silence { days } => {
                let heard = self.last_inbound_at.max(self.last_closed.get(&step.key).copied());
                let base = heard.map_or(self.entered_at, |heard| heard.max(self.entered_at));
                self.counted(step, calendar, schedule::after_days(self.date_of(base), i64::from(*days)))
            }
            Trigger::Date { field, offset_days, yearly, leap } => {
                let Some(date) = self.dates.get(field).copied() else { return Vec::new() };
                let offset = i64::from(*offset_days);
                self.dated(step, calendar, (self.earliest(step, calendar), Behind::Before), |from| {
                    let once = schedule::after_days(date, offset);
                    if *yearly {
                        Some(schedule::yearly(date, offset, *leap, from))
                    } else {
                        (once >= from).then_some(once)
                    }
                })
            }
            Trigger::Event { .. } => Vec::new(),
        }
    }

    /// The first date that may still lie ahead: one on a free day opens on the next working day, so that it is not
    /// lost when the plan is made anew in between. What is taken is not planned again.
    fn earliest(&self, step: &Step, calendar: &WorkCalendar) -> NaiveDate {
        let now = schedule::local(self.now, self.zone);
        let worked = calendar.back(now).map_or(now.date(), |last| last.date());
        let free = self.taken.get(&step.key).map(|date| schedule::after_days(*date, 1));
        free.map_or(worked, |free| free.max(worked))
    }

    /// Occurrences that an event makes; its id is their key, so that the same event makes them once.
    #[must_use]
    pub fn of_event(
        &self,
        definition: &Definition,
        calendar: &WorkCalendar,
        event: (&TriggerEvent, &str),
    ) -> Vec<Occurrence> {
        let (happened, key) = event;
        let mut occurrences = Vec::new();
        for step in &definition.steps {
            let Trigger::Event { event, delay_days } = &step.trigger else { continue };
            if event != happened || !step.applies(self.stage.as_deref(), self.grade.as_deref()) {
                continue;
            }
            let date = schedule::after_days(self.today(), i64::from(*delay_days));
            let nominal = date.and_time(step.time_of_day);
            let at = schedule::instant(nominal, self.zone);
            occurrences.push(self.occurrence(step, calendar, (nominal, at), key.to_owned()));
        }
        occurrences
    }

    /// What follows an occurrence that has just opened: fixed dates and yearly dates go on whatever becomes of it.
    #[must_use]
    pub fn after_opening(&self, step: &Step, calendar: &WorkCalendar, opened: NaiveDateTime) -> Vec<Occurrence> {
        let from = schedule::after_days(opened.date(), 1);
        match &step.trigger {
            Trigger::Cadence { every, unit, anchor: Anchor::FixedDates(start), first_after_days } => {
                let first =
                    schedule::after_days(self.date_of(self.entered_at), i64::from(first_after_days.unwrap_or(0)));
                let anchor = start.unwrap_or(first);
                self.dated(step, calendar, (from, Behind::Missed), |from| {
                    Some(schedule::fixed_date(anchor, *unit, *every, from))
                })
            }
            Trigger::Date { field, offset_days, yearly: true, leap } => match self.dates.get(field) {
                Some(date) => self.dated(step, calendar, (from, Behind::Missed), |from| {
                    Some(schedule::yearly(*date, i64::from(*offset_days), *leap, from))
                }),
                None => Vec::new(),
            },
            Trigger::Cadence { .. } | Trigger::Date { .. } | Trigger::Silence { .. } | Trigger::Event { .. } => {
                Vec::new()
            }
        }
    }

    /// Counted from an instant. What should have opened already opens today.
    fn counted(&self, step: &Step, calendar: &WorkCalendar, date: NaiveDate) -> Vec<Occurrence> {
        let nominal = date.max(self.today()).and_time(step.time_of_day);
        let ended = self.ended.get(&step.key).copied().unwrap_or(0);
        let key = format!("{}/{ended}", nominal.format(DAY_FORMAT));
        vec![self.occurrence(step, calendar, (nominal, schedule::instant(nominal, self.zone)), key)]
    }

    /// On a date that the calendar year gives: the first whose instant still lies ahead, after those that are left out
    /// before it, each with its reason.
    fn dated(
        &self,
        step: &Step,
        calendar: &WorkCalendar,
        (from, behind): (NaiveDate, Behind),
        date: impl Fn(NaiveDate) -> Option<NaiveDate>,
    ) -> Vec<Occurrence> {
        let (mut from, mut made) = (from, Vec::new());
        for _ in 0..SKIPS_MAX + GAPS_MAX {
            if made.len() >= SKIPS_MAX {
                from = from.max(self.today());
            }
            let Some(day) = date(from) else { return made };
            let nominal = day.and_time(step.time_of_day);
            let instants = schedule::instants(nominal, self.zone, step.gap, step.fold);
            let gap = instants.is_empty();
            let is_ahead = |at: Timestamp| at > self.now || self.rolled(calendar, at, step.roll) > self.now;
            let ahead: Vec<_> = instants.into_iter().enumerate().filter(|(_, at)| is_ahead(*at)).collect();
            if !ahead.is_empty() {
                let key = |number: usize| match number {
                    0 => nominal.format(DAY_FORMAT).to_string(),
                    later => format!("{}#{later}", nominal.format(DAY_FORMAT)),
                };
                made.extend(ahead.into_iter().map(|(n, at)| self.occurrence(step, calendar, (nominal, at), key(n))));
                return made;
            }
            let reason = match (gap, behind) {
                (true, _) => Some(Reason::Gap),
                (false, Behind::Missed) => Some(Reason::Coalesced),
                (false, Behind::Before) => None,
            };
            made.extend(reason.filter(|_| made.len() < SKIPS_MAX).map(|reason| self.skip(step, nominal, reason)));
            from = schedule::after_days(day, 1);
        }
        made
    }

    /// An occurrence that is left out.
    fn skip(&self, step: &Step, nominal: NaiveDateTime, reason: Reason) -> Occurrence {
        let at = schedule::instant(nominal, self.zone);
        Occurrence {
            step: step.key.clone(),
            key: nominal.format(DAY_FORMAT).to_string(),
            nominal,
            open_at: at,
            due_at: at,
            agenda: Agenda::of(Vec::new()),
            skipped: Some(reason),
        }
    }

    /// Where a roll moves an instant.
    fn rolled(&self, calendar: &WorkCalendar, at: Timestamp, roll: Roll) -> Timestamp {
        let local = schedule::local(at, self.zone);
        let rolled = calendar.roll(local, roll);
        // A time that the roll leaves alone keeps its own instant, which in a fold may be the second.
        if rolled == local { at } else { schedule::instant(rolled, self.zone) }
    }

    fn occurrence(
        &self,
        step: &Step,
        calendar: &WorkCalendar,
        (nominal, at): (NaiveDateTime, Timestamp),
        key: String,
    ) -> Occurrence {
        // What should have opened already opens now, or when work begins again: nobody is reminded of it at night.
        let late = at.max(self.now);
        let open_at = self.rolled(calendar, late, step.roll);
        // A roll back that leads behind now would open at once; there is working time ahead only.
        let open_at = if open_at < self.now { self.rolled(calendar, late, Roll::Forward) } else { open_at };
        let from = schedule::local(open_at, self.zone);
        let due_local = calendar.add_working(from, step.due_within_minutes);
        let due_at = schedule::instant(due_local, self.zone).max(open_at);
        let window = Window { open_at, due_at, zone: self.zone };
        let agenda = window.agenda(&step.reminders, calendar);
        Occurrence { step: step.key.clone(), key, nominal, open_at, due_at, agenda, skipped: None }
    }
}

/// When a task opens and is due, and where its clock hangs.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub open_at: Timestamp,
    pub due_at: Timestamp,
    pub zone: Tz,
}

impl Window {
    /// The reminders of a task, moved into working time; what would come before it opens is left out.
    #[must_use]
    pub fn agenda(&self, reminders: &Reminders, calendar: &WorkCalendar) -> Agenda {
        let mut moments = Vec::new();
        let mut add = |at: Timestamp, kind: TimerKind| moments.push(Moment { at, kind });
        let due = schedule::local(self.due_at, self.zone);
        for (number, minutes) in (0_u8..).zip(&reminders.before_minutes) {
            let wanted = due - chrono::TimeDelta::minutes(i64::from(*minutes));
            let at = schedule::instant(calendar.roll(wanted, Roll::Back), self.zone);
            if self.open_at < at && at < self.due_at {
                add(at, TimerKind::Before(number));
            }
        }
        if reminders.at_due {
            add(self.due_at, TimerKind::Due);
        }
        let after = |minutes: u32| schedule::instant(calendar.add_working(due, minutes), self.zone).max(self.due_at);
        if let Some(minutes) = reminders.overdue_after_minutes {
            add(after(minutes), TimerKind::Overdue);
        }
        if let Some(minutes) = reminders.escalate_after_minutes {
            add(after(minutes), TimerKind::Escalate);
        }
        Agenda::of(moments)
    }
}

/// The task of an occurrence, scheduled. Its timer opens it.
#[must_use]
pub fn task(enrolment: &Enrolment, definition: &Definition, occurrence: Occurrence, now: Timestamp) -> Option<Task> {
    let step = definition.step(&occurrence.step)?;
    let origin = Origin {
        plan: enrolment.plan,
        version: enrolment.plan_version,
        step: occurrence.step,
        enrolment: enrolment.id,
        generation: enrolment.generation,
    };
    let mut task = Task {
        tenant: enrolment.tenant,
        id: Task::id_of(enrolment.tenant, &origin, enrolment.customer, &occurrence.key),
        version: 1,
        kind: TaskKind::Plan,
        state: TaskState::Scheduled,
        customer: Some(enrolment.customer),
        origin: Some(origin),
        occurrence: occurrence.key,
        nominal: Some(occurrence.nominal),
        zone: enrolment.zone.clone(),
        named: None,
        assignee: None,
        department: None,
        stage: None,
        grade: None,
        channel: Some(step.channel),
        open_at: occurrence.open_at,
        due_at: occurrence.due_at,
        agenda: occurrence.agenda,
        remind_open: step.reminders.at_open,
        before_minutes: Vec::new(),
        timer: None,
        lent: definition.lent.clone(),
        lent_until: occurrence.due_at,
        lent_by: None,
        title: Vec::new(),
        reason: Reason::None,
        reason_text: Vec::new(),
        parent: None,
        open_issues: 0,
        asks_satisfaction: definition.asks_satisfaction,
        success: None,
        satisfaction: None,
        done_at: None,
        closed_at: None,
        created_at: now,
        created_by: None,
    };
    if let Some(reason) = occurrence.skipped {
        (task.state, task.reason, task.closed_at) = (TaskState::Cancelled, reason, Some(now));
    } else {
        task.timer = task.timer_from(now);
    }
    Some(task)
}

/// Whether a step still waits for its open task before it plans the next.
#[must_use]
pub fn waits_for_completion(step: &Step) -> bool {
    match &step.trigger {
        Trigger::Cadence { anchor: Anchor::LastCompleted, .. } | Trigger::Silence { .. } => true,
        Trigger::Cadence { anchor: Anchor::FixedDates(_), .. } | Trigger::Date { .. } | Trigger::Event { .. } => false,
    }
}

/// Whether planning anew keeps a scheduled task: what an event has triggered cannot be planned again from the standing.
#[must_use]
pub fn survives_replanning(task: &Task, definition: &Definition, standing: &Standing) -> bool {
    let step = task.origin.as_ref().and_then(|origin| definition.step(&origin.step));
    step.is_some_and(|step| {
        matches!(step.trigger, Trigger::Event { .. })
            && step.applies(standing.stage.as_deref(), standing.grade.as_deref())
    })
}

/// Whether a change of stage or grade changes which steps apply: only then are future tasks planned anew.
#[must_use]
pub fn steps_differ(
    definition: &Definition,
    before: (Option<&str>, Option<&str>),
    after: (Option<&str>, Option<&str>),
) -> bool {
    definition.steps.iter().any(|step| step.applies(before.0, before.1) != step.applies(after.0, after.1))
}

/// The occurrence key of what an entry into the plan triggers.
#[must_use]
pub fn entry_key(enrolment: EnrolmentId) -> String {
    format!("entered/{enrolment}")
}

#[cfg(test)]
mod tests;
