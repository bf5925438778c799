//! What is known about one tenant: the changes of its log, applied.
//!
//! The collections are shared with the snapshots made of them and copied only when they change, so a new revision
//! costs what it touches and not what exists.

use std::{collections::BTreeMap, sync::Arc};

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GrantId, GuardId, PositionId, RoleId, SessionId, SubjectId, TeamId, TenantId},
};

use crate::{
    compile::ACCOUNTS_MAX,
    external::ExternalType,
    grants::{GrantView, Grants},
    model::{Change, Department, Position, Removed, Role, RoleAssignment, Subject, Team, Tenant},
    org::IdMap,
    row::Name,
    rule::{Grant, Guard},
};

/// One tenant's facts.
#[derive(Clone, Debug)]
pub struct Facts {
    tenant: TenantId,
    pub(crate) settings: Arc<Tenant>,
    pub(crate) departments: Arc<IdMap<DepartmentId, Arc<Department>>>,
    pub(crate) subjects: Arc<IdMap<SubjectId, Arc<Subject>>>,
    pub(crate) positions: Arc<IdMap<PositionId, Arc<Position>>>,
    pub(crate) roles: Arc<IdMap<RoleId, Arc<Role>>>,
    pub(crate) assignments: Arc<IdMap<SubjectId, Vec<RoleAssignment>>>,
    pub(crate) teams: Arc<IdMap<TeamId, Arc<Team>>>,
    pub(crate) grants: Grants,
    pub(crate) guards: Arc<IdMap<GuardId, Arc<Guard>>>,
    pub(crate) external: Arc<BTreeMap<Name, Arc<ExternalType>>>,
    pub(crate) revoked: Arc<IdMap<SessionId, Timestamp>>,
    /// Removed grants: a late repeat of an older change must not bring one back.
    buried: Arc<IdMap<GrantId, ()>>,
}

impl Facts {
    /// A tenant of which nothing is known: everything is denied.
    #[must_use]
    pub fn new(tenant: TenantId) -> Self {
        Self {
            tenant,
            settings: Arc::default(),
            departments: Arc::default(),
            subjects: Arc::default(),
            positions: Arc::default(),
            roles: Arc::default(),
            assignments: Arc::default(),
            teams: Arc::default(),
            grants: Grants::default(),
            guards: Arc::default(),
            external: Arc::default(),
            revoked: Arc::default(),
            buried: Arc::default(),
        }
    }

