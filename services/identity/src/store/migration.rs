//! The schema, step by step. A published step is never edited; the next one expands or contracts.

use revisit_bootstrap::database::{append_only, isolate, migrations};
use sea_orm::{DbBackend, DbErr};
use sea_orm_migration::{
    MigrationName, MigrationTrait, MigratorTrait, SchemaManager,
    async_trait::async_trait,
    prelude::{ColumnDef, Index, Table},
};

mod external;
mod stages;

/// What every service's database has, then the tables of this one.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = migrations();
        all.push(Box::new(CreateIdentity));
        all
    }
}

/// Builds column definitions that mean the same on both databases.
struct Columns {
    backend: DbBackend,
}

impl Columns {
    fn uuid(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).uuid().not_null().to_owned()
    }

    fn uuid_null(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).uuid().to_owned()
    }

    fn number(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).big_integer().not_null().to_owned()
    }

    fn number_null(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).big_integer().to_owned()
    }

    fn small(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).integer().not_null().to_owned()
    }

    fn flag(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).boolean().not_null().to_owned()
    }

    fn bytes(&self, name: &'static str) -> ColumnDef {
        ColumnDef::new(name).binary().not_null().to_owned()
    }

    fn text(&self, name: &'static str) -> ColumnDef {
        self.text_null(name).not_null().to_owned()
    }

    /// SQLite compares text bytewise by itself; PostgreSQL must be told.
    fn text_null(&self, name: &'static str) -> ColumnDef {
        let mut column = ColumnDef::new(name).text().to_owned();
        if self.backend == DbBackend::Postgres {
            column.extra("COLLATE \"C\"");
        }
        column
    }
}

async fn table(
    manager: &SchemaManager<'_>,
    name: &'static str,
    columns: Vec<ColumnDef>,
    key: &[&'static str],
) -> Result<(), DbErr> {
    let mut primary = Index::create();
    for column in key {
        primary.col(*column);
    }
    let mut statement = Table::create().table(name).primary_key(&mut primary).to_owned();
    for mut column in columns {
        statement.col(&mut column);
    }
    manager.create_table(statement).await
}

async fn index(
    manager: &SchemaManager<'_>,
    table: &'static str,
    columns: &[&'static str],
    unique: bool,
) -> Result<(), DbErr> {
    let mut statement = Index::create().name(format!("{table}_by_{}", columns.join("_"))).table(table).to_owned();
    for column in columns {
        statement.col(*column);
    }
    if unique {
        statement.unique();
    }
    manager.create_index(statement).await
}

struct CreateIdentity;

impl MigrationName for CreateIdentity {
    fn name(&self) -> &str {
        "identity_0001_tables"
    }
}

/// Tables whose rows belong to one tenant. `tenant` itself is read by log-ins, before a tenant is known.
const ISOLATED: [&str; 20] = [
    "revision",
    "department",
    "position",
    "subject",
    "role",
    "access_grant",
    "guard",
    "external_type",
    "external_row",
    "external_row_team",
    "session",
    "password_link",
    "audit_entry",
    "audit_end",
    "audit_row",
    "audit_field",
    "alert",
    "hand_over",
    "telling",
    "known_stages",
];

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait elides it, and async_trait makes the two differ")]
impl MigrationTrait for CreateIdentity {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let columns = Columns { backend: manager.get_database_backend() };
        create_authority(manager, &columns).await?;
        create_organisation(manager, &columns).await?;
        create_subjects(manager, &columns).await?;
        create_rights(manager, &columns).await?;
        external::create(manager, &columns).await?;
        create_sessions(manager, &columns).await?;
        create_audit(manager, &columns).await?;
        stages::create(manager, &columns).await?;
        for table in ISOLATED {
            isolate(manager, table).await?;
        }
        Ok(())
    }
}

async fn create_authority(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![c.number("id"), c.uuid("incarnation"), c.uuid("operator_tenant_id"), c.number("created_at")];
    table(manager, "authority", columns, &["id"]).await?;
    let columns = vec![c.text("kid"), c.bytes("public_key"), c.number("created_at"), c.number_null("retired_at")];
    table(manager, "signing_key", columns, &["kid"]).await?;
    let columns = vec![
        c.uuid("tenant_id"),
        c.text("key"),
        c.text("display_name"),
        c.text("region"),
        c.uuid("root_department_id"),
        c.uuid("administrator_id"),
        c.number("revision"),
        c.number("created_at"),
    ];
    table(manager, "tenant", columns, &["tenant_id"]).await?;
    index(manager, "tenant", &["key"], true).await?;
    let columns = vec![c.uuid("tenant_id"), c.number("revision"), c.bytes("changes"), c.number("created_at")];
    table(manager, "revision", columns, &["tenant_id", "revision"]).await?;
    let columns = vec![c.text("holder"), c.text("epoch"), c.number("number"), c.bytes("tenants")];
    table(manager, "lease", columns, &["holder", "epoch"]).await
}

async fn create_organisation(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("department_id"),
        c.uuid_null("parent_id"),
        c.text("name"),
        c.uuid_null("head_id"),
        c.flag("disabled"),
        c.uuid_null("merged_into_id"),
        c.text("modules_off"),
        c.number("version"),
        c.number("created_at"),
    ];
    table(manager, "department", columns, &["tenant_id", "department_id"]).await?;
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("position_id"),
        c.uuid("department_id"),
        c.text("name"),
        c.text("role_ids"),
        c.number("version"),
    ];
    table(manager, "position", columns, &["tenant_id", "position_id"]).await
}

