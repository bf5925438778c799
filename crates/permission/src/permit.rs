//! Permits: the proof of a successful decision, without which no store reads or writes a protected row.
//!
//! Only this crate makes them. There are three: a [`Scope`] (which rows), a [`Decided`] (these rows) and a [`Worker`]
//! (moves rows inside its own database, answers no caller). Each can be confirmed on the newest snapshot, right
//! before a commit or an answer.

use std::sync::Arc;

use revisit_core::{
    Failure, Kind, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use smallvec::{SmallVec, smallvec};

use crate::{
    decision::{Decision, Witness},
    lease::{Leases, Reading},
    level::{Layer, Levels},
    predicate::Predicate,
    registry::Action,
    row::Row,
};

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Caller {
    /// Of which company.
    pub tenant: TenantId,
    /// Who.
    pub subject: SubjectId,
    /// Through which session; none for somebody who is not calling.
    pub session: Option<SessionId>,
    /// The revision that a decision must have reached: that of the token, or a later one that the call names.
    pub token_revision: i64,
    /// When the session's log-in window closes.
    pub window_end: Option<Timestamp>,
}

impl Caller {
    /// Somebody who calls with a verified token.
    #[must_use]
    pub const fn with_session(tenant: TenantId, subject: SubjectId, session: SessionId, token_revision: i64) -> Self {
        Self { tenant, subject, session: Some(session), token_revision, window_end: None }
    }

    /// Somebody who is not calling: no session, no window.
    #[must_use]
    pub const fn named(tenant: TenantId, subject: SubjectId) -> Self {
        Self { tenant, subject, session: None, token_revision: 0, window_end: None }
    }

    /// The same, decided on no older revision than this one.
    #[must_use]
    pub fn at_least(mut self, revision: i64) -> Self {
        self.token_revision = self.token_revision.max(revision);
        self
    }

    /// The rows to which the caller may do this. Fails only if there can be none.
    pub fn scope(&self, leases: &Leases, action: Action) -> Result<Scope, Denial> {
        let reading = self.reading(leases)?;
        let predicate = reading.snapshot.predicate(self.subject, action);
        if !predicate.possible(reading.now) {
            let nowhere = reading.snapshot.decide(self.subject, action, &Row::of_tenant(self.tenant), reading.now);
            return Err(Denial::denied(nowhere));
        }
        Ok(Scope { caller: self.clone(), leases: leases.clone(), action, predicate, reading })
    }

    /// Decides about one row. Creating is decided on the row as it would be.
    pub fn decide(&self, leases: &Leases, action: Action, row: &Row) -> Result<Decided, Denial> {
        self.decide_all(leases, action, std::slice::from_ref(row))
    }

    /// Decides about a change: on the row before and on the row after it.
    pub fn decide_change(&self, leases: &Leases, action: Action, before: &Row, after: &Row) -> Result<Decided, Denial> {
        self.decide_all(leases, action, &[before.clone(), after.clone()])
    }

    /// Decides about several rows at once: all or nothing.
    pub fn decide_all(&self, leases: &Leases, action: Action, rows: &[Row]) -> Result<Decided, Denial> {
        let mut decided = Decided {
            caller: self.clone(),
            leases: leases.clone(),
            right: Right::Policy(action),
            rows: rows.iter().cloned().collect(),
            decisions: SmallVec::new(),
        };
        decided.decisions = decided.decide()?;
        Ok(decided)
    }

    /// What every active subject may do whatever its roles: see and keep its own profile, sessions, preferences and
    /// inbox.
    pub fn own(&self, leases: &Leases) -> Result<Decided, Denial> {
        let row = Row::new(self.tenant, self.subject).with_owner(self.subject);
        let mut decided = Decided {
            caller: self.clone(),
            leases: leases.clone(),
            right: Right::Own,
            rows: smallvec![row],
            decisions: SmallVec::new(),
        };
        decided.decisions = decided.decide()?;
        Ok(decided)
    }

    /// The newest snapshot, if the lease holds, it is new enough, and the session stands.
    pub fn reading(&self, leases: &Leases) -> Result<Reading, Denial> {
        let reading = leases.read(self.tenant).map_err(|_| Denial::stale("the permission lease has run out"))?;
        if reading.snapshot.revision < self.token_revision {
            return Err(Denial::stale("the permission state is older than the call asks for"));
        }
        if self.session.is_some_and(|session| reading.snapshot.is_session_revoked(session)) {
            return Err(Denial::session("the session has ended"));
        }
        if self.window_end.is_some_and(|end| reading.now >= end) {
            return Err(Denial::session("the log-in window is closed"));
        }
        Ok(reading)
    }
}

/// The proof of a successful decision.
pub trait Permit: sealed::Permit {
    /// Of which company; none for a worker, whose work spans companies.
    fn tenant(&self) -> Option<TenantId>;

    /// Decides again on the newest snapshot. To be called after the last await before a commit or an answer.
    fn confirm(&self) -> Result<(), Denial>;
}

mod sealed {
    /// Only this crate names permits.
    pub trait Permit {}
    impl Permit for super::Scope {}
    impl Permit for super::Decided {}
    impl Permit for super::Permits {}
    impl Permit for super::Worker {}
}

/// The rows to which a caller may do something: a store adds it to WHERE.
#[derive(Clone, Debug)]
pub struct Scope {
    caller: Caller,
    leases: Leases,
    action: Action,
    predicate: Arc<Predicate>,
    reading: Reading,
}

impl Scope {
    /// Of which company.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// Whose.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// To do what.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The time of the decision.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.reading.now
    }

    /// The revision of the decision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.reading.snapshot.revision
    }

    /// What is evaluated.
    #[must_use]
    pub fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// The levels of a row; nothing when it is not in scope.
    #[must_use]
    pub fn levels(&self, row: &Row) -> Option<Levels> {
        let decision = self.reading.snapshot.decide(self.caller.subject, self.action, row, self.reading.now);
        decision.allowed.then_some(decision.levels)
    }

    /// Whether a list may be sorted and grouped by a field of this layer.
    #[must_use]
    pub fn reads(&self, layer: Layer) -> bool {
        self.predicate.reads(layer, self.reading.now)
    }

    /// The same scope on the newest snapshot: a list filters its rows with it before it answers.
    pub fn decide_again(&self) -> Result<Self, Denial> {
        self.caller.scope(&self.leases, self.action)
    }
}

