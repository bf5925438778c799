//! The files of imports: sealed pieces under the key of their job, how many wait, and when they are forgotten.

use revisit_bootstrap::{database::Tx, seal::Place};
use revisit_core::{
    Timestamp,
    id::{JobId, SubjectId, TenantId},
};
use revisit_permission::{Permit, Worker};
use sea_orm::{
    ColumnTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::{Job, State, job, numbered, update};
use crate::{
    domain::Error,
    store::{
        Store,
        entity::{import_chunk, import_job},
        save::insert_all,
    },
};

/// Imports that one round stops because nobody has started them.
const EXPIRED_MAX: u64 = 100;
/// Pieces of uploads that one transaction gives up.
const ABANDONED_MAX: u64 = 1_000;
/// Why an import ends that nobody has started.
const EXPIRED: &str = "EXPIRED";

const fn chunk_place(row: Uuid) -> Place {
    Place { table: "import_chunk", row, column: "sealed" }
}

/// Pieces of uploaded files of a company, whatever has become of their uploads.
pub async fn stored(tx: &Tx, _permit: &impl Permit, tenant: TenantId) -> Result<u64, Error> {
    let pieces = import_chunk::Entity::find().filter(import_chunk::Column::TenantId.eq(tenant.uuid()));
    Ok(pieces.count(&**tx).await?)
}

/// Forgets the pieces of an upload that came to nothing.
pub async fn drop_upload(tx: &Tx, _permit: &impl Permit, (tenant, id): (TenantId, JobId)) -> Result<(), Error> {
    import_chunk::Entity::delete_many()
        .filter(import_chunk::Column::TenantId.eq(tenant.uuid()))
        .filter(import_chunk::Column::JobId.eq(id.uuid()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Keeps a piece of the file, sealed under the job's key.
pub async fn keep_chunk(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    (tenant, id): (TenantId, JobId),
    (position, bytes): (i64, &[u8]),
) -> Result<(), Error> {
    let sealed = store.sealer.seal(tx, (tenant, id.uuid()), chunk_place(numbered(position)), bytes).await?;
    let row = import_chunk::Model { tenant_id: tenant.uuid(), job_id: id.uuid(), position, sealed };
    insert_all::<import_chunk::Entity, _>(tx, vec![row]).await?;
    Ok(())
}

/// The piece of the file in which `position` lies, and where it begins.
pub async fn chunk_at(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    (tenant, id): (TenantId, JobId),
    position: i64,
) -> Result<Option<(i64, Vec<u8>)>, Error> {
    let row = import_chunk::Entity::find()
        .filter(import_chunk::Column::TenantId.eq(tenant.uuid()))
        .filter(import_chunk::Column::JobId.eq(id.uuid()))
        .filter(import_chunk::Column::Position.lte(position))
        .order_by_desc(import_chunk::Column::Position)
        .one(&**tx)
        .await?;
    let Some(row) = row else { return Ok(None) };
    let owner = (tenant, id.uuid());
    let plain = store.sealer.open(tx, owner, chunk_place(numbered(row.position)), &row.sealed).await?;
    Ok(plain.map(|plain| (row.position, plain.to_vec())))
}

/// Forgets the file of a job that has ended: results and rejected rows are kept apart from it.
pub async fn drop_file(tx: &Tx, permit: &impl Permit, job: &Job) -> Result<(), Error> {
    drop_upload(tx, permit, (job.tenant, job.id)).await
}

/// How many uploads of a subject wait to be started.
pub async fn waiting(tx: &Tx, _permit: &impl Permit, tenant: TenantId, subject: SubjectId) -> Result<u64, Error> {
    let count = import_job::Entity::find()
        .filter(import_job::Column::TenantId.eq(tenant.uuid()))
        .filter(import_job::Column::State.eq(State::Ready as i16))
        .filter(import_job::Column::SubjectId.eq(subject.uuid()))
        .count(&**tx)
        .await?;
    Ok(count)
}

/// Stops imports that were uploaded before an instant and never started, and forgets their files.
pub async fn expire(tx: &Tx, worker: &Worker, before: Timestamp) -> Result<(), Error> {
    let old = import_job::Entity::find()
        .filter(import_job::Column::State.eq(State::Ready as i16))
        .filter(import_job::Column::CreatedAt.lt(before.micros()))
        .limit(EXPIRED_MAX)
        .all(&**tx)
        .await?;
    let now = tx.now().await?;
    for before in old.into_iter().map(job) {
        let stopped =
            Job { state: State::Stopped, stop_reason: EXPIRED.to_owned(), ended_at: Some(now), ..before.clone() };
        match update(tx, worker, &before, &stopped).await {
            Ok(()) => drop_file(tx, worker, &before).await?,
            // Somebody has started it in this very moment.
            Err(Error::ImportState { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Forgets some pieces of uploads that never became a job, and of those that a job has left behind which has ended: where
/// the id was drawn before `oldest`. Answers whether there may be more.
pub async fn drop_abandoned(tx: &Tx, _worker: &Worker, oldest: JobId) -> Result<bool, Error> {
    let column = |table: &'static str, name: &'static str| Expr::col((table, name));
    let job = Query::select()
        .expr(Expr::cust("1"))
        .from("import_job")
        .and_where(column("import_job", "tenant_id").eq(column("import_chunk", "tenant_id")))
        .and_where(column("import_job", "job_id").eq(column("import_chunk", "job_id")))
        .and_where(column("import_job", "ended_at").is_null())
        .to_owned();
    let keys = [import_chunk::Column::TenantId, import_chunk::Column::JobId, import_chunk::Column::Position];
    let some = Query::select()
        .columns(keys)
        .from(import_chunk::Entity)
        .and_where(column("import_chunk", "job_id").lt(oldest.uuid()))
        .and_where(Expr::exists(job).not())
        .limit(ABANDONED_MAX)
        .to_owned();
    let columns = keys.map(Expr::col);
    let dropped =
        import_chunk::Entity::delete_many().filter(Expr::tuple(columns).in_subquery(some)).exec(&**tx).await?;
    Ok(dropped.rows_affected == ABANDONED_MAX)
}
