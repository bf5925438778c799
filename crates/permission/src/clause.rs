//! Grants as clauses: which rows one right of one account reaches, and how the clauses of an account are evaluated.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, SubjectId, TeamId},
};
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    decision::{Axis, GrantRef},
    level::{Layer, Level, Levels},
    org::{IdMap, Interval, Org},
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

    fn fits_stage(&self, row: &Row) -> bool {
        self.stages.as_ref().is_none_or(|stages| stages.contains(row.stage.as_ref()))
    }

    fn fits_grade(&self, row: &Row) -> bool {
        self.grades.as_ref().is_none_or(|grades| grades.contains(row.grade.as_ref()))
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

/// Keeps the earliest instant after `now` at which a window opens or closes, and says whether it is open.
pub(crate) fn open(window: (Timestamp, Timestamp), now: Timestamp, edge: &mut Timestamp) -> bool {
    let (from, until) = window;
    if from >= until || now >= until {
        return false;
    }
    *edge = (*edge).min(if now < from { from } else { until });
    now >= from
}

/// The part of a row that is looked up once per evaluation.
pub(crate) struct Seen<'a> {
    row: &'a Row,
    org: &'a Org,
    label: Option<u32>,
    /// Unowned and in the pool: reached through pooled clauses, and not through the department's.
    in_pool: bool,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(row: &'a Row, org: &'a Org) -> Self {
        let label = row.department.and_then(|department| org.label(department));
        Self { row, org, label, in_pool: row.flags.pooled && row.owner.is_none() }
    }
}

impl Account {
    pub(crate) fn new(who: SmallVec<[SubjectId; 2]>, mut clauses: Vec<Clause>, org: &Org) -> Self {
        clauses.sort_by_key(|clause| clause.grant);
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
    pub(crate) fn evaluate(&self, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Option<(usize, Levels)> {
        let mut found: Option<(usize, Levels)> = None;
        self.candidates(seen, |place| {
            let clause = &self.clauses[place];
            if !clause.fits_stage(seen.row) || !clause.fits_grade(seen.row) {
                return;
            }
            let Some(levels) = self.reaches(place, seen, now, edge) else { return };
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

    /// How far the clause that came nearest got; the first of those that got equally far.
    pub(crate) fn nearest_miss(&self, seen: &Seen<'_>, now: Timestamp) -> Option<(Axis, GrantRef)> {
        // What is no candidate is out of reach, like the first clause at the worst.
        let mut nearest = (Axis::Extent, 0);
        self.candidates(seen, |place| {
            let axis = self.missed(place, seen, now);
            if axis > nearest.0 || (axis == nearest.0 && place < nearest.1) {
                nearest = (axis, place);
            }
        });
        Some((nearest.0, self.clauses.get(nearest.1)?.grant))
    }

    /// The first axis on which a clause does not match; [`Axis::Parent`] when it does on all of its own.
    pub(crate) fn missed(&self, place: usize, seen: &Seen<'_>, now: Timestamp) -> Axis {
        let clause = &self.clauses[place];
        let mut ignored = Timestamp::MAX;
        if self.reaches(place, seen, now, &mut ignored).is_none() {
            Axis::Extent
        } else if !clause.fits_stage(seen.row) {
            Axis::Stage
        } else if !clause.fits_grade(seen.row) {
            Axis::Grade
        } else if !clause.holds(now) {
            Axis::Time
        } else {
            Axis::Parent
        }
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
        // A row that names a team twice brings its clauses twice; joining their levels twice changes nothing.
        seen.row.teams.iter().for_each(|team| each(self.teams.get(team)));
        self.always.iter().for_each(|place| visit(*place as usize));
    }
}
