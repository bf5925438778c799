//! What decided: L6 (one grant alone, never two spliced) and L11 (the witness alone reproduces the decision).

use proptest::{prop_assert, prop_assert_eq};
use revisit_core::id::GuardId;
use revisit_laws::{
    engine,
    law::Law,
    naive::{Id, Levels, World},
    world::{Case, Holding, alone, case, holdings, stands_apart},
};
use revisit_permission::{Axis, Decision, GrantRef, Snapshot, Witness};

use crate::{answer, decide, everywhere};

#[test]
fn l6_what_is_given_is_given_by_single_grants() {
    Law::new("L6", 600, 40_000).holds(&case(), |case, tally| {
        let whole = engine::snapshot(&case.world);
        let of = |subject: Id| -> Vec<Snapshot> {
            let held = holdings(&case.world, subject).into_iter();
            held.map(|holding| engine::snapshot(&alone(&case.world, subject, holding))).collect()
        };
        let mut alone: (Id, Vec<Snapshot>) = (0, Vec::new());
        everywhere(&case, tally, |subject, action, row| {
            if !stands_apart(&case.world, subject) {
                return Ok(());
            }
            if alone.0 != subject {
                alone = (subject, of(subject));
            }
            let single = alone.1.iter().filter_map(|it| answer(decide(it, subject, action, row, case.now)));
            let together = answer(decide(&whole, subject, action, row, case.now));
            prop_assert_eq!(together, single.reduce(higher), "subject {} {} {:?}", subject, action, row);
            Ok(())
        })
    });
}

fn higher(one: Levels, other: Levels) -> Levels {
    std::array::from_fn(|layer| one[layer].max(other[layer]))
}

#[test]
fn l11_the_witness_alone_reproduces_the_decision() {
    Law::new("L11", 1_000, 70_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, tally, |subject, action, row| {
            if !stands_apart(&case.world, subject) {
                return Ok(());
            }
            let decision = decide(&snapshot, subject, action, row, case.now);
            let again = decide(&engine::snapshot(&left(&case, subject, decision)), subject, action, row, case.now);
            prop_assert_eq!(again.allowed, decision.allowed);
            prop_assert_eq!(again.witness, decision.witness, "subject {} {} {:?}", subject, action, row);
            prop_assert!(again.levels.within(decision.levels));
            Ok(())
        })
    });
}

/// The world with nothing left but what a decision names.
fn left(case: &Case, subject: Id, decision: Decision) -> World {
    let world = &case.world;
    match decision.witness {
        // Guards stay: what is allowed is allowed in spite of them.
        Witness::Grant(grant) => alone(world, subject, named(grant)),
        Witness::Guard(guard) => {
            let mut left = world.clone();
            left.guards.retain(|it| it.id == engine::number(guard));
            left
        }
        // A giver, too, is bound by guards.
        Witness::NearestMiss { axis: Axis::Parent, grant: Some(grant) } => alone(world, subject, named(grant)),
        Witness::NearestMiss { grant: Some(grant), .. } => {
            World { guards: Vec::new(), ..alone(world, subject, named(grant)) }
        }
        Witness::NearestMiss { grant: None, .. } => World { guards: Vec::new(), ..world.clone() },
        Witness::Own | Witness::Inactive | Witness::UnknownSubject | Witness::OtherTenant | Witness::Behind => {
            World { grants: Vec::new(), guards: Vec::new(), ..world.clone() }
        }
    }
}

#[test]
fn an_explanation_names_what_decided_and_every_guard_on_the_row() {
    Law::new("explained", 1_500, 100_000).holds(&case(), |case, tally| {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, tally, |subject, action, row| {
            let (who, what) = (engine::subject(subject), engine::action(action));
            let explained = snapshot.explain(who, what, &engine::row(row), engine::time(case.now));
            prop_assert_eq!(explained.decision, decide(&snapshot, subject, action, row, case.now));
            prop_assert_eq!(explained.refused, explained.decision.witness.refused());
            let guards: Vec<Id> = explained.guards.iter().map(|guard| engine::number(*guard)).collect();
            prop_assert_eq!(guards, case.world.guarded(subject, action, row, case.now));
            // A grant that matches has come farther than one that is refused on the last axis of grants.
            let reached = explained.considered.iter().map(|it| it.refused.unwrap_or(Axis::Guard));
            let farthest = reached.clone().max();
            let first = reached.zip(&explained.considered).find(|(axis, _)| Some(*axis) == farthest);
            let first = first.map(|(axis, it)| (axis.min(Axis::Parent), it.grant));
            match explained.decision.witness {
                Witness::Grant(grant) => {
                    prop_assert_eq!((farthest, first), (Some(Axis::Guard), Some((Axis::Parent, grant))));
                }
                Witness::Guard(guard) => {
                    prop_assert_eq!(explained.guards.iter().find(|it| denies(&case, **it)), Some(&guard));
                }
                Witness::NearestMiss { axis, grant: Some(grant) } => {
                    prop_assert_eq!(first, Some((axis, grant)));
                }
                Witness::NearestMiss { axis, grant: None } => {
                    prop_assert_eq!((axis.name(), first), (case.world.lacks(subject, action, row), None));
                }
                Witness::Own | Witness::Inactive | Witness::UnknownSubject | Witness::OtherTenant | Witness::Behind => {
                }
            }
            Ok(())
        })
    });
}

fn denies(case: &Case, guard: GuardId) -> bool {
    case.world.guards.iter().any(|it| it.id == engine::number(guard) && it.cap.is_none())
}

fn named(grant: GrantRef) -> Holding {
    match grant {
        GrantRef::Grant(id) => Holding::Grant(engine::number(id)),
        GrantRef::Role { role, template } => Holding::Role { role: engine::number(role), place: usize::from(template) },
        GrantRef::Position { position, role, template } => Holding::Position {
            position: engine::number(position),
            role: engine::number(role),
            place: usize::from(template),
        },
    }
}
