//! Applying: each event once, in one transaction with its inbox row; many together, and one by one when that fails.

use revisit_core::{Failure, Kind};
use revisit_event::{Envelope, EnvelopeExt, inbox, trace};
use revisit_permission::Worker;
use revisit_proto::identity::v1::AuditCheckpoint;
use tracing::Instrument;

use super::{Consumer, Losses, Memory, Waiting, tell};
use crate::{
    checkpoint::{self, Kept},
    database::{Tx, fault},
};

impl Consumer {
    /// All in one transaction; if that fails, one by one.
    pub(super) async fn apply_all(
        &self,
        worker: &Worker,
        apply: &impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>,
        events: Vec<Envelope>,
        memory: &mut Memory,
    ) {
        if events.is_empty() {
            return;
        }
        let together = self.write_around(worker, &events, async |tx: &Tx| {
            for event in &events {
                self.apply_once(tx, apply, event).await?;
            }
            Ok(())
        });
        if together.await.is_ok() {
            memory.applied.extend(events);
            return;
        }
        self.apply_each(worker, apply, events.into_iter().map(Waiting::new).collect(), memory).await;
    }

    pub(super) async fn apply_each(
        &self,
        worker: &Worker,
        apply: &impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>,
        events: Vec<Waiting>,
        memory: &mut Memory,
    ) {
        for mut waiting in events {
            let event = &waiting.event;
            let only = std::slice::from_ref(event);
            let alone = self.write_around(worker, only, async |tx: &Tx| self.apply_once(tx, apply, event).await);
            match alone.await {
                Ok(()) => memory.applied.push(waiting.event),
                Err(failure) => {
                    // While something is away, no event can be applied, and none is to blame.
                    waiting.tries += u32::from(failure.kind != Kind::Unavailable);
                    let parked = self.losses == Losses::Parked
                        && waiting.tries >= self.runtime.settings.inbox.tries_max
                        && self.park(worker, &waiting, &failure).await;
                    match parked {
                        true => memory.applied.push(waiting.event),
                        false => {
                            tell(&waiting.event, &failure, "an event waits to be applied");
                            memory.wait(waiting);
                        }
                    }
                }
            }
        }
    }

    async fn apply_once(
        &self,
        tx: &Tx,
        apply: &impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>,
        event: &Envelope,
    ) -> Result<(), Failure> {
        let span =
            tracing::info_span!("consume", otel.kind = "consumer", event.id = event.id, event.kind = event.r#type);
        trace::continue_trace(&span, event);
        async {
            if inbox::first_time(tx, self.runtime.service, event).await.map_err(fault)? {
                self.effect(tx, apply, event).await?;
            }
            Ok(())
        }
        .instrument(span)
        .await
    }

    /// What an event does here: besides what the service makes of it, every service keeps the checkpoints of the audit
    /// log that identity tells.
    pub(super) async fn effect(
        &self,
        tx: &Tx,
        apply: &impl AsyncFn(&Tx, &Envelope) -> Result<(), Failure>,
        event: &Envelope,
    ) -> Result<(), Failure> {
        // identity has its own already.
        if event.source != self.runtime.service
            && let Some(told) = event.read::<AuditCheckpoint>()?
            && checkpoint::keep(tx, event.tenant()?, &told).await? == Kept::Conflicting
        {
            let (keeper, number) = (self.runtime.service, told.number);
            self.conflicts.add(keeper, 1);
            tracing::error!(keeper, tenant.id = event.tenantid, number, "two audit checkpoints differ: verify the log");
        }
        apply(tx, event).await
    }
}
