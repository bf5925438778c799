//! A fresh database for each test, on each of the two backends: what differs between them is a bug.

use std::{
    fmt,
    sync::atomic::{AtomicU32, Ordering},
};

use sea_orm::{
    ConnectOptions, ConnectionTrait, Database, DatabaseConnection, DatabaseTransaction, DbBackend,
    SqliteTransactionMode, Statement, TransactionOptions, TransactionTrait,
};
use sea_orm_migration::MigratorTrait;
use tempfile::TempDir;

/// Connections of one test's pool on PostgreSQL, and of its reader pool on SQLite.
const CONNECTIONS_MAX: u32 = 12;

/// The databases that the product runs on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Backend {
    /// One file, WAL, one writer connection and a reader pool.
    Sqlite,
    /// A database of its own on the server that `REVISIT_TEST_POSTGRES` names.
    Postgres,
}

/// An empty database that no other test sees.
pub struct TestDatabase {
    /// Which kind it is.
    pub backend: Backend,
    /// Where it is, for what opens it by itself.
    pub url: String,
    /// For everything on PostgreSQL; the one writing connection on SQLite.
    pub writer: DatabaseConnection,
    /// The same pool on PostgreSQL; the reader pool on SQLite.
    pub reader: DatabaseConnection,
    folder: Option<TempDir>,
}

impl fmt::Debug for TestDatabase {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("TestDatabase").field("url", &self.url).finish_non_exhaustive()
    }
}

/// Runs the same test on a fresh database of each backend, with the tables of `M`. The failing one is printed.
#[expect(clippy::print_stdout, reason = "a failed test shows what it printed")]
pub async fn on_each_backend<M: MigratorTrait>(test: impl AsyncFn(&TestDatabase)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let database = TestDatabase::new(backend).await;
        M::up(&database.writer, None).await.expect("the tables are made");
        test(&database).await;
        database.close().await;
    }
}

impl TestDatabase {
    /// An empty database of `backend`.
    ///
    /// # Panics
    /// When it cannot be made; for PostgreSQL also when `REVISIT_TEST_POSTGRES` is not set.
    pub async fn new(backend: Backend) -> Self {
        match backend {
            Backend::Sqlite => Self::sqlite().await,
            Backend::Postgres => Self::postgres().await,
        }
    }

    async fn sqlite() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let file = folder.path().join("test.db");
        let url = format!("sqlite://{}", file.display());
        let writer = connect(&format!("{url}?mode=rwc"), 1).await;
        // Durability is not under test: no test outlives a crash of the machine.
        for pragma in ["PRAGMA journal_mode = WAL", "PRAGMA synchronous = OFF"] {
            writer.execute_unprepared(pragma).await.expect("the pragma is known");
        }
        let reader = connect(&format!("{url}?mode=ro"), CONNECTIONS_MAX).await;
        Self { backend: Backend::Sqlite, url, writer, reader, folder: Some(folder) }
    }

    async fn postgres() -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = postgres_server();
        let name = format!("revisit_test_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let admin = connect(&server, 1).await;
        // A process id comes back some day, so an abandoned database of that name may still lie there.
        for statement in [
            format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)"),
            format!("CREATE DATABASE {name} TEMPLATE template0"),
        ] {
            admin.execute_unprepared(&statement).await.expect("the server of the tests lets us make databases");
        }
        admin.close().await.expect("the connection closes");
        let url = beside(&server, &name);
        let writer = connect(&url, CONNECTIONS_MAX).await;
        Self { backend: Backend::Postgres, url, reader: writer.clone(), writer, folder: None }
    }

    /// A write transaction as the product begins them: immediate on SQLite, READ COMMITTED on PostgreSQL.
    ///
    /// # Panics
    /// When the database refuses.
    pub async fn begin(&self) -> DatabaseTransaction {
        let options = TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..TransactionOptions::default()
        };
        self.writer.begin_with_options(options).await.expect("a transaction begins")
    }

    /// Removes the database. Without it a PostgreSQL database stays until the server goes.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn close(self) {
        self.reader.close_by_ref().await.expect("the readers close");
        self.writer.close().await.expect("the writer closes");
        if self.folder.is_none() {
            let name = self.url.rsplit_once('/').map_or("", |(_, name)| name);
            let admin = connect(&postgres_server(), 1).await;
            let drop = format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)");
            admin.execute_unprepared(&drop).await.expect("the database goes");
            admin.close().await.expect("the connection closes");
        }
    }
}

async fn connect(url: &str, connections_max: u32) -> DatabaseConnection {
    let mut options = ConnectOptions::new(url);
    options.max_connections(connections_max).min_connections(0).sqlx_logging(false).test_before_acquire(false);
    Database::connect(options).await.expect("the database answers")
}

/// A connection of the server's own user to one of its databases: row security does not bind it.
///
/// # Panics
/// When the database does not answer.
pub async fn connect_to(name: &str) -> DatabaseConnection {
    connect(&beside(&postgres_server(), name), 1).await
}

/// What autovacuum does within its time after many rows have come: statistics, and pages that are known as visible.
///
/// # Panics
/// When the server refuses.
pub async fn tidy(connection: &DatabaseConnection) {
    connection.execute_unprepared("VACUUM ANALYZE").await.expect("the server does it");
}

/// The first column of what a statement answers, as texts.
///
/// # Panics
/// When the server refuses, or answers something else.
pub async fn texts(connection: &DatabaseConnection, statement: &str) -> Vec<String> {
    let statement = Statement::from_string(DbBackend::Postgres, statement);
    let rows = connection.query_all_raw(statement).await.expect("the server answers");
    rows.iter().map(|row| row.try_get_by_index(0).expect("it is a text")).collect()
}

/// The server that the tests were told of.
///
/// # Panics
/// When `REVISIT_TEST_POSTGRES` is not set.
#[expect(clippy::disallowed_methods, reason = "tests are told by their runner where PostgreSQL is")]
pub fn postgres_server() -> String {
    std::env::var("REVISIT_TEST_POSTGRES")
        .expect("REVISIT_TEST_POSTGRES names the PostgreSQL server for the tests; `tests/run` sets it")
}

/// The Python that has gRPC.
///
/// # Panics
/// When `REVISIT_TEST_PYTHON` is not set.
#[expect(clippy::disallowed_methods, reason = "tests are told by their runner where Python is")]
pub fn python() -> String {
    std::env::var("REVISIT_TEST_PYTHON").expect("REVISIT_TEST_PYTHON names a Python with gRPC; `tests/run` makes one")
}

/// The URL of the database `name` on the same server.
fn beside(server: &str, name: &str) -> String {
    let (server, _) = server.rsplit_once('/').expect("the URL of the server ends in a database");
    format!("{server}/{name}")
}
