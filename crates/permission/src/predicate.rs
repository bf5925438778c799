//! The compiled form of everything that policy says about one subject and one action: the only thing that decides.
//!
//! It is an OR of clauses, one per grant, AND the same for each account above a sub-account, AND NOT each guard that
//! denies. A check evaluates it on a row, a list turns it into SQL, who-can-see asks it for each subject.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GuardId, SubjectId, TeamId, TenantId},
};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    compile::Lines,
    decision::{Axis, GrantRef, Witness},
    level::{Layer, Level, Levels},
    model::Effect,
    org::{IdMap, Interval, Org},
    registry::Action,
    row::{NameSet, Row},
};

/// The reach of a clause: an extent whose relative places are resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Rows that the subject owns.
    Own,
    /// Rows on which the subject holds an open task.
    Task,
    /// Rows of one department, the pool excepted.
    Department(DepartmentId),
    /// Rows of a department and of all below it, the pool excepted.
    Subtree(DepartmentId),
    /// Rows that a team shares.
    Team(TeamId),
    /// Named rows, in order.
    Ids(Arc<[Uuid]>),
    /// Every row.
    Tenant,
    /// Unowned rows in the pool of one department.
    Pooled(DepartmentId),
    /// Unowned rows in the pools of a department and of all below it.
    PooledSubtree(DepartmentId),
}

impl Reach {
    /// Whether every row within `other` is also within this reach, for the same subject.
    pub(crate) fn includes(&self, other: &Self, org: &Org) -> bool {
        match (self, other) {
            (Self::Tenant, _) => true,
            (Self::Subtree(top), Self::Subtree(at) | Self::Department(at))
            | (Self::PooledSubtree(top), Self::PooledSubtree(at) | Self::Pooled(at)) => org.within(*at, *top),
            (Self::Ids(mine), Self::Ids(its)) => its.iter().all(|id| mine.binary_search(id).is_ok()),
            (
                Self::Own
                | Self::Task
                | Self::Department(_)
                | Self::Subtree(_)
                | Self::Team(_)
                | Self::Ids(_)
                | Self::Pooled(_)
                | Self::PooledSubtree(_),
                _,
            ) => self == other,
        }
    }
}

/// One grant, seen from one subject and one action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clause {
    /// Which grant.
    pub grant: GrantRef,
    /// Which rows.
    pub reach: Reach,
    /// In which stages; all when none is named.
    pub stages: Option<NameSet>,
    /// For which grades; all when none is named.
    pub grades: Option<NameSet>,
    /// How much of each layer.
    pub levels: Levels,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
}

impl Clause {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    /// Whether every row that `other` reaches is reached here too, whatever the levels.
    pub(crate) fn lists(&self, other: &Self, org: &Org) -> bool {
        let wider = |mine: &Option<NameSet>, its: &Option<NameSet>| match (mine, its) {
            (None, _) => true,
            (Some(mine), Some(its)) => its.within(mine),
            (Some(_), None) => false,
        };
        self.reach.includes(&other.reach, org)
            && wider(&self.stages, &other.stages)
            && wider(&self.grades, &other.grades)
    }

    /// The department whose subtree it reaches.
    pub(crate) const fn top(&self) -> Option<DepartmentId> {
        match self.reach {
            Reach::Subtree(top) | Reach::PooledSubtree(top) => Some(top),
            Reach::Own
            | Reach::Task
            | Reach::Department(_)
            | Reach::Team(_)
            | Reach::Ids(_)
            | Reach::Tenant
            | Reach::Pooled(_) => None,
        }
    }
}

/// Clauses of one account: the subject itself, or one above it.
#[derive(Debug)]
pub(crate) struct Account {
    /// Who counts as owner and as task holder here: the account and its sub-account.
    pub(crate) who: SmallVec<[SubjectId; 2]>,
    /// In the order of [`GrantRef`].
    pub(crate) clauses: Box<[Clause]>,
    /// The interval of each clause with a subtree; the labels are those of the predicate's tree.
    intervals: Box<[Option<Interval>]>,
    index: Option<Index>,
}

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

/// Keeps the earliest instant after `now` at which a window opens or closes, and says whether it is open.
fn open(window: (Timestamp, Timestamp), now: Timestamp, edge: &mut Timestamp) -> bool {
    let (from, until) = window;
    if from >= until || now >= until {
        return false;
    }
    *edge = (*edge).min(if now < from { from } else { until });
    now >= from
}

/// The part of a row that is looked up once per evaluation.
struct Seen<'a> {
    row: &'a Row,
    org: &'a Org,
    label: Option<u32>,
    /// Unowned and in the pool: reached through pooled clauses, and not through the department's.
    in_pool: bool,
}

