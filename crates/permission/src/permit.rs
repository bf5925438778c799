//! Permits: the proof of a successful decision, without which no store reads or writes a protected row.
//!
//! Only this crate makes them. There are three: a [`Scope`] (which rows), a [`Decided`] (these rows) and a [`Worker`]
//! (moves rows inside its own database, answers no caller; if somebody orders it to, [`Ordered`]; for one company alone,
//! [`Within`]); several of them are one where they stand together. Each can be confirmed on the newest snapshot, right
//! before a commit or an answer.

mod several;

use revisit_core::{Timestamp, id::TenantId};
use smallvec::SmallVec;

use crate::{
    action::Action,
    caller::{Caller, Denial},
    decision::Decision,
    external::Asked,
    lease::{Leases, Reading},
    level::{Layer, Level, Levels},
    predicate::Predicate,
    row::Row,
};

pub use several::{Beside, Permits};

/// The proof of a successful decision.
pub trait Permit: sealed::Permit {
    /// Of which company; none for a worker, whose work spans companies.
    fn tenant(&self) -> Option<TenantId>;

    /// What decided, if it was one decision about rows; of several, the first.
    fn decision(&self) -> Option<Decision> {
        None
    }

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
    impl Permit for super::Within {}
    impl Permit for super::Ordered {}
    impl<P: Permit, Q: Permit> Permit for (P, Q) {}
    impl<P: Permit, Q: Permit> Permit for super::Beside<P, Q> {}
}

/// The rows to which a caller may do something: a store adds it to WHERE.
#[derive(Clone, Debug)]
pub struct Scope {
    caller: Caller,
    leases: Leases,
    action: Action,
    predicate: Predicate,
    reading: Reading,
}

impl Scope {
    pub(crate) fn of(caller: &Caller, leases: &Leases, asked: Asked<'_>) -> Result<Self, Denial> {
        let (reading, action) = (caller.reading(leases)?, asked.action);
        let predicate = reading.snapshot.predicate(caller.subject, asked);
        if !predicate.possible(reading.now) {
            let nowhere = Row::of_tenant(caller.tenant).with_external(asked.external.cloned());
            let decision = reading.snapshot.decide(caller.subject, action, &nowhere, reading.now);
            return Err(Denial::denied(decision).of(action, None));
        }
        Ok(Self { caller: caller.clone(), leases: leases.clone(), action, predicate, reading })
    }

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
    pub const fn predicate(&self) -> &Predicate {
        &self.predicate
    }

    /// The levels of a row; nothing when it is not in scope.
    #[must_use]
    pub fn levels(&self, row: &Row) -> Option<Levels> {
        self.decision_on(row).map(|decision| decision.levels)
    }

    /// The decision about a row, with its witness: what the audit of a clear read names. Nothing when it is not in scope.
    #[must_use]
    pub fn decision_on(&self, row: &Row) -> Option<Decision> {
        let decision = self.predicate.decide(row, self.reading.now);
        decision.allowed.then_some(decision)
    }

    /// Whether a list may be sorted and grouped by a field of this layer.
    #[must_use]
    pub fn reads(&self, layer: Layer) -> bool {
        self.predicate.reads(layer, self.reading.now)
    }

    /// What every row of a list shows in clear: the levels under which a sum of all of them is shown.
    #[must_use]
    pub fn throughout(&self) -> Levels {
        let read = Layer::ALL.iter().filter(|layer| self.reads(**layer));
        read.fold(Levels::HIDDEN, |levels, layer| levels.with(*layer, Level::Read))
    }

    /// The same scope on the newest snapshot: a list filters its rows with it before it answers.
    pub fn decide_again(&self) -> Result<Self, Denial> {
        Self::of(&self.caller, &self.leases, Asked::on(self.action, self.predicate.external()))
    }
}

impl Permit for Scope {
    fn tenant(&self) -> Option<TenantId> {
        Some(self.caller.tenant)
    }

    /// Holds while the newest predicate says the same; else the answer has to be made again.
    fn confirm(&self) -> Result<(), Denial> {
        let again = self.decide_again()?;
        if self.predicate.stands((&again.predicate, again.now()), self.now()) {
            return Ok(());
        }
        Err(Denial::changed())
    }
}

/// By what right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Right {
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
    pub(crate) fn of(caller: &Caller, leases: &Leases, right: Right, rows: SmallVec<[Row; 2]>) -> Result<Self, Denial> {
        let undecided =
            Self { caller: caller.clone(), leases: leases.clone(), right, rows, decisions: SmallVec::new() };
        Ok(Self { decisions: undecided.decide()?, ..undecided })
    }

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
                Decision { allowed: false, .. } => Err(Denial::denied(decision).of(self.action(), row.id)),
            }
        };
        if self.rows.is_empty() {
            return Err(Denial::nothing());
        }
        self.rows.iter().map(decide).collect()
    }
}

impl Permit for Decided {
    fn decision(&self) -> Option<Decision> {
        self.decisions.first().copied()
    }

    fn tenant(&self) -> Option<TenantId> {
        Some(self.caller.tenant)
    }

    /// Holds while every row is still allowed, at no lower level than before.
    fn confirm(&self) -> Result<(), Denial> {
        let again = self.decide()?;
        for ((before, after), row) in self.decisions.iter().zip(&again).zip(&self.rows) {
            if !before.levels.within(after.levels) {
                return Err(Denial::denied(*after).of(self.action(), row.id));
            }
        }
        Ok(())
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

    /// The same work for one company: what it reads may leave to a service of ours that asked about that company.
    #[must_use]
    pub const fn within(self, tenant: TenantId) -> Within {
        Within { tenant }
    }

    /// The same work because somebody decided it: their right is asked again before the commit.
    #[must_use]
    pub const fn ordered_by(self, decided: Decided) -> Ordered {
        Ordered { decided }
    }
}

/// A worker's transaction that a caller orders: it spans companies as a worker does, and stands as long as the decision.
#[derive(Clone, Debug)]
pub struct Ordered {
    decided: Decided,
}

impl Permit for Ordered {
    fn tenant(&self) -> Option<TenantId> {
        None
    }

    fn decision(&self) -> Option<Decision> {
        self.decided.decision()
    }

    fn confirm(&self) -> Result<(), Denial> {
        self.decided.confirm()
    }
}

/// A worker's transaction for one company, in which the database shows it no row of another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Within {
    tenant: TenantId,
}

impl Permit for Within {
    fn tenant(&self) -> Option<TenantId> {
        Some(self.tenant)
    }

    fn confirm(&self) -> Result<(), Denial> {
        Ok(())
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
