//! Segments: who is in them, kept with every change of a customer and by sweep, and what crossing a border says.

use std::collections::{BTreeSet, HashMap};

use revisit_bootstrap::database::Tx;
use revisit_core::id::{CustomerId, SegmentId, TenantId};
use revisit_event::outbox::APPEND_MAX;
use revisit_permission::{Clarity, Levels, Scope};
use revisit_proto::customer::v1 as pb;
use sea_orm::{
    ColumnTrait, DbErr, EntityTrait, QueryFilter,
    sea_query::{Condition, OnConflict},
};
use uuid::Uuid;

use super::{
    catalogue,
    entity::{customer, segment, segment_member, watch},
    events,
    save::{Change, insert_all_on},
};
use crate::domain::{
    customer::Customer,
    field::{Field, Value},
    filter::{self, Expr as Filter, Truth},
};

/// A segment with its filter read.
pub struct Live {
    pub id: SegmentId,
    pub filter: Filter,
    /// Date fields that published plans read on its members.
    pub watched: Vec<String>,
}

/// The living segments of a tenant. A filter that can no longer be read matches nobody: its field is gone.
pub async fn live(tx: &Tx, tenant: TenantId) -> Result<Vec<Live>, DbErr> {
    let found = segment::Entity::find()
        .filter(segment::Column::TenantId.eq(tenant.uuid()))
        .filter(segment::Column::DeletedAt.is_null())
        .all(&**tx)
        .await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let fields = catalogue::fields(tx, tenant).await?;
    let watches = watch::Entity::find().filter(watch::Column::TenantId.eq(tenant.uuid())).all(&**tx).await?;
    let live = found.into_iter().map(|row| Live {
        id: SegmentId::from_uuid(row.segment_id),
        filter: filter::parse(&row.filter, &fields).unwrap_or(Filter::Always(false)),
        watched: {
            let of_it = watches.iter().filter(|watch| watch.segment_id == row.segment_id && !watch.field.is_empty());
            let mut watched: Vec<String> = of_it.map(|watch| watch.field.clone()).collect();
            watched.sort();
            watched.dedup();
            watched
        },
    });
    Ok(live.collect())
}

/// Customers that one transaction may change whatever segments they cross: each change tells of itself, of every segment
/// and of every watched field at the most, and what a transaction tells has a maximum.
pub async fn rows_max(tx: &Tx, tenant: TenantId) -> Result<u64, DbErr> {
    use sea_orm::PaginatorTrait;
    let segments = segment::Entity::find()
        .filter(segment::Column::TenantId.eq(tenant.uuid()))
        .filter(segment::Column::DeletedAt.is_null())
        .count(&**tx)
        .await?;
    let watches = watch::Entity::find().filter(watch::Column::TenantId.eq(tenant.uuid())).all(&**tx).await?;
    let fields: BTreeSet<&str> = watches.iter().map(|watch| watch.field.as_str()).collect();
    let told = OF_ITSELF_MAX + segments + fields.len() as u64;
    Ok(((APPEND_MAX as u64 - BESIDE_MAX) / told).max(1))
}

/// Living segments that a company has at most: each change of a customer is compared with every one of them.
pub const SEGMENTS_MAX: usize = 200;
/// What a change tells of itself at the most: another owner and another stage.
const OF_ITSELF_MAX: u64 = 2;
/// What a transaction tells beside its changes at the most: entries of the audit.
const BESIDE_MAX: u64 = 1_000;

/// Evaluates every segment on changed customers and says who crossed.
pub async fn evaluate(tx: &Tx, changes: &[Change]) -> Result<(), DbErr> {
    let mut tenants: Vec<TenantId> = changes.iter().map(|change| change.after.tenant).collect();
    tenants.sort_unstable();
    tenants.dedup();
    for tenant in tenants {
        let live = live(tx, tenant).await?;
        if live.is_empty() {
            continue;
        }
        let changed: Vec<(Option<&Customer>, &Customer)> = changes
            .iter()
            .filter(|change| change.after.tenant == tenant)
            .map(|change| (change.before.as_ref(), &change.after))
            .collect();
        cross(tx, tenant, &live, &changed).await?;
    }
    Ok(())
}

/// Compares membership with what the filters say now, writes and tells the difference.
pub async fn cross(
    tx: &Tx,
    tenant: TenantId,
    live: &[Live],
    changed: &[(Option<&Customer>, &Customer)],
) -> Result<(), DbErr> {
    let fields = catalogue::fields(tx, tenant).await?;
    let members = members(tx, tenant, live, changed).await?;
    let mut crossed = Vec::new();
    let mut facts: BTreeSet<(CustomerId, &str)> = BTreeSet::new();
    for segment in live {
        for (before, after) in changed {
            let known = members.get(&(segment.id.uuid(), after.id.uuid())).copied();
            let (was, crossing) = known.unwrap_or((false, 0));
            let is =
                after.deleted_at.is_none() && filter::evaluate(&segment.filter, after, &Levels::READ) == Truth::True;
            if was != is {
                let crossing = crossing + 1;
                crossed.push(segment_member::Model {
                    tenant_id: tenant.uuid(),
                    segment_id: segment.id.uuid(),
                    customer_id: after.id.uuid(),
                    crossing,
                    present: is,
                });
                tell(tx, segment, after, crossing, is);
            }
            if is {
                facts.extend(
                    news(segment, &fields, before.filter(|_| was), after).into_iter().map(|field| (after.id, field)),
                );
            }
        }
    }
    // Two segments that watch the same field say it once.
    for (_, after) in changed {
        for (_, field) in facts.range((after.id, "")..).take_while(|(id, _)| *id == after.id) {
            tell_fact(tx, &fields, field, after);
        }
    }
    let newer = OnConflict::columns([
        segment_member::Column::TenantId,
        segment_member::Column::SegmentId,
        segment_member::Column::CustomerId,
    ])
    .update_columns([segment_member::Column::Crossing, segment_member::Column::Present])
    .to_owned();
    insert_all_on::<segment_member::Entity, _>(tx, crossed, Some(newer)).await?;
    Ok(())
}