    /// The facts that a list of changes gives.
    #[must_use]
    pub fn of<'a>(tenant: TenantId, changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut facts = Self::new(tenant);
        changes.into_iter().for_each(|change| facts.apply(change));
        facts
    }

    /// The tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Applies one change of the log.
    pub fn apply(&mut self, change: &Change) {
        match change {
            Change::Tenant(tenant) => self.settings = Arc::new(tenant.clone()),
            Change::Department(new) => put(&mut self.departments, new.id, new),
            Change::Subject(new) => put(&mut self.subjects, new.id, new),
            Change::Position(new) => put(&mut self.positions, new.id, new),
            Change::Role(new) => put(&mut self.roles, new.id, new),
            Change::Team(new) => put(&mut self.teams, new.id, new),
            Change::Guard(new) => put(&mut self.guards, new.id, new),
            Change::ExternalType(new) => {
                Arc::make_mut(&mut self.external).insert(new.name.clone(), Arc::new(new.clone()));
            }
            Change::RoleAssignment(new) => {
                let held = Arc::make_mut(&mut self.assignments).entry(new.subject).or_default();
                held.retain(|old| old.role != new.role);
                held.push(*new);
            }
            Change::Grant(new) => self.grant(new),
            Change::SessionRevoked { session, until } => {
                let kept = Arc::make_mut(&mut self.revoked).entry(*session).or_insert(*until);
                *kept = (*kept).max(*until);
            }
            Change::Removed(removed) => self.remove(removed),
        }
    }

    fn grant(&mut self, new: &Grant) {
        if self.buried.contains_key(&new.id) {
            return;
        }
        self.grants.put(new);
    }

    fn remove(&mut self, removed: &Removed) {
        match removed {
            Removed::Department(id) => take(&mut self.departments, id),
            Removed::Subject(id) => take(&mut self.subjects, id),
            Removed::Position(id) => take(&mut self.positions, id),
            Removed::Role(id) => take(&mut self.roles, id),
            Removed::Team(id) => take(&mut self.teams, id),
            Removed::Guard(id) => take(&mut self.guards, id),
            Removed::ExternalType(name) => drop(Arc::make_mut(&mut self.external).remove(name)),
            Removed::RoleAssignment { subject, role } => {
                if let Some(held) = Arc::make_mut(&mut self.assignments).get_mut(subject) {
                    held.retain(|assignment| assignment.role != *role);
                }
            }
            Removed::Grant { holder, id } => {
                Arc::make_mut(&mut self.buried).insert(*id, ());
                self.grants.remove(*holder, *id);
            }
        }
    }

    /// Forgets revoked sessions whose last token had expired at `now`.
    pub fn forget_sessions(&mut self, now: Timestamp) {
        if self.revoked.values().any(|until| *until <= now) {
            Arc::make_mut(&mut self.revoked).retain(|_, until| *until > now);
        }
    }

    /// A list of changes that gives these facts when applied to nothing; the same list for equal facts.
    #[must_use]
    pub fn changes(&self) -> Vec<Change> {
        let mut changes = vec![Change::Tenant((*self.settings).clone())];
        changes.extend(sorted(&self.departments).map(|it| Change::Department((**it).clone())));
        changes.extend(sorted(&self.roles).map(|it| Change::Role((**it).clone())));
        changes.extend(sorted(&self.positions).map(|it| Change::Position((**it).clone())));
        changes.extend(sorted(&self.subjects).map(|it| Change::Subject((**it).clone())));
        for held in sorted(&self.assignments) {
            let mut held = held.clone();
            held.sort_by_key(|assignment| assignment.role);
            changes.extend(held.into_iter().map(Change::RoleAssignment));
        }
        changes.extend(sorted(&self.teams).map(|it| Change::Team((**it).clone())));
        changes.extend(self.grants.all().map(|it| Change::Grant(it.to_grant())));
        changes.extend(sorted(&self.guards).map(|it| Change::Guard((**it).clone())));
        changes.extend(self.external_types().cloned().map(Change::ExternalType));
        let mut revoked: Vec<_> = self.revoked.iter().collect();
        revoked.sort();
        changes.extend(
            revoked.into_iter().map(|(session, until)| Change::SessionRevoked { session: *session, until: *until }),
        );
        changes
    }

    /// The company's own settings.
    #[must_use]
    pub fn settings(&self) -> &Tenant {
        &self.settings
    }

    /// A subject as stored.
    #[must_use]
    pub fn subject(&self, id: SubjectId) -> Option<&Subject> {
        self.subjects.get(&id).map(|subject| &**subject)
    }

    /// A department as stored.
    #[must_use]
    pub fn department(&self, id: DepartmentId) -> Option<&Department> {
        self.departments.get(&id).map(|department| &**department)
    }

    /// A role as stored.
    #[must_use]
    pub fn role(&self, id: RoleId) -> Option<&Role> {
        self.roles.get(&id).map(|role| &**role)
    }

    /// A position as stored.
    #[must_use]
    pub fn position(&self, id: PositionId) -> Option<&Position> {
        self.positions.get(&id).map(|position| &**position)
    }

    /// A team as stored.
    #[must_use]
    pub fn team(&self, id: TeamId) -> Option<&Team> {
        self.teams.get(&id).map(|team| &**team)
    }

    /// A guard as stored.
    #[must_use]
    pub fn guard(&self, id: GuardId) -> Option<&Guard> {
        self.guards.get(&id).map(|guard| &**guard)
    }

    /// The grants of a holder that stand beside its roles, in the order of their ids.
    pub fn grants_of(&self, holder: SubjectId) -> impl Iterator<Item = GrantView<'_>> {
        self.grants.of(holder)
    }

    /// Whether the account `id` is a sub-account of `top`, directly or of one of its sub-accounts.
    #[must_use]
    pub fn is_sub_account(&self, id: SubjectId, top: SubjectId) -> bool {
        let parent = |id: &SubjectId| self.subject(*id)?.parent;
        std::iter::successors(parent(&id), parent).take(ACCOUNTS_MAX).any(|above| above == top)
    }

    /// The overrides of a subject's roles.
    #[must_use]
    pub fn assignments_of(&self, subject: SubjectId) -> &[RoleAssignment] {
        self.assignments.get(&subject).map_or(&[], |held| held)
    }
}

fn put<K: Eq + std::hash::Hash + Clone, V: Clone>(map: &mut Arc<IdMap<K, Arc<V>>>, key: K, value: &V) {
    Arc::make_mut(map).insert(key, Arc::new(value.clone()));
}

fn take<K: Eq + std::hash::Hash + Clone, V>(map: &mut Arc<IdMap<K, Arc<V>>>, key: &K) {
    Arc::make_mut(map).remove(key);
}

fn sorted<K: Ord, V>(map: &IdMap<K, V>) -> impl Iterator<Item = &V> {
    let mut entries: Vec<_> = map.iter().collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.into_iter().map(|(_, value)| value)
}
