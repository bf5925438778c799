//! The same log gives the same alerts whoever chains it, and windows are forgotten in the order of their last entries.

use std::{collections::BTreeMap, time::Duration};

use proptest::prelude::*;

use super::*;
use crate::domain::alert::{Hours, Outcome};

const BEGIN: Timestamp = Timestamp::from_micros(1_782_871_200_000_000);
/// Short beside what the steps take: who goes on for longer than the log is read again shows whether what was told counts.
const WINDOW: Duration = Duration::from_secs(4 * 60);
/// One less than there are: windows are forgotten now and then.
const PEOPLE: usize = 8;
const NAMES: usize = 2;

fn limits() -> Limits {
    let limit = |rule: Rule| Limit {
        count: 4,
        window: if rule == Rule::DeniedBurst { WINDOW / 4 } else { WINDOW },
        reaction: if rule == Rule::BurstReads { Reaction::Freeze } else { Reaction::Tell },
    };
    let hours = Hours { zone: chrono_tz::UTC, begin: 0, end: 24, days: (1..=7).collect() };
    Limits { of: Rule::ALL.map(limit), hours }
}

fn seen(rule: Rule, who: u128, time: Timestamp, weight: u64) -> Seen {
    let who = Uuid::from_u128(who);
    let tried = rule == Rule::FailedLogIns;
    let denied = if rule == Rule::DeniedBurst { Outcome::Denied } else { Outcome::Done };
    let outcome = if tried { Outcome::Failed } else { denied };
    Seen {
        time,
        subject: (!tried).then_some(who),
        action: if tried { "auth.log_in" } else { "customer.view" }.to_owned(),
        outcome,
        reason: String::new(),
        count: weight,
        rows: if tried { vec![who] } else { (0..u128::from(weight)).map(Uuid::from_u128).collect() },
        names_nobody: false,
        names_fields: rule == Rule::BurstReads,
        gives_to: BTreeSet::new(),
        own_accounts: BTreeSet::new(),
    }
}

/// An entry, and who chains it after what.
#[derive(Clone, Debug)]
struct Step {
    seconds: u32,
    late_seconds: u32,
    seen: Seen,
    chained_by: usize,
    /// Whether who chains it has just been started.
    anew: bool,
    /// Whether a transaction with it came to nothing before.
    fails_first: bool,
}

fn step() -> impl Strategy<Value = Step> {
    let rule = prop::sample::select(vec![Rule::BurstReads, Rule::DeniedBurst, Rule::FailedLogIns]);
    let late = prop_oneof![3 => Just(0_u32), 1 => 0..WINDOW.as_secs() as u32];
    let seconds = prop_oneof![40 => 0..30_u32, 1 => 0..900_u32];
    (
        seconds,
        late,
        rule,
        0..3_u128,
        1..3_u64,
        any::<bool>(),
        0..2_usize,
        prop::bool::weighted(0.1),
        prop::bool::weighted(0.1),
    )
        .prop_map(|(seconds, late_seconds, rule, who, weight, name, chained_by, anew, fails_first)| {
            let seen = Seen { names_nobody: name && rule == Rule::FailedLogIns, ..seen(rule, who, BEGIN, weight) };
            Step { seconds, late_seconds, seen, chained_by, anew, fails_first }
        })
}

/// The log and the table of alerts.
#[derive(Default)]
struct Kept {
    log: Vec<Seen>,
    told: BTreeMap<i64, BTreeSet<(Rule, Uuid)>>,
}

impl Kept {
    /// Reads what an engine has missed, as a replica does.
    fn recall(&self, engine: &mut Engine, after: Option<Timestamp>, limits: &Limits) {
        for (number, seen) in (1_i64..).zip(&self.log).filter(|(number, _)| *number > engine.number).collect::<Vec<_>>()
        {
            if after.is_none_or(|after| seen.time > after) {
                engine.recall(number, seen, limits, &self.told.get(&number).cloned().unwrap_or_default());
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn two_replicas_that_take_turns_and_restart_tell_what_one_tells(steps in prop::collection::vec(step(), 1..240)) {
        let limits = limits();
        let (mut alone, mut expected) = (Engine::up_to(PEOPLE, NAMES), Vec::new());
        let (mut kept, mut found) = (Kept::default(), Vec::new());
        let mut replicas = [None, None];
        let mut now = BEGIN;
        for (number, step) in (1_i64..).zip(&steps) {
            now = now + Duration::from_secs(u64::from(step.seconds));
            let entry = Seen { time: now - Duration::from_secs(u64::from(step.late_seconds)), ..step.seen.clone() };
            expected.extend(alone.take(number, &entry, &limits));

            let replica = &mut replicas[step.chained_by];
            let mut engine = match replica.take().filter(|_| !step.anew) {
                Some(mut engine) => {
                    kept.recall(&mut engine, None, &limits);
                    engine
                }
                None => {
                    let mut engine = Engine::up_to(PEOPLE, NAMES);
                    kept.recall(&mut engine, Some(now - limits.reach()), &limits);
                    engine
                }
            };
            if step.fails_first {
                engine.open();
                engine.take(number, &seen(Rule::BurstReads, 2, now, 9), &limits);
                engine.take(number + 1, &entry, &limits);
                engine.take_back();
            }
            engine.open();
            let alerts = engine.take(number, &entry, &limits);
            engine.close();
            kept.told.insert(number, alerts.iter().map(|it| (it.rule, it.about)).collect());
            kept.log.push(entry);
            found.extend(alerts);
            *replica = Some(engine);
        }
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn names_that_nobody_has_make_nobody_forgotten() {
    let limits = limits();
    let mut engine = Engine::default();
    assert_eq!(engine.take(1, &seen(Rule::BurstReads, 1, BEGIN, 3), &limits), []);
    for number in 2..40_000_i64 {
        let invented = u128::from(number.unsigned_abs()) + 1_000;
        let tried = Seen { names_nobody: true, ..seen(Rule::FailedLogIns, invented, BEGIN, 1) };
        engine.take(number, &tried, &limits);
    }
    assert_eq!(engine.names.of.len(), NAMES_MAX);
    let alerts = engine.take(40_000, &seen(Rule::BurstReads, 1, BEGIN, 1), &limits);
    assert_eq!(alerts.len(), 1, "three and one");
}

#[test]
fn of_too_many_people_those_are_forgotten_whose_last_entry_is_oldest() {
    let limits = limits();
    let mut engine = Engine::up_to(2, 0);
    // One part of time for all of them: what counts is who came last.
    for (number, who) in [(1, 1), (2, 2), (3, 1), (4, 3)] {
        engine.take(number, &seen(Rule::BurstReads, who, BEGIN, 1), &limits);
    }
    let left: BTreeSet<Key> = engine.people.of.keys().copied().collect();
    assert_eq!(left, [1, 3].map(|who| (Rule::BurstReads, Uuid::from_u128(who))).into());
    assert_eq!(engine.people.by_last.len(), 2, "and nothing is left of who is gone");
}
