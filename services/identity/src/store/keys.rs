//! What exists once per database, and the public signing keys.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Id, Timestamp, id::TenantId};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{entity, insert, micros};
use crate::keys::PublicKey;

/// What exists once per database.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Authority {
    /// Drawn by `init`; a restore draws another one.
    pub incarnation: Uuid,
    /// The tenant of the operators.
    pub operator: TenantId,
}

/// The only row's key.
const ONLY: i64 = 1;

pub async fn authority(tx: &Tx) -> Result<Option<Authority>, Failure> {
    let row = entity::authority::Entity::find_by_id(ONLY).one(&**tx).await.map_err(fault)?;
    Ok(row.map(|row| Authority { incarnation: row.incarnation, operator: Id::from_uuid(row.operator_tenant_id) }))
}

pub async fn set_authority(tx: &Tx, it: Authority, now: Timestamp) -> Result<(), Failure> {
    let row = entity::authority::Model {
        id: ONLY,
        incarnation: it.incarnation,
        operator_tenant_id: it.operator.uuid(),
        created_at: micros(now),
    };
    insert(tx, row).await
}

pub async fn add(tx: &Tx, key: &PublicKey, now: Timestamp) -> Result<(), Failure> {
    let row = entity::signing_key::Model {
        kid: key.kid.clone(),
        public_key: key.bytes.clone(),
        created_at: micros(now),
        retired_at: None,
    };
    insert(tx, row).await
}

/// Every key that ever signed.
pub async fn ever(tx: &Tx) -> Result<Vec<PublicKey>, Failure> {
    let rows = entity::signing_key::Entity::find().all(&**tx).await.map_err(fault)?;
    Ok(rows.into_iter().map(|row| PublicKey { kid: row.kid, bytes: row.public_key }).collect())
}

/// The keys that still verify, newest first.
pub async fn all(tx: &Tx) -> Result<Vec<PublicKey>, Failure> {
    use entity::signing_key::{Column, Entity};
    let find = Entity::find().filter(Column::RetiredAt.is_null()).order_by_desc(Column::CreatedAt);
    let rows = find.all(&**tx).await.map_err(fault)?;
    Ok(rows.into_iter().map(|row| PublicKey { kid: row.kid, bytes: row.public_key }).collect())
}