async fn create_subjects(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("subject_id"),
        c.text("kind"),
        c.text("state"),
        c.text("username"),
        c.text("display_name"),
        c.text_null("email"),
        c.text_null("phone"),
        c.uuid("department_id"),
        c.text("further_department_ids"),
        c.text("position_ids"),
        c.text("added_role_ids"),
        c.text("removed_role_ids"),
        c.uuid_null("manager_id"),
        c.uuid_null("parent_id"),
        c.text("time_zone"),
        c.text("locale"),
        c.text_null("secret_hash"),
        c.uuid_null("secret_by_id"),
        c.number("version"),
        c.number("created_at"),
        c.number("updated_at"),
    ];
    table(manager, "subject", columns, &["tenant_id", "subject_id"]).await?;
    // Two users never share a name or a contact value; that is also how a duplicate is found in a race.
    index(manager, "subject", &["tenant_id", "username"], true).await?;
    index(manager, "subject", &["tenant_id", "email"], true).await?;
    index(manager, "subject", &["tenant_id", "phone"], true).await
}

async fn create_rights(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("role_id"),
        c.text("key"),
        c.text("display_name"),
        c.text("templates"),
        c.flag("shipped"),
        c.small("catalogue_version"),
        c.number("version"),
    ];
    table(manager, "role", columns, &["tenant_id", "role_id"]).await?;
    index(manager, "role", &["tenant_id", "key"], true).await?;
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("grant_id"),
        c.uuid("holder_id"),
        c.text("body"),
        c.uuid_null("grantor_id"),
        c.text("reason"),
        c.number("created_at"),
    ];
    table(manager, "access_grant", columns, &["tenant_id", "grant_id"]).await?;
    index(manager, "access_grant", &["tenant_id", "holder_id", "grant_id"], false).await?;
    let columns = vec![c.uuid("tenant_id"), c.uuid("guard_id"), c.text("body"), c.number("created_at")];
    table(manager, "guard", columns, &["tenant_id", "guard_id"]).await
}

