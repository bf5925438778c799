//! Generated worlds: small ones, so that everything meets everything, with unknown ids, nulls and closed windows in them.

use proptest::{
    bool::weighted,
    collection::vec,
    option,
    prelude::{Just, Strategy, any, prop_oneof},
    sample::{select, subsequence},
};
use revisit_tests::naive::{
    Assignment, Department, Extent, Grant, Guard, Holder, Id, Levels, NEVER, Position, Right, Role, Row, Subject, Team,
    Time, Whom, World,
};

/// The actions that worlds speak of. Those of the second type are there to be told apart.
pub const ACTIONS: [&str; 5] = ["customer.view", "customer.update", "customer.transfer", "customer.tag", "task.view"];
const STAGES: [&str; 3] = ["lead", "won", "service"];
const GRADES: [&str; 3] = ["A", "B", "C"];
/// The tenant of every world; rows may also belong to [`OTHER`].
const TENANT: Id = 1;
/// Another tenant, whose ids are the same.
pub const OTHER: Id = 2;
/// The revision of every world.
const REVISION: i64 = 5;
/// Instants lie between 0 and here.
const TIME_MAX: Time = 12;

/// A world, rows of it, and an instant.
#[derive(Clone, Debug)]
pub struct Case {
    pub world: World,
    pub rows: Vec<Row>,
    pub now: Time,
}

pub fn case() -> impl Strategy<Value = Case> {
    // Few grants leave gaps to fall into; many are looked up in another way than scanned.
    let world = prop_oneof![1 => world(5, 0..4), 3 => world(5, 6..16), 1 => world(2, 60..90)];
    (world, vec(row(), 1..7), 0..TIME_MAX).prop_map(|(world, rows, now)| {
        let rows = (1..).zip(rows).map(|(id, row)| Row { id, ..row }).collect();
        Case { world, rows, now }
    })
}

/// An id that mostly exists.
fn id() -> impl Strategy<Value = Id> {
    prop_oneof![12 => 1..6_u8, 1 => Just(9)]
}

fn maybe_id() -> impl Strategy<Value = Option<Id>> {
    option::weighted(0.75, id())
}

fn window() -> impl Strategy<Value = (Time, Time)> {
    let edge = || prop_oneof![2 => 0..TIME_MAX, 1 => Just(NEVER)];
    prop_oneof![8 => Just((Time::MIN, NEVER)), 2 => (0..TIME_MAX, edge()), 1 => (edge(), edge())]
}

fn levels() -> impl Strategy<Value = Levels> {
    proptest::array::uniform5(0..4_u8)
}

fn names(all: [&'static str; 3]) -> impl Strategy<Value = Option<Vec<&'static str>>> {
    option::weighted(0.2, subsequence(all.to_vec(), 1..=3))
}

fn modules_off() -> impl Strategy<Value = Vec<&'static str>> {
    prop_oneof![9 => Just(vec![]), 1 => subsequence(vec!["sales", "marketing", "service"], 1..=2)]
}

fn actions() -> impl Strategy<Value = Vec<&'static str>> {
    let customer: Vec<_> = ACTIONS[..4].to_vec();
    prop_oneof![6 => subsequence(customer, 1..=4), 1 => Just(vec!["task.view"])]
}

pub fn right() -> impl Strategy<Value = Right> {
    let extent = prop_oneof![
        3 => Just(Extent::Own),
        2 => Just(Extent::Task),
        4 => Just(Extent::Tenant),
        2 => maybe_id().prop_map(Extent::Department),
        4 => maybe_id().prop_map(Extent::Subtree),
        1 => id().prop_map(Extent::Team),
        2 => vec(1..7_u8, 1..4).prop_map(Extent::Ids),
        1 => maybe_id().prop_map(Extent::Pooled),
        2 => maybe_id().prop_map(Extent::PooledSubtree),
    ];
    (actions(), extent, names(STAGES), names(GRADES), levels())
        .prop_map(|(actions, extent, stages, grades, levels)| Right { actions, extent, stages, grades, levels })
}

fn department() -> impl Strategy<Value = Department> {
    let parent = option::weighted(0.95, any::<proptest::sample::Index>());
    (parent, option::weighted(0.7, 1..5_u8), proptest::bool::weighted(0.15), modules_off()).prop_map(
        // The parent is settled once it is known which departments come before, and with it what may be merged into it.
        |(parent, head, merged, modules_off)| Department {
            id: 0,
            parent: parent.map(|index| u8::try_from(index.index(200)).unwrap_or(0)),
            head,
            merged,
            modules_off,
        },
    )
}

fn subject() -> impl Strategy<Value = Subject> {
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
}

fn assignment() -> impl Strategy<Value = Assignment> {
    (id(), 1..4_u8, option::weighted(0.75, window())).prop_map(|(subject, role, added)| Assignment {
        subject,
        role,
        added,
    })
}

fn team() -> impl Strategy<Value = Team> {
    (vec(id(), 0..4), levels(), window()).prop_map(|(members, cap, window)| Team { id: 0, members, cap, window })
}

pub fn grant(holders: Id) -> impl Strategy<Value = Grant> {
    (1..=holders, right(), window(), option::weighted(0.1, id())).prop_map(|(holder, right, window, giver)| Grant {
        id: 0,
        holder,
        right,
        window,
        giver,
    })
}

