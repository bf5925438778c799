//! Guards.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{GuardId, TenantId},
};
use revisit_permission::Guard;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    entity::guard::{Column, Entity, Model},
    from_json, insert, micros, to_json,
};

pub async fn add(tx: &Tx, tenant: TenantId, it: &Guard, now: Timestamp) -> Result<(), Failure> {
    let (tenant_id, guard_id) = (tenant.uuid(), it.id.uuid());
    insert(tx, Model { tenant_id, guard_id, body: to_json(it)?, created_at: micros(now) }).await
}

pub async fn remove(tx: &Tx, tenant: TenantId, id: GuardId) -> Result<(), Failure> {
    Entity::delete_by_id((tenant.uuid(), id.uuid())).exec(&**tx).await.map_err(fault)?;
    Ok(())
}

pub async fn by_id(tx: &Tx, tenant: TenantId, id: GuardId) -> Result<Option<Guard>, Failure> {
    let row = Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?;
    row.map(|row| from_json(&row.body)).transpose()
}

/// Guards after a key, in the order of their ids.
pub async fn page(tx: &Tx, tenant: TenantId, after: Option<GuardId>, limit: u64) -> Result<Vec<Guard>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(after) = after {
        find = find.filter(Column::GuardId.gt(after.uuid()));
    }
    let rows = find.order_by_asc(Column::GuardId).limit(limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(|row| from_json(&row.body)).collect()
}
