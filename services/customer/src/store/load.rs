//! Reading customers under a scope: one keyset query per grant clause, merged, decided row by row.
//!
//! A get is a list of one id. What SQL selects is a superset; every row is decided again in memory by the very predicate
//! that a check uses, and only then leaves. A count alone is SQL's where no field that somebody does not read is asked about.

mod place;

use std::collections::HashMap;

pub use place::Place;
use revisit_bootstrap::database::Tx;
use revisit_core::id::{CustomerId, TenantId};
use revisit_permission::{Layer, Levels, Row, Scope, Veiled, Worker, merge_pages};
use sea_orm::{
    ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QueryResult, QuerySelect, QueryTrait,
    sea_query::{Condition, Expr, ExprTrait, Order as Direction, Query, UnionType},
};
use uuid::Uuid;

use super::{
    Store, catalogue,
    entity::{customer, customer_tag, customer_team, field_value, task_holder},
    filter, rows,
};
use crate::domain::{
    Error,
    customer::Customer,
    filter::{Expr as Filter, Truth, evaluate},
};

/// By what a list is ordered. Equal keys are told apart by the id.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SortKey {
    /// Ids carry the time of creation in front.
    CreateTime,
    UpdateTime,
    Name,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Order {
    pub key: SortKey,
    pub descending: bool,
}

impl Order {
    pub const NEWEST_FIRST: Self = Self { key: SortKey::CreateTime, descending: true };
    pub const OLDEST_FIRST: Self = Self { key: SortKey::CreateTime, descending: false };
}

/// Which rows of a scope.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub filter: &'a Filter,
    pub order: Order,
    pub deleted: Deleted,
    /// Only these, when some are named.
    pub only: Option<&'a [CustomerId]>,
    /// No row and no level beyond what this scope gives, when there is one: to take out is no way to see more.
    pub within: Option<&'a Scope>,
}

impl<'a> Wanted<'a> {
    /// Living rows that a filter matches, the oldest first.
    pub const fn matching(filter: &'a Filter) -> Self {
        Self { filter, order: Order::OLDEST_FIRST, deleted: Deleted::Without, only: None, within: None }
    }

