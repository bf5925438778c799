//! The outbox's statements whose text differs from what a query builder says well: one round trip for many shards.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DbErr, QueryResult, Statement, Value};
use uuid::Uuid;

use super::is_postgres;

/// First half of the advisory key of a shard's `position` lock; the second is the shard. Two-part keys never meet the
/// one-part keys that services use.
const POSITION_LOCK: i32 = 0x5245_5650;

/// The newest row of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Newest {
    /// The shard.
    pub shard: u32,
    /// The newest position; 0 when the shard has no row.
    pub position: i64,
    /// Its floor; none until a fire transaction has found one.
    pub floor: Option<i64>,
}

/// A FROM item `s(shard)` of the shards bound to `$1`: the text is the same whatever the shards, so that statements
/// stay prepared.
pub(super) fn shards_from(db: &impl ConnectionTrait, shards: &[u32]) -> (&'static str, Value) {
    if is_postgres(db) {
        let shards: Vec<i32> = shards.iter().map(|shard| shard_column(*shard)).collect();
        ("unnest($1::int[]) AS s(shard)", shards.into())
    } else {
        let list: Vec<String> = shards.iter().map(ToString::to_string).collect();
        ("(SELECT value AS shard FROM json_each($1)) AS s", format!("[{}]", list.join(",")).into())
    }
}

pub(super) fn statement(db: &impl ConnectionTrait, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}

/// Shards are below 64; what is not is no shard of any row.
pub(super) fn shard_column(shard: u32) -> i32 {
    i32::try_from(shard).unwrap_or(-1)
}

pub(super) fn shard_of(row: &QueryResult) -> Result<u32, DbErr> {
    // json_each answers 64-bit integers, unnest 32-bit ones.
    let shard = row.try_get::<i32>("", "shard").map(i64::from).or_else(|_| row.try_get::<i64>("", "shard"))?;
    u32::try_from(shard).map_err(|_| DbErr::Type(format!("{shard} is no shard")))
}

/// Takes the `position` locks of `shards`, which are ascending. SQLite's one writer needs none.
pub(super) async fn lock(db: &impl ConnectionTrait, shards: &[u32]) -> Result<(), DbErr> {
    if is_postgres(db) {
        // A function scan yields the array's order, so the locks are taken ascending by one statement.
        let (from, list) = shards_from(db, shards);
        let text = format!("SELECT pg_advisory_xact_lock($2, s.shard) FROM {from}");
        db.query_all_raw(statement(db, &text, [list, POSITION_LOCK.into()])).await?;
    }
    Ok(())
}

/// The newest row of each shard: two descents of the primary key each.
pub(super) async fn newest(db: &impl ConnectionTrait, shards: &[u32]) -> Result<Vec<Newest>, DbErr> {
    let (from, list) = shards_from(db, shards);
    let newest = "FROM outbox o WHERE o.shard = s.shard ORDER BY o.position DESC LIMIT 1";
    let text = format!(
        "SELECT s.shard, (SELECT o.position {newest}) AS position, (SELECT o.floor {newest}) AS floor FROM {from}"
    );
    let rows = db.query_all_raw(statement(db, &text, [list])).await?;
    rows.iter()
        .map(|row| {
            Ok(Newest {
                shard: shard_of(row)?,
                position: row.try_get::<Option<i64>>("", "position")?.unwrap_or(0),
                floor: row.try_get("", "floor")?,
            })
        })
        .collect()
}

/// What was planted after `position`, and how many rows there are: fewer than the positions when some were trimmed.
pub(super) async fn planted_after(
    db: &impl ConnectionTrait,
    shard: u32,
    position: i64,
) -> Result<(i64, Option<i64>), DbErr> {
    let text = "SELECT count(*) AS rows, min(planted) AS planted FROM outbox WHERE shard = $1 AND position > $2";
    let row = db.query_one_raw(statement(db, text, [shard_column(shard).into(), position.into()])).await?;
    let row = row.ok_or_else(|| DbErr::RecordNotFound("an aggregate has one row".to_owned()))?;
    Ok((row.try_get("", "rows")?, row.try_get("", "planted")?))
}

pub(super) async fn incarnation(db: &impl ConnectionTrait) -> Result<Option<Uuid>, DbErr> {
    let text = "SELECT incarnation FROM outbox_incarnation WHERE one = 1";
    db.query_one_raw(statement(db, text, [])).await?.map(|row| row.try_get("", "incarnation")).transpose()
}

pub(super) async fn draw_incarnation(db: &impl ConnectionTrait, drawn: Uuid) -> Result<(), DbErr> {
    let text = "INSERT INTO outbox_incarnation (one, incarnation) VALUES (1, $1) ON CONFLICT (one) DO NOTHING";
    db.execute_raw(statement(db, text, [drawn.into()])).await?;
    Ok(())
}

pub(super) async fn reincarnate(db: &impl ConnectionTrait, drawn: Uuid) -> Result<(), DbErr> {
    draw_incarnation(db, drawn).await?;
    db.execute_raw(statement(db, "UPDATE outbox_incarnation SET incarnation = $1", [drawn.into()])).await?;
    db.execute_unprepared("DELETE FROM outbox_acknowledged").await?;
    let oldest = "SELECT shard, min(position) AS oldest FROM outbox GROUP BY shard ORDER BY shard";
    for row in db.query_all_raw(statement(db, oldest, [])).await? {
        let (shard, oldest) = (row.try_get::<i32>("", "shard")?, row.try_get::<i64>("", "oldest")?);
        // Through the negative numbers, because the key is checked row by row.
        let down = "UPDATE outbox SET position = $2 - position - 1 WHERE shard = $1";
        db.execute_raw(statement(db, down, [shard.into(), oldest.into()])).await?;
        let up = "UPDATE outbox SET position = -position WHERE shard = $1";
        db.execute_raw(statement(db, up, [shard.into()])).await?;
    }
    Ok(())
}

/// Stores what `consumer` has applied: (shard, position), each shard once, ascending.
pub(super) async fn acknowledge(
    db: &impl ConnectionTrait,
    consumer: &str,
    positions: &BTreeMap<u32, i64>,
) -> Result<(), DbErr> {
    let (from, mut values): (_, Vec<Value>) = if is_postgres(db) {
        let shards: Vec<i32> = positions.keys().map(|shard| shard_column(*shard)).collect();
        let positions: Vec<i64> = positions.values().copied().collect();
        ("unnest($2::int[], $3::bigint[]) AS s(shard, position)", vec![shards.into(), positions.into()])
    } else {
        let pairs: Vec<String> = positions.iter().map(|(shard, position)| format!("\"{shard}\":{position}")).collect();
        let pairs = format!("{{{}}}", pairs.join(","));
        // Without a WHERE, SQLite takes ON CONFLICT for a join's.
        (
            "(SELECT CAST(key AS integer) AS shard, value AS position FROM json_each($2)) AS s WHERE true",
            vec![pairs.into()],
        )
    };
    values.insert(0, consumer.into());
    let text = format!(
        "INSERT INTO outbox_acknowledged (consumer, shard, position) SELECT $1, s.shard, s.position FROM {from}
        ON CONFLICT (consumer, shard) DO UPDATE SET position = excluded.position
        WHERE outbox_acknowledged.position < excluded.position"
    );
    db.execute_raw(statement(db, &text, values)).await?;
    Ok(())
}
