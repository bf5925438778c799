//! Which reminders each task should have caused, worked out from its plan and the work calendar without the service:
//! each once, at its very instant, and none besides. The clock stands still while work is done, so nothing may be late.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{NaiveDate, NaiveDateTime, TimeDelta, Timelike};
use revisit_core::Timestamp;
use revisit_proto::{
    followup::v1::{PlanDefinition, Reminders, Task, TaskKind, TaskState},
    notification::v1::{Delivery, MessageKind},
};

use super::{figures::Figures, local, story::Story};
use crate::client::instant;

/// Working minutes of a day of the company's calendar: 09:00 to 12:00 and 13:30 to 18:00.
const SPANS: [(u32, u32); 2] = [(540, 720), (810, 1080)];
/// What the service reminds of a follow-on task when its plan says nothing: minutes after due.
const OVERDUE: i32 = 60;
const ESCALATED: i32 = 450;

/// All that can be known of a company's tasks without asking the service what it did.
pub struct Expected<'a> {
    plans: BTreeMap<&'a str, &'a PlanDefinition>,
    tasks: BTreeMap<&'a str, &'a Task>,
    working: &'a BTreeSet<NaiveDate>,
    now: Timestamp,
}

/// One reminder: what it says, and when.
type Moment = (MessageKind, Timestamp);

impl<'a> Expected<'a> {
    /// From the plans as published, the tasks as listed, and the days on which people work.
    #[must_use]
    pub fn new(
        plans: impl IntoIterator<Item = (&'a str, &'a PlanDefinition)>,
        tasks: &'a [Task],
        working: &'a BTreeSet<NaiveDate>,
        now: Timestamp,
    ) -> Self {
        let tasks = tasks.iter().map(|task| (task.task_id.as_str(), task)).collect();
        Self { plans: plans.into_iter().collect(), tasks, working, now }
    }

    /// Compares with the reminders that came.
    pub fn compare(&self, came: &[&Delivery], figures: &mut Figures, story: &mut Story) {
        let mut by_task: BTreeMap<&str, Vec<&Delivery>> = BTreeMap::new();
        for delivery in came {
            by_task.entry(&delivery.task_id).or_default().push(delivery);
        }
        for (id, task) in &self.tasks {
            let came = by_task.remove(id).unwrap_or_default();
            self.compare_one(task, came, figures, story);
        }
        story.must(by_task.is_empty(), format!("{} tasks that nobody knows were reminded of", by_task.len()));
    }

    fn compare_one(&self, task: &Task, mut came: Vec<&Delivery>, figures: &mut Figures, story: &mut Story) {
        let end = at(task.done_time).min(self.now);
        // A task that was cancelled tells no instant of its end, so nothing is sure to have come of it.
        let cancelled = task.state == TaskState::Cancelled as i32;
        for (kind, when) in self.moments(task) {
            let found = came.iter().position(|delivery| delivery.kind() == kind && at(delivery.create_time) == when);
            match found {
                Some(_) if when > end => story.wrong.push(told(task, kind, when, "came after the end")),
                Some(found) => {
                    came.remove(found);
                }
                None if when < end && !cancelled => {
                    figures.lost += 1;
                    story.wrong.push(told(task, kind, when, "is missing"));
                }
                None => {}
            }
        }
        for delivery in came {
            figures.doubled += 1;
            story.wrong.push(told(task, delivery.kind(), at(delivery.create_time), "came once too often"));
        }
    }

    /// The reminders of a task that lives to the end.
    fn moments(&self, task: &Task) -> Vec<Moment> {
        let Some(reminders) = self.reminders(task) else { return Vec::new() };
        let (open, due) = (at(task.open_time).max(at(task.create_time)), at(task.due_time));
        let local_due = local::date_time(due);
        let mut moments = Vec::new();
        if reminders.at_open {
            moments.push((MessageKind::TaskOpened, open));
        }
        for minutes in &reminders.before_minutes {
            let wanted = local_due - TimeDelta::minutes(i64::from(*minutes));
            let before = self.back(wanted).map(local::instant).filter(|at| open < *at && *at < due);
            moments.extend(before.map(|at| (MessageKind::TaskBefore, at)));
        }
        if reminders.at_due {
            moments.push((MessageKind::TaskDue, due));
        }
        let after = [
            (MessageKind::TaskOverdue, reminders.overdue_after_minutes),
            (MessageKind::TaskEscalated, reminders.escalate_after_minutes),
        ];
        for (kind, minutes) in after {
            let at = minutes.and_then(|minutes| self.later(local_due, minutes));
            moments.extend(at.map(|at| (kind, local::instant(at))));
        }
        moments
    }

