//! From the outbox to the bus: offers every unacknowledged row above a stream's last position, in order.
//!
//! A relay remembers nothing that matters. Each pass asks the database and the bus where they are and appends by
//! comparing, so restarts, two relays at once and a bus that has lost its memory all converge.

use std::{fmt, sync::Arc, time::Duration};

use opentelemetry::{KeyValue, global, metrics::Gauge};
use revisit_core::{Failure, Steady, Timestamp};
use sea_orm::{DatabaseConnection, DbErr};
use tokio::sync::OnceCell;
use uuid::Uuid;

use crate::{
    bus::{Bus, BusError, PUBLISH_MAX, Published, Stream},
    outbox::{Head, Outbox},
    watermark::Watermark,
};

/// How often a relay passes without a hint, and so how old a watermark can be. A little more than half a second, so
/// that an idle replica stays within two statements a second together with what it looks at once in a while.
const EVERY: Duration = Duration::from_millis(520);
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
    /// Rows that some consumer has not acknowledged.
    gap: Gauge<i64>,
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

/// What a pass has found: where every shard is, and the lease time before that.
struct Look {
    time: Option<Timestamp>,
    heads: Vec<Head>,
}

/// What a pass left behind.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Passed {
    /// Everything committed before the pass is on the bus.
    All,
    /// A shard had more than one pass publishes.
    More,
}

/// How the loop goes on after a pass.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Outage {
    None,
    /// The bus is full: an acknowledgement makes room, and its hint wakes us.
    Full,
    /// Something is away. Hints must not hurry us: the wait is what bounds the load.
    Away(Duration),
}

impl Relay {
    /// The relay of `outbox`.
    #[must_use]
    pub fn new(outbox: Outbox, pools: Pools, bus: Bus, lease_time: LeaseTime) -> Self {
        let gap = global::meter("revisit").i64_gauge("outbox.relay.gap").build();
        Self(Arc::new(Inner { outbox, pools, bus, lease_time, incarnation: OnceCell::new(), gap }))
    }

    /// Passes until `shutdown`: on each hint of a commit and every half second.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        tokio::pin!(shutdown);
        let clock = self.0.outbox.clock().clone();
        let mut outage = Outage::None;
        let mut trimmed_at = clock.steady();
        loop {
            let result = tokio::select! {
                biased;
                () = &mut shutdown => return,
                result = self.pass_and_trim(&mut trimmed_at, clock.steady()) => result,
            };
            let wait = if matches!(result, Ok(Passed::More)) { Duration::ZERO } else { EVERY };
            outage = self.note(outage, result.err());
            let (wait, hints) = match outage {
                Outage::None | Outage::Full => (wait, true),
                Outage::Away(wait) => (wait, false),
            };
            tokio::select! {
                biased;
                () = &mut shutdown => return,
                () = self.0.outbox.woken(), if hints => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }

    /// What the outage is now; one log line when it begins and one when it ends.
    fn note(&self, before: Outage, error: Option<RelayError>) -> Outage {
        let source = self.0.outbox.source();
        match (&before, &error) {
            (Outage::None, Some(error)) => tracing::warn!(source, %error, "the relay waits and tries again"),
            (Outage::Full | Outage::Away(_), None) => tracing::info!(source, "the relay carries events again"),
            (Outage::None, None) | (Outage::Full | Outage::Away(_), Some(_)) => {}
        }
        match (before, error) {
            (_, None) => Outage::None,
            (_, Some(RelayError::Bus(BusError::Full))) => Outage::Full,
            (Outage::Away(wait), Some(_)) => Outage::Away((wait * 2).min(BACKOFF_MAX)),
            (Outage::None | Outage::Full, Some(_)) => Outage::Away(EVERY),
        }
    }

    async fn pass_and_trim(&self, trimmed_at: &mut Steady, now: Steady) -> Result<Passed, RelayError> {
        let look = self.look().await?;
        let passed = self.carry_over(&look).await?;
        if now.since(*trimmed_at) >= TRIM_EVERY {
            self.0.outbox.trim(&self.0.pools.writer, &look.heads).await?;
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
        let look = self.look().await?;
        self.carry_over(&look).await
    }

    /// The only statement of a quiet pass.
    async fn look(&self) -> Result<Look, RelayError> {
        let Inner { outbox, pools, lease_time, .. } = &*self.0;
        // The time first: whatever was committed before it is then within the positions.
        let time = lease_time();
        let heads = outbox.heads(&pools.reader).await?;
        outbox.found(heads.iter().filter_map(|head| head.planned).min());
        Ok(Look { time, heads })
    }

    async fn carry_over(&self, look: &Look) -> Result<Passed, RelayError> {
        let Inner { outbox, pools, bus, incarnation, .. } = &*self.0;
        let incarnation = *incarnation.get_or_try_init(|| outbox.incarnation(&pools.writer)).await?;
        let gap = look.heads.iter().map(|head| (head.newest - head.acknowledged).max(0)).sum();
        self.0.gap.record(gap, &[KeyValue::new("source", outbox.source())]);
        let result = self.carry_all(incarnation, &look.heads).await;
        // After the events, so that who sees it need not wait for them; and also when they cannot be carried: a
        // consumer that is behind must know that it is.
        if let Some(time) = look.time {
            let positions = look.heads.iter().map(|head| head.newest).collect();
            bus.set_watermark(outbox.source(), Watermark { incarnation, time, positions }).await?;
        }
        result
    }

    /// Drops from the streams what all consumers have acknowledged, and offers them what they lack.
    async fn carry_all(&self, incarnation: Uuid, heads: &[Head]) -> Result<Passed, RelayError> {
        let Inner { outbox, bus, .. } = &*self.0;
        let source: Arc<str> = outbox.source().into();
        let stream = |head: &Head| Stream { source: source.clone(), incarnation, shard: head.shard };
        let passed: Vec<_> = heads.iter().filter(|head| head.acknowledged > 0).collect();
        bus.trim(&passed.into_iter().map(|head| (stream(head), head.acknowledged)).collect::<Vec<_>>()).await?;
        let owing: Vec<&Head> = heads.iter().filter(|head| !head.is_settled()).collect();
        let streams: Vec<Stream> = owing.iter().map(|head| stream(head)).collect();
        let mut all = Passed::All;
        for ((head, stream), last) in owing.into_iter().zip(&streams).zip(bus.last(&streams).await?) {
            if self.carry(stream, head, last).await? == Passed::More {
                all = Passed::More;
            }
        }
        Ok(all)
    }

    /// Offers to one stream what it lacks after `last`.
    async fn carry(&self, stream: &Stream, head: &Head, mut last: i64) -> Result<Passed, RelayError> {
        let Inner { outbox, pools, bus, .. } = &*self.0;
        for _ in 0..RUNS_MAX {
            if last >= head.newest {
                return Ok(Passed::All);
            }
            // Below `acknowledged` nothing is owed, even to a bus that has lost its memory.
            let from = last.max(head.acknowledged);
            let run = outbox.after(&pools.reader, stream, from, PUBLISH_MAX).await?;
            // Nothing left means that all consumers have passed it since we looked.
            let Some(newest) = run.last().map(|entry| entry.position) else { return Ok(Passed::All) };
            last = match bus.publish(stream, last, run).await? {
                Published::Added => newest,
                Published::Moved { last } => last,
            };
        }
        Ok(if last >= head.newest { Passed::All } else { Passed::More })
    }
}
