//! Loading a tenant's state: a snapshot at first, then the changes after what is held.

use std::{sync::Arc, time::Duration};

use revisit_core::{Failure, id::TenantId};
use revisit_permission::{Change, Facts, Snapshot};
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

/// The state at one revision of one incarnation.
struct Loaded {
    facts: Facts,
    revision: i64,
}

impl LeaseClient {
    /// Loads what `tenant` lacks, beside the renewals: a large tenant must not hold up the others.
    pub(super) fn load_soon(&self, tenant: TenantId) {
        let client = self.clone();
        let taken = {
            let mut state = self.state();
            let incarnation = state.incarnation.clone();
            state.tenants.get_mut(&tenant).and_then(|held| {
                // One load at a time: who has the facts loads.
                let facts = held.facts.take()?;
                Some((Loaded { facts, revision: held.revision }, incarnation))
            })
        };
        if let Some((loaded, incarnation)) = taken {
            tokio::spawn(async move {
                let result = client.load(tenant, loaded).await;
                client.loaded(tenant, result, incarnation);
            });
        }
    }

    async fn load(&self, tenant: TenantId, mut held: Loaded) -> Result<(Loaded, Snapshot), Failure> {
        if held.revision == 0 {
            held = self.snapshot(tenant).await?;
        }
        for _ in 0..ROUNDS_MAX {
            match self.changes(tenant, &mut held).await {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) if failure.reason == "REVISION_TOO_OLD" => held = self.snapshot(tenant).await?,
                Err(failure) => return Err(failure),
            }
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

    async fn snapshot(&self, tenant: TenantId) -> Result<Loaded, Failure> {
        let request = pb::GetSnapshotRequest { tenant_id: tenant.to_string() };
        let mut parts = status::answer(client(&self.0.peers, LOAD_MAX).get_snapshot(request).await)?;
        let mut loaded = Loaded { facts: Facts::new(tenant), revision: 0 };
        while let Some(part) = parts.message().await.map_err(|status| status::failure(&status))? {
            apply(&mut loaded.facts, &part.changes)?;
            loaded.revision = part.revision;
        }
        Ok(loaded)
    }

    /// Applies the next revisions; answers whether there were any.
    async fn changes(&self, tenant: TenantId, held: &mut Loaded) -> Result<bool, Failure> {
        let request = pb::ListChangesRequest { tenant_id: tenant.to_string(), after_revision: held.revision };
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

    fn loaded(&self, tenant: TenantId, result: Result<(Loaded, Snapshot), Failure>, incarnation: Option<String>) {
        let mut state = self.state();
        if state.incarnation != incarnation {
            return;
        }
        let Some(held) = state.tenants.get_mut(&tenant) else { return };
        match result {
            Ok((loaded, snapshot)) => {
                held.facts = Some(loaded.facts);
                held.revision = loaded.revision;
                self.0.leases.load(tenant, Arc::new(snapshot));
                // Acknowledge at once: who revokes waits for it.
                self.0.wake.notify_one();
            }
            Err(failure) => {
                tracing::warn!(tenant.id = %tenant, %failure, "the permission state of a tenant cannot be loaded");
                // Half of a change may have been applied: only a whole snapshot is sound now.
                *held = super::Held { granted: held.granted, ..super::Held::nothing(tenant) };
            }
        }
        drop(state);
        self.0.changed.send_replace(());
    }
}

fn apply(facts: &mut Facts, changes: &[Vec<u8>]) -> Result<(), Failure> {
    for change in changes {
        let change: Change = serde_json::from_slice(change).map_err(Failure::internal)?;
        facts.apply(&change);
    }
    Ok(())
}
