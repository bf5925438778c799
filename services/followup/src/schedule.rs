//! When something is due: local dates and times to instants, with the policies for what a local clock does twice or
//! not at all. Pure; nothing here reads a clock or a table.
//!
//! The nominal local time is what people agreed on and what is kept; the instant is derived from it each time.

pub mod calendar;
pub mod china;

use chrono::{Datelike, Days, MappedLocalTime, Months, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use revisit_core::Timestamp;
use serde::{Deserialize, Serialize};

pub use calendar::{Special, WorkCalendar};

/// What becomes of a local time that does not exist.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Gap {
    /// Later by the length of the gap.
    #[default]
    Shift,
    /// Left out.
    Skip,
}

/// What becomes of a local time that exists twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fold {
    #[default]
    First,
    Last,
    Both,
}

/// What becomes of a time outside working time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Roll {
    #[default]
    Forward,
    Back,
    Nearest,
    Stay,
}

/// Where a yearly 29 February falls in a common year.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leap {
    #[default]
    February28,
    March1,
}

/// Unit of a cadence.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    Day,
    Week,
    Month,
}

/// The zone of a name; only names of the IANA database.
#[must_use]
pub fn zone(name: &str) -> Option<Tz> {
    name.parse().ok()
}

/// The instants of a local time under the policies: none (a skipped gap), one, or two (both sides of a fold).
#[must_use]
pub fn instants(local: NaiveDateTime, zone: Tz, gap: Gap, fold: Fold) -> Vec<Timestamp> {
    match zone.from_local_datetime(&local) {
        MappedLocalTime::Single(one) => vec![stamp(one.timestamp_micros())],
        MappedLocalTime::Ambiguous(first, last) => {
            let (first, last) = (stamp(first.timestamp_micros()), stamp(last.timestamp_micros()));
            match fold {
                Fold::First => vec![first.min(last)],
                Fold::Last => vec![first.max(last)],
                Fold::Both => vec![first.min(last), first.max(last)],
            }
        }
        MappedLocalTime::None => match gap {
            Gap::Skip => Vec::new(),
            Gap::Shift => vec![shifted(local, zone)],
        },
    }
}

/// The instant of a local time with the default policies: for edges of intervals, where there must be exactly one.
#[must_use]
pub fn instant(local: NaiveDateTime, zone: Tz) -> Timestamp {
    instants(local, zone, Gap::Shift, Fold::First).first().copied().unwrap_or_else(|| shifted(local, zone))
}

/// The local time of an instant.
#[must_use]
pub fn local(at: Timestamp, zone: Tz) -> NaiveDateTime {
    // Instants that chrono cannot hold lie 260,000 years away; they read as the epoch.
    let utc = chrono::DateTime::from_timestamp_micros(at.micros()).unwrap_or_default();
    utc.with_timezone(&zone).naive_local()
}

/// The instants at which a local day begins and ends.
#[must_use]
pub fn day(date: NaiveDate, zone: Tz) -> (Timestamp, Timestamp) {
    (instant(date.and_time(NaiveTime::MIN), zone), instant(after_days(date, 1).and_time(NaiveTime::MIN), zone))
}

/// The offset before a gap, applied to a time inside it, lands as far behind the gap as the time was inside it.
fn shifted(local: NaiveDateTime, zone: Tz) -> Timestamp {
    // No zone has ever put its clock forward by more than a day.
    let before = local - TimeDelta::hours(GAP_HOURS_MAX);
    let anchor = match zone.from_local_datetime(&before) {
        MappedLocalTime::Single(one) | MappedLocalTime::Ambiguous(one, _) => one.timestamp_micros(),
        MappedLocalTime::None => before.and_utc().timestamp_micros(),
    };
    stamp(anchor + TimeDelta::hours(GAP_HOURS_MAX).num_microseconds().unwrap_or(0))
}

/// How far back the offset before a gap is looked for.
const GAP_HOURS_MAX: i64 = 25;

const fn stamp(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A date some days later or, negative, earlier; the calendar's last or first day when there is none.
#[must_use]
pub fn after_days(date: NaiveDate, days: i64) -> NaiveDate {
    let span = Days::new(days.unsigned_abs());
    if days < 0 {
        date.checked_sub_days(span).unwrap_or(NaiveDate::MIN)
    } else {
        date.checked_add_days(span).unwrap_or(NaiveDate::MAX)
    }
}

/// A date `count` units later. Months keep the day, or take the month's last when it is shorter.
#[must_use]
pub fn after_units(date: NaiveDate, unit: Unit, count: u32) -> NaiveDate {
    match unit {
        Unit::Day => after_days(date, i64::from(count)),
        Unit::Week => after_days(date, i64::from(count) * 7),
        Unit::Month => date.checked_add_months(Months::new(count)).unwrap_or(NaiveDate::MAX),
    }
}

/// The first of the fixed dates `anchor`, `anchor` + every, ... that is at or after `from`. Counted from the anchor
/// each time, so that a 31st comes back after a short month; a jump, not a walk, whatever lies between.
#[must_use]
pub fn fixed_date(anchor: NaiveDate, unit: Unit, every: u32, from: NaiveDate) -> NaiveDate {
    if from <= anchor {
        return anchor;
    }
    let every = every.max(1);
    let passed = match unit {
        Unit::Day => u32::try_from((from - anchor).num_days()).unwrap_or(u32::MAX),
        Unit::Week => u32::try_from((from - anchor).num_weeks()).unwrap_or(u32::MAX),
        Unit::Month => months_between(anchor, from),
    };
    let steps = passed / every;
    let candidate = after_units(anchor, unit, steps.saturating_mul(every));
    if candidate >= from { candidate } else { after_units(anchor, unit, (steps + 1).saturating_mul(every)) }
}

fn months_between(earlier: NaiveDate, later: NaiveDate) -> u32 {
    let months = (later.year() - earlier.year()) * 12 + later.month().cast_signed() - earlier.month().cast_signed();
    u32::try_from(months).unwrap_or(0)
}

/// The first yearly return of `date`, moved by `offset` days, that is at or after `from`.
#[must_use]
pub fn yearly(date: NaiveDate, offset: i64, leap: Leap, from: NaiveDate) -> NaiveDate {
    // The offset is at most a year either way, so the neighbouring years are enough.
    (from.year() - 2..=from.year() + 2)
        .filter(|year| *year >= date.year())
        .map(|year| after_days(in_year(date, year, leap), offset))
        .find(|candidate| *candidate >= from)
        .unwrap_or_else(|| after_days(in_year(date, date.year().max(from.year() + 2), leap), offset))
}

fn in_year(date: NaiveDate, year: i32, leap: Leap) -> NaiveDate {
    date.with_year(year).unwrap_or_else(|| {
        let (month, day) = match leap {
            Leap::February28 => (2, 28),
            Leap::March1 => (3, 1),
        };
        NaiveDate::from_ymd_opt(year, month, day).unwrap_or(date)
    })
}

#[cfg(test)]
mod tests;
