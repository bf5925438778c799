//! How connections are made: sizes, waits, and what SQLite must be told on each of them.

use std::{path::Path, time::Duration};

use revisit_core::Failure;
use sea_orm::{ConnectOptions, DatabaseConnection};

use super::fault;
use crate::settings::DatabaseConfig;

/// How long SQLite waits for another process's lock (a backup, say) before it gives up.
const BUSY_MAX: Duration = Duration::from_secs(5);

/// Opens the reader and the writer; on PostgreSQL they are one pool.
pub(super) async fn open(config: &DatabaseConfig) -> Result<(DatabaseConnection, DatabaseConnection), Failure> {
    if config.is_postgres() {
        let pool = postgres(config).await?;
        return Ok((pool.clone(), pool));
    }
    let path = config.url.strip_prefix("sqlite:").unwrap_or(&config.url);
    if let Some(folder) = Path::new(path).parent() {
        std::fs::create_dir_all(folder)
            .map_err(|error| Failure::unavailable("DATABASE_UNAVAILABLE", format!("{}: {error}", folder.display())))?;
    }
    // The writer first: it makes the file and sets the journal's mode, which stays.
    let writer = sqlite(config, path, Side::Writer).await?;
    let reader = sqlite(config, path, Side::Reader).await?;
    Ok((reader, writer))
}

/// Refuses a database that is not there. SQLite would make it, and PostgreSQL refuses by itself.
pub(super) fn require(config: &DatabaseConfig) -> Result<(), Failure> {
    let path = config.url.strip_prefix("sqlite:").unwrap_or(&config.url);
    if config.is_postgres() || Path::new(path).is_file() {
        return Ok(());
    }
    let message =
        format!("there is no database {path}: name the folder or the configuration that the product runs with");
    Err(Failure::new(revisit_core::Kind::Precondition, "DATABASE_MISSING", message))
}

async fn postgres(config: &DatabaseConfig) -> Result<DatabaseConnection, Failure> {
    let mut options = options(config, &config.url);
    options.max_connections(config.connections_max).min_connections(1);
    let (password, durable) = (config.password.clone(), config.durable);
    // One function for all of it: sea-orm keeps only the last one that it is given.
    options.map_sqlx_postgres_opts(move |connect| {
        let connect = if durable { connect } else { connect.options([("synchronous_commit", "off")]) };
        if password.is_empty() { connect } else { connect.password(password.expose()) }
    });
    sea_orm::Database::connect(options).await.map_err(fault)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    /// One connection, so that writers queue here and not on the file's lock.
    Writer,
    /// As many as configured; the write-ahead log lets them read while the writer writes.
    Reader,
}

async fn sqlite(config: &DatabaseConfig, path: &str, side: Side) -> Result<DatabaseConnection, Failure> {
    let mut options = options(config, &format!("sqlite:{path}?mode=rwc"));
    let size = if side == Side::Writer { 1 } else { config.connections_max };
    // A connection that is dropped and made again would have to read the schema again; there is no server to spare.
    options.max_connections(size).min_connections(1).idle_timeout(None::<Duration>).max_lifetime(None::<Duration>);
    let synchronous = if config.durable { "FULL" } else { "OFF" };
    options.map_sqlx_sqlite_opts(move |connect| {
        let connect = connect
            .foreign_keys(true)
            .busy_timeout(BUSY_MAX)
            .pragma("journal_mode", "WAL")
            .pragma("synchronous", synchronous);
        if side == Side::Reader { connect.pragma("query_only", "ON") } else { connect }
    });
    sea_orm::Database::connect(options).await.map_err(fault)
}

fn options(config: &DatabaseConfig, url: &str) -> ConnectOptions {
    let mut options = ConnectOptions::new(url);
    options
        .acquire_timeout(Duration::from_millis(config.acquire_millis_max))
        .connect_timeout(Duration::from_millis(config.acquire_millis_max))
        // Each statement at info would drown the log, and a ping before each use doubles the round trips: a
        // connection that was lost answers the call that finds it with UNAVAILABLE.
        .sqlx_logging(false)
        .test_before_acquire(false);
    options
}
