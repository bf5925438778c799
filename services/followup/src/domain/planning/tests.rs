//! What standing makes which occurrences.

use revisit_core::Id;
use uuid::Uuid;

use super::*;
use crate::{
    domain::{plan::shipped, task::Channel},
    schedule::{Fold, Gap, Leap, Unit},
};

fn local(text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").expect("a local time")
}
fn at(text: &str) -> Timestamp {
    schedule::instant(local(text), chrono_tz::Asia::Shanghai)
}
fn standing(now: &str) -> Standing {
    Standing {
        now: at(now),
        zone: chrono_tz::Asia::Shanghai,
        entered_at: at(now),
        stage: Some("lead".into()),
        grade: Some("A".into()),
        last_inbound_at: None,
        last_closed: BTreeMap::new(),
        ended: BTreeMap::new(),
        taken: BTreeMap::new(),
        dates: BTreeMap::new(),
    }
}
fn definition(key: &str) -> Definition {
    shipped().into_iter().find(|shipped| shipped.key == key).expect("it ships").definition
}
fn opens(standing: &Standing, definition: &Definition) -> Vec<String> {
    let made = standing.occurrences(definition, &WorkCalendar::china_office());
    made.iter().map(|one| schedule::local(one.open_at, standing.zone).format("%Y-%m-%dT%H:%M").to_string()).collect()
}

#[test]
fn the_default_policy_follows_a_up_weekly_b_monthly_and_c_on_a_track() {
    let mut entered = standing("2026-03-04T15:00");
    assert_eq!(opens(&entered, &definition("grade_a_weekly")), ["2026-03-11T09:00"]);
    // 4 April 2026 begins the Qingming holiday; the next working day is the 7th.
    assert_eq!(opens(&entered, &definition("grade_b_monthly")), ["2026-04-07T09:00"]);
    entered.now = at("2026-03-12T10:00");
    entered.last_closed.insert("regular".into(), at("2026-03-12T10:00"));
    assert_eq!(opens(&entered, &definition("grade_a_weekly")), ["2026-03-19T09:00"]);
    let track = entered.of_event(
        &definition("grade_c_conversion"),
        &WorkCalendar::china_office(),
        (&TriggerEvent::Enrolled, "entered/x"),
    );
    assert_eq!(track.len(), 5);
    assert!(track.windows(2).all(|pair| pair[0].open_at < pair[1].open_at));
}

#[test]
fn a_regraded_customer_keeps_no_occurrence_of_steps_for_the_former_grade() {
    let mut definition = definition("grade_a_weekly");
    definition.steps[0].grades = vec!["A".into()];
    let mut moved = standing("2026-03-04T15:00");
    moved.grade = Some("B".into());
    assert_eq!(opens(&moved, &definition), Vec::<String>::new());
    assert!(steps_differ(&definition, (None, Some("A")), (None, Some("B"))));
    assert!(!steps_differ(&definition, (None, Some("B")), (None, Some("C"))));
}

#[test]
fn silence_counts_from_the_last_that_was_heard() {
    let mut quiet = standing("2026-03-02T10:00");
    assert_eq!(opens(&quiet, &definition("silence_nudge")), ["2026-03-16T09:00"]);
    quiet.last_inbound_at = Some(at("2026-03-04T18:00"));
    quiet.now = at("2026-03-04T18:00");
    assert_eq!(opens(&quiet, &definition("silence_nudge")), ["2026-03-18T09:00"]);
}

#[test]
fn a_birthday_opens_on_its_local_date_whatever_day_that_is() {
    let mut born = standing("2026-02-01T10:00");
    born.dates.insert("birthday".into(), "1992-02-29".parse().expect("a date"));
    // 28 February 2026 is a Saturday; the shipped plan does not roll.
    assert_eq!(opens(&born, &definition("birthday")), ["2026-02-28T09:00"]);
    let definition = definition("birthday");
    let next = born.after_opening(&definition.steps[0], &WorkCalendar::china_office(), local("2026-02-28T09:00"));
    assert_eq!(next.len(), 1);
    assert_eq!(next[0].nominal, local("2027-02-28T09:00"));
}

#[test]
fn a_date_that_comes_once_is_over_when_it_has_passed() {
    let mut definition = definition("birthday");
    let trigger =
        Trigger::Date { field: "contract_end".into(), offset_days: -30, yearly: false, leap: Leap::February28 };
    definition.steps[0].trigger = trigger;
    let mut ends = standing("2026-03-02T10:00");
    ends.dates.insert("contract_end".into(), "2026-04-15".parse().expect("a date"));
    assert_eq!(opens(&ends, &definition), ["2026-03-16T09:00"]);
    ends.now = at("2026-03-17T10:00");
    assert_eq!(opens(&ends, &definition), Vec::<String>::new());
}

#[test]
fn the_same_standing_makes_the_same_task_and_another_generation_another() {
    let enrolment = |generation| Enrolment {
        tenant: Id::from_uuid(Uuid::from_u128(1)),
        id: Enrolment::id_of(
            Id::from_uuid(Uuid::from_u128(1)),
            Id::from_uuid(Uuid::from_u128(2)),
            Id::from_uuid(Uuid::from_u128(3)),
        ),
        plan: Id::from_uuid(Uuid::from_u128(2)),
        plan_version: 1,
        customer: Id::from_uuid(Uuid::from_u128(3)),
        state: crate::domain::plan::EnrolmentState::Active,
        generation,
        zone: "Asia/Shanghai".into(),
        reason: Reason::Entered,
        entered_at: at("2026-03-04T15:00"),
        last_completed_at: None,
        version: 1,
    };
    let definition = definition("grade_a_weekly");
    let calendar = WorkCalendar::china_office();
    let make = |generation, now: &str| {
        let mut standing = standing(now);
        standing.entered_at = at("2026-03-04T15:00");
        let made = standing.occurrences(&definition, &calendar).remove(0);
        task(&enrolment(generation), &definition, made, standing.now).expect("the step is there").id
    };
    assert_eq!(make(1, "2026-03-04T15:00"), make(1, "2026-03-05T08:00"));
    assert_ne!(make(1, "2026-03-04T15:00"), make(2, "2026-03-04T15:00"));
}

