//! What the processes of one service tell each other through their PostgreSQL. A hint is told with the commit of what it
//! is about and may be missed, so nobody may depend on it; SQLite has one process and nobody to tell.

use std::{sync::Arc, time::Duration};

use sea_orm::{
    ConnectionTrait, DbBackend, Statement, Value,
    sqlx::{
        Error, Executor, Pool,
        pool::PoolOptions,
        postgres::{PgListener, Postgres},
    },
};

use super::{Database, Tx};

/// Bytes of a hint; PostgreSQL takes less than 8,000.
const HINT_BYTES_MAX: usize = 256;
/// Pause before the connection is made again; it doubles up to the maximum.
const PAUSE: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// After this long without a hint the server is asked whether it is still there: a connection that was cut says nothing.
const QUIET: Duration = Duration::from_secs(10);
/// Time for that answer.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// What is heard.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Heard {
    /// A hint, whoever gave it: one's own come back.
    Hint(String),
    /// It is listened from now on; what was told before was missed.
    Anew,
}

impl Tx {
    /// Tells every process of the service, once this transaction is committed.
    pub async fn hint(&self, channel: &'static str, hint: String) -> Result<(), sea_orm::DbErr> {
        debug_assert!(hint.len() <= HINT_BYTES_MAX, "a hint is a few words");
        if self.is_postgres() {
            let values = [Value::from(channel), Value::from(hint)];
            let text = "SELECT pg_notify($1, $2)";
            self.inner.execute_raw(Statement::from_sql_and_values(DbBackend::Postgres, text, values)).await?;
        }
        Ok(())
    }
}

impl Database {
    /// Hears the hints of a channel for as long as it is polled, on a connection of its own that is made again whenever
    /// it is lost. On SQLite it hears nothing.
    pub async fn listen(&self, channel: &'static str, mut heard: impl FnMut(Heard)) {
        if !self.is_postgres() {
            return std::future::pending().await;
        }
        let options = self.0.reader.get_postgres_connection_pool().connect_options();
        // Not out of the pool: a small one would be left without a connection for calls.
        let pool: PoolOptions<Postgres> =
            PoolOptions::new().max_connections(1).max_lifetime(None).idle_timeout(None).acquire_timeout(ANSWER_MAX);
        let (mut pause, mut deaf) = (PAUSE, false);
        loop {
            let pool = pool.clone().connect_lazy_with(Arc::unwrap_or_clone(Arc::clone(&options)));
            let connected = tokio::time::timeout(ANSWER_MAX, connect(&pool, channel)).await;
            let lost = match connected.unwrap_or(Err(Error::PoolTimedOut)) {
                Ok(mut listener) => {
                    if std::mem::take(&mut deaf) {
                        tracing::info!(channel, "hints of other processes are heard again");
                    }
                    pause = PAUSE;
                    heard(Heard::Anew);
                    listen(&mut listener, &mut heard).await
                }
                Err(error) => Err(error),
            };
            if !std::mem::replace(&mut deaf, true) {
                let error = lost.err().map(tracing::field::display);
                tracing::warn!(channel, error, "hints of other processes are not heard");
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }
}

async fn connect(pool: &Pool<Postgres>, channel: &str) -> Result<PgListener, Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.listen(channel).await?;
    Ok(listener)
}

/// Until the connection is lost.
async fn listen(listener: &mut PgListener, heard: &mut impl FnMut(Heard)) -> Result<(), Error> {
    listener.eager_reconnect(false);
    loop {
        match tokio::time::timeout(QUIET, listener.try_recv()).await {
            Ok(Ok(Some(hint))) => heard(Heard::Hint(hint.payload().to_owned())),
            Ok(Ok(None)) => return Ok(()),
            Ok(Err(error)) => return Err(error),
            Err(_) => {
                let asked = tokio::time::timeout(ANSWER_MAX, listener.execute("SELECT 1")).await;
                asked.map_err(|_| Error::PoolTimedOut)??;
            }
        }
    }
}
