//! Outbox, relay and inbox on both databases: what is committed arrives, in order, and is applied once.

mod floor;
mod inbox;
mod positions;
mod relay;
mod storm;

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use revisit_core::{Ids, ManualClock, Timestamp, id::TenantId};
use revisit_event::{
    Appended, Bus, Draft, Envelope, Outbox, Relay, Stream, inbox as event_inbox, outbox::Head, relay::Pools, shard,
};
use revisit_proto::customer::v1::SegmentLeft;
use revisit_tests::databases::TestDatabase;
use sea_orm::{ConnectionTrait, Statement, Value};
use sea_orm_migration::{MigrationTrait, MigratorTrait};
use uuid::Uuid;

/// The tables of the event crate, and nothing else.
struct Tables;

impl MigratorTrait for Tables {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        revisit_event::migrations()
    }
}

/// A producer with its consumers' names, its relay and its bus, over one database that also holds the consumer's side.
struct World<'a> {
    database: &'a TestDatabase,
    time: ManualClock,
    outbox: Outbox,
    bus: Bus,
    /// Lease time in microseconds; negative while there is no lease.
    lease: Arc<AtomicI64>,
}

fn tenant() -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(1))
}

/// A key whose events go to `wanted`.
fn key_in(wanted: u32) -> Uuid {
    (0..).map(Uuid::from_u128).find(|key| shard(tenant(), *key) == wanted).expect("keys reach every shard")
}

fn draft(shard: u32, sequence: i64) -> Draft {
    let left = SegmentLeft { segment_id: "s".into(), customer_id: "c".into(), crossing: sequence };
    Draft::new(tenant(), Uuid::from_u128(7), sequence, &left).keyed(key_in(shard))
}

impl<'a> World<'a> {
    fn new(database: &'a TestDatabase) -> Self {
        let time = ManualClock::frozen(Timestamp::from_seconds(1_000));
        let outbox = Outbox::new("customer", time.clock(), Ids::seeded(1)).consumed_by(["notification", "followup"]);
        let bus = Bus::memory(time.clock());
        Self { database, time, outbox, bus, lease: Arc::new(AtomicI64::new(-1)) }
    }

    fn relay(&self) -> Relay {
        let pools = Pools { reader: self.database.reader.clone(), writer: self.database.writer.clone() };
        let lease = self.lease.clone();
        let lease_time = move || Some(lease.load(Ordering::SeqCst)).filter(|at| *at >= 0).map(Timestamp::from_micros);
        Relay::new(self.outbox.clone(), pools, self.bus.clone(), Arc::new(lease_time))
    }

    async fn append(&self, drafts: Vec<Draft>) -> Vec<Appended> {
        let tx = self.database.begin().await;
        let appended = self.outbox.append(&tx, drafts).await.expect("appended");
        tx.commit().await.expect("committed");
        self.outbox.committed();
        appended
    }

    async fn append_many(&self, shard: u32, count: i64) {
        self.append((1..=count).map(|sequence| draft(shard, sequence)).collect()).await;
    }

    async fn incarnation(&self) -> Uuid {
        self.outbox.incarnation(&self.database.writer).await.expect("drawn")
    }

    async fn acknowledge(&self, consumer: &str, positions: &[(u32, i64)]) {
        let incarnation = self.incarnation().await;
        let tx = self.database.begin().await;
        self.outbox.acknowledge(&tx, consumer, incarnation, positions).await.expect("acknowledged");
        tx.commit().await.expect("committed");
        self.outbox.committed();
    }

    async fn head(&self, shard: u32) -> Head {
        let heads = self.outbox.heads(&self.database.reader).await.expect("read");
        *heads.iter().find(|head| head.shard == shard).expect("every shard has a head")
    }

    /// Deletes what all have acknowledged; answers how many rows went.
    async fn trim(&self) -> u64 {
        let heads = self.outbox.heads(&self.database.reader).await.expect("read");
        self.outbox.trim(&self.database.writer, &heads).await.expect("trimmed")
    }

    /// The positions of a shard that are stored, ascending.
    async fn positions(&self, shard: u32) -> Vec<i64> {
        let rows = self.rows("SELECT position AS value FROM outbox WHERE shard = $1 ORDER BY position", shard).await;
        rows.into_iter().flatten().collect()
    }

    async fn rows(&self, text: &str, shard: u32) -> Vec<Option<i64>> {
        let shard = Value::from(i32::try_from(shard).expect("small"));
        let database = &self.database.reader;
        let statement = Statement::from_sql_and_values(database.get_database_backend(), text, [shard]);
        let rows = database.query_all_raw(statement).await.expect("read");
        rows.iter().map(|row| row.try_get("", "value").expect("a number")).collect()
    }

    async fn stream(&self, shard: u32) -> Stream {
        Stream { source: "customer".into(), incarnation: self.incarnation().await, shard }
    }

    /// What a fresh group finds on the bus, in the order in which it is offered.
    async fn on_the_bus(&self, group: &str) -> Vec<(u32, i64)> {
        let member = self.bus.subscribe(group, &["customer"]).await.expect("subscribed");
        let mut found = Vec::new();
        loop {
            let entries = member.take(100).await.expect("taken");
            if entries.is_empty() {
                return found;
            }
            found.extend(entries.iter().map(|entry| (entry.shard, entry.position)));
        }
    }

    /// Applies `entry` as the consumer does: inbox row and effect in one transaction. Answers whether it had one.
    async fn apply(&self, consumer: &str, entry: &Envelope) -> bool {
        let tx = self.database.begin().await;
        let first = event_inbox::first_time(&tx, consumer, entry).await.expect("asked");
        if first {
            let text = "INSERT INTO effect (event) VALUES ($1)";
            let values = [Value::from(entry.id.as_str())];
            tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), text, values))
                .await
                .expect("done");
        }
        tx.commit().await.expect("committed");
        first
    }

    /// A table that takes the same effect twice, so that a doubled one shows.
    async fn make_effects(&self) {
        self.database.writer.execute_unprepared("CREATE TABLE effect (event text NOT NULL)").await.expect("made");
    }

    /// How many effects there are, and how many different ones.
    async fn effects(&self) -> (i64, i64) {
        let count = async |what: &str| {
            let rows = self.rows(&format!("SELECT count({what}) AS value FROM effect WHERE $1 = $1"), 0).await;
            rows.first().copied().flatten().expect("one row")
        };
        (count("*").await, count("DISTINCT event").await)
    }

    async fn advance(&self, consumer: &str, shard: u32) -> i64 {
        let stream = self.stream(shard).await;
        let tx = self.database.begin().await;
        let reached = event_inbox::advance(&tx, consumer, &stream).await.expect("advanced");
        tx.commit().await.expect("committed");
        reached
    }
}
