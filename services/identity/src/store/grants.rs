//! Grants that stand beside the roles.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure,
    id::{GrantId, SubjectId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    entity::access_grant::{Column, Entity, Model},
    from_json, id, insert, micros, time, to_json, uuid,
};
use crate::domain::HeldGrant;

fn grant(row: Model) -> Result<HeldGrant, Failure> {
    Ok(HeldGrant {
        grant: from_json(&row.body)?,
        grantor: id(row.grantor_id),
        reason: row.reason,
        created_at: time(row.created_at),
    })
}

pub async fn add(tx: &Tx, tenant: TenantId, it: &HeldGrant) -> Result<(), Failure> {
    let row = Model {
        tenant_id: tenant.uuid(),
        grant_id: it.grant.id.uuid(),
        holder_id: it.grant.holder.uuid(),
        body: to_json(&it.grant)?,
        grantor_id: uuid(it.grantor),
        reason: it.reason.clone(),
        created_at: micros(it.created_at),
    };
    insert(tx, row).await
}

pub async fn remove(tx: &Tx, tenant: TenantId, id: GrantId) -> Result<(), Failure> {
    Entity::delete_by_id((tenant.uuid(), id.uuid())).exec(&**tx).await.map_err(fault)?;
    Ok(())
}

pub async fn by_id(tx: &Tx, tenant: TenantId, id: GrantId) -> Result<Option<HeldGrant>, Failure> {
    Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?.map(grant).transpose()
}

/// Grants after a key, in the order of their ids.
pub async fn page(
    tx: &Tx,
    tenant: TenantId,
    holder: Option<SubjectId>,
    after: Option<GrantId>,
    limit: u64,
) -> Result<Vec<HeldGrant>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(holder) = holder {
        find = find.filter(Column::HolderId.eq(holder.uuid()));
    }
    if let Some(after) = after {
        find = find.filter(Column::GrantId.gt(after.uuid()));
    }
    let rows = find.order_by_asc(Column::GrantId).limit(limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(grant).collect()
}
