//! What is told as gained and lost is what decisions say, and subjects that are passed over have lost and gained nothing.

use std::collections::BTreeSet;

use super::*;
use crate::{
    Change, Effect, Exceptions, Extent, Guard, Layer, Level, Levels, Origin, Place, Reach, Removed, RowCondition, Whom,
    fixture::{
        ALWAYS, HEAD_OFFICE, NORTH, NORTH_MANAGER, NOW, REP_ONE, SALES_LEAD, SOUTH, SOUTH_REP, STORE_ONE, STORE_TWO,
        actions, assign, company, customer, department, grant_id, id, role, user,
    },
    model::Role,
    rule::{Grant, Template},
};

fn comparison(changes: &[Change]) -> Comparison {
    let before = company();
    let mut after = before.clone();
    changes.iter().for_each(|change| after.apply(change));
    Comparison::new(Snapshot::compile(&before, 7), Snapshot::compile(&after, 8))
}

fn share(levels: Levels) -> Change {
    Change::Grant(Grant {
        id: grant_id(1),
        holder: id(SOUTH_REP),
        actions: actions(&[Action::CustomerView]),
        extent: Extent::Subtree(Place::At(id(NORTH))),
        stages: None,
        grades: None,
        external: None,
        levels,
        from: ALWAYS.0,
        until: ALWAYS.1,
        origin: Origin::Direct,
    })
}

fn guard() -> Change {
    Change::Guard(Guard {
        id: id(20),
        whom: Whom::Everyone,
        except: Exceptions { owner: false, managers: true, subjects: Vec::new() },
        actions: actions(&[Action::CustomerView]),
        condition: RowCondition { vip: true, ..RowCondition::default() },
        effect: Effect::Deny,
        from: ALWAYS.0,
        until: ALWAYS.1,
        reason: String::new(),
    })
}

/// Every kind of change that a preview may be asked about.
fn proposals() -> Vec<(&'static str, Vec<Change>)> {
    let narrower = Template {
        actions: actions(&[Action::CustomerView, Action::CustomerUpdate]),
        extent: Extent::Own,
        stages: None,
        grades: None,
        external: None,
        levels: Levels::READ,
    };
    let sales = Role {
        id: role("sales_rep"),
        key: "sales_rep".to_owned(),
        name: String::new(),
        shipped: None,
        templates: vec![narrower],
    };
    let moved = crate::Subject { department: Some(id(SOUTH)), ..user(SALES_LEAD, STORE_ONE) };
    let withheld = Removed::RoleAssignment { subject: id(SALES_LEAD), role: role("sales_manager") };
    vec![
        ("a grant", vec![share(Levels::READ)]),
        ("a role's templates", vec![Change::Role(sales)]),
        ("a role more", vec![assign(SOUTH_REP, "sales_manager")]),
        ("a role less", vec![Change::Removed(withheld)]),
        ("another department", vec![Change::Subject(moved)]),
        ("a department moves", vec![department(STORE_TWO, Some(SOUTH), None)]),
        ("a department's head", vec![guard(), department(SOUTH, Some(HEAD_OFFICE), Some(SOUTH_REP))]),
        ("a guard", vec![guard()]),
    ]
}

#[test]
fn who_is_passed_over_is_answered_alike_and_who_is_answered_otherwise_is_told_of() {
    for (what, changes) in proposals() {
        let comparison = comparison(&changes);
        let (mut told, mut differ) = (0, 0);
        for subject in comparison.before.subjects() {
            let compared = comparison.of(subject);
            let differing = compared.differing();
            for action in Action::ALL.iter().copied() {
                let (rights, guards) = compared.changes(action, NOW);
                let is_told = !rights.is_empty() || !guards.is_empty();
                assert!(!is_told || differing.contains(action), "{what}: {subject} {action} is passed over");
                told += usize::from(is_told);
                for (owner, at) in [(REP_ONE, STORE_ONE), (SOUTH_REP, SOUTH), (REP_ONE, STORE_TWO)] {
                    for vip in [false, true] {
                        let row = customer(owner, at).with_flags(crate::Flags { vip, pooled: false });
                        let answer = |state: &Snapshot| state.predicate_once(subject, action).check(&row, NOW);
                        let levels = |state| answer(state);
                        let other = levels(&comparison.before) != levels(&comparison.after);
                        assert!(!other || is_told, "{what}: {subject} {action} on {row:?}");
                        differ += usize::from(other);
                    }
                }
            }
        }
        assert!(told > 0 && differ > 0, "{what} changes something");
    }
}

