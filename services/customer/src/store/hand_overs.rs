//! Hand-overs that this service takes part in, and the customers that nobody could take.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Id, Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TenantId},
};
use revisit_permission::Worker;
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait, OnConflict},
};

use super::{
    entity::{hand_over, hand_over_refusal},
    save::insert_all_on,
};
use crate::domain::Error;

/// A marker: hand-overs are identity's.
#[derive(Debug)]
pub enum HandOverKind {}
pub type HandOverId = Id<HandOverKind>;

/// Who takes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    None,
    Person(SubjectId),
    Head(DepartmentId),
    RoundRobin(DepartmentId),
}

#[derive(Clone, Debug)]
pub struct HandOver {
    pub tenant: TenantId,
    pub id: HandOverId,
    pub user: SubjectId,
    pub from_department: Option<DepartmentId>,
    pub rule: Rule,
    pub ordered_by: Option<SubjectId>,
    pub token: String,
    pub effective_at: Timestamp,
    /// Whose turn it is in a round robin.
    pub turn: i64,
    pub pass: i64,
    pub moved: i64,
    pub next_at: Timestamp,
    pub done: bool,
}

fn row(hand_over: &HandOver) -> hand_over::Model {
    let (rule, rule_id) = match hand_over.rule {
        Rule::None => (0, None),
        Rule::Person(id) => (1, Some(id.uuid())),
        Rule::Head(id) => (2, Some(id.uuid())),
        Rule::RoundRobin(id) => (3, Some(id.uuid())),
    };
    hand_over::Model {
        tenant_id: hand_over.tenant.uuid(),
        hand_over_id: hand_over.id.uuid(),
        user_id: hand_over.user.uuid(),
        from_department_id: hand_over.from_department.map(DepartmentId::uuid),
        rule,
        rule_id,
        ordered_by_id: hand_over.ordered_by.map(SubjectId::uuid),
        revision_token: hand_over.token.clone(),
        effective_at: hand_over.effective_at.micros(),
        turn: hand_over.turn,
        pass: hand_over.pass,
        moved_count: hand_over.moved,
        next_at: hand_over.next_at.micros(),
        done: hand_over.done,
    }
}

fn read(row: hand_over::Model) -> HandOver {
    let rule = match (row.rule, row.rule_id) {
        (1, Some(id)) => Rule::Person(SubjectId::from_uuid(id)),
        (2, Some(id)) => Rule::Head(DepartmentId::from_uuid(id)),
        (3, Some(id)) => Rule::RoundRobin(DepartmentId::from_uuid(id)),
        _ => Rule::None,
    };
    HandOver {
        tenant: TenantId::from_uuid(row.tenant_id),
        id: HandOverId::from_uuid(row.hand_over_id),
        user: SubjectId::from_uuid(row.user_id),
        from_department: row.from_department_id.map(DepartmentId::from_uuid),
        rule,
        ordered_by: row.ordered_by_id.map(SubjectId::from_uuid),
        token: row.revision_token,
        effective_at: Timestamp::from_micros(row.effective_at),
        turn: row.turn,
        pass: row.pass,
        moved: row.moved_count,
        next_at: Timestamp::from_micros(row.next_at),
        done: row.done,
    }
}

pub async fn insert(tx: &Tx, _worker: &Worker, hand_over: &HandOver) -> Result<(), Error> {
    let once = OnConflict::new().do_nothing().to_owned();
    insert_all_on::<hand_over::Entity, _>(tx, vec![row(hand_over)], Some(once)).await?;
    Ok(())
}

pub async fn due(tx: &Tx, _worker: &Worker, now: Timestamp) -> Result<Option<HandOver>, Error> {
    let row = hand_over::Entity::find()
        .filter(hand_over::Column::Done.eq(false))
        .filter(hand_over::Column::NextAt.lte(now.micros()))
        .order_by_asc(hand_over::Column::NextAt)
        .one(&**tx)
        .await?;
    Ok(row.map(read))
}

pub async fn next_at(tx: &Tx, _worker: &Worker) -> Result<Option<Timestamp>, Error> {
    let row = hand_over::Entity::find()
        .filter(hand_over::Column::Done.eq(false))
        .order_by_asc(hand_over::Column::NextAt)
        .one(&**tx)
        .await?;
    Ok(row.map(|row| Timestamp::from_micros(row.next_at)))
}

pub async fn save(tx: &Tx, _worker: &Worker, hand_over: &HandOver) -> Result<(), Error> {
    let row = row(hand_over);
    hand_over::Entity::update_many()
        .col_expr(hand_over::Column::Turn, Expr::val(row.turn))
        .col_expr(hand_over::Column::Pass, Expr::val(row.pass))
        .col_expr(hand_over::Column::MovedCount, Expr::val(row.moved_count))
        .col_expr(hand_over::Column::NextAt, Expr::val(row.next_at))
        .col_expr(hand_over::Column::Done, Expr::val(row.done))
        .filter(hand_over::Column::TenantId.eq(row.tenant_id))
        .filter(hand_over::Column::HandOverId.eq(row.hand_over_id))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Counts one refusal of a customer.
pub async fn refuse(
    tx: &Tx,
    _worker: &Worker,
    hand_over: &HandOver,
    customer: CustomerId,
    reason: &str,
) -> Result<(), Error> {
    let row = hand_over_refusal::Model {
        tenant_id: hand_over.tenant.uuid(),
        hand_over_id: hand_over.id.uuid(),
        customer_id: customer.uuid(),
        tries: 1,
        reason: reason.to_owned(),
    };
    let one_more = OnConflict::columns([
        hand_over_refusal::Column::TenantId,
        hand_over_refusal::Column::HandOverId,
        hand_over_refusal::Column::CustomerId,
    ])
    .value(hand_over_refusal::Column::Tries, Expr::col(("hand_over_refusal", "tries")).add(1))
    .to_owned();
    insert_all_on::<hand_over_refusal::Entity, _>(tx, vec![row], Some(one_more)).await?;
    Ok(())
}

/// Customers that were refused at least so often.
pub async fn refused(tx: &Tx, _worker: &Worker, hand_over: &HandOver, tries: i32) -> Result<Vec<CustomerId>, Error> {
    let rows = hand_over_refusal::Entity::find()
        .filter(hand_over_refusal::Column::TenantId.eq(hand_over.tenant.uuid()))
        .filter(hand_over_refusal::Column::HandOverId.eq(hand_over.id.uuid()))
        .filter(hand_over_refusal::Column::Tries.gte(tries))
        .limit(10_000)
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(|row| CustomerId::from_uuid(row.customer_id)).collect())
}
