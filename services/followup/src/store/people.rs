//! What this service knows of users and departments, as identity's events told.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{SubjectId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};

use super::{
    entity::{department, person},
    id, raw, upsert,
};
use crate::domain::people::{Department, People, Person};

fn person_of(row: person::Model) -> Person {
    Person {
        id: Id::from_uuid(row.user_id),
        version: row.version,
        active: row.active,
        manager: id(row.manager_id),
        department: id(row.department_id),
        zone: row.zone,
    }
}

/// One person.
pub async fn person(tx: &Tx, tenant: TenantId, who: SubjectId) -> Result<Option<Person>, Failure> {
    let row = person::Entity::find_by_id((tenant.uuid(), who.uuid())).one(&**tx).await.map_err(fault)?;
    Ok(row.map(person_of))
}

/// Some persons, and nothing of the departments: enough when all of them are active.
pub async fn persons(tx: &Tx, tenant: TenantId, who: &[SubjectId]) -> Result<People, Failure> {
    let rows = person::Entity::find()
        .filter(person::Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(person::Column::UserId, who.iter().map(|who| who.uuid())))
        .all(&**tx)
        .await
        .map_err(fault)?;
    let persons = rows.into_iter().map(person_of).map(|person| (person.id, person)).collect();
    Ok(People { persons, ..People::default() })
}

/// All people and departments of a tenant: only for the rare task whose person is not active.
pub async fn everybody(tx: &Tx, tenant: TenantId) -> Result<People, Failure> {
    let persons =
        person::Entity::find().filter(person::Column::TenantId.eq(tenant.uuid())).all(&**tx).await.map_err(fault)?;
    let departments = department::Entity::find()
        .filter(department::Column::TenantId.eq(tenant.uuid()))
        .all(&**tx)
        .await
        .map_err(fault)?;
    let department_of = |row: department::Model| Department {
        id: Id::from_uuid(row.department_id),
        version: row.version,
        parent: id(row.parent_id),
        head: id(row.head_id),
    };
    Ok(People {
        persons: persons.into_iter().map(person_of).map(|person| (person.id, person)).collect(),
        departments: departments.into_iter().map(department_of).map(|found| (found.id, found)).collect(),
    })
}

/// Takes in a person; an older version than known changes nothing. Answers whether it was news.
pub async fn save_person(tx: &Tx, tenant: TenantId, new: &Person) -> Result<bool, Failure> {
    if person(tx, tenant, new.id).await?.is_some_and(|known| known.version > new.version) {
        return Ok(false);
    }
    let row = person::Model {
        tenant_id: tenant.uuid(),
        user_id: new.id.uuid(),
        version: new.version,
        active: new.active,
        manager_id: raw(new.manager),
        department_id: raw(new.department),
        zone: new.zone.clone(),
    };
    upsert::<person::Entity, _>(tx, vec![row]).await?;
    Ok(true)
}

/// Takes in a department; an older version than known changes nothing.
pub async fn save_department(tx: &Tx, tenant: TenantId, new: &Department) -> Result<(), Failure> {
    let known = department::Entity::find_by_id((tenant.uuid(), new.id.uuid())).one(&**tx).await.map_err(fault)?;
    if known.is_some_and(|known| known.version > new.version) {
        return Ok(());
    }
    let row = department::Model {
        tenant_id: tenant.uuid(),
        department_id: new.id.uuid(),
        version: new.version,
        parent_id: raw(new.parent),
        head_id: raw(new.head),
    };
    upsert::<department::Entity, _>(tx, vec![row]).await
}

/// The tenants that somebody belongs to.
pub async fn tenants(tx: &Tx, limit: u64) -> Result<Vec<TenantId>, Failure> {
    let find = person::Entity::find().select_only().column(person::Column::TenantId).distinct();
    let ids: Vec<uuid::Uuid> =
        find.order_by_asc(person::Column::TenantId).limit(limit).into_tuple().all(&**tx).await.map_err(fault)?;
    Ok(ids.into_iter().map(Id::from_uuid).collect())
}
