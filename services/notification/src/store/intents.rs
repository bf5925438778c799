//! Intents: what one event asks to tell one recipient, at most once.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{CustomerId, EventId, IntentId, TaskId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter};
use uuid::Uuid;

use super::{column, entity, execute, from_json, id, query_one, time, to_json, unknown, uuid};
use crate::domain::{MessageKind, Values};

/// What is to be told, to whom, and why.
#[derive(Clone, Debug)]
pub struct Intent {
    pub tenant: TenantId,
    pub id: IntentId,
    /// Whose event asks for it.
    pub source: String,
    pub event: EventId,
    pub kind: MessageKind,
    /// A user or, for a customer's welcome, a customer.
    pub recipient: Uuid,
    /// Tells messages of one event, kind and recipient apart; usually empty.
    pub occurrence: String,
    pub customer: Option<CustomerId>,
    pub task: Option<TaskId>,
    /// Basic-layer facts that the text is made of when it is sent.
    pub facts: Values,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    /// Trace of the call that caused it.
    pub traceparent: String,
}

/// Whether an intent is new here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Taken {
    /// It is.
    First,
    /// The same one is here already.
    Repeat,
    /// One with the same key and another body is here; it stays.
    Conflict,
}

impl Intent {
    fn body_hash(&self) -> Result<Vec<u8>, Failure> {
        let parts = (uuid(self.customer), uuid(self.task), &self.facts, self.expires_at.micros());
        Ok(blake3::hash(to_json(&parts)?.as_bytes()).as_bytes().to_vec())
    }
}

/// Takes an intent once: the key is (tenant, source, event, kind, recipient, occurrence).
pub async fn take(tx: &Tx, intent: &Intent) -> Result<Taken, Failure> {
    let hash = intent.body_hash()?;
    let text = "INSERT INTO intent (tenant_id, intent_id, source, event_id, kind, recipient_id, occurrence, body_hash,
            customer_id, task_id, facts, expires_at, created_at, traceparent)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING";
    let values = [
        intent.tenant.uuid().into(),
        intent.id.uuid().into(),
        intent.source.clone().into(),
        intent.event.uuid().into(),
        intent.kind.name().into(),
        intent.recipient.into(),
        intent.occurrence.clone().into(),
        hash.clone().into(),
        uuid(intent.customer).into(),
        uuid(intent.task).into(),
        to_json(&intent.facts)?.into(),
        intent.expires_at.micros().into(),
        intent.created_at.micros().into(),
        intent.traceparent.clone().into(),
    ];
    if execute(tx, text, values).await? > 0 {
        return Ok(Taken::First);
    }
    let text = "SELECT body_hash FROM intent WHERE tenant_id = $1 AND source = $2 AND event_id = $3 AND kind = $4
        AND recipient_id = $5 AND occurrence = $6";
    let key = [
        intent.tenant.uuid().into(),
        intent.source.clone().into(),
        intent.event.uuid().into(),
        intent.kind.name().into(),
        intent.recipient.into(),
        intent.occurrence.clone().into(),
    ];
    match query_one(tx, text, key).await? {
        Some(row) if column::<Vec<u8>>(&row, "body_hash")? == hash => Ok(Taken::Repeat),
        Some(_) | None => Ok(Taken::Conflict),
    }
}

/// The intents of deliveries that were claimed together.
pub async fn find_all(tx: &Tx, tenant: TenantId, ids: Vec<Uuid>) -> Result<Vec<Intent>, Failure> {
    use entity::intent::Column;
    let rows = entity::intent::Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(Column::IntentId, ids))
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(intent).collect()
}

fn intent(row: entity::intent::Model) -> Result<Intent, Failure> {
    Ok(Intent {
        tenant: row.tenant_id.into(),
        id: row.intent_id.into(),
        source: row.source,
        event: row.event_id.into(),
        kind: MessageKind::parse(&row.kind).ok_or_else(|| unknown("message kind", &row.kind))?,
        recipient: row.recipient_id,
        occurrence: row.occurrence,
        customer: id(row.customer_id),
        task: id(row.task_id),
        facts: from_json(&row.facts)?,
        expires_at: time(row.expires_at),
        created_at: time(row.created_at),
        traceparent: row.traceparent,
    })
}
