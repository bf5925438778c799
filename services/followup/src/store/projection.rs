//! What this service knows of customers: their facts, their segments and their dates, as customer's events told.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id,
    id::{CustomerId, SegmentId, TenantId},
};
use revisit_permission::{Columns, SideTable};
use sea_orm::{
    ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{ColumnRef, Expr, ExprTrait, IntoColumnRef, IntoTableRef, LockBehavior, LockType},
};

use super::{
    ROWS_MAX, at,
    entity::{customer, customer_team, date_fact, membership},
    id, raw, upsert,
};
use crate::domain::people::Customer;

fn read(row: customer::Model, teams: Vec<customer_team::Model>) -> Customer {
    Customer {
        tenant: Id::from_uuid(row.tenant_id),
        id: Id::from_uuid(row.customer_id),
        version: row.version,
        owner: id(row.owner_id),
        epoch: row.epoch,
        department: id(row.department_id),
        teams: teams.into_iter().map(|team| Id::from_uuid(team.team_id)).collect(),
        stage: row.stage,
        grade: row.grade,
        vip: row.vip,
        pooled: row.pooled,
        deleted: row.deleted,
        // Tags may hold any text, so they are told apart by a character that no tag may hold.
        tags: row.tags.split('\n').filter(|tag| !tag.is_empty()).map(str::to_owned).collect(),
        auth_rev: row.auth_rev,
        last_inbound_at: row.last_inbound_at.map(at),
    }
}

/// Where the projection of customers keeps what policy looks at.
pub(super) fn columns() -> Columns {
    use customer::Column;
    let column = |column: Column| -> ColumnRef { (customer::Entity, column).into_column_ref() };
    let team = |column: customer_team::Column| -> ColumnRef { (customer_team::Entity, column).into_column_ref() };
    Columns {
        owner: Some(column(Column::OwnerId)),
        department: Some(column(Column::DepartmentId)),
        stage: Some(column(Column::Stage)),
        grade: Some(column(Column::Grade)),
        vip: Some(column(Column::Vip)),
        pooled: Some(column(Column::Pooled)),
        auth_rev: Some(column(Column::AuthRev)),
        teams: Some(SideTable {
            table: customer_team::Entity.into_table_ref(),
            tenant: team(customer_team::Column::TenantId),
            row: team(customer_team::Column::CustomerId),
            value: team(customer_team::Column::TeamId),
            external: None,
        }),
        ..Columns::new(column(Column::TenantId), column(Column::CustomerId))
    }
}

/// How a customer's row is taken.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Hold {
    /// As it is.
    Look,
    /// Nobody changes its owner until the transaction ends.
    Share,
    /// To change it.
    Change,
}

/// One customer.
pub async fn customer(
    tx: &Tx,
    tenant: TenantId,
    customer: CustomerId,
    hold: Hold,
) -> Result<Option<Customer>, Failure> {
    let find = customer::Entity::find_by_id((tenant.uuid(), customer.uuid()));
    let find = match hold {
        Hold::Look => find,
        Hold::Share => find.lock(LockType::Share),
        Hold::Change => find.lock(LockType::Update),
    };
    let Some(row) = find.one(&**tx).await.map_err(fault)? else { return Ok(None) };
    let teams = customer_team::Entity::find()
        .filter(customer_team::Column::TenantId.eq(tenant.uuid()))
        .filter(customer_team::Column::CustomerId.eq(customer.uuid()))
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(Some(read(row, teams)))
}

/// Customers by id, shared with who else only reads. Those that somebody is changing are left out: firing never waits.
pub async fn share_customers(
    tx: &Tx,
    keys: &[(TenantId, CustomerId)],
) -> Result<BTreeMap<CustomerId, Customer>, Failure> {
    customers(tx, keys, true).await
}

/// Customers by id, for showing and deciding about what hangs on them.
pub async fn look_at_customers(
    tx: &Tx,
    keys: &[(TenantId, CustomerId)],
) -> Result<BTreeMap<CustomerId, Customer>, Failure> {
    customers(tx, keys, false).await
}

async fn customers(
    tx: &Tx,
    keys: &[(TenantId, CustomerId)],
    share: bool,
) -> Result<BTreeMap<CustomerId, Customer>, Failure> {
    let mut found = BTreeMap::new();
    for some in keys.chunks(ROWS_MAX) {
        let wanted = || some.iter().map(|(tenant, customer)| (tenant.uuid(), customer.uuid()));
        let key = Expr::tuple([Expr::col(customer::Column::TenantId), Expr::col(customer::Column::CustomerId)]);
        let find = customer::Entity::find().filter(key.in_tuples(wanted()));
        let find = if share { find.lock_with_behavior(LockType::Share, LockBehavior::SkipLocked) } else { find };
        let rows = find.all(&**tx).await.map_err(fault)?;
        let key =
            Expr::tuple([Expr::col(customer_team::Column::TenantId), Expr::col(customer_team::Column::CustomerId)]);
        let teams = customer_team::Entity::find().filter(key.in_tuples(wanted())).all(&**tx).await.map_err(fault)?;
        for row in rows {
            let own =
                teams.iter().filter(|team| team.customer_id == row.customer_id && team.tenant_id == row.tenant_id);
            let customer = read(row.clone(), own.cloned().collect());
            found.insert(customer.id, customer);
        }
    }
    Ok(found)
}

