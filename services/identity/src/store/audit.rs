//! The chained audit log. Nothing here updates or deletes an entry; only the mark of the end moves.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Timestamp, id::TenantId};
use std::collections::BTreeSet;

use sea_orm::{ColumnTrait, EntityTrait, IntoActiveModel, QueryFilter, QueryOrder, QuerySelect, sea_query::Query};
use uuid::Uuid;

use super::{
    entity::{
        audit_end,
        audit_entry::{Column, Entity, Model},
        audit_row,
    },
    insert, micros, replace,
};
use crate::domain::chain::{End, Link};

/// An entry's place and what it can be found by.
pub struct Chained {
    pub link: Link,
    pub event: Uuid,
    pub subject: Option<Uuid>,
    pub action: String,
    /// What it is about.
    pub rows: Vec<Uuid>,
    pub time: Timestamp,
}

fn link(row: Model) -> Link {
    Link { number: row.number, source: row.source, entry: row.entry, hash: row.hash }
}

/// The newest link of a tenant's chain. Who appends after it holds the chain's lock.
pub async fn last(tx: &Tx, tenant: TenantId) -> Result<Option<Link>, Failure> {
    let find = Entity::find().filter(Column::TenantId.eq(tenant.uuid())).order_by_desc(Column::Number);
    Ok(find.one(&**tx).await.map_err(fault)?.map(link))
}

/// Where a tenant's chain ends; nothing before its first entry.
pub async fn end(tx: &Tx, tenant: TenantId) -> Result<Option<End>, Failure> {
    let row = audit_end::Entity::find_by_id(tenant.uuid()).one(&**tx).await.map_err(fault)?;
    Ok(row.map(|row| End { number: row.number, kid: row.kid, signature: row.signature }))
}

/// Appends an entry and moves the mark of the end to it.
pub async fn append(tx: &Tx, tenant: TenantId, it: Chained, end: End) -> Result<(), Failure> {
    let mark =
        audit_end::Model { tenant_id: tenant.uuid(), number: end.number, kid: end.kid, signature: end.signature };
    if end.number == 1 { insert(tx, mark).await } else { replace(tx, mark).await }?;
    let row = Model {
        tenant_id: tenant.uuid(),
        number: it.link.number,
        source: it.link.source,
        event_id: it.event,
        subject_id: it.subject,
        action: it.action,
        time: micros(it.time),
        entry: it.link.entry,
        hash: it.link.hash,
    };
    let number = row.number;
    insert(tx, row).await?;
    let about: BTreeSet<Uuid> = it.rows.into_iter().collect();
    if about.is_empty() {
        return Ok(());
    }
    let rows = about
        .into_iter()
        .map(|row_id| audit_row::Model { tenant_id: tenant.uuid(), row_id, number }.into_active_model());
    audit_row::Entity::insert_many(rows).exec_without_returning(&**tx).await.map_err(fault)?;
    Ok(())
}

/// Which entries a page holds.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub subject: Option<Uuid>,
    pub action: Option<String>,
    pub resource: Option<Uuid>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub before: Option<i64>,
    pub limit: u64,
}

/// Entries, newest first.
pub async fn page(tx: &Tx, tenant: TenantId, wanted: &Wanted) -> Result<Vec<Link>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(subject) = wanted.subject {
        find = find.filter(Column::SubjectId.eq(subject));
    }
    if let Some(action) = &wanted.action {
        find = find.filter(Column::Action.eq(action.as_str()));
    }
    if let Some(resource) = wanted.resource {
        let about = Query::select()
            .column(audit_row::Column::Number)
            .from(audit_row::Entity)
            .and_where(audit_row::Column::TenantId.eq(tenant.uuid()))
            .and_where(audit_row::Column::RowId.eq(resource))
            .to_owned();
        find = find.filter(Column::Number.in_subquery(about));
    }
    if let Some(from) = wanted.from {
        find = find.filter(Column::Time.gte(micros(from)));
    }
    if let Some(until) = wanted.until {
        find = find.filter(Column::Time.lt(micros(until)));
    }
    if let Some(before) = wanted.before {
        find = find.filter(Column::Number.lt(before));
    }
    let rows = find.order_by_desc(Column::Number).limit(wanted.limit).all(&**tx).await.map_err(fault)?;
    Ok(rows.into_iter().map(link).collect())
}

/// Links after a number, oldest first: for verification.
pub async fn after(tx: &Tx, tenant: TenantId, number: i64, limit: u64) -> Result<Vec<Link>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Number.gt(number))
        .order_by_asc(Column::Number)
        .limit(limit);
    Ok(find.all(&**tx).await.map_err(fault)?.into_iter().map(link).collect())
}
