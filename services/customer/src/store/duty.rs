//! What the service keeps about its own duties: budgets of questions, patrols, hand-overs.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TenantId},
};
use revisit_permission::{Decided, Permit, Scope, TaskHolder, Worker};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{
    entity::{customer, duplicate_budget, orphan_report, task_holder},
    past,
    save::insert_all_on,
};
use crate::domain::Error;

/// Counts questions of a subject in an hour and answers how many that makes.
pub async fn count_questions(
    tx: &Tx,
    _permit: &impl Permit,
    (tenant, subject): (TenantId, SubjectId),
    (hour, count): (i64, i64),
) -> Result<i64, Error> {
    let tenant_id = tenant.uuid();
    let row = duplicate_budget::Model { tenant_id, subject_id: subject.uuid(), hour, used: count };
    let so_many_more = OnConflict::columns([
        duplicate_budget::Column::TenantId,
        duplicate_budget::Column::SubjectId,
        duplicate_budget::Column::Hour,
    ])
    .value(duplicate_budget::Column::Used, Expr::col(("duplicate_budget", "used")).add(count))
    .to_owned();
    insert_all_on::<duplicate_budget::Entity, _>(tx, vec![row], Some(so_many_more)).await?;
    // Hours that are over are of no use to anybody.
    duplicate_budget::Entity::delete_many()
        .filter(duplicate_budget::Column::TenantId.eq(tenant_id))
        .filter(duplicate_budget::Column::SubjectId.eq(subject.uuid()))
        .filter(duplicate_budget::Column::Hour.lt(hour))
        .exec(&**tx)
        .await?;
    let row = duplicate_budget::Entity::find_by_id((tenant_id, subject.uuid(), hour)).one(&**tx).await?;
    Ok(row.map_or(count, |row| row.used))
}

/// How many questions of a subject were counted in an hour.
pub async fn questions(tx: &Tx, scope: &Scope, subject: SubjectId, hour: i64) -> Result<i64, Error> {
    let key = (scope.tenant().uuid(), subject.uuid(), hour);
    Ok(duplicate_budget::Entity::find_by_id(key).one(&**tx).await?.map_or(0, |row| row.used))
}

/// What the last patrol found in a tenant.
pub struct OrphanReport {
    pub count: i64,
    pub customers: Vec<CustomerId>,
    pub at: Timestamp,
}

/// Customers that a report names at the most.
pub const REPORTED_MAX: usize = 100;

pub async fn orphan_report(tx: &Tx, permit: &Decided) -> Result<Option<OrphanReport>, Error> {
    let row = orphan_report::Entity::find_by_id(permit.tenant().uuid()).one(&**tx).await?;
    Ok(row.map(|row| OrphanReport {
        count: row.orphan_count,
        customers: row.customer_ids.split_ascii_whitespace().filter_map(|id| id.parse().ok()).collect(),
        at: Timestamp::from_micros(row.patrol_at),
    }))
}

pub async fn keep_orphan_report(
    tx: &Tx,
    _worker: &Worker,
    tenant: TenantId,
    report: &OrphanReport,
) -> Result<(), Error> {
    let ids: Vec<String> = report.customers.iter().map(ToString::to_string).collect();
    let row = orphan_report::Model {
        tenant_id: tenant.uuid(),
        patrol_at: report.at.micros(),
        orphan_count: report.count,
        customer_ids: ids.join(" "),
    };
    let newest = OnConflict::column(orphan_report::Column::TenantId)
        .update_columns([
            orphan_report::Column::PatrolAt,
            orphan_report::Column::OrphanCount,
            orphan_report::Column::CustomerIds,
        ])
        .to_owned();
    insert_all_on::<orphan_report::Entity, _>(tx, vec![row], Some(newest)).await?;
    Ok(())
}

/// Every tenant that has customers.
pub async fn tenants(tx: &Tx, _worker: &Worker) -> Result<Vec<TenantId>, Error> {
    let rows: Vec<uuid::Uuid> = customer::Entity::find()
        .select_only()
        .column(customer::Column::TenantId)
        .distinct()
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(TenantId::from_uuid).collect())
}

/// The owners of a tenant's living customers that do not lie in the pool; none among them when some have no owner.
pub async fn owners(tx: &Tx, _worker: &Worker, tenant: TenantId) -> Result<Vec<Option<SubjectId>>, Error> {
    let rows: Vec<Option<uuid::Uuid>> = customer::Entity::find()
        .select_only()
        .column(customer::Column::OwnerId)
        .filter(customer::Column::TenantId.eq(tenant.uuid()))
        .filter(customer::Column::DeletedAt.is_null())
        .filter(customer::Column::Pooled.eq(false))
        .distinct()
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(|owner| owner.map(SubjectId::from_uuid)).collect())
}

/// Living customers of these owners (none: without one) in these stages: how many, and the first of them.
pub async fn owned_by(
    tx: &Tx,
    _worker: &Worker,
    tenant: TenantId,
    owners: &[Option<SubjectId>],
    stages: &[String],
) -> Result<(i64, Vec<CustomerId>), Error> {
    let named: Vec<uuid::Uuid> = owners.iter().flatten().map(|owner| owner.uuid()).collect();
    let mut theirs = Condition::any().add(customer::Column::OwnerId.is_in(named));
    if owners.contains(&None) {
        theirs = theirs.add(customer::Column::OwnerId.is_null());
    }
    let select = customer::Entity::find()
        .filter(customer::Column::TenantId.eq(tenant.uuid()))
        .filter(customer::Column::DeletedAt.is_null())
        .filter(customer::Column::Pooled.eq(false))
        .filter(customer::Column::Stage.is_in(stages))
        .filter(theirs);
    let count = select.clone().count(&**tx).await?;
    let first: Vec<uuid::Uuid> = select
        .select_only()
        .column(customer::Column::CustomerId)
        .order_by_asc(customer::Column::CustomerId)
        .limit(REPORTED_MAX as u64)
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok((i64::try_from(count).unwrap_or(i64::MAX), first.into_iter().map(CustomerId::from_uuid).collect()))
}