#[test]
fn a_right_that_is_altered_stands_beside_what_it_was() {
    let before = comparison(&[share(Levels::READ)]).after;
    let mut after = before.facts().clone();
    let masked = Levels::READ.with(Layer::Sensitive, Level::Masked);
    after.apply(&share(masked));
    let comparison = Comparison::new(before, Snapshot::compile(&after, 9));
    let (rights, guards) = comparison.of(id(SOUTH_REP)).changes(Action::CustomerView, NOW);
    let [change] = rights.as_slice() else { panic!("one right: {rights:?}") };
    let levels = |side: &Option<FilterClause>| side.as_ref().map(|clause| clause.levels);
    assert_eq!((levels(&change.before), levels(&change.after)), (Some(Levels::READ), Some(masked)));
    assert!(guards.is_empty() && change.gained().is_empty() && change.lost().is_empty());
    assert_eq!(comparison.of(id(SALES_LEAD)).differing(), ActionSet::EMPTY, "nobody else holds it");
}

#[test]
fn a_moved_department_is_lost_by_those_above_and_gained_by_nobody_who_stands_beside() {
    let comparison = comparison(&[department(STORE_TWO, Some(SOUTH), None)]);
    let (rights, _) = comparison.of(id(NORTH_MANAGER)).changes(Action::CustomerDelete, NOW);
    let [change] = rights.as_slice() else { panic!("one right: {rights:?}") };
    assert_eq!((change.lost(), change.gained()), (vec![id(STORE_TWO)], Vec::new()));
    assert!(change.after.as_ref().is_some_and(|clause| matches!(clause.reach, Reach::Subtree(_))));
    let told: BTreeSet<_> = comparison
        .before
        .subjects()
        .into_iter()
        .filter(|who| !comparison.of(*who).changes(Action::CustomerDelete, NOW).0.is_empty())
        .collect();
    assert_eq!(told, BTreeSet::from([id(NORTH_MANAGER)]));
}

#[test]
fn a_registered_type_touches_rights_to_such_rows_alone_and_is_compiled_once_for_all_its_verbs() {
    let Change::Grant(view) = share(Levels::READ) else { panic!("a share is a grant") };
    let verbs = actions(&[Action::ExternalView, Action::ExternalUpdate]);
    let before = comparison(&[Change::Grant(Grant { actions: verbs, extent: Extent::Own, ..view })]).after;
    let mut after = before.facts().clone();
    after.apply(&Change::ExternalType(crate::ExternalType {
        name: "contract".into(),
        actions: BTreeMap::new(),
        fields: BTreeMap::new(),
        attributes: Resource::External.attributes().to_vec(),
        keeping: crate::Keeping::Sent,
    }));
    let comparison = Comparison::new(before, Snapshot::compile(&after, 9));
    let compared = comparison.of(id(SOUTH_REP));
    assert_eq!(compared.differing(), verbs);
    let gained: Vec<_> = verbs.iter().flat_map(|verb| compared.changes(verb, NOW).0).collect();
    assert!(gained.len() == 2 && gained.iter().all(|right| right.before.is_none()), "{gained:?}");
    assert_eq!(compared.compiled(), 2, "one policy a side");
    assert_eq!(comparison.of(id(SALES_LEAD)).differing(), ActionSet::EMPTY, "who holds none is passed over");
}
