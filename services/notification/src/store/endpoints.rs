//! Receivers of webhooks and the keys that sign calls to them.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{EndpointId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, Order, QueryFilter, QueryOrder, QuerySelect, Value};
use uuid::Uuid;

use super::{entity, execute, from_json, insert, time, to_json};
use crate::domain::{MessageKind, signature::Algorithm};

use entity::{endpoint, endpoint_key};

/// Endpoints of one tenant at the most: each message is told to every one of them.
pub const ENDPOINTS_MAX: u64 = 100;

/// A receiver.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Endpoint {
    pub tenant: TenantId,
    pub id: EndpointId,
    pub url: String,
    /// Kinds that are sent; all when none is named.
    pub kinds: Vec<MessageKind>,
    pub enabled: bool,
    pub reason: String,
    pub created_at: Timestamp,
    pub version: i64,
}

/// A key as it is kept: sealed.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SealedKey {
    pub id: Uuid,
    pub algorithm: Algorithm,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
}

impl Endpoint {
    pub fn takes(&self, kind: MessageKind) -> bool {
        self.enabled && (self.kinds.is_empty() || self.kinds.contains(&kind))
    }
}

fn read(row: endpoint::Model) -> Result<Endpoint, Failure> {
    let kinds: Vec<String> = from_json(&row.kinds)?;
    Ok(Endpoint {
        tenant: row.tenant_id.into(),
        id: row.endpoint_id.into(),
        url: row.url,
        kinds: kinds.iter().filter_map(|name| MessageKind::parse(name)).collect(),
        enabled: row.enabled,
        reason: row.reason,
        created_at: time(row.created_at),
        version: row.version,
    })
}

fn model(endpoint: &Endpoint) -> Result<endpoint::Model, Failure> {
    let kinds: Vec<&str> = endpoint.kinds.iter().map(|kind| kind.name()).collect();
    Ok(endpoint::Model {
        tenant_id: endpoint.tenant.uuid(),
        endpoint_id: endpoint.id.uuid(),
        url: endpoint.url.clone(),
        kinds: to_json(&kinds)?,
        enabled: endpoint.enabled,
        reason: endpoint.reason.clone(),
        created_at: endpoint.created_at.micros(),
        version: endpoint.version,
    })
}

pub async fn add(tx: &Tx, endpoint: &Endpoint) -> Result<(), Failure> {
    insert(tx, model(endpoint)?).await
}

pub async fn find(tx: &Tx, tenant: TenantId, id: EndpointId) -> Result<Option<Endpoint>, Failure> {
    let row = endpoint::Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?;
    row.map(read).transpose()
}

/// A page of a tenant's endpoints, oldest first (their ids rise with time).
pub async fn list(tx: &Tx, tenant: TenantId, after: Uuid, max: u64) -> Result<Vec<Endpoint>, Failure> {
    let rows = endpoint::Entity::find()
        .filter(endpoint::Column::TenantId.eq(tenant.uuid()))
        .filter(endpoint::Column::EndpointId.gt(after))
        .order_by(endpoint::Column::EndpointId, Order::Asc)
        .limit(max)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(read).collect()
}

/// Writes a changed endpoint; answers false when somebody else changed it first.
pub async fn save(tx: &Tx, endpoint: &Endpoint, former_version: i64) -> Result<bool, Failure> {
    let row = model(endpoint)?;
    let text = "UPDATE endpoint SET url = $1, kinds = $2, enabled = $3, reason = $4, version = $5
        WHERE tenant_id = $6 AND endpoint_id = $7 AND version = $8";
    let values: [Value; 8] = [
        row.url.into(),
        row.kinds.into(),
        row.enabled.into(),
        row.reason.into(),
        row.version.into(),
        row.tenant_id.into(),
        row.endpoint_id.into(),
        former_version.into(),
    ];
    Ok(execute(tx, text, values).await? > 0)
}

/// Removes an endpoint and its keys.
pub async fn remove(tx: &Tx, endpoint: &Endpoint) -> Result<bool, Failure> {
    let key: [Value; 2] = [endpoint.tenant.uuid().into(), endpoint.id.uuid().into()];
    execute(tx, "DELETE FROM endpoint_key WHERE tenant_id = $1 AND endpoint_id = $2", key.clone()).await?;
    let text = "DELETE FROM endpoint WHERE tenant_id = $1 AND endpoint_id = $2 AND version = $3";
    let [tenant, id] = key;
    Ok(execute(tx, text, [tenant, id, endpoint.version.into()]).await? > 0)
}

pub async fn add_key(tx: &Tx, endpoint: &Endpoint, key: &SealedKey) -> Result<(), Failure> {
    let model = endpoint_key::Model {
        tenant_id: endpoint.tenant.uuid(),
        endpoint_id: endpoint.id.uuid(),
        key_id: key.id,
        algorithm: key.algorithm as i32,
        sealed: key.sealed.clone(),
        created_at: key.created_at.micros(),
    };
    insert(tx, model).await
}

/// The keys of an endpoint, oldest first.
pub async fn keys(tx: &Tx, tenant: TenantId, endpoint: EndpointId) -> Result<Vec<SealedKey>, Failure> {
    let rows = endpoint_key::Entity::find()
        .filter(endpoint_key::Column::TenantId.eq(tenant.uuid()))
        .filter(endpoint_key::Column::EndpointId.eq(endpoint.uuid()))
        .order_by(endpoint_key::Column::CreatedAt, Order::Asc)
        .order_by(endpoint_key::Column::KeyId, Order::Asc)
        .all(&**tx)
        .await
        .map_err(fault)?;
    let key = |row: endpoint_key::Model| SealedKey {
        id: row.key_id,
        // A key of an algorithm that this version does not know cannot be opened either, and is reported there.
        algorithm: Algorithm::numbered(row.algorithm).unwrap_or(Algorithm::Hmac),
        sealed: row.sealed,
        created_at: time(row.created_at),
    };
    Ok(rows.into_iter().map(key).collect())
}

pub async fn remove_key(tx: &Tx, endpoint: &Endpoint, key: Uuid) -> Result<bool, Failure> {
    let text = "DELETE FROM endpoint_key WHERE tenant_id = $1 AND endpoint_id = $2 AND key_id = $3";
    Ok(execute(tx, text, [endpoint.tenant.uuid().into(), endpoint.id.uuid().into(), key.into()]).await? > 0)
}
