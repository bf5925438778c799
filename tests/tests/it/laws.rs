//! The laws of the permission model in memory, each against an evaluator that shares no code with the engine.
//!
//! A broken law prints the smallest world that breaks it. L3 stands in [`databases`].

mod databases;
mod engine;
mod world;

use proptest::{
    prelude::{ProptestConfig, prop_assert, prop_assert_eq},
    proptest,
    sample::Index,
    test_runner::{FileFailurePersistence, TestCaseError},
};
use revisit_core::{ManualClock, Timestamp, id::SubjectId};
use revisit_permission::{Caller, Decision, DenialKind, Facts, GrantRef, Leases, Snapshot, Witness};
use revisit_tests::naive::{self, World};
use world::{ACTIONS, Case, OTHER, case};

/// Worlds per law: each has about a hundred decisions.
const WORLDS: u32 = 1_000;

fn config(cases: u32) -> ProptestConfig {
    let failures = FileFailurePersistence::SourceParallel("proptest-regressions");
    ProptestConfig { cases, failure_persistence: Some(Box::new(failures)), ..ProptestConfig::default() }
}

/// Calls `law` with every subject (an unknown one too), action and row of a case.
fn everywhere(
    case: &Case,
    mut law: impl FnMut(naive::Id, &'static str, &naive::Row) -> Result<(), TestCaseError>,
) -> Result<(), TestCaseError> {
    for subject in case.world.subjects.iter().map(|subject| subject.id).chain([99]) {
        for action in ACTIONS {
            for row in &case.rows {
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

proptest! {
    #![proptest_config(config(WORLDS))]

    #[test]
    fn a_decision_is_what_the_page_says(case in case()) {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            let expected = case.world.decide(subject, action, row, case.now);
            prop_assert_eq!(answer(decision), expected, "subject {} {} {:?}", subject, action, row);
            prop_assert!(decision.allowed || engine::plain_levels(decision.levels) == naive::hidden());
            prop_assert_eq!(decision.witness.refused().is_none(), decision.allowed);
            Ok(())
        })?;
    }

    #[test]
    fn l1_the_list_is_every_row_that_passes_the_check(case in case()) {
        let snapshot = engine::snapshot(&case.world);
        let now = engine::time(case.now);
        everywhere(&case, |subject, action, row| {
            let predicate = snapshot.predicate(engine::subject(subject), engine::action(action));
            let listed = predicate.check(&engine::row(row), now).map(|(_, levels)| engine::plain_levels(levels));
            prop_assert_eq!(listed, case.world.decide(subject, action, row, case.now));
            prop_assert!(listed.is_none() || predicate.possible(now), "a scope that holds a row is possible");
            Ok(())
        })?;
    }

    #[test]
    fn l2_who_can_see_a_row_is_every_subject_that_passes_the_check(case in case()) {
        let snapshot = engine::snapshot(&case.world);
        for action in ACTIONS {
            for row in &case.rows {
                let who = snapshot.who(engine::action(action), &engine::row(row), engine::time(case.now));
                let expected: Vec<SubjectId> =
                    case.world.who(action, row, case.now).into_iter().map(engine::subject).collect();
                prop_assert_eq!(who, expected);
            }
        }
    }

    #[test]
    fn l4_a_grant_never_removes_and_a_guard_never_adds(
        case in case(), grant in world::grant(5), guard in world::guard(),
    ) {
        let before = engine::snapshot(&case.world);
        let mut granted = case.world.clone();
        granted.grants.push(naive::Grant { id: 200, ..grant });
        let granted = engine::snapshot(&granted);
        let mut guarded = case.world.clone();
        guarded.guards.push(naive::Guard { id: 200, ..guard });
        let guarded = engine::snapshot(&guarded);
        everywhere(&case, |subject, action, row| {
            let answer = |snapshot| answer(decide(snapshot, subject, action, row, case.now));
            prop_assert!(at_most(answer(&before), answer(&granted)), "the grant removed something");
            prop_assert!(at_most(answer(&guarded), answer(&before)), "the guard added something");
            Ok(())
        })?;
    }

    #[test]
    fn l5_order_and_duplicates_do_not_matter(case in case(), order in proptest::collection::vec(proptest::prelude::any::<Index>(), 64)) {
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
        let mut doubled = case.world.clone();
        doubled.grants.extend(case.world.grants.iter().map(|it| naive::Grant { id: it.id + 100, ..it.clone() }));
        doubled.guards.extend(case.world.guards.iter().map(|it| naive::Guard { id: it.id + 100, ..it.clone() }));
        let doubled = engine::snapshot(&doubled);
        everywhere(&case, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            prop_assert_eq!(decide(&shuffled, subject, action, row, case.now), decision);
            prop_assert_eq!(decide(&doubled, subject, action, row, case.now), decision);
            Ok(())
        })?;
    }

    #[test]
    fn l6_what_is_allowed_is_allowed_by_one_grant_alone(case in case()) {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            let alone = |right: &dyn Fn(&mut World)| {
                let mut world = case.world.clone();
                right(&mut world);
                decide(&engine::snapshot(&world), subject, action, row, case.now)
            };
            match decision.witness {
                Witness::Grant(GrantRef::Grant(id)) => {
                    let decided = alone(&|world| only_grant(world, subject, engine::number(id)));
                    prop_assert!(decided.allowed, "the witness alone does not allow it");
                    prop_assert!(decided.levels.within(decision.levels));
                    prop_assert_eq!(decided.witness, decision.witness);
                }
                Witness::Grant(GrantRef::Role { role, template } | GrantRef::Position { role, template, .. }) => {
                    let right = (engine::number(role), usize::from(template));
                    let decided = alone(&|world| only_template(world, subject, right));
                    prop_assert!(decided.allowed, "the witness alone does not allow it");
                }
                Witness::Own
                | Witness::Guard(_)
                | Witness::NearestMiss { .. }
                | Witness::Inactive
                | Witness::UnknownSubject
                | Witness::OtherTenant
                | Witness::Behind => prop_assert!(!decision.allowed),
            }
            Ok(())
        })?;
    }

    #[test]
    fn l7_nothing_crosses_a_tenant_even_with_equal_ids(case in case()) {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, |subject, action, row| {
            let elsewhere = naive::Row { tenant: OTHER, ..row.clone() };
            let decision = decide(&snapshot, subject, action, &elsewhere, case.now);
            prop_assert!(!decision.allowed);
            prop_assert_eq!(decision.witness, Witness::OtherTenant);
            let predicate = snapshot.predicate(engine::subject(subject), engine::action(action));
            prop_assert_eq!(predicate.check(&engine::row(&elsewhere), engine::time(case.now)), None);
            Ok(())
        })?;
    }

    #[test]
    fn l8_the_answer_is_constant_until_it_says(case in case()) {
        let snapshot = engine::snapshot(&case.world);
        everywhere(&case, |subject, action, row| {
            let decision = decide(&snapshot, subject, action, row, case.now);
            prop_assert!(decision.valid_until > engine::time(case.now));
            for later in (case.now..=20).take_while(|at| engine::time(*at) < decision.valid_until) {
                prop_assert_eq!(answer(decide(&snapshot, subject, action, row, later)), answer(decision));
            }
            Ok(())
        })?;
    }

    #[test]
    fn l10_a_batch_is_each_of_its_rows(case in case()) {
        let (leases, caller) = leased(&case);
        let rows: Vec<_> = case.rows.iter().map(engine::row).collect();
        for action in ACTIONS.map(engine::action) {
            for subject in case.world.subjects.iter().map(|subject| engine::subject(subject.id)) {
                let caller = Caller { subject, ..caller.clone() };
                let single: Result<Vec<_>, _> =
                    rows.iter().map(|row| caller.decide(&leases, action, row).map(|it| it.decisions()[0])).collect();
                let batch = caller.decide_all(&leases, action, &rows).map(|it| it.decisions().to_vec());
                prop_assert_eq!(batch, single);
                let stale = rows.iter().any(|row| row.auth_rev > case.world.revision);
                let kinds = rows.iter().filter_map(|row| caller.decide(&leases, action, row).err()).map(|it| it.kind);
                prop_assert!(stale || kinds.into_iter().all(|kind| kind == DenialKind::Denied));
            }
        }
    }

    #[test]
    fn l13_unrelated_users_roles_and_rows_change_nothing(case in case(), unrelated in world::right()) {
        let snapshot = engine::snapshot(&case.world);
        let mut fuller = case.world.clone();
        fuller.subjects.push(naive::Subject { id: 77, active: true, departments: vec![1], positions: vec![77], manager: Some(1), account: None });
        fuller.positions.push(naive::Position { id: 77, department: 1, roles: vec![77] });
        fuller.roles.push(naive::Role { id: 77, rights: vec![unrelated.clone()] });
        fuller.teams.push(naive::Team { id: 77, members: vec![77], cap: [3; 5], window: (0, 10) });
        fuller.assignments.push(naive::Assignment { subject: 77, role: 1, added: Some((0, 7)) });
        let window = (3, 8);
        fuller.grants.push(naive::Grant { id: 77, holder: 77, right: unrelated, window, giver: None });
        let fuller = engine::snapshot(&fuller);
        everywhere(&case, |subject, action, row| {
            prop_assert_eq!(
                decide(&fuller, subject, action, row, case.now),
                decide(&snapshot, subject, action, row, case.now)
            );
            Ok(())
        })?;
    }

    #[test]
    fn changes_survive_storage(case in case()) {
        let facts = engine::facts(&case.world);
        let stored: Vec<String> =
            facts.changes().iter().map(|change| serde_json::to_string(change).expect("a change is JSON")).collect();
        let loaded: Vec<_> = stored.iter().map(|change| serde_json::from_str(change).expect("and is read back")).collect();
        prop_assert_eq!(Facts::of(facts.tenant(), &loaded).changes(), facts.changes());
    }
}

