//! Row security on PostgreSQL: the second wall behind the permits. A transaction sees the rows of the tenant that it
//! named, and none when it named none.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::SchemaManager;

/// The name of a worker's transaction, which spans tenants.
pub(super) const ALL: &str = "*";

/// Puts a table with a `tenant_id` behind row security; to be called by the migration that makes it. SQLite has none.
pub async fn isolate(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    if manager.get_database_backend() != DbBackend::Postgres {
        return Ok(());
    }
    let named = "current_setting('revisit.tenant', true)";
    let connection = manager.get_connection();
    // FORCE: the owner of the table, as which services connect, is bound too.
    for statement in [
        format!("ALTER TABLE \"{table}\" ENABLE ROW LEVEL SECURITY"),
        format!("ALTER TABLE \"{table}\" FORCE ROW LEVEL SECURITY"),
        format!(
            "CREATE POLICY tenant ON \"{table}\" USING ({named} = '{ALL}' OR tenant_id::text = {named}) \
             WITH CHECK ({named} = '{ALL}' OR tenant_id::text = {named})"
        ),
    ] {
        connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}
