//! The consumer's side: which events it has applied, so that a repeat changes nothing.
//!
//! An applied event is a row, written in the transaction of its effect, also when its type is ignored. `progress` is
//! the greatest position of a stream below which none is missing; rows that it has passed go.

pub mod parked;

use sea_orm::{ConnectionTrait, DatabaseTransaction, DbErr, Statement, Value};

use crate::{
    bus::Stream,
    envelope::{Envelope, EnvelopeExt, Malformed},
};

/// Rows that one round of [`advance`] looks at.
const ROUND_ROWS: u64 = 1_000;
/// Rounds of one [`advance`]; what is left is for the next call.
const ROUNDS_MAX: usize = 32;

/// Records that `consumer` applies `event` in `tx`, and answers whether it is the first time. When it is not, the
/// caller changes nothing and acknowledges the event again.
///
/// # Errors
/// When the database fails or the envelope is malformed.
pub async fn first_time(tx: &DatabaseTransaction, consumer: &str, event: &Envelope) -> Result<bool, DbErr> {
    let (stream, key) = key(consumer, event)?;
    let text = "INSERT INTO inbox (consumer, source, event_id, incarnation, shard, position)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (consumer, source, event_id) DO NOTHING";
    // On PostgreSQL this waits for another replica that applies the same event, until that commits or rolls back.
    if tx.execute_raw(statement(tx, text, key.clone())).await?.rows_affected() == 0 {
        // A restored producer offers old events at new places: the row moves there, or progress would find a hole.
        let text = "UPDATE inbox SET incarnation = $4, shard = $5, position = $6
            WHERE consumer = $1 AND source = $2 AND event_id = $3 AND incarnation <> $4";
        tx.execute_raw(statement(tx, text, key)).await?;
        return Ok(false);
    }
    // Only now: another replica may have applied the event, passed it and removed its row before ours was inserted.
    // Whoever removed the row had committed its progress with it, and a statement after the insert's sees that.
    if progress(tx, consumer, &stream).await? < event.position {
        return Ok(true);
    }
    let text = "DELETE FROM inbox WHERE consumer = $1 AND source = $2 AND event_id = $3";
    let [consumer, source, event, ..] = key;
    tx.execute_raw(statement(tx, text, [consumer, source, event])).await?;
    Ok(false)
}

/// The greatest position of `stream` below which, and at which, `consumer` misses nothing; 0 at first.
///
/// # Errors
/// When the database fails.
pub async fn progress(db: &impl ConnectionTrait, consumer: &str, stream: &Stream) -> Result<i64, DbErr> {
    let text = "SELECT position FROM inbox_progress
        WHERE consumer = $1 AND source = $2 AND incarnation = $3 AND shard = $4";
    let row = db.query_one_raw(statement(db, text, place(consumer, stream))).await?;
    row.map_or(Ok(0), |row| row.try_get("", "position"))
}

/// All progress of `consumer` on the streams of `source`: what it acknowledges to the producer when it starts.
///
/// # Errors
/// When the database fails.
pub async fn all_progress(
    db: &impl ConnectionTrait,
    consumer: &str,
    source: &str,
) -> Result<Vec<(Stream, i64)>, DbErr> {
    let text = "SELECT incarnation, shard, position FROM inbox_progress WHERE consumer = $1 AND source = $2
        ORDER BY incarnation, shard";
    let rows = db.query_all_raw(statement(db, text, [consumer.into(), source.into()])).await?;
    rows.iter()
        .map(|row| {
            let shard: i32 = row.try_get("", "shard")?;
            let shard = u32::try_from(shard).map_err(|_| DbErr::Type(format!("{shard} is no shard")))?;
            let stream = Stream { source: source.into(), incarnation: row.try_get("", "incarnation")?, shard };
            Ok((stream, row.try_get("", "position")?))
        })
        .collect()
}

/// Says that `consumer` knows `stream` up to `position` from a snapshot, so that it need not see what was before.
///
/// # Errors
/// When the database fails.
pub async fn begin_at(tx: &DatabaseTransaction, consumer: &str, stream: &Stream, position: i64) -> Result<(), DbErr> {
    let text = "INSERT INTO inbox_progress (consumer, source, incarnation, shard, position)
        VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (consumer, source, incarnation, shard) DO UPDATE SET position = excluded.position
        WHERE inbox_progress.position < excluded.position";
    let [consumer, source, incarnation, shard] = place(consumer, stream);
    tx.execute_raw(statement(tx, text, [consumer, source, incarnation, shard, position.into()])).await?;
    Ok(())
}

/// Moves the progress of `stream` over what has been applied without a gap, removes the rows that it passed and
/// answers where it stands. To be called in a transaction of its own, streams in ascending order.
///
/// # Errors
/// When the database fails.
pub async fn advance(tx: &DatabaseTransaction, consumer: &str, stream: &Stream) -> Result<i64, DbErr> {
    let begun = progress(tx, consumer, stream).await?;
    let mut reached = begun;
    for _ in 0..ROUNDS_MAX {
        let applied = applied_after(tx, consumer, stream, reached).await?;
        let full = applied.len() as u64 == ROUND_ROWS;
        let before = reached;
        for position in applied {
            if position != reached + 1 {
                break;
            }
            reached = position;
        }
        if reached == before || !full {
            break;
        }
    }
    if reached == begun {
        // Another replica may have moved it since it was read, and removed what it passed: what this one has seen would
        // never count as passed here.
        return progress(tx, consumer, stream).await;
    }
    // First the progress: its row's lock makes two replicas remove rows one after the other.
    begin_at(tx, consumer, stream, reached).await?;
    let text = "DELETE FROM inbox
        WHERE consumer = $1 AND source = $2 AND incarnation = $3 AND shard = $4 AND position <= $5";
    let [by, source, incarnation, shard] = place(consumer, stream);
    tx.execute_raw(statement(tx, text, [by, source, incarnation, shard, reached.into()])).await?;
    progress(tx, consumer, stream).await
}

async fn applied_after(
    tx: &DatabaseTransaction,
    consumer: &str,
    stream: &Stream,
    position: i64,
) -> Result<Vec<i64>, DbErr> {
    let text = format!(
        "SELECT position FROM inbox
        WHERE consumer = $1 AND source = $2 AND incarnation = $3 AND shard = $4 AND position > $5
        ORDER BY position LIMIT {ROUND_ROWS}"
    );
    let [consumer, source, incarnation, shard] = place(consumer, stream);
    let values = [consumer, source, incarnation, shard, position.into()];
    tx.query_all_raw(statement(tx, &text, values)).await?.iter().map(|row| row.try_get("", "position")).collect()
}

/// Which event it is to a consumer, and where it lies: the columns `consumer, source, event_id, incarnation, shard,
/// position`.
fn key(consumer: &str, event: &Envelope) -> Result<(Stream, [Value; 6]), DbErr> {
    let malformed = |error: Malformed| DbErr::Type(error.to_string());
    let (stream, id) = (event.stream().map_err(malformed)?, event.id().map_err(malformed)?.uuid());
    let [consumer, source, incarnation, shard] = place(consumer, &stream);
    Ok((stream, [consumer, source, id.into(), incarnation, shard, event.position.into()]))
}

fn place(consumer: &str, stream: &Stream) -> [Value; 4] {
    [consumer.into(), (*stream.source).into(), stream.incarnation.into(), shard_column(stream.shard).into()]
}

fn shard_column(shard: u32) -> i32 {
    i32::try_from(shard).unwrap_or(-1)
}

fn statement(db: &impl ConnectionTrait, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(db.get_database_backend(), text, values)
}
