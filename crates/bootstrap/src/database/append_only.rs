//! Tables whose rows are never changed nor removed: the database itself refuses, whoever asks through the service.
//!
//! Who owns a table, or has SQLite's file, can take the trigger away and then change what he likes: of the audit log
//! `audit verify` finds that.

use sea_orm::{ConnectionTrait, DbBackend, DbErr};
use sea_orm_migration::SchemaManager;

/// Lets rows of a table be added and nothing else; to be called by the migration that makes it.
pub async fn append_only(manager: &SchemaManager<'_>, table: &str) -> Result<(), DbErr> {
    let connection = manager.get_connection();
    let statements = if manager.get_database_backend() == DbBackend::Postgres {
        vec![
            "CREATE OR REPLACE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
             RAISE EXCEPTION 'rows of % are never changed', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege'; \
             END $$"
                .to_owned(),
            format!(
                "CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON \"{table}\" \
                 FOR EACH STATEMENT EXECUTE FUNCTION append_only()"
            ),
        ]
    } else {
        let refusing = |verb: &str| {
            format!(
                "CREATE TRIGGER append_only_{table}_{verb} BEFORE {verb} ON \"{table}\" \
                 BEGIN SELECT RAISE(ABORT, 'rows of {table} are never changed'); END"
            )
        };
        vec![refusing("update"), refusing("delete")]
    };
    for statement in statements {
        connection.execute_unprepared(&statement).await?;
    }
    Ok(())
}
