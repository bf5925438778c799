//! Reading work calendars.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use revisit_core::Input;
use revisit_proto::followup::v1 as pb;

use super::read::{clock_time, date};
use crate::{
    operations::calendars::Write,
    schedule::{Special, WorkCalendar, calendar::DAY_MINUTES},
};

/// A calendar as it is written.
pub fn calendar(input: &mut Input, message: Option<&pb::Calendar>) -> Write {
    let mut inner = Input::default();
    let empty = pb::Calendar::default();
    let given = message.unwrap_or_else(|| {
        input.refuse("calendar", "is required");
        &empty
    });
    let china = given.base == "CN";
    inner.require(china || given.base.is_empty(), "base", "must be CN or empty");
    let write = Write {
        name: inner.text("name", &given.name, 1..=100),
        hours: WorkCalendar {
            week: week(&mut inner, &given.intervals),
            china,
            days: special_days(&mut inner, &given.days),
        },
        is_default: given.is_default,
    };
    if message.is_some() {
        input.nest("calendar", inner);
    }
    write
}

fn week(input: &mut Input, intervals: &[pb::WorkingInterval]) -> [Vec<(u16, u16)>; 7] {
    let mut week: [Vec<(u16, u16)>; 7] = Default::default();
    input.require((1..=50).contains(&intervals.len()), "intervals", "must have 1 to 50 entries");
    for (index, interval) in intervals.iter().take(50).enumerate() {
        let field = |name: &str| format!("intervals[{index}].{name}");
        let weekday = input.number(&field("weekday"), interval.weekday, 1..=7);
        let start = time_of_day(input, &field("start_time"), &interval.start_time);
        let end = time_of_day(input, &field("end_time"), &interval.end_time);
        input.require(start < end, &field("end_time"), "must lie after start_time");
        // What is refused above is any number, the least one too.
        if let Some(day) = usize::try_from(weekday).ok().and_then(|day| week.get_mut(day.checked_sub(1)?)) {
            day.push((start, end));
        }
    }
    for day in &mut week {
        day.sort_unstable();
        let apart = day.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        input.require(apart, "intervals", "must not overlap");
    }
    week
}

/// Minutes since midnight of `HH:MM`; `24:00` is the end of the day.
fn time_of_day(input: &mut Input, field: &str, text: &str) -> u16 {
    if text == "24:00" {
        return DAY_MINUTES;
    }
    clock_time(text).map_or_else(
        || {
            input.refuse(field, "must be a time as HH:MM");
            0
        },
        |time| {
            use chrono::Timelike;
            u16::try_from(time.hour() * 60 + time.minute()).unwrap_or(0)
        },
    )
}

fn special_days(input: &mut Input, days: &[pb::SpecialDay]) -> BTreeMap<NaiveDate, Special> {
    let mut read = BTreeMap::new();
    input.require(days.len() <= 1_000, "days", "must have at most 1,000 entries");
    for (index, day) in days.iter().take(1_000).enumerate() {
        let field = |name: &str| format!("days[{index}].{name}");
        let date = date(input, &field("date"), &day.date);
        let name = input.text(&field("name"), &day.name, 0..=60);
        if read.insert(date, Special { working: day.working, name }).is_some() {
            input.refuse(field("date"), "must not be named twice");
        }
    }
    read
}