impl Permit for Scope {
    fn tenant(&self) -> Option<TenantId> {
        Some(self.caller.tenant)
    }

    /// Holds while the newest predicate says the same; else the answer has to be made again.
    fn confirm(&self) -> Result<(), Denial> {
        let again = self.decide_again()?;
        if Arc::ptr_eq(&self.predicate, &again.predicate) || self.predicate.same(&again.predicate) {
            return Ok(());
        }
        Err(Denial::stale("the permission changed during the call"))
    }
}

/// By what right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Right {
    /// Policy allows the action.
    Policy(Action),
    /// It is the subject's own profile.
    Own,
}

/// Rows that were decided about, one by one.
#[derive(Clone, Debug)]
pub struct Decided {
    caller: Caller,
    leases: Leases,
    right: Right,
    /// At least one.
    rows: SmallVec<[Row; 2]>,
    /// One for each row.
    decisions: SmallVec<[Decision; 2]>,
}

impl Decided {
    /// Of which company.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// Who decided to act.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The action; none for the caller's own profile.
    #[must_use]
    pub const fn action(&self) -> Option<Action> {
        match self.right {
            Right::Policy(action) => Some(action),
            Right::Own => None,
        }
    }

    /// The rows, in the order in which they were given.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Whether this row was decided about.
    #[must_use]
    pub fn covers(&self, id: uuid::Uuid) -> bool {
        self.rows.iter().any(|row| row.id == id)
    }

    /// The decisions, one for each row.
    #[must_use]
    pub fn decisions(&self) -> &[Decision] {
        &self.decisions
    }

    /// The lowest level of each layer over all rows: what may be read and written of every one of them.
    #[must_use]
    pub fn levels(&self) -> Levels {
        self.decisions.iter().fold(Levels::WRITE, |levels, decision| levels.cap(decision.levels))
    }

    /// The levels on the row before a change.
    #[must_use]
    pub fn levels_before(&self) -> Levels {
        self.decisions.first().map_or(Levels::HIDDEN, |decision| decision.levels)
    }

