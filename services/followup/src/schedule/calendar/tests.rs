//! Working time over weekends, holidays and make-up workdays.

use super::*;

fn time(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").expect("a local time")
}

#[test]
fn a_make_up_saturday_is_a_workday_and_a_holiday_friday_is_not() {
    let calendar = WorkCalendar::china_office();
    assert!(calendar.is_working(time("2026-05-09T10:00")), "Saturday that makes up for the May holiday");
    assert!(!calendar.is_working(time("2026-05-01T10:00")), "Friday inside the May holiday");
    assert!(!calendar.is_working(time("2026-05-16T10:00")), "an ordinary Saturday");
    assert_eq!(calendar.day("2026-05-09".parse().expect("a date")).name, "劳动节补班");
}

#[test]
fn a_time_in_a_holiday_rolls_over_it_forward_back_or_to_the_nearer_side() {
    let calendar = WorkCalendar::china_office();
    let inside = time("2026-10-02T09:00");
    assert_eq!(calendar.roll(inside, Roll::Forward), time("2026-10-08T09:00"));
    assert_eq!(calendar.roll(inside, Roll::Back), time("2026-09-30T17:59"));
    assert_eq!(calendar.roll(inside, Roll::Nearest), time("2026-09-30T17:59"));
    assert_eq!(calendar.roll(inside, Roll::Stay), inside);
    // The Spring Festival of 2026 begins after a make-up Saturday and ends before an ordinary Tuesday.
    assert_eq!(calendar.roll(time("2026-02-18T09:00"), Roll::Back), time("2026-02-14T17:59"));
    assert_eq!(calendar.roll(time("2026-02-18T09:00"), Roll::Forward), time("2026-02-24T09:00"));
}

#[test]
fn a_time_in_the_lunch_break_or_after_hours_rolls_to_the_next_stretch() {
    let calendar = WorkCalendar::china_office();
    assert_eq!(calendar.roll(time("2026-03-04T12:00"), Roll::Forward), time("2026-03-04T13:30"));
    assert_eq!(calendar.roll(time("2026-03-06T18:00"), Roll::Forward), time("2026-03-09T09:00"));
    assert_eq!(calendar.roll(time("2026-03-04T07:00"), Roll::Back), time("2026-03-03T17:59"));
}

#[test]
fn working_minutes_pass_over_lunch_nights_and_holidays_only() {
    let calendar = WorkCalendar::china_office();
    assert_eq!(calendar.add_working(time("2026-03-04T11:00"), 120), time("2026-03-04T14:30"));
    assert_eq!(calendar.add_working(time("2026-03-04T09:00"), 450), time("2026-03-04T18:00"));
    assert_eq!(calendar.add_working(time("2026-03-06T17:00"), 61), time("2026-03-09T09:01"));
    assert_eq!(calendar.add_working(time("2026-09-30T17:00"), 120), time("2026-10-08T10:00"));
    // From outside working time the count starts at the next working time.
    assert_eq!(calendar.add_working(time("2026-03-07T03:00"), 0), time("2026-03-09T09:00"));
}

#[test]
fn own_days_lie_above_the_statutory_ones() {
    let mut calendar = WorkCalendar::china_office();
    let may_first = "2026-05-01".parse().expect("a date");
    calendar.days.insert(may_first, Special { working: true, name: "fair".into() });
    assert!(calendar.is_working(time("2026-05-01T10:00")));
    let ordinary = "2026-03-04".parse().expect("a date");
    calendar.days.insert(ordinary, Special { working: false, name: "outing".into() });
    assert!(!calendar.is_working(time("2026-03-04T10:00")));
}

#[test]
fn a_calendar_whose_days_are_all_off_leaves_a_time_where_it_is() {
    let calendar = WorkCalendar { week: Default::default(), china: false, days: BTreeMap::new() };
    let local = time("2026-03-04T10:00");
    assert_eq!(calendar.roll(local, Roll::Forward), local);
    assert_eq!(calendar.add_working(local, 30), time("2026-03-04T10:30"));
}

#[test]
fn a_provisional_year_knows_the_days_of_the_law_and_says_so() {
    let calendar = WorkCalendar::china_office();
    let festival = calendar.day("2027-02-06".parse().expect("a date"));
    assert!(!festival.working && !festival.announced);
    assert!(calendar.day("2026-10-10".parse().expect("a date")).announced);
}
