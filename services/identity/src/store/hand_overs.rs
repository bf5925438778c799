//! Hand-overs: sagas that survive a kill, because every step is a row.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{JobId, SubjectId, TenantId},
};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::LockType};

use super::{
    entity::hand_over::{Column, Entity, Model},
    from_json, insert, micros, replace, time, to_json,
};
use crate::domain::hand_over::{HandOver, State};

fn hand_over(row: Model) -> Result<HandOver, Failure> {
    Ok(HandOver {
        id: Id::from_uuid(row.hand_over_id),
        user: Id::from_uuid(row.user_id),
        state: State::parse(&row.state).ok_or_else(|| Failure::internal("a hand-over has an unknown state"))?,
        plan: from_json(&row.plan)?,
        parts: from_json(&row.parts)?,
        revision: row.revision,
        created_at: time(row.created_at),
        effective_at: row.effective_at.map(time),
        done_at: row.done_at.map(time),
    })
}

fn row(tenant: TenantId, it: &HandOver) -> Result<Model, Failure> {
    Ok(Model {
        tenant_id: tenant.uuid(),
        hand_over_id: it.id.uuid(),
        user_id: it.user.uuid(),
        state: it.state.name().to_owned(),
        plan: to_json(&it.plan)?,
        parts: to_json(&it.parts)?,
        revision: it.revision,
        created_at: micros(it.created_at),
        effective_at: it.effective_at.map(micros),
        done_at: it.done_at.map(micros),
    })
}

pub async fn add(tx: &Tx, tenant: TenantId, it: &HandOver) -> Result<(), Failure> {
    insert(tx, row(tenant, it)?).await
}

pub async fn save(tx: &Tx, tenant: TenantId, it: &HandOver) -> Result<(), Failure> {
    replace(tx, row(tenant, it)?).await
}

pub async fn by_id(tx: &Tx, tenant: TenantId, id: JobId) -> Result<Option<HandOver>, Failure> {
    Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await.map_err(fault)?.map(hand_over).transpose()
}

/// One hand-over, locked until the transaction ends: reports of its parts come at the same time.
pub async fn lock(tx: &Tx, tenant: TenantId, id: JobId) -> Result<Option<HandOver>, Failure> {
    let mut find = Entity::find_by_id((tenant.uuid(), id.uuid()));
    if tx.is_postgres() {
        find = find.lock(LockType::Update);
    }
    find.one(&**tx).await.map_err(fault)?.map(hand_over).transpose()
}

/// The unfinished one of a user.
pub async fn running(tx: &Tx, tenant: TenantId, user: SubjectId) -> Result<Option<HandOver>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::UserId.eq(user.uuid()))
        .filter(Column::State.ne(State::Done.name()));
    find.one(&**tx).await.map_err(fault)?.map(hand_over).transpose()
}

/// Those whose revocation is not yet known to be effective, of all tenants.
pub async fn revoked(tx: &Tx, limit: u64) -> Result<Vec<(TenantId, HandOver)>, Failure> {
    let find = Entity::find()
        .filter(Column::State.eq(State::Revoked.name()))
        .order_by_asc(Column::TenantId)
        .order_by_asc(Column::HandOverId)
        .limit(limit);
    let rows = find.all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(|row| Ok((Id::from_uuid(row.tenant_id), hand_over(row)?))).collect()
}

/// Hand-overs before a key, newest first.
pub async fn page(tx: &Tx, tenant: TenantId, before: Option<JobId>, limit: u64) -> Result<Vec<HandOver>, Failure> {
    let mut find = Entity::find().filter(Column::TenantId.eq(tenant.uuid()));
    if let Some(before) = before {
        find = find.filter(Column::HandOverId.lt(before.uuid()));
    }
    let rows = find.order_by_desc(Column::HandOverId).limit(limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(hand_over).collect()
}
