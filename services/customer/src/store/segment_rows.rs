//! The rows of segments and of who watches them.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Timestamp,
    id::{CustomerId, PlanId, SegmentId, TenantId},
};
use revisit_permission::{Permit, Worker};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, PaginatorTrait, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{Expr, ExprTrait},
};
use uuid::Uuid;

use super::{
    entity::{customer, segment, segment_member, watch},
    load, rows,
    save::insert_all,
    segments::{self, Live},
};
use crate::domain::{Error, customer::Customer};

#[derive(Clone, Debug)]
pub struct Segment {
    pub id: SegmentId,
    pub name: String,
    pub filter: String,
    pub updated_at: Timestamp,
    pub version: i64,
}

fn read(row: segment::Model) -> Segment {
    Segment {
        id: SegmentId::from_uuid(row.segment_id),
        name: row.name,
        filter: row.filter,
        updated_at: Timestamp::from_micros(row.updated_at),
        version: row.version,
    }
}

/// Saves a new one, unless the company has as many as it may have.
pub async fn insert(tx: &Tx, _permit: &impl Permit, tenant: TenantId, segment: &Segment) -> Result<(), Error> {
    let living = segment::Entity::find()
        .filter(segment::Column::TenantId.eq(tenant.uuid()))
        .filter(segment::Column::DeletedAt.is_null())
        .count(&**tx)
        .await?;
    if living >= segments::SEGMENTS_MAX as u64 {
        return Err(Error::TooMany { what: "segments", max: segments::SEGMENTS_MAX });
    }
    let row = segment::Model {
        tenant_id: tenant.uuid(),
        segment_id: segment.id.uuid(),
        name: segment.name.clone(),
        filter: segment.filter.clone(),
        updated_at: segment.updated_at.micros(),
        version: segment.version,
        deleted_at: None,
        swept_version: 0,
        swept_through: None,
    };
    insert_all::<segment::Entity, _>(tx, vec![row]).await?;
    Ok(())
}

pub async fn find(tx: &Tx, permit: &impl Permit, tenant: TenantId, id: SegmentId) -> Result<Option<Segment>, Error> {
    Ok(row(tx, permit, tenant, id).await?.filter(|row| row.deleted_at.is_none()).map(read))
}

/// A living or a deleted one.
pub async fn find_any(
    tx: &Tx,
    permit: &impl Permit,
    tenant: TenantId,
    id: SegmentId,
) -> Result<Option<Segment>, Error> {
    Ok(row(tx, permit, tenant, id).await?.map(read))
}

async fn row(tx: &Tx, _permit: &impl Permit, tenant: TenantId, id: SegmentId) -> Result<Option<segment::Model>, Error> {
    Ok(segment::Entity::find_by_id((tenant.uuid(), id.uuid())).one(&**tx).await?)
}

/// A page of living segments in the order of their ids.
pub async fn page(
    tx: &Tx,
    _permit: &impl Permit,
    tenant: TenantId,
    after: Option<Uuid>,
    size: u64,
) -> Result<Vec<Segment>, Error> {
    let mut select = segment::Entity::find()
        .filter(segment::Column::TenantId.eq(tenant.uuid()))
        .filter(segment::Column::DeletedAt.is_null());
    if let Some(after) = after {
        select = select.filter(segment::Column::SegmentId.gt(after));
    }
    let rows = select.order_by_asc(segment::Column::SegmentId).limit(size).all(&**tx).await?;
    Ok(rows.into_iter().map(read).collect())
}

/// Writes name and filter, or the deletion, over the version before; the sweep begins anew.
pub async fn update(
    tx: &Tx,
    _permit: &impl Permit,
    tenant: TenantId,
    segment: &Segment,
    deleted_at: Option<Timestamp>,
) -> Result<(), Error> {
    let written = segment::Entity::update_many()
        .col_expr(segment::Column::Name, Expr::val(segment.name.as_str()))
        .col_expr(segment::Column::Filter, Expr::val(segment.filter.as_str()))
        .col_expr(segment::Column::UpdatedAt, Expr::val(segment.updated_at.micros()))
        .col_expr(segment::Column::Version, Expr::val(segment.version))
        .col_expr(segment::Column::DeletedAt, Expr::val(deleted_at.map(Timestamp::micros)))
        .col_expr(segment::Column::SweptThrough, Expr::val(None::<Uuid>))
        .filter(segment::Column::TenantId.eq(tenant.uuid()))
        .filter(segment::Column::SegmentId.eq(segment.id.uuid()))
        .filter(segment::Column::Version.eq(segment.version - 1))
        .exec(&**tx)
        .await?;
    if written.rows_affected == 1 { Ok(()) } else { Err(Error::EtagStale { newest: segment.version }) }
}

/// Whether a published plan uses the segment.
pub async fn is_watched(tx: &Tx, tenant: TenantId, id: SegmentId) -> Result<bool, Error> {
    let row = watch::Entity::find()
        .filter(watch::Column::TenantId.eq(tenant.uuid()))
        .filter(watch::Column::SegmentId.eq(id.uuid()))
        .one(&**tx)
        .await?;
    Ok(row.is_some())
}