async fn create_sessions(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("session_id"),
        c.uuid("subject_id"),
        c.text("device"),
        c.bytes("family_hash"),
        c.bytes("refresh_hash"),
        c.number("created_at"),
        c.number("refreshed_at"),
        c.number("expires_at"),
        c.number_null("revoked_at"),
    ];
    table(manager, "session", columns, &["tenant_id", "session_id"]).await?;
    index(manager, "session", &["tenant_id", "subject_id", "session_id"], false).await?;
    index(manager, "session", &["expires_at"], false).await?;
    let columns = vec![
        c.bytes("hash"),
        c.uuid("tenant_id"),
        c.uuid("subject_id"),
        c.uuid_null("drawn_by_id"),
        c.number("expires_at"),
    ];
    table(manager, "password_link", columns, &["hash"]).await?;
    index(manager, "password_link", &["tenant_id", "subject_id"], false).await?;
    let columns = vec![
        c.bytes("key"),
        c.number("failures"),
        c.number("blocked_until"),
        c.number("updated_at"),
        c.number("put_off"),
    ];
    table(manager, "log_in_failure", columns, &["key"]).await?;
    index(manager, "log_in_failure", &["updated_at"], false).await
}

async fn create_audit(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.number("number"),
        c.text("source"),
        c.uuid("incarnation"),
        c.small("shard"),
        c.number("position"),
        c.uuid_null("subject_id"),
        c.text("action"),
        c.small("outcome"),
        c.number("time"),
        c.bytes("entry"),
        c.bytes("hash"),
        c.bytes("signature"),
    ];
    table(manager, "audit_entry", columns, &["tenant_id", "number"]).await?;
    // A search asks for one outcome at a time: each of these is then in the order of the answer.
    for found_by in [&[][..], &["subject_id"], &["subject_id", "action"], &["action"], &["source"]] {
        let columns = [&["tenant_id"], found_by, &["outcome", "time", "number"]].concat();
        index(manager, "audit_entry", &columns, false).await?;
    }
    let columns = vec![c.uuid("tenant_id"), c.uuid("row_id"), c.number("time"), c.number("number")];
    table(manager, "audit_row", columns, &["tenant_id", "row_id", "time", "number"]).await?;
    index(manager, "audit_row", &["tenant_id", "number"], false).await?;
    let columns =
        vec![c.uuid("tenant_id"), c.text("field"), c.number("time"), c.number("number"), c.uuid_null("subject_id")];
    table(manager, "audit_field", columns, &["tenant_id", "field", "time", "number"]).await?;
    index(manager, "audit_field", &["tenant_id", "subject_id", "field", "time", "number"], false).await?;
    index(manager, "audit_field", &["tenant_id", "number"], false).await?;
    for table in ["audit_entry", "audit_row", "audit_field"] {
        append_only(manager, table).await?;
    }
    let columns = vec![c.uuid("tenant_id"), c.number("number"), c.text("kid"), c.bytes("signature")];
    table(manager, "audit_end", columns, &["tenant_id"]).await?;
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("alert_id"),
        c.small("rule"),
        c.uuid("about"),
        c.number("counted"),
        c.number("threshold"),
        c.number("window_seconds"),
        c.number("entry_number"),
        c.number("time"),
        c.small("reaction"),
    ];
    table(manager, "alert", columns, &["tenant_id", "alert_id"]).await?;
    index(manager, "alert", &["tenant_id", "time", "alert_id"], false).await?;
    index(manager, "alert", &["tenant_id", "about", "rule", "time"], false).await?;
    index(manager, "alert", &["tenant_id", "entry_number"], false).await?;
    index(manager, "alert", &["reaction"], false).await?;
    create_work(manager, c).await
}

async fn create_work(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.uuid("hand_over_id"),
        c.uuid("user_id"),
        c.text("state"),
        c.text("plan"),
        c.text("parts"),
        c.number("revision"),
        c.number("created_at"),
        c.number_null("effective_at"),
        c.number_null("done_at"),
    ];
    table(manager, "hand_over", columns, &["tenant_id", "hand_over_id"]).await?;
    index(manager, "hand_over", &["state"], false).await?;
    let columns = vec![c.uuid("tenant_id"), c.number("revision"), c.uuid_null("after_id")];
    table(manager, "telling", columns, &["tenant_id"]).await
}