#[test]
fn an_occurrence_that_ended_does_not_stand_in_the_way_of_another_at_the_same_time() {
    let mut again = standing("2026-03-04T15:00");
    let calendar = WorkCalendar::china_office();
    let first = again.occurrences(&definition("grade_a_weekly"), &calendar);
    again.ended.insert("regular".into(), 1);
    let second = again.occurrences(&definition("grade_a_weekly"), &calendar);
    assert_eq!(first[0].open_at, second[0].open_at);
    assert_ne!(first[0].key, second[0].key);
}

#[test]
fn reminders_before_due_lie_in_working_time_and_after_opening() {
    let zone = chrono_tz::Asia::Shanghai;
    let window = Window { open_at: at("2026-03-06T09:00"), due_at: at("2026-03-09T10:00"), zone };
    let reminders = Reminders {
        at_open: true,
        before_minutes: vec![30, 120, 10_000],
        at_due: true,
        overdue_after_minutes: Some(60),
        escalate_after_minutes: Some(450),
    };
    let agenda = window.agenda(&reminders, &WorkCalendar::china_office());
    let times: Vec<_> = agenda
        .moments()
        .iter()
        .map(|moment| (schedule::local(moment.at, zone).format("%d %H:%M").to_string(), moment.kind))
        .collect();
    let expected = [
        // Two hours before due is Monday before work: the last working minute of Friday.
        ("06 17:59".to_owned(), TimerKind::Before(1)),
        ("09 09:30".to_owned(), TimerKind::Before(0)),
        ("09 10:00".to_owned(), TimerKind::Due),
        ("09 11:00".to_owned(), TimerKind::Overdue),
        ("10 10:00".to_owned(), TimerKind::Escalate),
    ];
    assert_eq!(times, expected);
}

#[test]
fn fixed_dates_go_on_after_each_opening_and_missed_ones_coalesce() {
    let mut definition = definition("grade_a_weekly");
    let start = Some("2026-03-02".parse().expect("a date"));
    definition.steps[0].trigger =
        Trigger::Cadence { every: 1, unit: Unit::Week, anchor: Anchor::FixedDates(start), first_after_days: None };
    let late = standing("2026-03-25T08:00");
    let next = late.after_opening(&definition.steps[0], &WorkCalendar::china_office(), local("2026-03-02T09:00"));
    let told: Vec<_> = next.iter().map(|one| (one.key.as_str(), one.skipped)).collect();
    let missed = |key| (key, Some(Reason::Coalesced));
    assert_eq!(
        told,
        [
            missed("2026-03-09T09:00"),
            missed("2026-03-16T09:00"),
            missed("2026-03-23T09:00"),
            ("2026-03-30T09:00", None)
        ]
    );
}

#[test]
fn after_a_long_standstill_a_bounded_number_of_missed_dates_is_kept_and_the_plan_goes_on() {
    let mut definition = definition("grade_a_weekly");
    let start = Some("2020-01-01".parse().expect("a date"));
    definition.steps[0].trigger =
        Trigger::Cadence { every: 1, unit: Unit::Day, anchor: Anchor::FixedDates(start), first_after_days: None };
    let late = standing("2026-03-25T08:00");
    let next = late.after_opening(&definition.steps[0], &WorkCalendar::china_office(), local("2020-01-01T09:00"));
    assert_eq!((next.len(), next.iter().filter(|one| one.skipped.is_none()).count()), (SKIPS_MAX + 1, 1));
    assert_eq!(next.last().map(|one| one.key.as_str()), Some("2026-03-25T09:00"));
}

#[test]
fn a_time_in_a_gap_is_skipped_to_the_next_date_and_one_in_a_fold_can_count_twice() {
    let mut definition = definition("grade_a_weekly");
    let step = &mut definition.steps[0];
    step.channel = Channel::Phone;
    step.roll = Roll::Stay;
    step.time_of_day = "02:30:00".parse().expect("a time");
    step.gap = Gap::Skip;
    step.fold = Fold::Both;
    let start = Some("2026-03-01".parse().expect("a date"));
    step.trigger =
        Trigger::Cadence { every: 1, unit: Unit::Day, anchor: Anchor::FixedDates(start), first_after_days: None };
    let zone = chrono_tz::Europe::Berlin;
    let keys = |now: &str| {
        let now = schedule::instant(local(now), zone);
        let standing = Standing { now, zone, entered_at: now, ..standing("2026-03-01T00:00") };
        let made = standing.occurrences(&definition, &WorkCalendar::china_office());
        made.into_iter().map(|one| (one.key, one.skipped)).collect::<Vec<_>>()
    };
    let key = |text: &str, skipped| (text.to_owned(), skipped);
    let gap = key("2026-03-29T02:30", Some(Reason::Gap));
    assert_eq!(keys("2026-03-28T12:00"), [gap, key("2026-03-30T02:30", None)], "02:30 does not exist on the 29th");
    assert_eq!(keys("2026-10-24T12:00"), [key("2026-10-25T02:30", None), key("2026-10-25T02:30#1", None)]);
}