pub fn guard() -> impl Strategy<Value = Guard> {
    // Every other one binds everybody on most rows, so that what it leaves out is seen.
    (any_guard(), any::<bool>()).prop_map(|(guard, broad)| {
        if !broad {
            return guard;
        }
        Guard {
            whom: Whom::Everyone,
            except: vec![],
            actions: ACTIONS[..4].to_vec(),
            pooled: false,
            stages: None,
            grades: None,
            department: None,
            ids: None,
            window: (Time::MIN, NEVER),
            ..guard
        }
    })
}

fn any_guard() -> impl Strategy<Value = Guard> {
    let whom = prop_oneof![
        3 => Just(Whom::Everyone),
        1 => id().prop_map(Whom::Subject),
        1 => (1..4_u8).prop_map(Whom::Role),
        1 => id().prop_map(Whom::Department),
    ];
    let bound = (whom, any::<bool>(), any::<bool>(), prop_oneof![3 => Just(vec![]), 1 => vec(id(), 1..3)]);
    // Few tests each, so that a guard often covers a row and often looks at an attribute that the row lacks.
    let condition = (
        weighted(0.3),
        weighted(0.15),
        option::weighted(0.2, subsequence(STAGES.to_vec(), 1..=3)),
        option::weighted(0.2, subsequence(GRADES.to_vec(), 1..=3)),
        option::weighted(0.3, id()),
        option::weighted(0.1, vec(1..7_u8, 1..4)),
    );
    (bound, condition, actions(), option::weighted(0.65, levels()), window()).prop_map(
        |((whom, except_owner, except_managers, except), condition, actions, cap, window)| {
            let (vip, pooled, stages, grades, department, ids) = condition;
            Guard {
                id: 0,
                whom,
                except_owner,
                except_managers,
                except,
                actions,
                vip,
                pooled,
                stages,
                grades,
                department,
                ids,
                cap,
                window,
            }
        },
    )
}

fn row() -> impl Strategy<Value = Row> {
    let holder = (option::weighted(0.8, id()), levels(), prop_oneof![0..TIME_MAX, Just(NEVER)])
        .prop_map(|(subject, layers, until)| Holder { subject, layers, until });
    let place = (option::weighted(0.85, prop_oneof![9 => 1..5_u8, 1 => id()]), maybe_id(), vec(id(), 0..3));
    let marks =
        (option::of(select(STAGES.to_vec())), option::of(select(GRADES.to_vec())), any::<bool>(), weighted(0.3));
    let tenant = prop_oneof![19 => Just(TENANT), 1 => Just(OTHER)];
    let written_under = prop_oneof![19 => 0..=REVISION, 1 => Just(REVISION + 1)];
    (tenant, place, marks, vec(holder, 0..3), written_under).prop_map(
        |(tenant, (owner, department, teams), (stage, grade, vip, pooled), holders, written_under)| Row {
            tenant,
            id: 0,
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
        },
    )
}

fn world(subjects: Id, grants: std::ops::Range<usize>) -> impl Strategy<Value = World> {
    let people = (
        vec(department(), 1..7),
        vec(subject(), usize::from(subjects.min(3))..=usize::from(subjects)),
        option::of(id()),
        modules_off(),
    );
    // Declared at the root more often than not, so that they hold in the departments of whoever has them.
    let position = (prop_oneof![2 => Just(1), 1 => id()], vec(1..4_u8, 1..3))
        .prop_map(|(department, roles)| Position { id: 0, department, roles });
    let role = vec(right(), 1..4).prop_map(|rights| Role { id: 0, rights });
    let jobs = (vec(position, 1..4), vec(role, 1..4), vec(assignment(), 0..6), vec(team(), 0..3));
    (people, jobs, vec(grant(subjects), grants), vec(guard(), 0..5)).prop_map(
        |(
            (departments, subjects, administrator, modules_off),
            (positions, roles, assignments, teams),
            grants,
            guards,
        )| {
            numbered(World {
                tenant: TENANT,
                revision: REVISION,
                administrator,
                modules_off,
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
}

/// Gives ids, makes the departments a tree, and leaves at most one override per subject and role.
fn numbered(mut world: World) -> World {
    fn number<T>(items: &mut [T], set: impl Fn(&mut T, Id)) {
        items.iter_mut().zip(1..).for_each(|(item, id)| set(item, id));
    }
    number(&mut world.departments, |it, id| {
        it.parent = it.parent.filter(|_| id > 1).map(|parent| parent % (id - 1) + 1);
        it.id = id;
    });
    // Nothing is merged into what was merged itself.
    let merged: Vec<Id> = world.departments.iter().filter(|it| it.merged).map(|it| it.id).collect();
    for it in &mut world.departments {
        it.merged &= it.parent.is_some_and(|parent| !merged.contains(&parent));
    }
    number(&mut world.subjects, |it, id| it.id = id);
    number(&mut world.positions, |it, id| it.id = id);
    number(&mut world.roles, |it, id| it.id = id);
    number(&mut world.teams, |it, id| it.id = id);
    number(&mut world.grants, |it, id| it.id = id);
    number(&mut world.guards, |it, id| it.id = id);
    let mut seen = std::collections::BTreeSet::new();
    world.assignments.retain(|it| seen.insert((it.subject, it.role)));
    world
}
