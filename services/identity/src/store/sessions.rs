//! Sessions and the counts of failed log-ins.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::{entity, insert, micros, replace, time};
use crate::domain::{Session, log_in::Failures};

use entity::session::{Column, Entity, Model};

/// Expired sessions that one sweep deletes.
pub const SWEEP_MAX: u64 = 1_000;

fn session(row: Model) -> Session {
    Session {
        id: Id::from_uuid(row.session_id),
        subject: Id::from_uuid(row.subject_id),
        device: row.device,
        family_hash: row.family_hash,
        refresh_hash: row.refresh_hash,
        created_at: time(row.created_at),
        refreshed_at: time(row.refreshed_at),
        expires_at: time(row.expires_at),
        revoked_at: row.revoked_at.map(time),
    }
}

/// Keeps log-ins of a subject, and whatever ends its sessions, after one another.
pub async fn lock(tx: &Tx, tenant: TenantId, subject: SubjectId) -> Result<(), Failure> {
    let mut hasher = blake3::Hasher::new_derive_key("revisit identity sessions of a subject");
    hasher.update(tenant.uuid().as_bytes()).update(subject.uuid().as_bytes());
    let key = hasher.finalize().as_bytes().first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes));
    tx.lock(key).await.map_err(fault)
}

pub async fn add(tx: &Tx, tenant: TenantId, it: &Session) -> Result<(), Failure> {
    let row = Model {
        tenant_id: tenant.uuid(),
        session_id: it.id.uuid(),
        subject_id: it.subject.uuid(),
        device: it.device.clone(),
        family_hash: it.family_hash.clone(),
        refresh_hash: it.refresh_hash.clone(),
        created_at: micros(it.created_at),
        refreshed_at: micros(it.refreshed_at),
        expires_at: micros(it.expires_at),
        revoked_at: it.revoked_at.map(micros),
    };
    insert(tx, row).await
}

pub async fn by_id(tx: &Tx, tenant: TenantId, id: SessionId) -> Result<Option<Session>, Failure> {
    let row = Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?;
    Ok(row.map(session))
}

/// The sessions of a subject that are still good, newest first.
pub async fn live(
    tx: &Tx,
    tenant: TenantId,
    subject: SubjectId,
    now: Timestamp,
    limit: u64,
) -> Result<Vec<Session>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::SubjectId.eq(subject.uuid()))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::ExpiresAt.gt(micros(now)))
        .order_by_desc(Column::SessionId)
        .limit(limit);
    Ok(find.all(&**tx).await.map_err(fault)?.into_iter().map(session).collect())
}

/// Exchanges the token of a session; false when another exchange came first.
pub async fn exchange(tx: &Tx, tenant: TenantId, old: &Session, new: &Session) -> Result<bool, Failure> {
    let update = Entity::update_many()
        .col_expr(Column::RefreshHash, Expr::value(new.refresh_hash.clone()))
        .col_expr(Column::RefreshedAt, Expr::value(micros(new.refreshed_at)))
        .col_expr(Column::ExpiresAt, Expr::value(micros(new.expires_at)))
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::SessionId.eq(old.id.uuid()))
        .filter(Column::RevokedAt.is_null())
        .filter(Column::RefreshHash.eq(old.refresh_hash.clone()));
    Ok(update.exec(&**tx).await.map_err(fault)?.rows_affected == 1)
}

/// Ends sessions; the revision that says so is written in the same transaction.
pub async fn revoke(tx: &Tx, tenant: TenantId, ids: &[SessionId], now: Timestamp) -> Result<(), Failure> {
    if ids.is_empty() {
        return Ok(());
    }
    let update = Entity::update_many()
        .col_expr(Column::RevokedAt, Expr::value(micros(now)))
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::SessionId, ids.iter().map(|id| id.uuid())));
    update.exec(&**tx).await.map_err(fault)?;
    Ok(())
}

/// Deletes sessions and failure counts that mean nothing any more.
pub async fn sweep(tx: &Tx, expired_before: Timestamp, failed_before: Timestamp) -> Result<(), Failure> {
    let find = Entity::find().filter(Column::ExpiresAt.lt(micros(expired_before))).limit(SWEEP_MAX);
    for row in find.all(&**tx).await.map_err(fault)? {
        Entity::delete_by_id((row.tenant_id, row.session_id)).exec(&**tx).await.map_err(fault)?;
    }
    use entity::log_in_failure as failure;
    let old = failure::Entity::delete_many().filter(failure::Column::UpdatedAt.lt(micros(failed_before)));
    old.exec(&**tx).await.map_err(fault)?;
    Ok(())
}

/// How often an account or source has failed.
pub async fn failures(tx: &Tx, key: &[u8]) -> Result<Option<Failures>, Failure> {
    let row = entity::log_in_failure::Entity::find_by_id(key.to_vec()).one(&**tx).await.map_err(fault)?;
    Ok(row.map(|row| Failures {
        count: row.failures,
        blocked_until: time(row.blocked_until),
        updated_at: time(row.updated_at),
        put_off: row.put_off,
    }))
}

/// Keeps a count. Who writes holds the lock of the key.
pub async fn set_failures(tx: &Tx, key: Vec<u8>, it: Failures, known: bool) -> Result<(), Failure> {
    let row = entity::log_in_failure::Model {
        key,
        failures: it.count,
        blocked_until: micros(it.blocked_until),
        updated_at: micros(it.updated_at),
        put_off: it.put_off,
    };
    if known { replace(tx, row).await } else { insert(tx, row).await }
}

pub async fn clear_failures(tx: &Tx, key: &[u8]) -> Result<(), Failure> {
    entity::log_in_failure::Entity::delete_by_id(key.to_vec()).exec(&**tx).await.map_err(fault)?;
    Ok(())
}
