//! `audit verify` on databases that somebody has tampered with, and what the database lets nobody do.

use std::process::ExitCode;

use revisit_bootstrap::{Settings, config::Layers};
use revisit_proto::identity::v1 as pb;
use revisit_tests::databases::{Backend, TestDatabase};
use sea_orm::{ConnectionTrait, Statement};
use uuid::Uuid;

use super::support::{World, layers, settings};

/// Entries that a world writes before it is tampered with.
const ENTRIES: i64 = 6;
/// Tables of the log that nobody may change.
const LOCKED: [&str; 4] = ["audit_entry", "audit_row", "audit_field", "audit_checkpoint"];
/// Tables that are put back between two manipulations.
const KEPT: [&str; 5] = ["audit_entry", "audit_row", "audit_field", "audit_checkpoint", "audit_end"];

/// A stopped world with a log of some entries, and what `audit verify` says of it.
struct Stopped {
    database: TestDatabase,
    folder: tempfile::TempDir,
    tenant: Uuid,
    settings: Settings,
}

impl Stopped {
    async fn new(backend: Backend) -> Self {
        let world = World::start(backend).await;
        let root = world.tenant.root_department_id.clone();
        for number in 0..ENTRIES {
            world.department(&root, &format!("store {number}")).await;
        }
        // And one that is found by a field: the boss reads an address clear.
        let lei = world.user("lei", &root, "Sales representative").await;
        let read_mask = Some(prost_types::FieldMask { paths: vec!["email".to_owned()] });
        let get = pb::GetUserRequest { user_id: lei.user_id, read_mask };
        world.admin.directory().get_user(get).await.expect("it is seen");
        let tenant: Uuid = world.tenant.tenant_id.parse().expect("a UUID");
        let count = async |text: &str| -> Option<i64> {
            let reader = &world.database.reader;
            let row = reader.query_one_raw(Statement::from_string(reader.get_database_backend(), text));
            row.await.ok()??.try_get("", "found").ok()
        };
        let chained = "SELECT count(*) AS found FROM audit_entry WHERE action IN ('department.manage', 'user.view')";
        world
            .eventually("the entries are chained", async || (count(chained).await? == ENTRIES + 1).then_some(()))
            .await;
        let unmarked = "SELECT count(*) AS found FROM audit_end e WHERE e.number > \
            (SELECT coalesce(max(c.entry_number), 0) FROM audit_checkpoint c WHERE c.tenant_id = e.tenant_id)";
        world.eventually("a checkpoint covers them", async || (count(unmarked).await? == 0).then_some(())).await;
        let mut layers: Layers = layers(&world.database, &world.folder);
        let _: revisit_identity::Config = layers.take("identity").expect("the section is valid");
        let settings = layers.finish().expect("the settings are valid");
        let World { running, database, folder, .. } = world;
        running.stop().await.expect("it ends in order");
        let stopped = Self { database, folder, tenant, settings };
        assert_eq!(stopped.found().await, None, "nobody has tampered yet");
        stopped
    }

