//! Registered types of rows of other systems.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Timestamp, id::TenantId};
use revisit_permission::Name;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, LockType},
};

use super::{
    entity::external_type::{Column, Entity, Model},
    from_json, insert, micros, to_json,
};
use crate::domain::external::Registered;

fn registered(row: Model) -> Result<Registered, Failure> {
    Ok(Registered { facts: from_json(&row.body)?, display_name: row.display_name, version: row.version })
}

pub async fn add(tx: &Tx, tenant: TenantId, it: &Registered, now: Timestamp) -> Result<(), Failure> {
    let row = Model {
        tenant_id: tenant.uuid(),
        name: it.facts.name.to_string(),
        display_name: it.display_name.clone(),
        body: to_json(&it.facts)?,
        version: it.version,
        row_version: 0,
        created_at: micros(now),
    };
    insert(tx, row).await
}

pub async fn save(tx: &Tx, tenant: TenantId, it: &Registered) -> Result<(), Failure> {
    let update = Entity::update_many()
        .col_expr(Column::DisplayName, it.display_name.clone().into())
        .col_expr(Column::Body, to_json(&it.facts)?.into())
        .col_expr(Column::Version, it.version.into())
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Name.eq(it.facts.name.as_str()));
    update.exec(&**tx).await.map_err(fault)?;
    Ok(())
}

pub async fn remove(tx: &Tx, tenant: TenantId, name: &Name) -> Result<(), Failure> {
    Entity::delete_by_id((tenant.uuid(), name.to_string())).exec(&**tx).await.map_err(fault)?;
    Ok(())
}

pub async fn by_name(tx: &Tx, tenant: TenantId, name: &Name) -> Result<Option<Registered>, Failure> {
    let key = (tenant.uuid(), name.to_string());
    Entity::find_by_id(key).one(&**tx).await.map_err(fault)?.map(registered).transpose()
}

/// The same, held until the transaction ends: by who writes rows of it and by who removes it, so that nothing that was
/// decided about changes in between.
pub async fn hold(tx: &Tx, tenant: TenantId, name: &Name) -> Result<Option<Registered>, Failure> {
    let mut find = Entity::find_by_id((tenant.uuid(), name.to_string()));
    if tx.is_postgres() {
        find = find.lock(LockType::Update);
    }
    find.one(&**tx).await.map_err(fault)?.map(registered).transpose()
}

/// A version that no row of the type has had, nor one that is gone; the caller holds the type.
pub async fn next_row_version(tx: &Tx, tenant: TenantId, name: &Name) -> Result<i64, Failure> {
    let key = (tenant.uuid(), name.to_string());
    let update = Entity::update_many()
        .col_expr(Column::RowVersion, Expr::col(Column::RowVersion).add(1))
        .filter(Column::TenantId.eq(key.0))
        .filter(Column::Name.eq(key.1.as_str()));
    update.exec(&**tx).await.map_err(fault)?;
    let find = Entity::find_by_id(key).select_only().column(Column::RowVersion).into_tuple::<i64>();
    let version = find.one(&**tx).await.map_err(fault)?;
    version.ok_or_else(|| Failure::internal("a registered type that is held is gone"))
}

/// Types after a name, in the order of their names.
pub async fn page(tx: &Tx, tenant: TenantId, after: Option<&str>, limit: u64) -> Result<Vec<Registered>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(after) = after {
        find = find.filter(Column::Name.gt(after));
    }
    let rows = find.order_by_asc(Column::Name).limit(limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(registered).collect()
}
