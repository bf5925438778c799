//! How what has ended goes: a bounded number of deliveries at a time, each with its calls, its changes and its message,
//! and an intent with the last of its deliveries.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Timestamp};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, Select,
    sea_query::{Expr, ExprTrait, LockBehavior, LockType},
};
use uuid::Uuid;

use super::entity::{attempt, delivery, delivery_history, inbox_message, intent};
use crate::domain::State;

/// Deliveries of one transaction.
const BATCH: u64 = 200;

/// Deliveries about which nothing is to be done any more, planned before an instant.
fn ended(before: Timestamp) -> Select<delivery::Entity> {
    let settled = State::ALL.into_iter().filter(|state| state.is_settled()).map(State::name);
    delivery::Entity::find()
        .filter(Expr::cust("due_at IS NULL"))
        .filter(delivery::Column::State.is_in(settled))
        .filter(delivery::Column::CreatedAt.lt(before.micros()))
}

/// Whether some delivery may go.
pub async fn any_ended(tx: &Tx, before: Timestamp) -> Result<bool, Failure> {
    Ok(ended(before).one(&**tx).await.map_err(fault)?.is_some())
}

/// Removes the oldest of them; answers how many went.
pub async fn sweep(tx: &Tx, before: Timestamp) -> Result<usize, Failure> {
    let find = ended(before).order_by_asc(delivery::Column::CreatedAt).limit(BATCH);
    let find = match tx.is_postgres() {
        true => find.lock_with_behavior(LockType::Update, LockBehavior::SkipLocked),
        false => find,
    };
    let rows: Vec<delivery::Model> = find.all(&**tx).await.map_err(fault)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let ids = || rows.iter().map(|row| (row.tenant_id, row.delivery_id)).collect::<Vec<(Uuid, Uuid)>>();
    let of = |tenant: Expr, id: Expr| Expr::tuple([tenant, id]).in_tuples(ids());
    let (tenant, id) = (attempt::Column::TenantId, attempt::Column::DeliveryId);
    attempt::Entity::delete_many().filter(of(Expr::col(tenant), Expr::col(id))).exec(&**tx).await.map_err(fault)?;
    let (tenant, id) = (delivery_history::Column::TenantId, delivery_history::Column::DeliveryId);
    delivery_history::Entity::delete_many()
        .filter(of(Expr::col(tenant), Expr::col(id)))
        .exec(&**tx)
        .await
        .map_err(fault)?;
    let (tenant, id) = (inbox_message::Column::TenantId, inbox_message::Column::DeliveryId);
    inbox_message::Entity::delete_many()
        .filter(of(Expr::col(tenant), Expr::col(id)))
        .exec(&**tx)
        .await
        .map_err(fault)?;
    let (tenant, id) = (delivery::Column::TenantId, delivery::Column::DeliveryId);
    delivery::Entity::delete_many().filter(of(Expr::col(tenant), Expr::col(id))).exec(&**tx).await.map_err(fault)?;
    let intents: Vec<(Uuid, Uuid)> = rows.iter().map(|row| (row.tenant_id, row.intent_id)).collect();
    let key = Expr::tuple([Expr::col(intent::Column::TenantId), Expr::col(intent::Column::IntentId)]);
    let bare =
        "NOT EXISTS (SELECT 1 FROM delivery d WHERE d.tenant_id = intent.tenant_id AND d.intent_id = intent.intent_id)";
    intent::Entity::delete_many()
        .filter(key.in_tuples(intents))
        .filter(Expr::cust(bare))
        .exec(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.len())
}
