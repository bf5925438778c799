//! What operators see of the engine: how late it fires, what has waited longest, and what was left out and why.

use std::time::Duration;

use revisit_bootstrap::telemetry::{Level, Spread, Tally};

/// The instruments. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Measures {
    lateness: Spread,
    waits: Level,
    skipped: Tally,
}

impl Default for Measures {
    fn default() -> Self {
        Self {
            lateness: Spread::new("followup.fire.lateness"),
            waits: Level::new("followup.oldest_due.millis", "work"),
            skipped: Tally::new("followup.skipped", "reason"),
        }
    }
}

impl Measures {
    /// A timer has fired so long after it was due.
    pub fn fired(&self, late: Duration) {
        self.lateness.record(late);
    }

    /// The oldest work of a kind that is due has waited so long; nothing when none is due.
    pub fn waits(&self, work: &str, age: Duration) {
        self.waits.set(work, i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    }

    /// Timers or occurrences were left for later, or left out, for a reason.
    pub fn skipped(&self, reason: &str, count: usize) {
        if count > 0 {
            self.skipped.add(reason, count as u64);
        }
    }
}