    /// The revision of the decision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.decisions.first().map_or(0, |decision| decision.revision)
    }

    fn decide(&self) -> Result<SmallVec<[Decision; 2]>, Denial> {
        let reading = self.caller.reading(&self.leases)?;
        let decide = |row: &Row| {
            let decision = match self.right {
                Right::Policy(action) => reading.snapshot.decide(self.caller.subject, action, row, reading.now),
                Right::Own => reading.snapshot.decide_own(self.caller.subject),
            };
            match decision {
                Decision { allowed: true, .. } => {
                    Ok(Decision { valid_until: decision.valid_until.min(reading.until), ..decision })
                }
                Decision { allowed: false, .. } => Err(Denial::denied(decision)),
            }
        };
        if self.rows.is_empty() {
            return Err(Denial::nothing());
        }
        self.rows.iter().map(decide).collect()
    }
}

impl Permit for Decided {
    fn tenant(&self) -> Option<TenantId> {
        Some(self.caller.tenant)
    }

    /// Holds while every row is still allowed, at no lower level than before.
    fn confirm(&self) -> Result<(), Denial> {
        let again = self.decide()?;
        let lower = self.decisions.iter().zip(&again).find(|(before, after)| !before.levels.within(after.levels));
        lower.map_or(Ok(()), |(_, after)| Err(Denial::denied(*after)))
    }
}

/// Several decisions that one transaction acts on.
#[derive(Clone, Debug, Default)]
pub struct Permits(pub Vec<Decided>);

impl Permit for Permits {
    /// The tenant of the first; [`Permits::confirm`] refuses a mixture.
    fn tenant(&self) -> Option<TenantId> {
        self.0.first().map(Decided::tenant)
    }

    fn confirm(&self) -> Result<(), Denial> {
        let Some(first) = self.0.first() else { return Err(Denial::nothing()) };
        if self.0.iter().any(|decided| decided.tenant() != first.tenant()) {
            return Err(Denial::nothing());
        }
        self.0.iter().try_for_each(Permit::confirm)
    }
}

/// Declared work inside one service's own database. It needs no lease and answers no caller; what leaves the service
/// is decided when it leaves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Worker {
    name: &'static str,
}

impl Worker {
    /// Declares a worker. At start-up only, so that the list of workers is what `start` says.
    #[must_use]
    pub const fn declare(name: &'static str) -> Self {
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }
}

impl Permit for Worker {
    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn confirm(&self) -> Result<(), Denial> {
        Ok(())
    }
}

/// Why there is no permit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Denial {
    /// What class.
    pub kind: DenialKind,
    /// In words: lower-case, no full stop.
    pub reason: &'static str,
    /// The decision, if there was one.
    pub decision: Option<Decision>,
}

/// The classes of denial.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum DenialKind {
    /// Policy says no.
    Denied,
    /// Nobody can say for now.
    Stale,
    /// The session does not stand.
    Session,
}

impl Denial {
    const fn denied(decision: Decision) -> Self {
        // A row that is newer than the snapshot can be decided about once a newer one is loaded.
        let (kind, reason) = match decision.witness {
            Witness::Behind => (DenialKind::Stale, "the permission state is older than the row"),
            Witness::Grant(_)
            | Witness::Own
            | Witness::Guard(_)
            | Witness::NearestMiss { .. }
            | Witness::Inactive
            | Witness::UnknownSubject
            | Witness::OtherTenant => (DenialKind::Denied, "permission denied"),
        };
        Self { kind, reason, decision: Some(decision) }
    }

    const fn stale(reason: &'static str) -> Self {
        Self { kind: DenialKind::Stale, reason, decision: None }
    }

    const fn session(reason: &'static str) -> Self {
        Self { kind: DenialKind::Session, reason, decision: None }
    }

    const fn nothing() -> Self {
        Self { kind: DenialKind::Denied, reason: "nothing was decided", decision: None }
    }
}

impl From<Denial> for Failure {
    fn from(denial: Denial) -> Self {
        let (kind, reason) = match denial.kind {
            DenialKind::Denied => (Kind::Denied, "PERMISSION_DENIED"),
            DenialKind::Stale => (Kind::Unavailable, "LEASE_EXPIRED"),
            DenialKind::Session => (Kind::Unauthenticated, "SESSION_ENDED"),
        };
        let refused = denial.decision.and_then(|decision| decision.witness.refused());
        let failure = Self::new(kind, reason, denial.reason);
        refused.map_or(failure.clone(), |axis| failure.with("axis", axis.name()))
    }
}