    fn levels(&self, scope: &Scope, row: &Row) -> Option<Levels> {
        let levels = scope.levels(row)?;
        match self.within {
            Some(within) => Some(levels.cap(within.levels(row)?)),
            None => Some(levels),
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Deleted {
    Without,
    Only,
    Also,
}

/// How much of a customer is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Depth {
    /// Without contact points and sealed field values.
    Open,
    /// Everything, in clear.
    Sealed,
}

/// A row and how much of it the caller gets.
pub type Seen = (Customer, Levels);

/// One customer if the caller's scope has it.
pub async fn find(tx: &Tx, store: &Store, scope: &Scope, id: CustomerId, depth: Depth) -> Result<Option<Seen>, Error> {
    Ok(find_all(tx, store, scope, &[id], depth).await?.pop())
}

/// Those of the named living customers that the caller's scope has.
pub async fn find_all(
    tx: &Tx,
    store: &Store,
    scope: &Scope,
    ids: &[CustomerId],
    depth: Depth,
) -> Result<Vec<Seen>, Error> {
    let only = Some(ids);
    let wanted = Wanted { only, ..Wanted::matching(&Filter::Always(true)) };
    let mut seen = page(tx, scope, wanted, None, ids.len()).await?.0;
    if depth == Depth::Sealed {
        unseal(tx, store, &mut seen).await?;
    }
    Ok(seen)
}

/// Opens what lies sealed of these rows.
pub async fn unseal(tx: &Tx, store: &Store, seen: &mut [Seen]) -> Result<(), Error> {
    let mut customers: Vec<&mut Customer> = seen.iter_mut().map(|(customer, _)| customer).collect();
    super::sealed::open(tx, store, &mut customers).await
}

/// Rows that are looked at together at the least once a page was not full at once.
const SCAN_MIN: usize = 100;

/// A page and whether rows follow it. It is full unless none follow.
pub async fn page(
    tx: &Tx,
    scope: &Scope,
    wanted: Wanted<'_>,
    after: Option<Place>,
    size: usize,
) -> Result<(Vec<Seen>, bool), Error> {
    let (mut kept, mut after) = (Vec::new(), after);
    // One more than the page: it says whether another follows.
    let mut limit = size + 1;
    while kept.len() <= size {
        let candidates = candidates(tx, scope, wanted, after.as_ref(), limit).await?;
        let last = candidates.len() < limit;
        after = candidates.last().map(|customer| Place::of(customer, wanted.order.key));
        for customer in complete(tx, scope.tenant(), candidates).await? {
            if let Some(levels) = wanted.levels(scope, &customer.row())
                && evaluate(wanted.filter, &customer, &levels) == Truth::True
            {
                kept.push((customer, levels));
            }
        }
        if last {
            break;
        }
        // What the database lets through and the decision does not: the rest is looked for in steps that do not shrink.
        limit = (size + 1 - kept.len().min(size)).max(SCAN_MIN);
    }
    let more = kept.len() > size;
    kept.truncate(size);
    Ok((kept, more))
}

/// How many living rows of the scope the filter matches, as its caller may read them.
pub async fn count(tx: &Tx, scope: &Scope, filter: &Filter) -> Result<i64, Error> {
    count_wanted(tx, scope, Wanted::matching(filter), None).await
}

/// The same for wishes that say more than a filter. It ends once as many are found as are told by `most`: what is answered
/// then is no less.
pub async fn count_wanted(tx: &Tx, scope: &Scope, wanted: Wanted<'_>, most: Option<u64>) -> Result<i64, Error> {
    let readers = [Some(scope), wanted.within];
    let read = |layer| layer == Layer::Basic && readers.iter().flatten().all(|reader| reader.reads(layer));
    let clauses = super::reach::clauses(scope);
    let narrowing = wanted.within.map_or(0, |within| super::reach::clauses(within).len());
    if clauses.len().max(narrowing) <= COUNTED_MAX
        && wanted.filter.layers().into_iter().all(read)
        && let Some(count) = count_in_database(tx, (scope, clauses), wanted, most).await?
    {
        return Ok(count);
    }
    // A field that some rows hide is looked at row by row, page by page.
    let (mut count, mut after) = (0, None);
    loop {
        let (rows, more) = page(tx, scope, wanted, after, COUNT_PAGE).await?;
        count += rows.len() as u64;
        after = rows.last().map(|(customer, _)| Place::of(customer, wanted.order.key));
        if !more || most.is_some_and(|most| count >= most) {
            return Ok(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
}

/// Rows that are looked at together while counting.
const COUNT_PAGE: usize = 1_000;
/// Clauses of either scope that are counted by one statement: SQLite takes 500 parts, and conditions a thousand deep.
const COUNTED_MAX: usize = 400;
/// Values of a statement that counts: SQLite binds 32,766, PostgreSQL 65,535, and one guard may name a thousand rows.
const VALUES_MAX: usize = 8_000;

/// Each clause selects ids; their union, without repeats, is counted. A clause alone that has as many as are wanted says
/// enough, and no further row of it is read. Nothing is answered where that would bind too many values.
async fn count_in_database(
    tx: &Tx,
    (scope, clauses): (&Scope, Vec<Condition>),
    wanted: Wanted<'_>,
    most: Option<u64>,
) -> Result<Option<i64>, DbErr> {
    let within = wanted.within.map(|within| within.condition(&super::reach::columns()));
    let mut clauses = clauses.into_iter().map(|clause| {
        let ids = customer::Entity::find().select_only().column(customer::Column::CustomerId);
        let ids = ids.filter(reached(tx, scope, wanted, clause)).filter(Condition::all().add_option(within.clone()));
        match most {
            // In a select of its own: a union has the limit of its last part for that of all.
            Some(most) => Query::select()
                .column(customer::Column::CustomerId)
                .from_subquery(ids.limit(most).into_query(), "some")
                .to_owned(),
            None => ids.into_query(),
        }
    });
    let Some(mut ids) = clauses.next() else { return Ok(Some(0)) };
    for clause in clauses {
        ids.union(UnionType::Distinct, clause);
    }
    let count = Query::select().expr_as(Expr::cust("COUNT(*)"), "count").from_subquery(ids, "ids").to_owned();
    let count = tx.get_database_backend().build(&count);
    if count.values.as_ref().is_some_and(|values| values.0.len() > VALUES_MAX) {
        return Ok(None);
    }
    let row = tx.query_one_raw(count).await?;
    row.map(|row| row.try_get("", "count")).transpose()
}

/// The wanted rows of one clause.
fn reached(tx: &Tx, scope: &Scope, wanted: Wanted<'_>, clause: Condition) -> Condition {
    let only = |ids: &[CustomerId]| tx.among(customer::Column::CustomerId, ids.iter().map(|id| id.uuid()));
    Condition::all()
        .add(customer::Column::TenantId.eq(scope.tenant().uuid()))
        .add(clause)
        .add(filter::condition_for(wanted.filter, scope, tx.is_postgres()))
        .add_option(match wanted.deleted {
            Deleted::Without => Some(customer::Column::DeletedAt.is_null()),
            Deleted::Only => Some(customer::Column::DeletedAt.is_not_null()),
            Deleted::Also => None,
        })
        .add_option(wanted.only.map(only))
}

/// The next rows that some clause reaches and no guard denies: as many of each clause, each by an index of its own. One
/// statement about all of them was measured, and took longer.
async fn candidates(
    tx: &Tx,
    scope: &Scope,
    wanted: Wanted<'_>,
    after: Option<&Place>,
    limit: usize,
) -> Result<Vec<Customer>, DbErr> {
    let direction = if wanted.order.descending { Direction::Desc } else { Direction::Asc };
    let mut pages = Vec::new();
    for clause in super::reach::clauses(scope) {
        let mut select = customer::Entity::find().filter(reached(tx, scope, wanted, clause));
        if let Some(after) = after {
            select = select.filter(after.beyond(wanted.order));
        }
        select = match wanted.order.key {
            SortKey::CreateTime => select,
            SortKey::UpdateTime => select.order_by(customer::Column::UpdatedAt, direction.clone()),
            SortKey::Name => select.order_by(customer::Column::Name, direction.clone()),
        };
        let page = select.order_by(customer::Column::CustomerId, direction.clone()).limit(limit as u64);
        pages.push(page.all(&**tx).await?.into_iter().map(rows::customer).collect());
    }
    let key = |customer: &Customer| Place::of(customer, wanted.order.key);
    if wanted.order.descending {
        Ok(merge_pages(pages, |customer| std::cmp::Reverse(key(customer)), limit))
    } else {
        Ok(merge_pages(pages, key, limit))
    }
}

/// Adds what hangs on the rows and is not sealed: teams, task holders, tags, field values.
pub(super) async fn complete(tx: &Tx, tenant: TenantId, mut customers: Vec<Customer>) -> Result<Vec<Customer>, DbErr> {
    if customers.is_empty() {
        return Ok(customers);
    }
    let place: HashMap<Uuid, usize> =
        customers.iter().enumerate().map(|(place, customer)| (customer.id.uuid(), place)).collect();
    let ids: Vec<Uuid> = customers.iter().map(|customer| customer.id.uuid()).collect();
    let these = |tenant_id: Expr, customer_id: Expr| {
        Condition::all().add(tenant_id.eq(tenant.uuid())).add(tx.among(customer_id, ids.iter().copied()))
    };
    let of = |table: &'static str| these(Expr::col((table, "tenant_id")), Expr::col((table, "customer_id")));
    for row in customer_team::Entity::find().filter(of("customer_team")).all(&**tx).await? {
        customers[place[&row.customer_id]].teams.push(rows::team(row.team_id));
    }
    for row in task_holder::Entity::find().filter(of("task_holder")).all(&**tx).await? {
        customers[place[&row.customer_id]].task_holders.push(rows::task_holder(&row));
    }
    let tags = customer_tag::Entity::find().filter(of("customer_tag")).order_by_asc(customer_tag::Column::Tag);
    for row in tags.all(&**tx).await? {
        customers[place[&row.customer_id]].tags.push(row.tag);
    }
    let values = field_value::Entity::find()
        .filter(of("field_value"))
        .filter(field_value::Column::Sealed.is_null())
        .order_by_asc(field_value::Column::CustomerId)
        .order_by_asc(field_value::Column::FieldId)
        .order_by_asc(field_value::Column::Ordinal)
        .all(&**tx)
        .await?;
    if !values.is_empty() {
        let fields = catalogue::fields(tx, tenant).await?;
        for group in
            values.chunk_by(|one, other| (one.customer_id, one.field_id) == (other.customer_id, other.field_id))
        {
            let field = fields.iter().find(|field| field.id.uuid() == group[0].field_id);
            if let Some((field, value)) = field.and_then(|field| Some((field, rows::value(group, field.kind)?))) {
                customers[place[&group[0].customer_id]].fields.push((field.id, Veiled::new(field.layer, value)));
            }
        }
    }
    Ok(customers)
}

/// The customer with an external id, if the caller's scope has it.
pub async fn by_external_id(tx: &Tx, scope: &Scope, external: &str) -> Result<Option<CustomerId>, Error> {
    let found = customer::Entity::find()
        .filter(customer::Column::TenantId.eq(scope.tenant().uuid()))
        .filter(customer::Column::ExternalId.eq(external))
        .filter(customer::Column::DeletedAt.is_null())
        .filter(super::reach::clauses(scope).into_iter().fold(Condition::any(), Condition::add))
        .one(&**tx)
        .await?;
    Ok(found.map(|row| CustomerId::from_uuid(row.customer_id)))
}

/// The living customers that have these external ids.
pub async fn external_ids(
    tx: &Tx,
    _worker: &Worker,
    tenant: TenantId,
    externals: &[String],
) -> Result<HashMap<String, CustomerId>, DbErr> {
    if externals.is_empty() {
        return Ok(HashMap::new());
    }
    let living = customer::Entity::find()
        .select_only()
        .column(customer::Column::ExternalId)
        .column(customer::Column::CustomerId)
        .filter(customer::Column::TenantId.eq(tenant.uuid()))
        .filter(customer::Column::DeletedAt.is_null());
    let look_up = tx.look_up(living.into_query(), customer::Column::ExternalId, externals.iter().cloned());
    let rows = tx.query_all(&look_up).await?;
    let read = |row: &QueryResult| {
        Ok((row.try_get("", "external_id")?, CustomerId::from_uuid(row.try_get("", "customer_id")?)))
    };
    rows.iter().map(read).collect()
}

/// Rows by id for a worker, deleted ones too.
pub async fn for_worker(
    tx: &Tx,
    _worker: &Worker,
    tenant: TenantId,
    ids: &[CustomerId],
) -> Result<Vec<Customer>, DbErr> {
    by_ids(tx, tenant, ids).await
}

/// Rows by id, deleted ones too, for whoever decides about each of them.
pub(super) async fn by_ids(tx: &Tx, tenant: TenantId, ids: &[CustomerId]) -> Result<Vec<Customer>, DbErr> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let found = customer::Entity::find()
        .filter(customer::Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(customer::Column::CustomerId, ids.iter().map(|id| id.uuid())))
        .order_by_asc(customer::Column::CustomerId)
        .all(&**tx)
        .await?;
    complete(tx, tenant, found.into_iter().map(rows::customer).collect()).await
}

/// The same with everything that lies sealed: for matching and merging, whose answers are decided row by row.
pub async fn for_worker_sealed(
    tx: &Tx,
    store: &Store,
    worker: &Worker,
    tenant: TenantId,
    ids: &[CustomerId],
) -> Result<Vec<Customer>, Error> {
    let mut customers = for_worker(tx, worker, tenant, ids).await?;
    super::sealed::open(tx, store, &mut customers.iter_mut().collect::<Vec<_>>()).await?;
    Ok(customers)
}
