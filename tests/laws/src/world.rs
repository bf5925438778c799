//! Generated worlds: small ones, so that everything meets everything, with unknown ids, nulls and closed windows in them.

mod alone;
mod numbered;

use std::fmt;

use proptest::{
    bool::weighted,
    collection::vec,
    option,
    prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof},
    sample::{select, subsequence},
};

pub use alone::{Holding, alone, holdings, stands_apart};
use numbered::numbered;

use crate::naive::{
    Assignment, Department, Extent, Grant, Guard, Holder, Id, Levels, NEVER, Origin, Position, Right, Role, Row,
    Subject, Team, Time, Whom, World,
};

/// The actions that worlds speak of. Those of the second type are there to be told apart, those of the third are about rows
/// of other systems.
pub const ACTIONS: [&str; 7] = [
    "customer.view",
    "customer.update",
    "customer.transfer",
    "customer.tag",
    "task.view",
    "external.view",
    "external.update",
];
/// Types that a world may have registered; the last one never is.
pub const TYPES: [&str; 3] = ["contract", "invoice", "ghost"];
const STAGES: [&str; 3] = ["lead", "won", "service"];
const GRADES: [&str; 3] = ["A", "B", "C"];
/// The tenant of most worlds; some of its rows belong to [`OTHER`].
pub const TENANT: Id = 1;
/// Another tenant, whose ids are the same.
pub const OTHER: Id = 2;
/// The revision of every world.
const REVISION: i64 = 5;
/// Instants lie between 0 and here.
pub const TIME_MAX: Time = 12;

/// A world, rows of it, and an instant.
#[derive(Clone)]
pub struct Case {
    pub world: World,
    pub rows: Vec<Row>,
    pub now: Time,
}

impl fmt::Debug for Case {
    /// A line for each thing: a case that breaks a law is read by people.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let World { tenant, revision, administrator, modules_off, .. } = &self.world;
        writeln!(formatter, "now {}, tenant {tenant}, revision {revision}", self.now)?;
        writeln!(
            formatter,
            "administrator {administrator:?}, modules off {modules_off:?}, types {:?}",
            self.world.types
        )?;
        let World { departments, subjects, positions, roles, .. } = &self.world;
        departments.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        subjects.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        positions.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        roles.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        let World { assignments, teams, grants, guards, .. } = &self.world;
        assignments.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        teams.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        grants.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        guards.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))?;
        self.rows.iter().try_for_each(|it| writeln!(formatter, "{it:?}"))
    }
}

/// A case of [`TENANT`].
pub fn case() -> BoxedStrategy<Case> {
    case_of(TENANT)
}

/// A case of one of the two tenants. A row in twenty belongs to the other one.
pub fn case_of(tenant: Id) -> BoxedStrategy<Case> {
    // Few grants leave gaps to fall into; many are looked up in another way than scanned.
    let world = prop_oneof![1 => world(5, 0..4), 3 => world(5, 6..16), 1 => world(2, 40..90)];
    (world, vec(row(), 1..7), 0..TIME_MAX)
        .prop_map(move |(world, rows, now)| {
            let place = |row: Id| if row == TENANT { tenant } else { TENANT + OTHER - tenant };
            let rows = (1..).zip(rows).map(|(id, row)| Row { id, tenant: place(row.tenant), ..row }).collect();
            Case { world: World { tenant, ..world }, rows, now }
        })
        .boxed()
}

/// An id that mostly exists.
fn id() -> impl Strategy<Value = Id> {
    prop_oneof![12 => 1..6_u8, 1 => Just(9)]
}

/// A team that mostly exists: there are few.
fn team_id() -> impl Strategy<Value = Id> {
    prop_oneof![12 => 1..4_u8, 1 => Just(9)]
}

fn maybe_id() -> impl Strategy<Value = Option<Id>> {
    option::weighted(0.75, id())
}

/// A department, or the holder's own.
fn place() -> impl Strategy<Value = Option<Id>> {
    option::weighted(0.6, id())
}

fn window() -> BoxedStrategy<(Time, Time)> {
    let edge = || prop_oneof![2 => 0..TIME_MAX, 1 => Just(NEVER)];
    prop_oneof![8 => Just((Time::MIN, NEVER)), 2 => (0..TIME_MAX, edge()), 1 => (edge(), edge())].boxed()
}

fn levels() -> BoxedStrategy<Levels> {
    proptest::array::uniform5(0..4_u8).boxed()
}

fn names(all: [&'static str; 3]) -> impl Strategy<Value = Option<Vec<&'static str>>> {
    option::weighted(0.2, subsequence(all.to_vec(), 1..=3))
}

fn modules_off() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![9 => Just(vec![]), 1 => subsequence(vec!["sales", "marketing", "service"], 1..=2)]
}

fn actions() -> impl Strategy<Value = Vec<&'static str>> {
    let customer: Vec<_> = ACTIONS[..4].to_vec();
    let external: Vec<_> = ACTIONS[5..].to_vec();
    prop_oneof![6 => subsequence(customer, 1..=4), 1 => Just(vec!["task.view"]), 3 => subsequence(external, 1..=2)]
}

