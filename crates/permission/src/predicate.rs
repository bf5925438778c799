//! A policy, asked about one action: a check evaluates it on a row, a list turns it into SQL, who-can-see asks it for each
//! subject.

use std::sync::Arc;

use revisit_core::{Timestamp, id::SubjectId};

use crate::{
    account::{Account, Seen},
    action::Action,
    clause::Clause,
    decision::{Axis, Decision, Witness},
    external::Asked,
    level::{Layer, Levels},
    policy::{Bar, Policy},
    row::{Name, Row},
};

/// What a subject may do with one action. It depends on the time only through the windows that it carries.
#[derive(Clone, Debug)]
pub struct Predicate {
    pub(crate) policy: Arc<Policy>,
    action: Action,
    external: Option<Name>,
}

impl Predicate {
    pub(crate) fn new(policy: Arc<Policy>, asked: Asked<'_>) -> Self {
        Self { policy, action: asked.action, external: asked.external.cloned() }
    }

    /// Whose it is.
    #[must_use]
    pub fn subject(&self) -> SubjectId {
        self.policy.subject
    }

    /// For which action.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// Of which revision.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.policy.base.revision
    }

    /// On rows of which registered type; none for our own types.
    #[must_use]
    pub const fn external(&self) -> Option<&Name> {
        self.external.as_ref()
    }

    pub(crate) const fn bit(&self) -> u32 {
        self.action.bit()
    }

    /// The subject's clauses, whatever the time.
    pub fn clauses(&self) -> impl Iterator<Item = &Clause> {
        self.policy.own.about(self.bit()).map(|(_, clause)| clause)
    }

    /// The levels of a row; nothing when denied.
    #[must_use]
    pub fn check(&self, row: &Row, now: Timestamp) -> Option<Levels> {
        let decision = self.decide(row, now);
        decision.allowed.then_some(decision.levels)
    }

    /// Decides about a row.
    #[must_use]
    pub fn decide(&self, row: &Row, now: Timestamp) -> Decision {
        if row.external != self.external {
            let other_type = Witness::NearestMiss { axis: Axis::Role, grant: None };
            return Decision::denied(self.policy.outside(row).unwrap_or(other_type), self.policy.base.revision);
        }
        self.policy.decide(self.action, row, now)
    }

    /// Whether some row could be allowed at `now`, guards aside.
    #[must_use]
    pub fn possible(&self, now: Timestamp) -> bool {
        self.all_sides(|clause| clause.holds(now))
    }

    /// Whether on every side, the subject's own and that of each account above it, some clause passes.
    pub(crate) fn all_sides(&self, passes: impl Fn(&Clause) -> bool) -> bool {
        self.policy.sides().all(|side| side.about(self.bit()).any(|(_, clause)| passes(clause)))
    }

    /// The guards on the action.
    pub(crate) fn bars(&self) -> impl Iterator<Item = &Bar> {
        self.policy.bars_on(self.bit())
    }

    /// The guards that hold at `now`.
    pub(crate) fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Bar> {
        self.bars().filter(move |bar| bar.holds(now))
    }

    /// Whether a list that this predicate made `then` is the one that a newer predicate makes at its own instant. The
    /// same words may say something else by then: what they name has begun or ended.
    #[must_use]
    pub fn stands(&self, (newer, now): (&Self, Timestamp), then: Timestamp) -> bool {
        self.same(newer) && self.same_at(then, now)
    }

    /// Whether what holds at one instant holds at the other, so that no row is answered otherwise for the time alone.
    fn same_at(&self, one: Timestamp, other: Timestamp) -> bool {
        let holds = |at: Timestamp, (from, until): (Timestamp, Timestamp)| from <= at && at < until;
        self.policy.windows(self.bit()).into_iter().all(|window| holds(one, window) == holds(other, window))
    }

    /// Whether every row of a list shows this layer in clear: whether it may be sorted and grouped by. It depends on
    /// grants and never on values.
    #[must_use]
    pub fn reads(&self, layer: Layer, now: Timestamp) -> bool {
        self.policy.reads(self.bit(), layer, now)
    }

    /// Each of the subject's clauses with the first axis on which it does not match a row.
    pub(crate) fn considered<'a>(
        &'a self,
        row: &'a Row,
        now: Timestamp,
    ) -> impl Iterator<Item = (&'a Clause, Option<Axis>)> {
        let own: &Account = &self.policy.own;
        own.about(self.bit()).map(move |(place, clause)| {
            let seen = Seen::new(row, self.policy.org());
            (clause, own.refused((place, self.bit()), &seen, now))
        })
    }

    /// The guards that cover a row at `now`.
    pub(crate) fn covering(&self, row: &Row, now: Timestamp) -> impl Iterator<Item = &Bar> {
        self.in_force(now).filter(move |bar| bar.covers(self.subject(), row, self.policy.org()))
    }

    /// Whether two revisions say the same, so that what was answered under one stands under the other.
    pub(crate) fn same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policy, &other.policy)
            || (self.action == other.action
                && self.external == other.external
                && self.policy.same(&other.policy, self.bit()))
    }
}

impl Policy {
    /// Why nothing is decided about a row: it is another company's, or newer than what is known.
    fn outside(&self, row: &Row) -> Option<Witness> {
        if row.tenant != self.base.tenant {
            return Some(Witness::OtherTenant);
        }
        (row.auth_rev > self.base.revision).then_some(Witness::Behind)
    }

    pub(crate) fn decide(&self, action: Action, row: &Row, now: Timestamp) -> Decision {
        if let Some(outside) = self.outside(row) {
            return Decision::denied(outside, self.base.revision);
        }
        let outcome = self.evaluate(action.bit(), &Seen::new(row, self.org()), now);
        let allowed = outcome.allowed();
        Decision {
            allowed,
            levels: if allowed { outcome.levels } else { Levels::HIDDEN },
            witness: self.witness(action, &outcome),
            valid_until: outcome.edge,
            revision: self.base.revision,
        }
    }
}

/// One page out of the sorted pages of several clauses: merged by key, repeats dropped, at most `size` rows.
#[must_use]
pub fn merge_pages<T, K: Ord>(pages: Vec<Vec<T>>, key: impl Fn(&T) -> K, size: usize) -> Vec<T> {
    let mut rows: Vec<T> = pages.into_iter().flatten().collect();
    rows.sort_by_key(|row| key(row));
    rows.dedup_by(|one, other| key(one) == key(other));
    rows.truncate(size);
    rows
}
