//! A table that is held, so that a call waits in the middle of its work while something else happens. On PostgreSQL alone.

use std::{future::Future, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};

/// How long a test waits for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a call answers when this happens after the call has begun to wait for the table and before it goes on.
///
/// # Panics
/// When nobody waits for the table.
pub async fn while_held<T>(
    (lock, look): (&DatabaseConnection, &DatabaseConnection),
    table: &str,
    call: impl Future<Output = T>,
    happening: impl Future<Output = ()>,
) -> T {
    let held = lock.begin().await.expect("a transaction");
    held.execute_unprepared(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.expect("it is locked");
    let waiting = format!("SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    let waits = async {
        loop {
            let statement = Statement::from_string(DbBackend::Postgres, waiting.as_str());
            let row = look.query_one_raw(statement).await.expect("it is counted").expect("a count");
            if row.try_get::<i64>("", "n").expect("a number") > 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let meanwhile = async {
        tokio::time::timeout(PATIENCE, waits).await.expect("somebody waits for the table");
        happening.await;
        held.commit().await.expect("it is unlocked");
    };
    futures::join!(call, meanwhile).0
}
