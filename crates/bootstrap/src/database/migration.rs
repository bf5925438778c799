//! The tables that bootstrap brings into a service's database. A published migration is never edited.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::{MigrationName, MigrationTrait, SchemaManager, async_trait::async_trait};

use super::{append_only::append_only, isolate::isolate};

/// What every service's migrator puts before its own: the event tables, then those of repeated requests, of
/// sealing and of checkpoints.
#[must_use]
pub fn migrations() -> Vec<Box<dyn MigrationTrait>> {
    let mut all = revisit_event::migrations();
    all.push(Box::new(First));
    all.push(Box::new(Checkpoints));
    all
}

/// Runs statements in which `{uuid}`, `{text}` and `{bytes}` stand for the column types of the database at hand.
pub async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let postgres = connection.get_database_backend() == DbBackend::Postgres;
    let (uuid, text, bytes) = if postgres { ("uuid", "text COLLATE \"C\"", "bytea") } else { ("blob", "text", "blob") };
    for statement in statements {
        let statement = statement.replace("{uuid}", uuid).replace("{text}", text).replace("{bytes}", bytes);
        connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}

struct First;

impl MigrationName for First {
    fn name(&self) -> &str {
        "bootstrap_0001_requests_and_sealing"
    }
}

const FIRST: [&str; 4] = [
    "CREATE TABLE request (
        tenant_id {uuid} NOT NULL, subject {uuid} NOT NULL, request_id {uuid} NOT NULL, rpc {text} NOT NULL,
        body_digest {bytes} NOT NULL, answer {bytes} NOT NULL, expires_at bigint NOT NULL,
        PRIMARY KEY (tenant_id, subject, request_id))",
    "CREATE INDEX request_expiry ON request (expires_at)",
    // The tenant's key, wrapped by a key of the ring.
    "CREATE TABLE sealing_tenant_key (
        tenant_id {uuid} NOT NULL PRIMARY KEY, ring_key {text} NOT NULL, wrapped {bytes} NOT NULL)",
    // An owner's key, wrapped by the tenant's; without one it was destroyed and no other may be made.
    "CREATE TABLE sealing_key (
        tenant_id {uuid} NOT NULL, owner {uuid} NOT NULL, wrapped {bytes}, PRIMARY KEY (tenant_id, owner))",
];

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for First {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &FIRST).await?;
        for table in ["request", "sealing_tenant_key", "sealing_key"] {
            isolate(manager, table).await?;
        }
        Ok(())
    }
}

struct Checkpoints;

impl MigrationName for Checkpoints {
    fn name(&self) -> &str {
        "bootstrap_0002_checkpoints"
    }
}

// The digest is in the key: a second checkpoint of one number is kept beside the first.
const CHECKPOINTS: [&str; 1] = ["CREATE TABLE audit_checkpoint (
        tenant_id {uuid} NOT NULL, number bigint NOT NULL, digest {bytes} NOT NULL, entry_number bigint NOT NULL,
        made_at bigint NOT NULL, message {bytes} NOT NULL, PRIMARY KEY (tenant_id, number, digest))"];

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for Checkpoints {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        run(manager, &CHECKPOINTS).await?;
        isolate(manager, "audit_checkpoint").await?;
        append_only(manager, "audit_checkpoint").await
    }
}
