//! The engine against the oracle: one decision, a list (L1), who may (L2).

use proptest::{prop_assert, prop_assert_eq};
use revisit_core::id::SubjectId;
use revisit_laws::{
    engine,
    law::Law,
    naive,
    world::{ACTIONS, TYPES, case},
};
use revisit_permission::{Asked, Name};

use crate::{answer, decide, everywhere};

#[test]
fn a_decision_is_what_the_page_says() {
    Law::new("page", 1_500, 100_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, tally, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            let expected = case.world.decide(subject, action, row, case.now);
            prop_assert_eq!(answer(decision), expected, "subject {} {} {:?}", subject, action, row);
            prop_assert!(decision.allowed || engine::plain_levels(decision.levels) == naive::hidden());
            prop_assert_eq!(decision.witness.refused().is_none(), decision.allowed);
            Ok(())
        })
    });
}

#[test]
fn l1_the_list_is_every_row_that_passes_the_check() {
    Law::new("L1", 1_500, 100_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        let now = engine::time(case.now);
        everywhere(&case, tally, |subject, action, row| {
            let seen = engine::row(row);
            let asked = Asked::on(engine::action(action), seen.external.as_ref());
            let predicate = snapshot.predicate(engine::subject(subject), asked);
            let listed = predicate.check(&seen, now).is_some();
            prop_assert_eq!(listed, case.world.decide(subject, action, row, case.now).is_some());
            prop_assert!(!listed || predicate.possible(now), "a scope that holds a row is possible");
            Ok(())
        })
    });
}

#[test]
fn a_list_of_one_type_holds_no_row_of_another() {
    Law::new("L1-types", 500, 50_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        let now = engine::time(case.now);
        everywhere(&case, tally, |subject, action, row| {
            let seen = engine::row(row);
            for name in TYPES.map(Name::from) {
                let asked = Asked::on(engine::action(action), Some(&name));
                let listed = snapshot.predicate(engine::subject(subject), asked).check(&seen, now).is_some();
                let allowed = case.world.decide(subject, action, row, case.now).is_some();
                prop_assert_eq!(listed, allowed && seen.external.as_ref() == Some(&name));
            }
            let ours = snapshot.predicate(engine::subject(subject), engine::action(action));
            prop_assert!(seen.external.is_none() || ours.check(&seen, now).is_none());
            Ok(())
        })
    });
}

#[test]
fn l2_who_can_see_a_row_is_every_subject_that_passes_the_check() {
    Law::new("L2", 1_500, 80_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        for action in ACTIONS {
            for row in &case.rows {
                let who = snapshot.who(engine::action(action), &engine::row(row), engine::time(case.now));
                let expected = case.world.who(action, row, case.now);
                case.world.subjects.iter().for_each(|_| tally.count());
                prop_assert_eq!(who, expected.into_iter().map(engine::subject).collect::<Vec<SubjectId>>());
            }
        }
        Ok(())
    });
}
