//! What the service keeps about its own duties: budgets of questions, patrols, hand-overs.

use revisit_bootstrap::database::Tx;
use revisit_core::id::SubjectId;
use revisit_permission::Scope;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{entity::duplicate_budget, save::insert_all_on};
use crate::domain::Error;

/// Counts one question of a subject in an hour and answers how many that makes.
pub async fn count_question(tx: &Tx, scope: &Scope, subject: SubjectId, hour: i64) -> Result<i64, Error> {
    let tenant_id = scope.tenant().uuid();
    let row = duplicate_budget::Model { tenant_id, subject_id: subject.uuid(), hour, used: 1 };
    let one_more = OnConflict::columns([
        duplicate_budget::Column::TenantId,
        duplicate_budget::Column::SubjectId,
        duplicate_budget::Column::Hour,
    ])
    .value(duplicate_budget::Column::Used, Expr::col(("duplicate_budget", "used")).add(1))
    .to_owned();
    insert_all_on::<duplicate_budget::Entity, _>(tx, vec![row], Some(one_more)).await?;
    // Hours that are over are of no use to anybody.
    duplicate_budget::Entity::delete_many()
        .filter(duplicate_budget::Column::TenantId.eq(tenant_id))
        .filter(duplicate_budget::Column::SubjectId.eq(subject.uuid()))
        .filter(duplicate_budget::Column::Hour.lt(hour))
        .exec(&**tx)
        .await?;
    let row = duplicate_budget::Entity::find_by_id((tenant_id, subject.uuid(), hour)).one(&**tx).await?;
    Ok(row.map_or(1, |row| row.used))
}
