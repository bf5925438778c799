//! What a service does around the transaction in which events are applied, when it remembers something beside what it
//! writes: reading before the transaction begins, locks in one order, and keeping or forgetting once it has ended.

use std::{collections::BTreeSet, future::Future, pin::Pin, sync::Arc};

use revisit_core::Failure;
use revisit_event::Envelope;
use revisit_permission::Worker;

use super::Consumer;
use crate::database::{Tx, fault};

type Before = Arc<dyn Fn(&[Envelope]) -> Pin<Box<dyn Future<Output = Result<(), Failure>> + Send>> + Send + Sync>;

/// How a transaction ended, as far as is known here: one whose commit was not answered counts as rolled back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    Committed,
    RolledBack,
}

/// What is done around each transaction of events.
pub struct Around {
    lock: fn(&Envelope) -> Option<i64>,
    before: Before,
    after: Box<dyn Fn(Ended) + Send + Sync>,
}

impl Around {
    /// Nothing but the locks that `lock` names. All of a transaction are taken before its first event is applied, in
    /// ascending order, so that two replicas never wait for each other.
    #[must_use]
    pub fn locking(lock: fn(&Envelope) -> Option<i64>) -> Self {
        Self { lock, before: Arc::new(|_| Box::pin(async { Ok(()) })), after: Box::new(|_| ()) }
    }

    /// What is done before the transaction begins, while nothing is locked. If it fails, nothing is applied.
    #[must_use]
    pub fn before<F>(mut self, before: impl Fn(&[Envelope]) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        self.before = Arc::new(move |events| Box::pin(before(events)));
        self
    }

    /// What is done once it has ended. It is not called for a transaction that is given up when the process stops.
    #[must_use]
    pub fn after(mut self, after: impl Fn(Ended) + Send + Sync + 'static) -> Self {
        self.after = Box::new(after);
        self
    }

    /// The locks that a transaction about `events` takes, in the order in which it does.
    #[must_use]
    pub fn keys(&self, events: &[Envelope]) -> BTreeSet<i64> {
        events.iter().filter_map(self.lock).collect()
    }
}

impl Consumer {
    /// One transaction about `events`, with what the service does around it.
    pub(super) async fn write_around(
        &self,
        worker: &Worker,
        events: &[Envelope],
        work: impl AsyncFnOnce(&Tx) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let Some(around) = &self.around else { return self.database.write(worker, work).await };
        (around.before)(events).await?;
        let written = self.database.write(worker, async |tx: &Tx| {
            for key in around.keys(events) {
                tx.lock(key).await.map_err(fault)?;
            }
            work(tx).await
        });
        let written = written.await;
        (around.after)(if written.is_ok() { Ended::Committed } else { Ended::RolledBack });
        written
    }
}
