//! Local time of the demo's company: Shanghai, eight hours ahead of UTC all year.

use chrono::{DateTime, NaiveDate, NaiveDateTime, TimeDelta};
use revisit_core::Timestamp;

/// China has had one zone and no daylight saving time since 1992.
const AHEAD: TimeDelta = TimeDelta::hours(8);
/// Its IANA name.
pub const ZONE: &str = "Asia/Shanghai";

/// The instant of a local time.
#[must_use]
pub fn at(day: NaiveDate, hour: u32, minute: u32) -> Timestamp {
    instant(day.and_hms_opt(hour, minute, 0).unwrap_or_default())
}

/// The instant of a local date and time.
#[must_use]
pub fn instant(local: NaiveDateTime) -> Timestamp {
    Timestamp::from_micros((local - AHEAD).and_utc().timestamp_micros())
}

/// The local date of an instant.
#[must_use]
pub fn date(at: Timestamp) -> NaiveDate {
    date_time(at).date()
}

/// The local date and time of an instant.
#[must_use]
pub fn date_time(at: Timestamp) -> NaiveDateTime {
    DateTime::from_timestamp_micros(at.micros()).unwrap_or_default().naive_utc() + AHEAD
}

/// An instant as people write it: `2027-01-04 09:30`.
#[must_use]
pub fn written(at: Timestamp) -> String {
    date_time(at).format("%Y-%m-%d %H:%M").to_string()
}

/// An instant on the wire.
#[must_use]
pub fn wire(at: Timestamp) -> prost_types::Timestamp {
    revisit_bootstrap::wire::time(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_past_nine_in_shanghai_is_half_past_one_in_greenwich() {
        let day = NaiveDate::from_ymd_opt(2027, 1, 4).expect("a day");
        assert_eq!(at(day, 9, 30), Timestamp::from_seconds(1_799_026_200));
        assert_eq!(written(at(day, 9, 30)), "2027-01-04 09:30");
        assert_eq!(date(at(day, 0, 0)), day);
    }
}
