//! The wrapped keys in the service's own database.

use revisit_core::{Failure, id::TenantId};
use sea_orm::{
    ConnectionTrait, QueryResult, Statement, Value,
    sea_query::{Expr, ExprTrait, Query},
};
use uuid::Uuid;

use super::OWNERS_MAX;
use crate::database::{Tx, fault};

/// Tenant keys of one round of wrapping anew.
const ROUND_MAX: u32 = 100;

pub(super) async fn tenant_key(tx: &Tx, tenant: TenantId) -> Result<Option<(String, Vec<u8>)>, Failure> {
    let text = "SELECT ring_key, wrapped FROM sealing_tenant_key WHERE tenant_id = $1";
    let row = tx.query_one_raw(statement(tx, text, [tenant.uuid().into()])).await.map_err(fault)?;
    row.map(|row| Ok((column(&row, "ring_key")?, column(&row, "wrapped")?))).transpose()
}

pub(super) async fn keep_tenant_key(tx: &Tx, tenant: TenantId, under: &str, wrapped: &[u8]) -> Result<(), Failure> {
    let text = "INSERT INTO sealing_tenant_key (tenant_id, ring_key, wrapped) VALUES ($1, $2, $3)
        ON CONFLICT (tenant_id) DO NOTHING";
    execute(tx, text, [tenant.uuid().into(), under.into(), wrapped.to_vec().into()]).await
}

pub(super) async fn replace_tenant_key(tx: &Tx, tenant: TenantId, under: &str, wrapped: &[u8]) -> Result<(), Failure> {
    let text = "UPDATE sealing_tenant_key SET ring_key = $2, wrapped = $3 WHERE tenant_id = $1";
    execute(tx, text, [tenant.uuid().into(), under.into(), wrapped.to_vec().into()]).await
}

pub(super) async fn tenant_keys_not_under(tx: &Tx, current: &str) -> Result<Vec<(TenantId, String, Vec<u8>)>, Failure> {
    let text = format!(
        "SELECT tenant_id, ring_key, wrapped FROM sealing_tenant_key WHERE ring_key <> $1
         ORDER BY tenant_id LIMIT {ROUND_MAX}"
    );
    let rows = tx.query_all_raw(statement(tx, &text, [current.into()])).await.map_err(fault)?;
    rows.iter()
        .map(|row| {
            let tenant: Uuid = column(row, "tenant_id")?;
            Ok((TenantId::from_uuid(tenant), column(row, "ring_key")?, column(row, "wrapped")?))
        })
        .collect()
}

/// The wrapped keys of the owners that have a row; none inside for a destroyed one.
pub(super) async fn owner_keys(
    tx: &Tx,
    tenant: TenantId,
    owners: &[Uuid],
) -> Result<Vec<(Uuid, Option<Vec<u8>>)>, Failure> {
    if owners.is_empty() {
        return Ok(Vec::new());
    }
    if owners.len() > OWNERS_MAX {
        return Err(Failure::internal("keys of too many owners at once"));
    }
    let of_tenant = Query::select()
        .columns(["owner", "wrapped"])
        .from("sealing_key")
        .and_where(Expr::col("tenant_id").eq(tenant.uuid()))
        .take();
    let rows = tx.query_all(&tx.look_up(of_tenant, "owner", owners.iter().copied())).await.map_err(fault)?;
    rows.iter().map(|row| Ok((column(row, "owner")?, column(row, "wrapped")?))).collect()
}

/// Keeps the wrapped keys of owners in one statement; who has one already keeps that. Answers how many were kept.
pub(super) async fn keep_owner_keys(tx: &Tx, tenant: TenantId, keys: Vec<(Uuid, Vec<u8>)>) -> Result<u64, Failure> {
    let rows: Vec<String> = (1..=keys.len()).map(|row| format!("($1, ${}, ${})", row * 2, row * 2 + 1)).collect();
    let text = format!(
        "INSERT INTO sealing_key (tenant_id, owner, wrapped) VALUES {} ON CONFLICT (tenant_id, owner) DO NOTHING",
        rows.join(", ")
    );
    let values = keys.into_iter().flat_map(|(owner, wrapped)| [Value::from(owner), Value::from(wrapped)]);
    let values = std::iter::once(Value::from(tenant.uuid())).chain(values);
    Ok(tx.execute_raw(statement(tx, &text, values)).await.map_err(fault)?.rows_affected())
}

/// Leaves a row without a key, so that no other key is ever made for the owner.
pub(super) async fn destroy_owner_key(tx: &Tx, tenant: TenantId, owner: Uuid) -> Result<(), Failure> {
    let text = "INSERT INTO sealing_key (tenant_id, owner, wrapped) VALUES ($1, $2, NULL)
        ON CONFLICT (tenant_id, owner) DO UPDATE SET wrapped = NULL";
    execute(tx, text, [tenant.uuid().into(), owner.into()]).await
}

async fn execute(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Result<(), Failure> {
    tx.execute_raw(statement(tx, text, values)).await.map_err(fault)?;
    Ok(())
}

fn column<T: sea_orm::TryGetable>(row: &QueryResult, name: &str) -> Result<T, Failure> {
    row.try_get("", name).map_err(fault)
}

fn statement(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(tx.get_database_backend(), text, values)
}
