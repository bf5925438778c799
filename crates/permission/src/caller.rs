//! Who asks, and why there may be no answer.

use revisit_core::{
    Failure, Kind, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};

use smallvec::smallvec;
use uuid::Uuid;

use crate::{
    action::Action,
    decision::{Decision, Witness},
    external::Asked,
    lease::{Leases, Reading},
    permit::{Decided, Right, Scope},
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
    pub fn scope<'a>(&self, leases: &Leases, asked: impl Into<Asked<'a>>) -> Result<Scope, Denial> {
        Scope::of(self, leases, asked.into())
    }

    /// Decides about one row. Creating is decided on the row as it would be.
    pub fn decide(&self, leases: &Leases, action: Action, row: &Row) -> Result<Decided, Denial> {
        Decided::of(self, leases, Right::Policy(action), smallvec![row.clone()])
    }

    /// Decides about a change: on the row before and on the row after it.
    pub fn decide_change(&self, leases: &Leases, action: Action, before: &Row, after: &Row) -> Result<Decided, Denial> {
        Decided::of(self, leases, Right::Policy(action), smallvec![before.clone(), after.clone()])
    }

    /// Decides about several rows at once: all or nothing.
    pub fn decide_all(&self, leases: &Leases, action: Action, rows: &[Row]) -> Result<Decided, Denial> {
        Decided::of(self, leases, Right::Policy(action), rows.iter().cloned().collect())
    }

    /// What every active subject may do whatever its roles: see and keep its own profile, sessions, preferences and
    /// inbox.
    pub fn own(&self, leases: &Leases) -> Result<Decided, Denial> {
        let row = Row::new(self.tenant, self.subject).with_owner(self.subject);
        Decided::of(self, leases, Right::Own, smallvec![row])
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

/// Why there is no permit. It travels beneath the [`Failure`] that it becomes, so that the audit can tell what was tried.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{reason}")]
pub struct Denial {
    /// What class.
    pub kind: DenialKind,
    /// In words: lower-case, no full stop.
    pub reason: &'static str,
    /// The decision, if there was one.
    pub decision: Option<Decision>,
    /// What was tried; none for what no action of the registry names.
    pub action: Option<Action>,
    /// On which row; none when no row comes into question.
    pub row: Option<Uuid>,
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
    pub(crate) const fn denied(decision: Decision) -> Self {
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
        Self { decision: Some(decision), ..Self::without_decision(kind, reason) }
    }

    /// The same, with what was tried.
    pub(crate) fn of(self, action: impl Into<Option<Action>>, row: impl Into<Option<Uuid>>) -> Self {
        Self { action: action.into(), row: row.into(), ..self }
    }

    pub(crate) const fn stale(reason: &'static str) -> Self {
        Self::without_decision(DenialKind::Stale, reason)
    }

    /// What was answered by is another by now.
    pub(crate) const fn changed() -> Self {
        Self::stale("the permission changed during the call")
    }

    const fn session(reason: &'static str) -> Self {
        Self::without_decision(DenialKind::Session, reason)
    }

    pub(crate) const fn nothing() -> Self {
        Self::without_decision(DenialKind::Denied, "nothing was decided")
    }

    const fn without_decision(kind: DenialKind, reason: &'static str) -> Self {
        Self { kind, reason, decision: None, action: None, row: None }
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
        let mut failure = Self::new(kind, reason, denial.reason);
        if let Some(axis) = refused {
            failure = failure.with("axis", axis.name());
        }
        match denial.kind {
            DenialKind::Denied => failure.caused_by(denial),
            // What lies beneath an unavailable service is logged as its fault, and nothing is at fault here.
            DenialKind::Stale | DenialKind::Session => failure,
        }
    }
}

#[cfg(test)]
mod tests;