/// Leaves the subject one grant and takes its roles away. Its accounts above keep theirs.
fn only_grant(world: &mut World, subject: naive::Id, grant: naive::Id) {
    world.grants.retain(|it| it.holder != subject || it.id == grant);
    // A guard may bind through a role, so roles stay and give nothing: a role is not always the subject's alone.
    hollow_roles(world, subject, None);
}

fn only_template(world: &mut World, subject: naive::Id, right: (naive::Id, usize)) {
    world.grants.retain(|it| it.holder != subject);
    hollow_roles(world, subject, Some(right));
}

/// Empties the rights of every role, one excepted, unless accounts above need theirs.
fn hollow_roles(world: &mut World, subject: naive::Id, kept: Option<(naive::Id, usize)>) {
    if world.subjects.iter().any(|it| it.id == subject && it.account.is_some()) {
        return;
    }
    for role in &mut world.roles {
        for (place, right) in role.rights.iter_mut().enumerate() {
            if kept != Some((role.id, place)) {
                right.actions.clear();
            }
        }
    }
}

fn leased(case: &Case) -> (Leases, Caller) {
    let clock = ManualClock::frozen(Timestamp::from_micros(0));
    let leases = Leases::new(clock.clock());
    let tenant = engine::tenant(case.world.tenant);
    leases.load(tenant, std::sync::Arc::new(engine::snapshot(&case.world)));
    let sent = clock.clock().steady();
    let deadline = sent + std::time::Duration::from_secs(1);
    leases.renewed(tenant, deadline, case.world.revision, (engine::time(case.now), sent));
    (leases, Caller::named(tenant, engine::subject(1)))
}
