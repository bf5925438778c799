//! Working time: weekly hours, days off, and weekend days that make up for them.
//!
//! All of it is local wall time. A working minute is a minute on the wall clock inside working hours, so a shift over
//! a change of offset counts as it reads on the wall.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta};
use serde::{Deserialize, Serialize};

use super::{Roll, after_days, china};

/// Minutes since midnight: start and end of one stretch of work.
pub type Stretch = (u16, u16);

/// How far a search for working time goes before it gives up: longer than any row of days off that may be written.
const SEARCH_DAYS_MAX: i64 = 1_200;
/// Midnight at the end of a day.
pub const DAY_MINUTES: u16 = 24 * 60;

/// A day that is not like its weekday.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Special {
    /// Whether people work on it, with the hours of a Monday.
    pub working: bool,
    /// What people call it.
    pub name: String,
}

/// When people work. Layers: the days of the company, above those of the nation, above the week.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct WorkCalendar {
    /// Stretches of Monday to Sunday, each in order and without overlap.
    pub week: [Vec<Stretch>; 7],
    /// Whether China's statutory days lie below the own ones.
    pub china: bool,
    /// The own days.
    pub days: BTreeMap<NaiveDate, Special>,
}

/// What one day is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DayKind {
    pub working: bool,
    /// Empty for an ordinary day.
    pub name: String,
    /// Whether off days and make-up workdays of its year are known for good.
    pub announced: bool,
}

impl WorkCalendar {
    /// Monday to Friday, nine to twelve and half past one to six, with China's statutory days.
    #[must_use]
    pub fn china_office() -> Self {
        let workday = vec![(9 * 60, 12 * 60), (13 * 60 + 30, 18 * 60)];
        let week = std::array::from_fn(|day| if day < 5 { workday.clone() } else { Vec::new() });
        Self { week, china: true, days: BTreeMap::new() }
    }

    /// The stretches of a day.
    #[must_use]
    pub fn stretches(&self, date: NaiveDate) -> &[Stretch] {
        match self.special(date) {
            Some((true, _)) => self.make_up_stretches(),
            Some((false, _)) => &[],
            None => &self.week[date.weekday().num_days_from_monday() as usize],
        }
    }

    /// What a day is, for people.
    #[must_use]
    pub fn day(&self, date: NaiveDate) -> DayKind {
        DayKind {
            working: !self.stretches(date).is_empty(),
            name: self.special(date).map(|(_, name)| name.to_owned()).unwrap_or_default(),
            announced: !self.china || china::announced(date.year()),
        }
    }

    fn special(&self, date: NaiveDate) -> Option<(bool, &str)> {
        if let Some(own) = self.days.get(&date) {
            return Some((own.working, &own.name));
        }
        if self.china { china::special(date) } else { None }
    }

    /// A make-up day has a Monday's hours; in a week whose Monday is free, those of its first working day.
    fn make_up_stretches(&self) -> &[Stretch] {
        self.week.iter().find(|day| !day.is_empty()).map_or(&[], Vec::as_slice)
    }

    /// Whether a local time is working time; the end of a stretch is not.
    #[must_use]
    pub fn is_working(&self, local: NaiveDateTime) -> bool {
        let minute = minute_of(local);
        self.stretches(local.date()).iter().any(|(start, end)| (*start..*end).contains(&minute))
    }

    /// Where a time goes under a roll.
    #[must_use]
    pub fn roll(&self, local: NaiveDateTime, roll: Roll) -> NaiveDateTime {
        if roll == Roll::Stay || self.is_working(local) {
            return local;
        }
        let (forward, back) = (self.forward(local), self.back(local));
        match (roll, forward, back) {
            (Roll::Back, _, Some(back)) => back,
            (Roll::Nearest, Some(forward), Some(back)) if local - back < forward - local => back,
            (Roll::Forward | Roll::Nearest, Some(forward), _) | (Roll::Back, Some(forward), None) => forward,
            (Roll::Forward | Roll::Nearest, None, Some(back)) => back,
            (Roll::Stay, ..) | (_, None, None) => local,
        }
    }

    /// The first working time at or after a time.
    #[must_use]
    pub fn forward(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        if self.is_working(local) {
            return Some(local);
        }
        let minute = minute_of(local);
        (0..SEARCH_DAYS_MAX).find_map(|ahead| {
            let date = after_days(local.date(), ahead);
            let stretch = self.stretches(date).iter().find(|(start, _)| ahead > 0 || *start > minute)?;
            Some(at(date, stretch.0))
        })
    }

    /// The last working minute at or before a time.
    #[must_use]
    pub fn back(&self, local: NaiveDateTime) -> Option<NaiveDateTime> {
        if self.is_working(local) {
            return Some(local);
        }
        let minute = minute_of(local);
        (0..SEARCH_DAYS_MAX).find_map(|behind| {
            let date = after_days(local.date(), -behind);
            let stretch = self.stretches(date).iter().rev().find(|(_, end)| behind > 0 || *end <= minute)?;
            Some(at(date, stretch.1 - 1))
        })
    }

    /// The time at which `minutes` of work have passed since `local`, counted from the next working time. The end of a
    /// stretch belongs to it: eight hours from nine in the morning end the same evening, not the next morning.
    #[must_use]
    pub fn add_working(&self, local: NaiveDateTime, minutes: u32) -> NaiveDateTime {
        let mut left = i64::from(minutes);
        let Some(mut now) = self.forward(local) else { return local + TimeDelta::minutes(left) };
        let last = after_days(now.date(), SEARCH_DAYS_MAX);
        while now.date() < last {
            let minute = minute_of(now);
            let end = self.stretches(now.date()).iter().find(|(start, end)| (*start..*end).contains(&minute));
            let room = end.map_or(0, |(_, end)| i64::from(*end - minute));
            if left <= room {
                return now + TimeDelta::minutes(left);
            }
            left -= room;
            match self.forward(now + TimeDelta::minutes(room)) {
                Some(next) => now = next,
                None => break,
            }
        }
        now + TimeDelta::minutes(left)
    }
}

fn minute_of(local: NaiveDateTime) -> u16 {
    use chrono::Timelike;
    u16::try_from(local.hour() * 60 + local.minute()).unwrap_or(0)
}

fn at(date: NaiveDate, minute: u16) -> NaiveDateTime {
    date.and_time(NaiveTime::MIN) + TimeDelta::minutes(i64::from(minute))
}

#[cfg(test)]
mod tests;
