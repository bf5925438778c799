//! The compiled state of one revision. Predicates are compiled when first asked for and kept as long as the snapshot.

use std::sync::{Arc, OnceLock};

use revisit_core::{
    Timestamp,
    id::{DepartmentId, PositionId, RoleId, SessionId, SubjectId, TenantId},
};
use smallvec::{SmallVec, smallvec};

use crate::{
    action::{Action, ActionSet},
    clause::Account,
    compile::Lines,
    decision::{Axis, Decision, Witness},
    facts::Facts,
    level::Levels,
    model::{Department, Subject},
    org::{IdMap, Org},
    predicate::Predicate,
    row::Row,
};

/// One tenant at one revision. Decides without locks and, once a predicate is compiled, without allocation.
#[derive(Debug)]
pub struct Snapshot {
    /// Whose.
    pub tenant: TenantId,
    /// At which position of the tenant's log.
    pub revision: i64,
    facts: Facts,
    org: Arc<Org>,
    subjects: IdMap<SubjectId, Cell>,
    lines: OnceLock<Arc<Lines>>,
}

/// A subject, and what was compiled for it so far.
#[derive(Debug, Default)]
struct Cell {
    resolved: OnceLock<Box<SubjectFacts>>,
    predicates: OnceLock<Box<Predicates>>,
}

type Predicates = [OnceLock<Arc<Predicate>>; Action::ALL.len()];

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
        let org = Arc::new(Org::new(facts.departments.values().map(|department| &**department)));
        let cell = |id: &SubjectId| (*id, Cell::default());
        let subjects = facts.subjects.keys().map(cell).collect();
        Self { tenant: facts.tenant(), revision, facts, org, subjects, lines: OnceLock::new() }
    }

    /// Decides.
    #[must_use]
    pub fn decide(&self, subject: SubjectId, action: Action, row: &Row, now: Timestamp) -> Decision {
        let denied = |witness| Decision {
            allowed: false,
            levels: Levels::HIDDEN,
            witness,
            valid_until: Timestamp::MAX,
            revision: self.revision,
        };
        if row.tenant != self.tenant {
            return denied(Witness::OtherTenant);
        }
        if row.auth_rev > self.revision {
            return denied(Witness::Behind);
        }
        let Some(predicate) = self.cached(subject, action) else { return denied(Witness::UnknownSubject) };
        let outcome = predicate.evaluate(row, now);
        let witness = match outcome.matched.filter(|_| outcome.allowed()) {
            Some(place) => Witness::Grant(predicate.own.clauses[place].grant),
            None => predicate.refusal(row, now, &outcome),
        };
        Decision {
            allowed: outcome.allowed(),
            levels: if outcome.allowed() { outcome.levels } else { Levels::HIDDEN },
            witness,
            valid_until: outcome.edge,
            revision: self.revision,
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

    /// Everything that policy says about a subject and an action. Of an unknown subject: that it may do nothing.
    #[must_use]
    pub fn predicate(&self, subject: SubjectId, action: Action) -> Arc<Predicate> {
        match self.cached(subject, action) {
            Some(predicate) => Arc::clone(predicate),
            None => Arc::new(self.nothing(subject, action, Witness::UnknownSubject)),
        }
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
        // Predicates that nobody asked for before are not kept: the question touches every subject once.
        let allowed = |subject: &SubjectId| self.predicate_once(*subject, action).check(row, now).is_some();
        self.subjects().into_iter().filter(allowed).collect()
    }

    /// The same as [`Snapshot::predicate`], and not kept unless it was kept before.
    #[must_use]
    pub fn predicate_once(&self, subject: SubjectId, action: Action) -> Arc<Predicate> {
        let kept = self.kept(subject, action).cloned();
        kept.unwrap_or_else(|| Arc::new(self.compile_predicate(subject, action)))
    }

    /// A department and all below it.
    #[must_use]
    pub fn subtree(&self, top: DepartmentId) -> Vec<DepartmentId> {
        self.org.subtree(top).collect()
    }

    /// The tree.
    #[must_use]
    pub fn org(&self) -> &Org {
        &self.org
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
        let mut heads = self.org.upwards(department).filter_map(|at| self.department(at)?.head);
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

    fn cached(&self, subject: SubjectId, action: Action) -> Option<&Arc<Predicate>> {
        let cell = self.subjects.get(&subject)?;
        let predicates = cell.predicates.get_or_init(|| Box::new(std::array::from_fn(|_| OnceLock::new())));
        Some(predicates[action as usize].get_or_init(|| Arc::new(self.compile_predicate(subject, action))))
    }

    fn kept(&self, subject: SubjectId, action: Action) -> Option<&Arc<Predicate>> {
        self.subjects.get(&subject)?.predicates.get()?[action as usize].get()
    }

    fn nothing(&self, subject: SubjectId, action: Action, absent: Witness) -> Predicate {
        Predicate {
            tenant: self.tenant,
            revision: self.revision,
            subject,
            action,
            org: Arc::clone(&self.org),
            own: Account::new(smallvec![subject], Vec::new(), &self.org),
            above: Box::default(),
            bars: Box::default(),
            absent,
        }
    }

    fn compile_predicate(&self, id: SubjectId, action: Action) -> Predicate {
        let Some(facts) = self.subject(id) else { return self.nothing(id, action, Witness::UnknownSubject) };
        if !facts.active {
            return self.nothing(id, action, Witness::Inactive);
        }
        let above = self.above(facts);
        let account = |who: SmallVec<[SubjectId; 2]>, facts: &SubjectFacts| {
            Account::new(who, self.clauses(facts, action), &self.org)
        };
        Predicate {
            tenant: self.tenant,
            revision: self.revision,
            subject: id,
            action,
            org: Arc::clone(&self.org),
            own: account(smallvec![id], facts),
            above: above.iter().map(|parent| account(smallvec![id, parent.subject.id], parent)).collect(),
            bars: self.bars(facts, &above, action),
            absent: Witness::NearestMiss { axis: self.absent_axis(facts, action), grant: None },
        }
    }

    /// Why a subject has no clause for an action.
    fn absent_axis(&self, facts: &SubjectFacts, action: Action) -> Axis {
        if !facts.actions.contains(action) {
            return Axis::Module;
        }
        let mut about = false;
        self.rights(facts, |right, _| {
            about |= right.actions.iter().any(|other| other.resource() == action.resource());
        });
        if about { Axis::Operation } else { Axis::Role }
    }
}

#[cfg(test)]
mod tests;
