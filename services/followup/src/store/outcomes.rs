//! Outcomes and their sealed notes.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, TaskId, TenantId},
};
use revisit_permission::{Layer, Purpose, Veiled};
use sea_orm::{ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType};

use super::{
    at,
    entity::{outcome, outcome_note},
    id, raw, unreadable, upsert,
};
use crate::domain::{
    outcome::{Answer, Outcome, Review},
    task::Channel,
};

fn read(row: outcome::Model) -> Result<Outcome, Failure> {
    Ok(Outcome {
        tenant: Id::from_uuid(row.tenant_id),
        task: Id::from_uuid(row.task_id),
        customer: id(row.customer_id),
        recorded_by: Id::from_uuid(row.recorded_by),
        recorded_at: at(row.recorded_at),
        answer: Veiled::new(
            Outcome::layer(row.sensitive),
            Answer { result: row.result, satisfaction: row.satisfaction },
        ),
        channel: row.channel.as_deref().and_then(Channel::parse),
        next_contact_at: row.next_contact_at.map(at),
        review: Review::parse(&row.review).ok_or_else(|| unreadable("review"))?,
        reviewed_by: id(row.reviewed_by),
    })
}

/// The outcome of a task.
pub async fn find(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Option<Outcome>, Failure> {
    let find = outcome::Entity::find_by_id((tenant.uuid(), task.uuid()));
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// The same, to change it.
pub async fn lock(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Option<Outcome>, Failure> {
    let find = outcome::Entity::find_by_id((tenant.uuid(), task.uuid())).lock(LockType::Update);
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// The next outcomes of a customer, newest first, after the one recorded then.
pub async fn list(
    tx: &Tx,
    tenant: TenantId,
    customer: CustomerId,
    before: Option<(Timestamp, TaskId)>,
    limit: u64,
) -> Result<Vec<Outcome>, Failure> {
    let mut find = outcome::Entity::find()
        .filter(outcome::Column::TenantId.eq(tenant.uuid()))
        .filter(outcome::Column::CustomerId.eq(customer.uuid()));
    if let Some((when, task)) = before {
        let same = Condition::all()
            .add(outcome::Column::RecordedAt.eq(when.micros()))
            .add(outcome::Column::TaskId.lt(task.uuid()));
        find = find.filter(Condition::any().add(outcome::Column::RecordedAt.lt(when.micros())).add(same));
    }
    let rows = find
        .order_by_desc(outcome::Column::RecordedAt)
        .order_by_desc(outcome::Column::TaskId)
        .limit(limit)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(read).collect()
}

/// Writes an outcome.
pub async fn save(tx: &Tx, outcome: &Outcome) -> Result<(), Failure> {
    let answer = outcome.answer.lift(Purpose::Store);
    let row = outcome::Model {
        tenant_id: outcome.tenant.uuid(),
        task_id: outcome.task.uuid(),
        customer_id: raw(outcome.customer),
        recorded_by: outcome.recorded_by.uuid(),
        recorded_at: outcome.recorded_at.micros(),
        result: answer.result.clone(),
        channel: outcome.channel.map(|channel| channel.name().to_owned()),
        satisfaction: answer.satisfaction,
        next_contact_at: outcome.next_contact_at.map(|next| next.micros()),
        sensitive: outcome.sensitive(),
        review: outcome.review.name().to_owned(),
        reviewed_by: raw(outcome.reviewed_by),
    };
    upsert::<outcome::Entity, _>(tx, vec![row]).await
}

/// Writes the notes of an outcome, sealed already, in order.
pub async fn save_notes(tx: &Tx, tenant: TenantId, task: TaskId, notes: Vec<(Layer, Vec<u8>)>) -> Result<(), Failure> {
    let rows = (0_i16..).zip(notes).map(|(ordinal, (layer, sealed))| outcome_note::Model {
        tenant_id: tenant.uuid(),
        task_id: task.uuid(),
        ordinal,
        layer: layer.name().to_owned(),
        sealed,
    });
    upsert::<outcome_note::Entity, _>(tx, rows.collect()).await
}

/// The notes of an outcome, sealed, in order.
pub async fn notes(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Vec<(Layer, Vec<u8>)>, Failure> {
    let rows = outcome_note::Entity::find()
        .filter(outcome_note::Column::TenantId.eq(tenant.uuid()))
        .filter(outcome_note::Column::TaskId.eq(task.uuid()))
        .order_by_asc(outcome_note::Column::Ordinal)
        .all(&**tx)
        .await
        .map_err(fault)?;
    let note =
        |row: outcome_note::Model| Ok((Layer::parse(&row.layer).ok_or_else(|| unreadable("layer"))?, row.sealed));
    rows.into_iter().map(note).collect()
}