/// Whether actions are about rows of other systems.
fn is_external(actions: &[&str]) -> bool {
    actions.iter().all(|action| action.starts_with("external."))
}

fn types() -> impl Strategy<Value = Vec<&'static str>> {
    subsequence(TYPES[..2].to_vec(), 1..=2)
}

pub fn right() -> BoxedStrategy<Right> {
    let extent = prop_oneof![
        3 => Just(Extent::Own),
        2 => Just(Extent::Task),
        3 => Just(Extent::Tenant),
        3 => place().prop_map(Extent::Department),
        4 => place().prop_map(Extent::Subtree),
        3 => team_id().prop_map(Extent::Team),
        2 => vec(1..7_u8, 1..4).prop_map(Extent::Ids),
        2 => place().prop_map(Extent::Pooled),
        2 => place().prop_map(Extent::PooledSubtree),
    ];
    (actions(), extent, names(STAGES), names(GRADES), option::weighted(0.4, types()), levels())
        .prop_map(|(actions, extent, stages, grades, types, levels)| {
            let types = types.filter(|_| is_external(&actions));
            Right { actions, extent, stages, grades, types, levels }
        })
        .boxed()
}

fn department() -> BoxedStrategy<Department> {
    let parent = option::weighted(0.95, any::<proptest::sample::Index>());
    (parent, option::weighted(0.5, 1..5_u8), weighted(0.15), modules_off())
        .prop_map(
            // The parent is settled once it is known which departments come before, and with it what may be merged into it.
            |(parent, head, merged, modules_off)| Department {
                id: 0,
                parent: parent.map(|index| u8::try_from(index.index(200)).unwrap_or(0)),
                head,
                merged,
                modules_off,
            },
        )
        .boxed()
}

fn subject() -> BoxedStrategy<Subject> {
    (
        prop_oneof![9 => Just(true), 1 => Just(false)],
        vec(id(), 0..3),
        vec(1..4_u8, 0..3),
        option::weighted(0.4, id()),
        option::weighted(0.15, id()),
    )
        .prop_map(|(active, departments, positions, manager, account)| Subject {
            id: 0,
            active,
            departments,
            positions,
            manager,
            account,
        })
        .boxed()
}

fn assignment() -> BoxedStrategy<Assignment> {
    // What has edges often, so that a role is held twice, and now and then for one reason only.
    let window = prop_oneof![1 => window(), 1 => (0..TIME_MAX / 2, TIME_MAX / 2..TIME_MAX)];
    (id(), 1..4_u8, option::weighted(0.55, window))
        .prop_map(|(subject, role, added)| Assignment { subject, role, added })
        .boxed()
}

fn team() -> BoxedStrategy<Team> {
    (vec(id(), 0..5), levels(), window())
        .prop_map(|(members, cap, window)| Team { id: 0, members, cap, window })
        .boxed()
}

pub fn grant(holders: Id) -> BoxedStrategy<Grant> {
    let plain = vec![Origin::Direct, Origin::Share, Origin::Temporary, Origin::Team, Origin::BreakGlass];
    let origin = prop_oneof![3 => select(plain), 1 => id().prop_map(Origin::Delegation)];
    (1..=holders, right(), window(), origin)
        .prop_map(|(holder, right, window, origin)| Grant { id: 0, holder, right, window, origin })
        .boxed()
}

/// What narrows a guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Narrowing {
    Actions,
    Vip,
    Pooled,
    Stages,
    Grades,
    Place,
    Ids,
    Window,
}

const NARROWINGS: [Narrowing; 8] = [
    Narrowing::Actions,
    Narrowing::Vip,
    Narrowing::Pooled,
    Narrowing::Stages,
    Narrowing::Grades,
    Narrowing::Place,
    Narrowing::Ids,
    Narrowing::Window,
];

pub fn guard() -> BoxedStrategy<Guard> {
    // Narrowed by two things at the most, so that a guard often covers a row, and often fails by one thing alone.
    (narrow_guard(), subsequence(NARROWINGS.to_vec(), 0..=2))
        .prop_map(|(guard, kept)| {
            let keeps = |narrowing| kept.contains(&narrowing);
            let external = is_external(&guard.actions);
            let of_type = if external { &ACTIONS[5..] } else { &ACTIONS[..4] };
            Guard {
                actions: if keeps(Narrowing::Actions) { guard.actions } else { of_type.to_vec() },
                types: guard.types.filter(|_| external),
                vip: keeps(Narrowing::Vip),
                pooled: keeps(Narrowing::Pooled),
                stages: guard.stages.filter(|_| keeps(Narrowing::Stages)),
                grades: guard.grades.filter(|_| keeps(Narrowing::Grades)),
                department: guard.department.filter(|_| keeps(Narrowing::Place)),
                ids: guard.ids.filter(|_| keeps(Narrowing::Ids)),
                window: if keeps(Narrowing::Window) { guard.window } else { (Time::MIN, NEVER) },
                ..guard
            }
        })
        .boxed()
}

