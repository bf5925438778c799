//! `audit verify` on databases that somebody has tampered with.

use std::process::ExitCode;

use revisit_tests::databases::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::support::{World, settings};

/// Entries that a world writes before it is tampered with.
const ENTRIES: i64 = 6;

/// A stopped world with a log of some entries, and what `audit verify` says of it.
struct Stopped {
    database: TestDatabase,
    folder: tempfile::TempDir,
    tenant: Uuid,
}

impl Stopped {
    async fn new(backend: Backend) -> Self {
        let world = World::start(backend).await;
        let root = world.tenant.root_department_id.clone();
        for number in 0..ENTRIES {
            world.department(&root, &format!("store {number}")).await;
        }
        let tenant: Uuid = world.tenant.tenant_id.parse().expect("a UUID");
        let chained = async || {
            let text = "SELECT count(*) AS entries FROM audit_entry WHERE action = 'department.manage'";
            let row = world
                .database
                .reader
                .query_one_raw(Statement::from_string(world.database.reader.get_database_backend(), text));
            let count: i64 = row.await.ok()??.try_get("", "entries").ok()?;
            (count == ENTRIES).then_some(())
        };
        world.eventually("the entries are chained", chained).await;
        let World { running, database, folder, .. } = world;
        running.stop().await.expect("it ends in order");
        let stopped = Self { database, folder, tenant };
        assert!(stopped.is_whole().await, "nobody has tampered yet");
        stopped
    }

    /// Runs the subcommand as an operator does.
    async fn is_whole(&self) -> bool {
        let path = self.folder.path().join("verify.toml");
        std::fs::write(&path, settings(&self.database, &self.folder)).expect("it is written");
        let words = ["--config", path.to_str().expect("UTF-8"), "audit", "verify"];
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        // It has a runtime of its own.
        let code = tokio::task::spawn_blocking(move || revisit_identity::program().run_with(words)).await;
        format!("{:?}", code.expect("no panic")) == format!("{:?}", ExitCode::SUCCESS)
    }

    /// The tenant's id as the database writes it.
    fn tenant(&self) -> String {
        match self.database.backend {
            Backend::Sqlite => format!("x'{}'", self.tenant.simple()),
            Backend::Postgres => format!("'{}'", self.tenant),
        }
    }

    /// What somebody does who has the database's superuser, or its file.
    async fn tamper(&self, statements: &[&str]) {
        for statement in statements {
            let text = statement.replace("OURS", &format!("tenant_id = {}", self.tenant()));
            let changed = self.database.writer.execute_unprepared(&text).await.expect("the database obeys");
            assert!(changed.rows_affected() > 0, "{text} changes nothing");
        }
    }
}

async fn is_found(backend: Backend, what: &str, statements: &[&str]) {
    let stopped = Stopped::new(backend).await;
    stopped.tamper(statements).await;
    assert!(!stopped.is_whole().await, "{backend:?}: not found: {what}");
    stopped.database.close().await;
}

const LAST: &str = "(SELECT max(number) FROM audit_entry WHERE OURS)";

async fn each_way(backend: Backend) {
    is_found(backend, "an edited entry", &["UPDATE audit_entry SET entry = hash WHERE OURS AND number = 3"]).await;
    is_found(
        backend,
        "another service's name",
        &["UPDATE audit_entry SET source = 'customer' WHERE OURS AND number = 3"],
    )
    .await;
    is_found(backend, "a removed entry", &["DELETE FROM audit_entry WHERE OURS AND number = 3"]).await;
    let removed = [
        "DELETE FROM audit_entry WHERE OURS AND number = 3",
        // By way of negative numbers, so that none is there twice meanwhile.
        "UPDATE audit_entry SET number = 1 - number WHERE OURS AND number > 3",
        "UPDATE audit_entry SET number = -number WHERE OURS AND number < 0",
    ];
    is_found(backend, "a removed entry whose gap was closed", &removed).await;
    let swapped = [
        "UPDATE audit_entry SET number = 1000 WHERE OURS AND number = 3",
        "UPDATE audit_entry SET number = 3 WHERE OURS AND number = 4",
        "UPDATE audit_entry SET number = 4 WHERE OURS AND number = 1000",
    ];
    is_found(backend, "two entries in each other's place", &swapped).await;
    let newest = format!("DELETE FROM audit_entry WHERE OURS AND number = {LAST}");
    is_found(backend, "a log cut off at its end", &[&newest]).await;
    let mark = format!("UPDATE audit_end SET number = {LAST} WHERE OURS");
    is_found(backend, "a log cut off at its end, with the mark moved", &[&newest, &mark]).await;
    let all = ["DELETE FROM audit_entry WHERE OURS"];
    is_found(backend, "a log that is gone", &all).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_edited_thinned_reordered_or_cut_off_is_found_on_sqlite() {
    each_way(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_edited_thinned_reordered_or_cut_off_is_found_on_postgres() {
    each_way(Backend::Postgres).await;
}
