//! Which tables of a service are written to: how often, row by row.

use std::collections::BTreeMap;

use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

/// From now on the database counts what is written to each of its tables.
///
/// # Panics
/// When it counts already.
pub async fn count(database: &DatabaseConnection) {
    let tables = tables(database).await;
    let run = async |text: &str| {
        database.execute_unprepared(text).await.expect("it is counted");
    };
    run("CREATE TABLE written (name text NOT NULL)").await;
    if database.get_database_backend() == DbBackend::Postgres {
        run("CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS \
             $$ BEGIN INSERT INTO written VALUES (TG_TABLE_NAME); RETURN NULL; END $$")
        .await;
    }
    for table in tables {
        if database.get_database_backend() == DbBackend::Postgres {
            run(&format!(
                "CREATE TRIGGER note AFTER INSERT OR UPDATE OR DELETE ON \"{table}\" \
                 FOR EACH ROW EXECUTE FUNCTION note()"
            ))
            .await;
            continue;
        }
        for change in ["INSERT", "UPDATE", "DELETE"] {
            run(&format!(
                "CREATE TRIGGER note_{table}_{change} AFTER {change} ON \"{table}\" \
                 BEGIN INSERT INTO written VALUES ('{table}'); END"
            ))
            .await;
        }
    }
}

/// Rows written since, by table.
///
/// # Panics
/// When nobody counts.
pub async fn rows(database: &DatabaseConnection) -> BTreeMap<String, i64> {
    let text = "SELECT name, count(*) AS n FROM written GROUP BY name";
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), text)).await;
    let row = |row: &sea_orm::QueryResult| {
        (row.try_get("", "name").expect("a name"), row.try_get("", "n").expect("a number"))
    };
    rows.expect("it is counted").iter().map(row).collect()
}

async fn tables(database: &DatabaseConnection) -> Vec<String> {
    let text = if database.get_database_backend() == DbBackend::Postgres {
        "SELECT tablename::text AS name FROM pg_tables WHERE schemaname = current_schema()"
    } else {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    };
    let rows = database.query_all_raw(Statement::from_string(database.get_database_backend(), text)).await;
    rows.expect("its tables").iter().map(|row| row.try_get("", "name").expect("a name")).collect()
}
