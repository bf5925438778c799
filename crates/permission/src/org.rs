//! The department tree of one revision, with interval labels: a subtree is a range of labels.
//!
//! Labels live as long as one snapshot. Moving a department writes new ones and touches no row.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use revisit_core::id::DepartmentId;

use crate::model::Department;

/// A map whose keys are ids made by servers, so that a fast hash is safe.
pub(crate) type IdMap<K, V> = HashMap<K, V, BuildHasherDefault<IdHasher>>;

/// Folds an id into 64 bits by multiplication: several times faster than the default against flooding, which ids that
/// no caller chooses do not need.
#[derive(Default)]
pub(crate) struct IdHasher(u64);

impl Hasher for IdHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(u64::from(word));
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        self.0 = (product >> 64) as u64 ^ product as u64;
    }
}

/// A range of labels: everything at and below one department.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Interval {
    enter: u32,
    exit: u32,
}

impl Interval {
    /// One that holds no label.
    pub(crate) const NOWHERE: Self = Self { enter: 0, exit: 0 };

    /// The range of one department without those below it.
    pub(crate) const fn of(label: u32) -> Self {
        Self { enter: label, exit: label + 1 }
    }

    #[cfg(test)]
    pub(crate) const fn from_bounds((enter, exit): (u32, u32)) -> Self {
        Self { enter, exit }
    }

    /// The first label, and the one behind the last.
    pub(crate) const fn bounds(self) -> (u32, u32) {
        (self.enter, self.exit)
    }

    /// Whether the department with this label lies in it.
    pub(crate) const fn holds(self, label: u32) -> bool {
        self.enter <= label && label < self.exit
    }
}

#[derive(Debug)]
struct Node {
    id: DepartmentId,
    /// Label of the department above; its own for a root.
    above: u32,
    exit: u32,
}

/// The tree. The label of a department is its place in depth-first order.
#[derive(Debug, Default)]
pub struct Org {
    labels: IdMap<DepartmentId, u32>,
    nodes: Vec<Node>,
    /// Departments that were merged into another one, and into which.
    merged: IdMap<DepartmentId, DepartmentId>,
    /// The same the other way round, in the order of ids.
    names: IdMap<DepartmentId, Vec<DepartmentId>>,
}

impl Org {
    /// Labels the tree. A department on a cycle hangs on no root and is unknown, so nothing reaches it; one whose parent
    /// is unknown is a root.
    #[must_use]
    pub fn new<'a>(departments: impl Iterator<Item = &'a Department> + Clone) -> Self {
        let known: IdMap<DepartmentId, ()> = departments.clone().map(|department| (department.id, ())).collect();
        let mut below: IdMap<DepartmentId, Vec<DepartmentId>> = IdMap::default();
        let mut roots = Vec::new();
        let mut merged = Vec::new();
        for department in departments {
            merged.extend(
                department.merged_into.filter(|it| department.parent == Some(*it)).map(|it| (department.id, it)),
            );
            match department.parent.filter(|parent| known.contains_key(parent)) {
                Some(parent) => below.entry(parent).or_default().push(department.id),
                None => roots.push(department.id),
            }
        }
        // The order of siblings has no meaning; sorting makes labels the same on every replica.
        roots.sort_unstable();
        below.values_mut().for_each(|children| children.sort_unstable());
        let mut org = Self::default();
        for root in roots {
            org.label_subtree(root, &below);
        }
        org.name(merged);
        org
    }

    /// A merged department must hang under the one that it was merged into; any other pointer is none.
    fn name(&mut self, mut merged: Vec<(DepartmentId, DepartmentId)>) {
        merged.sort_unstable();
        merged.retain(|(id, into)| self.knows(*id) && self.knows(*into));
        let all: IdMap<DepartmentId, DepartmentId> = merged.iter().copied().collect();
        for (id, into) in merged.into_iter().filter(|(_, into)| !all.contains_key(into)) {
            self.merged.insert(id, into);
            self.names.entry(into).or_default().push(id);
        }
    }

    /// Depth first without recursion: a deep tree must not cost the stack.
    fn label_subtree(&mut self, root: DepartmentId, below: &IdMap<DepartmentId, Vec<DepartmentId>>) {
        let mut path: Vec<(u32, std::slice::Iter<'_, DepartmentId>)> = Vec::new();
        let mut next = Some((root, None));
        loop {
            if let Some((id, above)) = next.take() {
                let label = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                self.labels.insert(id, label);
                self.nodes.push(Node { id, above: above.unwrap_or(label), exit: label + 1 });
                path.push((label, below.get(&id).map_or(Default::default(), |children| children.iter())));
            }
            let Some((label, children)) = path.last_mut() else { return };
            match children.next() {
                Some(child) => next = Some((*child, Some(*label))),
                None => {
                    let label = *label as usize;
                    self.nodes[label].exit = u32::try_from(self.nodes.len()).unwrap_or(u32::MAX);
                    path.pop();
                }
            }
        }
    }

    /// The label of a department, if it is known.
    pub(crate) fn label(&self, department: DepartmentId) -> Option<u32> {
        self.labels.get(&department).copied()
    }

    /// The department that this one was merged into, else itself.
    #[must_use]
    pub fn living(&self, department: DepartmentId) -> DepartmentId {
        self.merged.get(&department).copied().unwrap_or(department)
    }

    /// A department under all its names: itself, and those that were merged into it.
    pub(crate) fn names(&self, department: DepartmentId) -> impl Iterator<Item = DepartmentId> {
        let living = self.living(department);
        std::iter::once(living).chain(self.names.get(&living).into_iter().flatten().copied())
    }

    /// The labels at and below a department.
    pub(crate) fn interval(&self, department: DepartmentId) -> Option<Interval> {
        let enter = self.label(self.living(department))?;
        Some(Interval { enter, exit: self.nodes[enter as usize].exit })
    }

    /// Every department that hangs on a root.
    pub fn departments(&self) -> impl Iterator<Item = DepartmentId> {
        self.nodes.iter().map(|node| node.id)
    }

    /// Whether a department is known.
    #[must_use]
    pub fn knows(&self, department: DepartmentId) -> bool {
        self.labels.contains_key(&department)
    }

    /// Whether `department` is `top` or lies below it.
    #[must_use]
    pub fn within(&self, department: DepartmentId, top: DepartmentId) -> bool {
        self.interval(top).zip(self.label(department)).is_some_and(|(interval, label)| interval.holds(label))
    }

    /// A department and all below it; nothing for an unknown one.
    pub fn subtree(&self, top: DepartmentId) -> impl Iterator<Item = DepartmentId> {
        let range = self.interval(top).map_or(0..0, |interval| interval.enter as usize..interval.exit as usize);
        self.nodes[range].iter().map(|node| node.id)
    }

    /// A department, then each above it up to the root; nothing for an unknown one.
    pub fn upwards(&self, department: DepartmentId) -> impl Iterator<Item = DepartmentId> {
        let start = self.label(department);
        let above = move |label: &u32| {
            let above = self.nodes[*label as usize].above;
            (above != *label).then_some(above)
        };
        std::iter::successors(start, above).map(|label| self.nodes[label as usize].id)
    }
}

