//! Each rule at its limit, just below it, and again in the same window.

use super::*;

const MINUTE: Duration = Duration::from_secs(60);
/// Wednesday, 2026-07-01, 10:00 in Shanghai.
const MORNING: Timestamp = Timestamp::from_micros(1_782_871_200_000_000);

fn limits(count: u64) -> Limits {
    let limit = Limit { count, window: 16 * MINUTE, reaction: Reaction::Tell };
    let hours = Hours { zone: chrono_tz::Asia::Shanghai, begin: 8, end: 20, days: vec![1, 2, 3, 4, 5, 6] };
    Limits { of: [limit; Rule::ALL.len()], hours }
}

fn person(number: u128) -> Uuid {
    Uuid::from_u128(number)
}

fn seen(time: Timestamp) -> Seen {
    Seen {
        time,
        subject: Some(person(1)),
        action: String::new(),
        outcome: Outcome::Done,
        reason: String::new(),
        count: 0,
        rows: Vec::new(),
        names_nobody: false,
        names_fields: false,
        gives_to: BTreeSet::new(),
        own_accounts: BTreeSet::new(),
    }
}

fn read(time: Timestamp, rows: u128) -> Seen {
    let rows = (0..rows).map(Uuid::from_u128).collect();
    Seen { action: "customer.view".to_owned(), names_fields: true, rows, ..seen(time) }
}

/// An entry that weighs one for a rule.
fn one(rule: Rule, time: Timestamp) -> Seen {
    let night = time + 12 * 60 * MINUTE;
    match rule {
        Rule::BurstReads => read(time, 1),
        Rule::BulkExport => Seen { action: "customer.export".to_owned(), count: 1, ..seen(time) },
        Rule::OffHours => Seen { action: "customer.export".to_owned(), ..seen(night) },
        Rule::SelfGrant => Seen { gives_to: [person(1)].into(), ..seen(time) },
        Rule::MassGrant => Seen { gives_to: [person(2)].into(), ..seen(time) },
        Rule::DeniedBurst => Seen { outcome: Outcome::Denied, ..seen(time) },
        Rule::FailedLogIns => Seen {
            action: "auth.log_in".to_owned(),
            outcome: Outcome::Failed,
            rows: vec![person(1)],
            subject: None,
            ..seen(time)
        },
        Rule::DuplicateBudget => Seen { reason: "DUPLICATE_BUDGET".to_owned(), ..seen(time) },
    }
}

fn told(engine: &mut Engine, seen: &Seen, limits: &Limits) -> Vec<Rule> {
    engine.take(engine.number + 1, seen, limits).into_iter().map(|alert| alert.rule).collect()
}

#[test]
fn each_rule_tells_at_its_limit_and_once_in_a_window() {
    for rule in Rule::ALL {
        let mut engine = Engine::default();
        // The other rules are off.
        let mut limits = limits(0);
        limits.of[rule as usize - 1].count = 3;
        let at = |minute: u32| MORNING + minute * MINUTE;
        assert_eq!(told(&mut engine, &one(rule, at(0)), &limits), [], "{rule:?}");
        assert_eq!(told(&mut engine, &one(rule, at(1)), &limits), [], "{rule:?}");
        assert_eq!(told(&mut engine, &one(rule, at(2)), &limits), [rule]);
        assert_eq!(told(&mut engine, &one(rule, at(3)), &limits), [], "{rule:?} was told");
        // What was counted is over, and so is the silence.
        assert_eq!(told(&mut engine, &one(rule, at(40)), &limits), [], "{rule:?}");
        assert_eq!(told(&mut engine, &one(rule, at(41)), &limits), [], "{rule:?}");
        assert_eq!(told(&mut engine, &one(rule, at(42)), &limits), [rule], "again");
    }
}

#[test]
fn what_ends_sessions_counts_anew_and_tells_again_in_the_same_window() {
    let (mut engine, mut limits) = (Engine::default(), limits(3));
    limits.of.iter_mut().for_each(|limit| limit.reaction = Reaction::Freeze);
    let rounds = (0..9).map(|second| told(&mut engine, &read(MORNING + Duration::from_secs(second), 1), &limits));
    let rounds: Vec<bool> = rounds.map(|told| told == [Rule::BurstReads]).collect();
    assert_eq!(rounds, [false, false, true, false, false, true, false, false, true]);
}

#[test]
fn what_lies_further_apart_than_the_window_is_not_added_up() {
    let (mut engine, limits) = (Engine::default(), limits(3));
    for hour in 0..9 {
        assert_eq!(told(&mut engine, &read(MORNING + hour * 17 * MINUTE, 2), &limits), [], "{hour}");
    }
}

