//! What other services have told us: users, who owns and shares customers, and whose tasks are.

use std::collections::HashSet;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure,
    id::{CustomerId, DepartmentId, SubjectId, TaskId, TeamId, TenantId},
};
use revisit_permission::{Address, Purpose, Veiled};
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};
use uuid::Uuid;

use super::{entity, execute, from_json, id, to_json, uuid};
use crate::domain::Locale;

/// A user as identity told us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Person {
    pub user: SubjectId,
    pub version: i64,
    pub active: bool,
    pub name: String,
    /// None of who cannot be written to.
    pub email: Option<Veiled<Address>>,
    pub zone: chrono_tz::Tz,
    pub locale: Locale,
    pub manager: Option<SubjectId>,
    pub department: Option<DepartmentId>,
}

/// A customer as the customer service told us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Customer {
    pub id: CustomerId,
    pub version: i64,
    pub owner: Option<SubjectId>,
    pub teams: Vec<TeamId>,
    pub deleted: bool,
}

/// A task as followup told us.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    pub id: TaskId,
    pub customer: Option<CustomerId>,
    pub assignee: SubjectId,
    pub generation: i64,
    pub closed: bool,
}

/// A mail address as it came; an empty one is none.
pub fn address(text: String) -> Option<Veiled<Address>> {
    (!text.is_empty()).then(|| Address::mail(text))
}

fn person(row: entity::person::Model) -> Person {
    Person {
        user: row.user_id.into(),
        version: row.version,
        active: row.state == 1,
        name: row.display_name,
        email: address(row.email),
        // identity checks zones and locales; a name that we do not know must not stop anybody's messages.
        zone: row.time_zone.parse().unwrap_or(chrono_tz::Asia::Shanghai),
        locale: Locale::parse(&row.locale).unwrap_or(Locale::Chinese),
        manager: id(row.manager_id),
        department: id(row.department_id),
    }
}

/// The user, if identity has told us of it.
pub async fn find(tx: &Tx, tenant: TenantId, user: SubjectId) -> Result<Option<Person>, Failure> {
    let key = (tenant.uuid(), user.uuid());
    Ok(entity::person::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?.map(person))
}

/// Those of the users whom identity has told us of.
pub async fn find_all(tx: &Tx, tenant: TenantId, users: Vec<Uuid>) -> Result<Vec<Person>, Failure> {
    use entity::person::Column;
    let rows = entity::person::Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::UserId, users))
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().map(person).collect())
}

