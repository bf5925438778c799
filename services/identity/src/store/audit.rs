//! The chained audit log. Nothing here updates or deletes an entry, and the database refuses it; only the mark of the
//! end moves.

use std::collections::BTreeMap;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Id, Timestamp, id::TenantId};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, ExprTrait, IntoActiveModel, IntoSimpleExpr, QueryFilter, QueryOrder,
    QuerySelect, Select, Statement, Value, sea_query::Func,
};
use uuid::Uuid;

use super::{
    entity::{
        audit_end,
        audit_entry::{Column, Entity, Model},
        audit_field, audit_row,
    },
    insert, micros, replace, time,
};
use crate::domain::chain::{End, Head, Index, Link, Origin};

/// Outcomes of the contract.
pub const OUTCOMES: [i32; 3] = [1, 2, 3];

/// What a chain is continued from. Who appends after it holds the chain's lock.
pub async fn head(tx: &Tx, tenant: TenantId) -> Result<Head, Failure> {
    let find = Entity::find()
        .select_only()
        .columns([Column::Number, Column::Hash, Column::Signature])
        .filter(Column::TenantId.eq(tenant.uuid()))
        .order_by_desc(Column::Number)
        .into_tuple::<(i64, Vec<u8>, Vec<u8>)>();
    let found = find.one(&**tx).await.map_err(fault)?;
    Ok(found.map(|(number, hash, signature)| Head { number, hash, signature }).unwrap_or_default())
}

/// Where a tenant's chain ends; nothing before its first entry.
pub async fn end(tx: &Tx, tenant: TenantId) -> Result<Option<End>, Failure> {
    let row = audit_end::Entity::find_by_id(tenant.uuid()).one(&**tx).await.map_err(fault)?;
    Ok(row.map(|row| End { number: row.number, kid: row.kid, signature: row.signature }))
}

/// Appends an entry and moves the mark of the end to it.
pub async fn append(tx: &Tx, tenant: TenantId, link: Link, end: End) -> Result<(), Failure> {
    let mark =
        audit_end::Model { tenant_id: tenant.uuid(), number: end.number, kid: end.kid, signature: end.signature };
    if end.number == 1 { insert(tx, mark).await } else { replace(tx, mark).await }?;
    let (tenant_id, time, number, subject_id) =
        (tenant.uuid(), micros(link.index.time), link.number, link.index.subject);
    let row = Model {
        tenant_id,
        number,
        source: link.origin.source,
        incarnation: link.origin.incarnation,
        shard: i32::try_from(link.origin.shard).map_err(Failure::internal)?,
        position: link.position,
        subject_id,
        action: link.index.action,
        outcome: link.index.outcome,
        time,
        entry: link.entry,
        hash: link.hash,
        signature: link.signature,
    };
    insert(tx, row).await?;
    if !link.index.rows.is_empty() {
        let rows = link.index.rows.into_iter().map(|row_id| audit_row::Model { tenant_id, row_id, time, number });
        let rows = rows.map(IntoActiveModel::into_active_model);
        audit_row::Entity::insert_many(rows).exec_without_returning(&**tx).await.map_err(fault)?;
    }
    if !link.index.fields.is_empty() {
        let fields = link.index.fields.into_iter();
        let fields = fields.map(|field| audit_field::Model { tenant_id, field, time, number, subject_id });
        let fields = fields.map(IntoActiveModel::into_active_model);
        audit_field::Entity::insert_many(fields).exec_without_returning(&**tx).await.map_err(fault)?;
    }
    Ok(())
}

/// Where the entries after a number came from, and how many from each place.
pub async fn origins_after(tx: &Tx, tenant: TenantId, number: i64) -> Result<Vec<(Origin, i64)>, Failure> {
    let find = Entity::find()
        .select_only()
        .columns([Column::Source, Column::Incarnation, Column::Shard])
        .column_as(Column::Number.count(), "entries")
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Number.gt(number))
        .group_by(Column::Source)
        .group_by(Column::Incarnation)
        .group_by(Column::Shard)
        .order_by_asc(Column::Source)
        .order_by_asc(Column::Incarnation)
        .order_by_asc(Column::Shard)
        .into_tuple::<(String, Uuid, i32, i64)>();
    let found = find.all(&**tx).await.map_err(fault)?;
    found
        .into_iter()
        .map(|(source, incarnation, at, entries)| Ok((origin(source, incarnation, at)?, entries)))
        .collect()
}

fn origin(source: String, incarnation: Uuid, shard: i32) -> Result<Origin, Failure> {
    Ok(Origin { source, incarnation, shard: u32::try_from(shard).map_err(Failure::internal)? })
}

/// Companies with entries that no checkpoint covers, whose last checkpoint was made before an instant.
pub async fn unmarked(tx: &Tx, before: Timestamp, limit: u64) -> Result<Vec<TenantId>, Failure> {
    let newest = |column: &str| {
        format!(
            "COALESCE((SELECT c.{column} FROM audit_checkpoint c WHERE c.tenant_id = e.tenant_id \
             ORDER BY c.number DESC LIMIT 1), 0)"
        )
    };
    let text = format!(
        "SELECT e.tenant_id FROM audit_end e WHERE e.number > {} AND {} <= $1 LIMIT {limit}",
        newest("entry_number"),
        newest("made_at")
    );
    let values = [Value::from(micros(before))];
    let statement = Statement::from_sql_and_values(tx.get_database_backend(), text, values);
    let rows = tx.query_all_raw(statement).await.map_err(fault)?;
    rows.iter().map(|row| row.try_get::<Uuid>("", "tenant_id").map(Id::from_uuid).map_err(fault)).collect()
}

