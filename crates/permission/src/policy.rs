//! The compiled form of everything that rules say about one subject and one type of rows: the only thing that decides.
//!
//! It is an OR of clauses, one per grant, AND the same for each account above a sub-account, AND NOT each guard that
//! denies; a delegated clause counts where its giver's own policy allows. All actions of a type share it, because most of
//! it is the same for all of them and a check is as fast as the memory that it touches is small.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GuardId, SubjectId, TenantId},
};
use uuid::Uuid;

use crate::{
    account::{Account, Said, Seen, open},
    action::Action,
    clause::Clause,
    decision::{Axis, Witness},
    level::{Layer, Levels},
    lines::Lines,
    org::Org,
    row::{NameSet, Row},
    rule::Effect,
};

/// A guard, seen from one subject.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Bar {
    pub(crate) guard: GuardId,
    /// On which actions of the type, as [`Action::bit`]s.
    pub(crate) actions: u32,
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

/// What all policies of one state of a company share. A check finds it in the cache, because every other one read it too.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) tenant: TenantId,
    pub(crate) revision: i64,
    pub(crate) org: Org,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Policy {
    pub(crate) own: Account,
    /// One for each account above a sub-account: every one must allow too.
    pub(crate) above: Box<[Account]>,
    /// In the order of guard ids.
    pub(crate) bars: Box<[Bar]>,
    pub(crate) base: Arc<Base>,
    pub(crate) subject: SubjectId,
    pub(crate) standing: Standing,
}

/// Why there may be no clause.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Standing {
    /// The subject is unknown, or may not act at all.
    Out(Witness),
    /// It may act; of the type's actions, as [`Action::bit`]s, those that a switched-off module takes away, and those
    /// that some right of it names.
    In { off: u32, named: u32 },
}

/// What evaluating a policy on a row gives.
pub(crate) struct Outcome {
    said: Said,
    pub(crate) levels: Levels,
    parent_refused: bool,
    barred: Option<GuardId>,
    /// The next instant at which anything that touches this row starts or ends.
    pub(crate) edge: Timestamp,
}

impl Outcome {
    /// The clause that decides, when the row is allowed.
    pub(crate) const fn place(&self) -> Option<usize> {
        match self.said {
            Said::Yes(place, _) if !self.parent_refused && self.barred.is_none() => Some(place),
            Said::Yes(..) | Said::No(..) | Said::Nothing => None,
        }
    }

    pub(crate) const fn allowed(&self) -> bool {
        self.place().is_some()
    }
}

impl Bar {
    pub(crate) fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// Whether the guard covers the row, whatever the time. An attribute that the row lacks fails its test.
    pub(crate) fn covers(&self, subject: SubjectId, row: &Row, org: &Org) -> bool {
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

    /// Whether it leaves at least these levels of every row.
    pub(crate) fn lets(&self, levels: Levels) -> bool {
        match self.effect {
            Effect::Deny => false,
            Effect::Cap(ceiling) => levels.within(ceiling),
        }
    }

    /// Whether `new`, of another revision's policy of the same subject, covers at least the rows that this one covers. A
    /// department that is gone has no rows, nor has who does not own any.
    pub(crate) fn stands_in(
        &self,
        (before, after): (&Policy, &Policy),
        new: &Self,
        owns: impl Fn(SubjectId) -> bool,
    ) -> bool {
        let led = |bar: &Self| bar.except_led.as_ref().map_or_else(Vec::new, |lines| lines.led_by(before.subject));
        let below = |bar: &Self, org: &Org| bar.department.map_or_else(Vec::new, |top| org.subtree(top).collect());
        // Both are asked about one action.
        let rest = |bar: &Self| Self { except_led: None, actions: 0, ..bar.clone() };
        let (excepted, covered) = (led(self), below(new, after.org()));
        rest(self) == rest(new)
            && led(new).iter().all(|owner| excepted.contains(owner) || !owns(*owner))
            && below(self, before.org()).iter().all(|id| covered.contains(id) || !after.org().knows(*id))
    }
}

impl Policy {
    /// The tree.
    pub(crate) fn org(&self) -> &Org {
        &self.base.org
    }

    /// Decides, if the row is of this tenant and no newer than this revision.
    pub(crate) fn evaluate(&self, action: u32, seen: &Seen<'_>, now: Timestamp) -> Outcome {
        let mut edge = Timestamp::MAX;
        let said = self.own.evaluate(action, seen, now, &mut edge);
        let levels = if let Said::Yes(_, levels) = said { levels } else { Levels::HIDDEN };
        let mut outcome = Outcome { said, levels, parent_refused: false, barred: None, edge };
        for above in &self.above {
            match above.evaluate(action, seen, now, &mut outcome.edge) {
                Said::Yes(_, ceiling) => outcome.levels = outcome.levels.cap(ceiling),
                Said::No(..) | Said::Nothing => outcome.parent_refused = true,
            }
        }
        for bar in self.bars_on(action) {
            if !bar.covers(self.subject, seen.row, seen.org) || !open((bar.from, bar.until), now, &mut outcome.edge) {
                continue;
            }
            match bar.effect {
                Effect::Deny => outcome.barred = outcome.barred.or(Some(bar.guard)),
                Effect::Cap(ceiling) => outcome.levels = outcome.levels.cap(ceiling),
            }
        }
        outcome
    }

