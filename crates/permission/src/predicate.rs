//! The compiled form of everything that policy says about one subject and one action: the only thing that decides.
//!
//! It is an OR of clauses, one per grant, AND the same for each account above a sub-account, AND NOT each guard that
//! denies. A check evaluates it on a row, a list turns it into SQL, who-can-see asks it for each subject.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GuardId, SubjectId, TenantId},
};
use uuid::Uuid;

use crate::{
    action::Action,
    clause::{Account, Clause, Reach, Seen, open},
    compile::Lines,
    decision::{Axis, Witness},
    level::{Layer, Levels},
    org::Org,
    row::{NameSet, Row},
    rule::Effect,
};

/// A guard, seen from one subject and one action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bar {
    pub(crate) guard: GuardId,
    pub(crate) effect: Effect,
    pub(crate) from: Timestamp,
    pub(crate) until: Timestamp,
    /// Whether rows of the subject's own are left out.
    pub(crate) except_owner: bool,
    /// Who leads whom, when rows of those whom the subject leads are left out.
    pub(crate) except_led: Option<Arc<Lines>>,
    pub(crate) vip: bool,
    pub(crate) pooled: bool,
    pub(crate) stages: Option<NameSet>,
    pub(crate) grades: Option<NameSet>,
    pub(crate) department: Option<DepartmentId>,
    pub(crate) ids: Option<Arc<[Uuid]>>,
}

/// What a subject may do with one action. It depends on the time only through the windows that it carries.
#[derive(Debug)]
pub struct Predicate {
    pub(crate) tenant: TenantId,
    pub(crate) revision: i64,
    pub(crate) subject: SubjectId,
    pub(crate) action: Action,
    pub(crate) org: Arc<Org>,
    pub(crate) own: Account,
    /// One for each account above a sub-account: every one must allow too.
    pub(crate) above: Box<[Account]>,
    /// In the order of guard ids.
    pub(crate) bars: Box<[Bar]>,
    /// Why there is no clause at all.
    pub(crate) absent: Witness,
}

/// What evaluating a predicate on a row gives.
pub(crate) struct Outcome {
    pub(crate) matched: Option<usize>,
    pub(crate) levels: Levels,
    pub(crate) parent_refused: bool,
    pub(crate) barred: Option<GuardId>,
    /// The next instant at which anything that touches this row starts or ends.
    pub(crate) edge: Timestamp,
}

impl Outcome {
    pub(crate) const fn allowed(&self) -> bool {
        self.matched.is_some() && !self.parent_refused && self.barred.is_none()
    }
}

impl Bar {
    /// Whether the guard covers the row, whatever the time. An attribute that the row lacks fails its test.
    fn covers(&self, subject: SubjectId, row: &Row, org: &Org) -> bool {
        (!self.vip || row.flags.vip)
            && (!self.pooled || row.flags.pooled)
            && self.stages.as_ref().is_none_or(|stages| stages.contains(row.stage.as_ref()))
            && self.grades.as_ref().is_none_or(|grades| grades.contains(row.grade.as_ref()))
            && self.department.is_none_or(|top| row.department.is_some_and(|department| org.within(department, top)))
            && self.ids.as_ref().is_none_or(|ids| ids.binary_search(&row.id).is_ok())
            // Last: it climbs the line of managers, and most rows are none that a guard is about.
            && !self.excepts(subject, row)
    }

    fn excepts(&self, subject: SubjectId, row: &Row) -> bool {
        row.owner.is_some_and(|owner| {
            (self.except_owner && owner == subject)
                || self.except_led.as_ref().is_some_and(|led| led.leads(subject, owner))
        })
    }
}

impl Bar {
    /// Whether it leaves at least these levels of every row.
    pub(crate) fn lets(&self, levels: Levels) -> bool {
        match self.effect {
            Effect::Deny => false,
            Effect::Cap(ceiling) => levels.within(ceiling),
        }
    }

    /// Whether `new`, of another revision's predicate of the same subject, covers at least the rows that this one
    /// covers. A department that is gone has no rows, nor has who does not own any.
    pub(crate) fn stands_in(
        &self,
        (before, after): (&Predicate, &Predicate),
        new: &Self,
        owns: impl Fn(SubjectId) -> bool,
    ) -> bool {
        let led = |bar: &Self| bar.except_led.as_ref().map_or_else(Vec::new, |lines| lines.led_by(before.subject));
        let below = |bar: &Self, org: &Org| bar.department.map_or_else(Vec::new, |top| org.subtree(top).collect());
        let rest = |bar: &Self| Self { except_led: None, ..bar.clone() };
        let (excepted, covered) = (led(self), below(new, &after.org));
        rest(self) == rest(new)
            && led(new).iter().all(|owner| excepted.contains(owner) || !owns(*owner))
            && below(self, &before.org).iter().all(|id| covered.contains(id) || !after.org.knows(*id))
    }
}

