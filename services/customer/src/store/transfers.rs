//! Bulk transfers: the job, its rows, and their results.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, JobId, SubjectId, TenantId},
};
use revisit_permission::{Permit, Scope, Worker};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{
    entity::{transfer_job, transfer_row},
    save::insert_all,
};
use crate::domain::Error;

/// The numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Running = 1,
    Done = 2,
    Stopped = 3,
}

/// The numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowResult {
    Pending = 0,
    Moved = 1,
    Refused = 2,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub tenant: TenantId,
    pub id: JobId,
    /// Who ordered it: every row is decided for this subject.
    pub subject: SubjectId,
    pub owner: SubjectId,
    pub department: Option<DepartmentId>,
    pub reason: String,
    pub state: State,
    pub total: i64,
    pub moved: i64,
    pub refused: i64,
    pub stop_reason: String,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

pub struct Row {
    pub customer: CustomerId,
    pub result: RowResult,
    pub reason: String,
}

fn job(row: transfer_job::Model) -> Job {
    Job {
        tenant: TenantId::from_uuid(row.tenant_id),
        id: JobId::from_uuid(row.job_id),
        subject: SubjectId::from_uuid(row.subject_id),
        owner: SubjectId::from_uuid(row.owner_id),
        department: row.department_id.map(DepartmentId::from_uuid),
        reason: row.reason,
        state: match row.state {
            2 => State::Done,
            3 => State::Stopped,
            _ => State::Running,
        },
        total: row.total_count,
        moved: row.moved_count,
        refused: row.refused_count,
        stop_reason: row.stop_reason,
        created_at: Timestamp::from_micros(row.created_at),
        ended_at: row.ended_at.map(Timestamp::from_micros),
    }
}

fn job_row(job: &Job) -> transfer_job::Model {
    transfer_job::Model {
        tenant_id: job.tenant.uuid(),
        job_id: job.id.uuid(),
        subject_id: job.subject.uuid(),
        owner_id: job.owner.uuid(),
        department_id: job.department.map(DepartmentId::uuid),
        reason: job.reason.clone(),
        state: job.state as i16,
        total_count: job.total,
        moved_count: job.moved,
        refused_count: job.refused,
        stop_reason: job.stop_reason.clone(),
        created_at: job.created_at.micros(),
        ended_at: job.ended_at.map(Timestamp::micros),
    }
}

pub async fn insert(tx: &Tx, _scope: &Scope, job: &Job, customers: &[CustomerId]) -> Result<(), Error> {
    insert_all::<transfer_job::Entity, _>(tx, vec![job_row(job)]).await?;
    let rows = customers.iter().map(|customer| transfer_row::Model {
        tenant_id: job.tenant.uuid(),
        job_id: job.id.uuid(),
        customer_id: customer.uuid(),
        result: RowResult::Pending as i16,
        reason: String::new(),
    });
    insert_all::<transfer_row::Entity, _>(tx, rows.collect()).await?;
    Ok(())
}

pub async fn find(tx: &Tx, _permit: &impl Permit, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error> {
    Ok(transfer_job::Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await?.map(job))
}

/// Jobs that are not done, of all tenants.
pub async fn running(tx: &Tx, _worker: &Worker, size: u64) -> Result<Vec<Job>, Error> {
    let rows = transfer_job::Entity::find()
        .filter(transfer_job::Column::State.eq(State::Running as i16))
        .order_by_asc(transfer_job::Column::CreatedAt)
        .limit(size)
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(job).collect())
}

/// Rows of a job in the order of their ids; only those without a result when `pending`.
pub async fn rows(
    tx: &Tx,
    _permit: &impl Permit,
    (tenant, id): (TenantId, JobId),
    after: Option<Uuid>,
    (pending, size): (bool, u64),
) -> Result<Vec<Row>, Error> {
    let mut select = transfer_row::Entity::find()
        .filter(transfer_row::Column::TenantId.eq(tenant.uuid()))
        .filter(transfer_row::Column::JobId.eq(id.uuid()));
    if pending {
        select = select.filter(transfer_row::Column::Result.eq(RowResult::Pending as i16));
    }
    if let Some(after) = after {
        select = select.filter(transfer_row::Column::CustomerId.gt(after));
    }
    let rows = select.order_by_asc(transfer_row::Column::CustomerId).limit(size).all(&**tx).await?;
    Ok(rows
        .into_iter()
        .map(|row| Row {
            customer: CustomerId::from_uuid(row.customer_id),
            result: match row.result {
                1 => RowResult::Moved,
                2 => RowResult::Refused,
                _ => RowResult::Pending,
            },
            reason: row.reason,
        })
        .collect())
}

/// Writes results of rows and counts them; a job without pending rows is done.
pub async fn settle(
    tx: &Tx,
    _permit: &impl Permit,
    job: &Job,
    results: &[(CustomerId, Result<(), &'static str>)],
) -> Result<(), Error> {
    let (mut moved, mut refused) = (0, 0);
    for (customer, result) in results {
        let (number, reason) = match result {
            Ok(()) => (RowResult::Moved, ""),
            Err(reason) => (RowResult::Refused, *reason),
        };
        let written = transfer_row::Entity::update_many()
            .col_expr(transfer_row::Column::Result, Expr::val(number as i16))
            .col_expr(transfer_row::Column::Reason, Expr::val(reason))
            .filter(transfer_row::Column::TenantId.eq(job.tenant.uuid()))
            .filter(transfer_row::Column::JobId.eq(job.id.uuid()))
            .filter(transfer_row::Column::CustomerId.eq(customer.uuid()))
            .filter(transfer_row::Column::Result.eq(RowResult::Pending as i16))
            .exec(&**tx)
            .await?;
        let count = i64::try_from(written.rows_affected).unwrap_or(0);
        if result.is_ok() { moved += count } else { refused += count }
    }
    transfer_job::Entity::update_many()
        .col_expr(transfer_job::Column::MovedCount, Expr::col(transfer_job::Column::MovedCount).add(moved))
        .col_expr(transfer_job::Column::RefusedCount, Expr::col(transfer_job::Column::RefusedCount).add(refused))
        .filter(transfer_job::Column::TenantId.eq(job.tenant.uuid()))
        .filter(transfer_job::Column::JobId.eq(job.id.uuid()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Ends a job; with a reason it was stopped.
pub async fn end(tx: &Tx, _worker: &Worker, job: &Job, reason: Option<&str>) -> Result<(), Error> {
    let state = if reason.is_some() { State::Stopped } else { State::Done };
    transfer_job::Entity::update_many()
        .col_expr(transfer_job::Column::State, Expr::val(state as i16))
        .col_expr(transfer_job::Column::StopReason, Expr::val(reason.unwrap_or_default()))
        .col_expr(transfer_job::Column::EndedAt, Expr::val(tx.now().await?.micros()))
        .filter(transfer_job::Column::TenantId.eq(job.tenant.uuid()))
        .filter(transfer_job::Column::JobId.eq(job.id.uuid()))
        .exec(&**tx)
        .await?;
    Ok(())
}