#[test]
fn what_two_people_do_is_counted_for_each() {
    let (mut engine, limits) = (Engine::default(), limits(3));
    let other = |rows| Seen { subject: Some(person(2)), ..read(MORNING, rows) };
    assert_eq!(told(&mut engine, &read(MORNING, 2), &limits), []);
    assert_eq!(told(&mut engine, &other(2), &limits), []);
    assert_eq!(told(&mut engine, &other(1), &limits), [Rule::BurstReads]);
}

#[test]
fn a_rule_without_a_limit_is_off_and_what_is_refused_is_no_read() {
    let mut engine = Engine::default();
    assert_eq!(told(&mut engine, &read(MORNING, 1_000), &limits(0)), []);
    let refused = Seen { outcome: Outcome::Denied, ..read(MORNING, 1_000) };
    assert_eq!(told(&mut engine, &refused, &limits(2)), []);
    // A page that shows no value clear names no field and is not even written.
    let masked = Seen { names_fields: false, ..read(MORNING, 1_000) };
    assert_eq!(told(&mut engine, &masked, &limits(2)), []);
}

#[test]
fn rows_that_leave_clear_in_an_export_count_as_reads_and_the_export_as_one_act() {
    let mut engine = Engine::default();
    let mut limits = limits(5);
    limits.of[Rule::OffHours as usize - 1].count = 2;
    let night = MORNING + 12 * 60 * MINUTE;
    let export = |time| Seen { action: "customer.export".to_owned(), count: 4, ..seen(time) };
    let clear = |rows| Seen { action: "customer.export".to_owned(), ..read(night, rows) };
    assert_eq!(told(&mut engine, &export(night), &limits), []);
    assert_eq!(told(&mut engine, &clear(4), &limits), [], "neither more rows exported nor a second act at night");
    assert_eq!(told(&mut engine, &read(night, 1), &limits), [Rule::BurstReads, Rule::OffHours]);
    let masked = Seen { count: 1, ..export(night) };
    assert_eq!(told(&mut Engine::default(), &masked, &limits), [], "what leaves masked is not read");
}

#[test]
fn refused_questions_that_stand_in_one_entry_weigh_as_many() {
    let mut engine = Engine::default();
    let mut limits = limits(0);
    limits.of[Rule::DuplicateBudget as usize - 1].count = 8;
    let rest = Seen { count: 7, ..one(Rule::DuplicateBudget, MORNING) };
    assert_eq!(told(&mut engine, &one(Rule::DuplicateBudget, MORNING), &limits), []);
    assert_eq!(told(&mut engine, &rest, &limits), [Rule::DuplicateBudget]);
}

#[test]
fn working_hours_end_at_the_hour_and_do_not_hold_on_free_days() {
    let hours = limits(1).hours;
    let at = |hour: u32| MORNING + hour * 60 * MINUTE;
    assert!(hours.cover(MORNING) && hours.cover(at(9)));
    assert!(!hours.cover(at(10)), "20:00");
    assert!(!hours.cover(at(4 * 24)), "Sunday");
}

#[test]
fn entries_out_of_order_are_counted_where_they_belong() {
    let (mut engine, limits) = (Engine::default(), limits(4));
    assert_eq!(told(&mut engine, &read(MORNING + 5 * MINUTE, 2), &limits), []);
    assert_eq!(told(&mut engine, &read(MORNING, 1), &limits), []);
    assert_eq!(told(&mut engine, &read(MORNING + 2 * MINUTE, 1), &limits), [Rule::BurstReads]);
}

#[test]
fn rights_given_to_many_at_once_weigh_as_many_and_those_given_to_an_account_of_ones_own_are_given_to_oneself() {
    let mut limits = limits(0);
    limits.of[Rule::MassGrant as usize - 1].count = 3;
    limits.of[Rule::SelfGrant as usize - 1].count = 1;
    let mut engine = Engine::default();
    let gives = |to: &[u128]| Seen { gives_to: to.iter().copied().map(person).collect(), ..seen(MORNING) };
    assert_eq!(told(&mut engine, &gives(&[2, 3]), &limits), []);
    assert_eq!(told(&mut engine, &gives(&[4]), &limits), [Rule::MassGrant]);
    let own = Seen { own_accounts: [person(2)].into(), ..gives(&[2]) };
    assert_eq!(told(&mut Engine::default(), &own, &limits), [Rule::SelfGrant]);
}
