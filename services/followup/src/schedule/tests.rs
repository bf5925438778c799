//! Local times, cadences and yearly dates at the edges of months, years and offsets.

use super::*;

fn date(text: &str) -> NaiveDate {
    text.parse().expect("a date")
}
fn time(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").expect("a local time")
}
fn utc(text: &str) -> Timestamp {
    Timestamp::from_micros(time(text).and_utc().timestamp_micros())
}
const BERLIN: Tz = chrono_tz::Europe::Berlin;

#[test]
fn a_time_inside_a_gap_moves_later_by_the_length_of_the_gap_or_is_skipped() {
    // Clocks went from 02:00 to 03:00 on 29 March 2026.
    let lost = time("2026-03-29T02:30");
    assert_eq!(instants(lost, BERLIN, Gap::Shift, Fold::First), [utc("2026-03-29T01:30")]);
    assert_eq!(local(utc("2026-03-29T01:30"), BERLIN), time("2026-03-29T03:30"));
    assert_eq!(instants(lost, BERLIN, Gap::Skip, Fold::First), []);
}

#[test]
fn a_whole_day_that_was_left_out_is_a_gap_of_a_day() {
    // Samoa went from 29 to 31 December 2011.
    let lost = time("2011-12-30T10:00");
    let shifted = instants(lost, chrono_tz::Pacific::Apia, Gap::Shift, Fold::First);
    assert_eq!(shifted.len(), 1);
    assert_eq!(local(shifted[0], chrono_tz::Pacific::Apia), time("2011-12-31T10:00"));
}

#[test]
fn a_time_inside_a_fold_is_the_first_the_last_or_both() {
    // Clocks went from 03:00 back to 02:00 on 25 October 2026.
    let twice = time("2026-10-25T02:30");
    let (first, last) = (utc("2026-10-25T00:30"), utc("2026-10-25T01:30"));
    assert_eq!(instants(twice, BERLIN, Gap::Shift, Fold::First), [first]);
    assert_eq!(instants(twice, BERLIN, Gap::Shift, Fold::Last), [last]);
    assert_eq!(instants(twice, BERLIN, Gap::Shift, Fold::Both), [first, last]);
}

#[test]
fn nine_in_the_morning_stays_nine_on_both_sides_of_a_change_of_offset() {
    for day in ["2026-03-28", "2026-03-29", "2026-03-30", "2026-10-24", "2026-10-25", "2026-10-26"] {
        let nine = time(&format!("{day}T09:00"));
        assert_eq!(local(instant(nine, BERLIN), BERLIN), nine);
    }
}

#[test]
fn a_monthly_cadence_from_a_31st_takes_the_last_day_of_short_months_and_comes_back() {
    let anchor = date("2026-01-31");
    let mut dates = Vec::new();
    let mut from = anchor;
    for _ in 0..5 {
        let next = fixed_date(anchor, Unit::Month, 1, from);
        dates.push(next.to_string());
        from = after_days(next, 1);
    }
    assert_eq!(dates, ["2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30", "2026-05-31"]);
}

#[test]
fn a_fixed_cadence_finds_the_first_date_at_or_after_a_day_however_far() {
    assert_eq!(fixed_date(date("2020-01-01"), Unit::Week, 2, date("2026-03-04")), date("2026-03-04"));
    assert_eq!(fixed_date(date("2020-01-01"), Unit::Week, 2, date("2026-03-05")), date("2026-03-18"));
    assert_eq!(fixed_date(date("2020-01-01"), Unit::Day, 3, date("2019-05-01")), date("2020-01-01"));
    assert_eq!(fixed_date(date("2020-02-29"), Unit::Month, 12, date("2021-03-01")), date("2022-02-28"));
}

#[test]
fn a_birthday_on_29_february_falls_on_28_february_or_1_march_in_common_years() {
    let born = date("1992-02-29");
    assert_eq!(yearly(born, 0, Leap::February28, date("2026-01-01")), date("2026-02-28"));
    assert_eq!(yearly(born, 0, Leap::March1, date("2026-01-01")), date("2026-03-01"));
    assert_eq!(yearly(born, 0, Leap::March1, date("2028-01-01")), date("2028-02-29"));
    assert_eq!(yearly(born, 0, Leap::February28, date("2026-03-01")), date("2027-02-28"));
    assert_eq!(yearly(born, 0, Leap::February28, date("2100-01-01")), date("2100-02-28"));
}

#[test]
fn an_offset_before_a_yearly_date_may_lie_in_the_year_before() {
    assert_eq!(yearly(date("1990-01-03"), -7, Leap::February28, date("2026-12-01")), date("2026-12-27"));
    assert_eq!(yearly(date("1990-12-30"), 5, Leap::February28, date("2027-01-01")), date("2027-01-04"));
}

#[test]
fn a_date_in_the_future_does_not_come_round_before_it_happened() {
    assert_eq!(yearly(date("2028-06-01"), 0, Leap::February28, date("2026-01-01")), date("2028-06-01"));
}
