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
    // Each side is worked out once a statement and not once a row; and the planner, which cannot know it, takes the
    // whole to let half of the rows through. As a condition on the row alone it took it for one of two hundred, and
    // chose its plans for that.
    let named = "current_setting('revisit.tenant', true)";
    let visible = format!(
        "(SELECT {named} = '{ALL}') OR \
         tenant_id = (SELECT CASE WHEN {named} NOT IN ('', '{ALL}') THEN {named}::uuid END)"
    );
    let connection = manager.get_connection();
    // FORCE: the owner of the table, as which services connect, is bound too.
    for statement in [
        format!("ALTER TABLE \"{table}\" ENABLE ROW LEVEL SECURITY"),
        format!("ALTER TABLE \"{table}\" FORCE ROW LEVEL SECURITY"),
        format!("CREATE POLICY tenant ON \"{table}\" USING ({visible}) WITH CHECK ({visible})"),
    ] {
        connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}
