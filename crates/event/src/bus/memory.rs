//! The bus inside the process: streams as queues, groups as cursors, bounded in memory.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, VecDeque},
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use revisit_core::{Clock, Steady};
use tokio::sync::Notify;

use super::{BusError, OFFER_AGAIN, PUBLISH_MAX, Published, Stream, TAKE_MAX};
use crate::{
    envelope::{Envelope, EnvelopeExt},
    watermark::Watermark,
};

/// Entries held for one source before publishing is refused.
const HELD_MAX: usize = 50_000;
/// How often a waiting member looks for entries to offer again: the steady hand of a simulation wakes nobody.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// A bus inside the process. Cheap to clone; the clones are one bus.
#[derive(Clone, Debug)]
pub struct MemoryBus(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    clock: Clock,
    held_max: usize,
    state: Mutex<State>,
    arrived: Notify,
}

type Streams = BTreeMap<Stream, Queue>;

#[derive(Debug, Default)]
struct State {
    streams: Streams,
    groups: HashMap<String, Group>,
    watermarks: HashMap<String, Watermark>,
}

#[derive(Debug, Default)]
struct Queue {
    last: i64,
    entries: VecDeque<Envelope>,
}

#[derive(Debug, Default)]
struct Group {
    /// Up to which position each stream has been offered once.
    offered: HashMap<Stream, i64>,
    /// Offered and not acknowledged, with the instant at which each is offered again; `due` is the same by instant.
    open: BTreeMap<(Stream, i64), Steady>,
    due: BTreeSet<(Steady, Stream, i64)>,
    /// The stream after which the next take begins, so that one busy shard cannot starve the others.
    turn: Option<Stream>,
}

