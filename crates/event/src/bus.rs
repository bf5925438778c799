//! What a bus promises, whichever it is: entries of a stream in order of position, each at least once to every group.
//!
//! A bus is never the truth. It may lose everything: the relay offers again what has not been acknowledged.

use std::{sync::Arc, time::Duration};

use revisit_core::{Clock, Failure};
use uuid::Uuid;

use crate::{envelope::Envelope, watermark::Watermark};

mod memory;

pub use memory::{MemoryBus, MemorySubscription};

/// An entry that was offered and not acknowledged for this long is offered again.
pub const OFFER_AGAIN: Duration = Duration::from_secs(30);
/// The most entries of one publish.
pub const PUBLISH_MAX: usize = 256;
/// The most entries of one take.
pub const TAKE_MAX: usize = 256;

/// One shard of one outbox. Positions mean something inside a stream only; a restored database begins new streams.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Stream {
    /// Name of the producing service.
    pub source: Arc<str>,
    /// Incarnation of its database.
    pub incarnation: Uuid,
    /// The shard.
    pub shard: u32,
}

/// How a compare-and-append ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Published {
    /// The entries are in the stream.
    Added,
    /// Nothing was added: the stream's last position is not the one that was seen, but this.
    Moved {
        /// The stream's last position; 0 when it never had an entry.
        last: i64,
    },
}

/// Why a bus did not do it.
#[derive(Clone, Debug)]
pub enum BusError {
    /// It holds as much as it may; consumers must acknowledge first.
    Full,
    /// The run is empty, not ascending, too long, or does not lie after what was seen.
    BadRun,
    /// It cannot be reached.
    Unavailable(String),
}

impl std::fmt::Display for BusError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Full => formatter.write_str("the bus holds as many entries as it may"),
            Self::BadRun => formatter.write_str("the entries are no ascending run after the position seen"),
            Self::Unavailable(why) => write!(formatter, "the bus cannot be reached: {why}"),
        }
    }
}
impl std::error::Error for BusError {}
impl From<BusError> for Failure {
    fn from(error: BusError) -> Self {
        match error {
            BusError::Full | BusError::Unavailable(_) => {
                Self::unavailable("BUS_UNAVAILABLE", "events cannot be carried for now").caused_by(error)
            }
            BusError::BadRun => Self::internal(error),
        }
    }
}

/// The buses there are. Cheap to clone; the clones are one bus.
#[derive(Clone, Debug)]
pub enum Bus {
    /// Inside the process, for the embedded product and for tests.
    Memory(MemoryBus),
}

impl Bus {
    /// A bus inside the process.
    #[must_use]
    pub fn memory(clock: Clock) -> Self {
        Self::Memory(MemoryBus::new(clock))
    }

    /// Compare and append: adds `entries` (ascending positions after `seen`, at most [`PUBLISH_MAX`]) only if the
    /// stream's last position is `seen`. So retries, two relays and a relay that thought itself dead all converge.
    ///
    /// # Errors
    /// When the bus is full or away, or the run is not one.
    pub async fn publish(&self, stream: &Stream, seen: i64, entries: Vec<Envelope>) -> Result<Published, BusError> {
        match self {
            Self::Memory(bus) => bus.publish(stream, seen, entries),
        }
    }

    /// The last position of each stream, also when its entries have been trimmed; 0 when it never had one.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn last(&self, streams: &[Stream]) -> Result<Vec<i64>, BusError> {
        match self {
            Self::Memory(bus) => Ok(bus.last(streams)),
        }
    }

    /// Drops the entries of each stream up to the position beside it, which every named consumer has acknowledged to
    /// the producer.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn trim(&self, streams: &[(Stream, i64)]) -> Result<(), BusError> {
        match self {
            Self::Memory(bus) => bus.trim(streams),
        }
        Ok(())
    }

    /// Joins the group of `consumer` on all streams of `sources`. A new group starts at the first entry held; the
    /// members of a group share its entries.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn subscribe(&self, consumer: &str, sources: &[&str]) -> Result<Subscription, BusError> {
        match self {
            Self::Memory(bus) => Ok(Subscription::Memory(bus.subscribe(consumer, sources))),
        }
    }

    /// Replaces the watermark of `source`; an earlier time of the same incarnation changes nothing.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn set_watermark(&self, source: &str, watermark: Watermark) -> Result<(), BusError> {
        match self {
            Self::Memory(bus) => bus.set_watermark(source, watermark),
        }
        Ok(())
    }

    /// The newest watermark of `source`.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn watermark(&self, source: &str) -> Result<Option<Watermark>, BusError> {
        match self {
            Self::Memory(bus) => Ok(bus.watermark(source)),
        }
    }
}

/// A member of a consumer's group.
#[derive(Debug)]
pub enum Subscription {
    /// On the bus inside the process.
    Memory(MemorySubscription),
}

impl Subscription {
    /// What there is to do now, without waiting: entries that nobody of the group has acknowledged for
    /// [`OFFER_AGAIN`], then new ones; at most `max` and never more than [`TAKE_MAX`].
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn take(&self, max: usize) -> Result<Vec<Envelope>, BusError> {
        match self {
            Self::Memory(subscription) => Ok(subscription.take(max)),
        }
    }

    /// Waits until there is something to do. May be dropped while it waits; nothing is lost.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn next(&self, max: usize) -> Result<Vec<Envelope>, BusError> {
        match self {
            Self::Memory(subscription) => Ok(subscription.next(max).await),
        }
    }

    /// Says that the group has applied `entry`; to be called after the effect is committed.
    ///
    /// # Errors
    /// When the bus is away.
    pub async fn acknowledge(&self, entry: &Envelope) -> Result<(), BusError> {
        match self {
            Self::Memory(subscription) => subscription.acknowledge(entry),
        }
        Ok(())
    }
}