/// Keeps a user as it is now; answers whether that was news. An older version changes nothing.
pub async fn keep(tx: &Tx, tenant: TenantId, person: &Person) -> Result<bool, Failure> {
    let text = "INSERT INTO person (tenant_id, user_id, version, state, display_name, email, time_zone, locale,
            manager_id, department_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (tenant_id, user_id) DO UPDATE SET version = excluded.version, state = excluded.state,
            display_name = excluded.display_name, email = excluded.email, time_zone = excluded.time_zone,
            locale = excluded.locale, manager_id = excluded.manager_id, department_id = excluded.department_id
        WHERE person.version < excluded.version";
    let values = [
        tenant.uuid().into(),
        person.user.uuid().into(),
        person.version.into(),
        i32::from(person.active).into(),
        person.name.clone().into(),
        person.email.as_ref().map_or("", |it| it.lift(Purpose::Store).as_str()).into(),
        person.zone.name().into(),
        person.locale.name().into(),
        uuid(person.manager).into(),
        uuid(person.department).into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}

/// The customer, if we have heard of it.
pub async fn customer(tx: &Tx, tenant: TenantId, customer: CustomerId) -> Result<Option<Customer>, Failure> {
    let key = (tenant.uuid(), customer.uuid());
    let Some(row) = entity::customer::Entity::find_by_id(key).one(&**tx).await.map_err(fault)? else {
        return Ok(None);
    };
    let teams: Vec<Uuid> = from_json(&row.team_ids)?;
    Ok(Some(Customer {
        id: customer,
        version: row.version,
        owner: id(row.owner_id),
        teams: teams.into_iter().map(TeamId::from_uuid).collect(),
        deleted: row.deleted,
    }))
}

/// Keeps a customer as it is now; an older version changes nothing.
pub async fn keep_customer(tx: &Tx, tenant: TenantId, customer: &Customer) -> Result<bool, Failure> {
    let text = "INSERT INTO customer (tenant_id, customer_id, version, owner_id, team_ids, deleted)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, customer_id) DO UPDATE SET version = excluded.version, owner_id = excluded.owner_id,
            team_ids = excluded.team_ids, deleted = excluded.deleted
        WHERE customer.version < excluded.version";
    let teams: Vec<Uuid> = customer.teams.iter().map(|team| team.uuid()).collect();
    let values = [
        tenant.uuid().into(),
        customer.id.uuid().into(),
        customer.version.into(),
        uuid(customer.owner).into(),
        to_json(&teams)?.into(),
        customer.deleted.into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}

fn task_of(row: entity::task::Model) -> Task {
    Task {
        id: row.task_id.into(),
        customer: id(row.customer_id),
        assignee: row.assignee_id.into(),
        generation: row.generation,
        closed: row.closed,
    }
}

/// The task, if we have heard of it.
pub async fn task(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Option<Task>, Failure> {
    let key = (tenant.uuid(), task.uuid());
    Ok(entity::task::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?.map(task_of))
}

/// Those of some tasks that are over.
pub async fn closed(
    tx: &Tx,
    tenant: TenantId,
    tasks: impl Iterator<Item = TaskId>,
) -> Result<HashSet<TaskId>, Failure> {
    use entity::task::Column;
    let rows = entity::task::Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::TaskId, tasks.map(TaskId::uuid)))
        .filter(Column::Closed.eq(true))
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().map(|row| row.task_id.into()).collect())
}

/// Keeps a task as it is now; an older generation changes nothing, and a closed task stays closed.
pub async fn keep_task(tx: &Tx, tenant: TenantId, task: &Task) -> Result<bool, Failure> {
    let text = "INSERT INTO task (tenant_id, task_id, customer_id, assignee_id, generation, closed)
        VALUES ($1, $2, $3, $4, $5, $6)
        ON CONFLICT (tenant_id, task_id) DO UPDATE SET assignee_id = excluded.assignee_id,
            generation = excluded.generation, closed = excluded.closed
        WHERE task.generation <= excluded.generation AND NOT task.closed";
    let values = [
        tenant.uuid().into(),
        task.id.uuid().into(),
        uuid(task.customer).into(),
        task.assignee.uuid().into(),
        task.generation.into(),
        task.closed.into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}

/// The next tasks that are believed to be open, after one, by tenant and id.
pub async fn open_tasks(
    tx: &Tx,
    after: Option<(TenantId, TaskId)>,
    max: u64,
) -> Result<Vec<(TenantId, Task)>, Failure> {
    use entity::task::Column;
    let key = Expr::tuple([Expr::col(Column::TenantId), Expr::col(Column::TaskId)]);
    let behind = after.map(|(tenant, task)| key.gt(Expr::tuple([Expr::val(tenant.uuid()), Expr::val(task.uuid())])));
    let rows = entity::task::Entity::find()
        .filter(Expr::col(Column::Closed).not())
        .filter(Condition::all().add_option(behind))
        .order_by_asc(Column::TenantId)
        .order_by_asc(Column::TaskId)
        .limit(max)
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().map(|row| (row.tenant_id.into(), task_of(row))).collect())
}

/// Who holds an open task on a customer.
pub async fn assignees(tx: &Tx, tenant: TenantId, customer: CustomerId, max: u64) -> Result<Vec<SubjectId>, Failure> {
    use entity::task::Column;
    let rows = entity::task::Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::CustomerId.eq(customer.uuid()))
        // In the words of the partial index: no plan proves that a bound value fits it.
        .filter(Expr::col(Column::Closed).not())
        .limit(max)
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().map(|row| row.assignee_id.into()).collect())
}
