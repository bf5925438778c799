//! The clauses of one account about one type of rows, laid out so that a check touches little memory, and their evaluation
//! on one row.

use std::{cell::OnceCell, sync::Arc};

use revisit_core::{Timestamp, id::SubjectId};
use smallvec::SmallVec;

use crate::{
    clause::{Clause, Reach},
    decision::{Axis, GrantRef},
    index::Index,
    level::{Layer, Level, Levels},
    org::{Interval, Org},
    policy::Policy,
    row::Row,
};

/// A clause with what is needed to evaluate it.
pub(crate) struct Held {
    /// For which actions, as [`crate::Action::bit`]s.
    pub(crate) actions: u32,
    pub(crate) clause: Clause,
    /// What the one who delegated it may do: the clause never gives more.
    pub(crate) giver: Option<Arc<Policy>>,
}

/// A clause at its place.
#[derive(Debug)]
struct Placed {
    /// The labels below its department; [`Interval::NOWHERE`] for a clause without a subtree.
    interval: Interval,
    clause: Clause,
}

/// Clauses of one account: the subject itself, or one above it.
#[derive(Debug)]
pub(crate) struct Account {
    /// For which actions each clause is: side by side, because the clauses themselves are far apart.
    actions: SmallVec<[u32; ACTIONS_INLINE]>,
    /// In the order of [`GrantRef`].
    placed: Box<[Placed]>,
    /// Who counts as owner and as task holder here: the account and its sub-account.
    pub(crate) who: SmallVec<[SubjectId; 2]>,
    index: Option<Box<Index>>,
    /// The clauses that were delegated, in order, each with what its giver may do.
    givers: Box<[(usize, Arc<Policy>)]>,
}

/// As many as a shipped role has clauses about customers.
const ACTIONS_INLINE: usize = 8;
/// Up to this many clauses are scanned; more are looked up.
const SCAN_MAX: usize = 16;

/// Keeps the earliest instant after `now` at which a window opens or closes, and says whether it is open.
pub(crate) fn open(window: (Timestamp, Timestamp), now: Timestamp, edge: &mut Timestamp) -> bool {
    let (from, until) = window;
    if from >= until || now >= until {
        return false;
    }
    *edge = (*edge).min(if now < from { from } else { until });
    now >= from
}

/// A row, and what is looked up at most once per evaluation.
pub(crate) struct Seen<'a> {
    pub(crate) row: &'a Row,
    pub(crate) org: &'a Org,
    label: OnceCell<Option<u32>>,
    /// Unowned and in the pool: reached through pooled clauses, and not through the department's.
    in_pool: bool,
}

impl<'a> Seen<'a> {
    pub(crate) fn new(row: &'a Row, org: &'a Org) -> Self {
        Self { row, org, label: OnceCell::new(), in_pool: row.flags.pooled && row.owner.is_none() }
    }

    /// The label of the row's department.
    pub(crate) fn label(&self) -> Option<u32> {
        *self.label.get_or_init(|| self.row.department.and_then(|department| self.org.label(department)))
    }
}

/// What the clauses of an account say of a row.
pub(crate) enum Said {
    /// The first that matches, and the highest levels of all that do.
    Yes(usize, Levels),
    /// The one that came nearest and where it failed; the first of those that got equally far.
    No(Axis, usize),
    /// None is about the action.
    Nothing,
}

impl Account {
    pub(crate) fn new(who: SmallVec<[SubjectId; 2]>, mut held: Vec<Held>, org: &Org) -> Self {
        held.sort_by_key(|held| held.clause.grant);
        let actions = held.iter().map(|held| held.actions).collect();
        let index = (held.len() > SCAN_MAX).then(|| Box::new(Index::new(held.iter().map(|held| &held.clause), org)));
        let (mut placed, mut givers) = (Vec::with_capacity(held.len()), Vec::new());
        for (place, held) in held.into_iter().enumerate() {
            let interval = held.clause.top().and_then(|top| org.interval(top)).unwrap_or(Interval::NOWHERE);
            placed.push(Placed { interval, clause: held.clause });
            givers.extend(held.giver.map(|giver| (place, giver)));
        }
        Self { actions, placed: placed.into(), who, index, givers: givers.into() }
    }

