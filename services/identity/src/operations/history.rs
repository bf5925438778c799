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
pub struct Histories(Mutex<VecDeque<Arc<Snapshot>>>);

impl Histories {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The state at an instant: that of the last revision that had been written by then. `now` is what the asker was told
/// of the time: it may run ahead of the database by as long as a renewal of the lease took.
pub async fn state_at(app: &App, tenant: TenantId, at: Timestamp, now: Timestamp) -> Result<Arc<Snapshot>, Error> {
    app.store
        .read(&app.workers.lease, async |tx| {
            if at > store::now(tx).await?.max(now) {
                return Err(Error::Refused { field: "at_time", rule: "must not lie in the future" });
            }
            let target = log::last_until(tx, tenant, at).await?;
            let target = target.ok_or(Error::Refused { field: "at_time", rule: "lies before the log begins" })?;
            if target > REVISIONS_MAX {
                return Err(Error::HistoryTooLong);
            }
            if let Some(kept) = app.histories.kept(tenant, target) {
                return Ok(kept);
            }
            let mut facts = Facts::new(tenant);
            let mut revision = 0;
            while revision < target {
                let batch = log::after(tx, tenant, revision, BATCH).await?;
                let batch = batch.into_iter().take_while(|next| next.number <= target);
                let before = revision;
                for next in batch {
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
        })
        .await
}
