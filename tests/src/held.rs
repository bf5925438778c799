//! A table that is held, so that a call waits in the middle of its work while something else happens. On PostgreSQL alone.

use std::{future::Future, time::Duration};

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement, TransactionTrait};

/// How long a test waits for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(30);

/// What is held, and who is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Held<'a> {
    /// The table.
    pub table: &'a str,
    /// How the statement of the call begins. Workers read the table too, and one of them that waits says nothing of the call.
    pub statement: &'a str,
}

impl<'a> From<&'a str> for Held<'a> {
    /// A table for which nothing but the call waits.
    fn from(table: &'a str) -> Self {
        Self { table, statement: "" }
    }
}

/// What a call answers when this happens after the call has begun to wait for the table and before it goes on.
///
/// # Panics
/// When the call does not wait for the table.
pub async fn while_held<T>(
    (lock, look): (&DatabaseConnection, &DatabaseConnection),
    what: impl Into<Held<'_>>,
    call: impl Future<Output = T>,
    happening: impl Future<Output = ()>,
) -> T {
    let Held { table, statement } = what.into();
    let held = lock.begin().await.expect("a transaction");
    held.execute_unprepared(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")).await.expect("it is locked");
    let waiting = "SELECT count(*) AS n FROM pg_locks AS lock JOIN pg_stat_activity AS backend USING (pid)
        WHERE NOT lock.granted AND lock.relation = to_regclass($1)
            AND backend.datname = current_database() AND starts_with(backend.query, $2)";
    let waits = async {
        // PostgreSQL tells nobody that somebody waits. Each look is a question to it, which sets the pace.
        loop {
            let values = [table.into(), statement.into()];
            let look_again = Statement::from_sql_and_values(DbBackend::Postgres, waiting, values);
            let row = look.query_one_raw(look_again).await.expect("it is counted").expect("a count");
            if row.try_get::<i64>("", "n").expect("a number") > 0 {
                return;
            }
        }
    };
    let meanwhile = async {
        tokio::time::timeout(PATIENCE, waits).await.expect("the call waits for the table");
        happening.await;
        held.commit().await.expect("it is unlocked");
    };
    futures::join!(call, meanwhile).0
}
