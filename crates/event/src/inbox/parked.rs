//! Events that a consumer could not apply, kept whole with the reason until somebody has them tried again or gives
//! them up.
//!
//! A parked event counts as seen: progress passes it, so that an event that can never be applied holds up nothing but
//! itself. What it would have changed is missing until it is applied after all.

use revisit_core::Timestamp;
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr, QueryResult, Value};
use uuid::Uuid;

use super::{key, statement};
use crate::envelope::Envelope;

/// Characters of a reason that are kept.
const REASON_CHARS_MAX: usize = 1_000;
/// Events of one list.
pub const LIST_MAX: usize = 1_000;

/// Why and when an event was parked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// What the last try said.
    pub reason: String,
    /// How often it was tried in all.
    pub tries: u32,
    /// When the last try was.
    pub at: Timestamp,
}

/// A parked event.
#[derive(Clone, PartialEq, Debug)]
pub struct Parked {
    /// The event as it arrived.
    pub event: Envelope,
    /// Why it lies here.
    pub verdict: Verdict,
    /// Whether somebody wants it to be tried again.
    pub wanted: bool,
}

/// How many events are parked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Standing {
    /// All of them.
    pub parked: i64,
    /// Those that somebody wants to be tried again.
    pub wanted: i64,
}

/// Parks an event, or notes that another try has failed: then it waits to be wanted anew.
///
/// # Errors
/// When the database fails or the envelope is malformed.
pub async fn park(tx: &DatabaseTransaction, consumer: &str, event: &Envelope, verdict: &Verdict) -> Result<(), DbErr> {
    let (_, key) = key(consumer, event)?;
    let text = "INSERT INTO inbox_parked (consumer, source, event_id, incarnation, shard, position, tenant, kind,
            subject, time, sequence, traceparent, data, reason, tries, parked_at, wanted)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
        ON CONFLICT (consumer, source, event_id) DO UPDATE SET reason = excluded.reason, tries = excluded.tries,
            parked_at = excluded.parked_at, wanted = excluded.wanted";
    let facts: [Value; 11] = [
        event.tenantid.as_str().into(),
        event.r#type.as_str().into(),
        event.subject.as_str().into(),
        event.time_micros.into(),
        event.sequence.into(),
        event.traceparent.as_str().into(),
        event.data.clone().into(),
        verdict.reason.chars().take(REASON_CHARS_MAX).collect::<String>().into(),
        i32::try_from(verdict.tries).unwrap_or(i32::MAX).into(),
        verdict.at.micros().into(),
        false.into(),
    ];
    tx.execute_raw(statement(tx, text, key.into_iter().chain(facts))).await?;
    Ok(())
}

/// How many events of `consumer` are parked.
///
/// # Errors
/// When the database fails.
pub async fn standing(db: &impl ConnectionTrait, consumer: &str) -> Result<Standing, DbErr> {
    let text = "SELECT count(*) AS parked, COALESCE(SUM(CASE WHEN wanted THEN 1 ELSE 0 END), 0) AS wanted
        FROM inbox_parked WHERE consumer = $1";
    let Some(row) = db.query_one_raw(statement(db, text, [consumer.into()])).await? else {
        return Ok(Standing::default());
    };
    Ok(Standing { parked: row.try_get("", "parked")?, wanted: row.try_get("", "wanted")? })
}

/// The parked events of `consumer`, the longest parked first; at most [`LIST_MAX`].
///
/// # Errors
/// When the database fails.
pub async fn list(db: &impl ConnectionTrait, consumer: &str) -> Result<Vec<Parked>, DbErr> {
    let text =
        format!("SELECT * FROM inbox_parked WHERE consumer = $1 ORDER BY parked_at, source, event_id LIMIT {LIST_MAX}");
    db.query_all_raw(statement(db, &text, [consumer.into()])).await?.iter().map(read).collect()
}

/// The next event that is wanted, locked; one that another replica tries is passed over.
///
/// # Errors
/// When the database fails.
pub async fn next_wanted(tx: &DatabaseTransaction, consumer: &str) -> Result<Option<Parked>, DbErr> {
    let lock = if tx.get_database_backend() == DbBackend::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
    let text = format!(
        "SELECT * FROM inbox_parked WHERE consumer = $1 AND wanted
        ORDER BY source, incarnation, shard, position LIMIT 1 {lock}"
    );
    tx.query_one_raw(statement(tx, &text, [consumer.into()])).await?.as_ref().map(read).transpose()
}

/// Has one event, or all of them, tried again by the consumer; answers how many.
///
/// # Errors
/// When the database fails.
pub async fn want(db: &impl ConnectionTrait, consumer: &str, event: Option<Uuid>) -> Result<u64, DbErr> {
    let text = "UPDATE inbox_parked SET wanted = true WHERE consumer = $1";
    let done = match event {
        None => db.execute_raw(statement(db, text, [consumer.into()])).await?,
        Some(id) => {
            let text = format!("{text} AND event_id = $2");
            db.execute_raw(statement(db, &text, [consumer.into(), id.into()])).await?
        }
    };
    Ok(done.rows_affected())
}

/// Removes an event: it was applied, or it is given up. Answers whether it was there.
///
/// # Errors
/// When the database fails.
pub async fn remove(db: &impl ConnectionTrait, consumer: &str, event: Uuid) -> Result<bool, DbErr> {
    let text = "DELETE FROM inbox_parked WHERE consumer = $1 AND event_id = $2";
    Ok(db.execute_raw(statement(db, text, [consumer.into(), event.into()])).await?.rows_affected() > 0)
}

fn read(row: &QueryResult) -> Result<Parked, DbErr> {
    let uuid = |name: &str| row.try_get::<Uuid>("", name).map(|id| id.to_string());
    let number = |name: &str| {
        let number: i32 = row.try_get("", name)?;
        u32::try_from(number).map_err(|_| DbErr::Type(format!("{name} is negative")))
    };
    let event = Envelope {
        id: uuid("event_id")?,
        source: row.try_get("", "source")?,
        r#type: row.try_get("", "kind")?,
        subject: row.try_get("", "subject")?,
        time_micros: row.try_get("", "time")?,
        tenantid: row.try_get("", "tenant")?,
        sequence: row.try_get("", "sequence")?,
        traceparent: row.try_get("", "traceparent")?,
        data: row.try_get("", "data")?,
        shard: number("shard")?,
        position: row.try_get("", "position")?,
        incarnation: uuid("incarnation")?,
    };
    let at = Timestamp::from_micros(row.try_get("", "parked_at")?);
    let verdict = Verdict { reason: row.try_get("", "reason")?, tries: number("tries")?, at };
    Ok(Parked { event, verdict, wanted: row.try_get("", "wanted")? })
}
