//! How values of ours look on the wire, and how they are read from it.

use std::time::Duration;

use revisit_core::{Input, Timestamp};

/// Nanoseconds of a microsecond.
const NANOS: i64 = 1_000;

/// An instant on the wire.
#[must_use]
pub fn time(at: Timestamp) -> prost_types::Timestamp {
    let nanos = at.micros().rem_euclid(1_000_000) * NANOS;
    prost_types::Timestamp { seconds: at.seconds(), nanos: i32::try_from(nanos).unwrap_or(0) }
}

/// An instant on the wire, or nothing for none and for "without end".
#[must_use]
pub fn time_optional(at: Option<Timestamp>) -> Option<prost_types::Timestamp> {
    at.filter(|at| *at != Timestamp::MAX && *at != Timestamp::MIN).map(time)
}

/// Years that an instant on the wire may lie in: 0001 to 9999, as google.protobuf.Timestamp demands.
const SECONDS_MIN: i64 = -62_135_596_800;
const SECONDS_MAX: i64 = 253_402_300_799;

/// Reads an instant; what is finer than a microsecond is cut off.
pub fn read_time(input: &mut Input, field: &str, value: Option<prost_types::Timestamp>) -> Option<Timestamp> {
    let value = value?;
    let valid = (SECONDS_MIN..=SECONDS_MAX).contains(&value.seconds) && (0..1_000_000_000).contains(&value.nanos);
    if !valid {
        input.refuse(field, "must be an instant of the years 1 to 9999");
        return None;
    }
    Some(Timestamp::from_micros(value.seconds * 1_000_000 + i64::from(value.nanos) / NANOS))
}

/// Reads an instant that must be there.
pub fn read_time_required(input: &mut Input, field: &str, value: Option<prost_types::Timestamp>) -> Timestamp {
    if value.is_none() {
        input.refuse(field, "is required");
    }
    read_time(input, field, value).unwrap_or_default()
}

/// Reads the two ends of a time, each of which may be open. One that ends before it begins is refused: nothing lies in it,
/// and the empty answer would look like a finding.
pub fn read_window(
    input: &mut Input,
    (from_field, from): (&str, Option<prost_types::Timestamp>),
    (until_field, until): (&str, Option<prost_types::Timestamp>),
) -> (Option<Timestamp>, Option<Timestamp>) {
    let window = (read_time(input, from_field, from), read_time(input, until_field, until));
    if window.0.zip(window.1).is_some_and(|(from, until)| until <= from) {
        input.refuse(until_field, format!("must be after {from_field}"));
    }
    window
}

/// A span on the wire.
#[must_use]
pub fn span(span: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(span.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(span.subsec_nanos()).unwrap_or(0),
    }
}

/// Reads a span that must not be negative nor longer than `max`.
pub fn read_span(
    input: &mut Input,
    field: &str,
    value: Option<prost_types::Duration>,
    max: Duration,
) -> Option<Duration> {
    let value = value?;
    let read = u64::try_from(value.seconds)
        .ok()
        .zip(u32::try_from(value.nanos).ok().filter(|nanos| *nanos < 1_000_000_000))
        .map(|(seconds, nanos)| Duration::new(seconds, nanos))
        .filter(|span| *span <= max);
    if read.is_none() {
        input.refuse(field, format!("must lie between 0 and {} seconds", max.as_secs()));
    }
    read
}

/// A day of the proleptic Gregorian calendar as (year, month, day); whether it exists is for the reader's calendar.
pub type Day = (i16, u8, u8);

/// A day as `YYYY-MM-DD`.
#[must_use]
pub fn day((year, month, day): Day) -> String {
    format!("{year:04}-{month:02}-{day:02}")
}

/// Reads `YYYY-MM-DD`; empty text is none. Days that do not exist (2025-02-29) are refused.
pub fn read_day(input: &mut Input, field: &str, text: &str) -> Option<Day> {
    if text.is_empty() {
        return None;
    }
    let read = parse_day(text);
    if read.is_none() {
        input.refuse(field, "must be a day as YYYY-MM-DD");
    }
    read
}

fn parse_day(text: &str) -> Option<Day> {
    let digits =
        |part: &str| part.bytes().all(|byte| byte.is_ascii_digit()).then(|| part.parse::<u16>().ok()).flatten();
    if text.len() != 10 || !text.is_ascii() || &text[4..5] != "-" || &text[7..8] != "-" {
        return None;
    }
    let year = i16::try_from(digits(&text[..4])?).ok().filter(|year| *year > 0)?;
    let month = u8::try_from(digits(&text[5..7])?).ok().filter(|month| (1..=12).contains(month))?;
    let day = u8::try_from(digits(&text[8..])?).ok()?;
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let last = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1 | 3 | 5 | 7 | 8 | 10 | 12 => 31,
        13.. | 0 => return None,
    };
    (1..=last).contains(&day).then_some((year, month, day))
}

/// An amount in minor units of an ISO 4217 currency.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Money {
    /// Fen, cents ...; may be negative.
    pub minor_units: i64,
    /// Three upper-case letters.
    pub currency: [u8; 3],
}

impl Money {
    /// Reads an amount.
    pub fn read(input: &mut Input, field: &str, minor_units: i64, currency: &str) -> Option<Self> {
        let code: Option<[u8; 3]> = currency.as_bytes().try_into().ok();
        let code = code.filter(|code| code.iter().all(u8::is_ascii_uppercase));
        if code.is_none() {
            input.refuse(format!("{field}.currency"), "must be an ISO 4217 code: three upper-case letters");
        }
        code.map(|currency| Self { minor_units, currency })
    }

    /// The currency as text.
    #[must_use]
    pub fn currency(&self) -> &str {
        std::str::from_utf8(&self.currency).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_before_1970_survives_the_wire() {
        let at = Timestamp::from_micros(-1_500_000);
        let mut input = Input::default();
        assert_eq!(read_time(&mut input, "t", Some(time(at))), Some(at));
        assert!(input.violations().is_empty());
    }

    #[test]
    fn days_that_do_not_exist_are_refused() {
        for text in ["2025-02-29", "2025-13-01", "2025-1-01", "2025-04-31", "0000-01-01", "2025/01/01", "二〇二五"]
        {
            let mut input = Input::default();
            assert_eq!(read_day(&mut input, "d", text), None, "{text}");
            assert_eq!(input.violations().len(), 1, "{text}");
        }
        assert_eq!(read_day(&mut Input::default(), "d", "2024-02-29"), Some((2024, 2, 29)));
    }
}
