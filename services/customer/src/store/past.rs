//! What decisions looked at before: kept with every change that they notice, read for who could see a customer then.

use std::{collections::BTreeMap, time::Duration};

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TenantId},
};
use revisit_permission::{Permit, TaskHolder, Worker};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Statement, sea_query::OnConflict,
};

use super::{
    entity::{customer_past, task_holder, task_holder_past},
    load, rows,
    save::{Change, insert_all, insert_all_on},
};
use crate::domain::{Error, customer::Customer};

/// The longest time that an entry of a task lends, from when it was heard of.
pub const LENT_MAX: Duration = Duration::from_hours(24);
/// Entries of tasks of one customer that a question about the past looks at: all of a day.
const LOOKED_AT_MAX: usize = 10_000;
/// Rows of each table that one transaction forgets.
const FORGOTTEN_MAX: u64 = 1_000;

/// Keeps what the changes leave behind, if decisions notice it. `now` is when they are made.
pub async fn keep(tx: &Tx, changes: &[Change], now: Timestamp) -> Result<(), Error> {
    let known = changes.iter().filter_map(|change| Some((change.before.as_ref()?, &change.after)));
    let left = known.filter(|(before, after)| is_noticed(before, after)).map(|(before, _)| customer_past::Model {
        tenant_id: before.tenant.uuid(),
        customer_id: before.id.uuid(),
        version: before.version,
        until_at: now.micros(),
        owner_id: before.owner.map(SubjectId::uuid),
        department_id: before.department.map(DepartmentId::uuid),
        stage: before.stage.clone(),
        grade: before.grade.clone(),
        vip: before.vip,
        pooled: before.pooled,
        deleted: before.deleted_at.is_some(),
    });
    insert_all::<customer_past::Entity, _>(tx, left.collect()).await?;
    Ok(())
}

fn is_noticed(before: &Customer, after: &Customer) -> bool {
    let seen = |it: &Customer| (it.owner, it.department, it.stage.clone(), it.grade.clone());
    let marks = |it: &Customer| (it.vip, it.pooled, it.deleted_at.is_some());
    seen(before) != seen(after) || marks(before) != marks(after)
}

/// Whether there is anything that no question about an instant after `before` looks at.
pub async fn is_older(tx: &Tx, _worker: &Worker, before: Timestamp) -> Result<bool, Error> {
    for (table, (column, at)) in ages(before) {
        let text = format!("SELECT 1 AS older FROM {table} WHERE {column} <= $1 LIMIT 1");
        let statement = Statement::from_sql_and_values(tx.get_database_backend(), text, [at.into()]);
        if tx.query_one_raw(statement).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Forgets some of it.
pub async fn forget(tx: &Tx, _worker: &Worker, before: Timestamp) -> Result<(), Error> {
    for (table, (column, at)) in ages(before) {
        let key = if table == "customer_past" { "version" } else { "task_id, from_at, generation" };
        let text = format!(
            "DELETE FROM {table} WHERE (tenant_id, customer_id, {key}) IN
                (SELECT tenant_id, customer_id, {key} FROM {table} WHERE {column} <= $1 LIMIT {FORGOTTEN_MAX})"
        );
        tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), text, [at.into()])).await?;
    }
    Ok(())
}

/// Up to when rows of each table are looked at by nobody who asks for an instant after `before`.
fn ages(before: Timestamp) -> [(&'static str, (&'static str, i64)); 2] {
    let lent = (before - LENT_MAX).micros();
    [("customer_past", ("until_at", before.micros())), ("task_holder_past", ("from_at", lent))]
}

/// Keeps what a task lends from now on.
pub async fn keep_lent(tx: &Tx, row: task_holder::Model, now: Timestamp) -> Result<(), Error> {
    let task_holder::Model { tenant_id, customer_id, task_id, generation, subject_id, layers, until_at } = row;
    let from_at = now.micros();
    let row =
        task_holder_past::Model { tenant_id, customer_id, task_id, from_at, generation, subject_id, layers, until_at };
    use task_holder_past::Column;
    // Two of one microsecond: the later one holds.
    let later =
        OnConflict::columns([Column::TenantId, Column::CustomerId, Column::TaskId, Column::FromAt, Column::Generation])
            .update_columns([Column::SubjectId, Column::Layers, Column::UntilAt])
            .to_owned();
    insert_all_on::<task_holder_past::Entity, _>(tx, vec![row], Some(later)).await?;
    Ok(())
}

/// A customer by its id, deleted or not, for who decides on it as a row of a scope that is not one of customers.
pub async fn find(tx: &Tx, _permit: &impl Permit, tenant: TenantId, id: CustomerId) -> Result<Option<Customer>, Error> {
    Ok(load::by_ids(tx, tenant, &[id]).await?.pop())
}

/// The customer as decisions saw it at an instant: everything that they do not look at is as it is now.
pub async fn at(tx: &Tx, _permit: &impl Permit, now: Customer, instant: Timestamp) -> Result<Customer, Error> {
    let (tenant, id) = (now.tenant.uuid(), now.id.uuid());
    let past = customer_past::Entity::find()
        .filter(customer_past::Column::TenantId.eq(tenant))
        .filter(customer_past::Column::CustomerId.eq(id))
        .filter(customer_past::Column::UntilAt.gt(instant.micros()))
        .order_by_asc(customer_past::Column::Version)
        .one(&**tx)
        .await?;
    let then = match past {
        None => now,
        Some(past) => Customer {
            owner: past.owner_id.map(SubjectId::from_uuid),
            department: past.department_id.map(DepartmentId::from_uuid),
            stage: past.stage,
            grade: past.grade,
            vip: past.vip,
            pooled: past.pooled,
            deleted_at: past.deleted.then_some(instant),
            ..now
        },
    };
    Ok(Customer { task_holders: lent_at(tx, (tenant, id), instant).await?, ..then })
}

/// What tasks lent at an instant.
async fn lent_at(
    tx: &Tx,
    (tenant, customer): (uuid::Uuid, uuid::Uuid),
    instant: Timestamp,
) -> Result<Vec<TaskHolder>, Error> {
    let rows = task_holder_past::Entity::find()
        .filter(task_holder_past::Column::TenantId.eq(tenant))
        .filter(task_holder_past::Column::CustomerId.eq(customer))
        .filter(task_holder_past::Column::FromAt.lte(instant.micros()))
        // What is older has ended by itself.
        .filter(task_holder_past::Column::FromAt.gt((instant - LENT_MAX).micros()))
        .order_by_asc(task_holder_past::Column::FromAt)
        .order_by_asc(task_holder_past::Column::Generation)
        .limit(LOOKED_AT_MAX as u64 + 1)
        .all(&**tx)
        .await?;
    if rows.len() > LOOKED_AT_MAX {
        return Err(Error::TooMany { what: "entries of tasks", max: LOOKED_AT_MAX });
    }
    // The last one of each task held.
    let last: BTreeMap<_, _> = rows.into_iter().map(|row| (row.task_id, row)).collect();
    let held = last.into_values().filter(|row| row.subject_id.is_some() && row.until_at > instant.micros());
    let row = |row: task_holder_past::Model| task_holder::Model {
        tenant_id: row.tenant_id,
        customer_id: row.customer_id,
        task_id: row.task_id,
        generation: row.generation,
        subject_id: row.subject_id,
        layers: row.layers,
        until_at: row.until_at,
    };
    Ok(held.map(|held| rows::task_holder(&row(held))).collect())
}
