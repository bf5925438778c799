//! What becomes of an event that fails every try: it is put aside, told and counted, and tried again when an operator
//! wants it.

use std::time::Duration;

use revisit_core::Failure;
use revisit_event::{
    Envelope, EnvelopeExt, inbox,
    inbox::parked::{self, Verdict},
};
use revisit_permission::Worker;
use tokio::time::Instant;

use super::{Consumer, Waiting, tell};
use crate::{
    database::{Tx, fault},
    telemetry::Level,
};

/// How often parked events are looked at: counted, and tried again when an operator wants it.
const LOOK_AT_PARKED: Duration = Duration::from_secs(60);
/// Parked events tried again in one look.
const REPLAYED_MAX: usize = 256;

impl Consumer {
    /// Puts an event aside that has failed too often. Answers whether it is aside now.
    pub(super) async fn park(&self, worker: &Worker, waiting: &Waiting, failure: &Failure) -> bool {
        let event = &waiting.event;
        let put = self.database.write(worker, async |tx: &Tx| {
            if inbox::first_time(tx, self.runtime.service, event).await.map_err(fault)? {
                let at = tx.now().await.map_err(fault)?;
                let verdict = Verdict { reason: why(failure), tries: waiting.tries, at };
                parked::park(tx, self.runtime.service, event, &verdict).await.map_err(fault)?;
            }
            Ok::<_, Failure>(())
        });
        match put.await {
            Ok(()) => {
                let (id, kind) = (&event.id, &event.r#type);
                let (consumer, tries) = (self.runtime.service, waiting.tries);
                tracing::error!(consumer, event.id = id, event.kind = kind, tries, %failure, "an event was parked");
                true
            }
            Err(failure) => {
                tell(&waiting.event, &failure, "an event cannot be parked");
                false
            }
        }
    }

    /// Tries parked events again that somebody wants to be. Answers how many stay parked.
    pub(super) async fn look_at_parked(
        &self,
        worker: &Worker,
        apply: &impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>,
    ) -> Result<i64, Failure> {
        let consumer = self.runtime.service;
        let standing = async || parked::standing(&self.database.pools().reader, consumer).await.map_err(fault);
        let found = standing().await?;
        if found.wanted == 0 {
            return Ok(found.parked);
        }
        for _ in 0..REPLAYED_MAX {
            let read = async |tx: &Tx| parked::next_wanted(tx, consumer).await.map_err(fault);
            let Some(one) = self.database.write(worker, read).await? else { break };
            let only = std::slice::from_ref(&one.event);
            let again = self.write_around(worker, only, async |tx: &Tx| {
                // Another replica may have been first: whoever removes the row applies the event.
                if parked::remove(&**tx, consumer, one.event.id()?.uuid()).await.map_err(fault)? {
                    self.effect(tx, apply, &one.event).await?;
                }
                Ok(())
            });
            let Err(failure) = again.await else { continue };
            tell(&one.event, &failure, "a parked event failed again");
            let missed = self.database.write(worker, async |tx: &Tx| {
                let verdict =
                    Verdict { reason: why(&failure), tries: one.verdict.tries + 1, at: tx.now().await.map_err(fault)? };
                parked::park(tx, consumer, &one.event, &verdict).await.map_err(fault)
            });
            missed.await?;
        }
        Ok(standing().await?.parked)
    }
}

/// When parked events were looked at, and how many there were: a change is told once, the metric each time.
pub(super) struct Look {
    at: Option<Instant>,
    parked: i64,
    level: Level,
}

impl Look {
    pub(super) fn new() -> Self {
        Self { at: None, parked: 0, level: Level::new("consumer.parked", "consumer") }
    }

    pub(super) fn is_due(&self) -> bool {
        self.at.is_none_or(|at| at.elapsed() >= LOOK_AT_PARKED)
    }

    pub(super) fn done(&mut self, consumer: &'static str, parked: i64) {
        self.level.set(consumer, parked);
        if parked > 0 && parked != self.parked {
            tracing::error!(consumer, parked, "events are parked: replay or discard them");
        }
        (self.at, self.parked) = (Some(Instant::now()), parked);
    }
}

fn why(failure: &Failure) -> String {
    match std::error::Error::source(failure) {
        Some(cause) => format!("{}: {failure}: {cause}", failure.reason),
        None => format!("{}: {failure}", failure.reason),
    }
}