/// Writes a customer that is held for change, or a new one.
pub async fn save_customer(tx: &Tx, customer: &Customer) -> Result<(), Failure> {
    let row = customer::Model {
        tenant_id: customer.tenant.uuid(),
        customer_id: customer.id.uuid(),
        version: customer.version,
        owner_id: raw(customer.owner),
        epoch: customer.epoch,
        department_id: raw(customer.department),
        stage: customer.stage.clone(),
        grade: customer.grade.clone(),
        vip: customer.vip,
        pooled: customer.pooled,
        deleted: customer.deleted,
        tags: customer.tags.join("\n"),
        auth_rev: customer.auth_rev,
        last_inbound_at: customer.last_inbound_at.map(|heard| heard.micros()),
    };
    upsert::<customer::Entity, _>(tx, vec![row]).await
}

/// Replaces the teams that share a customer.
pub async fn save_teams(tx: &Tx, customer: &Customer) -> Result<(), Failure> {
    customer_team::Entity::delete_many()
        .filter(customer_team::Column::TenantId.eq(customer.tenant.uuid()))
        .filter(customer_team::Column::CustomerId.eq(customer.id.uuid()))
        .exec(&**tx)
        .await
        .map_err(fault)?;
    let rows = customer.teams.iter().map(|team| customer_team::Model {
        tenant_id: customer.tenant.uuid(),
        customer_id: customer.id.uuid(),
        team_id: team.uuid(),
    });
    upsert::<customer_team::Entity, _>(tx, rows.collect()).await
}

/// Takes in a crossing. Answers whether it was news: an older one than known changes nothing.
pub async fn cross(
    tx: &Tx,
    tenant: TenantId,
    (segment, customer): (SegmentId, CustomerId),
    (crossing, present): (i64, bool),
) -> Result<bool, Failure> {
    let key = (tenant.uuid(), segment.uuid(), customer.uuid());
    let known = membership::Entity::find_by_id(key).lock(LockType::Update).one(&**tx).await.map_err(fault)?;
    // Entering and leaving may carry the number of the same stay: of the two, the leave is the later.
    let news = known
        .is_none_or(|known| crossing > known.crossing || (crossing == known.crossing && known.present && !present));
    if news {
        let (tenant_id, segment_id, customer_id) = key;
        let row = membership::Model { tenant_id, segment_id, customer_id, crossing, present };
        upsert::<membership::Entity, _>(tx, vec![row]).await?;
    }
    Ok(news)
}

/// Whether a customer is a present member of a segment.
pub async fn is_member(
    tx: &Tx,
    tenant: TenantId,
    (segment, customer): (SegmentId, CustomerId),
) -> Result<bool, Failure> {
    let key = (tenant.uuid(), segment.uuid(), customer.uuid());
    let known = membership::Entity::find_by_id(key).one(&**tx).await.map_err(fault)?;
    Ok(known.is_some_and(|known| known.present))
}

/// The next present members of a segment after a customer.
pub async fn members(
    tx: &Tx,
    tenant: TenantId,
    segment: SegmentId,
    after: CustomerId,
    limit: u64,
) -> Result<Vec<CustomerId>, Failure> {
    let rows = membership::Entity::find()
        .filter(membership::Column::TenantId.eq(tenant.uuid()))
        .filter(membership::Column::SegmentId.eq(segment.uuid()))
        .filter(membership::Column::CustomerId.gt(after.uuid()))
        .filter(membership::Column::Present.eq(true))
        .order_by_asc(membership::Column::CustomerId)
        .limit(limit)
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().map(|row| Id::from_uuid(row.customer_id)).collect())
}

/// The dates of a customer that plans watch.
pub async fn dates(tx: &Tx, tenant: TenantId, customer: CustomerId) -> Result<BTreeMap<String, NaiveDate>, Failure> {
    let rows = date_fact::Entity::find()
        .filter(date_fact::Column::TenantId.eq(tenant.uuid()))
        .filter(date_fact::Column::CustomerId.eq(customer.uuid()))
        .all(&**tx)
        .await
        .map_err(fault)?;
    Ok(rows.into_iter().filter_map(|row| Some((row.field, row.value.parse().ok()?))).collect())
}

/// Takes in a date, or its removal as empty text. Answers whether it was news.
pub async fn save_date(
    tx: &Tx,
    tenant: TenantId,
    customer: CustomerId,
    (field, value): (&str, &str),
    version: i64,
) -> Result<bool, Failure> {
    let key = (tenant.uuid(), customer.uuid(), field.to_owned());
    let known = date_fact::Entity::find_by_id(key).lock(LockType::Update).one(&**tx).await.map_err(fault)?;
    let newer = known.as_ref().is_none_or(|known| version > known.version);
    let news = newer && known.is_none_or(|known| known.value != value);
    // The version is kept although the value is the same, or an older event could still change it.
    if newer {
        let row = date_fact::Model {
            tenant_id: tenant.uuid(),
            customer_id: customer.uuid(),
            field: field.to_owned(),
            value: value.to_owned(),
            version,
        };
        upsert::<date_fact::Entity, _>(tx, vec![row]).await?;
    }
    Ok(news)
}

/// The dates of several customers.
pub async fn dates_of(
    tx: &Tx,
    keys: &[(TenantId, CustomerId)],
) -> Result<BTreeMap<CustomerId, BTreeMap<String, NaiveDate>>, Failure> {
    let mut found: BTreeMap<CustomerId, BTreeMap<String, NaiveDate>> = BTreeMap::new();
    for some in keys.chunks(ROWS_MAX) {
        let key = Expr::tuple([Expr::col(date_fact::Column::TenantId), Expr::col(date_fact::Column::CustomerId)]);
        let wanted = some.iter().map(|(tenant, customer)| (tenant.uuid(), customer.uuid()));
        let rows = date_fact::Entity::find().filter(key.in_tuples(wanted)).all(&**tx).await.map_err(fault)?;
        for row in rows {
            if let Ok(date) = row.value.parse() {
                found.entry(Id::from_uuid(row.customer_id)).or_default().insert(row.field, date);
            }
        }
    }
    Ok(found)
}