    /// What decided.
    pub(crate) fn witness(&self, action: Action, outcome: &Outcome) -> Witness {
        match outcome.said {
            Said::Yes(place, _) if outcome.parent_refused => self.miss(Axis::Parent, place),
            Said::Yes(place, _) => match outcome.barred {
                None => Witness::Grant(self.own.grant(place)),
                Some(guard) => Witness::Guard(guard),
            },
            Said::No(axis, place) => self.miss(axis, place),
            Said::Nothing => self.standing.absent(action),
        }
    }

    fn miss(&self, axis: Axis, place: usize) -> Witness {
        Witness::NearestMiss { axis, grant: Some(self.own.grant(place)) }
    }

    /// The subject's own account, and each above it.
    pub(crate) fn sides(&self) -> impl Iterator<Item = &Account> {
        std::iter::once(&self.own).chain(&self.above)
    }

    /// The guards on an action.
    pub(crate) fn bars_on(&self, action: u32) -> impl Iterator<Item = &Bar> {
        self.bars.iter().filter(move |bar| bar.actions & action != 0)
    }

    /// Whether every row of a list shows this layer in clear.
    pub(crate) fn reads(&self, action: u32, layer: Layer, now: Timestamp) -> bool {
        let uncapped = self.bars_on(action).filter(|bar| bar.holds(now)).all(|bar| match bar.effect {
            Effect::Deny => true,
            Effect::Cap(ceiling) => ceiling.reads(layer),
        });
        let reads = |side: &Account, place: usize, clause: &Clause| {
            // What a task lends differs from row to row; the basic layer is always lent.
            (clause.reach != crate::clause::Reach::Task || layer == Layer::Basic)
                && clause.levels.reads(layer)
                && side.giver(place).is_none_or(|giver| giver.reads(action, layer, now))
        };
        uncapped
            && self.sides().all(|side| {
                let open = side.about(action).filter(|(_, clause)| clause.holds(now));
                open.into_iter().all(|(place, clause)| reads(side, place, clause))
            })
    }

    /// The windows of everything about an action, those of givers too.
    pub(crate) fn windows(&self, action: u32) -> Vec<(Timestamp, Timestamp)> {
        let mut windows: Vec<_> = self.bars_on(action).map(|bar| (bar.from, bar.until)).collect();
        for side in self.sides() {
            for (place, clause) in side.about(action) {
                windows.push(clause.window());
                windows.extend(side.giver(place).into_iter().flat_map(|giver| giver.windows(action)));
            }
        }
        windows
    }

    /// Whether two revisions say the same about an action, so that what was answered under one stands under the other.
    pub(crate) fn same(&self, other: &Self, action: u32) -> bool {
        let bars = |policy: &Self| policy.bars_on(action).cloned().collect::<Vec<_>>();
        let (mine, its) = (bars(self), bars(other));
        let stands_in = |(one, two): (&Bar, &Bar)| {
            one.stands_in((self, other), two, |_| true) && two.stands_in((other, self), one, |_| true)
        };
        self.subject == other.subject
            && mine.len() == its.len()
            && mine.iter().zip(&its).all(stands_in)
            && self.above.len() == other.above.len()
            && self.sides().zip(other.sides()).all(|(one, two)| self.same_side(one, (other, two), action))
    }

    fn same_side(&self, mine: &Account, (other, its): (&Self, &Account), action: u32) -> bool {
        let alike = |one: (usize, &Clause), two: (usize, &Clause)| {
            let givers = match (mine.giver(one.0), its.giver(two.0)) {
                (None, None) => true,
                (Some(one), Some(two)) => one.same(two, action),
                (Some(_), None) | (None, Some(_)) => false,
            };
            one.1 == two.1
                && givers
                && one.1.top().is_none_or(|top| self.org().subtree(top).eq(other.org().subtree(top)))
        };
        mine.who == its.who
            && mine.about(action).count() == its.about(action).count()
            && mine.about(action).zip(its.about(action)).all(|(one, two)| alike(one, two))
    }
}

impl Standing {
    /// Why a subject has no clause for an action.
    pub(crate) const fn absent(self, action: Action) -> Witness {
        let axis = match self {
            Self::Out(witness) => return witness,
            Self::In { off, .. } if off & action.bit() != 0 => Axis::Module,
            Self::In { named: 0, .. } => Axis::Role,
            Self::In { .. } => Axis::Operation,
        };
        Witness::NearestMiss { axis, grant: None }
    }
}