/// Remembers what a published plan looks at; an older version never overwrites.
pub async fn watch_for(
    tx: &Tx,
    _worker: &Worker,
    (tenant, plan, version): (TenantId, PlanId, i32),
    segment: SegmentId,
    fields: &[String],
) -> Result<(), Error> {
    let of_plan =
        Condition::all().add(watch::Column::TenantId.eq(tenant.uuid())).add(watch::Column::PlanId.eq(plan.uuid()));
    let known = watch::Entity::find().filter(of_plan.clone()).one(&**tx).await?;
    if known.is_some_and(|known| known.plan_version >= version) {
        return Ok(());
    }
    watch::Entity::delete_many().filter(of_plan).exec(&**tx).await?;
    let none = [String::new()];
    let fields = if fields.is_empty() { &none[..] } else { fields };
    let mut rows: Vec<watch::Model> = fields
        .iter()
        .map(|field| watch::Model {
            tenant_id: tenant.uuid(),
            plan_id: plan.uuid(),
            field: field.clone(),
            segment_id: segment.uuid(),
            plan_version: version,
            sent_through: None,
            sent: field.is_empty(),
        })
        .collect();
    rows.sort_by(|one, other| one.field.cmp(&other.field));
    rows.dedup_by(|one, other| one.field == other.field);
    insert_all::<watch::Entity, _>(tx, rows).await?;
    Ok(())
}

