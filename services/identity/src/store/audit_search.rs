//! Searching the audit log: newest first, by keys of the pages, and never by reading what is not asked for.
//!
//! Each index ends in (time, number). What is asked of entries is asked for each outcome by itself and merged, because
//! the outcome stands before the time in their indexes; a row or a field has a list of its own.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Timestamp, id::TenantId};
use sea_orm::{
    ConnectionTrait, FromQueryResult,
    sea_query::{Alias, Cond, Expr, ExprTrait, Order, Query, SelectStatement},
};
use uuid::Uuid;

use super::{
    audit::OUTCOMES,
    entity::{
        audit_entry::{Column, Entity},
        audit_field, audit_row,
    },
    micros,
};
use crate::domain::chain::Origin;

/// Where an entry stands in the answer.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Place {
    pub time: Timestamp,
    pub number: i64,
}

/// Which entries a page holds.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub subject: Option<Uuid>,
    pub action: Option<String>,
    pub resource: Option<Uuid>,
    pub field: Option<String>,
    pub source: Option<String>,
    pub outcome: Option<i32>,
    pub from: Option<Timestamp>,
    pub until: Option<Timestamp>,
    /// After which place the page begins.
    pub after: Option<Place>,
    pub limit: u64,
}

/// An entry that was found.
#[derive(Clone, Debug)]
pub struct Found {
    pub place: Place,
    pub origin: Origin,
    pub position: i64,
    pub entry: Vec<u8>,
    pub hash: Vec<u8>,
}

#[derive(FromQueryResult)]
struct Row {
    number: i64,
    time: i64,
    source: String,
    incarnation: Uuid,
    shard: i32,
    position: i64,
    entry: Vec<u8>,
    hash: Vec<u8>,
}

/// Entries, newest first.
pub async fn page(tx: &Tx, tenant: TenantId, wanted: &Wanted) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    if wanted.resource.is_some() || wanted.field.is_some() {
        found = run(tx, listed(tenant, wanted)).await?;
    } else {
        for outcome in OUTCOMES.into_iter().filter(|outcome| wanted.outcome.is_none_or(|only| only == *outcome)) {
            found.extend(run(tx, entries(tenant, wanted, outcome)).await?);
        }
        found.sort_by_key(|it| std::cmp::Reverse(it.place));
        found.truncate(usize::try_from(wanted.limit).unwrap_or(usize::MAX));
    }
    Ok(found)
}

async fn run(tx: &Tx, select: SelectStatement) -> Result<Vec<Found>, Failure> {
    let statement = tx.get_database_backend().build(&select);
    let rows = Row::find_by_statement(statement).all(&**tx).await.map_err(fault)?;
    rows.into_iter()
        .map(|row| {
            let shard = u32::try_from(row.shard).map_err(Failure::internal)?;
            Ok(Found {
                place: Place { time: Timestamp::from_micros(row.time), number: row.number },
                origin: Origin { source: row.source, incarnation: row.incarnation, shard },
                position: row.position,
                entry: row.entry,
                hash: row.hash,
            })
        })
        .collect()
}

/// Entries of one outcome.
fn entries(tenant: TenantId, wanted: &Wanted, outcome: i32) -> SelectStatement {
    let mut select = Query::select();
    select.from(Entity).and_where(of(Column::TenantId).eq(tenant.uuid())).and_where(of(Column::Outcome).eq(outcome));
    told_by_entry(&mut select, wanted);
    ordered(&mut select, wanted, "audit_entry");
    select
}

/// Entries that name a row, a field, or both.
fn listed(tenant: TenantId, wanted: &Wanted) -> SelectStatement {
    let mut select = Query::select();
    let list = if let Some(row) = wanted.resource {
        select
            .from(audit_row::Entity)
            .and_where(Expr::col((audit_row::Entity, audit_row::Column::TenantId)).eq(tenant.uuid()))
            .and_where(Expr::col((audit_row::Entity, audit_row::Column::RowId)).eq(row));
        "audit_row"
    } else {
        select.from(audit_field::Entity);
        "audit_field"
    };
    if let Some(field) = &wanted.field {
        let column = |column: audit_field::Column| Expr::col((audit_field::Entity, column));
        if wanted.resource.is_some() {
            let same = Cond::all()
                .add(column(audit_field::Column::Time).equals((audit_row::Entity, audit_row::Column::Time)))
                .add(column(audit_field::Column::Number).equals((audit_row::Entity, audit_row::Column::Number)));
            select.inner_join(audit_field::Entity, same);
        }
        select
            .and_where(column(audit_field::Column::TenantId).eq(tenant.uuid()))
            .and_where(column(audit_field::Column::Field).eq(field.as_str()));
        if let Some(subject) = wanted.subject {
            select.and_where(column(audit_field::Column::SubjectId).eq(subject));
        }
    }
    let number = Expr::col((Alias::new(list), Alias::new("number")));
    let entry = Cond::all().add(of(Column::TenantId).eq(tenant.uuid())).add(of(Column::Number).eq(number));
    select.inner_join(Entity, entry);
    if let Some(outcome) = wanted.outcome {
        select.and_where(of(Column::Outcome).eq(outcome));
    }
    told_by_entry(&mut select, wanted);
    ordered(&mut select, wanted, list);
    select
}

fn of(column: Column) -> Expr {
    Expr::col((Entity, column))
}

fn told_by_entry(select: &mut SelectStatement, wanted: &Wanted) {
    let columns = [
        Column::Number,
        Column::Time,
        Column::Source,
        Column::Incarnation,
        Column::Shard,
        Column::Position,
        Column::Entry,
        Column::Hash,
    ];
    select.columns(columns.map(|column| (Entity, column)));
    if let Some(subject) = wanted.subject {
        select.and_where(of(Column::SubjectId).eq(subject));
    }
    if let Some(action) = &wanted.action {
        select.and_where(of(Column::Action).eq(action.as_str()));
    }
    if let Some(source) = &wanted.source {
        select.and_where(of(Column::Source).eq(source.as_str()));
    }
}

/// From the place after which the page begins, in the order of the list that is walked.
fn ordered(select: &mut SelectStatement, wanted: &Wanted, list: &'static str) {
    let column = |name: &'static str| Expr::col((Alias::new(list), Alias::new(name)));
    if let Some(from) = wanted.from {
        select.and_where(column("time").gte(micros(from)));
    }
    if let Some(until) = wanted.until {
        select.and_where(column("time").lt(micros(until)));
    }
    if let Some(Place { time, number }) = wanted.after {
        let time = micros(time);
        // The first bounds the index, the second leaves out what has the same time.
        select
            .and_where(column("time").lte(time))
            .cond_where(Cond::any().add(column("time").lt(time)).add(column("number").lt(number)));
    }
    select.order_by_expr(column("time"), Order::Desc).order_by_expr(column("number"), Order::Desc).limit(wanted.limit);
}
