//! What three services remember of identity's audit log: who changes it in identity's database is told by them.

use std::{path::Path, time::Duration};

use revisit_bootstrap::{Process, Settings};
use revisit_identity::Beside;
use revisit_tests::{
    databases::{Backend, connect_to},
    world::World,
};
use sea_orm::{ConnectionTrait, Database, DatabaseConnection, Statement};

/// What identity shows to the others, when it runs and when its log is verified.
const TOKEN: &str = "[callers.identity]\ntoken = \"a-token-of-identity\"\n[identity]\naudit_checkpoint_seconds = 1\n";
/// How long a checkpoint may take to be made and told.
const PATIENCE: Duration = Duration::from_secs(30);
/// Who keeps checkpoints beside identity.
const KEEPERS: [&str; 3] = ["customer", "followup", "notification"];

/// Tables of the log that the database does not let anybody change, and all that are brought back.
const TABLES: [&str; 4] = ["audit_entry", "audit_row", "audit_field", "audit_checkpoint"];
const BROUGHT_BACK: [&str; 5] = ["audit_entry", "audit_row", "audit_field", "audit_checkpoint", "audit_end"];

/// A running world, and ways into its databases past it.
struct Watched {
    world: World,
    backend: Backend,
    settings: Settings,
}

impl Watched {
    async fn start(backend: Backend) -> Self {
        let world = World::start_with(backend, TOKEN).await;
        let address = world.running.address();
        let peers: String = KEEPERS.iter().map(|keeper| format!("{keeper} = \"http://{address}\"\n")).collect();
        let sqlite = format!("[database]\nurl = \"sqlite:{}/{{service}}.sqlite\"\n", world.folder().display());
        let databases = if backend == Backend::Sqlite { &sqlite } else { world.database_settings() };
        let mut layers = Process::manuals(&[revisit_identity::service()], &[]).expect("the manuals are TOML");
        for text in [databases, TOKEN, &format!("[peers]\n{peers}")] {
            layers.add("the test", text).expect("it is TOML");
        }
        let _: revisit_identity::Config = layers.take("identity").expect("the section is valid");
        let settings = layers.finish().expect("the settings are valid");
        Self { world, backend, settings }
    }

    async fn open(&self, service: &str) -> DatabaseConnection {
        match self.backend {
            Backend::Postgres => connect_to(&self.world.database(service)).await,
            Backend::Sqlite => {
                let file: &Path = self.world.folder();
                let url = format!("sqlite:{}/{service}.sqlite?mode=rw", file.display());
                Database::connect(url).await.expect("the file is there")
            }
        }
    }

    /// Writes some entries, and waits until everybody keeps a checkpoint of the newest.
    async fn work(&self, name: &str) {
        self.world.department(name, &self.world.root).await;
        self.world.advance(Duration::from_secs(5)).await;
        let identity = self.open("identity").await;
        let covered = "SELECT count(*) AS found FROM audit_end e WHERE e.number > \
            (SELECT coalesce(max(c.entry_number), 0) FROM audit_checkpoint c WHERE c.tenant_id = e.tenant_id)";
        eventually("a checkpoint covers the log", async || number(&identity, covered).await == 0).await;
        self.world.settle().await;
    }

    async fn findings(&self) -> Vec<String> {
        let beside = revisit_identity::verify_audit(&self.settings, Beside::Yes).await.expect("it can be read").lines;
        let asked = revisit_identity::verify_audit(&self.settings, Beside::No).await.expect("it can be read").lines;
        assert_eq!(beside, asked, "whether they are asked or their databases are read");
        asked
    }
}

async fn eventually(what: &str, holds: impl AsyncFn() -> bool) {
    let asking = async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.expect(what);
}

async fn number(database: &DatabaseConnection, text: &str) -> i64 {
    let row = database.query_one_raw(Statement::from_string(database.get_database_backend(), text)).await;
    row.expect("it is read").expect("a row").try_get("", "found").expect("a number")
}

