//! The engine's timers: what is due, shard by shard. One live timer per live task, none after its last kind.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{TaskId, TenantId},
};
use revisit_event::SHARDS;
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, DbBackend, EntityTrait, IntoActiveModel, Order, QueryFilter, QueryOrder,
    QuerySelect, Statement, Value,
    sea_query::{Expr, ExprTrait, LockType, OnConflict, Query},
};

use super::{ROWS_MAX, at, task_entity::timer, unreadable};
use crate::domain::task::{Moment, Task, TimerKind};

/// A timer as it is claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timer {
    pub tenant: TenantId,
    pub task: TaskId,
    pub shard: u32,
    pub moment: Moment,
    pub generation: i64,
}

/// Which shard a task's timer lies in.
fn shard_of(task: &Task) -> i32 {
    revisit_event::shard(task.tenant, task.shard_key()).cast_signed()
}

fn row_of(task: &Task) -> Option<timer::Model> {
    let moment = task.timer?;
    Some(timer::Model {
        shard: shard_of(task),
        fire_at: moment.at.micros(),
        task_id: task.id.uuid(),
        kind: moment.kind.code(),
        generation: task.version,
        tenant_id: task.tenant.uuid(),
    })
}

/// Tries the lock under which one replica at a time fires a shard; answers the shards that it got.
pub async fn try_fire_locks(tx: &Tx, shards: &[u32]) -> Result<Vec<u32>, Failure> {
    if !tx.is_postgres() {
        return Ok(shards.to_vec());
    }
    let text = "SELECT s FROM unnest($1::int[]) AS s WHERE pg_try_advisory_xact_lock($2, s)";
    let wanted: Vec<i32> = shards.iter().map(|shard| shard.cast_signed()).collect();
    let values = [Value::from(wanted), Value::from(FIRE_LOCK)];
    let rows =
        tx.query_all_raw(Statement::from_sql_and_values(DbBackend::Postgres, text, values)).await.map_err(fault)?;
    rows.iter().map(|row| Ok(row.try_get::<i32>("", "s").map_err(fault)?.cast_unsigned())).collect()
}

/// First half of the two-part key of the fire locks: a name that no other lock uses.
const FIRE_LOCK: i32 = 0x4669_7265;

/// A shard, and the key of its first timer when it was looked at: nothing is claimed before it.
pub type Due = (u32, Timestamp);

/// The claim on PostgreSQL: each shard is scanned from its floor in the order of its key, and nothing is sorted.
const CLAIM: &str = "SELECT t.* FROM unnest($1::int[], $2::bigint[]) AS s (shard, floor)
    CROSS JOIN LATERAL (SELECT * FROM timer WHERE timer.shard = s.shard AND fire_at >= s.floor AND fire_at <= $3
        ORDER BY fire_at, task_id LIMIT $4 FOR UPDATE SKIP LOCKED) AS t";

