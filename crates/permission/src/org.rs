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
}

impl Org {
    /// Labels the tree. A department on a cycle hangs on no root and is unknown, so nothing reaches it; one whose parent
    /// is unknown is a root.
    #[must_use]
    pub fn new<'a>(departments: impl Iterator<Item = &'a Department> + Clone) -> Self {
        let known: IdMap<DepartmentId, ()> = departments.clone().map(|department| (department.id, ())).collect();
        let mut below: IdMap<DepartmentId, Vec<DepartmentId>> = IdMap::default();
        let mut roots = Vec::new();
        for department in departments {
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
        org
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

    /// The labels at and below a department.
    pub(crate) fn interval(&self, department: DepartmentId) -> Option<Interval> {
        let enter = self.label(department)?;
        Some(Interval { enter, exit: self.nodes[enter as usize].exit })
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
#[cfg(test)]
fn hash_of(value: impl std::hash::Hash) -> u64 {
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
