//! The laws of the permission model in memory. A broken one prints the smallest world that breaks it.
//!
//! L3 needs databases, and what L12 says of whole answers the services: they stand among the behaviour tests.
#![expect(clippy::expect_used, reason = "a test's panic is its report, also in the functions that tests share")]

mod changes;
mod corpus;
mod delegation;
mod mix;
mod oracle;
mod tenants;
mod time;
mod veil;
mod witness;

use proptest::test_runner::TestCaseError;
use revisit_laws::{
    engine,
    law::Tally,
    naive,
    world::{ACTIONS, Case},
};
use revisit_permission::{Decision, Snapshot};

/// A subject that no world knows.
const NOBODY: naive::Id = 99;

/// Calls `law` with every subject (an unknown one too), action and row of a case.
fn everywhere(
    case: &Case,
    tally: &Tally,
    mut law: impl FnMut(naive::Id, &'static str, &naive::Row) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for subject in case.world.subjects.iter().map(|subject| subject.id).chain([NOBODY]) {
        for action in ACTIONS {
            for row in &case.rows {
                tally.count();
                law(subject, action, row)?;
            }
        }
    }
    Ok(())
}

fn decide(snapshot: &Snapshot, subject: naive::Id, action: &str, row: &naive::Row, now: naive::Time) -> Decision {
    snapshot.decide(engine::subject(subject), engine::action(action), &engine::row(row), engine::time(now))
}

/// What the engine says in the oracle's words.
fn answer(decision: Decision) -> Option<naive::Levels> {
    decision.allowed.then(|| engine::plain_levels(decision.levels))
}

/// Whether one answer gives at most what the other gives.
fn at_most(less: Option<naive::Levels>, more: Option<naive::Levels>) -> bool {
    match (less, more) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(less), Some(more)) => less.iter().zip(more).all(|(less, more)| *less <= more),
    }
}
