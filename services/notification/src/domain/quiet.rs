//! Quiet hours: a daily span of local time in which nothing that disturbs is sent, and the first instant after it.

use std::time::Duration;

use chrono::{DateTime, Offset, Timelike};
use chrono_tz::Tz;
use revisit_core::Timestamp;
use uuid::Uuid;

use super::retry;

const DAY: u32 = 24 * 60;
/// How far the search goes: a whole quiet span and the greatest change of a clock.
const SEARCH_MAX: u32 = DAY + 3 * 60;
/// Held messages leave spread over this span, so that providers see no peak on the hour.
const SPREAD: Duration = Duration::from_secs(120);

/// Minutes of the local day, from `start` to before `end`, over midnight when `end` is smaller. Never equal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct QuietHours {
    start: u32,
    end: u32,
}

impl QuietHours {
    /// From `HH:MM` texts; none when one is malformed or both are equal.
    pub fn parse(start: &str, end: &str) -> Option<Self> {
        let (start, end) = (minute(start)?, minute(end)?);
        (start != end).then_some(Self { start, end })
    }

    pub fn texts(self) -> (String, String) {
        let text = |minute: u32| format!("{:02}:{:02}", minute / 60, minute % 60);
        (text(self.start), text(self.end))
    }

    /// Whether the local clock shows a quiet minute. Where the clock is put back, the repeated minutes are quiet both
    /// times.
    pub fn covers(self, zone: Tz, at: Timestamp) -> bool {
        local_minute(zone, at).is_some_and(|minute| {
            if self.start < self.end {
                (self.start..self.end).contains(&minute)
            } else {
                minute >= self.start || minute < self.end
            }
        })
    }

    /// The first instant from `now` on that is not quiet: `now` itself when it is not. An end inside a gap moves forward
    /// to the end of the gap; of an end that comes twice, the first counts.
    pub fn first_allowed(self, zone: Tz, now: Timestamp) -> Timestamp {
        if !self.covers(zone, now) {
            return now;
        }
        let Some(minute) = local_minute(zone, now) else { return now };
        let floor = Timestamp::from_seconds(now.seconds().div_euclid(60) * 60);
        let ahead = |minutes: u32| floor + Duration::from_secs(u64::from(minutes) * 60);
        let end = ahead((self.end + DAY - minute) % DAY);
        if offset(zone, now) == offset(zone, end) {
            // No clock is changed twice within a day, so here it is not changed at all.
            return end;
        }
        // Clock changes lie on whole minutes, so whole minutes are all there is to look at.
        (1..=SEARCH_MAX).map(ahead).find(|at| !self.covers(zone, *at)).unwrap_or(end)
    }

    /// When a message held at `now` leaves: the first allowed instant and a little later, but never quiet again.
    pub fn release(self, zone: Tz, now: Timestamp, seed: Uuid) -> Timestamp {
        let first = self.first_allowed(zone, now);
        let spread = first + retry::jitter(seed, 0, SPREAD);
        if first == now || self.covers(zone, spread) { first } else { spread }
    }
}