    /// The clauses about an action, with their places.
    pub(crate) fn about(&self, action: u32) -> impl Iterator<Item = (usize, &Clause)> {
        let places = self.actions.iter().enumerate().filter(move |(_, actions)| **actions & action != 0);
        places.map(|(place, _)| (place, &self.placed[place].clause))
    }

    /// What the giver of a delegated clause may do.
    pub(crate) fn giver(&self, place: usize) -> Option<&Arc<Policy>> {
        if self.givers.is_empty() {
            return None;
        }
        self.givers.binary_search_by_key(&place, |(place, _)| *place).ok().map(|found| &self.givers[found].1)
    }

    pub(crate) fn evaluate(&self, action: u32, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Said {
        let mut found: Option<(usize, Levels)> = None;
        let mut nearest: Option<(Axis, usize)> = None;
        self.candidates(action, seen, |place| match self.test((place, action), seen, now, edge) {
            Ok(levels) => {
                found = Some(match found {
                    Some((first, joined)) => (first.min(place), joined.join(levels)),
                    None => (place, levels),
                });
            }
            Err(axis) => {
                if nearest.is_none_or(|(best, at)| axis > best || (axis == best && place < at)) {
                    nearest = Some((axis, place));
                }
            }
        });
        match (found, nearest) {
            (Some((place, levels)), _) => Said::Yes(place, levels),
            (None, Some((axis, place))) if axis > Axis::Extent => Said::No(axis, place),
            // What the index left out is out of reach as well.
            (None, _) => self.about(action).next().map_or(Said::Nothing, |(place, _)| Said::No(Axis::Extent, place)),
        }
    }

    /// What one clause gives on a row, or the first axis on which it does not match.
    pub(crate) fn test(
        &self,
        (place, action): (usize, u32),
        seen: &Seen<'_>,
        now: Timestamp,
        edge: &mut Timestamp,
    ) -> Result<Levels, Axis> {
        let clause = &self.placed[place].clause;
        let levels = self.reaches(place, seen, now, edge).ok_or(Axis::Extent)?;
        if !clause.fits_stage(seen.row) {
            return Err(Axis::Stage);
        }
        if !clause.fits_grade(seen.row) {
            return Err(Axis::Grade);
        }
        if !open((clause.from, clause.until), now, edge) {
            return Err(Axis::Time);
        }
        match self.giver(place) {
            None => Ok(levels),
            Some(giver) => {
                let outcome = giver.evaluate(action, seen, now);
                *edge = (*edge).min(outcome.edge);
                if outcome.allowed() { Ok(levels.cap(outcome.levels)) } else { Err(Axis::Parent) }
            }
        }
    }

    /// The levels that a clause gives on a row, whatever its window, stage and grade; nothing when out of reach.
    fn reaches(&self, place: usize, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Option<Levels> {
        let Placed { interval, clause } = &self.placed[place];
        let row = seen.row;
        let below = || seen.label().is_some_and(|label| interval.holds(label));
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

    /// Calls `visit` with each clause about the action that might reach the row, in no particular order.
    fn candidates(&self, action: u32, seen: &Seen<'_>, mut visit: impl FnMut(usize)) {
        let mut about = |place: usize| {
            if self.actions[place] & action != 0 {
                visit(place);
            }
        };
        match &self.index {
            None => (0..self.actions.len()).for_each(about),
            Some(index) => index.candidates(seen, &mut about),
        }
    }

    /// The grant of a clause.
    pub(crate) fn grant(&self, place: usize) -> GrantRef {
        self.placed[place].clause.grant
    }
}
