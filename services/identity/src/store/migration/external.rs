//! The tables of registered types and of the rows of other systems that are kept here.

use sea_orm_migration::prelude::{DbErr, SchemaManager};

use super::{Columns, index, table};

pub async fn create(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![
        c.uuid("tenant_id"),
        c.text("name"),
        c.text("display_name"),
        c.text("body"),
        c.number("version"),
        c.number("row_version"),
        c.number("created_at"),
    ];
    table(manager, "external_type", columns, &["tenant_id", "name"]).await?;
    let columns = vec![
        c.uuid("tenant_id"),
        c.text("external_type"),
        c.uuid("row_id"),
        c.text("display_name"),
        c.uuid_null("owner_id"),
        c.uuid_null("department_id"),
        c.text_null("stage"),
        c.text_null("grade"),
        c.flag("vip"),
        c.flag("pooled"),
        c.number("auth_rev"),
        c.number("version"),
        c.number("updated_at"),
    ];
    table(manager, "external_row", columns, &["tenant_id", "external_type", "row_id"]).await?;
    index(manager, "external_row", &["tenant_id", "owner_id", "external_type", "row_id"], false).await?;
    index(manager, "external_row", &["tenant_id", "external_type", "department_id", "row_id"], false).await?;
    index(manager, "external_row", &["tenant_id", "external_type", "auth_rev"], false).await?;
    let columns = vec![c.uuid("tenant_id"), c.text("external_type"), c.uuid("row_id"), c.uuid("team_id")];
    let key = ["tenant_id", "external_type", "row_id", "team_id"];
    table(manager, "external_row_team", columns, &key).await?;
    index(manager, "external_row_team", &["tenant_id", "external_type", "team_id", "row_id"], false).await
}
