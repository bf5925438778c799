//! What a change of the facts may change: L4 (more grants, more guards), L5 (order, duplicates), L13 (the unrelated).

use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, sample::Index};
use revisit_laws::{
    engine,
    law::Law,
    naive::{self, World},
    world::{self, case},
};
use revisit_permission::{Facts, Snapshot};

use crate::{answer, at_most, decide, everywhere};

/// The id of what a law adds to a world.
const ADDED: naive::Id = 77;

#[test]
fn l4_a_grant_never_removes_and_a_guard_never_adds() {
    let cases = (case(), world::grant(5), world::guard());
    Law::new("L4", 1_500, 100_000).holds(&cases, |(case, grant, guard), tally| {
        let before = engine::snapshot(&case.world);
        let mut granted = case.world.clone();
        granted.grants.push(naive::Grant { id: ADDED + 100, ..grant });
        let granted = engine::snapshot(&granted);
        let mut guarded = case.world.clone();
        guarded.guards.push(naive::Guard { id: ADDED + 100, ..guard });
        let guarded = engine::snapshot(&guarded);
        everywhere(&case, tally, |subject, action, row| {
            let answer = |snapshot| answer(decide(snapshot, subject, action, row, case.now));
            prop_assert!(at_most(answer(&before), answer(&granted)), "the grant removed something");
            prop_assert!(at_most(answer(&guarded), answer(&before)), "the guard added something");
            Ok(())
        })
    });
}

#[test]
fn l5_order_and_duplicates_do_not_matter() {
    let cases = (case(), vec(any::<Index>(), 64));
    Law::new("L5", 1_500, 100_000).holds(&cases, |(case, order), tally| {
        let mut changes = engine::changes(&case.world);
        let snapshot = engine::snapshot(&case.world);
        for (place, index) in order.iter().enumerate() {
            let other = index.index(changes.len());
            let place = place % changes.len();
            changes.swap(place, other);
        }
        changes.extend_from_within(..changes.len() / 2);
        let facts = Facts::of(engine::tenant(case.world.tenant), &changes);
        prop_assert_eq!(facts.changes(), engine::facts(&case.world).changes());
        let shuffled = Snapshot::compile(&facts, case.world.revision);
        let doubled = engine::snapshot(&doubled(&case.world));
        everywhere(&case, tally, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            prop_assert_eq!(decide(&shuffled, subject, action, row, case.now), decision);
            prop_assert_eq!(decide(&doubled, subject, action, row, case.now), decision);
            Ok(())
        })
    });
}

/// Every grant and guard once more, under an id of its own behind the others.
fn doubled(world: &World) -> World {
    let mut doubled = world.clone();
    doubled.grants.extend(world.grants.iter().map(|it| naive::Grant { id: it.id + 100, ..it.clone() }));
    doubled.guards.extend(world.guards.iter().map(|it| naive::Guard { id: it.id + 100, ..it.clone() }));
    doubled
}

#[test]
fn l13_unrelated_users_roles_and_rows_change_nothing() {
    let cases = (case(), world::right(), world::guard());
    Law::new("L13", 1_500, 100_000).holds(&cases, |(case, right, guard), tally| {
        let snapshot = engine::snapshot(&case.world);
        let mut fuller = case.world.clone();
        fuller.subjects.push(naive::Subject {
            id: ADDED,
            active: true,
            departments: vec![1],
            positions: vec![ADDED],
            manager: Some(1),
            account: None,
        });
        fuller.positions.push(naive::Position { id: ADDED, department: 1, roles: vec![ADDED] });
        fuller.roles.push(naive::Role { id: ADDED, rights: vec![right.clone()] });
        fuller.teams.push(naive::Team { id: ADDED, members: vec![ADDED], cap: [3; 5], window: (0, 10) });
        fuller.assignments.push(naive::Assignment { subject: ADDED, role: 1, added: Some((0, 7)) });
        fuller.grants.push(naive::Grant {
            id: ADDED,
            holder: ADDED,
            right,
            window: (3, 8),
            origin: naive::Origin::Direct,
        });
        fuller.guards.push(naive::Guard { id: ADDED, whom: naive::Whom::Subject(ADDED), ..guard });
        fuller.departments.push(naive::Department {
            id: ADDED,
            parent: None,
            head: Some(ADDED),
            merged: false,
            modules_off: vec!["sales"],
        });
        let fuller = engine::snapshot(&fuller);
        everywhere(&case, tally, |subject, action, row| {
            prop_assert_eq!(
                decide(&fuller, subject, action, row, case.now),
                decide(&snapshot, subject, action, row, case.now)
            );
            Ok(())
        })
    });
}

#[test]
fn changes_survive_storage() {
    Law::new("storage", 300, 300).holds(&case(), |case, tally| {
        let facts = engine::facts(&case.world);
        let stored: Vec<String> =
            facts.changes().iter().map(|change| serde_json::to_string(change).expect("a change is JSON")).collect();
        let loaded: Vec<_> =
            stored.iter().map(|change| serde_json::from_str(change).expect("and is read back")).collect();
        tally.count();
        prop_assert_eq!(Facts::of(facts.tenant(), &loaded).changes(), facts.changes());
        Ok(())
    });
}
