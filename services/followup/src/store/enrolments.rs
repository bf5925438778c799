//! Customers in plans.

use std::collections::BTreeMap;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{CustomerId, EnrolmentId, PlanId, TenantId},
};
use revisit_permission::{Scope, merge_pages};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Condition, Expr, ExprTrait, LockBehavior, LockType, Query, SelectStatement},
};

use super::{
    ROWS_MAX, at,
    entity::{customer, enrolment},
    projection, unreadable, upsert,
};
use crate::domain::plan::{Enrolment, EnrolmentState, Reason};

fn read(row: enrolment::Model) -> Result<Enrolment, Failure> {
    Ok(Enrolment {
        tenant: Id::from_uuid(row.tenant_id),
        id: Id::from_uuid(row.enrolment_id),
        plan: Id::from_uuid(row.plan_id),
        plan_version: row.plan_version,
        customer: Id::from_uuid(row.customer_id),
        state: EnrolmentState::parse(&row.state).ok_or_else(|| unreadable("enrolment state"))?,
        generation: row.generation,
        zone: row.zone,
        reason: Reason::parse(&row.reason),
        entered_at: at(row.entered_at),
        last_completed_at: row.last_completed_at.map(at),
        version: row.version,
    })
}

/// One enrolment, without a lock.
pub async fn find(tx: &Tx, tenant: TenantId, id: EnrolmentId) -> Result<Option<Enrolment>, Failure> {
    let find = enrolment::Entity::find_by_id((tenant.uuid(), id.uuid()));
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// One enrolment, to change it.
pub async fn lock(tx: &Tx, tenant: TenantId, id: EnrolmentId) -> Result<Option<Enrolment>, Failure> {
    let find = enrolment::Entity::find_by_id((tenant.uuid(), id.uuid())).lock(LockType::Update);
    find.one(&**tx).await.map_err(fault)?.map(read).transpose()
}

/// All enrolments of a customer that are not released, to change them, in key order.
pub async fn lock_of_customer(tx: &Tx, tenant: TenantId, customer: CustomerId) -> Result<Vec<Enrolment>, Failure> {
    let rows = enrolment::Entity::find()
        .filter(enrolment::Column::TenantId.eq(tenant.uuid()))
        .filter(enrolment::Column::CustomerId.eq(customer.uuid()))
        .filter(enrolment::Column::State.ne(EnrolmentState::Released.name()))
        .order_by_asc(enrolment::Column::EnrolmentId)
        .lock(LockType::Update)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(read).collect()
}

/// Enrolments by id, shared; those that somebody is changing are left out: firing never waits.
pub async fn share(tx: &Tx, keys: &[(TenantId, EnrolmentId)]) -> Result<BTreeMap<EnrolmentId, Enrolment>, Failure> {
    let mut found = BTreeMap::new();
    for some in keys.chunks(ROWS_MAX) {
        let key = Expr::tuple([Expr::col(enrolment::Column::TenantId), Expr::col(enrolment::Column::EnrolmentId)]);
        let wanted = some.iter().map(|(tenant, id)| (tenant.uuid(), id.uuid()));
        let rows = enrolment::Entity::find()
            .filter(key.in_tuples(wanted))
            .lock_with_behavior(LockType::Share, LockBehavior::SkipLocked)
            .all(&**tx)
            .await
            .map_err(fault)?;
        for row in rows {
            let enrolment = read(row)?;
            found.insert(enrolment.id, enrolment);
        }
    }
    Ok(found)
}

/// What a list of enrolments is narrowed to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Which {
    pub plan: Option<PlanId>,
    pub customer: Option<CustomerId>,
    pub state: Option<EnrolmentState>,
}

/// The next enrolments of a plan after one, by id, for who carries the plan out.
pub async fn of_plan(
    tx: &Tx,
    tenant: TenantId,
    plan: PlanId,
    after: Option<EnrolmentId>,
    limit: u64,
) -> Result<Vec<Enrolment>, Failure> {
    let which = Which { plan: Some(plan), ..Which::default() };
    let rows = behind(narrowed(tenant, which), after, limit).all(&**tx).await.map_err(fault)?;
    rows.into_iter().map(read).collect()
}

/// The next enrolments after one, by id, of customers that lie in the scope: one query per clause, merged.
pub async fn list(
    tx: &Tx,
    customers: &Scope,
    which: Which,
    after: Option<EnrolmentId>,
    limit: usize,
) -> Result<Vec<Enrolment>, Failure> {
    let mut pages = Vec::new();
    for clause in customers.conditions(&projection::columns()) {
        let find = narrowed(customers.tenant(), which).filter(Expr::exists(of_customers(clause)));
        let rows = behind(find, after, limit as u64).all(&**tx).await.map_err(fault)?;
        pages.push(rows.into_iter().map(read).collect::<Result<Vec<_>, _>>()?);
    }
    Ok(merge_pages(pages, |enrolment| enrolment.id, limit))
}

