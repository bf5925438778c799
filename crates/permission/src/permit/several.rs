//! Several decisions that stand or fall together.

use revisit_core::id::TenantId;

use super::{Decided, Permit};
use crate::{
    caller::{Denial, DenialKind},
    decision::Decision,
};

/// What was decided twice: it stands while both stand.
impl<P: Permit, Q: Permit> Permit for (P, Q) {
    fn tenant(&self) -> Option<TenantId> {
        self.0.tenant()
    }

    fn decision(&self) -> Option<Decision> {
        self.0.decision()
    }

    fn confirm(&self) -> Result<(), Denial> {
        if self.1.tenant().is_some_and(|tenant| self.0.tenant() != Some(tenant)) {
            return Err(Denial::nothing());
        }
        self.0.confirm()?;
        self.1.confirm()
    }
}

/// What was decided, and a right by which the answer shows more or more is done, for who has it. That the second ends is no
/// refusal of what was asked: it is asked again and answered without.
#[derive(Clone, Debug)]
pub struct Beside<P, Q>(pub P, pub Option<Q>);

impl<P: Permit, Q: Permit> Permit for Beside<P, Q> {
    fn tenant(&self) -> Option<TenantId> {
        self.0.tenant()
    }

    fn decision(&self) -> Option<Decision> {
        self.0.decision()
    }

    /// The second first: what it has changed is learned by asking again, which tells more than a refusal.
    fn confirm(&self) -> Result<(), Denial> {
        if let Some(beside) = &self.1 {
            if beside.tenant() != self.0.tenant() {
                return Err(Denial::nothing());
            }
            beside.confirm().map_err(|denial| match denial.kind {
                DenialKind::Denied => Denial::changed(),
                DenialKind::Stale | DenialKind::Session => denial,
            })?;
        }
        self.0.confirm()
    }
}

/// Several decisions that one transaction acts on.
#[derive(Clone, Debug, Default)]
pub struct Permits(pub Vec<Decided>);

impl Permit for Permits {
    fn decision(&self) -> Option<Decision> {
        self.0.first().and_then(Permit::decision)
    }

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
