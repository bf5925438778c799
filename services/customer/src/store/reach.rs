//! How far a scope reaches, in this service's columns.

use revisit_permission::{Columns, HolderTable, Scope, SideTable};
use sea_orm::sea_query::{Alias, ColumnRef, Condition, IntoColumnRef, IntoTableRef, TableRef};

fn column(table: &'static str, name: &'static str) -> ColumnRef {
    (Alias::new(table), Alias::new(name)).into_column_ref()
}

fn table(name: &'static str) -> TableRef {
    Alias::new(name).into_table_ref()
}

fn side(name: &'static str, value: &'static str) -> SideTable {
    SideTable {
        table: table(name),
        tenant: column(name, "tenant_id"),
        row: column(name, "customer_id"),
        value: column(name, value),
        external: None,
    }
}

/// Where the attributes of a customer lie.
pub fn columns() -> Columns {
    Columns {
        tenant: column("customer", "tenant_id"),
        id: column("customer", "customer_id"),
        owner: Some(column("customer", "owner_id")),
        department: Some(column("customer", "department_id")),
        stage: Some(column("customer", "stage")),
        grade: Some(column("customer", "grade")),
        vip: Some(column("customer", "vip")),
        pooled: Some(column("customer", "pooled")),
        auth_rev: Some(column("customer", "auth_rev")),
        teams: Some(side("customer_team", "team_id")),
        holders: Some(HolderTable {
            table: side("task_holder", "subject_id"),
            until: column("task_holder", "until_at"),
        }),
        external: None,
    }
}

/// One condition per grant clause; guards and tenant are part of each.
pub fn clauses(scope: &Scope) -> Vec<Condition> {
    scope.conditions(&columns())
}
