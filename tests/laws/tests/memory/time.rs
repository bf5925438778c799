//! L8: an answer stays the same until the instant that it names.

use std::collections::BTreeSet;

use proptest::{prop_assert, prop_assert_eq};
use revisit_core::Timestamp;
use revisit_laws::{
    engine,
    law::Law,
    naive::{NEVER, World},
    world::{Case, TIME_MAX, case},
};

use crate::{answer, decide, everywhere};

#[test]
fn l8_the_answer_is_constant_until_it_says() {
    Law::new("L8", 1_500, 100_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        let edges = edges(&case);
        everywhere(&case, tally, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            prop_assert!(decision.valid_until > engine::time(case.now));
            prop_assert!(edges.contains(&decision.valid_until), "nothing begins or ends at {:?}", decision.valid_until);
            // Behind the last edge that is drawn nothing can change any more.
            for later in (case.now..=TIME_MAX).take_while(|at| engine::time(*at) < decision.valid_until) {
                prop_assert_eq!(answer(decide(&snapshot, subject, action, row, later)), answer(decision));
            }
            Ok(())
        })
    });
}

/// Every instant at which something of a case begins or ends, and the end of time.
fn edges(case: &Case) -> BTreeSet<Timestamp> {
    let World { assignments, teams, grants, guards, .. } = &case.world;
    let roles = assignments.iter().filter_map(|it| it.added);
    let windows = roles.chain(teams.iter().map(|it| it.window)).chain(grants.iter().map(|it| it.window));
    let windows = windows.chain(guards.iter().map(|it| it.window)).filter(|(from, until)| from < until);
    let tasks = case.rows.iter().flat_map(|row| &row.holders).map(|it| it.until);
    windows.flat_map(|(from, until)| [from, until]).chain(tasks).chain([NEVER]).map(engine::time).collect()
}
