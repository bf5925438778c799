//! The permission state of a company as it was: rebuilt from its log, which is never trimmed.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
};

use revisit_core::{Timestamp, id::TenantId};
use revisit_permission::{Facts, Snapshot};

use crate::{
    App,
    domain::Error,
    store::{self, log},
};

/// Revisions that one answer is rebuilt from at the most.
const REVISIONS_MAX: i64 = 1_000_000;
/// Revisions of one read of the log.
const BATCH: u64 = 500;
/// States that are kept, so that the pages of one answer rebuild once.
const KEPT_MAX: usize = 4;

/// The states that were asked about last.
#[derive(Default)]
pub struct Histories {
    kept: Mutex<VecDeque<Arc<Snapshot>>>,
    /// One is rebuilt at a time: whoever waits holds no connection, and finds what the one before has rebuilt.
    rebuilding: tokio::sync::Mutex<()>,
}

impl Histories {
    /// The newest state that is kept and not newer than a revision.
    fn nearest(&self, tenant: TenantId, revision: i64) -> Option<Arc<Snapshot>> {
        let kept = self.lock();
        let older = kept.iter().filter(|it| it.tenant == tenant && it.revision <= revision);
        older.max_by_key(|it| it.revision).cloned()
    }

    fn kept(&self, tenant: TenantId, revision: i64) -> Option<Arc<Snapshot>> {
        let kept = self.lock();
        kept.iter().find(|it| it.tenant == tenant && it.revision == revision).cloned()
    }

    fn keep(&self, snapshot: &Arc<Snapshot>) {
        let mut kept = self.lock();
        kept.truncate(KEPT_MAX - 1);
        kept.push_front(Arc::clone(snapshot));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Snapshot>>> {
        // Each change is one insertion or removal: a panic elsewhere leaves it whole.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state at an instant: that of the last revision that had been written by then. `now` is what the asker was told
/// of the time: it may run ahead of the database by as long as a renewal of the lease took.
pub async fn state_at(app: &App, tenant: TenantId, at: Timestamp, now: Timestamp) -> Result<Arc<Snapshot>, Error> {
    let target = revision_at(app, tenant, at, now).await?;
    if let Some(kept) = app.histories.kept(tenant, target) {
        return Ok(kept);
    }
    let _one = app.histories.rebuilding.lock().await;
    let nearest = app.histories.nearest(tenant, target);
    let (mut facts, mut revision) =
        nearest.map_or_else(|| (Facts::new(tenant), 0), |it| (it.facts().clone(), it.revision));
    while revision < target {
        let before = revision;
        // A read of its own for each batch, so that a long log keeps no connection from the others.
        let batch = app.store.read(&app.workers.lease, async |tx| Ok(log::after(tx, tenant, before, BATCH).await?));
        for next in batch.await?.into_iter().take_while(|next| next.number <= target) {
            next.changes.iter().for_each(|change| facts.apply(change));
            revision = next.number;
        }
        if revision == before {
            return Err(revisit_core::Failure::internal("the log has a gap").into());
        }
    }
    let snapshot = Arc::new(Snapshot::compile(&facts, target));
    app.histories.keep(&snapshot);
    Ok(snapshot)
}

/// The last revision that had been written by an instant.
async fn revision_at(app: &App, tenant: TenantId, at: Timestamp, now: Timestamp) -> Result<i64, Error> {
    app.store
        .read(&app.workers.lease, async |tx| {
            if at > store::now(tx).await?.max(now) {
                return Err(Error::Refused { field: "at_time", rule: "must not lie in the future" });
            }
            let target = log::last_until(tx, tenant, at).await?;
            let target = target.ok_or(Error::Refused { field: "at_time", rule: "lies before the log begins" })?;
            if target > REVISIONS_MAX { Err(Error::HistoryTooLong) } else { Ok(target) }
        })
        .await
}
