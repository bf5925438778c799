//! What an entry of the log is found by: each thing that a change writes, and everybody and everything that it is about.

use revisit_core::{
    Id, Tried,
    id::{SubjectId, kind},
};
use revisit_permission::{ActionSet, Change, Name, Removed, Whom};
use uuid::Uuid;

/// The type of what a change writes, and the ids that it is found by: its own first.
pub fn about(before: Option<&Change>, change: &Change) -> (&'static str, Vec<Uuid>) {
    let (resource, own) = written(change);
    // Who headed a department, or was bound by a guard, until now is as much concerned as who is from now on.
    let mut ids = vec![own];
    for id in [before, Some(change)].into_iter().flatten().flat_map(concerned) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    (resource, ids)
}

/// What changes that are refused as a whole would have done; what they would have made is nowhere to be found.
pub fn tried<'a>(changes: impl Iterator<Item = (Option<Change>, &'a Change)>) -> Tried {
    let mut tried = Tried::default();
    for (before, change) in changes {
        let (resource, ids) = about(before.as_ref(), change);
        let made = usize::from(before.is_none() && is_thing(change));
        for id in ids.into_iter().skip(made) {
            if !tried.ids.contains(&id) {
                tried.ids.push(id);
            }
        }
        tried.resource = if tried.resource.is_empty() { resource } else { tried.resource };
        let named = rights(change).iter().map(|action| action.name().to_owned());
        tried.fields.extend(named.filter(|name| !tried.fields.contains(name)).collect::<Vec<_>>());
    }
    tried
}

/// Whether a change that replaces nothing makes something new, and does not add to or take from something that is there.
const fn is_thing(change: &Change) -> bool {
    match change {
        Change::Department(_)
        | Change::Subject(_)
        | Change::Position(_)
        | Change::Role(_)
        | Change::Team(_)
        | Change::Grant(_)
        | Change::Guard(_)
        | Change::ExternalType(_) => true,
        Change::Tenant(_) | Change::RoleAssignment(_) | Change::SessionRevoked { .. } | Change::Removed(_) => false,
    }
}

/// The actions that a change gives or bars.
const fn rights(change: &Change) -> ActionSet {
    match change {
        Change::Grant(it) => it.actions,
        Change::Guard(it) => it.actions,
        Change::Tenant(_)
        | Change::Department(_)
        | Change::Subject(_)
        | Change::Position(_)
        | Change::Role(_)
        | Change::RoleAssignment(_)
        | Change::Team(_)
        | Change::ExternalType(_)
        | Change::SessionRevoked { .. }
        | Change::Removed(_) => ActionSet::EMPTY,
    }
}

/// What a change writes or takes away.
fn written(change: &Change) -> (&'static str, Uuid) {
    match change {
        Change::Tenant(tenant) => ("tenant", tenant.administrator.map_or(Uuid::nil(), Id::uuid)),
        Change::Department(it) => ("department", it.id.uuid()),
        Change::Subject(it) => ("user", it.id.uuid()),
        Change::Position(it) => ("position", it.id.uuid()),
        Change::Role(it) => ("role", it.id.uuid()),
        Change::RoleAssignment(it) => ("user", it.subject.uuid()),
        Change::Team(it) => ("team", it.id.uuid()),
        Change::Grant(it) => ("grant", it.id.uuid()),
        Change::Guard(it) => ("guard", it.id.uuid()),
        Change::ExternalType(it) => external_type(&it.name),
        Change::SessionRevoked { session, .. } => ("session", session.uuid()),
        Change::Removed(removed) => match removed {
            Removed::Department(id) => ("department", id.uuid()),
            Removed::Subject(id) => ("user", id.uuid()),
            Removed::Position(id) => ("position", id.uuid()),
            Removed::Role(id) => ("role", id.uuid()),
            Removed::RoleAssignment { subject, .. } => ("user", subject.uuid()),
            Removed::Team(id) => ("team", id.uuid()),
            Removed::Grant { id, .. } => ("grant", id.uuid()),
            Removed::Guard(id) => ("guard", id.uuid()),
            Removed::ExternalType(name) => external_type(name),
        },
    }
}

/// Whom and what it is about besides: a grant its holder and who delegated it, an override its role, a guard whom it binds,
/// a department its head.
fn concerned(change: &Change) -> Vec<Uuid> {
    let of = |them: &[Option<SubjectId>]| them.iter().flatten().map(|id| id.uuid()).collect();
    match change {
        Change::Department(it) => of(&[it.head]),
        Change::RoleAssignment(it) => vec![it.role.uuid()],
        Change::Grant(it) => of(&[Some(it.holder), it.giver()]),
        Change::Guard(it) => match it.whom {
            Whom::Everyone => Vec::new(),
            Whom::Subject(id) => vec![id.uuid()],
            Whom::Role(id) => vec![id.uuid()],
            Whom::Department(id) => vec![id.uuid()],
        },
        Change::Removed(Removed::RoleAssignment { role, .. }) => vec![role.uuid()],
        Change::Removed(Removed::Grant { holder, .. }) => vec![holder.uuid()],
        Change::Tenant(_)
        | Change::Subject(_)
        | Change::Position(_)
        | Change::Role(_)
        | Change::Team(_)
        | Change::ExternalType(_)
        | Change::SessionRevoked { .. }
        | Change::Removed(
            Removed::Department(_)
            | Removed::Subject(_)
            | Removed::Position(_)
            | Removed::Role(_)
            | Removed::Team(_)
            | Removed::Guard(_)
            | Removed::ExternalType(_),
        ) => Vec::new(),
    }
}

/// A registered type has a name and no id; the entry says the name.
fn external_type(name: &Name) -> (&'static str, Uuid) {
    let id: Id<kind::Grant> = Id::derived("external type", &[name.as_str().as_bytes()]);
    ("external_type", id.uuid())
}
