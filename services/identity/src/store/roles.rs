//! Roles.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{RoleId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    entity::role::{Column, Entity, Model},
    from_json, insert, replace, to_json,
};
use crate::domain::Role;

fn role(row: Model) -> Result<Role, Failure> {
    Ok(Role {
        id: Id::from_uuid(row.role_id),
        key: row.key,
        display_name: row.display_name,
        templates: from_json(&row.templates)?,
        shipped: row.shipped,
        catalogue_version: row.catalogue_version,
        version: row.version,
    })
}

fn row(tenant: TenantId, it: &Role) -> Result<Model, Failure> {
    Ok(Model {
        tenant_id: tenant.uuid(),
        role_id: it.id.uuid(),
        key: it.key.clone(),
        display_name: it.display_name.clone(),
        templates: to_json(&it.templates)?,
        shipped: it.shipped,
        catalogue_version: it.catalogue_version,
        version: it.version,
    })
}

pub async fn add(tx: &Tx, tenant: TenantId, it: &Role) -> Result<(), Failure> {
    insert(tx, row(tenant, it)?).await
}

pub async fn save(tx: &Tx, tenant: TenantId, it: &Role) -> Result<(), Failure> {
    replace(tx, row(tenant, it)?).await
}

pub async fn remove(tx: &Tx, tenant: TenantId, id: RoleId) -> Result<(), Failure> {
    Entity::delete_by_id((tenant.uuid(), id.uuid())).exec(&**tx).await.map_err(fault)?;
    Ok(())
}

pub async fn by_id(tx: &Tx, tenant: TenantId, id: RoleId) -> Result<Option<Role>, Failure> {
    Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?.map(role).transpose()
}

pub async fn by_key(tx: &Tx, tenant: TenantId, key: &str) -> Result<Option<Role>, Failure> {
    let find = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).filter(Column::Key.eq(key));
    find.one(&**tx).await.map_err(fault)?.map(role).transpose()
}

/// Roles after a key, in the order of their ids.
pub async fn page(tx: &Tx, tenant: TenantId, after: Option<RoleId>, limit: u64) -> Result<Vec<Role>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(after) = after {
        find = find.filter(Column::RoleId.gt(after.uuid()));
    }
    let rows = find.order_by_asc(Column::RoleId).limit(limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(role).collect()
}
