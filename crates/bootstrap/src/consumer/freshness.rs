//! How old what a consumer knows of its sources is, and whether a user's call may be decided on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use revisit_core::Failure;
use revisit_event::{Bus, Passage};

use crate::lease::LeaseClient;

/// The age of a projection beyond which no user's call is decided on it.
const AGE_MAX: Duration = Duration::from_secs(2);

/// How old what a consumer knows is. Cheap to clone.
#[derive(Clone)]
pub struct Freshness {
    lease: LeaseClient,
    passages: Arc<Mutex<HashMap<&'static str, Passage>>>,
}

/// The consumers of a process, so that a step of the demo's clock can make each look at the watermarks at once: by
/// itself it looks when nothing has come for a tick. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Consumers(Arc<Mutex<Vec<Freshness>>>);

impl Consumers {
    pub(super) fn add(&self, freshness: Freshness) {
        // A push is whole or has not happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(freshness);
    }

    /// Makes each look at what every source that it hears has published.
    pub(crate) async fn look(&self, bus: &Bus) -> Result<(), Failure> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for freshness in all {
            let sources: Vec<_> = freshness.passages().keys().copied().collect();
            for source in sources {
                freshness.look(bus, source).await?;
            }
        }
        Ok(())
    }
}

impl Freshness {
    pub(super) fn new(lease: LeaseClient) -> Self {
        Self { lease, passages: Arc::default() }
    }

    /// Refuses when what is known of `source` is too old to decide a user's call on.
    pub fn require(&self, source: &str) -> Result<(), Failure> {
        let stale = || Failure::unavailable("PROJECTION_STALE", "what this service knows of another is too old");
        let now = self.lease.time().ok_or_else(stale)?;
        let known = self.passages().get(source).and_then(Passage::known_until_everywhere).ok_or_else(stale)?;
        if now.since(known) <= AGE_MAX { Ok(()) } else { Err(stale()) }
    }

    /// Whether something that a source has told of is not known to be applied.
    pub(super) fn is_behind(&self) -> bool {
        self.passages().values().any(Passage::is_behind)
    }

    pub(super) async fn look(&self, bus: &Bus, source: &'static str) -> Result<(), Failure> {
        if let Some(watermark) = bus.watermark(source).await? {
            self.passages().entry(source).or_default().seen(&watermark);
        }
        Ok(())
    }

    pub(super) fn passages(&self) -> MutexGuard<'_, HashMap<&'static str, Passage>> {
        // A passage only ever moves forward; one that a panic left half moved is merely older.
        self.passages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
