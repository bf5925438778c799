//! Reading and trimming: what the relay asks, and whether everything has arrived.

use revisit_core::Timestamp;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Value};

use super::{Outbox, TRIM_MAX, entity, sql};
use crate::{SHARDS, bus::Stream, envelope::Envelope};

/// How far a shard is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Head {
    /// The shard.
    pub shard: u32,
    /// Its oldest position that is still stored; 0 when it has no row.
    pub oldest: i64,
    /// Its newest position; 0 when it has no row.
    pub newest: i64,
    /// The lowest position that every named consumer has acknowledged; all of it when none is named.
    pub acknowledged: i64,
    /// The earliest instant that the service has planned there; see [`Outbox::planning`].
    pub planned: Option<Timestamp>,
}

impl Head {
    /// Whether every named consumer has acknowledged everything.
    #[must_use]
    pub const fn is_settled(&self) -> bool {
        self.acknowledged >= self.newest
    }

    /// The last position that may go, if there is one: acknowledged by all, and never the newest.
    fn goes_through(&self) -> Option<i64> {
        let through = self.acknowledged.min(self.newest - 1);
        (0 < self.oldest && self.oldest <= through).then_some(through)
    }
}

impl Outbox {
    /// How far every shard is, in one statement of index descents.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn heads(&self, db: &impl ConnectionTrait) -> Result<Vec<Head>, DbErr> {
        let shards: Vec<u32> = (0..SHARDS).collect();
        let (from, list) = sql::shards_from(db, &shards);
        let consumers = self.consumers();
        let names: Vec<String> = (2..consumers.len() + 2).map(|number| format!("${number}")).collect();
        let acknowledged = if consumers.is_empty() {
            "NULL".to_owned()
        } else {
            // A named consumer without a row has acknowledged nothing.
            format!(
                "(SELECT CASE WHEN count(*) = {} THEN min(a.position) ELSE 0 END
                  FROM outbox_acknowledged a WHERE a.shard = s.shard AND a.consumer IN ({}))",
                consumers.len(),
                names.join(", ")
            )
        };
        let planned = self.0.planned.unwrap_or("NULL");
        let text = format!(
            "SELECT s.shard, (SELECT min(o.position) FROM outbox o WHERE o.shard = s.shard) AS oldest,
                (SELECT max(o.position) FROM outbox o WHERE o.shard = s.shard) AS newest,
                CAST({acknowledged} AS bigint) AS acknowledged, CAST({planned} AS bigint) AS planned FROM {from}"
        );
        let values = std::iter::once(list).chain(consumers.iter().map(|consumer| Value::from(consumer.as_str())));
        let rows = db.query_all_raw(sql::statement(db, &text, values)).await?;
        rows.iter()
            .map(|row| {
                let oldest = row.try_get::<Option<i64>>("", "oldest")?.unwrap_or(0);
                let newest = row.try_get::<Option<i64>>("", "newest")?.unwrap_or(0);
                let acknowledged = row.try_get::<Option<i64>>("", "acknowledged")?.unwrap_or(newest);
                let planned = row.try_get::<Option<i64>>("", "planned")?.map(Timestamp::from_micros);
                Ok(Head { shard: sql::shard_of(row)?, oldest, newest, acknowledged, planned })
            })
            .collect()
    }

    /// The last position of each shard that is not offered to `consumer` any more, where there is one: it has
    /// acknowledged it, or the rows are gone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn gone(&self, db: &impl ConnectionTrait, consumer: &str) -> Result<Vec<(u32, i64)>, DbErr> {
        let shards: Vec<u32> = (0..SHARDS).collect();
        let (from, list) = sql::shards_from(db, &shards);
        let text = format!(
            "SELECT s.shard, (SELECT min(o.position) FROM outbox o WHERE o.shard = s.shard) AS oldest,
                (SELECT a.position FROM outbox_acknowledged a WHERE a.shard = s.shard AND a.consumer = $2) AS seen
            FROM {from}"
        );
        let mut gone = Vec::new();
        for row in db.query_all_raw(sql::statement(db, &text, [list, consumer.into()])).await? {
            let oldest = row.try_get::<Option<i64>>("", "oldest")?.unwrap_or(1);
            let seen = row.try_get::<Option<i64>>("", "seen")?.unwrap_or(0);
            gone.push((sql::shard_of(&row)?, seen.max(oldest - 1)));
        }
        gone.retain(|(_, position)| *position > 0);
        Ok(gone)
    }

    /// Whether every event has been published, and acknowledged by every named consumer.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn settled(&self, db: &impl ConnectionTrait) -> Result<bool, DbErr> {
        Ok(self.heads(db).await?.iter().all(Head::is_settled))
    }

    /// The first `limit` events of a shard after `position`, in order.
    pub(crate) async fn after(
        &self,
        db: &impl ConnectionTrait,
        stream: &Stream,
        position: i64,
        limit: usize,
    ) -> Result<Vec<Envelope>, DbErr> {
        let rows = entity::Entity::find()
            .filter(entity::Column::Shard.eq(sql::shard_column(stream.shard)))
            .filter(entity::Column::Position.gt(position))
            .order_by_asc(entity::Column::Position)
            .limit(limit as u64)
            .all(db)
            .await?;
        Ok(rows.into_iter().map(|row| envelope(stream, row)).collect())
    }

    /// Deletes rows that every named consumer has acknowledged, at most [`TRIM_MAX`] of each shard, and never a
    /// shard's newest row: the next position and the floor are read from it. Answers how many went. `heads` say which
    /// shards have any, so that without one SQLite's only writer is left alone.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn trim(&self, db: &impl ConnectionTrait, heads: &[Head]) -> Result<u64, DbErr> {
        let mut gone = 0;
        for head in heads {
            let Some(through) = head.goes_through() else { continue };
            // Positions are gapless, so the oldest one bounds the batch.
            let text = "DELETE FROM outbox WHERE shard = $1 AND position <= $2
                AND position < (SELECT min(o.position) FROM outbox o WHERE o.shard = $1) + $3";
            let values = [sql::shard_column(head.shard).into(), through.into(), TRIM_MAX.into()];
            gone += db.execute_raw(sql::statement(db, text, values)).await?.rows_affected();
        }
        Ok(gone)
    }
}

fn envelope(stream: &Stream, row: entity::Model) -> Envelope {
    Envelope {
        id: row.id.to_string(),
        source: stream.source.to_string(),
        r#type: row.kind,
        subject: row.subject.to_string(),
        time_micros: row.time,
        tenantid: row.tenant_id.to_string(),
        sequence: row.sequence,
        traceparent: row.traceparent,
        data: row.data,
        shard: stream.shard,
        position: row.position,
        incarnation: stream.incarnation.to_string(),
    }
}
