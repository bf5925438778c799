//! Who leads whom, from below and from above. A circle of managers is cut, so that nobody is led for ever.

use std::{collections::BTreeSet, sync::OnceLock};

use revisit_core::id::SubjectId;

use crate::org::IdMap;

/// Managers that are looked at above a subject; a longer line, and so a circle, is cut.
const MANAGERS_MAX: usize = 64;

/// Who leads whom.
#[derive(Debug)]
pub(crate) struct Lines {
    managers: IdMap<SubjectId, SubjectId>,
    /// The same seen from above; worked out when somebody asks for all whom a manager leads.
    reports: OnceLock<IdMap<SubjectId, Vec<SubjectId>>>,
}

impl PartialEq for Lines {
    fn eq(&self, other: &Self) -> bool {
        self.managers == other.managers
    }
}
impl Eq for Lines {}

impl Lines {
    pub(crate) const fn new(managers: IdMap<SubjectId, SubjectId>) -> Self {
        Self { managers, reports: OnceLock::new() }
    }

    /// Whether `manager` stands somewhere above `subject`.
    pub(crate) fn leads(&self, manager: SubjectId, subject: SubjectId) -> bool {
        self.above(subject).any(|above| above == manager)
    }

    /// Everybody below a manager, in the order of ids.
    pub(crate) fn led_by(&self, manager: SubjectId) -> Vec<SubjectId> {
        let reports = self.reports.get_or_init(|| {
            let mut reports: IdMap<SubjectId, Vec<SubjectId>> = IdMap::default();
            for (subject, manager) in &self.managers {
                reports.entry(*manager).or_default().push(*subject);
            }
            reports
        });
        let mut led = BTreeSet::new();
        let mut level = vec![manager];
        for _ in 0..MANAGERS_MAX {
            let below = level.iter().filter_map(|manager| reports.get(manager)).flatten().copied();
            // Who was reached before is on a circle.
            level = below.filter(|subject| led.insert(*subject)).collect();
        }
        led.into_iter().collect()
    }

    fn above(&self, subject: SubjectId) -> impl Iterator<Item = SubjectId> {
        let next = |subject: &SubjectId| self.managers.get(subject).copied();
        std::iter::successors(next(&subject), next).take(MANAGERS_MAX)
    }
}
