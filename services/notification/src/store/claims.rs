//! What the workers look for: deliveries whose time has come, lane by lane. Only workers' transactions use this.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{DeliveryId, EndpointId, TaskId, TenantId},
};
use sea_orm::{
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, LockBehavior, LockType},
};
use uuid::Uuid;

use super::{
    column,
    deliveries::{Delivery, Filter, delivery},
    entity, query, query_one, time,
};

use entity::delivery::{Column, Entity, Model};

/// Rows of one claim at the most: a batch that one lane works off in seconds.
pub const BATCH_MAX: u64 = 64;

/// The lanes that have something to do, the longest wait first.
pub async fn due_lanes(tx: &Tx, now: Timestamp, max: i64) -> Result<Vec<String>, Failure> {
    let text = "SELECT lane, MIN(due_at) AS first FROM delivery WHERE due_at IS NOT NULL AND due_at <= $1
        GROUP BY lane ORDER BY first LIMIT $2";
    let rows = query(tx, text, [now.micros().into(), max.into()]).await?;
    rows.iter().map(|row| column(row, "lane")).collect()
}

/// Of each channel that has something to do, since when its oldest delivery has been due.
pub async fn oldest_due(tx: &Tx, now: Timestamp) -> Result<Vec<(String, Timestamp)>, Failure> {
    let text = "SELECT channel, MIN(due_at) AS first FROM delivery WHERE due_at IS NOT NULL AND due_at <= $1
        GROUP BY channel";
    let rows = query(tx, text, [now.micros().into()]).await?;
    rows.iter().map(|row| Ok((column(row, "channel")?, time(column(row, "first")?)))).collect()
}

/// Of each channel that has some, how many deliveries may have arrived, and nobody knows.
pub async fn unknown(tx: &Tx) -> Result<Vec<(String, i64)>, Failure> {
    let text = "SELECT channel, COUNT(*) AS number FROM delivery WHERE state = 'unknown' GROUP BY channel";
    let rows = query(tx, text, []).await?;
    rows.iter().map(|row| Ok((column(row, "channel")?, column(row, "number")?))).collect()
}

/// The earliest instant at which a delivery has to be looked at.
pub async fn next_due(tx: &Tx) -> Result<Option<Timestamp>, Failure> {
    let row = query_one(tx, "SELECT MIN(due_at) AS first FROM delivery WHERE due_at IS NOT NULL", []).await?;
    let first: Option<i64> = row.map_or(Ok(None), |row| column(&row, "first"))?;
    Ok(first.map(time))
}

/// Whether a delivery is claimed, being called, or due by now.
pub async fn is_busy(tx: &Tx, now: Timestamp) -> Result<bool, Failure> {
    let text = "SELECT 1 AS busy FROM delivery
        WHERE due_at IS NOT NULL AND (due_at <= $1 OR state IN ('claimed', 'calling')) LIMIT 1";
    Ok(query_one(tx, text, [now.micros().into()]).await?.is_some())
}

/// Deliveries of a lane whose time has come, locked for this transaction; those that another has locked are skipped.
pub async fn due(tx: &Tx, lane: &str, now: Timestamp) -> Result<Vec<Delivery>, Failure> {
    let select = Entity::find()
        .filter(Column::Lane.eq(lane))
        .filter(Column::DueAt.is_not_null())
        .filter(Column::DueAt.lte(now.micros()))
        .order_by(Column::DueAt, Order::Asc)
        .limit(BATCH_MAX);
    read(tx, locked(tx, select)).await
}

/// A delivery by its id, locked for this transaction.
pub async fn one(tx: &Tx, tenant: TenantId, id: DeliveryId) -> Result<Option<Delivery>, Failure> {
    let select = Entity::find_by_id((tenant.uuid(), id.uuid()));
    let select = if tx.is_postgres() { select.lock(LockType::Update) } else { select };
    Ok(read(tx, select).await?.pop())
}

/// Deliveries about a task on which something is still to be done.
pub async fn of_task(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Vec<Delivery>, Failure> {
    let select = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::TaskId.eq(task.uuid()))
        .filter(Column::DueAt.is_not_null())
        .limit(BATCH_MAX);
    read(tx, locked(tx, select)).await
}

/// Deliveries to an endpoint on which something is still to be done.
pub async fn of_endpoint(tx: &Tx, tenant: TenantId, endpoint: EndpointId) -> Result<Vec<Delivery>, Failure> {
    let lane = format!("{}/{endpoint}", crate::domain::Channel::Webhook.name());
    let select = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Lane.eq(lane))
        .filter(Column::DueAt.is_not_null())
        .filter(Column::State.is_in(["planned", "held", "ready"]))
        .limit(BATCH_MAX);
    read(tx, locked(tx, select)).await
}

/// Dead letters of a filter after an id, in the order of ids.
pub async fn dead_after(tx: &Tx, tenant: TenantId, filter: &Filter, after: Uuid) -> Result<Vec<Delivery>, Failure> {
    let select = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        // In the words of the partial index: no plan proves that a bound value fits it.
        .filter(Expr::cust("state = 'dead'"))
        .filter(Column::DeliveryId.gt(after))
        .filter(filter.condition())
        .order_by(Column::DeliveryId, Order::Asc)
        .limit(BATCH_MAX);
    let select = if tx.is_postgres() { select.lock(LockType::Update) } else { select };
    read(tx, select).await
}

/// SQLite's one writer needs no row locks, and has none.
fn locked(tx: &Tx, select: Select<Entity>) -> Select<Entity> {
    if tx.is_postgres() { select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked) } else { select }
}

async fn read(tx: &Tx, select: Select<Entity>) -> Result<Vec<Delivery>, Failure> {
    let rows: Vec<Model> = select.all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(delivery).collect()
}
