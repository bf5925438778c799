//! Lease rows of replicas, and what they are told: revisions and the time of this database.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Id, id::TenantId};
use revisit_permission::Holder;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QuerySelect,
    sea_query::{Alias, Expr, ExprTrait, OnConflict},
};

use super::entity::{self, lease};
use crate::domain::lease::{pack, unpack};

/// Tenants of one query.
const CHUNK: usize = 500;

/// Writes the row of a replica's life, whether it is there or not; false when one of a later renewal is there. Two lives of
/// one name are two holders: a late renewal of the former one takes nothing from the next.
pub async fn renew(tx: &Tx, it: &Holder) -> Result<bool, Failure> {
    let row = lease::ActiveModel {
        holder: sea_orm::Set(it.name.clone()),
        epoch: sea_orm::Set(it.epoch.clone()),
        number: sea_orm::Set(it.number),
        tenants: sea_orm::Set(pack(&it.tenants)),
    };
    let kept = |column| Expr::col((lease::Entity, column));
    let sent = |column| Expr::col((Alias::new("excluded"), column));
    let later = kept(lease::Column::Number).lt(sent(lease::Column::Number));
    let update = OnConflict::columns([lease::Column::Holder, lease::Column::Epoch])
        .update_columns([lease::Column::Number, lease::Column::Tenants])
        .action_and_where(later)
        .to_owned();
    let written = lease::Entity::insert(row).on_conflict(update).exec_without_returning(&**tx).await.map_err(fault)?;
    Ok(written == 1)
}

/// Every replica. There are as many rows as processes run, so the read is small.
pub async fn holders(tx: &Tx) -> Result<Vec<Holder>, Failure> {
    let rows = lease::Entity::find().all(&**tx).await.map_err(fault)?;
    let holder = |row: lease::Model| Holder {
        name: row.holder,
        epoch: row.epoch,
        number: row.number,
        tenants: unpack(&row.tenants),
    };
    Ok(rows.into_iter().map(holder).collect())
}

/// Deletes a silent replica's row unless it was renewed since it was read.
pub async fn remove(tx: &Tx, it: &Holder) -> Result<bool, Failure> {
    let delete = lease::Entity::delete_many()
        .filter(lease::Column::Holder.eq(it.name.as_str()))
        .filter(lease::Column::Epoch.eq(it.epoch.as_str()))
        .filter(lease::Column::Number.eq(it.number));
    Ok(delete.exec(&**tx).await.map_err(fault)?.rows_affected == 1)
}

/// The newest revision of each tenant that exists.
pub async fn revisions(tx: &Tx, tenants: &[TenantId]) -> Result<Vec<(TenantId, i64)>, Failure> {
    use entity::tenant::{Column, Entity};
    let mut found = Vec::with_capacity(tenants.len());
    for chunk in tenants.chunks(CHUNK) {
        let rows: Vec<(uuid::Uuid, i64)> = Entity::find()
            .select_only()
            .columns([Column::TenantId, Column::Revision])
            .filter(tx.among(Column::TenantId, chunk.iter().map(|id| id.uuid())))
            .into_tuple()
            .all(&**tx)
            .await
            .map_err(fault)?;
        found.extend(rows.into_iter().map(|(tenant, revision)| (Id::from_uuid(tenant), revision)));
    }
    Ok(found)
}
