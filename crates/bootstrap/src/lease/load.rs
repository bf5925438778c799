//! Loading a tenant's state: a snapshot at first, then the changes after what is held.

use std::time::Duration;

use revisit_core::{Failure, id::TenantId};
use revisit_permission::{Change, Facts, Load, Snapshot};
use revisit_proto::identity::v1::{self as pb, leases_client::LeasesClient};

use super::LeaseClient;
use crate::{
    client::{Peer, Peers},
    status,
};

/// Time allowed for one answer while loading.
const LOAD_MAX: Duration = Duration::from_secs(5);
/// Rounds of one load; more changes than these bring are for the next renewal.
const ROUNDS_MAX: usize = 100;
/// Bytes of one message of identity: a snapshot comes in parts of at most a thousand changes.
const PART_BYTES_MAX: usize = 64 << 20;

pub(super) fn client(peers: &Peers, within: Duration) -> LeasesClient<Peer> {
    LeasesClient::new(peers.channel("identity").within(within)).max_decoding_message_size(PART_BYTES_MAX)
}

pub(super) fn tenant_revision(tenant: TenantId, revision: i64) -> pb::TenantRevision {
    pb::TenantRevision { tenant_id: tenant.to_string(), revision }
}

impl LeaseClient {
    /// Loads what a tenant lacks, beside the renewals: a large tenant must not hold up the others. What was pushed is
    /// taken as it is if it is the very next revision, else asked for.
    pub(super) fn load_soon(&self, load: Load, push: Option<pb::WatchChangesResponse>) {
        let client = self.clone();
        tokio::spawn(async move {
            let (tenant, generation) = (load.tenant, load.generation());
            match client.load(load, push).await {
                Ok((load, snapshot)) => {
                    let counts = client.keeper().loaded(load, snapshot);
                    if counts {
                        // Acknowledge at once: who revokes waits for it.
                        client.0.wake.notify_one();
                    }
                    let next = client.pushed().remove(&tenant);
                    if let Some(next) = next {
                        client.hinted(tenant, next);
                    }
                }
                Err(failure) => {
                    tracing::warn!(tenant.id = %tenant, %failure, "the permission state of a tenant cannot be loaded");
                    client.keeper().failed(tenant, generation);
                }
            }
            client.0.changed.send_replace(());
        });
    }

    async fn load(&self, mut held: Load, push: Option<pb::WatchChangesResponse>) -> Result<(Load, Snapshot), Failure> {
        if held.revision == 0 {
            self.snapshot(&mut held).await?;
        }
        match push {
            Some(push) if is_next(&held, &push) => {
                apply(&mut held.facts, &push.changes)?;
                held.revision = push.revision;
            }
            Some(_) | None => self.catch_up(&mut held).await?,
        }
        // What no token outlives is not carried along for ever.
        if let Some(now) = self.time() {
            held.facts.forget_sessions(now);
        }
        // Compiling a large tenant takes longer than an async thread may be held.
        let compiled = tokio::task::spawn_blocking(move || {
            let snapshot = Snapshot::compile(&held.facts, held.revision);
            (held, snapshot)
        });
        compiled.await.map_err(Failure::internal)
    }

    /// Asks for what is missing until nothing is.
    async fn catch_up(&self, held: &mut Load) -> Result<(), Failure> {
        for _ in 0..ROUNDS_MAX {
            match self.changes(held).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) if failure.reason == "REVISION_TOO_OLD" => self.snapshot(held).await?,
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    async fn snapshot(&self, held: &mut Load) -> Result<(), Failure> {
        let request = pb::GetSnapshotRequest { tenant_id: held.tenant.to_string() };
        let mut parts = status::answer(client(&self.0.peers, LOAD_MAX).get_snapshot(request).await)?;
        (held.facts, held.revision) = (Facts::new(held.tenant), 0);
        while let Some(part) = parts.message().await.map_err(|status| status::failure(&status))? {
            apply(&mut held.facts, &part.changes)?;
            held.revision = part.revision;
        }
        Ok(())
    }

    /// Applies the next revisions; answers whether there were any.
    async fn changes(&self, held: &mut Load) -> Result<bool, Failure> {
        let request = pb::ListChangesRequest { tenant_id: held.tenant.to_string(), after_revision: held.revision };
        let answer = status::answer(client(&self.0.peers, LOAD_MAX).list_changes(request).await)?;
        for revision in &answer.revisions {
            if revision.revision <= held.revision {
                continue;
            }
            apply(&mut held.facts, &revision.changes)?;
            held.revision = revision.revision;
        }
        Ok(!answer.revisions.is_empty())
    }
}

/// Whether a push brings all that is missing: the changes of the very next revision, of the same database.
fn is_next(held: &Load, push: &pb::WatchChangesResponse) -> bool {
    held.incarnation() == Some(push.incarnation.as_str())
        && held.revision + 1 == push.revision
        && !push.changes.is_empty()
}

fn apply(facts: &mut Facts, changes: &[Vec<u8>]) -> Result<(), Failure> {
    for change in changes {
        let change: Change = serde_json::from_slice(change).map_err(Failure::internal)?;
        facts.apply(&change);
    }
    Ok(())
}