/// The customer of an enrolment, if it is not deleted and meets a condition.
fn of_customers(condition: Condition) -> SelectStatement {
    let own = Expr::col((customer::Entity, customer::Column::CustomerId))
        .equals((enrolment::Entity, enrolment::Column::CustomerId));
    Query::select()
        .expr(Expr::val(1))
        .from(customer::Entity)
        .cond_where(condition)
        .and_where(own)
        .and_where(customer::Column::Deleted.eq(false))
        .to_owned()
}

fn behind(
    find: sea_orm::Select<enrolment::Entity>,
    after: Option<EnrolmentId>,
    limit: u64,
) -> sea_orm::Select<enrolment::Entity> {
    let after = after.map_or(uuid::Uuid::nil(), Id::uuid);
    find.filter(enrolment::Column::EnrolmentId.gt(after)).order_by_asc(enrolment::Column::EnrolmentId).limit(limit)
}

fn narrowed(tenant: TenantId, which: Which) -> sea_orm::Select<enrolment::Entity> {
    let mut find = enrolment::Entity::find().filter(enrolment::Column::TenantId.eq(tenant.uuid()));
    if let Some(plan) = which.plan {
        find = find.filter(enrolment::Column::PlanId.eq(plan.uuid()));
    }
    if let Some(customer) = which.customer {
        find = find.filter(enrolment::Column::CustomerId.eq(customer.uuid()));
    }
    if let Some(state) = which.state {
        find = find.filter(enrolment::Column::State.eq(state.name()));
    }
    find
}

/// Values of one statement: SQLite binds 32,766, PostgreSQL 65,535, and one guard may name a thousand rows.
const VALUES_MAX: usize = 8_000;
/// Clauses of one part of a condition: SQLite takes none that is a thousand deep.
const PART: usize = 100;

/// How many customers of the scope run in a plan; with a version, only those on an older one.
pub async fn count(tx: &Tx, customers: &Scope, plan: PlanId, older_than: Option<i32>) -> Result<u64, Failure> {
    let clauses = customers.conditions(&projection::columns());
    let any = |parts: &[Condition]| parts.iter().cloned().fold(Condition::any(), Condition::add);
    let parts: Vec<Condition> = clauses.chunks(PART).map(any).collect();
    let mut find = narrowed(customers.tenant(), Which { plan: Some(plan), ..Which::default() })
        .filter(enrolment::Column::State.ne(EnrolmentState::Released.name()))
        .filter(Expr::exists(of_customers(any(&parts))));
    if let Some(version) = older_than {
        find = find.filter(enrolment::Column::PlanVersion.lt(version));
    }
    let bound = QueryTrait::build(&find, tx.get_database_backend()).values.map_or(0, |values| values.0.len());
    if bound <= VALUES_MAX {
        return find.count(&**tx).await.map_err(fault);
    }
    // Clause by clause, page by page.
    let which = Which { plan: Some(plan), ..Which::default() };
    let counts = |one: &&Enrolment| {
        one.state != EnrolmentState::Released && older_than.is_none_or(|version| one.plan_version < version)
    };
    let (mut count, mut after) = (0, None);
    loop {
        let page = list(tx, customers, which, after, ROWS_MAX).await?;
        count += page.iter().filter(counts).count() as u64;
        after = page.last().map(|last| last.id);
        if page.len() < ROWS_MAX {
            return Ok(count);
        }
    }
}

/// Writes an enrolment that is locked, or a new one.
pub async fn save(tx: &Tx, enrolment: &Enrolment) -> Result<(), Failure> {
    let row = enrolment::Model {
        tenant_id: enrolment.tenant.uuid(),
        enrolment_id: enrolment.id.uuid(),
        plan_id: enrolment.plan.uuid(),
        plan_version: enrolment.plan_version,
        customer_id: enrolment.customer.uuid(),
        state: enrolment.state.name().to_owned(),
        generation: enrolment.generation,
        zone: enrolment.zone.clone(),
        reason: enrolment.reason.name().to_owned(),
        entered_at: enrolment.entered_at.micros(),
        last_completed_at: enrolment.last_completed_at.map(|done| done.micros()),
        version: enrolment.version,
    };
    upsert::<enrolment::Entity, _>(tx, vec![row]).await
}
