//! Leases: who may answer from which revision, and since when a revocation is effective everywhere.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Mutex,
    time::Duration,
};

use revisit_core::{Failure, Kind, Timestamp, id::TenantId};
use revisit_permission::{Change, Holder, Silence, Telling};

use crate::{
    App,
    domain::Error,
    keys::jwks,
    store::{self, keys, leases, log},
};

/// Revisions of one answer.
pub const REVISIONS_MAX: u64 = 1_000;
/// How often the rows are looked at while a revocation becomes effective; a renewal at this replica is seen at once.
const LOOK: Duration = Duration::from_millis(10);
/// How often silent replicas are looked for.
pub const SWEEP: Duration = Duration::from_secs(1);

/// What a replica may answer from.
pub struct Renewed {
    pub database_time: Timestamp,
    pub tenants: Vec<(TenantId, i64)>,
}

/// Renews in two steps: commits the row, then reads. A revocation that commits in between is among what is read; one
/// that commits later finds the row. A database that cannot do both gives no renewal. Revisions of another incarnation
/// are others under the same numbers, and acknowledge nothing.
pub async fn renew(app: &App, mut row: Holder, incarnation: &str) -> Result<Renewed, Error> {
    if incarnation != app.authority.incarnation.to_string() {
        row.tenants.iter_mut().for_each(|(_, acknowledged)| *acknowledged = 0);
    }
    let named: Vec<TenantId> = row.tenants.iter().map(|(tenant, _)| *tenant).collect();
    let written = app.store.write(&app.workers.lease, async |tx| {
        let known: HashMap<TenantId, i64> = leases::revisions(tx, &named).await?.into_iter().collect();
        // What lies ahead was acknowledged of a database that was set back, or of none.
        let ahead = |(tenant, acknowledged): &(TenantId, i64)| known.get(tenant).is_none_or(|it| it < acknowledged);
        row.tenants.iter_mut().filter(|it| ahead(it)).for_each(|(_, acknowledged)| *acknowledged = 0);
        Ok(leases::renew(tx, &row).await?)
    });
    if !written.await? {
        let why = "a later renewal of this holder has come before";
        return Err(Failure::new(Kind::Conflict, "RENEWAL_OVERTAKEN", why).into());
    }
    app.renewed.notify_waiters();
    app.store
        .read(&app.workers.lease, async |tx| {
            let tenants = leases::revisions(tx, &named).await?;
            Ok(Renewed { database_time: store::now(tx).await?, tenants })
        })
        .await
}

/// The state of a tenant, and its revision.
pub async fn snapshot(app: &App, tenant: TenantId) -> Result<(i64, Vec<Change>), Error> {
    app.store
        .read(&app.workers.lease, async |tx| {
            let (revision, mut facts) = app.ledgers.read(tx, tenant).await?;
            if revision == 0 {
                return Err(Error::NoSuchTenant);
            }
            facts.forget_sessions(store::now(tx).await?);
            Ok((revision, facts.changes()))
        })
        .await
}

/// Changes as replicas read them.
pub fn encode(changes: &[Change]) -> Result<Vec<Vec<u8>>, Failure> {
    changes.iter().map(|change| serde_json::to_vec(change).map_err(Failure::internal)).collect()
}

/// The revisions after one, in order.
pub async fn changes(app: &App, tenant: TenantId, after: i64) -> Result<Vec<log::Revision>, Error> {
    app.store.read(&app.workers.lease, async |tx| Ok(log::after(tx, tenant, after, REVISIONS_MAX).await?)).await
}

/// The newest revision of each of these tenants.
pub async fn newest(app: &App, tenants: &BTreeSet<TenantId>) -> Result<Vec<(TenantId, i64)>, Error> {
    let tenants: Vec<TenantId> = tenants.iter().copied().collect();
    app.store.read(&app.workers.lease, async |tx| Ok(leases::revisions(tx, &tenants).await?)).await
}

/// The public keys.
pub async fn key_set(app: &App) -> Result<String, Error> {
    app.store.read(&app.workers.lease, async |tx| Ok(jwks(&keys::all(tx).await?))).await
}

/// Since when a revision is effective, and how that is known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Effective {
    pub at: Timestamp,
    /// Every replica acknowledged it; else the leases of the silent ones have run out.
    pub acknowledged: bool,
}

/// Waits until no replica can act on a revision before `revision`, which must be committed.
pub async fn effective(app: &App, tenant: TenantId, revision: i64) -> Result<Effective, Error> {
    let telling = Telling::begin(tenant, revision, app.clock.steady(), app.lease_life());
    loop {
        let renewed = app.renewed.notified();
        let (holders, at) = app
            .store
            .read(&app.workers.lease, async |tx| Ok((leases::holders(tx).await?, store::now(tx).await?)))
            .await?;
        if let Some(effective) = telling.look(&holders, app.clock.steady()) {
            return Ok(Effective { at, acknowledged: effective == revisit_permission::Effective::Acknowledged });
        }
        tokio::select! {
            () = renewed => (),
            () = tokio::time::sleep(LOOK) => (),
        }
    }
}

/// Deletes the rows of replicas that this one has seen unchanged for the whole life of a lease.
pub async fn sweep(app: &App, silence: &Mutex<Silence>) -> Result<(), Error> {
    let holders = app.store.read(&app.workers.lease, async |tx| Ok(leases::holders(tx).await?)).await?;
    let now = app.clock.steady();
    let silent: Vec<Holder> = {
        // What is remembered is a hint; a panic elsewhere can only delay a deletion.
        let mut silence = silence.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        silence.look(&holders, now, app.lease_life()).into_iter().cloned().collect()
    };
    for holder in silent {
        let removed = app.store.write(&app.workers.lease, async |tx| Ok(leases::remove(tx, &holder).await?)).await?;
        if removed {
            tracing::info!(holder = holder.name, "a silent replica's lease row was deleted");
        }
    }
    Ok(())
}
