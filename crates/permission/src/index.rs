//! Finds, among many clauses of one account, those that might reach a row, without a scan: each lies under what it reads
//! on the row.

use revisit_core::id::TeamId;
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    account::Seen,
    clause::Reach,
    org::{IdMap, Interval, Org, hash_of},
};

/// Places of clauses.
type Places = SmallVec<[u32; 2]>;

/// What is looked up by one attribute.
#[derive(Debug, Default)]
struct By<T> {
    /// The actions that its clauses are about: for another one there is nothing to look up.
    actions: u32,
    places: T,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Index {
    rows: By<Rows>,
    /// Departments and subtrees.
    departments: By<Nested>,
    teams: By<IdMap<TeamId, Places>>,
}

impl Index {
    /// Calls `visit` with the place of each that is about the action, and now and then of one that cannot or is not. One
    /// that a row names twice comes twice: joining its levels twice changes nothing.
    pub(crate) fn candidates(&self, action: u32, seen: &Seen<'_>, mut visit: impl FnMut(u32)) {
        if self.rows.actions & action != 0 {
            self.rows.places.naming(seen.row.id, &mut visit);
        }
        if self.departments.actions & action != 0
            && let Some(label) = seen.label()
        {
            self.departments.places.holding(label, &mut visit);
        }
        if self.teams.actions & action != 0 {
            let places = seen.row.teams.iter().filter_map(|team| self.teams.places.get(team));
            places.flatten().for_each(|place| visit(*place));
        }
    }
}

/// What an index is made of.
#[derive(Debug, Default)]
pub(crate) struct Builder {
    rows: By<Vec<Named>>,
    departments: By<Vec<(Interval, u32)>>,
    teams: By<IdMap<TeamId, Places>>,
}

impl Builder {
    /// Adds a clause about these actions.
    pub(crate) fn add(&mut self, (actions, place): (u32, u32), reach: &Reach, org: &Org) {
        match reach {
            Reach::Ids(ids) => {
                self.rows.actions |= actions;
                self.rows.places.extend(ids.iter().map(|id| Named { id: *id, place }));
            }
            // A department that is not known has no rows.
            Reach::Department(at) | Reach::Pooled(at) => {
                self.within(actions, (org.label(*at).map(Interval::of), place));
            }
            Reach::Subtree(top) | Reach::PooledSubtree(top) => self.within(actions, (org.interval(*top), place)),
            Reach::Team(team) => {
                self.teams.actions |= actions;
                self.teams.places.entry(*team).or_default().push(place);
            }
            // Every row may be theirs.
            Reach::Own | Reach::Task | Reach::Tenant => {}
        }
    }

    fn within(&mut self, actions: u32, (interval, place): (Option<Interval>, u32)) {
        self.departments.actions |= actions;
        self.departments.places.extend(interval.map(|interval| (interval, place)));
    }

    /// The index.
    pub(crate) fn done(self) -> Index {
        let Self { rows, departments, teams } = self;
        Index {
            rows: By { actions: rows.actions, places: Rows::new(&rows.places) },
            departments: By { actions: departments.actions, places: Nested::new(departments.places) },
            teams,
        }
    }
}

/// Which clauses name a row: open addressing, the ids in the table itself, so that a row costs a line of memory or two.
#[derive(Debug, Default)]
struct Rows(Box<[Named]>);

#[derive(Clone, Copy, Debug)]
struct Named {
    id: Uuid,
    place: u32,
}

impl Named {
    /// No clause has so great a place.
    const NOBODY: Self = Self { id: Uuid::nil(), place: u32::MAX };

    const fn is_free(&self) -> bool {
        self.place == Self::NOBODY.place
    }
}

impl Rows {
    fn new(named: &[Named]) -> Self {
        if named.is_empty() {
            return Self::default();
        }
        // Half full, so that a search ends soon.
        let mut rows = Self(vec![Named::NOBODY; named.len() * 2].into_boxed_slice());
        for it in named {
            let mut slot = rows.slot(it.id);
            while !rows.0[slot].is_free() {
                slot = rows.after(slot);
            }
            rows.0[slot] = *it;
        }
        rows
    }

    fn slot(&self, id: Uuid) -> usize {
        // The upper half of the hash, as a fraction of the table.
        (((hash_of(id) >> 32) * self.0.len() as u64) >> 32) as usize
    }

    const fn after(&self, slot: usize) -> usize {
        if slot + 1 == self.0.len() { 0 } else { slot + 1 }
    }