impl Predicate {
    /// Whose it is.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.subject
    }

    /// For which action.
    #[must_use]
    pub const fn action(&self) -> Action {
        self.action
    }

    /// The subject's clauses, whatever the time.
    #[must_use]
    pub fn clauses(&self) -> &[Clause] {
        &self.own.clauses
    }

    /// The first clause that matches a row and the level of each layer; nothing when denied.
    #[must_use]
    pub fn check(&self, row: &Row, now: Timestamp) -> Option<(usize, Levels)> {
        if row.tenant != self.tenant || row.auth_rev > self.revision {
            return None;
        }
        let outcome = self.evaluate(row, now);
        if outcome.allowed() { outcome.matched.map(|place| (place, outcome.levels)) } else { None }
    }

    /// Whether some row could be allowed at `now`, guards aside.
    #[must_use]
    pub fn possible(&self, now: Timestamp) -> bool {
        self.all_sides(|clause| clause.holds(now))
    }

    /// Whether on every side, the subject's own and that of each account above it, some clause passes.
    pub(crate) fn all_sides(&self, passes: impl Fn(&Clause) -> bool) -> bool {
        std::iter::once(&self.own).chain(&self.above).all(|side| side.clauses.iter().any(&passes))
    }

    /// The guards that hold at `now`.
    pub(crate) fn in_force(&self, now: Timestamp) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(move |bar| bar.from <= now && now < bar.until)
    }

    /// Whether what holds at one instant holds at the other, so that no row is answered otherwise for the time alone.
    pub(crate) fn same_at(&self, one: Timestamp, other: Timestamp) -> bool {
        let clauses = std::iter::once(&self.own).chain(&self.above).flat_map(|side| &side.clauses);
        let bars = self.bars.iter().map(|it| (it.from, it.until));
        let mut windows = clauses.map(|it| (it.from, it.until)).chain(bars);
        windows.all(|(from, until)| (from <= one && one < until) == (from <= other && other < until))
    }

    /// Whether every row of a list shows this layer in clear: whether it may be sorted and grouped by. It depends on
    /// grants and never on values.
    #[must_use]
    pub fn reads(&self, layer: Layer, now: Timestamp) -> bool {
        let uncapped = self.in_force(now).all(|bar| match bar.effect {
            Effect::Deny => true,
            Effect::Cap(ceiling) => ceiling.reads(layer),
        });
        uncapped
            && std::iter::once(&self.own).chain(&self.above).all(|side| {
                side.clauses.iter().filter(|clause| clause.holds(now)).all(|clause| {
                    // What a task lends differs from row to row; the basic layer is always lent.
                    (clause.reach != Reach::Task || layer == Layer::Basic) && clause.levels.reads(layer)
                })
            })
    }

    pub(crate) fn evaluate(&self, row: &Row, now: Timestamp) -> Outcome {
        let seen = Seen::new(row, &self.org);
        let mut outcome = Outcome {
            matched: None,
            levels: Levels::HIDDEN,
            parent_refused: false,
            barred: None,
            edge: Timestamp::MAX,
        };
        if let Some((place, levels)) = self.own.evaluate(&seen, now, &mut outcome.edge) {
            outcome.matched = Some(place);
            outcome.levels = levels;
        }
        for above in &self.above {
            match above.evaluate(&seen, now, &mut outcome.edge) {
                Some((_, ceiling)) => outcome.levels = outcome.levels.cap(ceiling),
                None => outcome.parent_refused = true,
            }
        }
        for bar in &self.bars {
            if !bar.covers(self.subject, row, &self.org) || !open((bar.from, bar.until), now, &mut outcome.edge) {
                continue;
            }
            match bar.effect {
                Effect::Deny => outcome.barred = outcome.barred.or(Some(bar.guard)),
                Effect::Cap(ceiling) => outcome.levels = outcome.levels.cap(ceiling),
            }
        }
        outcome
    }

    /// Why a row is denied.
    pub(crate) fn refusal(&self, row: &Row, now: Timestamp, outcome: &Outcome) -> Witness {
        if let (Some(guard), Some(_), false) = (outcome.barred, outcome.matched, outcome.parent_refused) {
            return Witness::Guard(guard);
        }
        match self.own.nearest_miss(&Seen::new(row, &self.org), now) {
            Some((axis, grant)) => Witness::NearestMiss { axis, grant: Some(grant) },
            None => self.absent,
        }
    }

    /// The first axis on which a clause does not match; nothing when it matches.
    pub(crate) fn missed(&self, place: usize, row: &Row, now: Timestamp) -> Option<Axis> {
        Some(self.own.missed(place, &Seen::new(row, &self.org), now)).filter(|axis| *axis != Axis::Parent)
    }

    /// The guards that cover a row at `now`.
    pub(crate) fn covering(&self, row: &Row, now: Timestamp) -> impl Iterator<Item = &Bar> {
        let org = &self.org;
        self.in_force(now).filter(move |bar| bar.covers(self.subject, row, org))
    }

    /// Whether two revisions say the same, so that what was answered under one stands under the other.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let alike = |one: &Account, two: &Account| {
            one.who == two.who
                && one.clauses == two.clauses
                && one
                    .clauses
                    .iter()
                    .filter_map(Clause::top)
                    .all(|top| self.org.subtree(top).eq(other.org.subtree(top)))
        };
        let bars = self.bars.iter().zip(&other.bars);
        self.subject == other.subject
            && self.action == other.action
            && self.bars.len() == other.bars.len()
            && bars.into_iter().all(|(one, two)| {
                one.stands_in((self, other), two, |_| true) && two.stands_in((other, self), one, |_| true)
            })
            && alike(&self.own, &other.own)
            && self.above.len() == other.above.len()
            && self.above.iter().zip(&other.above).all(|(one, two)| alike(one, two))
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
