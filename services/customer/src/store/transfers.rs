//! Bulk transfers: the job, its rows, and their results.

use std::collections::HashMap;

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
    pub to: Target,
    pub reason: String,
    pub state: State,
    pub total: i64,
    pub moved: i64,
    pub refused: i64,
    pub stop_reason: String,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// Where a job moves its rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target {
    To(SubjectId, Option<DepartmentId>),
    /// Each to where the other job took it from.
    BackFrom(JobId),
}

impl Target {
    const fn columns(self) -> (Option<SubjectId>, Option<DepartmentId>, Option<JobId>) {
        match self {
            Self::To(owner, department) => (Some(owner), department, None),
            Self::BackFrom(job) => (None, None, Some(job)),
        }
    }
}

/// Where a row came from.
#[derive(Clone, Copy, Debug)]
pub struct Former {
    pub owner: Option<SubjectId>,
    pub department: Option<DepartmentId>,
    /// The ownership epoch that the move made: a later one is somebody else's.
    pub epoch: i64,
}

pub struct Row {
    pub customer: CustomerId,
    pub result: RowResult,
    pub reason: String,
    /// Of a row that the job has moved; none when it was there already.
    pub former: Option<Former>,
}

/// What became of a row.
pub type Settled = (CustomerId, Result<Option<Former>, &'static str>);

fn job(row: transfer_job::Model) -> Job {
    Job {
        tenant: TenantId::from_uuid(row.tenant_id),
        id: JobId::from_uuid(row.job_id),
        subject: SubjectId::from_uuid(row.subject_id),
        to: match (row.owner_id, row.undone_job_id) {
            (Some(owner), _) => Target::To(SubjectId::from_uuid(owner), row.department_id.map(DepartmentId::from_uuid)),
            (None, job) => Target::BackFrom(JobId::from_uuid(job.unwrap_or_default())),
        },
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
    let (owner, department, undone) = job.to.columns();
    transfer_job::Model {
        tenant_id: job.tenant.uuid(),
        job_id: job.id.uuid(),
        subject_id: job.subject.uuid(),
        owner_id: owner.map(SubjectId::uuid),
        department_id: department.map(DepartmentId::uuid),
        undone_job_id: undone.map(JobId::uuid),
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
        former_owner_id: None,
        former_department_id: None,
        epoch: None,
    });
    insert_all::<transfer_row::Entity, _>(tx, rows.collect()).await?;
    Ok(())
}

pub async fn find(tx: &Tx, _permit: &impl Permit, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error> {
    Ok(transfer_job::Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await?.map(job))
}

/// The oldest job that is not done, of the company whose turn is next behind `last`.
pub async fn next(tx: &Tx, _worker: &Worker, last: Option<TenantId>) -> Result<Option<Job>, Error> {
    let running = || {
        transfer_job::Entity::find()
            .filter(transfer_job::Column::State.eq(State::Running as i16))
            .order_by_asc(transfer_job::Column::TenantId)
            .order_by_asc(transfer_job::Column::CreatedAt)
    };
    let mut row = None;
    if let Some(last) = last {
        row = running().filter(transfer_job::Column::TenantId.gt(last.uuid())).one(&**tx).await?;
    }
    if row.is_none() {
        row = running().one(&**tx).await?;
    }
    Ok(row.map(job))
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
    Ok(rows.into_iter().map(read_row).collect())
}

fn read_row(row: transfer_row::Model) -> Row {
    Row {
        customer: CustomerId::from_uuid(row.customer_id),
        result: match row.result {
            1 => RowResult::Moved,
            2 => RowResult::Refused,
            _ => RowResult::Pending,
        },
        reason: row.reason,
        former: row.epoch.map(|epoch| Former {
            owner: row.former_owner_id.map(SubjectId::from_uuid),
            department: row.former_department_id.map(DepartmentId::from_uuid),
            epoch,
        }),
    }
}

/// Where these rows of a job came from.
pub async fn former(
    tx: &Tx,
    _worker: &Worker,
    (tenant, id): (TenantId, JobId),
    customers: &[CustomerId],
) -> Result<HashMap<CustomerId, Former>, Error> {
    let rows = transfer_row::Entity::find()
        .filter(transfer_row::Column::TenantId.eq(tenant.uuid()))
        .filter(transfer_row::Column::JobId.eq(id.uuid()))
        .filter(tx.among(transfer_row::Column::CustomerId, customers.iter().map(|id| id.uuid())))
        .all(&**tx)
        .await?;
    let rows = rows.into_iter().map(read_row);
    Ok(rows.filter_map(|row| Some((row.customer, row.former?))).collect())
}

/// Customers that a job has moved.
pub async fn moved(tx: &Tx, _permit: &impl Permit, (tenant, id): (TenantId, JobId)) -> Result<Vec<CustomerId>, Error> {
    let ids: Vec<Uuid> = transfer_row::Entity::find()
        .select_only()
        .column(transfer_row::Column::CustomerId)
        .filter(transfer_row::Column::TenantId.eq(tenant.uuid()))
        .filter(transfer_row::Column::JobId.eq(id.uuid()))
        .filter(transfer_row::Column::Epoch.is_not_null())
        .into_tuple()
        .all(&**tx)
        .await?;
    Ok(ids.into_iter().map(CustomerId::from_uuid).collect())
}

/// Writes results of rows and counts them; a job without pending rows is done.
pub async fn settle(tx: &Tx, _permit: &impl Permit, job: &Job, results: &[Settled]) -> Result<(), Error> {
    let (mut moved, mut refused) = (0, 0);
    for (customer, result) in results {
        let (number, reason, former) = match result {
            Ok(former) => (RowResult::Moved, "", *former),
            Err(reason) => (RowResult::Refused, *reason, None),
        };
        let owner = former.and_then(|former| former.owner).map(SubjectId::uuid);
        let department = former.and_then(|former| former.department).map(DepartmentId::uuid);
        let written = transfer_row::Entity::update_many()
            .col_expr(transfer_row::Column::Result, Expr::val(number as i16))
            .col_expr(transfer_row::Column::Reason, Expr::val(reason))
            .col_expr(transfer_row::Column::FormerOwnerId, Expr::val(owner))
            .col_expr(transfer_row::Column::FormerDepartmentId, Expr::val(department))
            .col_expr(transfer_row::Column::Epoch, Expr::val(former.map(|former| former.epoch)))
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