impl Account {
    pub(crate) fn new(who: SmallVec<[SubjectId; 2]>, mut clauses: Vec<Clause>, org: &Org) -> Self {
        clauses.sort_by(|one, other| one.grant.cmp(&other.grant));
        let intervals = clauses.iter().map(|clause| clause.top().and_then(|top| org.interval(top))).collect();
        let index = (clauses.len() > SCAN_MAX).then(|| Index::new(&clauses));
        Self { who, clauses: clauses.into_boxed_slice(), intervals, index }
    }

    /// The levels that a clause gives on a row, whatever its window, stage and grade; nothing when out of reach.
    fn reaches(&self, place: usize, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Option<Levels> {
        let clause = &self.clauses[place];
        let row = seen.row;
        let below = || self.intervals[place].zip(seen.label).is_some_and(|(interval, label)| interval.holds(label));
        let reached = match &clause.reach {
            Reach::Own => row.owner.is_some_and(|owner| self.who.contains(&owner)),
            Reach::Task => return self.lent(clause, row, now, edge),
            Reach::Department(department) => !seen.in_pool && row.department == Some(*department),
            Reach::Subtree(_) => !seen.in_pool && below(),
            Reach::Team(team) => row.teams.contains(team),
            Reach::Ids(ids) => ids.binary_search(&row.id).is_ok(),
            Reach::Tenant => true,
            Reach::Pooled(department) => seen.in_pool && row.department == Some(*department),
            Reach::PooledSubtree(_) => seen.in_pool && below(),
        };
        reached.then_some(clause.levels)
    }

    /// What open tasks lend, at most what the clause gives.
    fn lent(&self, clause: &Clause, row: &Row, now: Timestamp, edge: &mut Timestamp) -> Option<Levels> {
        let mut lent = None;
        for holder in &row.task_holders {
            let held = holder.subject.is_some_and(|subject| self.who.contains(&subject));
            if held && open((Timestamp::MIN, holder.until), now, edge) {
                let layers = holder.layers.join(Levels::HIDDEN.with(Layer::Basic, Level::Read));
                lent = Some(lent.unwrap_or(Levels::HIDDEN).join(clause.levels.cap(layers)));
            }
        }
        lent
    }

    /// The first clause that matches and the highest levels of all that do.
    fn evaluate(&self, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Option<(usize, Levels)> {
        let mut found: Option<(usize, Levels)> = None;
        self.candidates(seen, |place| {
            let clause = &self.clauses[place];
            let fits = clause.stages.as_ref().is_none_or(|stages| stages.contains(seen.row.stage.as_ref()))
                && clause.grades.as_ref().is_none_or(|grades| grades.contains(seen.row.grade.as_ref()));
            if !fits {
                return;
            }
            let mut ends = *edge;
            let Some(levels) = self.reaches(place, seen, now, &mut ends) else {
                *edge = ends;
                return;
            };
            *edge = ends;
            if open((clause.from, clause.until), now, edge) {
                found = Some(match found {
                    Some((first, joined)) => (first.min(place), joined.join(levels)),
                    None => (place, levels),
                });
            }
        });
        found
    }

    /// Calls `visit` with each clause that might reach the row, in no particular order.
    fn candidates(&self, seen: &Seen<'_>, visit: impl FnMut(usize)) {
        match &self.index {
            None => (0..self.clauses.len()).for_each(visit),
            Some(index) => index.candidates(seen, visit),
        }
    }

    /// How far the clause that came nearest got. Denials only, so it may look at everything.
    fn nearest_miss(&self, seen: &Seen<'_>, now: Timestamp) -> Option<(Axis, GrantRef)> {
        let mut nearest: Option<(Axis, GrantRef)> = None;
        for place in 0..self.clauses.len() {
            let axis = self.missed(place, seen, now);
            if nearest.is_none_or(|(best, _)| axis > best) {
                nearest = Some((axis, self.clauses[place].grant));
            }
        }
        nearest
    }

    /// The first axis on which a clause does not match; [`Axis::Parent`] when it does on all of its own.
    fn missed(&self, place: usize, seen: &Seen<'_>, now: Timestamp) -> Axis {
        let clause = &self.clauses[place];
        let row = seen.row;
        let mut ignored = Timestamp::MAX;
        if self.reaches(place, seen, now, &mut ignored).is_none() {
            Axis::Extent
        } else if !clause.stages.as_ref().is_none_or(|stages| stages.contains(row.stage.as_ref())) {
            Axis::Stage
        } else if !clause.grades.as_ref().is_none_or(|grades| grades.contains(row.grade.as_ref())) {
            Axis::Grade
        } else if !clause.holds(now) {
            Axis::Time
        } else {
            Axis::Parent
        }
    }
}

impl Bar {
    /// Whether the guard covers the row, whatever the time. An attribute that the row lacks fails its test.
    fn covers(&self, subject: SubjectId, row: &Row, org: &Org) -> bool {
        let excepted = row.owner.is_some_and(|owner| {
            (self.except_owner && owner == subject)
                || self.except_led.as_ref().is_some_and(|led| led.leads(subject, owner))
        });
        !excepted
            && (!self.vip || row.flags.vip)
            && (!self.pooled || row.flags.pooled)
            && self.stages.as_ref().is_none_or(|stages| stages.contains(row.stage.as_ref()))
            && self.grades.as_ref().is_none_or(|grades| grades.contains(row.grade.as_ref()))
            && self.department.is_none_or(|top| row.department.is_some_and(|department| org.within(department, top)))
            && self.ids.as_ref().is_none_or(|ids| ids.binary_search(&row.id).is_ok())
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
        std::iter::once(&self.own).chain(&self.above).all(|side| side.clauses.iter().any(|clause| clause.holds(now)))
    }

    /// Whether every row of a list shows this layer in clear: whether it may be sorted and grouped by. It depends on
    /// grants and never on values.
    #[must_use]
    pub fn reads(&self, layer: Layer, now: Timestamp) -> bool {
        let uncapped = self.bars.iter().filter(|bar| bar.from <= now && now < bar.until).all(|bar| match bar.effect {
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

    fn seen<'a>(&'a self, row: &'a Row) -> Seen<'a> {
        Seen {
            row,
            org: &self.org,
            label: row.department.and_then(|department| self.org.label(department)),
            in_pool: row.flags.pooled && row.owner.is_none(),
        }
    }

    pub(crate) fn evaluate(&self, row: &Row, now: Timestamp) -> Outcome {
        let seen = self.seen(row);
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
        match self.own.nearest_miss(&self.seen(row), now) {
            Some((axis, grant)) => Witness::NearestMiss { axis, grant: Some(grant) },
            None => self.absent,
        }
    }

    /// The first axis on which a clause does not match; nothing when it matches.
    pub(crate) fn missed(&self, place: usize, row: &Row, now: Timestamp) -> Option<Axis> {
        Some(self.own.missed(place, &self.seen(row), now)).filter(|axis| *axis != Axis::Parent)
    }

    /// The guards that cover a row at `now`.
    pub(crate) fn covering(&self, row: &Row, now: Timestamp) -> impl Iterator<Item = &Bar> {
        let org = &self.org;
        self.bars.iter().filter(move |bar| bar.from <= now && now < bar.until && bar.covers(self.subject, row, org))
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
        let mut tops = self.bars.iter().filter_map(|bar| bar.department);
        self.subject == other.subject
            && self.action == other.action
            && self.bars == other.bars
            && tops.all(|top| self.org.subtree(top).eq(other.org.subtree(top)))
            && alike(&self.own, &other.own)
            && self.above.len() == other.above.len()
            && self.above.iter().zip(&other.above).all(|(one, two)| alike(one, two))
    }
}

/// Up to this many clauses are scanned; more are looked up.
const SCAN_MAX: usize = 16;

/// Finds the clauses that might reach a row without a scan: each lies under what it reads on the row.
#[derive(Debug, Default)]
struct Index {
    /// Own, task and tenant: every row may be theirs.
    always: Vec<u32>,
    departments: IdMap<DepartmentId, SmallVec<[u32; 2]>>,
    subtrees: IdMap<DepartmentId, SmallVec<[u32; 2]>>,
    teams: IdMap<TeamId, SmallVec<[u32; 2]>>,
    rows: IdMap<Uuid, SmallVec<[u32; 2]>>,
}

impl Index {
    fn new(clauses: &[Clause]) -> Self {
        let mut index = Self::default();
        for (place, clause) in (0_u32..).zip(clauses) {
            match &clause.reach {
                Reach::Own | Reach::Task | Reach::Tenant => index.always.push(place),
                Reach::Department(at) | Reach::Pooled(at) => index.departments.entry(*at).or_default().push(place),
                Reach::Subtree(top) | Reach::PooledSubtree(top) => {
                    index.subtrees.entry(*top).or_default().push(place);
                }
                Reach::Team(team) => index.teams.entry(*team).or_default().push(place),
                Reach::Ids(ids) => ids.iter().for_each(|id| index.rows.entry(*id).or_default().push(place)),
            }
        }
        index
    }

    fn candidates(&self, seen: &Seen<'_>, mut visit: impl FnMut(usize)) {
        let mut each = |places: Option<&SmallVec<[u32; 2]>>| {
            places.into_iter().flatten().for_each(|place| visit(*place as usize));
        };
        each(self.rows.get(&seen.row.id));
        if let Some(department) = seen.row.department {
            each(self.departments.get(&department));
            if !self.subtrees.is_empty() {
                seen.org.upwards(department).for_each(|top| each(self.subtrees.get(&top)));
            }
        }
        // A row that names a team twice must not have its clauses visited twice: harmless, joining is idempotent.
        seen.row.teams.iter().for_each(|team| each(self.teams.get(team)));
        self.always.iter().for_each(|place| visit(*place as usize));
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