/// Nothing watches for a retired plan any more.
pub async fn unwatch(tx: &Tx, _worker: &Worker, tenant: TenantId, plan: PlanId) -> Result<(), Error> {
    watch::Entity::delete_many()
        .filter(watch::Column::TenantId.eq(tenant.uuid()))
        .filter(watch::Column::PlanId.eq(plan.uuid()))
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Sweeps the next chunk of one segment that was made or changed since it was last swept; answers whether there was one.
///
/// The customers are locked while they are compared, so that a change of theirs comes before or after, never between.
pub async fn sweep(tx: &Tx, worker: &Worker, size: u64) -> Result<bool, Error> {
    let unswept = Expr::col(segment::Column::SweptVersion).lt(Expr::col(segment::Column::Version));
    let row = segment::Entity::find().filter(unswept).order_by_asc(segment::Column::UpdatedAt).one(&**tx).await?;
    let Some(row) = row else { return Ok(false) };
    let (tenant, id) = (TenantId::from_uuid(row.tenant_id), SegmentId::from_uuid(row.segment_id));
    let mut live = segments::live(tx, tenant).await?;
    live.retain(|live| live.id == id);
    if row.deleted_at.is_some() {
        live = vec![Live { id, filter: crate::domain::filter::Expr::Always(false), watched: Vec::new() }];
    }
    let size = Ord::min(size, segments::rows_max(tx, tenant).await?);
    let customers = locked_page(tx, worker, tenant, row.swept_through, size).await?;
    let last = (customers.len() as u64) < size;
    let through = customers.last().map(|customer| customer.id.uuid());
    let pairs: Vec<_> = customers.iter().map(|customer| (Some(customer), customer)).collect();
    segments::cross(tx, tenant, &live, &pairs).await?;
    let (swept, through) = if last { (row.version, None) } else { (row.swept_version, through) };
    segment::Entity::update_many()
        .col_expr(segment::Column::SweptVersion, Expr::val(swept))
        .col_expr(segment::Column::SweptThrough, Expr::val(through))
        .filter(segment::Column::TenantId.eq(row.tenant_id))
        .filter(segment::Column::SegmentId.eq(row.segment_id))
        .filter(segment::Column::Version.eq(row.version))
        .exec(&**tx)
        .await?;
    Ok(true)
}

/// Says a newly watched field of the next chunk of present members; answers whether there was something to say.
pub async fn tell_watched(tx: &Tx, worker: &Worker, size: u64) -> Result<bool, Error> {
    let Some(row) = watch::Entity::find().filter(watch::Column::Sent.eq(false)).one(&**tx).await? else {
        return Ok(false);
    };
    let (tenant, segment) = (TenantId::from_uuid(row.tenant_id), SegmentId::from_uuid(row.segment_id));
    let members = segments::present(tx, tenant, segment, row.sent_through, size).await?;
    let ids: Vec<CustomerId> = members.iter().map(|id| CustomerId::from_uuid(*id)).collect();
    let fields = super::catalogue::fields(tx, tenant).await?;
    for customer in load::for_worker(tx, worker, tenant, &ids).await? {
        if segments::watched_value(&fields, &row.field, &customer).is_some() {
            segments::tell_fact(tx, &fields, &row.field, &customer);
        }
    }
    let last = (members.len() as u64) < size;
    watch::Entity::update_many()
        .col_expr(watch::Column::Sent, Expr::val(last))
        .col_expr(watch::Column::SentThrough, Expr::val(members.last().copied().or(row.sent_through)))
        .filter(watch::Column::TenantId.eq(row.tenant_id))
        .filter(watch::Column::PlanId.eq(row.plan_id))
        .filter(watch::Column::Field.eq(row.field))
        .exec(&**tx)
        .await?;
    Ok(true)
}

async fn locked_page(
    tx: &Tx,
    _worker: &Worker,
    tenant: TenantId,
    after: Option<Uuid>,
    size: u64,
) -> Result<Vec<Customer>, Error> {
    let mut select = customer::Entity::find().filter(customer::Column::TenantId.eq(tenant.uuid()));
    if let Some(after) = after {
        select = select.filter(customer::Column::CustomerId.gt(after));
    }
    let mut select = select.order_by_asc(customer::Column::CustomerId).limit(size);
    if tx.is_postgres() {
        select = select.lock_exclusive();
    }
    let found = select.all(&**tx).await?;
    Ok(load::complete(tx, tenant, found.into_iter().map(rows::customer).collect()).await?)
}

/// Begins every sweep anew: the net beneath the comparisons that each change makes.
pub async fn sweep_again(tx: &Tx, _worker: &Worker) -> Result<(), Error> {
    segment::Entity::update_many()
        .col_expr(segment::Column::SweptVersion, Expr::val(0_i64))
        .col_expr(segment::Column::SweptThrough, Expr::val(None::<Uuid>))
        .filter(segment::Column::DeletedAt.is_null())
        .exec(&**tx)
        .await?;
    Ok(())
}

/// Facts of customers for a rebuild: those that follow `after` in the order of (tenant, id).
pub async fn facts_page(
    tx: &Tx,
    _worker: &Worker,
    tenant: Option<TenantId>,
    after: Option<(Uuid, Uuid)>,
    size: u64,
) -> Result<Vec<Customer>, Error> {
    let mut select = customer::Entity::find();
    if let Some(tenant) = tenant {
        select = select.filter(customer::Column::TenantId.eq(tenant.uuid()));
    }
    if let Some((tenant, id)) = after {
        let later = Expr::col(customer::Column::TenantId).gt(tenant);
        let same = Expr::col(customer::Column::TenantId).eq(tenant).and(Expr::col(customer::Column::CustomerId).gt(id));
        select = select.filter(Condition::any().add(later).add(same));
    }
    let found = select
        .order_by_asc(customer::Column::TenantId)
        .order_by_asc(customer::Column::CustomerId)
        .limit(size)
        .all(&**tx)
        .await?;
    let mut customers = Vec::new();
    for group in found.chunk_by(|one, other| one.tenant_id == other.tenant_id) {
        let tenant = TenantId::from_uuid(group[0].tenant_id);
        customers.extend(load::complete(tx, tenant, group.iter().cloned().map(rows::customer).collect()).await?);
    }
    Ok(customers)
}

/// Present members for a rebuild: those that follow `after` in the order of (tenant, segment, customer).
pub async fn members_page(
    tx: &Tx,
    _worker: &Worker,
    (tenant, segment): (Option<TenantId>, Option<SegmentId>),
    after: Option<(Uuid, Uuid, Uuid)>,
    size: u64,
) -> Result<Vec<(Uuid, Uuid, Uuid, i64)>, Error> {
    let column = |column: segment_member::Column| Expr::col(column);
    let (t, s, c) =
        (segment_member::Column::TenantId, segment_member::Column::SegmentId, segment_member::Column::CustomerId);
    let mut select = segment_member::Entity::find().filter(segment_member::Column::Present.eq(true));
    if let Some(tenant) = tenant {
        select = select.filter(t.eq(tenant.uuid()));
    }
    if let Some(segment) = segment {
        select = select.filter(s.eq(segment.uuid()));
    }
    if let Some((tenant, segment, customer)) = after {
        let same_tenant = column(t).eq(tenant);
        let same_segment = same_tenant.clone().and(column(s).eq(segment));
        select = select.filter(
            Condition::any()
                .add(column(t).gt(tenant))
                .add(same_tenant.and(column(s).gt(segment)))
                .add(same_segment.and(column(c).gt(customer))),
        );
    }
    let rows = select.order_by_asc(t).order_by_asc(s).order_by_asc(c).limit(size).all(&**tx).await?;
    Ok(rows.into_iter().map(|row| (row.tenant_id, row.segment_id, row.customer_id, row.crossing)).collect())
}

/// Whether a segment waits to be swept, or members to be told of.
pub async fn is_unswept(tx: &Tx, _worker: &Worker) -> Result<bool, Error> {
    let unswept = Expr::col(segment::Column::SweptVersion).lt(Expr::col(segment::Column::Version));
    if segment::Entity::find().filter(unswept).one(&**tx).await?.is_some() {
        return Ok(true);
    }
    Ok(watch::Entity::find().filter(watch::Column::Sent.eq(false)).one(&**tx).await?.is_some())
}
