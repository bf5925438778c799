//! Timers of the morning digest: one per active user.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{SubjectId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Value};

use super::{column, entity, execute, query_one, time};

use entity::digest::{Column, Entity};

/// When a user's next digest is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Timer {
    pub tenant: TenantId,
    pub user: SubjectId,
    pub due_at: Timestamp,
}

/// Sets a user's timer; one that is set already stays unless the user's zone moved it.
pub async fn set(tx: &Tx, timer: Timer) -> Result<(), Failure> {
    let text = "INSERT INTO digest (tenant_id, user_id, due_at) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET due_at = excluded.due_at";
    let values: [Value; 3] = [timer.tenant.uuid().into(), timer.user.uuid().into(), timer.due_at.micros().into()];
    execute(tx, text, values).await?;
    Ok(())
}

/// Removes a user's timer.
pub async fn clear(tx: &Tx, tenant: TenantId, user: SubjectId) -> Result<(), Failure> {
    let text = "DELETE FROM digest WHERE tenant_id = $1 AND user_id = $2";
    execute(tx, text, [tenant.uuid().into(), user.uuid().into()]).await?;
    Ok(())
}

/// Moves a timer to its next instant; answers false when another replica did so first.
pub async fn postpone(tx: &Tx, timer: Timer, to: Timestamp) -> Result<bool, Failure> {
    let text = "UPDATE digest SET due_at = $1 WHERE tenant_id = $2 AND user_id = $3 AND due_at = $4";
    let values: [Value; 4] =
        [to.micros().into(), timer.tenant.uuid().into(), timer.user.uuid().into(), timer.due_at.micros().into()];
    Ok(execute(tx, text, values).await? > 0)
}

/// Timers whose time has come, the oldest first.
pub async fn due(tx: &Tx, now: Timestamp, max: u64) -> Result<Vec<Timer>, Failure> {
    let rows = Entity::find()
        .filter(Column::DueAt.lte(now.micros()))
        .order_by(Column::DueAt, Order::Asc)
        .limit(max)
        .all(&**tx)
        .await
        .map_err(fault)?;
    let timer = |row: entity::digest::Model| Timer {
        tenant: row.tenant_id.into(),
        user: row.user_id.into(),
        due_at: time(row.due_at),
    };
    Ok(rows.into_iter().map(timer).collect())
}

/// When the next digest is due.
pub async fn next_due(tx: &Tx) -> Result<Option<Timestamp>, Failure> {
    let row = query_one(tx, "SELECT MIN(due_at) AS first FROM digest", []).await?;
    let first: Option<i64> = row.map_or(Ok(None), |row| column(&row, "first"))?;
    Ok(first.map(time))
}
