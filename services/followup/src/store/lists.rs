//! Lists of tasks under a scope: one keyset query per clause of what the caller may see, merged. OR across different
//! columns is sent to the database for a day only, whose arms have an index each.

use std::collections::BTreeMap;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, PlanId, SubjectId, TaskId},
};
use revisit_permission::{Columns, Scope, SideTable, merge_pages};
use sea_orm::{
    ColumnTrait, Condition, EntityTrait, IntoSimpleExpr, QueryFilter, QueryOrder, QuerySelect,
    sea_query::{ColumnRef, Expr, ExprTrait, IntoColumnRef, IntoTableRef},
};

use super::{
    at, projection,
    task_entity::task_row,
    task_rows::{RowColumn, RowEntity},
    tasks,
};
use crate::domain::{
    people::Customer,
    task::{Task, TaskKind, TaskState},
};

/// What a list is ordered by: due time, then id.
pub type Key = (Timestamp, TaskId);

/// What a list is narrowed to.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    pub customer: Option<CustomerId>,
    pub assignee: Option<SubjectId>,
    pub states: Vec<TaskState>,
    pub kinds: Vec<TaskKind>,
    pub plan: Option<PlanId>,
    pub due_from: Option<Timestamp>,
    pub due_until: Option<Timestamp>,
    pub waiting_for_issues: bool,
    /// What is to be done on one local day: due by its end, or beginning in it. Of live tasks only.
    pub day: Option<(Timestamp, Timestamp)>,
    pub after: Option<Key>,
    pub limit: usize,
}

/// A page.
pub struct Listed {
    pub tasks: Vec<(Task, Option<Customer>)>,
    /// Where the next page begins; none on the last.
    pub next: Option<Key>,
}

/// Where the view of tasks keeps what policy looks at.
pub(super) fn columns() -> Columns {
    let column = |column: RowColumn| -> ColumnRef { (task_row::Entity, column).into_column_ref() };
    let team = |column: &'static str| -> ColumnRef { ("task_team", column).into_column_ref() };
    let mut columns = Columns::new(column(RowColumn::TenantId), column(RowColumn::TaskId));
    columns.owner = Some(column(RowColumn::RowOwnerId));
    columns.department = Some(column(RowColumn::RowDepartmentId));
    columns.stage = Some(column(RowColumn::RowStage));
    columns.grade = Some(column(RowColumn::RowGrade));
    columns.vip = Some(column(RowColumn::RowVip));
    columns.pooled = Some(column(RowColumn::RowPooled));
    columns.auth_rev = Some(column(RowColumn::RowAuthRev));
    columns.teams = Some(SideTable {
        table: "task_team".into_table_ref(),
        tenant: team("tenant_id"),
        row: team("task_id"),
        value: team("team_id"),
        external: None,
    });
    columns
}

fn narrowed(wish: &Wish) -> Condition {
    let mut all = Condition::all()
        .add_option(wish.customer.map(|customer| RowColumn::CustomerId.eq(customer.uuid())))
        .add_option(wish.assignee.map(|assignee| RowColumn::RowOwnerId.eq(assignee.uuid())))
        .add_option(wish.plan.map(|plan| RowColumn::PlanId.eq(plan.uuid())))
        .add_option(wish.due_from.map(|from| RowColumn::DueAt.gte(from.micros())))
        .add_option(wish.due_until.map(|until| RowColumn::DueAt.lt(until.micros())));
    if !wish.states.is_empty() {
        all = all.add(RowColumn::State.is_in(wish.states.iter().map(|state| state.name())));
    }
    if !wish.kinds.is_empty() {
        all = all.add(RowColumn::Kind.is_in(wish.kinds.iter().map(|kind| kind.name())));
    }
    if wish.waiting_for_issues {
        all = all.add(RowColumn::State.eq(TaskState::Done.name())).add(RowColumn::ClosedAt.is_null());
    }
    if let Some((from, until)) = wish.day {
        let begins =
            Condition::all().add(RowColumn::OpenAt.gte(from.micros())).add(RowColumn::OpenAt.lt(until.micros()));
        all = all.add(Condition::any().add(RowColumn::DueAt.lt(until.micros())).add(begins));
        all = all.add_option(wish.assignee.map(|assignee| indexed_day(assignee, (from, until))));
    }
    all
}

/// What holds for every live task of a person's day anyway, said so that each arm walks an index. Whose a planned task
/// is follows from its customer, which no index of tasks knows: without this all tasks that a company has planned would
/// be looked at, and it plans for months.
fn indexed_day(assignee: SubjectId, (from, until): (Timestamp, Timestamp)) -> Condition {
    // Literals: an index over planned tasks only is not found by a parameter.
    let is = |state: TaskState| RowColumn::State.into_simple_expr().eq(Expr::cust(format!("'{}'", state.name())));
    let planned = || Condition::all().add(is(TaskState::Scheduled));
    let open = || Condition::all().add(is(TaskState::Open));
    Condition::any()
        .add(open().add(RowColumn::AssigneeId.eq(assignee.uuid())))
        // It opened when nobody answered for its customer.
        .add(open().add(RowColumn::AssigneeId.is_null()))
        .add(planned().add(RowColumn::DueAt.lt(until.micros())))
        .add(planned().add(RowColumn::OpenAt.gte(from.micros())).add(RowColumn::OpenAt.lt(until.micros())))
}

/// A page of tasks in the scope.
pub async fn tasks(tx: &Tx, scope: &Scope, wish: &Wish) -> Result<Listed, Failure> {
    let columns = columns();
    let mut pages = Vec::new();
    for clause in scope.conditions(&columns) {
        let mut find = RowEntity::find()
            .select_only()
            .column(RowColumn::DueAt)
            .column(RowColumn::TaskId)
            .filter(clause)
            .filter(narrowed(wish));
        if let Some((due, task)) = wish.after {
            let key = Expr::tuple([RowColumn::DueAt.into_simple_expr(), RowColumn::TaskId.into_simple_expr()]);
            find = find.filter(key.gt(Expr::tuple([Expr::val(due.micros()), Expr::val(task.uuid())])));
        }
        let page: Vec<(i64, uuid::Uuid)> = find
            .order_by_asc(RowColumn::DueAt)
            .order_by_asc(RowColumn::TaskId)
            .limit(wish.limit as u64 + 1)
            .into_tuple()
            .all(&**tx)
            .await
            .map_err(fault)?;
        pages.push(page);
    }
    let keys = merge_pages(pages, |key| *key, wish.limit + 1);
    let more = keys.len() > wish.limit;
    let keys: Vec<_> = keys.into_iter().take(wish.limit).collect();
    let next = keys.last().filter(|_| more).map(|(due, task)| (at(*due), Id::from_uuid(*task)));
    let wanted: Vec<_> = keys.iter().map(|(_, task)| (scope.tenant(), Id::from_uuid(*task))).collect();
    let mut found = tasks::find_all(tx, &wanted).await?;
    let customers = customers_of(tx, found.values()).await?;
    let rows = wanted.iter().filter_map(|(_, id)| {
        let task = found.remove(id)?;
        let customer = task.customer.and_then(|customer| customers.get(&customer).cloned());
        Some((task, customer))
    });
    Ok(Listed { tasks: rows.collect(), next })
}

async fn customers_of(tx: &Tx, tasks: impl Iterator<Item = &Task>) -> Result<BTreeMap<CustomerId, Customer>, Failure> {
    let mut keys: Vec<_> = tasks.filter_map(|task| Some((task.tenant, task.customer?))).collect();
    keys.sort();
    keys.dedup();
    projection::look_at_customers(tx, &keys).await
}
