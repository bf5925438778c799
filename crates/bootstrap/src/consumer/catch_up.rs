//! A consumer whose memory is older than what it once acknowledged (a new database, a restored backup) has lost events
//! that nobody offers again: it reads a snapshot of their source and goes on behind them.

use std::{collections::BTreeMap, future::Future, pin::Pin, sync::Arc, time::Duration};

use revisit_core::Failure;
use revisit_event::{Stream, inbox};
use revisit_permission::Worker;
use revisit_proto::event::v1::{GetPositionsRequest, events_client::EventsClient};
use tokio::time::Instant;
use uuid::Uuid;

use super::{ACKNOWLEDGE_MAX, Consumer, Memory};
use crate::{
    database::{Tx, fault},
    status,
};

/// Pause before a source that did not answer is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Reads anew what is known of a source.
pub(super) type Snapshot =
    Arc<dyn Fn(&'static str) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> + Send + Sync>;

/// Sources that have not said yet how far this consumer once was.
pub(super) struct Unasked {
    sources: Vec<&'static str>,
    again_at: Instant,
}

impl Unasked {
    pub(super) fn new(sources: &[&'static str]) -> Self {
        Self { sources: sources.to_vec(), again_at: Instant::now() }
    }
}

impl Consumer {
    /// Asks every source once; one that does not answer is asked again later.
    pub(super) async fn catch_up(&self, worker: &Worker, unasked: &mut Unasked, memory: &mut Memory) {
        if unasked.sources.is_empty() || unasked.again_at > Instant::now() {
            return;
        }
        let mut left = Vec::new();
        for source in std::mem::take(&mut unasked.sources) {
            if let Err(failure) = self.catch_up_with(worker, source, memory).await {
                tracing::debug!(source, %failure, "a source does not say yet how far this consumer was");
                left.push(source);
            }
        }
        unasked.sources = left;
        unasked.again_at = Instant::now() + ASK_AGAIN;
    }

    async fn catch_up_with(&self, worker: &Worker, source: &'static str, memory: &mut Memory) -> Result<(), Failure> {
        let consumer = self.runtime.service;
        let mut client = EventsClient::new(self.runtime.peers.channel(source).within(ACKNOWLEDGE_MAX));
        let request = GetPositionsRequest { consumer: consumer.to_owned(), source: source.to_owned() };
        // Asked before our own progress is read: what was acknowledged had been committed here.
        let told = status::answer(client.get_positions(request).await)?;
        let incarnation = Uuid::try_parse(&told.incarnation).map_err(Failure::internal)?;
        let known = inbox::all_progress(&self.database.pools().reader, consumer, source).await.map_err(fault)?;
        let known: BTreeMap<u32, i64> = known
            .into_iter()
            .filter(|(stream, _)| stream.incarnation == incarnation)
            .map(|(stream, position)| (stream.shard, position))
            .collect();
        let is_lost = |shard: u32, position: i64| position > known.get(&shard).copied().unwrap_or(0);
        let lost: Vec<(Stream, i64)> = told
            .positions
            .iter()
            .filter(|place| is_lost(place.shard, place.position))
            .map(|place| (Stream { source: source.into(), incarnation, shard: place.shard }, place.position))
            .collect();
        if lost.is_empty() {
            return Ok(());
        }
        let Some(snapshot) = &self.snapshot else {
            tracing::error!(consumer, source, "events that were applied here are lost: restore the newest backup");
            return Ok(());
        };
        tracing::warn!(consumer, source, shards = lost.len(), "events are gone; a snapshot is read in their place");
        snapshot(source).await?;
        let begun = self.database.write(worker, async |tx: &Tx| {
            for (stream, position) in &lost {
                inbox::begin_at(tx, consumer, stream, *position).await.map_err(fault)?;
            }
            Ok::<_, Failure>(())
        });
        begun.await?;
        for (stream, position) in &lost {
            self.reached(source, stream, *position, memory);
        }
        Ok(())
    }
}