/// Links after a number, oldest first: for verification.
pub async fn after(tx: &Tx, tenant: TenantId, number: i64, limit: u64) -> Result<Vec<Link>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Number.gt(number))
        .order_by_asc(Column::Number)
        .limit(limit);
    let found = find.all(&**tx).await.map_err(fault)?;
    let Some(last) = found.last().map(|last| last.number) else { return Ok(Vec::new()) };
    let about = audit_row::Entity::find()
        .filter(audit_row::Column::TenantId.eq(tenant.uuid()))
        .filter(audit_row::Column::Number.gt(number))
        .filter(audit_row::Column::Number.lte(last));
    let mut rows: BTreeMap<i64, Vec<audit_row::Model>> = BTreeMap::new();
    for row in about.all(&**tx).await.map_err(fault)? {
        rows.entry(row.number).or_default().push(row);
    }
    let named = audit_field::Entity::find()
        .filter(audit_field::Column::TenantId.eq(tenant.uuid()))
        .filter(audit_field::Column::Number.gt(number))
        .filter(audit_field::Column::Number.lte(last));
    let mut fields: BTreeMap<i64, Vec<audit_field::Model>> = BTreeMap::new();
    for field in named.all(&**tx).await.map_err(fault)? {
        fields.entry(field.number).or_default().push(field);
    }
    found
        .into_iter()
        .map(|row| {
            // What stands under another time or subject is found by it, and must not: it counts as another row or field.
            let true_row = |it: audit_row::Model| if it.time == row.time { it.row_id } else { Uuid::nil() };
            let true_field = |it: audit_field::Model| match (it.time, it.subject_id) == (row.time, row.subject_id) {
                true => it.field,
                false => String::new(),
            };
            let index = Index {
                subject: row.subject_id,
                action: row.action,
                outcome: row.outcome,
                time: time(row.time),
                rows: rows.remove(&row.number).unwrap_or_default().into_iter().map(true_row).collect(),
                fields: fields.remove(&row.number).unwrap_or_default().into_iter().map(true_field).collect(),
            };
            Ok(Link {
                number: row.number,
                origin: origin(row.source, row.incarnation, row.shard)?,
                position: row.position,
                entry: row.entry,
                index,
                hash: row.hash,
                signature: row.signature,
            })
        })
        .collect()
}

/// Number and size of an entry.
pub type Size = (i64, u64);

/// The newest entries of one outcome that tell of a time after an instant, newest first.
pub async fn newest(
    tx: &Tx,
    tenant: TenantId,
    (outcome, after): (i32, Timestamp),
    limit: u64,
) -> Result<Vec<Size>, Failure> {
    let find = sizes(tenant)
        .filter(Column::Outcome.eq(outcome))
        .filter(Column::Time.gt(micros(after)))
        .order_by_desc(Column::Time)
        .order_by_desc(Column::Number)
        .limit(limit);
    sized(find.into_tuple().all(&**tx).await.map_err(fault)?)
}

/// The entries after a number, oldest first.
pub async fn sizes_after(tx: &Tx, tenant: TenantId, number: i64, limit: u64) -> Result<Vec<Size>, Failure> {
    let find = sizes(tenant).filter(Column::Number.gt(number)).order_by_asc(Column::Number).limit(limit);
    sized(find.into_tuple().all(&**tx).await.map_err(fault)?)
}

fn sizes(tenant: TenantId) -> Select<Entity> {
    // Neither database reads a long value to tell how long it is.
    let size = Func::cust("length").arg(Column::Entry.into_simple_expr()).cast_as("bigint");
    let find = Entity::find().select_only().column(Column::Number).expr_as(size, "size");
    find.filter(Column::TenantId.eq(tenant.uuid()))
}

fn sized(found: Vec<(i64, i64)>) -> Result<Vec<Size>, Failure> {
    found.into_iter().map(|(number, size)| Ok((number, u64::try_from(size).map_err(Failure::internal)?))).collect()
}

/// The bytes of entries, in the order of their numbers.
pub async fn entries(tx: &Tx, tenant: TenantId, numbers: &[i64]) -> Result<Vec<(i64, Vec<u8>)>, Failure> {
    let find = Entity::find()
        .select_only()
        .columns([Column::Number, Column::Entry])
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::Number, numbers.iter().copied()))
        .order_by_asc(Column::Number)
        .into_tuple();
    find.all(&**tx).await.map_err(fault)
}

/// The hash of an entry.
pub async fn hash_of(tx: &Tx, tenant: TenantId, number: i64) -> Result<Option<Vec<u8>>, Failure> {
    let find = Entity::find_by_id((tenant.uuid(), number)).select_only().column(Column::Hash).into_tuple();
    find.one(&**tx).await.map_err(fault)
}

/// Whether something is found by a number that the chain does not have.
pub async fn beyond(tx: &Tx, tenant: TenantId, number: i64) -> Result<bool, Failure> {
    let rows = audit_row::Entity::find()
        .filter(audit_row::Column::TenantId.eq(tenant.uuid()))
        .filter(audit_row::Column::Number.gt(number).or(audit_row::Column::Number.lt(1)));
    let fields = audit_field::Entity::find()
        .filter(audit_field::Column::TenantId.eq(tenant.uuid()))
        .filter(audit_field::Column::Number.gt(number).or(audit_field::Column::Number.lt(1)));
    let rows = rows.one(&**tx).await.map_err(fault)?;
    Ok(rows.is_some() || fields.one(&**tx).await.map_err(fault)?.is_some())
}
