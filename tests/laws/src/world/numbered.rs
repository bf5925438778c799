//! What has to fit together in a world that was drawn piece by piece.

use crate::naive::{Id, World};

/// Gives ids, makes the departments a tree, and leaves at most one override per subject and role.
pub fn numbered(mut world: World) -> World {
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
