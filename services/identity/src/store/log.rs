//! The ordered log of one tenant's revisions.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Timestamp, id::TenantId};
use revisit_permission::Change;
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, sea_query::Expr};

use super::{
    entity::{
        revision::{Column, Entity, Model},
        tenant,
    },
    insert, micros,
};

/// Channel on which replicas of identity tell each other of revisions.
pub const CHANNEL: &str = "revision";

/// One revision.
pub struct Revision {
    pub number: i64,
    pub changes: Vec<Change>,
}

/// Appends the next revision, and tells the other replicas with the commit. The caller holds the tenant's lock.
pub async fn append(tx: &Tx, tenant: TenantId, it: &Revision, now: Timestamp) -> Result<(), Failure> {
    let changes = serde_json::to_vec(&it.changes).map_err(Failure::internal)?;
    let row = Model { tenant_id: tenant.uuid(), revision: it.number, changes, created_at: micros(now) };
    insert(tx, row).await?;
    let head = tenant::Entity::update_many()
        .col_expr(tenant::Column::Revision, Expr::value(it.number))
        .filter(tenant::Column::TenantId.eq(tenant.uuid()));
    head.exec(&**tx).await.map_err(fault)?;
    tx.hint(CHANNEL, format!("{tenant} {}", it.number)).await.map_err(fault)
}

/// Of which revision a hint tells.
pub fn read_hint(hint: &str) -> Option<(TenantId, i64)> {
    let (tenant, revision) = hint.split_once(' ')?;
    Some((tenant.parse().ok()?, revision.parse().ok()?))
}

/// The last revision that had been written by an instant, if the log had begun by then.
pub async fn last_until(tx: &Tx, tenant: TenantId, at: Timestamp) -> Result<Option<i64>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::CreatedAt.lte(micros(at)))
        .order_by_desc(Column::Revision)
        .select_only()
        .column(Column::Revision)
        .into_tuple::<i64>();
    find.one(&**tx).await.map_err(fault)
}

/// The revisions after one, in order.
pub async fn after(tx: &Tx, tenant: TenantId, revision: i64, limit: u64) -> Result<Vec<Revision>, Failure> {
    let find = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(Column::Revision.gt(revision))
        .order_by_asc(Column::Revision)
        .limit(limit);
    let rows = find.all(&**tx).await.map_err(fault)?;
    rows.into_iter()
        .map(|row| {
            let changes = serde_json::from_slice(&row.changes).map_err(Failure::internal)?;
            Ok(Revision { number: row.revision, changes })
        })
        .collect()
}
