//! Consuming other services' events: each is applied once, in one transaction with its inbox row, and what has been
//! applied without a gap is acknowledged to its producer.
//!
//! Events are tolerated out of order: one that cannot be applied yet waits beside the others and is tried again. One
//! that fails every try is parked, and the consumer goes on; see `revisit_event::inbox::parked`.

mod apply;
mod around;
mod catch_up;
mod freshness;
mod parked;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::Future,
    sync::Arc,
    time::Duration,
};

use revisit_core::Failure;
use revisit_event::{Envelope, EnvelopeExt, Stream, Subscription, inbox};
use revisit_permission::Worker;
use revisit_proto::event::v1::{AcknowledgeRequest, ShardPosition, events_client::EventsClient};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    database::{Database, Tx, fault},
    runtime::Runtime,
    status,
    telemetry::Tally,
};

pub use around::{Around, Ended};
use catch_up::{Snapshot, Unasked};
pub(crate) use freshness::Consumers;
pub use freshness::Freshness;
use parked::Look;

/// Events of one transaction: a commit costs more than an effect.
const BATCH_MAX: usize = 64;
/// Events that wait to be tried again; beyond it nothing new is taken.
const WAITING_MAX: usize = 256;
/// How often waiting events, lost acknowledgements and watermarks are looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long a busy consumer goes on before it moves its progress: that costs a statement per stream, whatever the
/// number of events.
const SETTLE_EVERY: Duration = Duration::from_millis(200);
/// Pause before an event is tried again; it doubles up to the maximum.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// Time allowed for an acknowledgement.
const ACKNOWLEDGE_MAX: Duration = Duration::from_secs(2);
/// A consumer of other services' events, under the name of the service.
pub struct Consumer {
    database: Database,
    runtime: Runtime,
    sources: Vec<&'static str>,
    freshness: Freshness,
    snapshot: Option<Snapshot>,
    around: Option<Around>,
    losses: Losses,
    conflicts: Tally,
}

/// What becomes of an event that fails every try.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Losses {
    /// It is put aside, and the consumer goes on.
    Parked,
    /// Nothing may be left out: it is tried for ever.
    None,
}

/// What one run of a consumer remembers; losing it costs repeats and nothing else.
#[derive(Default)]
struct Memory {
    /// Applied and committed, and not told to anybody yet.
    applied: Vec<Envelope>,
    waiting: Vec<Waiting>,
    /// Applied and not acknowledged to the producer yet.
    owed: BTreeMap<(&'static str, Uuid), BTreeMap<u32, i64>>,
}

struct Waiting {
    event: Envelope,
    at: Instant,
    pause: Duration,
    /// Tries that have failed by the event's own fault.
    tries: u32,
}

impl Waiting {
    fn new(event: Envelope) -> Self {
        Self { event, at: Instant::now(), pause: PAUSE, tries: 0 }
    }
}

impl Consumer {
    /// A consumer that hears nobody yet; the inbox lies in `database`.
    #[must_use]
    pub fn new(runtime: &Runtime, database: &Database) -> Self {
        let freshness = Freshness::new(runtime.lease.clone());
        runtime.consumers.add(freshness.clone());
        Self {
            database: database.clone(),
            runtime: runtime.clone(),
            sources: Vec::new(),
            freshness,
            snapshot: None,
            around: None,
            losses: Losses::Parked,
            conflicts: Tally::new("audit.checkpoint.conflicts", "keeper"),
        }
    }

    /// Hears the events of `source`.
    #[must_use]
    pub fn from(mut self, source: &'static str) -> Self {
        self.sources.push(source);
        self.freshness.passages().entry(source).or_default();
        self
    }

