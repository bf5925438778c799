//! Published plan versions in memory: they never change, so what was read once holds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use revisit_core::id::{PlanId, TenantId};

use crate::domain::plan::PlanVersion;

/// Versions kept at the most; beyond it all are read anew.
const KEPT_MAX: usize = 1_000;

type Key = (TenantId, PlanId, i32);

/// Cheap to clone.
#[derive(Clone, Default)]
pub struct Versions(Arc<Mutex<HashMap<Key, Arc<PlanVersion>>>>);

impl Versions {
    /// A version that was read before.
    pub fn get(&self, key: &Key) -> Option<Arc<PlanVersion>> {
        self.known().get(key).cloned()
    }

    /// Keeps a version that was read from committed rows.
    pub fn keep(&self, version: PlanVersion) -> Arc<PlanVersion> {
        let version = Arc::new(version);
        let mut known = self.known();
        if known.len() >= KEPT_MAX {
            known.clear();
        }
        known.insert((version.tenant, version.plan, version.version), Arc::clone(&version));
        version
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashMap<Key, Arc<PlanVersion>>> {
        // Every change is one insertion: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