/// The hash of `value` as an [`IdMap`] computes it.
pub(crate) fn hash_of(value: impl std::hash::Hash) -> u64 {
    let mut hasher = IdHasher::default();
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> DepartmentId {
        DepartmentId::from_uuid(Uuid::from_u128(number))
    }

    fn department(number: u128, parent: Option<u128>) -> Department {
        Department {
            id: id(number),
            parent: parent.map(id),
            name: String::new(),
            head: None,
            disabled: false,
            merged_into: None,
            modules_off: Vec::new(),
        }
    }

    fn tree() -> Vec<Department> {
        vec![
            department(4, Some(2)),
            department(1, None),
            department(3, Some(1)),
            department(2, Some(1)),
            department(5, Some(4)),
        ]
    }

    #[test]
    fn a_subtree_is_the_department_and_all_below_it_in_whatever_order_they_came() {
        let mut departments = tree();
        for _ in 0..departments.len() {
            departments.rotate_left(1);
            let org = Org::new(departments.iter());
            let mut below: Vec<_> = org.subtree(id(2)).collect();
            below.sort();
            assert_eq!(below, [id(2), id(4), id(5)]);
            assert!(org.within(id(5), id(1)) && org.within(id(2), id(2)));
            assert!(!org.within(id(3), id(2)) && !org.within(id(1), id(2)));
            assert_eq!(org.upwards(id(5)).collect::<Vec<_>>(), [id(5), id(4), id(2), id(1)]);
        }
    }

    #[test]
    fn departments_on_a_cycle_and_unknown_ones_are_reached_by_nothing() {
        let departments = [department(1, None), department(2, Some(3)), department(3, Some(2))];
        let org = Org::new(departments.iter());
        assert!(org.knows(id(1)) && !org.knows(id(2)) && !org.knows(id(3)));
        assert!(!org.within(id(3), id(2)) && !org.within(id(9), id(1)) && !org.within(id(1), id(9)));
        assert_eq!(org.subtree(id(2)).count(), 0);
        assert_eq!(org.upwards(id(9)).count(), 0);
    }

    #[test]
    fn a_merged_department_is_another_name_of_the_one_that_it_was_merged_into() {
        let mut departments = tree();
        departments.push(Department { merged_into: Some(id(2)), ..department(6, Some(2)) });
        let org = Org::new(departments.iter());
        assert_eq!((org.living(id(6)), org.living(id(2))), (id(2), id(2)));
        assert_eq!(org.names(id(6)).collect::<Vec<_>>(), [id(2), id(6)]);
        let below = |top| org.subtree(top).collect::<std::collections::BTreeSet<_>>();
        assert_eq!(below(id(6)), below(id(2)));
        assert!(org.within(id(6), id(2)) && org.within(id(2), id(6)) && org.within(id(5), id(6)));
        assert!(!org.within(id(3), id(6)) && !org.within(id(6), id(4)));
    }

    #[test]
    fn a_pointer_to_elsewhere_merges_nothing() {
        let mut departments = tree();
        departments.push(Department { merged_into: Some(id(3)), ..department(6, Some(2)) });
        departments.push(Department { merged_into: Some(id(9)), ..department(7, Some(9)) });
        let org = Org::new(departments.iter());
        assert_eq!((org.living(id(6)), org.living(id(7))), (id(6), id(7)));
        assert!(!org.within(id(6), id(3)) && !org.within(id(3), id(6)));
    }

    #[test]
    fn a_deep_tree_costs_no_stack() {
        let departments: Vec<_> =
            (1..=100_000).map(|number| department(number, (number > 1).then(|| number - 1))).collect();
        let org = Org::new(departments.iter());
        assert!(org.within(id(100_000), id(1)));
        assert_eq!(org.subtree(id(1)).count(), 100_000);
    }

    #[test]
    fn ids_that_differ_in_one_half_only_hash_apart() {
        let hashes: std::collections::BTreeSet<_> =
            (0..1_000u128).flat_map(|n| [hash_of(id(n)), hash_of(id(n << 64 | 7))]).collect();
        assert!(hashes.len() >= 1_999, "{}", hashes.len());
    }
}