    /// What it does when events of a source are gone that it has not applied: reads anew what it knows of it.
    #[must_use]
    pub fn rebuilt_by<F>(mut self, snapshot: impl Fn(&'static str) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.snapshot = Some(Arc::new(move |source| Box::pin(snapshot(source))));
        self
    }

    /// Has something done around each transaction.
    #[must_use]
    pub fn within(mut self, around: Around) -> Self {
        self.around = Some(around);
        self
    }

    /// Leaves no event out, whatever it costs: what fails is tried until it is applied, and nothing passes it.
    #[must_use]
    pub fn leaving_nothing_out(mut self) -> Self {
        self.losses = Losses::None;
        self
    }

    /// How old what it knows is.
    #[must_use]
    pub fn freshness(&self) -> Freshness {
        self.freshness.clone()
    }

    /// Applies events until draining begins. `apply` must take every type, also those that it ignores, and must do
    /// nothing but write to the transaction.
    pub async fn run(self, worker: Worker, apply: impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>) {
        let shutdown = self.runtime.shutdown.clone();
        let mut outage = false;
        let consume = async {
            loop {
                let Err(failure) = self.consume(&worker, &apply).await else { return };
                if !std::mem::replace(&mut outage, true) {
                    tracing::warn!(consumer = self.runtime.service, %failure, "a consumer waits and tries again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        };
        shutdown.or_draining(consume).await;
    }

    async fn consume(
        &self,
        worker: &Worker,
        apply: &impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let subscription = self.runtime.bus.subscribe(self.runtime.service, &self.sources).await?;
        let mut memory = Memory::default();
        self.remember_progress(&mut memory).await?;
        let mut settled_at = Instant::now();
        let (mut look, mut unasked) = (Look::new(), Unasked::new(&self.sources));
        loop {
            self.catch_up(worker, &mut unasked, &mut memory).await;
            if look.is_due() {
                look.done(self.runtime.service, self.look_at_parked(worker, apply).await?);
            }
            let room = memory.waiting.len() < WAITING_MAX;
            let mut events = if room { subscription.take(BATCH_MAX).await? } else { Vec::new() };
            if events.is_empty() || settled_at.elapsed() >= SETTLE_EVERY {
                self.settle(worker, &subscription, &mut memory).await?;
                settled_at = Instant::now();
            }
            if events.is_empty() && room {
                events = tokio::time::timeout(TICK, subscription.next(BATCH_MAX)).await.unwrap_or(Ok(Vec::new()))?;
            } else if events.is_empty() {
                tokio::time::sleep(TICK).await;
            }
            let retried = memory.take_due(Instant::now());
            self.apply_all(worker, apply, events, &mut memory).await;
            self.apply_each(worker, apply, retried, &mut memory).await;
        }
    }

    /// Moves the progress over what was applied, and only then tells the bus and the producers: what the bus is told
    /// too late is offered again and changes nothing, what it was told too early would leave the progress behind.
    async fn settle(&self, worker: &Worker, subscription: &Subscription, memory: &mut Memory) -> Result<(), Failure> {
        let idle = memory.applied.is_empty();
        self.advance(worker, memory).await?;
        for event in memory.applied.drain(..) {
            subscription.acknowledge(&event).await?;
        }
        self.acknowledge(memory).await;
        self.look_at_watermarks().await?;
        // What is missing here another replica may have applied; then only the database knows, and nothing will come.
        if idle && self.freshness.is_behind() {
            self.remember_progress(memory).await?;
        }
        Ok(())
    }

    async fn remember_progress(&self, memory: &mut Memory) -> Result<(), Failure> {
        for source in &self.sources {
            let pools = self.database.pools();
            let all = inbox::all_progress(&pools.reader, self.runtime.service, source).await.map_err(fault)?;
            for (stream, position) in all {
                self.reached(source, &stream, position, memory);
            }
        }
        Ok(())
    }

    /// Moves the progress of every stream that was touched.
    async fn advance(&self, worker: &Worker, memory: &mut Memory) -> Result<(), Failure> {
        let streams: BTreeSet<Stream> = memory.applied.iter().filter_map(|event| event.stream().ok()).collect();
        if streams.is_empty() {
            return Ok(());
        }
        let consumer = self.runtime.service;
        let reached = self.database.write(worker, async |tx: &Tx| {
            let mut reached = Vec::new();
            for stream in &streams {
                reached.push(inbox::advance(tx, consumer, stream).await.map_err(fault)?);
            }
            Ok::<_, Failure>(reached)
        });
        for (stream, position) in streams.iter().zip(reached.await?) {
            if let Some(source) = self.sources.iter().find(|source| **source == &*stream.source) {
                self.reached(source, stream, position, memory);
            }
        }
        Ok(())
    }

    fn reached(&self, source: &'static str, stream: &Stream, position: i64, memory: &mut Memory) {
        self.freshness.applied(source, stream, position);
        memory.owed.entry((source, stream.incarnation)).or_default().insert(stream.shard, position);
    }

    /// Tells each producer. What does not get through is told again at the next tick.
    async fn acknowledge(&self, memory: &mut Memory) {
        let mut told = Vec::new();
        for ((source, incarnation), positions) in &memory.owed {
            let request = AcknowledgeRequest {
                consumer: self.runtime.service.to_owned(),
                incarnation: incarnation.to_string(),
                positions: positions.iter().map(|(shard, at)| ShardPosition { shard: *shard, position: *at }).collect(),
            };
            let mut client = EventsClient::new(self.runtime.peers.channel(source).within(ACKNOWLEDGE_MAX));
            match status::answer(client.acknowledge(request).await) {
                Ok(_) => told.push((*source, *incarnation)),
                // The positions of a former life of the producer interest nobody any more.
                Err(failure) if failure.reason == "INCARNATION_CHANGED" => told.push((*source, *incarnation)),
                Err(failure) => tracing::debug!(source, %failure, "an acknowledgement did not get through"),
            }
        }
        for key in told {
            memory.owed.remove(&key);
        }
    }

    async fn look_at_watermarks(&self) -> Result<(), Failure> {
        for source in &self.sources {
            self.freshness.look(&self.runtime.bus, source).await?;
        }
        Ok(())
    }
}

fn tell(event: &Envelope, failure: &Failure, what: &'static str) {
    let cause = std::error::Error::source(failure).map(ToString::to_string);
    tracing::warn!(event.id = event.id, event.kind = event.r#type, %failure, cause, "{what}");
}

impl Memory {
    fn take_due(&mut self, now: Instant) -> Vec<Waiting> {
        let (due, later) = std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.at <= now);
        self.waiting = later;
        due
    }

    fn wait(&mut self, waiting: Waiting) {
        // The bus offers an event again while it waits here.
        if self.waiting.iter().any(|other| other.event.id == waiting.event.id) {
            return;
        }
        let pause = (waiting.pause * 2).min(PAUSE_MAX);
        self.waiting.push(Waiting { at: Instant::now() + waiting.pause, pause, ..waiting });
    }
}
