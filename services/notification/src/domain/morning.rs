//! Local days: when the next morning digest is due, and the span of instants that a local day is.

use chrono::{DateTime, Days, Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use revisit_core::Timestamp;

/// A local date as the span of instants from its beginning to before its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Day {
    pub date: NaiveDate,
    pub from: Timestamp,
    pub until: Timestamp,
}

/// The first instant after `after` at which local clocks show `time`. In a gap the end of the gap counts, and of a time
/// that comes twice the first.
pub fn next(zone: Tz, after: Timestamp, time: NaiveTime) -> Timestamp {
    let date = local(zone, after).date();
    (0..=2)
        .filter_map(|days| date.checked_add_days(Days::new(days)))
        .map(|date| instant(zone, date.and_time(time)))
        .find(|at| *at > after)
        .unwrap_or(Timestamp::MAX)
}

/// The local day in which an instant lies.
pub fn day_of(zone: Tz, at: Timestamp) -> Day {
    let date = local(zone, at).date();
    let tomorrow = date.checked_add_days(Days::new(1)).unwrap_or(date);
    let begin = |date: NaiveDate| instant(zone, date.and_time(NaiveTime::MIN));
    Day { date, from: begin(date), until: begin(tomorrow) }
}

/// The local wall time of an instant.
pub fn local(zone: Tz, at: Timestamp) -> NaiveDateTime {
    DateTime::from_timestamp_micros(at.micros()).unwrap_or_default().with_timezone(&zone).naive_local()
}

fn instant(zone: Tz, wall: NaiveDateTime) -> Timestamp {
    // No gap since 2020 is longer than a day; a quarter of an hour divides all of them.
    let mut wall = wall;
    for _ in 0..=96 {
        match zone.from_local_datetime(&wall) {
            LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => {
                return Timestamp::from_micros(at.timestamp_micros());
            }
            LocalResult::None => wall += Duration::minutes(15),
        }
    }
    Timestamp::MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        let at = DateTime::parse_from_rfc3339(text).expect("a time");
        Timestamp::from_micros(at.timestamp_micros())
    }

    fn half_past(hour: u32) -> NaiveTime {
        NaiveTime::from_hms_opt(hour, 30, 0).expect("a time")
    }

    #[test]
    fn the_next_morning_is_today_before_it_and_tomorrow_from_it_on() {
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(next(zone, at("2026-11-21T08:29:00+08:00"), half_past(8)), at("2026-11-21T08:30:00+08:00"));
        assert_eq!(next(zone, at("2026-11-21T08:30:00+08:00"), half_past(8)), at("2026-11-22T08:30:00+08:00"));
    }

    #[test]
    fn a_morning_inside_a_gap_comes_at_its_end() {
        let zone = chrono_tz::Europe::Berlin;
        assert_eq!(next(zone, at("2026-03-29T00:00:00+01:00"), half_past(2)), at("2026-03-29T03:00:00+02:00"));
    }

    #[test]
    fn a_day_on_which_clocks_change_is_shorter_or_longer() {
        let zone = chrono_tz::Europe::Berlin;
        let hours = |text| {
            let day = day_of(zone, at(text));
            day.until.since(day.from).as_secs() / 3_600
        };
        assert_eq!(hours("2026-03-29T12:00:00+02:00"), 23);
        assert_eq!(hours("2026-10-25T12:00:00+01:00"), 25);
        assert_eq!(hours("2026-11-21T12:00:00+01:00"), 24);
    }
}
