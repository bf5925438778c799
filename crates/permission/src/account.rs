//! The clauses of one account about one type of rows, laid out so that a check touches little memory, and their evaluation
//! on one row.

use std::{cell::OnceCell, sync::Arc};

use revisit_core::{Timestamp, id::SubjectId};
use smallvec::SmallVec;

use crate::{
    clause::{Clause, Limits, Reach},
    decision::{Axis, GrantRef},
    index::{Builder, Index},
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
    actions: u32,
    clause: Clause,
}

/// Where a clause lies, as far as it can be said in a few bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ground {
    Own,
    Task,
    Tenant,
    /// The departments with these labels, the pool excepted.
    Within(Interval),
    /// Their pools.
    Pooled(Interval),
    /// Rows by id: the index knows them.
    Listed,
    /// What a team shares; the clause says which.
    Team,
}

/// What a check reads of a clause first. Most checks need no more, and a clause whole is five times as large.
#[derive(Debug)]
struct Brief {
    actions: u32,
    place: u32,
    ground: Ground,
    levels: Levels,
    limits: Option<Arc<Limits>>,
}

/// Clauses of one account: the subject itself, or one above it.
#[derive(Debug)]
pub(crate) struct Account {
    /// Clauses that are looked at whatever the row is.
    scanned: SmallVec<[Brief; SCANNED_INLINE]>,
    /// Those that are looked up, and by what.
    indexed: Box<[Brief]>,
    index: Index,
    /// For every action the first clause about it, each with the actions of which no clause before it is.
    first: SmallVec<[(u32, u32); 2]>,
    /// Who counts as owner and as task holder here: the account and its sub-account.
    pub(crate) who: SmallVec<[SubjectId; 2]>,
    /// In the order of [`GrantRef`].
    placed: Box<[Placed]>,
    /// The clauses that were delegated, in order, each with what its giver may do.
    givers: Box<[(u32, Arc<Policy>)]>,
}

/// As many as a shipped role has clauses about customers: they lie beside what else a check reads first.
const SCANNED_INLINE: usize = 6;
/// Up to this many clauses about departments and teams are scanned; more are looked up.
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

impl Ground {
    fn of(clause: &Clause, org: &Org) -> Self {
        let alone = |at| org.label(at).map_or(Interval::NOWHERE, Interval::of);
        let below = |top| org.interval(top).unwrap_or(Interval::NOWHERE);
        match clause.reach {
            Reach::Own => Self::Own,
            Reach::Task => Self::Task,
            Reach::Tenant => Self::Tenant,
            Reach::Department(at) => Self::Within(alone(at)),
            Reach::Subtree(top) => Self::Within(below(top)),
            Reach::Pooled(at) => Self::Pooled(alone(at)),
            Reach::PooledSubtree(top) => Self::Pooled(below(top)),
            Reach::Ids(_) => Self::Listed,
            Reach::Team(_) => Self::Team,
        }
    }
}

impl Brief {
    fn new((place, actions, clause): (usize, &u32, &Clause), org: &Org) -> Self {
        Self {
            actions: *actions,
            place: less(place),
            ground: Ground::of(clause, org),
            levels: clause.levels,
            limits: clause.limits.clone(),
        }
    }
}

