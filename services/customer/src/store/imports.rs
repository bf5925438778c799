//! Imports: the job and the result of each row; `files` keeps what was uploaded.

use revisit_bootstrap::{database::Tx, seal::Place};
use revisit_core::{
    Timestamp,
    id::{CustomerId, JobId, SubjectId, TenantId},
};
use revisit_permission::{Layer, Permit, Purpose, Veiled, Worker};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{
    Store,
    entity::{customer, import_job, import_row},
    save::insert_all,
};
use crate::domain::{Error, sheet::Encoding};

pub mod files;

/// The numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    Ready = 1,
    Running = 2,
    Done = 3,
    Stopped = 4,
    Reverting = 5,
    Reverted = 6,
}

impl State {
    const ALL: [Self; 6] = [Self::Ready, Self::Running, Self::Done, Self::Stopped, Self::Reverting, Self::Reverted];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Running => "running",
            Self::Done => "done",
            Self::Stopped => "stopped",
            Self::Reverting => "reverting",
            Self::Reverted => "reverted",
        }
    }
}

/// The numbers are stored.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RowResult {
    Created = 1,
    Merged = 2,
    Duplicate = 3,
    Rejected = 4,
}

impl RowResult {
    const ALL: [Self; 4] = [Self::Created, Self::Merged, Self::Duplicate, Self::Rejected];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Merged => "merged",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|result| result.name() == name)
    }
}