/// The due timers of some shards, oldest first in each, locked; those that somebody else holds are skipped. Each shard
/// has its part of the limit, so that one with a backlog does not keep the others waiting.
pub async fn claim(tx: &Tx, due: &[Due], now: Timestamp, limit: u64) -> Result<Vec<Timer>, Failure> {
    let each = limit.div_ceil(due.len().max(1) as u64);
    if tx.is_postgres() {
        let shards: Vec<i32> = due.iter().map(|(shard, _)| shard.cast_signed()).collect();
        let floors: Vec<i64> = due.iter().map(|(_, floor)| floor.micros()).collect();
        let each = i64::try_from(each).unwrap_or(i64::MAX);
        let values: [Value; 4] = [shards.into(), floors.into(), now.micros().into(), each.into()];
        let claim = Statement::from_sql_and_values(DbBackend::Postgres, CLAIM, values);
        let rows = timer::Entity::find().from_raw_sql(claim).all(&**tx).await.map_err(fault)?;
        return rows.into_iter().map(read).collect();
    }
    let mut claimed = Vec::new();
    for (shard, floor) in due {
        let rows = timer::Entity::find()
            .filter(timer::Column::Shard.eq(shard.cast_signed()))
            .filter(timer::Column::FireAt.between(floor.micros(), now.micros()))
            .order_by_asc(timer::Column::FireAt)
            .order_by_asc(timer::Column::TaskId)
            .limit(each)
            .all(&**tx)
            .await
            .map_err(fault)?;
        claimed.extend(rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(claimed)
}

fn read(row: timer::Model) -> Result<Timer, Failure> {
    let kind = TimerKind::parse(row.kind).ok_or_else(|| unreadable("timer kind"))?;
    Ok(Timer {
        tenant: Id::from_uuid(row.tenant_id),
        task: Id::from_uuid(row.task_id),
        shard: row.shard.cast_unsigned(),
        moment: Moment { at: at(row.fire_at), kind },
        generation: row.generation,
    })
}

fn is(row: &timer::Model) -> Condition {
    Condition::all()
        .add(timer::Column::Shard.eq(row.shard))
        .add(timer::Column::FireAt.eq(row.fire_at))
        .add(timer::Column::TaskId.eq(row.task_id))
}

/// Locks the timers that these tasks name, in key order, waiting for who holds them. Answers how many are still there.
pub async fn lock(tx: &Tx, tasks: &[&Task]) -> Result<usize, Failure> {
    let rows: Vec<_> = tasks.iter().filter_map(|task| row_of(task)).collect();
    if rows.is_empty() || !tx.is_postgres() {
        // SQLite's one writer sees no timer move while it works; the task itself says whether it has one.
        return Ok(rows.len());
    }
    let mut any = Condition::any();
    for row in &rows {
        any = any.add(is(row));
    }
    let found = timer::Entity::find()
        .filter(any)
        .order_by(timer::Column::Shard, Order::Asc)
        .order_by(timer::Column::FireAt, Order::Asc)
        .order_by(timer::Column::TaskId, Order::Asc)
        .lock(LockType::Update)
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(found.len())
}

/// Deletes claimed timers by key.
pub async fn delete(tx: &Tx, timers: &[Timer]) -> Result<(), Failure> {
    let keys = timers.iter().map(|timer| (timer.shard.cast_signed(), timer.moment.at.micros(), timer.task.uuid()));
    delete_keys(tx, keys.collect()).await
}

/// Deletes the timers that these tasks name.
pub async fn delete_of(tx: &Tx, tasks: &[&Task]) -> Result<(), Failure> {
    let rows = tasks.iter().filter_map(|task| row_of(task));
    delete_keys(tx, rows.map(|row| (row.shard, row.fire_at, row.task_id)).collect()).await
}

async fn delete_keys(tx: &Tx, keys: Vec<(i32, i64, uuid::Uuid)>) -> Result<(), Failure> {
    for some in keys.chunks(ROWS_MAX) {
        let key = Expr::tuple([
            Expr::col(timer::Column::Shard),
            Expr::col(timer::Column::FireAt),
            Expr::col(timer::Column::TaskId),
        ]);
        let delete =
            Query::delete().from_table(timer::Entity).and_where(key.in_tuples(some.iter().copied())).to_owned();
        tx.execute(&delete).await.map_err(fault)?;
    }
    Ok(())
}

/// Plants the timers that these tasks name. One that is there already is the same one.
pub async fn plant(tx: &Tx, tasks: &[&Task]) -> Result<(), Failure> {
    let rows: Vec<_> = tasks.iter().filter_map(|task| row_of(task)).map(IntoActiveModel::into_active_model).collect();
    let key = [timer::Column::Shard, timer::Column::FireAt, timer::Column::TaskId];
    for some in rows.chunks(ROWS_MAX) {
        let same = OnConflict::columns(key).update_columns([timer::Column::Kind, timer::Column::Generation]).to_owned();
        let insert = timer::Entity::insert_many(some.to_vec()).on_conflict(same);
        tx.execute(sea_orm::QueryTrait::as_query(&insert)).await.map_err(fault)?;
    }
    Ok(())
}

/// The earliest work of the engine in a shard, for the one statement that an idle replica repeats. Sweeps and hand-overs
/// belong to no shard and are counted with the first.
pub const PLANNED: &str = "(SELECT MIN(at) FROM (
    SELECT (SELECT t.fire_at FROM timer t WHERE t.shard = s.shard ORDER BY t.fire_at LIMIT 1) AS at
    UNION ALL SELECT w.started_at FROM sweep w WHERE s.shard = 0
    UNION ALL SELECT h.next_at FROM hand_over h WHERE s.shard = 0 AND NOT h.done) AS planned)";

/// The first timer of each shard that has one: a single descent per shard, whatever is pending.
pub async fn heads(tx: &Tx) -> Result<Vec<Due>, Failure> {
    let text = format!(
        "WITH RECURSIVE s(shard) AS (SELECT 0 UNION ALL SELECT shard + 1 FROM s WHERE shard < {}) \
         SELECT shard, (SELECT t.fire_at FROM timer t WHERE t.shard = s.shard ORDER BY t.fire_at LIMIT 1) AS fire_at FROM s",
        SHARDS - 1
    );
    let rows = tx.query_all_raw(Statement::from_string(tx.get_database_backend(), text)).await.map_err(fault)?;
    let mut heads = Vec::new();
    for row in &rows {
        if let Some(micros) = row.try_get::<Option<i64>>("", "fire_at").map_err(fault)? {
            heads.push((row.try_get::<i32>("", "shard").map_err(fault)?.cast_unsigned(), at(micros)));
        }
    }
    Ok(heads)
}