/// Living customers of one owner that follow `after`; only those of a department of record when one is named.
pub async fn owned_page(
    tx: &Tx,
    _worker: &Worker,
    (tenant, owner): (TenantId, SubjectId),
    department: Option<DepartmentId>,
    (but, size): (&[CustomerId], u64),
) -> Result<Vec<CustomerId>, Error> {
    let mut select = customer::Entity::find()
        .select_only()
        .column(customer::Column::CustomerId)
        .filter(customer::Column::TenantId.eq(tenant.uuid()))
        .filter(customer::Column::OwnerId.eq(owner.uuid()))
        .filter(customer::Column::DeletedAt.is_null());
    if let Some(department) = department {
        select = select.filter(customer::Column::DepartmentId.eq(department.uuid()));
    }
    if !but.is_empty() {
        select = select.filter(customer::Column::CustomerId.is_not_in(but.iter().map(|id| id.uuid())));
    }
    let rows: Vec<uuid::Uuid> =
        select.order_by_asc(customer::Column::CustomerId).limit(size).into_tuple().all(&**tx).await?;
    Ok(rows.into_iter().map(CustomerId::from_uuid).collect())
}

/// How many living customers somebody owns.
pub async fn owned_count(
    tx: &Tx,
    _worker: &Worker,
    (tenant, owner): (TenantId, SubjectId),
    department: Option<DepartmentId>,
) -> Result<i64, Error> {
    let mut select = customer::Entity::find()
        .filter(customer::Column::TenantId.eq(tenant.uuid()))
        .filter(customer::Column::OwnerId.eq(owner.uuid()))
        .filter(customer::Column::DeletedAt.is_null());
    if let Some(department) = department {
        select = select.filter(customer::Column::DepartmentId.eq(department.uuid()));
    }
    Ok(i64::try_from(select.count(&**tx).await?).unwrap_or(i64::MAX))
}

/// Living customers whose grade was last looked at before an instant, with their grade.
pub async fn ungraded(
    tx: &Tx,
    _worker: &Worker,
    before: Timestamp,
    size: u64,
) -> Result<Vec<(TenantId, CustomerId, Option<String>)>, Error> {
    let rows: Vec<(uuid::Uuid, uuid::Uuid, Option<String>)> = customer::Entity::find()
        .select_only()
        .column(customer::Column::TenantId)
        .column(customer::Column::CustomerId)
        .column(customer::Column::Grade)
        .filter(customer::Column::GradedAt.lt(before.micros()))
        .filter(customer::Column::DeletedAt.is_null())
        .order_by_asc(customer::Column::TenantId)
        .limit(size)
        .into_tuple()
        .all(&**tx)
        .await?;
    let read = |(tenant, id, grade)| (TenantId::from_uuid(tenant), CustomerId::from_uuid(id), grade);
    Ok(rows.into_iter().map(read).collect())
}

/// Keeps what a task lends; a lower generation never overwrites.
///
/// The row that is there is compared by the statement that replaces it: the event and the direct call may come at once,
/// and a close that both have read past would be lost.
pub async fn hold_task(
    tx: &Tx,
    _worker: &Worker,
    (tenant, customer): (TenantId, CustomerId),
    holder: &TaskHolder,
) -> Result<(), Error> {
    let row = task_holder::Model {
        tenant_id: tenant.uuid(),
        customer_id: customer.uuid(),
        task_id: holder.task.uuid(),
        generation: holder.generation,
        subject_id: holder.subject.map(SubjectId::uuid),
        layers: super::rows::layers_text(&holder.layers),
        until_at: holder.until.micros(),
    };
    let (old, new) =
        (|name: &'static str| Expr::col(("task_holder", name)), |name: &'static str| Expr::col(("excluded", name)));
    // An extension has the same generation and a later end; an entry without subject is a closed task's.
    let extends = old("subject_id").is_not_null().and(new("until_at").gte(old("until_at")));
    let closes_or_extends = new("subject_id").is_null().or(extends);
    let is_newer = new("generation").gt(old("generation"));
    let replaces = is_newer.or(new("generation").eq(old("generation")).and(closes_or_extends));
    let replace = OnConflict::columns([
        task_holder::Column::TenantId,
        task_holder::Column::CustomerId,
        task_holder::Column::TaskId,
    ])
    .update_columns([
        task_holder::Column::Generation,
        task_holder::Column::SubjectId,
        task_holder::Column::Layers,
        task_holder::Column::UntilAt,
    ])
    .action_and_where(replaces)
    .to_owned();
    if insert_all_on::<task_holder::Entity, _>(tx, vec![row.clone()], Some(replace)).await? > 0 {
        past::keep_lent(tx, row, tx.now().await?).await?;
    }
    Ok(())
}

/// Forgets entries that ended before an instant.
pub async fn forget_tasks(tx: &Tx, _worker: &Worker, before: Timestamp) -> Result<(), Error> {
    task_holder::Entity::delete_many().filter(task_holder::Column::UntilAt.lt(before.micros())).exec(&**tx).await?;
    Ok(())
}
