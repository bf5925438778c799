//! How old what a consumer knows of its sources is, and whether a user's call may be decided on it.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use revisit_core::{Failure, Timestamp, id::TenantId};
use revisit_event::{Bus, Passage, Stream, shard};
use tokio::sync::watch;
use uuid::Uuid;

use crate::lease::LeaseClient;

/// The age of a projection beyond which no user's call is decided on it.
const AGE_MAX: Duration = Duration::from_secs(2);

/// How old what a consumer knows is. Cheap to clone.
#[derive(Clone)]
pub struct Freshness {
    lease: LeaseClient,
    passages: Arc<Mutex<HashMap<&'static str, Passage>>>,
    moved: watch::Sender<()>,
}

/// What is known of one subject of a source: who waits for more of it is told when this has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Known {
    /// The lease time up to which everything is known; none before the first watermark was passed.
    pub until: Option<Timestamp>,
    shard: u32,
    position: i64,
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
        Self { lease, passages: Arc::default(), moved: watch::channel(()).0 }
    }

    /// Refuses when what is known of `source` is too old to decide a user's call on.
    pub fn require(&self, source: &str) -> Result<(), Failure> {
        let age = || {
            let now = self.lease.time()?;
            Some(now.since(self.passages().get(source)?.known_until_everywhere()?))
        };
        match age() {
            Some(age) if age <= AGE_MAX => Ok(()),
            age => Err(stale(source, age)),
        }
    }

    /// What is known of one subject of a source.
    #[must_use]
    pub fn known(&self, source: &str, tenant: TenantId, subject: Uuid) -> Known {
        self.known_of(source, shard(tenant, subject))
    }

    fn known_of(&self, source: &str, shard: u32) -> Known {
        let passages = self.passages();
        let passage = passages.get(source);
        let until = passage.and_then(|passage| passage.known_until(shard));
        Known { until, shard, position: passage.map_or(0, |passage| passage.position(shard)) }
    }

    /// Waits until more is known. The caller bounds it: a source that is away tells nothing.
    pub async fn more(&self, source: &str, than: Known) {
        let mut moved = self.moved.subscribe();
        while self.known_of(source, than.shard) == than {
            // The sender lives in `self`.
            let _ = moved.changed().await;
        }
    }

    /// Takes note that everything of a stream up to a position has been applied.
    pub(super) fn applied(&self, source: &'static str, stream: &Stream, position: i64) {
        self.passages().entry(source).or_default().applied(stream.incarnation, stream.shard, position);
        self.moved.send_replace(());
    }

    /// Whether something that a source has told of is not known to be applied.
    pub(super) fn is_behind(&self) -> bool {
        self.passages().values().any(Passage::is_behind)
    }

    pub(super) async fn look(&self, bus: &Bus, source: &'static str) -> Result<(), Failure> {
        if let Some(watermark) = bus.watermark(source).await? {
            self.passages().entry(source).or_default().seen(&watermark);
            self.moved.send_replace(());
        }
        Ok(())
    }

    pub(super) fn passages(&self) -> MutexGuard<'_, HashMap<&'static str, Passage>> {
        // A passage only ever moves forward; one that a panic left half moved is merely older.
        self.passages.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is known of `source` is of so long ago, or of nobody knows when, and may be of now in a moment.
fn stale(source: &str, age: Option<Duration>) -> Failure {
    let (bound, again) = (AGE_MAX.as_millis(), "call again in a moment");
    let message = match age.map(|age| age.as_millis()) {
        Some(age) => {
            format!("the newest news of {source} is {age} ms old, and at most {bound} ms decide a call: {again}")
        }
        None => format!("how old the newest news of {source} is cannot be told, and it decides no call: {again}"),
    };
    Failure::unavailable("PROJECTION_STALE", message).with("source", source)
}
