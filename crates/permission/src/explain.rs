//! Why a subject may or may not do something: every grant that was considered and the first axis on which it failed.

use revisit_core::{
    Timestamp,
    id::{GuardId, SubjectId},
};

use crate::{
    action::Action,
    decision::{Axis, Decision, GrantRef},
    external::Asked,
    level::Levels,
    row::Row,
    snapshot::Snapshot,
};

/// A decision with everything that led to it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The decision itself.
    pub decision: Decision,
    /// The first axis that refused; none when allowed.
    pub refused: Option<Axis>,
    /// The grants that have the action, in the order of [`GrantRef`].
    pub considered: Vec<Considered>,
    /// The guards that cover the row now, in the order of their ids.
    pub guards: Vec<GuardId>,
}

/// One grant in an explanation.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Considered {
    /// Which grant.
    pub grant: GrantRef,
    /// The first axis on which it failed; none when it matched.
    pub refused: Option<Axis>,
    /// What it gives where it matches.
    pub levels: Levels,
}

impl Snapshot {
    /// Explains a decision.
    #[must_use]
    pub fn explain(&self, subject: SubjectId, action: Action, row: &Row, now: Timestamp) -> Explanation {
        let decision = self.decide(subject, action, row, now);
        let predicate = self.predicate(subject, Asked::on(action, row.external.as_ref()));
        let considered = predicate.considered(row, now);
        let considered =
            considered.map(|(clause, refused)| Considered { grant: clause.grant, refused, levels: clause.levels });
        // A guard may bind for several reasons at once: two roles, or the subject and the account above it.
        let mut guards: Vec<GuardId> = predicate.covering(row, now).map(|bar| bar.guard).collect();
        guards.dedup();
        Explanation { decision, refused: decision.witness.refused(), considered: considered.collect(), guards }
    }
}