    fn reminders(&self, task: &Task) -> Option<Reminders> {
        let planned = |task: &Task| self.plans.get(task.plan_id.as_str()).copied();
        match task.kind() {
            TaskKind::Plan => {
                let step = planned(task)?.steps.iter().find(|step| step.key == task.step_key)?;
                step.reminders.clone()
            }
            TaskKind::Issue | TaskKind::NextContact => {
                let parent = self.tasks.get(task.parent_task_id.as_str())?;
                planned(parent)?.follow_on_reminders.clone().or_else(|| Some(shipped(task.kind())))
            }
            TaskKind::Todo | TaskKind::Unspecified => None,
        }
    }

    /// So many working minutes after a local time; none beyond the days that are known.
    fn later(&self, from: NaiveDateTime, minutes: i32) -> Option<NaiveDateTime> {
        let mut left = u32::try_from(minutes).ok()?;
        for day in self.working.range(from.date()..) {
            let begun = if *day == from.date() { minute(from) } else { 0 };
            for (start, end) in SPANS {
                let start = start.max(begun);
                if start + left <= end {
                    return Some(clock(*day, start + left));
                }
                left -= end.saturating_sub(start);
            }
        }
        None
    }

    /// The last working minute at or before a local time; none outside the days that are known.
    fn back(&self, from: NaiveDateTime) -> Option<NaiveDateTime> {
        self.working.last().filter(|last| from.date() <= **last)?;
        for day in self.working.range(..=from.date()).rev() {
            let until = if *day == from.date() { minute(from) } else { u32::MAX };
            let span = SPANS.iter().rev().find(|(start, _)| *start <= until);
            if let Some((_, end)) = span {
                return Some(clock(*day, until.min(end - 1)));
            }
        }
        None
    }
}

/// What the contract says of follow-on tasks of a plan that says nothing.
fn shipped(kind: TaskKind) -> Reminders {
    Reminders {
        at_open: kind == TaskKind::Issue,
        before_minutes: Vec::new(),
        at_due: true,
        overdue_after_minutes: Some(OVERDUE),
        escalate_after_minutes: Some(ESCALATED),
    }
}

fn told(task: &Task, kind: MessageKind, when: Timestamp, what: &str) -> String {
    let written = |time| local::written(at(time));
    format!(
        "{:?} {} ({:?}, made {}, opened {}, due {}, done {}): {kind:?} of {} {what}",
        task.kind(),
        task.task_id,
        task.state(),
        written(task.create_time),
        written(task.open_time),
        written(task.due_time),
        task.done_time.map_or_else(|| "never".to_owned(), |done| written(Some(done))),
        local::written(when)
    )
}

fn at(time: Option<prost_types::Timestamp>) -> Timestamp {
    time.map_or(Timestamp::MAX, instant)
}

fn minute(at: NaiveDateTime) -> u32 {
    at.hour() * 60 + at.minute()
}

fn clock(day: NaiveDate, minute: u32) -> NaiveDateTime {
    day.and_hms_opt(minute / 60, minute % 60, 0).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2027, 1, number).expect("a day")
    }

    fn time(number: u32, hour: u32, minute: u32) -> NaiveDateTime {
        day(number).and_hms_opt(hour, minute, 0).expect("a time")
    }

    #[test]
    fn working_minutes_skip_lunch_nights_and_weekends() {
        // A Friday and the Monday after it.
        let working = [day(8), day(11)].into();
        let expected = Expected::new([], &[], &working, Timestamp::MAX);
        assert_eq!(expected.later(time(8, 9, 0), 180), Some(time(8, 12, 0)));
        assert_eq!(expected.later(time(8, 11, 30), 60), Some(time(8, 14, 0)));
        assert_eq!(expected.later(time(8, 18, 0), 60), Some(time(11, 10, 0)));
        assert_eq!(expected.later(time(11, 18, 0), 1), None);
        assert_eq!(expected.back(time(11, 8, 30)), Some(time(8, 17, 59)));
        assert_eq!(expected.back(time(11, 12, 30)), Some(time(11, 11, 59)));
        assert_eq!(expected.back(time(11, 10, 0)), Some(time(11, 10, 0)));
        assert_eq!(expected.back(time(10, 10, 0)), Some(time(8, 17, 59)));
        assert_eq!(expected.back(time(12, 10, 0)), None, "nobody knows whether that is a working day");
    }
}
