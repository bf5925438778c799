//! The outbox: events are committed with the state that they tell of, at gapless positions in commit order.
//!
//! Why the positions hold: on PostgreSQL an append takes one transaction-scoped advisory lock per shard, ascending and
//! as the last locks of its transaction, and reads the newest row by a statement after the locks', whose snapshot
//! (READ COMMITTED) therefore shows what the former holder committed. The lock is held until the commit, so positions
//! are given in commit order, and a rollback gives its positions back. On SQLite the one immediate write transaction
//! does the same. The primary key would refuse a second writer in any other isolation.

use std::{collections::BTreeMap, sync::Arc};

use revisit_core::{Clock, Failure, Ids, Kind, Timestamp, id::EventId};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, DbErr};
use tokio::sync::{Notify, watch};
use uuid::Uuid;

use crate::{SHARDS, draft::Draft};

mod append;
mod entity;
mod migration;
mod read;
mod sql;

pub use migration::migrations;
pub use read::Head;
pub use sql::Newest;

/// The largest encoded message of an event.
pub const DATA_BYTES_MAX: usize = 256 * 1024;
/// The most events of one append: a bulk job emits at most this many in one transaction.
pub const APPEND_MAX: usize = 10_000;
/// Rows deleted per shard and call of [`Outbox::trim`].
pub const TRIM_MAX: i64 = 1_000;

/// The outbox of one service. Cheap to clone; it holds no connection, callers bring theirs.
#[derive(Clone, Debug)]
pub struct Outbox(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: &'static str,
    clock: Clock,
    ids: Ids,
    consumers: Vec<String>,
    /// What the service looks for beside its outbox, and what the relay has last found of it.
    planned: Option<&'static str>,
    found: watch::Sender<Option<Timestamp>>,
    committed: Notify,
}

/// Where an appended event lies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Appended {
    /// The event's id.
    pub id: EventId,
    /// Its shard.
    pub shard: u32,
    /// Its position there.
    pub position: i64,
}

/// Why an acknowledgement was not stored.
#[derive(Debug)]
pub enum Refused {
    /// The positions belong to another life of this database.
    IncarnationChanged,
    /// The configuration does not name this consumer.
    UnknownConsumer,
    /// There is no such shard, or no such position in it yet.
    NoSuchPosition {
        /// The shard as named.
        shard: u32,
    },
    /// The database failed.
    Database(DbErr),
}

impl From<DbErr> for Refused {
    fn from(error: DbErr) -> Self {
        Self::Database(error)
    }
}
impl From<Refused> for Failure {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::IncarnationChanged => {
                Self::new(Kind::Precondition, "INCARNATION_CHANGED", "the positions belong to another incarnation")
            }
            Refused::UnknownConsumer => {
                Self::new(Kind::Denied, "CONSUMER_UNKNOWN", "the configuration does not name this consumer")
            }
            Refused::NoSuchPosition { shard } => {
                Self::invalid_field("positions", format!("shard {shard} has no such position"))
            }
            Refused::Database(error) => Self::internal(error),
        }
    }
}

impl Outbox {
    /// The outbox of the service `source`, without consumers: nothing is published until some are named.
    #[must_use]
    pub fn new(source: &'static str, clock: Clock, ids: Ids) -> Self {
        Self(Arc::new(Inner {
            source,
            clock,
            ids,
            consumers: Vec::new(),
            planned: None,
            found: watch::Sender::new(None),
            committed: Notify::new(),
        }))
    }

    /// The outbox with the consumers that the configuration names; rows stay until all of them have passed. To be
    /// called once, before it is cloned: earlier clones know neither the consumers nor each other's hints.
    #[must_use]
    pub fn consumed_by<S: Into<String>>(self, consumers: impl IntoIterator<Item = S>) -> Self {
        let mut consumers: Vec<String> = consumers.into_iter().map(Into::into).collect();
        consumers.sort();
        consumers.dedup();
        Self(Arc::new(Inner { consumers, ..self.anew() }))
    }

    /// The outbox whose relay also looks for what the service has planned: `planned` is an SQL expression over a shard
    /// `s.shard` that answers the earliest instant in microseconds, or null. So an idle replica asks its database one
    /// question and not two. To be called once, before it is cloned, too.
    #[must_use]
    pub fn planning(self, planned: &'static str) -> Self {
        Self(Arc::new(Inner { planned: Some(planned), ..self.anew() }))
    }

    fn anew(&self) -> Inner {
        Inner {
            source: self.0.source,
            clock: self.0.clock.clone(),
            ids: self.0.ids.clone(),
            consumers: self.0.consumers.clone(),
            planned: self.0.planned,
            found: watch::Sender::new(None),
            committed: Notify::new(),
        }
    }