    /// What is wrong with the log of the company, if anything is.
    async fn found(&self) -> Option<String> {
        let findings =
            revisit_identity::verify_audit(&self.settings, revisit_identity::Beside::No).await.expect("it can be read");
        let mut lines = findings.lines.into_iter().filter(|line| line.starts_with(&self.tenant.to_string()));
        lines.find(|line| line.contains("BROKEN") || line.contains("DOUBTFUL"))
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

    /// Takes the locks away, as who owns the tables or has the file can.
    async fn unlock(&self) {
        for table in LOCKED {
            let statements = match self.database.backend {
                Backend::Sqlite => {
                    ["update", "delete"].map(|verb| format!("DROP TRIGGER append_only_{table}_{verb}")).to_vec()
                }
                Backend::Postgres => vec![format!("ALTER TABLE {table} DISABLE TRIGGER append_only")],
            };
            for statement in statements {
                self.database.writer.execute_unprepared(&statement).await.expect("the owner may");
            }
        }
        for table in KEPT {
            let copy = format!("CREATE TABLE kept_{table} AS SELECT * FROM {table}");
            self.database.writer.execute_unprepared(&copy).await.expect("it is copied");
        }
    }

    async fn put_back(&self) {
        for table in KEPT {
            for statement in [format!("DELETE FROM {table}"), format!("INSERT INTO {table} SELECT * FROM kept_{table}")]
            {
                self.database.writer.execute_unprepared(&statement).await.expect("it is put back");
            }
        }
    }

    /// What somebody does who has the database's superuser, or its file.
    async fn tamper(&self, statement: &str) {
        let text = statement
            .replace("OURS", &format!("tenant_id = {}", self.tenant()))
            .replace(
                "NOBODY",
                &match self.database.backend {
                    Backend::Sqlite => "x'00000000000000000000000000000007'".to_owned(),
                    Backend::Postgres => "'00000000-0000-0000-0000-000000000007'".to_owned(),
                },
            )
            .replace(
                "BYTES",
                match self.database.backend {
                    Backend::Sqlite => "x'07'",
                    Backend::Postgres => "'\\x07'",
                },
            );
        let changed = self.database.writer.execute_unprepared(&text).await.expect("the database obeys");
        assert!(changed.rows_affected() > 0, "{text} changes nothing");
    }
}

/// What is done, and what is said of it. `{last}` stands for the number of the last entry, `{next}` for the one after.
const MANIPULATIONS: [(&[&str], &str); 34] = [
    (&["UPDATE audit_entry SET entry = hash WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET hash = entry WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET signature = hash WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET signature = hash WHERE OURS AND number = {last}"], "entry {last} was edited"),
    (&["UPDATE audit_entry SET source = 'customer' WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET incarnation = NOBODY WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET shard = shard + 1 WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET position = position + 1 WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET subject_id = NOBODY WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET subject_id = NULL WHERE OURS AND number = {last}"], "entry {last} was edited"),
    (&["UPDATE audit_entry SET action = 'customer.view' WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET outcome = 3 WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_entry SET time = time + 1 WHERE OURS AND number = 3"], "entry 3 was edited"),
    (&["UPDATE audit_row SET row_id = NOBODY WHERE OURS AND number = {last}"], "entry {last} was edited"),
    (&["UPDATE audit_row SET time = time - 1 WHERE OURS AND number = {last}"], "entry {last} was edited"),
    (&["DELETE FROM audit_row WHERE OURS AND number = {last}"], "entry {last} was edited"),
    (
        &["INSERT INTO audit_row SELECT tenant_id, NOBODY, time, number FROM audit_entry WHERE OURS AND number = 4"],
        "entry 4 was edited",
    ),
    (&["UPDATE audit_row SET number = number + 1000 WHERE OURS AND number = {last}"], "entry {last} was edited"),
    (
        &[
            "INSERT INTO audit_row SELECT tenant_id, NOBODY, time, number + 1000 FROM audit_entry WHERE OURS AND number = 4",
        ],
        "entry {next} is missing",
    ),
    (
        &[
            "INSERT INTO audit_field SELECT tenant_id, 'phone', time, number, subject_id FROM audit_entry WHERE OURS AND number = 4",
        ],
        "entry 4 was edited",
    ),
    (
        &[
            "INSERT INTO audit_field SELECT tenant_id, 'phone', time, number + 1000, subject_id FROM audit_entry WHERE OURS AND number = 4",
        ],
        "entry {next} is missing",
    ),
    (&["UPDATE audit_field SET subject_id = NOBODY WHERE OURS"], "was edited"),
    (&["UPDATE audit_field SET time = time + 1 WHERE OURS"], "was edited"),
    (&["UPDATE audit_entry SET number = -number WHERE OURS AND number = 3"], "entry 3 is missing"),
    (&["DELETE FROM audit_entry WHERE OURS AND number = 3"], "entry 3 is missing"),
    (
        &[
            "DELETE FROM audit_entry WHERE OURS AND number = 3",
            // By way of negative numbers, so that none is there twice meanwhile.
            "UPDATE audit_entry SET number = 1 - number WHERE OURS AND number > 3",
            "UPDATE audit_entry SET number = -number WHERE OURS AND number < 0",
        ],
        "entry 3 was edited",
    ),
    (
        &[
            "UPDATE audit_entry SET number = 1000 WHERE OURS AND number = 3",
            "UPDATE audit_entry SET number = 3 WHERE OURS AND number = 4",
            "UPDATE audit_entry SET number = 4 WHERE OURS AND number = 1000",
        ],
        "entry 3 was edited",
    ),
    (&["DELETE FROM audit_entry WHERE OURS AND number > 4"], "end after entry 4"),
    (
        &["DELETE FROM audit_entry WHERE OURS AND number > 4", "UPDATE audit_end SET number = 4 WHERE OURS"],
        "end after entry 4",
    ),
    (
        &["DELETE FROM audit_entry WHERE OURS AND number > 4", "DELETE FROM audit_checkpoint WHERE OURS"],
        "end after entry 4",
    ),
    (&["DELETE FROM audit_entry WHERE OURS", "DELETE FROM audit_end WHERE OURS"], "end after entry 0"),
    (&["DELETE FROM audit_end WHERE OURS"], "end after entry {last}"),
    (&["UPDATE audit_end SET signature = BYTES WHERE OURS"], "end after entry {last}"),
    (
        &[
            "UPDATE audit_checkpoint SET message = (SELECT o.message FROM audit_checkpoint o WHERE NOT o.OURS LIMIT 1) WHERE OURS",
        ],
        "is not signed by us",
    ),
];

async fn each_way(backend: Backend) {
    let stopped = Stopped::new(backend).await;
    stopped.unlock().await;
    let reader = &stopped.database.reader;
    let last = format!("SELECT max(number) AS last FROM audit_entry WHERE tenant_id = {}", stopped.tenant());
    let last = reader.query_one_raw(Statement::from_string(reader.get_database_backend(), last));
    let last: i64 = last.await.expect("it is read").expect("a row").try_get("", "last").expect("a number");
    let filled = |text: &str| text.replace("{last}", &last.to_string()).replace("{next}", &(last + 1).to_string());
    for (statements, told) in MANIPULATIONS {
        for statement in statements {
            stopped.tamper(&filled(statement)).await;
        }
        let found = stopped.found().await.unwrap_or_default();
        assert!(found.contains(&filled(told)), "{backend:?}: {statements:?}: {found:?}");
        stopped.put_back().await;
        assert_eq!(stopped.found().await, None, "{backend:?}: after {statements:?} all is as it was");
    }
    assert!(stopped.is_whole().await, "{backend:?}: the command ends well");
    stopped.tamper("DELETE FROM audit_entry WHERE OURS AND number = 3").await;
    assert!(!stopped.is_whole().await, "{backend:?}: the command fails");
    stopped.database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_tamper_is_told_with_the_first_bad_entry_on_sqlite() {
    each_way(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_way_to_tamper_is_told_with_the_first_bad_entry_on_postgres() {
    each_way(Backend::Postgres).await;
}

async fn nothing_is_changed(backend: Backend) {
    let stopped = Stopped::new(backend).await;
    // Without a row SQLite has nothing to refuse.
    stopped.tamper("INSERT INTO audit_field SELECT tenant_id, 'x', 1, 1, NULL FROM audit_end").await;
    for table in LOCKED {
        for statement in [format!("UPDATE {table} SET number = number + 1"), format!("DELETE FROM {table}")] {
            let refused = stopped.database.writer.execute_unprepared(&statement).await;
            let told = refused.expect_err(&statement).to_string();
            assert!(told.contains("never changed"), "{backend:?}: {statement}: {told}");
        }
    }
    if backend == Backend::Postgres {
        let refused = stopped.database.writer.execute_unprepared("TRUNCATE audit_entry").await;
        assert!(refused.expect_err("TRUNCATE").to_string().contains("never changed"));
    }
    stopped.database.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_to_change_or_remove_an_entry_on_sqlite() {
    nothing_is_changed(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_database_refuses_to_change_or_remove_an_entry_on_postgres() {
    nothing_is_changed(Backend::Postgres).await;
}

#[tokio::test]
async fn in_a_wrong_place_nothing_is_verified_and_nothing_is_made() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nowhere = folder.path().join("elsewhere");
    let database = TestDatabase::new(Backend::Postgres).await;
    let sqlite = format!("sqlite:{}/revisit.db", nowhere.display());
    for (url, reason) in [(sqlite, "DATABASE_MISSING"), (database.url.clone(), "MIGRATIONS_MISSING")] {
        let mut layers: Layers = layers(&database, &folder);
        layers.add("the wrong place", &format!("[database]\nurl = \"{url}\"\n")).expect("it is TOML");
        let _: revisit_identity::Config = layers.take("identity").expect("the section is valid");
        let settings: Settings = layers.finish().expect("the settings are valid");
        for beside in [revisit_identity::Beside::Yes, revisit_identity::Beside::No] {
            let refused = revisit_identity::verify_audit(&settings, beside).await.err().expect("there is no log");
            assert_eq!(refused.reason, reason, "{refused}");
        }
    }
    assert!(!nowhere.exists(), "a question makes no database");
    database.close().await;
}