async fn others_remember(backend: Backend) {
    let watched = Watched::start(backend).await;
    watched.work("east").await;
    let before = watched.findings().await;
    for keeper in KEEPERS {
        assert!(before.contains(&format!("{keeper}: its checkpoints were compared")), "{before:?}");
    }
    let whole = before.iter().filter(|line| line.ends_with("entries whole")).count();
    assert_eq!(whole, 2, "the company and the operators: {before:?}");

    // identity's database as it was some entries ago: nothing in it tells that there was more.
    let identity = watched.open("identity").await;
    let mut statements = Vec::new();
    for table in TABLES {
        statements.extend(match backend {
            Backend::Sqlite => {
                ["update", "delete"].map(|verb| format!("DROP TRIGGER append_only_{table}_{verb}")).to_vec()
            }
            Backend::Postgres => vec![format!("ALTER TABLE {table} DISABLE TRIGGER append_only")],
        });
    }
    statements.extend(BROUGHT_BACK.map(|table| format!("CREATE TABLE older_{table} AS SELECT * FROM {table}")));
    for statement in &statements {
        identity.execute_unprepared(statement).await.expect("the owner may");
    }
    // The company's: the operators have done less.
    let kept = number(&identity, "SELECT max(number) AS found FROM audit_entry").await;
    watched.work("west").await;
    for table in BROUGHT_BACK {
        for statement in [format!("DELETE FROM {table}"), format!("INSERT INTO {table} SELECT * FROM older_{table}")] {
            identity.execute_unprepared(&statement).await.expect("the database obeys");
        }
    }
    let cut = watched.findings().await;
    let told =
        |findings: &[String], what: &str| findings.iter().any(|line| line.contains("BROKEN") && line.contains(what));
    assert!(told(&cut, &format!("end after entry {kept}")), "{cut:?}");

    // It goes on from there: a checkpoint of the same number, which nobody replaces.
    watched.work("north").await;
    let customer = watched.open("customer").await;
    let twice = "SELECT count(*) AS found FROM (SELECT number FROM audit_checkpoint GROUP BY tenant_id, number \
        HAVING count(*) > 1) AS conflicts";
    eventually("both are kept", async || number(&customer, twice).await > 0).await;
    let gone_on = watched.findings().await;
    assert!(told(&gone_on, &format!("entry {} ", kept + 1)), "{gone_on:?}");
    watched.world.running.stop().await.expect("it stops without a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_brought_back_from_a_backup_is_told_by_the_other_services_on_sqlite() {
    others_remember(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_brought_back_from_a_backup_is_told_by_the_other_services_on_postgres() {
    others_remember(Backend::Postgres).await;
}

/// What identity has lost as a whole, and no chain tells.
async fn others_know_of_more(backend: Backend) {
    let watched = Watched::start(backend).await;
    let world = &watched.world;
    let rep = world.hire("mei", "sales_rep", &world.root).await;
    world.customer(&rep, "Mei's", "13800138000").await;
    watched.work("east").await;
    let identity = watched.open("identity").await;
    let told = async |what: &str| {
        let findings = watched.findings().await;
        findings.iter().any(|line| line.contains(what)).then_some(()).ok_or(findings)
    };
    let gone = "BROKEN: identity does not know it, and";
    let forgotten = "customer: identity has forgotten what it had applied of it";
    for what in [gone, forgotten] {
        assert!(told(what).await.is_err(), "{what}: nobody has tampered yet");
    }

    let root = world.root.parse::<uuid::Uuid>().expect("a UUID");
    let root = match backend {
        Backend::Sqlite => format!("x'{}'", root.simple()),
        Backend::Postgres => format!("'{root}'"),
    };
    let company = format!("tenant_id IN (SELECT tenant_id FROM department WHERE department_id = {root})");
    for statement in [
        format!("CREATE TABLE older_tenant AS SELECT * FROM tenant WHERE {company}"),
        format!("DELETE FROM tenant WHERE {company}"),
    ] {
        identity.execute_unprepared(&statement).await.expect("the owner may");
    }
    told(gone).await.expect("a company that is gone is told");
    identity.execute_unprepared("INSERT INTO tenant SELECT * FROM older_tenant").await.expect("it is there again");
    told(gone).await.expect_err("it is there again");

    let back = "UPDATE inbox_progress SET position = position - 1 WHERE consumer = 'identity' AND source = 'customer'";
    let moved = identity.execute_unprepared(back).await.expect("the owner may").rows_affected();
    assert!(moved > 0, "identity has applied something of customer");
    told(forgotten).await.expect("what had been acknowledged and is not known any more is told");
    watched.world.running.stop().await.expect("it stops without a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_that_is_gone_and_events_that_are_forgotten_are_told_on_sqlite() {
    others_know_of_more(Backend::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_that_is_gone_and_events_that_are_forgotten_are_told_on_postgres() {
    others_know_of_more(Backend::Postgres).await;
}