    /// The earliest planned instant, as often as the relay looks: each half second, and after each hint of a commit.
    #[must_use]
    pub fn planned(&self) -> watch::Receiver<Option<Timestamp>> {
        self.0.found.subscribe()
    }

    pub(crate) fn found(&self, planned: Option<Timestamp>) {
        self.0.found.send_replace(planned);
    }

    /// Name of the service.
    #[must_use]
    pub fn source(&self) -> &'static str {
        self.0.source
    }

    /// The named consumers, in byte order.
    #[must_use]
    pub fn consumers(&self) -> &[String] {
        &self.0.consumers
    }

    /// Appends the drafts as the last statements of `tx`: nothing may be locked after it, or shards could deadlock.
    /// Drafts of one shard keep their order. Answers where each draft lies, in the order given.
    ///
    /// # Errors
    /// When the database fails, or a draft or their number is beyond its maximum.
    pub async fn append(&self, tx: &DatabaseTransaction, drafts: Vec<Draft>) -> Result<Vec<Appended>, DbErr> {
        append::append(self, tx, drafts).await
    }

    /// The newest row of each of `shards`, by index descents: what a fire transaction reads before it scans.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn newest(&self, db: &impl ConnectionTrait, shards: &[u32]) -> Result<Vec<Newest>, DbErr> {
        sql::newest(db, shards).await
    }

    /// To be called after the commit of a transaction that appended: wakes the relay. A hint that is lost costs half
    /// a second.
    pub fn committed(&self) {
        self.0.committed.notify_one();
    }

    /// Waits for [`Outbox::committed`].
    pub(crate) async fn woken(&self) {
        self.0.committed.notified().await;
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.0.clock
    }

    /// The incarnation of this database, drawn by the first who asks. `db` must be able to write.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn incarnation(&self, db: &impl ConnectionTrait) -> Result<Uuid, DbErr> {
        if let Some(incarnation) = sql::incarnation(db).await? {
            return Ok(incarnation);
        }
        sql::draw_incarnation(db, self.draw()).await?;
        // Another replica may have been first: what is stored counts.
        sql::incarnation(db).await?.ok_or_else(|| DbErr::RecordNotFound("outbox_incarnation".to_owned()))
    }

    /// Begins a new life after a restore, with every process of the service stopped: a new incarnation, no
    /// acknowledgements, and positions that start anew from 1, so that consumers find no hole before them.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn reincarnate(&self, tx: &DatabaseTransaction) -> Result<Uuid, DbErr> {
        let incarnation = self.draw();
        sql::reincarnate(tx, incarnation).await?;
        Ok(incarnation)
    }

    /// Consumers take the greater one for the later life.
    fn draw(&self) -> Uuid {
        self.0.ids.next::<revisit_core::id::kind::Event>(self.0.clock.wall()).uuid()
    }

    /// Stores that `consumer` has applied everything up to each (shard, position). Repeats and older positions change
    /// nothing. Call [`Outbox::committed`] after the commit: there may be room on the bus again.
    ///
    /// # Errors
    /// When the consumer, the incarnation or a position is not one of this outbox, or the database fails.
    pub async fn acknowledge(
        &self,
        tx: &DatabaseTransaction,
        consumer: &str,
        incarnation: Uuid,
        positions: &[(u32, i64)],
    ) -> Result<(), Refused> {
        if !self.0.consumers.iter().any(|named| named == consumer) {
            return Err(Refused::UnknownConsumer);
        }
        if sql::incarnation(tx).await? != Some(incarnation) {
            return Err(Refused::IncarnationChanged);
        }
        // Ascending shards, so that two acknowledgements of one consumer cannot deadlock; the greatest of each.
        let mut greatest = BTreeMap::new();
        for (shard, position) in positions {
            let held = greatest.entry(*shard).or_insert(*position);
            *held = (*held).max(*position);
        }
        let shards: Vec<u32> = greatest.keys().copied().collect();
        for newest in sql::newest(tx, &shards).await? {
            let named = greatest.get(&newest.shard).copied().unwrap_or(0);
            if newest.shard >= SHARDS || !(0..=newest.position).contains(&named) {
                return Err(Refused::NoSuchPosition { shard: newest.shard });
            }
        }
        sql::acknowledge(tx, consumer, &greatest).await?;
        Ok(())
    }
}

/// Whether statements need PostgreSQL's form.
fn is_postgres(db: &impl ConnectionTrait) -> bool {
    db.get_database_backend() == DbBackend::Postgres
}
