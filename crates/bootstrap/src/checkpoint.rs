//! The checkpoints of audit logs that this service keeps: each one that identity has signed and told, never changed.
//!
//! Two that differ under one number are both kept: then somebody has written the log anew, or gone back to a backup.

use std::sync::Arc;

use prost::Message;
use revisit_core::{Failure, Id, Input, Kind, id::TenantId, page::Page};
use revisit_permission::Worker;
use revisit_proto::{
    event::v1::{
        ListCheckpointsRequest, ListCheckpointsResponse, ListTenantsRequest, ListTenantsResponse,
        checkpoints_server::{Checkpoints, CheckpointsServer},
    },
    identity::v1::AuditCheckpoint,
};
use sea_orm::{ConnectionTrait, Statement, Value};
use tonic::Request;
use uuid::Uuid;

use crate::{
    auth::internal,
    database::{Database, Tx, fault},
    status::{Reply, reply},
};

/// Who may ask for them.
const READERS: [&str; 1] = ["identity"];
/// Bytes of a key of a page: the number and the digest.
const NUMBER: usize = 8;

/// What became of a checkpoint.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kept {
    /// It is kept from now on.
    New,
    /// It was kept already.
    Known,
    /// It is kept beside another one of the same number.
    Conflicting,
}

/// Keeps a checkpoint. Nothing that was kept is replaced.
pub async fn keep(tx: &Tx, tenant: TenantId, checkpoint: &AuditCheckpoint) -> Result<Kept, Failure> {
    let message = checkpoint.encode_to_vec();
    let digest = blake3::hash(&message).as_bytes().to_vec();
    let text = "INSERT INTO audit_checkpoint (tenant_id, number, digest, entry_number, made_at, message)
        VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (tenant_id, number, digest) DO NOTHING";
    let (tenant, number): (Value, Value) = (tenant.uuid().into(), checkpoint.number.into());
    let values = [
        tenant.clone(),
        number.clone(),
        digest.clone().into(),
        checkpoint.entry_number.into(),
        checkpoint.time_micros.into(),
        message.into(),
    ];
    if tx.execute_raw(statement(tx, text, values)).await.map_err(fault)?.rows_affected() == 0 {
        return Ok(Kept::Known);
    }
    let text = "SELECT 1 AS other FROM audit_checkpoint WHERE tenant_id = $1 AND number = $2 AND digest <> $3 LIMIT 1";
    let other = tx.query_one_raw(statement(tx, text, [tenant, number, digest.into()])).await.map_err(fault)?;
    Ok(if other.is_some() { Kept::Conflicting } else { Kept::New })
}

/// The newest checkpoint of a company; of two with one number either.
pub async fn newest(tx: &Tx, tenant: TenantId) -> Result<Option<AuditCheckpoint>, Failure> {
    let text = "SELECT message FROM audit_checkpoint WHERE tenant_id = $1 ORDER BY number DESC LIMIT 1";
    let row = tx.query_one_raw(statement(tx, text, [tenant.uuid().into()])).await.map_err(fault)?;
    row.map(|row| read(&row.try_get::<Vec<u8>>("", "message").map_err(fault)?)).transpose()
}

/// Checkpoints of a company in the order of number and digest, each with its key.
pub async fn page(
    tx: &Tx,
    tenant: TenantId,
    after: Option<&[u8]>,
    limit: u32,
) -> Result<Vec<(Vec<u8>, AuditCheckpoint)>, Failure> {
    let (number, digest) = match after {
        Some(key) => key.split_first_chunk::<NUMBER>().ok_or_else(Page::unreadable)?,
        None => (&[0; NUMBER], [].as_slice()),
    };
    let text = "SELECT number, digest, message FROM audit_checkpoint
        WHERE tenant_id = $1 AND number >= $2 AND (number > $2 OR digest > $3) ORDER BY number, digest LIMIT $4";
    let values: [Value; 4] =
        [tenant.uuid().into(), i64::from_be_bytes(*number).into(), digest.to_vec().into(), i64::from(limit).into()];
    let rows = tx.query_all_raw(statement(tx, text, values)).await.map_err(fault)?;
    rows.iter()
        .map(|row| {
            let number: i64 = row.try_get("", "number").map_err(fault)?;
            let digest: Vec<u8> = row.try_get("", "digest").map_err(fault)?;
            let message: Vec<u8> = row.try_get("", "message").map_err(fault)?;
            Ok(([number.to_be_bytes().as_slice(), &digest].concat(), read(&message)?))
        })
        .collect()
}