impl MemoryBus {
    /// An empty bus.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self::holding(clock, HELD_MAX)
    }

    /// An empty bus that holds at most `held_max` entries per source, and always one full publish.
    #[must_use]
    pub fn holding(clock: Clock, held_max: usize) -> Self {
        let held_max = held_max.max(PUBLISH_MAX);
        Self(Arc::new(Shared { clock, held_max, state: Mutex::default(), arrived: Notify::new() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change below leaves the state valid at each step, so a panic elsewhere does not spoil it.
        self.0.state.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    pub(super) fn publish(&self, stream: &Stream, seen: i64, entries: Vec<Envelope>) -> Result<Published, BusError> {
        let ascending = entries.windows(2).all(|pair| pair[0].position < pair[1].position);
        let (Some(first), Some(newest)) = (entries.first(), entries.last()) else { return Err(BusError::BadRun) };
        if !ascending || first.position <= seen || entries.len() > PUBLISH_MAX {
            return Err(BusError::BadRun);
        }
        let newest = newest.position;
        let mut state = self.state();
        let last = state.streams.get(stream).map_or(0, |queue| queue.last);
        if last != seen {
            return Ok(Published::Moved { last });
        }
        if state.held(&stream.source) + entries.len() > self.0.held_max {
            return Err(BusError::Full);
        }
        let queue = state.streams.entry(stream.clone()).or_default();
        queue.entries.extend(entries);
        queue.last = newest;
        drop(state);
        self.0.arrived.notify_waiters();
        Ok(Published::Added)
    }

    pub(super) fn last(&self, streams: &[Stream]) -> Vec<i64> {
        let state = self.state();
        streams.iter().map(|stream| state.streams.get(stream).map_or(0, |queue| queue.last)).collect()
    }

    pub(super) fn trim(&self, streams: &[(Stream, i64)]) {
        let State { streams: queues, groups, .. } = &mut *self.state();
        for (stream, through) in streams {
            if let Some(queue) = queues.get_mut(stream) {
                let passed = queue.entries.partition_point(|entry| entry.position <= *through);
                queue.entries.drain(..passed);
            }
            for group in groups.values_mut() {
                group.close_through(stream, *through);
            }
        }
    }

    pub(super) fn subscribe(&self, consumer: &str, sources: &[&str]) -> MemorySubscription {
        self.state().groups.entry(consumer.to_owned()).or_default();
        let sources = sources.iter().map(|source| (*source).to_owned()).collect();
        MemorySubscription { bus: self.clone(), consumer: consumer.to_owned(), sources }
    }

    pub(super) fn set_watermark(&self, source: &str, watermark: Watermark) {
        let mut state = self.state();
        let older = state
            .watermarks
            .get(source)
            .is_some_and(|held| held.incarnation == watermark.incarnation && held.time > watermark.time);
        if !older {
            state.watermarks.insert(source.to_owned(), watermark);
        }
    }

    pub(super) fn watermark(&self, source: &str) -> Option<Watermark> {
        self.state().watermarks.get(source).cloned()
    }
}

impl State {
    fn held(&self, source: &str) -> usize {
        self.streams.iter().filter(|(stream, _)| &*stream.source == source).map(|(_, queue)| queue.entries.len()).sum()
    }

    fn take(&mut self, consumer: &str, sources: &BTreeSet<String>, max: usize, now: Steady) -> Vec<Envelope> {
        let Self { streams, groups, .. } = self;
        let group = groups.entry(consumer.to_owned()).or_default();
        let mut taken = group.offer_again(streams, sources, max, now);
        taken.extend(group.offer_new(streams, sources, max - taken.len(), now));
        taken
    }
}

impl Queue {
    fn at(&self, position: i64) -> Option<&Envelope> {
        self.entries.binary_search_by_key(&position, |entry| entry.position).ok().and_then(|at| self.entries.get(at))
    }
}

impl Group {
    fn offer_again(&mut self, streams: &Streams, sources: &BTreeSet<String>, max: usize, now: Steady) -> Vec<Envelope> {
        let overdue = self.due.iter().take_while(|(at, ..)| *at <= now);
        let ours = overdue.filter(|(_, stream, _)| sources.contains(&*stream.source));
        let again: Vec<_> = ours.take(max).cloned().collect();
        let mut taken = Vec::new();
        for (_, stream, position) in again {
            self.close(&stream, position);
            if let Some(entry) = streams.get(&stream).and_then(|queue| queue.at(position)) {
                taken.push(entry.clone());
                self.open(&stream, position, now);
            }
        }
        taken
    }

    /// Begins after the stream that was served last.
    fn offer_new(&mut self, streams: &Streams, sources: &BTreeSet<String>, max: usize, now: Steady) -> Vec<Envelope> {
        let mut taken = Vec::new();
        let turn = self.turn.clone().map_or(Bound::Unbounded, Bound::Excluded);
        let later = streams.range((turn, Bound::Unbounded));
        let served = self.turn.clone();
        let earlier = streams.iter().take_while(|(stream, _)| served.as_ref().is_some_and(|turn| *stream <= turn));
        for (stream, queue) in later.chain(earlier) {
            if taken.len() >= max || !sources.contains(&*stream.source) {
                continue;
            }
            let offered = self.offered.get(stream).copied().unwrap_or(0);
            let start = queue.entries.partition_point(|entry| entry.position <= offered);
            for entry in queue.entries.range(start..).take(max - taken.len()) {
                self.offered.insert(stream.clone(), entry.position);
                self.open(stream, entry.position, now);
                self.turn = Some(stream.clone());
                taken.push(entry.clone());
            }
        }
        taken
    }

    fn open(&mut self, stream: &Stream, position: i64, now: Steady) {
        let again = now + OFFER_AGAIN;
        self.open.insert((stream.clone(), position), again);
        self.due.insert((again, stream.clone(), position));
    }

    fn close(&mut self, stream: &Stream, position: i64) {
        let key = (stream.clone(), position);
        if let Some(again) = self.open.remove(&key) {
            self.due.remove(&(again, key.0, key.1));
        }
    }

    fn close_through(&mut self, stream: &Stream, through: i64) {
        let passed: Vec<i64> = self
            .open
            .range((stream.clone(), i64::MIN)..=(stream.clone(), through))
            .map(|((_, position), _)| *position)
            .collect();
        for position in passed {
            self.close(stream, position);
        }
    }
}

/// A member of a group on a [`MemoryBus`].
#[derive(Debug)]
pub struct MemorySubscription {
    bus: MemoryBus,
    consumer: String,
    sources: BTreeSet<String>,
}

impl MemorySubscription {
    pub(super) fn take(&self, max: usize) -> Vec<Envelope> {
        let now = self.bus.0.clock.steady();
        self.bus.state().take(&self.consumer, &self.sources, max.clamp(1, TAKE_MAX), now)
    }

    pub(super) async fn next(&self, max: usize) -> Vec<Envelope> {
        loop {
            // The wait is registered before looking, so that what arrives in between is not missed.
            let arrived = self.bus.0.arrived.notified();
            let taken = self.take(max);
            if !taken.is_empty() {
                return taken;
            }
            let _ = tokio::time::timeout(LOOK_AGAIN, arrived).await;
        }
    }

    pub(super) fn acknowledge(&self, entry: &Envelope) {
        // An entry that names no stream was never offered by this bus: there is nothing to close.
        if let Ok(stream) = entry.stream()
            && let Some(group) = self.bus.state().groups.get_mut(&self.consumer)
        {
            group.close(&stream, entry.position);
        }
    }
}
