//! Companies, departments and positions.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{DepartmentId, PositionId, TenantId},
};
use revisit_permission::{Columns, Scope, merge_pages};
use sea_orm::{ColumnTrait, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType};

use super::{entity, from_json, id, insert, micros, replace, time, to_json, uuid};
use crate::domain::{Department, Position, Tenant};

fn tenant(row: entity::tenant::Model) -> Tenant {
    Tenant {
        id: Id::from_uuid(row.tenant_id),
        key: row.key,
        display_name: row.display_name,
        region: row.region,
        root: Id::from_uuid(row.root_department_id),
        administrator: Id::from_uuid(row.administrator_id),
        revision: row.revision,
        created_at: time(row.created_at),
    }
}

fn tenant_row(it: &Tenant) -> entity::tenant::Model {
    entity::tenant::Model {
        tenant_id: it.id.uuid(),
        key: it.key.clone(),
        display_name: it.display_name.clone(),
        region: it.region.clone(),
        root_department_id: it.root.uuid(),
        administrator_id: it.administrator.uuid(),
        revision: it.revision,
        created_at: micros(it.created_at),
    }
}

pub async fn add_tenant(tx: &Tx, it: &Tenant) -> Result<(), Failure> {
    insert(tx, tenant_row(it)).await
}

pub async fn tenant_by_id(tx: &Tx, tenant_id: TenantId) -> Result<Option<Tenant>, Failure> {
    let row = entity::tenant::Entity::find_by_id(tenant_id.uuid()).one(&**tx).await.map_err(fault)?;
    Ok(row.map(tenant))
}

/// The tenant, locked until the transaction ends: its log has one writer at a time.
pub async fn lock_tenant(tx: &Tx, tenant_id: TenantId) -> Result<Option<Tenant>, Failure> {
    let mut find = entity::tenant::Entity::find_by_id(tenant_id.uuid());
    if tx.is_postgres() {
        find = find.lock(LockType::Update);
    }
    Ok(find.one(&**tx).await.map_err(fault)?.map(tenant))
}

pub async fn tenant_by_key(tx: &Tx, key: &str) -> Result<Option<Tenant>, Failure> {
    use entity::tenant::{Column, Entity};
    let row = Entity::find().filter(Column::Key.eq(key)).one(&**tx).await.map_err(fault)?;
    Ok(row.map(tenant))
}

/// Tenants after a key, in the order of their ids.
pub async fn tenants(tx: &Tx, after: Option<TenantId>, limit: u64) -> Result<Vec<Tenant>, Failure> {
    use entity::tenant::{Column, Entity};
    let mut find = Entity::find().order_by_asc(Column::TenantId).limit(limit);
    if let Some(after) = after {
        find = find.filter(Column::TenantId.gt(after.uuid()));
    }
    Ok(find.all(&**tx).await.map_err(fault)?.into_iter().map(tenant).collect())
}

fn department(row: entity::department::Model) -> Result<Department, Failure> {
    Ok(Department {
        id: Id::from_uuid(row.department_id),
        parent: id(row.parent_id),
        name: row.name,
        head: id(row.head_id),
        disabled: row.disabled,
        merged_into: id(row.merged_into_id),
        modules_off: from_json(&row.modules_off)?,
        version: row.version,
        created_at: time(row.created_at),
    })
}

fn department_row(tenant: TenantId, it: &Department) -> Result<entity::department::Model, Failure> {
    Ok(entity::department::Model {
        tenant_id: tenant.uuid(),
        department_id: it.id.uuid(),
        parent_id: uuid(it.parent),
        name: it.name.clone(),
        head_id: uuid(it.head),
        disabled: it.disabled,
        merged_into_id: uuid(it.merged_into),
        modules_off: to_json(&it.modules_off)?,
        version: it.version,
        created_at: micros(it.created_at),
    })
}

pub async fn add_department(tx: &Tx, tenant: TenantId, it: &Department) -> Result<(), Failure> {
    insert(tx, department_row(tenant, it)?).await
}

pub async fn save_department(tx: &Tx, tenant: TenantId, it: &Department) -> Result<(), Failure> {
    replace(tx, department_row(tenant, it)?).await
}

pub async fn department_by_id(
    tx: &Tx,
    tenant: TenantId,
    department_id: DepartmentId,
) -> Result<Option<Department>, Failure> {
    let key = (tenant.uuid(), department_id.uuid());
    entity::department::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?.map(department).transpose()
}

