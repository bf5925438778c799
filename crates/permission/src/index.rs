//! Finds, among many clauses of one account, those that might reach a row, without a scan: each lies under what it reads
//! on the row.

use revisit_core::id::TeamId;
use smallvec::SmallVec;
use uuid::Uuid;

use crate::{
    account::Seen,
    clause::{Clause, Reach},
    org::{IdMap, Interval, Org, hash_of},
};

/// Places of clauses.
type Places = SmallVec<[u32; 2]>;

#[derive(Debug, Default)]
pub(crate) struct Index {
    /// Own, task and tenant: every row may be theirs.
    always: SmallVec<[u32; 8]>,
    rows: Rows,
    /// Departments and subtrees.
    departments: Nested,
    teams: IdMap<TeamId, Places>,
}

impl Index {
    pub(crate) fn new<'a>(clauses: impl Iterator<Item = &'a Clause>, org: &Org) -> Self {
        let (mut intervals, mut rows) = (Vec::new(), Vec::new());
        let mut index = Self::default();
        for (place, clause) in (0_u32..).zip(clauses) {
            match &clause.reach {
                Reach::Own | Reach::Task | Reach::Tenant => index.always.push(place),
                // A department that is not known has no rows.
                Reach::Department(at) | Reach::Pooled(at) => {
                    intervals.extend(org.label(*at).map(|label| (Interval::of(label), place)));
                }
                Reach::Subtree(top) | Reach::PooledSubtree(top) => {
                    intervals.extend(org.interval(*top).map(|interval| (interval, place)));
                }
                Reach::Team(team) => index.teams.entry(*team).or_default().push(place),
                Reach::Ids(ids) => rows.extend(ids.iter().map(|id| (*id, place))),
            }
        }
        index.rows = Rows::new(&rows);
        index.departments = Nested::new(intervals);
        index
    }

    /// Calls `visit` with the place of each, and now and then of one that cannot. One that a row names twice comes twice:
    /// joining its levels twice changes nothing.
    pub(crate) fn candidates(&self, seen: &Seen<'_>, visit: &mut impl FnMut(usize)) {
        let mut each = |places: &[u32]| places.iter().for_each(|place| visit(*place as usize));
        self.rows.naming(seen.row.id, |place| each(&[place]));
        if let Some(label) = seen.label().filter(|_| !self.departments.is_empty()) {
            self.departments.holding(label, &mut each);
        }
        seen.row.teams.iter().filter_map(|team| self.teams.get(team)).for_each(|places| each(places));
        each(&self.always);
    }
}

/// Which clauses name a row: open addressing over tags, so that a row that none names costs one line of memory. A tag may
/// be that of another row; the clause itself is looked at anyway.
#[derive(Debug, Default)]
struct Rows(Box<[(u32, u32)]>);

/// No clause has so great a place.
const FREE: (u32, u32) = (0, u32::MAX);

impl Rows {
    fn new(named: &[(Uuid, u32)]) -> Self {
        if named.is_empty() {
            return Self::default();
        }
        // At most half full, so that a search ends soon.
        let mut rows = Self(vec![FREE; (named.len() * 2).next_power_of_two()].into_boxed_slice());
        for (id, place) in named {
            let (mut slot, tag) = rows.slot(*id);
            while rows.0[slot] != FREE {
                slot = (slot + 1) & (rows.0.len() - 1);
            }
            rows.0[slot] = (tag, *place);
        }
        rows
    }

    fn slot(&self, id: Uuid) -> (usize, u32) {
        let hash = hash_of(id);
        (hash as usize & (self.0.len() - 1), (hash >> 32) as u32)
    }

    fn naming(&self, id: Uuid, mut visit: impl FnMut(u32)) {
        if self.0.is_empty() {
            return;
        }
        let (mut slot, tag) = self.slot(id);
        while self.0[slot] != FREE {
            let (its, place) = self.0[slot];
            if its == tag {
                visit(place);
            }
            slot = (slot + 1) & (self.0.len() - 1);
        }
    }
}

/// Intervals of a tree: two of them are apart, equal, or one lies in the other. The label line falls into pieces, and on
/// each piece the same intervals lie one in another.
#[derive(Debug, Default)]
struct Nested {
    /// Where each piece begins, in order, and the innermost interval that holds it, or [`NONE`].
    pieces: Box<[(u32, u32)]>,
    rings: Box<[Ring]>,
}

/// No interval.
const NONE: u32 = u32::MAX;

/// An interval with the places of all clauses that have it.
#[derive(Debug)]
struct Ring {
    places: Places,
    exit: u32,
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
        let (mut pieces, mut rings): (Vec<(u32, u32)>, Vec<Ring>) = (Vec::new(), Vec::new());
        let mut inner = NONE;
        let mut last = None;
        for (interval, place) in intervals {
            if last == Some(interval) {
                if let Some(ring) = rings.last_mut() {
                    ring.places.push(place);
                }
                continue;
            }
            last = Some(interval);
            let (enter, exit) = interval.bounds();
            inner = close(&mut pieces, &rings, inner, enter);
            let ring = u32::try_from(rings.len()).unwrap_or(u32::MAX);
            rings.push(Ring { places: [place].into_iter().collect(), exit, around: inner });
            inner = ring;
            begin(&mut pieces, enter, inner);
        }
        close(&mut pieces, &rings, inner, u32::MAX);
        Self { pieces: pieces.into_boxed_slice(), rings: rings.into_boxed_slice() }
    }

    const fn is_empty(&self) -> bool {
        self.rings.is_empty()
    }

    /// Calls `visit` with the places of every interval that holds a label, the innermost first.
    fn holding(&self, label: u32, visit: &mut impl FnMut(&[u32])) {
        let piece = self.pieces.partition_point(|(begin, _)| *begin <= label);
        let mut at = piece.checked_sub(1).map_or(NONE, |piece| self.pieces[piece].1);
        while at != NONE {
            let ring = &self.rings[at as usize];
            visit(&ring.places);
            at = ring.around;
        }
    }
}

/// Leaves every interval that ends at or before `enter`; answers the innermost one that is left.
fn close(pieces: &mut Vec<(u32, u32)>, rings: &[Ring], mut inner: u32, enter: u32) -> u32 {
    while let Some(ring) = rings.get(inner as usize).filter(|ring| ring.exit <= enter) {
        begin(pieces, ring.exit, ring.around);
        inner = ring.around;
    }
    inner
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
        nested.holding(label, &mut |places| found.extend_from_slice(places));
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
