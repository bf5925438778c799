//! What the generated worlds reach: a law that never meets a rule proves nothing about it.
//!
//! A feature decides an answer if the oracle answers otherwise in the same world without it.

use std::collections::BTreeMap;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestRunner},
};
use revisit_laws::{
    engine,
    naive::{Assignment, Extent, Guard, Id, Levels, NEVER, Origin, Right, Row, Time, Whom, World},
    world::{ACTIONS, Case, TENANT, TYPES, case},
};
use revisit_permission::{Explanation, GrantRef, Snapshot, Witness};

use crate::{NOBODY, decide};

/// Worlds that are looked at, always the same ones.
const WORLDS: usize = 2_500;
/// Answers that each feature must decide in them.
const DECIDED_MIN: u32 = 20;
const SEED: u64 = 20_260_101;

type Without = fn(&mut Case);

/// A window without edges.
const ALWAYS: (Time, Time) = (Time::MIN, NEVER);

const FEATURES: &[(&str, Without)] = &[
    ("position", |it| it.world.subjects.iter_mut().for_each(|it| it.positions.clear())),
    ("position: place", |it| it.world.positions.iter_mut().for_each(|it| it.department = 1)),
    ("role: added", |it| it.world.assignments.retain(|it| it.added.is_none())),
    ("role: window", |it| it.world.assignments.iter_mut().for_each(always)),
    ("role: withheld", |it| it.world.assignments.retain(|it| it.added.is_some())),
    ("team", |it| it.world.teams.clear()),
    ("team: cap", |it| it.world.teams.iter_mut().for_each(|it| it.cap = [3; 5])),
    ("team: window", |it| it.world.teams.iter_mut().for_each(|it| it.window = ALWAYS)),
    ("team: member", |it| it.world.teams.iter_mut().for_each(|it| it.members = (1..10).collect())),
    ("grant", |it| it.world.grants.clear()),
    ("grant: window", |it| it.world.grants.iter_mut().for_each(|it| it.window = ALWAYS)),
    ("grant: temporary", |it| it.world.grants.retain(|it| it.origin != Origin::Temporary)),
    ("grant: delegated", |it| it.world.grants.retain(|it| it.giver().is_none())),
    ("grant: giver", |it| it.world.grants.iter_mut().for_each(|it| it.origin = Origin::Direct)),
    ("extent: own", |it| drop_extent(it, |it| matches!(it, Extent::Own))),
    ("extent: task", |it| drop_extent(it, |it| matches!(it, Extent::Task))),
    ("extent: department", |it| drop_extent(it, |it| matches!(it, Extent::Department(Some(_))))),
    ("extent: my department", |it| drop_extent(it, |it| matches!(it, Extent::Department(None)))),
    ("extent: subtree", |it| drop_extent(it, |it| matches!(it, Extent::Subtree(Some(_))))),
    ("extent: my subtree", |it| drop_extent(it, |it| matches!(it, Extent::Subtree(None)))),
    ("extent: team", |it| drop_extent(it, |it| matches!(it, Extent::Team(_)))),
    ("extent: ids", |it| drop_extent(it, |it| matches!(it, Extent::Ids(_)))),
    ("extent: tenant", |it| drop_extent(it, |it| matches!(it, Extent::Tenant))),
    ("extent: pool", |it| drop_extent(it, |it| matches!(it, Extent::Pooled(_)))),
    ("extent: pools below", |it| drop_extent(it, |it| matches!(it, Extent::PooledSubtree(_)))),
    ("right: stages", |it| each_right(it, |it| it.stages = None)),
    ("right: grades", |it| each_right(it, |it| it.grades = None)),
    ("right: levels", |it| each_right(it, |it| it.levels = [3; 5])),
    ("right: types", |it| each_right(it, |it| it.types = None)),
    ("type: registered", |it| it.world.types = TYPES.to_vec()),
    ("module: company", |it| it.world.modules_off.clear()),
    ("module: department", |it| it.world.departments.iter_mut().for_each(|it| it.modules_off.clear())),
    ("department: merged", |it| it.world.departments.iter_mut().for_each(|it| it.merged = false)),
    ("department: head", |it| it.world.departments.iter_mut().for_each(|it| it.head = None)),
    ("department: above", |it| it.world.departments.iter_mut().for_each(|it| it.parent = None)),
    ("subject: further department", |it| it.world.subjects.iter_mut().for_each(|it| it.departments.truncate(1))),
    ("subject: manager", |it| it.world.subjects.iter_mut().for_each(|it| it.manager = None)),
    ("subject: not active", |it| it.world.subjects.iter_mut().for_each(|it| it.active = true)),
    ("subject: account above", |it| it.world.subjects.iter_mut().for_each(|it| it.account = None)),
    ("administrator", |it| it.world.administrator = None),
    ("guard: deny", |it| it.world.guards.retain(|it| it.cap.is_some())),
    ("guard: cap", |it| it.world.guards.retain(|it| it.cap.is_none())),
    ("guard: everyone", |it| drop_whom(it, |it| matches!(it, Whom::Everyone))),
    ("guard: subject", |it| drop_whom(it, |it| matches!(it, Whom::Subject(_)))),
    ("guard: role", |it| drop_whom(it, |it| matches!(it, Whom::Role(_)))),
    ("guard: department", |it| drop_whom(it, |it| matches!(it, Whom::Department(_)))),
    ("guard: vip", |it| each_guard(it, |it| it.vip = false)),
    ("guard: pooled", |it| each_guard(it, |it| it.pooled = false)),
    ("guard: stages", |it| each_guard(it, |it| it.stages = None)),
    ("guard: grades", |it| each_guard(it, |it| it.grades = None)),
    ("guard: place", |it| each_guard(it, |it| it.department = None)),
    ("guard: ids", |it| each_guard(it, |it| it.ids = None)),
    ("guard: types", |it| each_guard(it, |it| it.types = None)),
    ("guard: window", |it| each_guard(it, |it| it.window = ALWAYS)),
    ("guard: except owner", |it| each_guard(it, |it| it.except_owner = false)),
    ("guard: except managers", |it| each_guard(it, |it| it.except_managers = false)),
    ("guard: except subjects", |it| each_guard(it, |it| it.except.clear())),
    ("row: tenant", |it| each_row(it, |it| it.tenant = TENANT)),
    ("row: revision", |it| each_row(it, |it| it.written_under = 0)),
    ("row: type", |it| each_row(it, |it| it.external = it.external.map(|_| "contract"))),
    ("row: pooled", |it| each_row(it, |it| it.pooled = false)),
    ("row: vip", |it| each_row(it, |it| it.vip = false)),
    ("row: no owner", |it| each_row(it, |it| it.owner = it.owner.or(Some(1)))),
    ("row: no department", |it| each_row(it, |it| it.department = it.department.or(Some(1)))),
    ("row: no stage", |it| each_row(it, |it| it.stage = it.stage.or(Some("lead")))),
    ("row: no grade", |it| each_row(it, |it| it.grade = it.grade.or(Some("A")))),
    ("row: teams", |it| each_row(it, |it| it.teams.clear())),
    ("task", |it| each_row(it, |it| it.holders.clear())),
    ("task: layers", |it| each_row(it, |it| it.holders.iter_mut().for_each(|it| it.layers = [3; 5]))),
    ("task: end", |it| each_row(it, |it| it.holders.iter_mut().for_each(|it| it.until = NEVER))),
    ("task: closed", |it| each_row(it, |it| it.holders.iter_mut().for_each(|it| it.subject = it.subject.or(Some(1))))),
];