    fn naming(&self, id: Uuid, mut visit: impl FnMut(u32)) {
        if self.0.is_empty() {
            return;
        }
        let mut slot = self.slot(id);
        while !self.0[slot].is_free() {
            if self.0[slot].id == id {
                visit(self.0[slot].place);
            }
            slot = self.after(slot);
        }
    }
}

/// Intervals of a tree: two of them are apart, equal, or one lies in the other. The label line falls into pieces, and on
/// each piece the same intervals lie one in another.
#[derive(Debug, Default)]
struct Nested {
    /// Where each piece begins, in order.
    begins: Box<[u32]>,
    /// Every [`LINE`]th of them: a search looks here first, so that it touches few lines of memory.
    lines: Box<[u32]>,
    /// The innermost ring around each piece, or [`NONE`].
    inner: Box<[u32]>,
    rings: Box<[Ring]>,
}

/// No interval.
const NONE: u32 = u32::MAX;
/// As many labels as a line of memory holds.
const LINE: usize = 16;

/// The interval of one clause. Of clauses with the same interval one lies around the other.
#[derive(Debug)]
struct Ring {
    place: u32,
    /// The next one around it.
    around: u32,
}

impl Nested {
    fn new(mut intervals: Vec<(Interval, u32)>) -> Self {
        // The outer one first.
        intervals.sort_unstable_by_key(|(interval, place)| {
            let (enter, exit) = interval.bounds();
            (enter, std::cmp::Reverse(exit), *place)
        });
        let (mut pieces, mut rings) = (Vec::new(), Vec::with_capacity(intervals.len()));
        let mut inner = NONE;
        let leave = |pieces: &mut Vec<(u32, u32)>, rings: &[Ring], mut inner: u32, enter: u32| {
            while let Some(ring) = rings.get(inner as usize)
                && let exit = intervals[inner as usize].0.bounds().1
                && exit <= enter
            {
                begin(pieces, exit, ring.around);
                inner = ring.around;
            }
            inner
        };
        for (interval, place) in &intervals {
            let enter = interval.bounds().0;
            let around = leave(&mut pieces, &rings, inner, enter);
            inner = u32::try_from(rings.len()).unwrap_or(NONE);
            rings.push(Ring { place: *place, around });
            begin(&mut pieces, enter, inner);
        }
        leave(&mut pieces, &rings, inner, u32::MAX);
        let (begins, inner): (Vec<u32>, Vec<u32>) = pieces.into_iter().unzip();
        let lines = begins.iter().step_by(LINE).copied().collect();
        Self { begins: begins.into(), lines, inner: inner.into(), rings: rings.into() }
    }

    /// Calls `visit` with the place of every interval that holds a label, the innermost first.
    fn holding(&self, label: u32, mut visit: impl FnMut(u32)) {
        // Before the first piece no interval has begun.
        let Some(line) = self.lines.partition_point(|begin| *begin <= label).checked_sub(1) else { return };
        let begins = self.begins.chunks(LINE).nth(line).unwrap_or_default();
        let piece = line * LINE + begins.partition_point(|begin| *begin <= label) - 1;
        let mut at = self.inner[piece];
        while let Some(ring) = self.rings.get(at as usize) {
            visit(ring.place);
            at = ring.around;
        }
    }
}

/// From here on another interval is the innermost one.
fn begin(pieces: &mut Vec<(u32, u32)>, at: u32, inner: u32) {
    match pieces.last_mut().filter(|(begin, _)| *begin == at) {
        Some(piece) => piece.1 = inner,
        None => pieces.push((at, inner)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holding(nested: &Nested, label: u32) -> Vec<u32> {
        let mut found = Vec::new();
        nested.holding(label, |place| found.push(place));
        found.sort_unstable();
        found
    }

    #[test]
    fn a_label_is_held_by_exactly_the_intervals_around_it() {
        // A tree of 40 labels: from each one down to some exit that lies within what is around it.
        let exits: Vec<u32> = (0..40)
            .map(|label| match label {
                0 => 40,
                10 => 30,
                12 => 20,
                19 => 20,
                20 => 25,
                31 => 40,
                39 => 40,
                _ => label + 1,
            })
            .collect();
        // Every subset of some of them, doubled now and then.
        let labels = [0_u32, 5, 10, 12, 19, 20, 24, 31, 39];
        for chosen in 0_u32..1 << labels.len() {
            let mut intervals = Vec::new();
            for (place, label) in labels.iter().enumerate().filter(|(place, _)| chosen >> place & 1 == 1) {
                let whole = (*label, exits[*label as usize]);
                let place = u32::try_from(place).expect("few");
                intervals.push((Interval::from_bounds(whole), place));
                if chosen & 3 == 3 {
                    intervals.push((Interval::from_bounds(whole), 100 + place));
                    intervals.push((Interval::of(*label), 200 + place));
                }
            }
            let nested = Nested::new(intervals.clone());
            for label in 0..41 {
                let mut expected: Vec<u32> =
                    intervals.iter().filter(|(interval, _)| interval.holds(label)).map(|(_, place)| *place).collect();
                expected.sort_unstable();
                assert_eq!(holding(&nested, label), expected, "label {label} of {intervals:?}");
            }
        }
    }
}
