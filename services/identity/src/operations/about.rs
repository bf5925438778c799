//! What an entry of the log is found by: each thing that a change writes, and everybody and everything that it is about.

use std::collections::BTreeSet;

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
    for id in [before, Some(change)].into_iter().flatten().flat_map(concerned).chain(moved(before, change)) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    (resource, ids)
}

/// What changes that are refused as a whole would have done, and of which actions their author would have gained something;
/// what they would have made is nowhere to be found.
pub fn tried(changes: &[(Option<Change>, &Change)], gained: ActionSet) -> Tried {
    let made = changes.iter().filter(|(before, change)| before.is_none() && is_thing(change));
    let mut left_out: BTreeSet<Uuid> = made.map(|(_, change)| written(change).1).collect();
    let all = changes.iter().flat_map(|(before, change)| about(before.as_ref(), change).1);
    Tried {
        resource: changes.first().map_or("", |(_, change)| written(change).0),
        // Each once.
        ids: all.filter(|id| left_out.insert(*id)).collect(),
        fields: gained.iter().map(|action| action.name().to_owned()).collect(),
    }
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

/// Whom and what it is about besides: a grant its holder and who delegated it, an override its role, a guard whom it binds
/// and whom it leaves out, a department its head.
fn concerned(change: &Change) -> Vec<Uuid> {
    let of = |them: &[Option<SubjectId>]| them.iter().flatten().map(|id| id.uuid()).collect();
    match change {
        Change::Department(it) => of(&[it.head]),
        Change::RoleAssignment(it) => vec![it.role.uuid()],
        Change::Grant(it) => of(&[Some(it.holder), it.giver()]),
        Change::Guard(it) => {
            let bound = match it.whom {
                Whom::Everyone => None,
                Whom::Subject(id) => Some(id.uuid()),
                Whom::Role(id) => Some(id.uuid()),
                Whom::Department(id) => Some(id.uuid()),
            };
            bound.into_iter().chain(it.except.subjects.iter().map(|id| id.uuid())).collect()
        }
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

/// Which positions somebody gets or loses, which roles a position, and who joins or leaves a team.
fn moved(before: Option<&Change>, change: &Change) -> Vec<Uuid> {
    let (was, is) = (before.map(listed).unwrap_or_default(), listed(change));
    let gone = was.iter().filter(|id| !is.contains(id));
    is.iter().filter(|id| !was.contains(id)).chain(gone).copied().collect()
}

/// What a thing lists that may be many and mostly stays.
fn listed(change: &Change) -> BTreeSet<Uuid> {
    match change {
        Change::Subject(it) => it.positions.iter().map(|id| id.uuid()).collect(),
        Change::Position(it) => it.roles.iter().map(|id| id.uuid()).collect(),
        Change::Team(it) => it.members.iter().map(|id| id.uuid()).collect(),
        Change::Tenant(_)
        | Change::Department(_)
        | Change::Role(_)
        | Change::RoleAssignment(_)
        | Change::Grant(_)
        | Change::Guard(_)
        | Change::ExternalType(_)
        | Change::SessionRevoked { .. }
        | Change::Removed(_) => BTreeSet::new(),
    }
}

/// A registered type has a name and no id; the entry says the name.
fn external_type(name: &Name) -> (&'static str, Uuid) {
    let id: Id<kind::Grant> = Id::derived("external type", &[name.as_str().as_bytes()]);
    ("external_type", id.uuid())
}

#[cfg(test)]
mod tests {
    use revisit_core::Timestamp;
    use revisit_permission::{Action, Assigned, Levels, RoleAssignment, Subject, SubjectState, Team};

    use super::*;

    fn id<K>(number: u128) -> Id<K> {
        Id::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn what_is_refused_is_found_by_what_is_there_and_not_by_what_would_have_been_made() {
        let new = Change::Subject(Subject::user(id(1), "new", SubjectState::Active));
        let assigned = Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX };
        let given = Change::RoleAssignment(RoleAssignment { subject: id(1), role: id(2), assigned });
        let gained = ActionSet::of(&[Action::AuditView]);
        let tried = |changes: &[(Option<Change>, &Change)]| tried(changes, gained);
        let made = tried(&[(None, &new), (None, &given)]);
        assert_eq!((made.resource, made.ids), ("user", vec![Uuid::from_u128(2)]), "nobody has the new one's id");
        assert_eq!(made.fields, ["audit.view"]);
        let there = tried(&[(Some(new.clone()), &new), (None, &given)]);
        assert_eq!(there.ids, [1, 2].map(Uuid::from_u128), "each once");
    }

    #[test]
    fn a_team_is_about_who_joins_and_who_leaves() {
        let team = |members: &[u128]| {
            let members = members.iter().map(|number| id(*number)).collect();
            let (from, until) = (Timestamp::MIN, Timestamp::MAX);
            Change::Team(Team { id: id(9), name: "it".to_owned(), members, cap: Levels::READ, from, until })
        };
        let ids = |before: Option<Change>, after| about(before.as_ref(), &after).1;
        assert_eq!(ids(None, team(&[1])), [9, 1].map(Uuid::from_u128));
        assert_eq!(ids(Some(team(&[1, 2])), team(&[2, 3])), [9, 3, 1].map(Uuid::from_u128), "who stays is not");
    }
}