#[derive(Clone, Debug)]
pub struct Job {
    pub tenant: TenantId,
    pub id: JobId,
    pub subject: SubjectId,
    pub file_name: String,
    pub is_xlsx: bool,
    pub encoding: Encoding,
    pub delimiter: u8,
    pub state: State,
    pub headers: Vec<String>,
    /// Name of the target of each column; empty for none.
    pub mapping: Vec<String>,
    pub row_count: i64,
    /// Rows that have their result.
    pub next_row: i64,
    /// Where the next row begins in the file.
    pub next_position: i64,
    pub created: i64,
    pub merged: i64,
    pub duplicate: i64,
    /// Duplicates of customers that the importer may not read: what the budget counts.
    pub foreign: i64,
    pub rejected: i64,
    pub kept: i64,
    pub stop_reason: String,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// The result of one row.
#[derive(Clone, Debug)]
pub struct Row {
    pub number: i64,
    pub result: RowResult,
    pub customer: Option<CustomerId>,
    pub duplicate_of: Option<i64>,
    /// Field and rule.
    pub violations: Vec<(String, String)>,
    /// The record as it stood in the file, for rejected rows.
    pub raw: Option<Veiled<Vec<u8>>>,
}

/// A record that somebody has sent. Until it is taken apart nobody knows what stands in it.
pub const fn sent(record: Vec<u8>) -> Veiled<Vec<u8>> {
    Veiled::new(Layer::Sensitive, record)
}

const UNIT: char = '\u{1f}';
const RECORD: char = '\u{1e}';

fn joined(parts: &[String]) -> String {
    parts.join(&UNIT.to_string())
}

fn split(text: &str) -> Vec<String> {
    if text.is_empty() { Vec::new() } else { text.split(UNIT).map(str::to_owned).collect() }
}

fn job(row: import_job::Model) -> Job {
    Job {
        tenant: TenantId::from_uuid(row.tenant_id),
        id: JobId::from_uuid(row.job_id),
        subject: SubjectId::from_uuid(row.subject_id),
        file_name: row.file_name,
        is_xlsx: row.format == 2,
        encoding: Encoding::parse(&row.encoding),
        delimiter: u8::try_from(row.delimiter).unwrap_or(b','),
        state: State::ALL.into_iter().find(|state| *state as i16 == row.state).unwrap_or(State::Stopped),
        headers: split(&row.headers),
        mapping: split(&row.mapping),
        row_count: row.row_count,
        next_row: row.next_row,
        next_position: row.next_position,
        created: row.created_count,
        merged: row.merged_count,
        duplicate: row.duplicate_count,
        foreign: row.foreign_count,
        rejected: row.rejected_count,
        kept: row.kept_count,
        stop_reason: row.stop_reason,
        created_at: Timestamp::from_micros(row.created_at),
        ended_at: row.ended_at.map(Timestamp::from_micros),
    }
}

pub async fn insert(tx: &Tx, _permit: &impl Permit, job: &Job) -> Result<(), Error> {
    let row = import_job::Model {
        tenant_id: job.tenant.uuid(),
        job_id: job.id.uuid(),
        subject_id: job.subject.uuid(),
        file_name: job.file_name.clone(),
        format: if job.is_xlsx { 2 } else { 1 },
        encoding: job.encoding.name().to_owned(),
        delimiter: i16::from(job.delimiter),
        state: job.state as i16,
        headers: joined(&job.headers),
        mapping: joined(&job.mapping),
        row_count: job.row_count,
        next_row: job.next_row,
        next_position: job.next_position,
        created_count: job.created,
        merged_count: job.merged,
        duplicate_count: job.duplicate,
        foreign_count: job.foreign,
        rejected_count: job.rejected,
        kept_count: job.kept,
        stop_reason: job.stop_reason.clone(),
        created_at: job.created_at.micros(),
        ended_at: job.ended_at.map(Timestamp::micros),
    };
    insert_all::<import_job::Entity, _>(tx, vec![row]).await?;
    Ok(())
}

/// Writes what moves of a job over the state in which it was read; a job that another replica has moved is left alone.
pub async fn update(tx: &Tx, _permit: &impl Permit, before: &Job, job: &Job) -> Result<(), Error> {
    let written = import_job::Entity::update_many()
        .col_expr(import_job::Column::State, Expr::val(job.state as i16))
        .col_expr(import_job::Column::Mapping, Expr::val(joined(&job.mapping)))
        .col_expr(import_job::Column::NextRow, Expr::val(job.next_row))
        .col_expr(import_job::Column::NextPosition, Expr::val(job.next_position))
        .col_expr(import_job::Column::CreatedCount, Expr::val(job.created))
        .col_expr(import_job::Column::MergedCount, Expr::val(job.merged))
        .col_expr(import_job::Column::DuplicateCount, Expr::val(job.duplicate))
        .col_expr(import_job::Column::ForeignCount, Expr::val(job.foreign))
        .col_expr(import_job::Column::RejectedCount, Expr::val(job.rejected))
        .col_expr(import_job::Column::KeptCount, Expr::val(job.kept))
        .col_expr(import_job::Column::StopReason, Expr::val(job.stop_reason.as_str()))
        .col_expr(import_job::Column::EndedAt, Expr::val(job.ended_at.map(Timestamp::micros)))
        .filter(import_job::Column::TenantId.eq(job.tenant.uuid()))
        .filter(import_job::Column::JobId.eq(job.id.uuid()))
        .filter(import_job::Column::State.eq(before.state as i16))
        .filter(import_job::Column::NextRow.eq(before.next_row))
        .exec(&**tx)
        .await?;
    if written.rows_affected == 1 { Ok(()) } else { Err(Error::ImportState { state: before.state.name() }) }
}

pub async fn find(tx: &Tx, _permit: &impl Permit, tenant: TenantId, id: JobId) -> Result<Option<Job>, Error> {
    Ok(import_job::Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await?.map(job))
}

/// The oldest job that is to be worked on, of the company whose turn is next behind `last`.
pub async fn next(tx: &Tx, _worker: &Worker, last: Option<TenantId>) -> Result<Option<Job>, Error> {
    let waiting = || {
        import_job::Entity::find()
            .filter(import_job::Column::State.is_in([State::Running as i16, State::Reverting as i16]))
            .order_by_asc(import_job::Column::TenantId)
            .order_by_asc(import_job::Column::CreatedAt)
    };
    let mut row = None;
    if let Some(last) = last {
        row = waiting().filter(import_job::Column::TenantId.gt(last.uuid())).one(&**tx).await?;
    }
    if row.is_none() {
        row = waiting().one(&**tx).await?;
    }
    Ok(row.map(job))
}

pub async fn any_running(tx: &Tx, worker: &Worker) -> Result<bool, Error> {
    Ok(next(tx, worker, None).await?.is_some())
}

const fn row_place(row: Uuid) -> Place {
    Place { table: "import_row", row, column: "sealed" }
}

/// What tells rows of a job apart in a sealed value's place.
fn numbered(number: i64) -> Uuid {
    Uuid::from_u128(u128::try_from(number).unwrap_or_default())
}

pub async fn insert_rows(tx: &Tx, store: &Store, _permit: &impl Permit, job: &Job, rows: &[Row]) -> Result<(), Error> {
    let owner = job.id.uuid();
    let keys = match rows.iter().any(|row| row.raw.is_some()) {
        true => Some(store.sealer.keys_to_write(tx, job.tenant, &[owner]).await?),
        false => None,
    };
    let mut models = Vec::new();
    for row in rows {
        let violations = row.violations.iter().map(|(field, rule)| format!("{field}{UNIT}{rule}"));
        let sealed = match (&row.raw, &keys) {
            (Some(raw), Some(keys)) => {
                Some(keys.seal(owner, row_place(numbered(row.number)), raw.lift(Purpose::Store))?)
            }
            _ => None,
        };
        models.push(import_row::Model {
            tenant_id: job.tenant.uuid(),
            job_id: owner,
            row_number: row.number,
            result: row.result as i16,
            customer_id: row.customer.map(CustomerId::uuid),
            duplicate_of: row.duplicate_of,
            violations: violations.collect::<Vec<_>>().join(&RECORD.to_string()),
            sealed,
        });
    }
    insert_all::<import_row::Entity, _>(tx, models).await?;
    Ok(())
}

/// A page of rows in the order of the file; `raw` opens what lies sealed of rejected ones.
pub async fn rows(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    job: &Job,
    (after, size, result, raw): (i64, u64, Option<RowResult>, bool),
) -> Result<Vec<Row>, Error> {
    let mut select = import_row::Entity::find()
        .filter(import_row::Column::TenantId.eq(job.tenant.uuid()))
        .filter(import_row::Column::JobId.eq(job.id.uuid()))
        .filter(import_row::Column::RowNumber.gt(after));
    if let Some(result) = result {
        select = select.filter(import_row::Column::Result.eq(result as i16));
    }
    let found = select.order_by_asc(import_row::Column::RowNumber).limit(size).all(&**tx).await?;
    let owner = job.id.uuid();
    let keys = if raw { Some(store.sealer.keys(tx, job.tenant, &[owner]).await?) } else { None };
    let mut rows = Vec::new();
    for row in found {
        let raw = match (&row.sealed, &keys) {
            (Some(sealed), Some(keys)) => keys.open(owner, row_place(numbered(row.row_number)), sealed)?,
            _ => None,
        };
        let violations = row.violations.split(RECORD).filter_map(|one| one.split_once(UNIT));
        rows.push(Row {
            number: row.row_number,
            result: RowResult::ALL
                .into_iter()
                .find(|result| *result as i16 == row.result)
                .unwrap_or(RowResult::Rejected),
            customer: row.customer_id.map(CustomerId::from_uuid),
            duplicate_of: row.duplicate_of,
            violations: violations.map(|(field, rule)| (field.to_owned(), rule.to_owned())).collect(),
            raw: raw.map(|raw| sent(raw.to_vec())),
        });
    }
    Ok(rows)
}

/// Living customers that a job made: those nobody has touched since, and how many others there are.
pub async fn made_by(tx: &Tx, _worker: &Worker, job: &Job, size: u64) -> Result<(Vec<CustomerId>, i64), Error> {
    use sea_orm::PaginatorTrait;
    let made = customer::Entity::find()
        .filter(customer::Column::TenantId.eq(job.tenant.uuid()))
        .filter(customer::Column::ImportJobId.eq(job.id.uuid()))
        .filter(customer::Column::DeletedAt.is_null());
    let untouched = || Expr::col(customer::Column::Version).eq(Expr::col(customer::Column::ImportVersion));
    let ids: Vec<Uuid> = made
        .clone()
        .select_only()
        .column(customer::Column::CustomerId)
        .filter(untouched())
        .order_by_asc(customer::Column::CustomerId)
        .limit(size)
        .into_tuple()
        .all(&**tx)
        .await?;
    let others = made.filter(untouched().not()).count(&**tx).await?;
    Ok((ids.into_iter().map(CustomerId::from_uuid).collect(), i64::try_from(others).unwrap_or(i64::MAX)))
}
