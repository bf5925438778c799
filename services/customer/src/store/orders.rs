//! Orders as facts, and what they come to.

use revisit_bootstrap::database::{Tx, is_unique};
use revisit_core::{
    Timestamp,
    id::{CustomerId, OrderId, SubjectId, TenantId},
};
use revisit_permission::{Decided, Permit, Purpose, Worker};
use sea_orm::{
    ColumnTrait, ConnectionTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait,
    sea_query::{Condition, Expr, ExprTrait},
};
use uuid::Uuid;

use super::{Store, entity::customer_order, save::insert_all, sealed};
use crate::domain::{
    Error,
    grade::{Scheme, Spending},
    order::{Amount, Order},
};

pub async fn insert(tx: &Tx, store: &Store, permit: &Decided, order: &Order) -> Result<(), Error> {
    let owner = (permit.tenant(), order.customer);
    let amount = order.amount.lift(Purpose::Store);
    let sealed = match order.description.lift(Purpose::Store).as_str() {
        "" => None,
        text => Some(sealed::seal_order(tx, store, owner, order.id.uuid(), text).await?),
    };
    let row = customer_order::Model {
        tenant_id: permit.tenant().uuid(),
        order_id: order.id.uuid(),
        customer_id: order.customer.uuid(),
        external_id: order.external_id.clone(),
        amount_minor: amount.minor_units,
        currency: amount.currency.clone(),
        placed_at: order.placed_at.micros(),
        sealed,
        cancelled_at: order.cancelled_at.map(Timestamp::micros),
        recorded_by: order.recorded_by.uuid(),
    };
    insert_all::<customer_order::Entity, _>(tx, vec![row])
        .await
        .map_err(|error| if is_unique(&error) { Error::ExternalIdTaken } else { Error::from(error) })?;
    Ok(())
}

/// Marks an order as cancelled.
pub async fn cancel(tx: &Tx, permit: &Decided, id: OrderId, at: Timestamp) -> Result<(), Error> {
    customer_order::Entity::update_many()
        .col_expr(customer_order::Column::CancelledAt, Expr::val(at.micros()))
        .filter(customer_order::Column::TenantId.eq(permit.tenant().uuid()))
        .filter(customer_order::Column::OrderId.eq(id.uuid()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Which order of a customer.
pub enum Which<'a> {
    Id(OrderId),
    External(&'a str),
}

pub async fn find(
    tx: &Tx,
    store: &Store,
    permit: &Decided,
    customer: CustomerId,
    which: Which<'_>,
) -> Result<Option<Order>, Error> {
    let one = match which {
        Which::Id(id) => customer_order::Column::OrderId.eq(id.uuid()),
        Which::External(id) => customer_order::Column::ExternalId.eq(id),
    };
    let row = customer_order::Entity::find()
        .filter(customer_order::Column::TenantId.eq(permit.tenant().uuid()))
        .filter(customer_order::Column::CustomerId.eq(customer.uuid()))
        .filter(one)
        .one(&**tx)
        .await?;
    match row {
        Some(row) => Ok(Some(opened(tx, store, row).await?)),
        None => Ok(None),
    }
}

/// Whose an order of another system is.
pub async fn holder(tx: &Tx, _worker: &Worker, tenant: TenantId, external: &str) -> Result<Option<CustomerId>, Error> {
    let found: Option<Uuid> = customer_order::Entity::find()
        .select_only()
        .column(customer_order::Column::CustomerId)
        .filter(customer_order::Column::TenantId.eq(tenant.uuid()))
        .filter(customer_order::Column::ExternalId.eq(external))
        .into_tuple()
        .one(&**tx)
        .await?;
    Ok(found.map(CustomerId::from_uuid))
}

/// A page of a customer's orders, newest first.
pub async fn page(
    tx: &Tx,
    store: &Store,
    permit: &Decided,
    customer: CustomerId,
    (after, size): (Option<(i64, Uuid)>, u64),
) -> Result<Vec<Order>, Error> {
    let mut select = customer_order::Entity::find()
        .filter(customer_order::Column::TenantId.eq(permit.tenant().uuid()))
        .filter(customer_order::Column::CustomerId.eq(customer.uuid()));
    if let Some((at, id)) = after {
        let earlier = Expr::col(customer_order::Column::PlacedAt).lt(at);
        let same = Expr::col(customer_order::Column::PlacedAt).eq(at);
        let same = same.and(Expr::col(customer_order::Column::OrderId).lt(id));
        select = select.filter(Condition::any().add(earlier).add(same));
    }
    let rows = select
        .order_by_desc(customer_order::Column::PlacedAt)
        .order_by_desc(customer_order::Column::OrderId)
        .limit(size)
        .all(&**tx)
        .await?;
    let mut orders = Vec::new();
    for row in rows {
        orders.push(opened(tx, store, row).await?);
    }
    Ok(orders)
}

async fn opened(tx: &Tx, store: &Store, row: customer_order::Model) -> Result<Order, Error> {
    let owner = (TenantId::from_uuid(row.tenant_id), row.customer_id);
    let description = match &row.sealed {
        Some(sealed) => sealed::open_order(tx, store, owner, row.order_id, sealed).await?.unwrap_or_default(),
        None => String::new(),
    };
    Ok(Order {
        id: OrderId::from_uuid(row.order_id),
        customer: CustomerId::from_uuid(row.customer_id),
        external_id: row.external_id,
        amount: Amount::veiled(row.amount_minor, row.currency),
        placed_at: Timestamp::from_micros(row.placed_at),
        description: Order::described(description),
        cancelled_at: row.cancelled_at.map(Timestamp::from_micros),
        recorded_by: SubjectId::from_uuid(row.recorded_by),
    })
}

/// What the living orders of customers come to in the window of the grade rules; who has none is left out.
pub async fn spending(
    tx: &Tx,
    _permit: &impl Permit,
    tenant: TenantId,
    customers: &[CustomerId],
    (scheme, now): (&Scheme, Timestamp),
) -> Result<std::collections::HashMap<CustomerId, Spending>, Error> {
    let select = customer_order::Entity::find()
        .select_only()
        .column(customer_order::Column::CustomerId)
        // Sums of big integers are decimals on PostgreSQL unless they are brought back.
        .expr_as(Expr::cust("CAST(SUM(amount_minor) AS bigint)"), "amount")
        .expr_as(Expr::cust("COUNT(*)"), "orders")
        .expr_as(Expr::cust("MAX(placed_at)"), "last")
        .filter(customer_order::Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(customer_order::Column::CustomerId, customers.iter().map(|id| id.uuid())))
        .filter(customer_order::Column::CancelledAt.is_null())
        .filter(customer_order::Column::Currency.eq(scheme.currency.as_str()))
        .filter(customer_order::Column::PlacedAt.gte(scheme.window_start(now).micros()))
        .group_by(customer_order::Column::CustomerId)
        .into_query();
    let mut spending = std::collections::HashMap::new();
    for row in tx.query_all(&select).await? {
        let customer: Uuid = row.try_get("", "customer_id")?;
        let last: Option<i64> = row.try_get("", "last")?;
        spending.insert(
            CustomerId::from_uuid(customer),
            Spending {
                amount: row.try_get("", "amount")?,
                orders: row.try_get("", "orders")?,
                last: last.map(Timestamp::from_micros),
            },
        );
    }
    Ok(spending)
}
