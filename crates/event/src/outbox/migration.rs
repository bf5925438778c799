//! The tables of the outbox and the inbox. A published migration is never edited: changes are new ones below.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait};

/// What every service's migrator puts before its own.
#[must_use]
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    vec![Box::new(First)]
}

struct First;

impl MigrationName for First {
    fn name(&self) -> &str {
        "event_0001_outbox_and_inbox"
    }
}

/// No table begins with `tenant_id`: outbox and inbox are read by place, and the relay and the consumers are workers,
/// which span tenants. No foreign keys either: rows come and go in bulk.
const FIRST: [&str; 8] = [
    "CREATE TABLE outbox (
        shard integer NOT NULL, position bigint NOT NULL, id {uuid} NOT NULL, tenant_id {uuid} NOT NULL,
        kind {text} NOT NULL, subject {uuid} NOT NULL, sequence bigint NOT NULL, time bigint NOT NULL,
        traceparent {text} NOT NULL, data {bytes} NOT NULL, floor bigint, planted bigint,
        PRIMARY KEY (shard, position))",
    // One row, key 1: which life of this database the positions belong to.
    "CREATE TABLE outbox_incarnation (one integer PRIMARY KEY CHECK (one = 1), incarnation {uuid} NOT NULL)",
    "CREATE TABLE outbox_acknowledged (
        consumer {text} NOT NULL, shard integer NOT NULL, position bigint NOT NULL, PRIMARY KEY (consumer, shard))",
    "CREATE TABLE inbox (
        consumer {text} NOT NULL, source {text} NOT NULL, event_id {uuid} NOT NULL,
        incarnation {uuid} NOT NULL, shard integer NOT NULL, position bigint NOT NULL,
        PRIMARY KEY (consumer, source, event_id))",
    "CREATE INDEX inbox_place ON inbox (consumer, source, incarnation, shard, position)",
    "CREATE TABLE inbox_progress (
        consumer {text} NOT NULL, source {text} NOT NULL, incarnation {uuid} NOT NULL, shard integer NOT NULL,
        position bigint NOT NULL, PRIMARY KEY (consumer, source, incarnation, shard))",
    "CREATE TABLE inbox_parked (
        consumer {text} NOT NULL, source {text} NOT NULL, event_id {uuid} NOT NULL,
        incarnation {uuid} NOT NULL, shard integer NOT NULL, position bigint NOT NULL, tenant {text} NOT NULL,
        kind {text} NOT NULL, subject {text} NOT NULL, time bigint NOT NULL, sequence bigint NOT NULL,
        traceparent {text} NOT NULL, data {bytes} NOT NULL, reason {text} NOT NULL, tries integer NOT NULL,
        parked_at bigint NOT NULL, wanted boolean NOT NULL, PRIMARY KEY (consumer, source, event_id))",
    "CREATE INDEX outbox_acknowledged_shard ON outbox_acknowledged (shard, consumer, position)",
];

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let connection = manager.get_connection();
        let postgres = connection.get_database_backend() == DbBackend::Postgres;
        let (uuid, text, bytes) =
            if postgres { ("uuid", "text COLLATE \"C\"", "bytea") } else { ("blob", "text", "blob") };
        for statement in FIRST {
            let statement = statement.replace("{uuid}", uuid).replace("{text}", text).replace("{bytes}", bytes);
            connection.execute_unprepared(&statement).await?;
        }
        Ok(())
    }
}