/// A guard that is narrowed by everything.
fn narrow_guard() -> BoxedStrategy<Guard> {
    let whom = prop_oneof![
        5 => Just(Whom::Everyone),
        1 => id().prop_map(Whom::Subject),
        2 => (1..4_u8).prop_map(Whom::Role),
        2 => id().prop_map(Whom::Department),
    ];
    let bound = (whom, weighted(0.4), weighted(0.5), prop_oneof![2 => Just(vec![]), 1 => vec(id(), 1..3)]);
    let names = |all: [&'static str; 3]| subsequence(all.to_vec(), 1..=3).prop_map(Some);
    let ids = vec(1..7_u8, 1..4).prop_map(Some);
    let of_one = option::weighted(0.6, select(TYPES[..2].to_vec()).prop_map(|name| vec![name]));
    let condition = (names(STAGES), names(GRADES), id().prop_map(Some), ids, of_one);
    let edge = || 0..TIME_MAX;
    let window = prop_oneof![2 => (edge(), edge()), 1 => (edge(), Just(NEVER)), 1 => (Just(Time::MIN), edge())];
    (bound, condition, actions(), option::weighted(0.65, levels()), window)
        .prop_map(|((whom, except_owner, except_managers, except), condition, actions, cap, window)| {
            let (stages, grades, department, ids, types) = condition;
            Guard {
                id: 0,
                whom,
                except_owner,
                except_managers,
                except,
                actions,
                vip: true,
                pooled: true,
                stages,
                grades,
                department,
                ids,
                types,
                cap,
                window,
            }
        })
        .boxed()
}

fn row() -> BoxedStrategy<Row> {
    let holder = (option::weighted(0.8, id()), levels(), prop_oneof![0..TIME_MAX, Just(NEVER)])
        .prop_map(|(subject, layers, until)| Holder { subject, layers, until });
    let place = (option::weighted(0.85, prop_oneof![9 => 1..5_u8, 1 => id()]), maybe_id(), vec(team_id(), 0..3));
    let marks =
        (option::of(select(STAGES.to_vec())), option::of(select(GRADES.to_vec())), any::<bool>(), weighted(0.3));
    let tenant = prop_oneof![19 => Just(TENANT), 1 => Just(OTHER)];
    let written_under = prop_oneof![19 => 0..=REVISION, 1 => Just(REVISION + 1)];
    let external = option::weighted(0.35, prop_oneof![9 => select(TYPES[..2].to_vec()), 1 => Just(TYPES[2])]);
    (tenant, place, marks, vec(holder, 0..3), (written_under, external))
        .prop_map(|(tenant, place, (stage, grade, vip, pooled), holders, (written_under, external))| {
            let (owner, department, teams) = place;
            Row {
                tenant,
                id: 0,
                external,
                // Pooled rows are unowned, but the database does not say so.
                owner: owner.filter(|id| !pooled || *id == 1),
                department,
                teams,
                stage,
                grade,
                vip,
                pooled,
                holders,
                written_under,
            }
        })
        .boxed()
}

fn world(subjects: Id, grants: std::ops::Range<usize>) -> BoxedStrategy<World> {
    let people = (
        vec(department(), 1..7),
        vec(subject(), usize::from(subjects.min(3))..=usize::from(subjects)),
        option::weighted(0.8, id()),
        (modules_off(), types()),
    );
    // Declared at the root more often than not, so that they hold in the departments of whoever has them.
    let position = (prop_oneof![2 => Just(1), 1 => id()], vec(1..4_u8, 1..3))
        .prop_map(|(department, roles)| Position { id: 0, department, roles });
    let role = vec(right(), 1..4).prop_map(|rights| Role { id: 0, rights });
    let jobs = (vec(position, 1..4), vec(role, 1..4), vec(assignment(), 1..7), vec(team(), 1..4));
    (people, jobs, vec(grant(subjects), grants), vec(guard(), 0..5))
        .prop_map(
            |(
                (departments, subjects, administrator, (modules_off, types)),
                (positions, roles, assignments, teams),
                grants,
                guards,
            )| {
                numbered(World {
                    tenant: TENANT,
                    revision: REVISION,
                    administrator,
                    modules_off,
                    types,
                    departments,
                    subjects,
                    positions,
                    roles,
                    assignments,
                    teams,
                    grants,
                    guards,
                })
            },
        )
        .boxed()
}
