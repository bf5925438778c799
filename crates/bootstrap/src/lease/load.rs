//! Loading a tenant's state: a snapshot at first, then the changes after what is held.

use std::time::Duration;

use revisit_core::{Failure, id::TenantId};
use revisit_permission::{Change, Facts, Load, Missing, Push, Snapshot};
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
    /// Loads what a tenant lacks, beside the renewals: a large tenant must not hold up the others.
    pub(super) fn load_soon(&self, load: Load) {
        let client = self.clone();
        tokio::spawn(async move {
            let (tenant, generation) = (load.tenant, load.generation());
            match client.load(load).await {
                Ok((load, snapshot)) => {
                    let (counts, next) = {
                        let mut keeper = client.keeper();
                        (keeper.loaded(load, snapshot), keeper.take_pushed(tenant))
                    };
                    if counts {
                        // Acknowledge at once: who revokes waits for it.
                        client.0.wake.notify_one();
                    }
                    next.into_iter().for_each(|load| client.load_soon(load));
                }
                Err(failure) => {
                    tracing::warn!(tenant.id = %tenant, %failure, "the permission state of a tenant cannot be loaded");
                    client.keeper().failed(tenant, generation);
                }
            }
            client.0.changed.send_replace(());
        });
    }

    async fn load(&self, mut held: Load) -> Result<(Load, Snapshot), Failure> {
        match held.begin() {
            Missing::Everything => {
                self.snapshot(&mut held).await?;
                self.catch_up(&mut held).await?;
            }
            Missing::Changes => self.catch_up(&mut held).await?,
            Missing::Nothing => {}
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

/// A push as it came. Changes that cannot be read are asked for, as if they had been missed.
pub(super) fn pushed(push: pb::WatchChangesResponse) -> Push {
    let changes = push.changes.iter().map(|change| serde_json::from_slice(change)).collect::<Result<_, _>>();
    Push { revision: push.revision, incarnation: push.incarnation, changes: changes.unwrap_or_default() }
}

fn apply(facts: &mut Facts, changes: &[Vec<u8>]) -> Result<(), Failure> {
    for change in changes {
        let change: Change = serde_json::from_slice(change).map_err(Failure::internal)?;
        facts.apply(&change);
    }
    Ok(())
}