/// Accounts have fewer clauses than a `u32` counts: each takes a hundred bytes.
fn less(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

impl Account {
    pub(crate) fn new(who: SmallVec<[SubjectId; 2]>, mut held: Vec<Held>, org: &Org) -> Self {
        held.sort_by_key(|held| held.clause.grant);
        let few = held.iter().filter(|held| held.clause.reach.is_placed()).count() <= SCAN_MAX;
        let (mut scanned, mut indexed, mut first) = (SmallVec::new(), Vec::new(), SmallVec::new());
        let (mut index, mut named) = (Builder::default(), 0);
        for (place, held) in held.iter().enumerate() {
            let brief = Brief::new((place, &held.actions, &held.clause), org);
            if held.actions & !named != 0 {
                first.push((held.actions & !named, brief.place));
                named |= held.actions;
            }
            let reach = &held.clause.reach;
            if matches!(reach, Reach::Ids(_)) || (reach.is_placed() && !few) {
                index.add((held.actions, less(indexed.len())), reach, org);
                indexed.push(brief);
            } else {
                scanned.push(brief);
            }
        }
        let (mut placed, mut givers) = (Vec::with_capacity(held.len()), Vec::new());
        for (place, Held { actions, clause, giver }) in held.into_iter().enumerate() {
            placed.push(Placed { actions, clause });
            givers.extend(giver.map(|giver| (less(place), giver)));
        }
        Self {
            scanned,
            indexed: indexed.into(),
            index: index.done(),
            first,
            who,
            placed: placed.into(),
            givers: givers.into(),
        }
    }

    /// The clauses about an action, with their places.
    pub(crate) fn about(&self, action: u32) -> impl Iterator<Item = (usize, &Clause)> {
        let places = self.placed.iter().enumerate().filter(move |(_, placed)| placed.actions & action != 0);
        places.map(|(place, placed)| (place, &placed.clause))
    }

    /// What the giver of a delegated clause may do.
    pub(crate) fn giver(&self, place: usize) -> Option<&Arc<Policy>> {
        if self.givers.is_empty() {
            return None;
        }
        self.givers.binary_search_by_key(&less(place), |(place, _)| *place).ok().map(|found| &self.givers[found].1)
    }

    pub(crate) fn evaluate(&self, action: u32, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Said {
        let mut found: Option<(u32, Levels)> = None;
        let mut nearest: Option<(Axis, u32)> = None;
        let mut look = |brief: &Brief| {
            if brief.actions & action == 0 {
                return;
            }
            let place = brief.place;
            match self.test((brief, action), seen, now, edge) {
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
            }
        };
        self.scanned.iter().for_each(&mut look);
        self.index.candidates(action, seen, |slot| look(&self.indexed[slot as usize]));
        match (found, nearest) {
            (Some((place, levels)), _) => Said::Yes(place as usize, levels),
            (None, Some((axis, place))) if axis > Axis::Extent => Said::No(axis, place as usize),
            // What the index left out is out of reach as well.
            (None, _) => self.first_about(action).map_or(Said::Nothing, |place| Said::No(Axis::Extent, place as usize)),
        }
    }

    fn first_about(&self, action: u32) -> Option<u32> {
        self.first.iter().find(|(actions, _)| actions & action != 0).map(|(_, place)| *place)
    }

    /// The first axis on which a clause does not match a row.
    pub(crate) fn refused(&self, (place, action): (usize, u32), seen: &Seen<'_>, now: Timestamp) -> Option<Axis> {
        let Placed { actions, clause } = &self.placed[place];
        if let Reach::Ids(ids) = &clause.reach
            && ids.binary_search(&seen.row.id).is_err()
        {
            return Some(Axis::Extent);
        }
        let brief = Brief::new((place, actions, clause), seen.org);
        self.test((&brief, action), seen, now, &mut Timestamp::MAX.clone()).err()
    }

    /// What one clause gives on a row, or the first axis on which it does not match.
    fn test(
        &self,
        (brief, action): (&Brief, u32),
        seen: &Seen<'_>,
        now: Timestamp,
        edge: &mut Timestamp,
    ) -> Result<Levels, Axis> {
        let levels = self.reaches(brief, seen, now, edge).ok_or(Axis::Extent)?;
        if let Some(limits) = &brief.limits {
            limits.pass(seen.row)?;
            if !open((limits.from, limits.until), now, edge) {
                return Err(Axis::Time);
            }
        }
        match self.giver(brief.place as usize) {
            None => Ok(levels),
            Some(giver) => {
                let outcome = giver.evaluate(action, seen, now);
                *edge = (*edge).min(outcome.edge);
                if outcome.allowed() { Ok(levels.cap(outcome.levels)) } else { Err(Axis::Parent) }
            }
        }
    }

    /// The levels that a clause gives on a row, whatever its window, stage and grade; nothing when out of reach.
    fn reaches(&self, brief: &Brief, seen: &Seen<'_>, now: Timestamp, edge: &mut Timestamp) -> Option<Levels> {
        let row = seen.row;
        let within = |interval: Interval| seen.label().is_some_and(|label| interval.holds(label));
        let reached = match brief.ground {
            Ground::Own => row.owner.is_some_and(|owner| self.who.contains(&owner)),
            Ground::Task => return self.lent(brief.levels, row, now, edge),
            Ground::Tenant => true,
            Ground::Within(interval) => !seen.in_pool && within(interval),
            Ground::Pooled(interval) => seen.in_pool && within(interval),
            // What the index finds by a row's id names the row.
            Ground::Listed => true,
            Ground::Team => self.placed[brief.place as usize].clause.reach.is_of_team(row),
        };
        reached.then_some(brief.levels)
    }

    /// What open tasks lend, at most what the clause gives.
    fn lent(&self, levels: Levels, row: &Row, now: Timestamp, edge: &mut Timestamp) -> Option<Levels> {
        let mut lent = None;
        for holder in &row.task_holders {
            let held = holder.subject.is_some_and(|subject| self.who.contains(&subject));
            if held && open((Timestamp::MIN, holder.until), now, edge) {
                let layers = holder.layers.join(Levels::HIDDEN.with(Layer::Basic, Level::Read));
                lent = Some(lent.unwrap_or(Levels::HIDDEN).join(levels.cap(layers)));
            }
        }
        lent
    }

    /// The grant of a clause.
    pub(crate) fn grant(&self, place: usize) -> GrantRef {
        self.placed[place].clause.grant
    }
}
