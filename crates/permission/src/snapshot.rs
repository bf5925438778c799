//! The compiled state of one revision. Policies are compiled when first asked for and kept as long as the snapshot.

use std::{
    iter,
    sync::{Arc, OnceLock},
};

use revisit_core::{
    Timestamp,
    id::{DepartmentId, PositionId, RoleId, SessionId, SubjectId, TenantId},
};
use smallvec::{SmallVec, smallvec};

use crate::{
    account::Account,
    action::{Action, ActionSet},
    compile::Delegated,
    decision::{Axis, Decision, Witness},
    external::{About, Asked},
    facts::Facts,
    level::Levels,
    lines::Lines,
    model::{Department, Subject},
    org::{IdMap, Org},
    policy::{Base, Policy, Standing},
    predicate::Predicate,
    registry::Resource,
    row::{Name, Row},
};

/// One tenant at one revision. Decides without locks and, once a policy is compiled, without allocation.
#[derive(Debug)]
pub struct Snapshot {
    /// Whose.
    pub tenant: TenantId,
    /// At which position of the tenant's log.
    pub revision: i64,
    facts: Facts,
    base: Arc<Base>,
    subjects: IdMap<SubjectId, Cell>,
    /// The registered types, in order.
    external: Box<[Name]>,
    lines: OnceLock<Arc<Lines>>,
}

/// A subject, and what was compiled for it so far.
#[derive(Debug, Default)]
struct Cell {
    policies: OnceLock<Box<Policies>>,
    /// One for each registered type, in order.
    external: OnceLock<Box<[OnceLock<Arc<Policy>>]>>,
    resolved: OnceLock<Box<SubjectFacts>>,
}

/// One for each type of our own rows.
type Policies = [OnceLock<Arc<Policy>>; Resource::ALL.len()];

/// A subject with everything that the tree and its positions say about it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SubjectFacts {
    /// As stored.
    pub subject: Subject,
    /// Who leads it: the named manager, else the nearest active head above it, else the administrator.
    pub manager: Option<SubjectId>,
    /// What it holds of each role.
    pub roles: Vec<HeldRole>,
    /// Actions that no switched-off module takes away.
    pub actions: ActionSet,
    /// Whether it and every account above it are active.
    pub active: bool,
}

/// A role that a subject holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldRole {
    /// Which.
    pub role: RoleId,
    /// The position that gives it; none when it was added beside the positions.
    pub position: Option<PositionId>,
    /// Where its relative extents lie.
    pub departments: Vec<DepartmentId>,
    /// From when.
    pub from: Timestamp,
    /// Until when.
    pub until: Timestamp,
}

impl Snapshot {
    /// Compiles the state of `revision`. Cheap: what belongs to one subject is compiled when it is asked for.
    #[must_use]
    pub fn compile(facts: &Facts, revision: i64) -> Self {
        let facts = facts.clone();
        let org = Org::new(facts.departments.values().map(|department| &**department));
        let base = Arc::new(Base { tenant: facts.tenant(), revision, org });
        let cell = |id: &SubjectId| (*id, Cell::default());
        let subjects = facts.subjects.keys().map(cell).collect();
        let external = facts.external_types().map(|it| it.name.clone()).collect();
        Self { tenant: facts.tenant(), revision, facts, base, subjects, external, lines: OnceLock::new() }
    }

    /// Decides.
    #[must_use]
    pub fn decide(&self, subject: SubjectId, action: Action, row: &Row, now: Timestamp) -> Decision {
        match self.cached(subject, Asked::on(action, row.external.as_ref()).about()) {
            Some(policy) => policy.decide(action, row, now),
            None => self.nothing(subject, self.without_policy(subject)).decide(action, row, now),
        }
    }

    /// Why nothing is said about a subject: it is not known, or the type of the rows is not registered.
    fn without_policy(&self, subject: SubjectId) -> Witness {
        match self.subject(subject) {
            None => Witness::UnknownSubject,
            Some(facts) if !facts.active => Witness::Inactive,
            Some(_) => Witness::NearestMiss { axis: Axis::Role, grant: None },
        }
    }

    /// Decides about a subject's own profile: whoever is active may.
    pub(crate) fn decide_own(&self, subject: SubjectId) -> Decision {
        let (allowed, witness) = match self.subject(subject) {
            None => (false, Witness::UnknownSubject),
            Some(facts) if !facts.active => (false, Witness::Inactive),
            Some(_) => (true, Witness::Own),
        };
        let levels = if allowed { Levels::WRITE } else { Levels::HIDDEN };
        Decision { allowed, levels, witness, valid_until: Timestamp::MAX, revision: self.revision }
    }