/// Departments that a scope shows after a key, in the order of their ids: one query for each clause, merged.
pub async fn departments(
    tx: &Tx,
    scope: &Scope,
    parent: Option<DepartmentId>,
    after: Option<DepartmentId>,
    limit: u64,
) -> Result<Vec<Department>, Failure> {
    use entity::department::{Column, Entity};
    let columns = Columns {
        department: Some(Column::DepartmentId.as_column_ref().into()),
        ..Columns::new(Column::TenantId.as_column_ref(), Column::DepartmentId.as_column_ref())
    };
    let mut pages = Vec::new();
    for reached in scope.conditions(&columns) {
        let mut find = Entity::find().filter(reached);
        if let Some(parent) = parent {
            find = find.filter(Column::ParentId.eq(parent.uuid()));
        }
        if let Some(after) = after {
            find = find.filter(Column::DepartmentId.gt(after.uuid()));
        }
        let rows = find.order_by_asc(Column::DepartmentId).limit(limit).all(&**tx).await.map_err(fault)?;
        pages.push(rows.into_iter().map(department).collect::<Result<Vec<_>, Failure>>()?);
    }
    Ok(merge_pages(pages, |it| it.id, usize::try_from(limit).unwrap_or(usize::MAX)))
}

/// What lies directly below a department, in the order of ids.
pub async fn departments_below(
    tx: &Tx,
    tenant: TenantId,
    parent: DepartmentId,
    limit: u64,
) -> Result<Vec<Department>, Failure> {
    use entity::department::{Column, Entity};
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::ParentId.eq(parent.uuid()))
        .order_by_asc(Column::DepartmentId)
        .limit(limit);
    find.all(&**tx).await.map_err(fault)?.into_iter().map(department).collect()
}

fn position(row: entity::position::Model) -> Result<Position, Failure> {
    Ok(Position {
        id: Id::from_uuid(row.position_id),
        department: Id::from_uuid(row.department_id),
        name: row.name,
        roles: from_json(&row.role_ids)?,
        version: row.version,
    })
}

fn position_row(tenant: TenantId, it: &Position) -> Result<entity::position::Model, Failure> {
    Ok(entity::position::Model {
        tenant_id: tenant.uuid(),
        position_id: it.id.uuid(),
        department_id: it.department.uuid(),
        name: it.name.clone(),
        role_ids: to_json(&it.roles)?,
        version: it.version,
    })
}

pub async fn add_position(tx: &Tx, tenant: TenantId, it: &Position) -> Result<(), Failure> {
    insert(tx, position_row(tenant, it)?).await
}

pub async fn save_position(tx: &Tx, tenant: TenantId, it: &Position) -> Result<(), Failure> {
    replace(tx, position_row(tenant, it)?).await
}

pub async fn remove_position(tx: &Tx, tenant: TenantId, position_id: PositionId) -> Result<(), Failure> {
    let key = (tenant.uuid(), position_id.uuid());
    entity::position::Entity::delete_by_id(key).exec(&**tx).await.map_err(fault)?;
    Ok(())
}

pub async fn position_by_id(tx: &Tx, tenant: TenantId, position_id: PositionId) -> Result<Option<Position>, Failure> {
    let key = (tenant.uuid(), position_id.uuid());
    entity::position::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?.map(position).transpose()
}

/// Positions after a key, in the order of their ids.
pub async fn positions(
    tx: &Tx,
    tenant: TenantId,
    after: Option<PositionId>,
    limit: u64,
) -> Result<Vec<Position>, Failure> {
    use entity::position::{Column, Entity};
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(after) = after {
        find = find.filter(Column::PositionId.gt(after.uuid()));
    }
    let rows = find.order_by_asc(Column::PositionId).limit(limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(position).collect()
}

/// Positions that are declared at a department, in the order of their ids.
pub async fn positions_at(
    tx: &Tx,
    tenant: TenantId,
    department: DepartmentId,
    limit: u64,
) -> Result<Vec<Position>, Failure> {
    use entity::position::{Column, Entity};
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::DepartmentId.eq(department.uuid()))
        .order_by_asc(Column::PositionId)
        .limit(limit);
    find.all(&**tx).await.map_err(fault)?.into_iter().map(position).collect()
}

/// Departments of all tenants in the order of tenant and id.
pub async fn all_departments(
    tx: &Tx,
    tenant: Option<TenantId>,
    after: Option<(TenantId, DepartmentId)>,
    limit: u64,
) -> Result<Vec<(TenantId, Department)>, Failure> {
    use entity::department::{Column, Entity};
    let mut find = Entity::find();
    if let Some(tenant) = tenant {
        find = find.filter(Column::TenantId.eq(tenant.uuid()));
    }
    if let Some((tenant, department)) = after {
        let same = Column::TenantId.eq(tenant.uuid()).and(Column::DepartmentId.gt(department.uuid()));
        find = find.filter(Column::TenantId.gt(tenant.uuid()).or(same));
    }
    let find = find.order_by_asc(Column::TenantId).order_by_asc(Column::DepartmentId).limit(limit);
    let rows = find.all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(|row| Ok((Id::from_uuid(row.tenant_id), department(row)?))).collect()
}