fn always(it: &mut Assignment) {
    it.added = it.added.map(|_| ALWAYS);
}

fn each_right(case: &mut Case, change: impl Fn(&mut Right)) {
    let World { roles, grants, .. } = &mut case.world;
    roles.iter_mut().flat_map(|it| &mut it.rights).for_each(&change);
    grants.iter_mut().map(|it| &mut it.right).for_each(&change);
}

fn drop_extent(case: &mut Case, gone: impl Fn(&Extent) -> bool) {
    each_right(case, |it| {
        if gone(&it.extent) {
            it.actions.clear();
        }
    });
}

fn drop_whom(case: &mut Case, gone: impl Fn(&Whom) -> bool) {
    case.world.guards.retain(|it| !gone(&it.whom));
}

fn each_guard(case: &mut Case, change: impl Fn(&mut Guard)) {
    case.world.guards.iter_mut().for_each(change);
}

fn each_row(case: &mut Case, change: impl Fn(&mut Row)) {
    case.rows.iter_mut().for_each(change);
}

fn cases() -> impl Iterator<Item = Case> {
    let config = Config { rng_seed: RngSeed::Fixed(SEED), failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new(config);
    (0..WORLDS).map(move |_| case().new_tree(&mut runner).expect("a world is drawn").current())
}

/// Every answer of a case, always in the same order.
fn answers(case: &Case) -> Vec<Option<Levels>> {
    let who = case.world.subjects.iter().map(|it| it.id);
    let asked = who.flat_map(|subject| ACTIONS.map(|action| (subject, action)));
    let decide = |(subject, action): (Id, &str)| {
        case.rows.iter().map(|row| case.world.decide(subject, action, row, case.now)).collect::<Vec<_>>()
    };
    asked.flat_map(decide).collect()
}

#[test]
fn every_feature_decides_answers() {
    let mut decided: BTreeMap<&str, u32> = FEATURES.iter().map(|(name, _)| (*name, 0)).collect();
    for case in cases() {
        let whole = answers(&case);
        for (name, without) in FEATURES {
            let mut less = case.clone();
            without(&mut less);
            let others = answers(&less);
            let differ = whole.iter().zip(&others).filter(|(one, other)| one != other).count();
            *decided.entry(name).or_default() += u32::try_from(differ).unwrap_or(u32::MAX);
        }
    }
    decided.iter().for_each(|(name, times)| println!("feature={name} decided={times}"));
    let never: Vec<_> = decided.iter().filter(|(_, times)| **times < DECIDED_MIN).collect();
    assert!(never.is_empty(), "these hardly decide anything: {never:?}");
}

#[test]
fn every_reason_is_given() {
    let mut given: BTreeMap<String, u32> = REASONS.iter().map(|name| ((*name).to_owned(), 0)).collect();
    for case in cases() {
        let snapshot = engine::snapshot(&case.world);
        for subject in case.world.subjects.iter().map(|it| it.id).chain([NOBODY]) {
            for action in ACTIONS {
                for row in &case.rows {
                    let decision = decide(&snapshot, subject, action, row, case.now);
                    *given.entry(reason(decision.witness)).or_default() += 1;
                    let clauses = explained(&snapshot, (subject, action), row, case.now).considered.len();
                    *given.entry("many clauses".to_owned()).or_default() += u32::from(clauses > MANY);
                    *given.entry("an edge".to_owned()).or_default() +=
                        u32::from(decision.valid_until < engine::time(NEVER));
                }
            }
        }
    }
    given.iter().for_each(|(name, times)| println!("feature={name} decided={times}"));
    let never: Vec<_> = given.iter().filter(|(_, times)| **times < DECIDED_MIN).collect();
    assert!(never.is_empty(), "these are hardly ever given: {never:?}");
}

fn explained(snapshot: &Snapshot, (subject, action): (Id, &str), row: &Row, now: Time) -> Explanation {
    snapshot.explain(engine::subject(subject), engine::action(action), &engine::row(row), engine::time(now))
}

/// More clauses than are scanned.
const MANY: usize = 16;

/// What an answer may name. That somebody acts on the own profile is no answer of policy.
const REASONS: &[&str] = &[
    "by a grant",
    "by a role",
    "by a position",
    "guard",
    "module",
    "role",
    "operation",
    "extent",
    "stage",
    "grade",
    "time",
    "parent",
    "not active",
    "unknown",
    "other tenant",
    "behind",
    "an edge",
    "many clauses",
];

fn reason(witness: Witness) -> String {
    let name = match witness {
        Witness::Grant(GrantRef::Grant(_)) => "by a grant",
        Witness::Grant(GrantRef::Role { .. }) => "by a role",
        Witness::Grant(GrantRef::Position { .. }) => "by a position",
        Witness::Own => "own",
        Witness::Guard(_) => "guard",
        Witness::NearestMiss { axis, .. } => axis.name(),
        Witness::Inactive => "not active",
        Witness::UnknownSubject => "unknown",
        Witness::OtherTenant => "other tenant",
        Witness::Behind => "behind",
    };
    name.to_owned()
}
