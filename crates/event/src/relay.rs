//! From the outbox to the bus: offers every unacknowledged row above a stream's last position, in order.
//!
//! A relay remembers nothing that matters. Each pass asks the database and the bus where they are and appends by
//! comparing, so restarts, two relays at once and a bus that has lost its memory all converge.

use std::{fmt, sync::Arc, time::Duration};

use revisit_core::{Failure, Steady, Timestamp};
use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    bus::{Bus, BusError, PUBLISH_MAX, Published, Stream},
    outbox::{Head, Outbox},
    watermark::Watermark,
};

/// How often a relay passes without a hint, and so how old a watermark can be.
const EVERY: Duration = Duration::from_millis(500);
/// How often acknowledged rows are deleted.
const TRIM_EVERY: Duration = Duration::from_secs(10);
/// Publishes per shard and pass, so that one shard's backlog does not keep the others waiting.
const RUNS_MAX: usize = 16;
/// The longest wait between attempts while the database or the bus is away.
const BACKOFF_MAX: Duration = Duration::from_secs(5);

/// The lease time, if the lease is live: what a watermark says.
pub type LeaseTime = Arc<dyn Fn() -> Option<Timestamp> + Send + Sync>;

/// Where the relay reads and writes: one pool twice on PostgreSQL, reader pool and writer on SQLite.
#[derive(Clone, Debug)]
pub struct Pools {
    /// For reading the outbox.
    pub reader: DatabaseConnection,
    /// For trimming it.
    pub writer: DatabaseConnection,
}

/// The relay of one service. Cheap to clone.
#[derive(Clone)]
pub struct Relay(Arc<Inner>);

struct Inner {
    outbox: Outbox,
    pools: Pools,
    bus: Bus,
    lease_time: LeaseTime,
    incarnation: OnceCell<Uuid>,
}

impl fmt::Debug for Relay {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Relay").field("outbox", &self.0.outbox).finish_non_exhaustive()
    }
}

/// Why a pass ended early.
#[derive(Debug)]
pub enum RelayError {
    /// The database failed.
    Database(DbErr),
    /// The bus failed or is full.
    Bus(BusError),
}

impl From<DbErr> for RelayError {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
impl From<BusError> for RelayError {
    fn from(error: BusError) -> Self {
        Self::Bus(error)
    }
}
impl fmt::Display for RelayError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Database(error) => write!(formatter, "the outbox cannot be read: {error}"),
            Self::Bus(error) => error.fmt(formatter),
        }
    }
}
impl std::error::Error for RelayError {}
impl From<RelayError> for Failure {
    fn from(error: RelayError) -> Self {
        Self::unavailable("RELAY_UNAVAILABLE", "events cannot be carried for now").caused_by(error)
    }
}

/// What a pass left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// Everything committed before the pass is on the bus.
    All,
    /// A shard had more than one pass publishes.
    More,
}

impl Relay {
    /// The relay of `outbox`.
    #[must_use]
    pub fn new(outbox: Outbox, pools: Pools, bus: Bus, lease_time: LeaseTime) -> Self {
        Self(Arc::new(Inner { outbox, pools, bus, lease_time, incarnation: OnceCell::new() }))
    }

    /// Passes until `shutdown`: on each hint of a commit and every half second.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let clock = self.0.outbox.clock().clone();
        let mut outage: Option<Duration> = None;
        let mut trimmed_at = clock.steady();
        loop {
            let wait = tokio::select! {
                biased;
                () = &mut shutdown => return,
                wait = self.turn(&mut outage, &mut trimmed_at, clock.steady()) => wait,
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                // While something is away, commits must not hurry us: the backoff is what bounds the load.
                () = self.0.outbox.woken(), if outage.is_none() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// One pass with its consequences: how long to wait, and one log line when an outage begins and when it ends.
    async fn turn(&self, outage: &mut Option<Duration>, trimmed_at: &mut Steady, now: Steady) -> Duration {
        let result = self.pass_and_trim(trimmed_at, now).await;
        match (&result, &outage) {
            (Ok(_), Some(_)) => tracing::info!(source = self.0.outbox.source(), "the relay carries events again"),
            (Err(error), None) => {
                tracing::warn!(source = self.0.outbox.source(), %error, "the relay waits and tries again");
            }
            (Ok(_), None) | (Err(_), Some(_)) => {}
        }
        match result {
            Ok(passed) => {
                *outage = None;
                if passed == Passed::More { Duration::ZERO } else { EVERY }
            }
            Err(_) => {
                let wait = outage.map_or(EVERY, |before| (before * 2).min(BACKOFF_MAX));
                *outage = Some(wait);
                wait
            }
        }
    }

    async fn pass_and_trim(&self, trimmed_at: &mut Steady, now: Steady) -> Result<Passed, RelayError> {
        let passed = self.pass().await?;
        if now.since(*trimmed_at) >= TRIM_EVERY {
            self.0.outbox.trim(&self.0.pools.writer).await?;
            *trimmed_at = now;
        }
        Ok(passed)
    }

    /// One pass: publishes the watermark and what the streams lack. The demo and the journeys call it to force a
    /// watermark; it may run beside the loop.
    ///
    /// # Errors
    /// When the database or the bus fails; what was published stays, and the next pass goes on from there.
    pub async fn pass(&self) -> Result<Passed, RelayError> {
        let Inner { outbox, pools, bus, lease_time, incarnation } = &*self.0;
        let incarnation = *incarnation.get_or_try_init(|| outbox.incarnation(&pools.writer)).await?;
        // The time first: whatever was committed before it is then within the positions.
        let time = lease_time();
        let heads = outbox.heads(&pools.reader).await?;
        let mut passed = Passed::All;
        let mut failed = None;
        for head in &heads {
            match self.carry(incarnation, head).await {
                Ok(Passed::All) => {}
                Ok(Passed::More) => passed = Passed::More,
                // The other shards go on: one full or failing stream is not theirs.
                Err(error) => failed = Some(error),
            }
        }
        if let Some(time) = time {
            let positions = heads.iter().map(|head| head.newest).collect();
            bus.set_watermark(outbox.source(), Watermark { incarnation, time, positions }).await?;
        }
        failed.map_or(Ok(passed), Err)
    }

    /// Offers what one stream lacks, and drops from it what all consumers have acknowledged.
    async fn carry(&self, incarnation: Uuid, head: &Head) -> Result<Passed, RelayError> {
        let Inner { outbox, pools, bus, .. } = &*self.0;
        let stream = Stream { source: outbox.source().into(), incarnation, shard: head.shard };
        if head.newest == 0 {
            return Ok(Passed::All);
        }
        bus.trim(&stream, head.acknowledged).await?;
        if head.is_settled() {
            return Ok(Passed::All);
        }
        let mut last = bus.last(&stream).await?;
        for _ in 0..RUNS_MAX {
            if last >= head.newest {
                return Ok(Passed::All);
            }
            // Below `acknowledged` nothing is owed, even to a bus that has lost its memory.
            let from = last.max(head.acknowledged);
            let run = outbox.after(&pools.reader, (incarnation, head.shard), from, PUBLISH_MAX).await?;
            let Some(newest) = run.last().map(|entry| entry.position) else { return Ok(Passed::All) };
            last = match bus.publish(&stream, last, run).await? {
                Published::Added => newest,
                Published::Moved { last } => last,
            };
        }
        Ok(Passed::More)
    }
}