/// The companies of which there are checkpoints, in order.
pub async fn tenants(tx: &Tx, after: Option<TenantId>, limit: u32) -> Result<Vec<TenantId>, Failure> {
    let text = "SELECT DISTINCT tenant_id FROM audit_checkpoint WHERE tenant_id > $1 ORDER BY tenant_id LIMIT $2";
    let values: [Value; 2] = [after.map_or_else(Uuid::nil, Id::uuid).into(), i64::from(limit).into()];
    let rows = tx.query_all_raw(statement(tx, text, values)).await.map_err(fault)?;
    rows.iter().map(|row| Ok(Id::from_uuid(row.try_get("", "tenant_id").map_err(fault)?))).collect()
}

fn read(message: &[u8]) -> Result<AuditCheckpoint, Failure> {
    AuditCheckpoint::decode(message).map_err(Failure::internal)
}

fn statement(tx: &Tx, text: &str, values: impl IntoIterator<Item = Value>) -> Statement {
    Statement::from_sql_and_values(tx.get_database_backend(), text, values)
}

/// Serves what every service of the process keeps.
pub(crate) fn service(databases: Vec<Database>) -> CheckpointsServer<impl Checkpoints> {
    CheckpointsServer::new(Served { databases: Arc::new(databases), worker: Worker::declare("checkpoints") })
}

#[derive(Clone)]
struct Served {
    databases: Arc<Vec<Database>>,
    worker: Worker,
}

#[tonic::async_trait]
impl Checkpoints for Served {
    async fn list_checkpoints(&self, request: Request<ListCheckpointsRequest>) -> Reply<ListCheckpointsResponse> {
        let (_, message) = internal(request, &READERS)?;
        reply(self.list(&message).await)
    }

    async fn list_tenants(&self, request: Request<ListTenantsRequest>) -> Reply<ListTenantsResponse> {
        let (_, message) = internal(request, &READERS)?;
        reply(self.tenants(&message).await)
    }
}

impl Served {
    async fn list(&self, message: &ListCheckpointsRequest) -> Result<ListCheckpointsResponse, Failure> {
        let mut input = Input::default();
        let tenant: Id<_> = input.id("tenant_id", &message.tenant_id);
        let shape = ["checkpoints", &message.keeper, &message.tenant_id];
        let asked = Page::read(&mut input, message.page_size, &message.page_token, &shape);
        input.finish()?;
        let found = async |tx: &Tx| page(tx, tenant, asked.after.as_deref(), asked.size).await;
        let found = self.keeper(&message.keeper)?.read(&self.worker, found).await?;
        let full = u32::try_from(found.len()).is_ok_and(|count| count == asked.size);
        let next_page_token = found.last().filter(|_| full).map(|(key, _)| asked.token(key)).unwrap_or_default();
        let checkpoints = found.into_iter().map(|(_, checkpoint)| checkpoint).collect();
        Ok(ListCheckpointsResponse { checkpoints, next_page_token })
    }

    async fn tenants(&self, message: &ListTenantsRequest) -> Result<ListTenantsResponse, Failure> {
        let mut input = Input::default();
        let asked = Page::read(&mut input, message.page_size, &message.page_token, &["keeper", &message.keeper]);
        input.finish()?;
        let after = asked.after.as_deref().map(|key| Uuid::from_slice(key).map_err(|_| Page::unreadable()));
        let after = after.transpose()?.map(Id::from_uuid);
        let found = async |tx: &Tx| tenants(tx, after, asked.size).await;
        let found = self.keeper(&message.keeper)?.read(&self.worker, found).await?;
        let full = u32::try_from(found.len()).is_ok_and(|count| count == asked.size);
        let last = found.last().filter(|_| full);
        let next_page_token = last.map(|last| asked.token(last.uuid().as_bytes())).unwrap_or_default();
        Ok(ListTenantsResponse { tenant_ids: found.iter().map(ToString::to_string).collect(), next_page_token })
    }

    fn keeper(&self, named: &str) -> Result<&Database, Failure> {
        let of_keeper = |it: &&Database| it.outbox().is_some_and(|outbox| outbox.source() == named);
        let none = || Failure::new(Kind::NotFound, "KEEPER_NOT_FOUND", "that service does not run here");
        self.databases.iter().find(of_keeper).ok_or_else(none)
    }
}
