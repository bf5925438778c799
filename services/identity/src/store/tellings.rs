//! Companies all of whose users are to be told to the other services anew, and how far that has come.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{SubjectId, TenantId},
};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, QueryFilter, QueryOrder,
    sea_query::{Expr, OnConflict},
};

use super::{
    entity::telling::{ActiveModel, Column, Entity, Model},
    uuid,
};

/// A company whose users are told one after another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Telling {
    pub tenant: TenantId,
    /// The revision that asked for it, and then the newest one that did.
    pub revision: i64,
    /// The last user who was told.
    pub after: Option<SubjectId>,
}

/// Begins from the first user, also when an earlier one is under way.
pub async fn begin(tx: &Tx, tenant: TenantId, revision: i64) -> Result<(), Failure> {
    let row = Model { tenant_id: tenant.uuid(), revision, after_id: None };
    let again = OnConflict::column(Column::TenantId).update_columns([Column::Revision, Column::AfterId]).to_owned();
    let insert = Entity::insert(ActiveModel::from(row)).on_conflict(again);
    insert.exec_without_returning(&**tx).await.map_err(fault)?;
    Ok(())
}

/// One that is under way, of any company.
pub async fn next(tx: &Tx) -> Result<Option<Telling>, Failure> {
    let row = Entity::find().order_by_asc(Column::TenantId).one(&**tx).await.map_err(fault)?;
    Ok(row.map(|row| Telling {
        tenant: Id::from_uuid(row.tenant_id),
        revision: row.revision,
        after: row.after_id.map(Id::from_uuid),
    }))
}

/// Moves it behind a user, or ends it; false when it has begun anew or another replica was faster.
pub async fn advance(tx: &Tx, from: &Telling, to: Option<SubjectId>) -> Result<bool, Failure> {
    let here = Condition::all()
        .add(Column::TenantId.eq(from.tenant.uuid()))
        .add(Column::Revision.eq(from.revision))
        .add(from.after.map_or_else(|| Column::AfterId.is_null(), |after| Column::AfterId.eq(after.uuid())));
    let affected = match to {
        Some(to) => {
            let update = Entity::update_many().col_expr(Column::AfterId, Expr::value(uuid(Some(to)))).filter(here);
            update.exec(&**tx).await.map_err(fault)?.rows_affected
        }
        None => Entity::delete_many().filter(here).exec(&**tx).await.map_err(fault)?.rows_affected,
    };
    Ok(affected == 1)
}
