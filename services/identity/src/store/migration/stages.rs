//! The table of what customer told of stages.

use sea_orm_migration::prelude::{DbErr, SchemaManager};

use super::{Columns, table};

pub async fn create(manager: &SchemaManager<'_>, c: &Columns) -> Result<(), DbErr> {
    let columns = vec![c.uuid("tenant_id"), c.text("names"), c.uuid("incarnation"), c.number("version")];
    table(manager, "known_stages", columns, &["tenant_id"]).await
}
