//! What time alone makes due: grades that recency changes, customers without a living owner, entries that have ended.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::Tx;
use revisit_core::{
    Timestamp,
    id::{CustomerId, TenantId},
};
use revisit_permission::Caller;

use super::{orders::graded, rows_max};
use crate::{
    App,
    domain::Error,
    store::{
        self,
        duty::{OrphanReport, REPORTED_MAX},
    },
};

/// After so long an upload that was not ended is given up: no call may take as long.
const ABANDONED: Duration = Duration::from_hours(1);
/// Rounds of one sweep; the next one goes on.
const ROUNDS_MAX: usize = 100;
/// After so long an import that nobody has started is stopped, and its file is forgotten.
const UNSTARTED: Duration = Duration::from_hours(7 * 24);

/// Judges the next chunk of customers whose grade was not looked at for a while; answers whether there may be more.
///
/// Nearly all keep their grade, so only those that do not are loaded.
pub async fn regrade(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.sweep;
    let now = app.clock.wall();
    let before = now - Duration::from_secs(app.config.regrade_hours * 3_600);
    let size = app.config.batch_rows as u64;
    let due = app.store.database.read(worker, async |tx| store::duty::ungraded(tx, worker, before, size).await).await?;
    let mut tenants: BTreeMap<TenantId, Vec<(CustomerId, Option<String>)>> = BTreeMap::new();
    for (tenant, customer, grade) in &due {
        tenants.entry(*tenant).or_default().push((*customer, grade.clone()));
    }
    for (tenant, graded) in tenants {
        let rows = usize::try_from(rows_max(app, tenant).await?).unwrap_or(1);
        for graded in graded.chunks(rows) {
            let write = app.store.database.write(worker, async |tx| judge(app, tx, tenant, graded, now).await);
            match write.await {
                // Somebody changed one of them meanwhile: the next run judges it.
                Ok(()) | Err(Error::EtagStale { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(due.len() as u64 == size)
}

async fn judge(
    app: &App,
    tx: &Tx,
    tenant: TenantId,
    known: &[(CustomerId, Option<String>)],
    now: Timestamp,
) -> Result<(), Error> {
    let worker = &app.workers.sweep;
    let ids: Vec<CustomerId> = known.iter().map(|(id, _)| *id).collect();
    let scheme = store::catalogue::grades(tx, tenant).await?;
    let spending = store::orders::spending(tx, worker, tenant, &ids, (&scheme, now)).await?;
    let verdict = |id: &CustomerId| scheme.judge(spending.get(id).copied().unwrap_or_default(), now);
    let (moved, same): (Vec<_>, Vec<_>) = known.iter().partition(|(id, grade)| verdict(id).grade != *grade);
    store::save::touch_graded(tx, tenant.uuid(), same.iter().map(|(id, _)| id.uuid()).collect(), now).await?;
    let moved: Vec<CustomerId> = moved.iter().map(|(id, _)| *id).collect();
    let customers = store::load::for_worker(tx, worker, tenant, &moved).await?;
    let changes = customers.into_iter().map(|customer| {
        let verdict = verdict(&customer.id);
        graded(app, customer, verdict, now)
    });
    store::save::save(tx, &app.store, worker, changes.collect()).await?;
    Ok(())
}

/// Gives up uploads that were cut off and files of imports that have ended, counts customers without a living owner that do
/// not lie in the pool, and alarms when there are any.
pub async fn patrol(app: &App) -> Result<(), Error> {
    let worker = &app.workers.sweep;
    let oldest = app.ids.next(app.clock.wall() - ABANDONED);
    for _ in 0..ROUNDS_MAX {
        let write = async |tx: &Tx| store::imports::files::drop_abandoned(tx, worker, oldest).await;
        if !app.store.database.write(worker, write).await? {
            break;
        }
    }
    let tenants = app.store.database.read(worker, async |tx| store::duty::tenants(tx, worker).await).await?;
    for tenant in tenants {
        // Without a leased state nobody can tell who lives; the next patrol will.
        let Ok(reading) =
            Caller::named(tenant, revisit_core::id::SubjectId::from_uuid(uuid::Uuid::nil())).reading(&app.leases)
        else {
            continue;
        };
        let write = app.store.database.write(worker, async |tx| {
            let mut owners = store::duty::owners(tx, worker, tenant).await?;
            let lives =
                |owner: revisit_core::id::SubjectId| reading.snapshot.subject(owner).is_some_and(|facts| facts.active);
            owners.retain(|owner| owner.is_none_or(|owner| !lives(owner)));
            let stages = store::catalogue::stages(tx, tenant).await?;
            let active: Vec<String> =
                stages.stages.iter().filter(|stage| stage.active).map(|stage| stage.name.clone()).collect();
            let (count, customers) = store::duty::owned_by(tx, worker, tenant, &owners, &active).await?;
            let report = OrphanReport { count, customers, at: tx.now().await? };
            store::duty::keep_orphan_report(tx, worker, tenant, &report).await?;
            Ok::<_, Error>(count)
        });
        let count = write.await?;
        if count > 0 {
            tracing::error!(tenant.id = %tenant, customers = count, shown = REPORTED_MAX, "customers have no living owner");
        }
    }
    Ok(())
}

/// Forgets what lies too far back to be asked for, a part in each transaction; the next run goes on.
async fn forget_past(app: &App) -> Result<(), Error> {
    let (worker, database) = (&app.workers.sweep, &app.store.database);
    let before = app.clock.wall() - app.config.past();
    for _ in 0..ROUNDS_MAX {
        if !database.read(worker, async |tx| store::past::is_older(tx, worker, before).await).await? {
            break;
        }
        database.write(worker, async |tx| store::past::forget(tx, worker, before).await).await?;
    }
    Ok(())
}

/// Forgets task holders that have ended, answers that nobody will ask for again and imports that nobody has started; wraps
/// keys under an old key of the ring anew.
pub async fn forget(app: &App) -> Result<(), Error> {
    let worker = &app.workers.sweep;
    let before = app.clock.wall();
    let (database, sealer) = (&app.store.database, &app.store.sealer);
    forget_past(app).await?;
    for _ in 0..ROUNDS_MAX {
        if !database.read(worker, async |tx| Ok::<_, Error>(sealer.has_old_keys(tx).await?)).await? {
            break;
        }
        database.write(worker, async |tx| Ok::<_, Error>(sealer.wrap_anew(tx).await?)).await?;
    }
    let write = app.store.database.write(worker, async |tx| {
        store::imports::files::expire(tx, worker, before - UNSTARTED).await?;
        store::duty::forget_tasks(tx, worker, before).await?;
        for _ in 0..ROUNDS_MAX {
            if !revisit_bootstrap::idempotency::sweep(tx).await? {
                break;
            }
        }
        Ok(())
    });
    write.await
}