type Membership = HashMap<(Uuid, Uuid), (bool, i64)>;

async fn members(
    tx: &Tx,
    tenant: TenantId,
    live: &[Live],
    changed: &[(Option<&Customer>, &Customer)],
) -> Result<Membership, DbErr> {
    // Who was not there before is in no segment.
    let known: Vec<Uuid> =
        changed.iter().filter(|(before, _)| before.is_some()).map(|(_, after)| after.id.uuid()).collect();
    if known.is_empty() {
        return Ok(HashMap::new());
    }
    let rows = segment_member::Entity::find()
        .filter(segment_member::Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(segment_member::Column::SegmentId, live.iter().map(|segment| segment.id.uuid())))
        .filter(tx.among(segment_member::Column::CustomerId, known))
        .all(&**tx)
        .await?;
    Ok(rows.into_iter().map(|row| ((row.segment_id, row.customer_id), (row.present, row.crossing))).collect())
}

fn tell(tx: &Tx, segment: &Live, customer: &Customer, crossing: i64, entered: bool) {
    let (segment_id, customer_id) = (segment.id.to_string(), customer.id.to_string());
    if entered {
        let facts = Some(events::facts(customer));
        tx.emit(events::draft(customer, &pb::SegmentEntered { segment_id, customer_id, crossing, facts }));
    } else {
        tx.emit(events::draft(customer, &pb::SegmentLeft { segment_id, customer_id, crossing }));
    }
}

/// The watched fields of a member that have changed, or all that it has when it has just entered.
fn news<'a>(segment: &'a Live, fields: &[Field], before: Option<&Customer>, after: &Customer) -> Vec<&'a str> {
    let former = |field: &str| before.and_then(|before| watched_value(fields, field, before));
    let watched = segment.watched.iter().map(String::as_str);
    watched.filter(|field| watched_value(fields, field, after) != former(field)).collect()
}

/// Says what a watched field of a customer is now.
pub fn tell_fact(tx: &Tx, fields: &[Field], field: &str, customer: &Customer) {
    let told = pb::FactChanged {
        customer_id: customer.id.to_string(),
        field: field.to_owned(),
        value: watched_value(fields, field, customer).unwrap_or_default(),
        version: customer.version,
    };
    tx.emit(events::draft(customer, &told));
}

/// The date that a watched field has. Events carry basic facts only: a plan that names another field hears nothing.
pub fn watched_value(fields: &[Field], name: &str, customer: &Customer) -> Option<String> {
    match name {
        "birthday" => customer.birthday.clone(),
        "contract_end" => customer.contract_end.clone(),
        key => {
            let key = key.strip_prefix("fields.").unwrap_or(key);
            let field = fields.iter().find(|field| field.key == key)?;
            match Levels::EVENT.show(customer.field(field.id)?, Clarity::Usual).clear()? {
                Value::Date(date) => Some(date.clone()),
                Value::Text(_) | Value::Number(_) | Value::Choices(_) | Value::Truth(_) | Value::Money { .. } => None,
            }
        }
    }
}

/// Present members that follow `after`, in the order of their ids.
pub async fn present(
    tx: &Tx,
    tenant: TenantId,
    segment: SegmentId,
    after: Option<Uuid>,
    size: u64,
) -> Result<Vec<Uuid>, DbErr> {
    use sea_orm::{QueryOrder, QuerySelect};
    let mut select = segment_member::Entity::find()
        .filter(segment_member::Column::TenantId.eq(tenant.uuid()))
        .filter(segment_member::Column::SegmentId.eq(segment.uuid()))
        .filter(segment_member::Column::Present.eq(true));
    if let Some(after) = after {
        select = select.filter(segment_member::Column::CustomerId.gt(after));
    }
    let rows = select.order_by_asc(segment_member::Column::CustomerId).limit(size).all(&**tx).await?;
    Ok(rows.into_iter().map(|row| row.customer_id).collect())
}

/// How many of a scope's rows are in a segment.
pub async fn count(tx: &Tx, scope: &Scope, segment: SegmentId) -> Result<i64, DbErr> {
    use sea_orm::{PaginatorTrait, QuerySelect, QueryTrait};
    let members = segment_member::Entity::find()
        .select_only()
        .column(segment_member::Column::CustomerId)
        .filter(segment_member::Column::TenantId.eq(scope.tenant().uuid()))
        .filter(segment_member::Column::SegmentId.eq(segment.uuid()))
        .filter(segment_member::Column::Present.eq(true))
        .into_query();
    let count = customer::Entity::find()
        .filter(customer::Column::TenantId.eq(scope.tenant().uuid()))
        .filter(customer::Column::DeletedAt.is_null())
        .filter(customer::Column::CustomerId.in_subquery(members))
        .filter(super::reach::clauses(scope).into_iter().fold(Condition::any(), Condition::add))
        .count(&**tx)
        .await?;
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}
