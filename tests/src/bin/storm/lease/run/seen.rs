//! What schedules have shown: what was answered, how soon it was told, and where the claim was broken.

use super::super::{fault::Fault, node::At};

/// What one schedule has shown, or all of them.
#[derive(Default)]
pub struct Seen {
    pub allowed: u64,
    pub denied: u64,
    pub unavailable: u64,
    pub revocations: u64,
    pub acknowledged: u64,
    pub run_out: u64,
    pub deleted: u64,
    /// Pushes that were lost or sent twice; that held all that was missing, did not, or came when it was loaded or a load
    /// was under way.
    pub lost: u64,
    pub doubled: u64,
    pub applied: u64,
    pub asked: u64,
    pub left_alone: u64,
    /// The longest time from a commit until it was told effective.
    pub effective_max: At,
    pub faults: [u64; Fault::ALL.len()],
    /// Allowed by what had been told revoked.
    pub stale: Vec<String>,
    /// Not answered anew although everything was whole.
    pub stuck: Vec<String>,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.unavailable += other.unavailable;
        self.revocations += other.revocations;
        self.acknowledged += other.acknowledged;
        self.run_out += other.run_out;
        self.deleted += other.deleted;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.applied += other.applied;
        self.asked += other.asked;
        self.left_alone += other.left_alone;
        self.effective_max = self.effective_max.max(other.effective_max);
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
        self.stale.extend_from_slice(&other.stale);
        self.stuck.extend_from_slice(&other.stuck);
    }
}
