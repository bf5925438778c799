//! Inboxes: what a user reads inside Revisit. Sequences of one inbox become visible in the order of their numbers.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Timestamp,
    id::{CustomerId, DeliveryId, SubjectId, TaskId, TenantId},
};
use revisit_permission::Decided;
use sea_orm::{ColumnTrait, EntityTrait, Order, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, Select, Value};
use uuid::Uuid;

use super::{column, deliveries::Delivery, entity, execute, id, insert, query_one, time, unknown};
use crate::domain::MessageKind;

use entity::inbox_message::{Column, Entity, Model};

/// A message as it is kept: its words are sealed.
#[derive(Clone, Debug)]
pub struct Message {
    pub tenant: TenantId,
    pub id: DeliveryId,
    pub recipient: SubjectId,
    pub sequence: i64,
    pub kind: MessageKind,
    pub customer: Option<CustomerId>,
    pub task: Option<TaskId>,
    pub sealed: Vec<u8>,
    pub created_at: Timestamp,
    pub read_at: Option<Timestamp>,
}

fn message(row: Model) -> Result<Message, Failure> {
    Ok(Message {
        tenant: row.tenant_id.into(),
        id: row.delivery_id.into(),
        recipient: row.recipient_id.into(),
        sequence: row.sequence,
        kind: MessageKind::parse(&row.kind).ok_or_else(|| unknown("message kind", &row.kind))?,
        customer: id(row.customer_id),
        task: id(row.task_id),
        sealed: row.sealed,
        created_at: time(row.created_at),
        read_at: row.read_at.map(time),
    })
}

/// Puts a message into its recipient's inbox. Takes the inbox's row lock: a transaction that fills several inboxes
/// does so in the order of their recipients.
pub async fn add(tx: &Tx, delivery: &Delivery, sealed: Vec<u8>, now: Timestamp) -> Result<(), Failure> {
    let text = "INSERT INTO inbox_head (tenant_id, recipient_id, sequence) VALUES ($1, $2, 1)
        ON CONFLICT (tenant_id, recipient_id) DO UPDATE SET sequence = inbox_head.sequence + 1
        RETURNING sequence";
    let values: [Value; 2] = [delivery.tenant.uuid().into(), delivery.recipient.into()];
    let row = query_one(tx, text, values).await?;
    let sequence = row.map_or(Ok(0), |row| column(&row, "sequence"))?;
    let model = Model {
        tenant_id: delivery.tenant.uuid(),
        recipient_id: delivery.recipient,
        sequence,
        delivery_id: delivery.id.uuid(),
        kind: delivery.kind.name().to_owned(),
        customer_id: super::uuid(delivery.customer),
        task_id: super::uuid(delivery.task),
        sealed,
        created_at: now.micros(),
        read_at: None,
    };
    insert(tx, model).await
}

fn own(permit: &Decided) -> Select<Entity> {
    Entity::find()
        .filter(Column::TenantId.eq(permit.tenant().uuid()))
        .filter(Column::RecipientId.eq(permit.caller().subject.uuid()))
}

/// The caller's messages before a sequence, newest first.
pub async fn list(
    tx: &Tx,
    permit: &Decided,
    unread_only: bool,
    before: i64,
    max: u64,
) -> Result<Vec<Message>, Failure> {
    let mut query = own(permit).filter(Column::Sequence.lt(before)).order_by(Column::Sequence, Order::Desc).limit(max);
    if unread_only {
        query = query.filter(Column::ReadAt.is_null());
    }
    query.all(&**tx).await.map_err(fault)?.into_iter().map(message).collect()
}

/// The caller's messages after a sequence, oldest first.
pub async fn after(tx: &Tx, permit: &Decided, sequence: i64, max: u64) -> Result<Vec<Message>, Failure> {
    let query = own(permit).filter(Column::Sequence.gt(sequence)).order_by(Column::Sequence, Order::Asc).limit(max);
    query.all(&**tx).await.map_err(fault)?.into_iter().map(message).collect()
}

/// How many messages the caller has not read.
pub async fn unread(tx: &Tx, permit: &Decided) -> Result<i64, Failure> {
    let count = own(permit).filter(Column::ReadAt.is_null()).count(&**tx).await.map_err(fault)?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// Those of the messages that are the caller's, oldest first.
pub async fn find_all(tx: &Tx, permit: &Decided, ids: Vec<Uuid>) -> Result<Vec<Message>, Failure> {
    let query = own(permit).filter(tx.among(Column::DeliveryId, ids)).order_by(Column::Sequence, Order::Asc);
    query.all(&**tx).await.map_err(fault)?.into_iter().map(message).collect()
}

/// Marks a message as read; answers whether it was not yet: somebody may have read it since it was found.
pub async fn mark_read(tx: &Tx, message: &Message, now: Timestamp) -> Result<bool, Failure> {
    let text = "UPDATE inbox_message SET read_at = $1
        WHERE tenant_id = $2 AND recipient_id = $3 AND sequence = $4 AND read_at IS NULL";
    let values: [Value; 4] =
        [now.micros().into(), message.tenant.uuid().into(), message.recipient.uuid().into(), message.sequence.into()];
    Ok(execute(tx, text, values).await? == 1)
}
