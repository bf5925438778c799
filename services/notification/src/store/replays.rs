//! Replays: persisted jobs that plan dead letters anew, with a cursor, so that a restart goes on where it was.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Id, Timestamp, id::TenantId};
use sea_orm::{
    ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Value,
    sea_query::{LockBehavior, LockType},
};
use uuid::Uuid;

use super::{deliveries::Filter, entity, execute, from_json, insert, time, to_json};

use entity::replay::{Column, Entity, Model};

/// A job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Replay {
    pub tenant: TenantId,
    pub id: Id<revisit_core::id::kind::Job>,
    pub filter: Filter,
    /// The last delivery that it has seen.
    pub cursor: Uuid,
    pub replayed: i64,
    pub done: bool,
    pub created_at: Timestamp,
}

fn replay(row: Model) -> Result<Replay, Failure> {
    Ok(Replay {
        tenant: row.tenant_id.into(),
        id: row.replay_id.into(),
        filter: from_json(&row.filter)?,
        cursor: row.cursor_id,
        replayed: row.replayed,
        done: row.done,
        created_at: time(row.created_at),
    })
}

pub async fn add(tx: &Tx, replay: &Replay) -> Result<(), Failure> {
    let model = Model {
        tenant_id: replay.tenant.uuid(),
        replay_id: replay.id.uuid(),
        filter: to_json(&replay.filter)?,
        cursor_id: replay.cursor,
        replayed: replay.replayed,
        done: replay.done,
        created_at: replay.created_at.micros(),
    };
    insert(tx, model).await
}

pub async fn find(tx: &Tx, tenant: TenantId, id: Uuid) -> Result<Option<Replay>, Failure> {
    Entity::find_by_id((tenant.uuid(), id)).one(&**tx).await.map_err(fault)?.map(replay).transpose()
}

/// The oldest job that is not done, locked for this transaction; one that another replica works on is skipped.
pub async fn open(tx: &Tx) -> Result<Option<Replay>, Failure> {
    let select = Entity::find().filter(Column::Done.eq(false)).order_by(Column::CreatedAt, Order::Asc).limit(1);
    let select = match tx.is_postgres() {
        true => select.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked),
        false => select,
    };
    select.one(&**tx).await.map_err(fault)?.map(replay).transpose()
}

/// Writes how far a job is.
pub async fn save(tx: &Tx, replay: &Replay) -> Result<(), Failure> {
    let text = "UPDATE replay SET cursor_id = $1, replayed = $2, done = $3 WHERE tenant_id = $4 AND replay_id = $5";
    let values: [Value; 5] = [
        replay.cursor.into(),
        replay.replayed.into(),
        replay.done.into(),
        replay.tenant.uuid().into(),
        replay.id.uuid().into(),
    ];
    execute(tx, text, values).await?;
    Ok(())
}

/// Whether a job is not done.
pub async fn any_open(tx: &Tx) -> Result<bool, Failure> {
    Ok(super::query_one(tx, "SELECT 1 AS open FROM replay WHERE NOT done LIMIT 1", []).await?.is_some())
}
