//! What a service tells the others: a copy of each event that it writes, because the outbox forgets what everybody has applied.

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

/// From now on the database keeps a copy of what the service tells.
///
/// # Panics
/// When the database has no outbox, or listens already.
pub async fn listen(database: &DatabaseConnection) {
    let statements: &[&str] = if database.get_database_backend() == DbBackend::Postgres {
        &[
            "CREATE TABLE heard (kind text NOT NULL, data bytea NOT NULL)",
            "CREATE FUNCTION hear() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO heard VALUES (NEW.kind, NEW.data); RETURN NULL; END $$",
            "CREATE TRIGGER hear AFTER INSERT ON outbox FOR EACH ROW EXECUTE FUNCTION hear()",
        ]
    } else {
        &[
            "CREATE TABLE heard (kind text NOT NULL, data blob NOT NULL)",
            "CREATE TRIGGER hear AFTER INSERT ON outbox BEGIN \
             INSERT INTO heard VALUES (NEW.kind, NEW.data); END",
        ]
    };
    for statement in statements {
        database.execute_unprepared(statement).await.expect("it is copied");
    }
}

/// What was told since: of each event its kind and its message.
///
/// # Panics
/// When nobody listens.
pub async fn told(database: &DatabaseConnection) -> Vec<(String, Vec<u8>)> {
    let all = Statement::from_string(database.get_database_backend(), "SELECT kind, data FROM heard");
    let rows = database.query_all_raw(all).await.expect("the copies");
    rows.iter().map(|row| (row.try_get("", "kind").expect("a kind"), row.try_get("", "data").expect("data"))).collect()
}