fn minute(text: &str) -> Option<u32> {
    let (hour, minute) = text.split_once(':')?;
    let number =
        |text: &str| (text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?;
    let (hour, minute): (u32, u32) = (number(hour)?, number(minute)?);
    (hour < 24 && minute < 60).then_some(hour * 60 + minute)
}

fn offset(zone: Tz, at: Timestamp) -> Option<i32> {
    Some(DateTime::from_timestamp_micros(at.micros())?.with_timezone(&zone).offset().fix().local_minus_utc())
}

fn local_minute(zone: Tz, at: Timestamp) -> Option<u32> {
    let local = DateTime::from_timestamp_micros(at.micros())?.with_timezone(&zone);
    Some(local.hour() * 60 + local.minute())
}

#[cfg(test)]
mod tests {
    use chrono::{NaiveDate, TimeZone};
    use proptest::prelude::*;

    use super::*;

    fn at(zone: Tz, text: &str) -> Timestamp {
        let naive = chrono::NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M").expect("a time");
        let local = zone.from_local_datetime(&naive).earliest().expect("exists");
        Timestamp::from_micros(local.timestamp_micros())
    }

    fn night() -> QuietHours {
        QuietHours::parse("22:00", "07:30").expect("valid")
    }

    #[test]
    fn a_night_over_midnight_ends_in_the_morning() {
        let zone = chrono_tz::Asia::Shanghai;
        assert_eq!(night().first_allowed(zone, at(zone, "2026-11-21 23:15")), at(zone, "2026-11-22 07:30"));
        assert_eq!(night().first_allowed(zone, at(zone, "2026-11-22 03:00")), at(zone, "2026-11-22 07:30"));
        let noon = at(zone, "2026-11-22 12:00");
        assert_eq!(night().first_allowed(zone, noon), noon);
    }

    #[test]
    fn an_end_inside_a_gap_moves_to_the_end_of_the_gap() {
        let zone = chrono_tz::Europe::Berlin;
        let quiet = QuietHours::parse("22:00", "02:30").expect("valid");
        // On 2026-03-29 the clock jumps from 02:00 to 03:00.
        assert_eq!(quiet.first_allowed(zone, at(zone, "2026-03-29 00:10")), at(zone, "2026-03-29 03:00"));
    }

    #[test]
    fn of_an_end_that_comes_twice_the_first_counts() {
        let zone = chrono_tz::Europe::Berlin;
        let quiet = QuietHours::parse("22:00", "02:30").expect("valid");
        // On 2026-10-25 the clock goes back from 03:00 to 02:00.
        let first = at(zone, "2026-10-25 02:30");
        assert_eq!(quiet.first_allowed(zone, at(zone, "2026-10-25 00:10")), first);
        assert!(quiet.covers(zone, first + Duration::from_secs(40 * 60)), "02:10 again is quiet again");
    }

    #[test]
    fn malformed_or_empty_spans_are_refused() {
        for (start, end) in [("22:00", "22:00"), ("24:00", "07:00"), ("7:00", "08:00"), ("+1:00", "08:00"), ("", "")] {
            assert_eq!(QuietHours::parse(start, end), None, "{start} {end}");
        }
        assert_eq!(night().texts(), ("22:00".to_owned(), "07:30".to_owned()));
    }

    /// The definition, minute by minute, without any shortcut.
    fn slow(quiet: QuietHours, zone: Tz, now: Timestamp) -> Timestamp {
        if !quiet.covers(zone, now) {
            return now;
        }
        let floor = Timestamp::from_seconds(now.seconds().div_euclid(60) * 60);
        (1..3_000_u64)
            .map(|minutes| floor + Duration::from_secs(minutes * 60))
            .find(|at| !quiet.covers(zone, *at))
            .expect("no night lasts two days")
    }

    #[test]
    fn around_every_clock_change_from_2020_to_2035_the_shortcut_finds_what_the_slow_search_finds() {
        let quiet = [night(), QuietHours::parse("00:15", "02:45").expect("valid")];
        let begin = NaiveDate::from_ymd_opt(2020, 1, 1).expect("a day").and_time(chrono::NaiveTime::MIN).and_utc();
        for zone in chrono_tz::TZ_VARIANTS {
            let offset = |hour: i64| {
                let utc = begin + chrono::Duration::hours(hour);
                zone.offset_from_utc_datetime(&utc.naive_utc()).fix().local_minus_utc()
            };
            // Weekly steps find every change that lasts; the shortest, for Ramadan, last about a month.
            for day in (0..16 * 366 * 24_i64).step_by(24 * 7).filter(|hour| offset(*hour) != offset(hour + 24 * 7)) {
                let change = (day..day + 24 * 7).find(|hour| offset(*hour) != offset(hour + 1)).expect("inside");
                for quiet in quiet {
                    for hours in [-9, -2, -1, 0, 1] {
                        let now = begin + chrono::Duration::hours(change + hours) + chrono::Duration::minutes(10);
                        let now = Timestamp::from_micros(now.timestamp_micros());
                        let found = quiet.first_allowed(zone, now);
                        assert_eq!(found, slow(quiet, zone, now), "{zone} {now:?}");
                        assert!(!quiet.covers(zone, quiet.release(zone, now, Uuid::from_u128(3))), "{zone} {now:?}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn a_release_is_never_early_and_never_quiet(
            zone in proptest::sample::select(chrono_tz::TZ_VARIANTS.to_vec()),
            start in 0..DAY, span in 1..DAY,
            seconds in 1_577_836_800_i64..2_082_758_400,
            seed in any::<u128>(),
        ) {
            let quiet = QuietHours { start, end: (start + span) % DAY };
            let now = Timestamp::from_seconds(seconds);
            let release = quiet.release(zone, now, Uuid::from_u128(seed));
            prop_assert!(release >= now);
            prop_assert!(!quiet.covers(zone, release));
            prop_assert!(release.since(now) <= Duration::from_secs(30 * 3_600), "dropped for more than a day");
        }
    }
}