    /// Everything that policy says about a subject and an action. Of an unknown subject, and of a type that is not
    /// registered: that it may do nothing.
    #[must_use]
    pub fn predicate<'a>(&self, subject: SubjectId, asked: impl Into<Asked<'a>>) -> Predicate {
        let asked = asked.into();
        let policy = match self.cached(subject, asked.about()) {
            Some(policy) => Arc::clone(policy),
            None => Arc::new(self.nothing(subject, self.without_policy(subject))),
        };
        Predicate::new(policy, asked)
    }

    /// A subject with what follows for it from tree and positions.
    #[must_use]
    pub fn subject(&self, id: SubjectId) -> Option<&SubjectFacts> {
        let cell = self.subjects.get(&id)?;
        let subject = self.facts.subject(id)?;
        Some(cell.resolved.get_or_init(|| Box::new(self.resolve(subject))))
    }

    /// Every subject of the tenant, in the order of ids.
    #[must_use]
    pub fn subjects(&self) -> Vec<SubjectId> {
        let mut ids: Vec<_> = self.subjects.keys().copied().collect();
        ids.sort_unstable();
        ids
    }

    /// Who may do this to the row, in the order of ids.
    #[must_use]
    pub fn who(&self, action: Action, row: &Row, now: Timestamp) -> Vec<SubjectId> {
        // Policies that nobody asked for before are not kept: the question touches every subject once.
        let asked = Asked::on(action, row.external.as_ref());
        let allowed = |subject: &SubjectId| self.predicate_once(*subject, asked).decide(row, now).allowed;
        self.subjects().into_iter().filter(allowed).collect()
    }

    /// The same as [`Snapshot::predicate`], and not kept unless it was kept before.
    #[must_use]
    pub fn predicate_once<'a>(&self, subject: SubjectId, asked: impl Into<Asked<'a>>) -> Predicate {
        let asked = asked.into();
        let kept = self.policy_cell(subject, asked.about()).and_then(OnceLock::get).cloned();
        let once = || match self.policy_cell(subject, asked.about()) {
            Some(_) => self.compile_policy(subject, asked.about(), Delegated::Counts),
            None => self.nothing(subject, self.without_policy(subject)),
        };
        Predicate::new(kept.unwrap_or_else(|| Arc::new(once())), asked)
    }

    /// A department and all below it.
    #[must_use]
    pub fn subtree(&self, top: DepartmentId) -> Vec<DepartmentId> {
        self.org().subtree(top).collect()
    }

    /// The tree.
    #[must_use]
    pub fn org(&self) -> &Org {
        &self.base.org
    }

    /// The facts that it was compiled from.
    #[must_use]
    pub const fn facts(&self) -> &Facts {
        &self.facts
    }

    /// A department as stored.
    #[must_use]
    pub fn department(&self, id: DepartmentId) -> Option<&Department> {
        self.facts.department(id)
    }

    /// The nearest active head of a department or of one above it; else the administrator. Work without a person
    /// responsible belongs to this one.
    #[must_use]
    pub fn head(&self, department: DepartmentId) -> Option<SubjectId> {
        let mut heads = self.org().upwards(department).filter_map(|at| self.department(at)?.head);
        heads.find(|head| self.is_known_active(*head)).or(self.facts.settings.administrator)
    }

    /// Whether a session was ended.
    #[must_use]
    pub fn is_session_revoked(&self, session: SessionId) -> bool {
        self.facts.revoked.contains_key(&session)
    }

    pub(crate) fn shared_lines(&self) -> Arc<Lines> {
        Arc::clone(self.lines.get_or_init(|| Arc::new(self.lines())))
    }

    fn cached(&self, subject: SubjectId, about: About<'_>) -> Option<&Arc<Policy>> {
        let compile = || Arc::new(self.compile_policy(subject, about, Delegated::Counts));
        Some(self.policy_cell(subject, about)?.get_or_init(compile))
    }

    /// Where a policy is kept. Nowhere for an unknown subject and for a type that is not registered.
    fn policy_cell(&self, subject: SubjectId, about: About<'_>) -> Option<&OnceLock<Arc<Policy>>> {
        let cell = self.subjects.get(&subject)?;
        match about {
            About::Ours(resource) => {
                let policies = cell.policies.get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
                Some(&policies[resource as usize])
            }
            About::External(name) => {
                let place = self.external.binary_search(name).ok()?;
                let empty = || iter::repeat_with(OnceLock::new).take(self.external.len()).collect();
                Some(&cell.external.get_or_init(empty)[place])
            }
            About::AnyExternal | About::Nothing => None,
        }
    }

    fn nothing(&self, subject: SubjectId, why: Witness) -> Policy {
        Policy {
            own: Account::new(smallvec![subject], Vec::new(), self.org()),
            above: Box::default(),
            bars: Box::default(),
            base: Arc::clone(&self.base),
            subject,
            standing: Standing::Out(why),
        }
    }

    /// What a subject may do with rows of a type.
    pub(crate) fn compile_policy(&self, id: SubjectId, about: About<'_>, delegated: Delegated) -> Policy {
        let Some(facts) = self.subject(id) else { return self.nothing(id, Witness::UnknownSubject) };
        if !facts.active {
            return self.nothing(id, Witness::Inactive);
        }
        let above = self.above(facts);
        let account = |who: SmallVec<[SubjectId; 2]>, facts: &SubjectFacts| {
            Account::new(who, self.held_clauses(facts, about, delegated), self.org())
        };
        Policy {
            own: account(smallvec![id], facts),
            above: above.iter().map(|parent| account(smallvec![id, parent.subject.id], parent)).collect(),
            bars: self.bars(facts, &above, about),
            base: Arc::clone(&self.base),
            subject: id,
            standing: self.standing(facts, about),
        }
    }

    fn standing(&self, facts: &SubjectFacts, about: About<'_>) -> Standing {
        let mut named = 0;
        self.rights(facts, |right, _| {
            named |= if about.has_right(right.external) { about.bits(right.actions) } else { 0 };
        });
        Standing::In { off: about.bits(ActionSet::ALL.without(facts.actions)), named }
    }
}

#[cfg(test)]
mod tests;
