//! A world in which one subject has one right and everybody else has what they had.

use crate::naive::{Assignment, Guard, Id, Position, Role, Subject, Whom, World};

/// Positions and roles that everybody else gets have the id of the original and this.
const OTHERS: Id = 100;
/// Those that give the subject nothing have the id of the original and this.
const HOLLOW: Id = 200;

/// Longer lines of accounts are circles.
const LINE_MAX: usize = 10;

/// One right of a subject: a grant, or a right of a role that it was given or has through a position.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Holding {
    /// A grant beside the roles.
    Grant(Id),
    /// A right of an added role.
    Role {
        /// The role.
        role: Id,
        /// Which of its rights.
        place: usize,
    },
    /// A right of a position's role.
    Position {
        /// The position.
        position: Id,
        /// The role.
        role: Id,
        /// Which of its rights.
        place: usize,
    },
}

/// Everything that a subject might hold, whether or not it gives anything.
#[must_use]
pub fn holdings(world: &World, subject: Id) -> Vec<Holding> {
    let places = |role: Id| {
        let rights = world.roles.iter().find(|it| it.id == role).map_or(0, |it| it.rights.len());
        0..rights
    };
    let held = world.subjects.iter().filter(|it| it.id == subject).flat_map(|it| &it.positions);
    let positions = held.filter_map(|id| world.positions.iter().find(|it| it.id == *id));
    let from_positions = positions.flat_map(|position| {
        let roles = position.roles.iter().copied();
        let id = position.id;
        roles.flat_map(move |role| places(role).map(move |place| Holding::Position { position: id, role, place }))
    });
    let added = world.assignments.iter().filter(|it| it.subject == subject && it.added.is_some());
    let from_roles = added.flat_map(|it| places(it.role).map(|place| Holding::Role { role: it.role, place }));
    let grants = world.grants.iter().filter(|it| it.holder == subject).map(|it| Holding::Grant(it.id));
    from_positions.chain(from_roles).chain(grants).collect()
}

/// Whether nothing that counts for a subject was delegated by itself, or by a sub-account of it: its rights can then be
/// taken away without taking them from a giver.
#[must_use]
pub fn stands_apart(world: &World, subject: Id) -> bool {
    let line = line(world, subject);
    let counting = world.grants.iter().filter(|it| line.contains(&it.holder));
    counting.filter_map(|it| it.giver()).all(|giver| !self::line(world, giver).contains(&subject))
}

/// A subject and the accounts above it.
fn line(world: &World, subject: Id) -> Vec<Id> {
    let account = |id: &Id| world.subjects.iter().find(|it| it.id == *id).and_then(|it| it.account);
    std::iter::successors(Some(subject), account).take(LINE_MAX).collect()
}

/// Leaves a subject one right. Givers, managers and accounts above keep theirs, and every guard binds whom it bound.
#[must_use]
pub fn alone(world: &World, subject: Id, holding: Holding) -> World {
    let (grant, position, role) = match holding {
        Holding::Grant(id) => (Some(id), None, None),
        Holding::Role { role, place } => (None, None, Some((role, place))),
        Holding::Position { position, role, place } => (None, Some(position), Some((role, place))),
    };
    let mut left = world.clone();
    copy_jobs(&mut left, OTHERS, |it| it.id != subject);
    // What the subject's own roles are left with gives nothing; a guard that binds who holds one still does.
    copy_jobs(&mut left, HOLLOW, |it| it.id == subject);
    left.grants.retain(|it| it.holder != subject || Some(it.id) == grant);
    for it in &mut left.roles {
        let gives = |place: usize| it.id > HOLLOW || (it.id < OTHERS && role != Some((it.id, place)));
        let hollow: Vec<usize> = (0..it.rights.len()).filter(|place| gives(*place)).collect();
        hollow.into_iter().for_each(|place| it.rights[place].actions.clear());
    }
    for it in left.subjects.iter_mut().filter(|it| it.id == subject) {
        it.positions.extend(position);
    }
    // What is withheld is withheld of the one position too.
    let added = |it: &Assignment| position.is_none() && role.is_some_and(|(role, _)| role == it.role);
    let kept = world.assignments.iter().filter(|it| it.subject == subject && (it.added.is_none() || added(it)));
    left.assignments.extend(kept.cloned());
    left
}

/// Gives some subjects copies in the place of their positions and roles, with copies of the guards that bind by a role.
fn copy_jobs(world: &mut World, copy: Id, gets: impl Fn(&Subject) -> bool) {
    let who: Vec<Id> = world.subjects.iter().filter(|it| gets(it)).map(|it| it.id).collect();
    let original = |id: Id| id < OTHERS;
    let roles = world.roles.iter().filter(|it| original(it.id));
    let roles: Vec<Role> = roles.map(|it| Role { id: it.id + copy, ..it.clone() }).collect();
    let positions = world.positions.iter().filter(|it| original(it.id)).map(|it| Position {
        id: it.id + copy,
        roles: it.roles.iter().map(|role| role + copy).collect(),
        ..it.clone()
    });
    let positions: Vec<Position> = positions.collect();
    let guards = world.guards.iter().filter(|it| original(it.id)).filter_map(|it| match it.whom {
        Whom::Role(role) => Some(Guard { id: it.id + copy, whom: Whom::Role(role + copy), ..it.clone() }),
        Whom::Everyone | Whom::Subject(_) | Whom::Department(_) => None,
    });
    let guards: Vec<Guard> = guards.collect();
    world.roles.extend(roles);
    world.positions.extend(positions);
    world.guards.extend(guards);
    for it in world.subjects.iter_mut().filter(|it| who.contains(&it.id)) {
        it.positions.iter_mut().for_each(|id| *id += copy);
    }
    for it in world.assignments.iter_mut().filter(|it| who.contains(&it.subject)) {
        it.role += copy;
    }
}
