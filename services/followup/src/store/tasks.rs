//! Tasks by id, by customer and by enrolment, and the locks under which they change.

use std::collections::BTreeMap;

use chrono::NaiveDate;
use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TaskId, TenantId},
};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, IntoActiveModel, PaginatorTrait, QueryFilter, QueryOrder,
    QuerySelect,
    sea_query::{Expr, ExprTrait, LockType, OnConflict},
};

use super::{
    ROWS_MAX, at, local,
    task_rows::{self, Column, Entity, Model, RowColumn, RowEntity},
    timers, upsert,
};
use crate::domain::{
    plan::{Enrolment, Reason},
    task::{Task, TaskKind, TaskState},
};

/// One task, without a lock: what a change reads first to learn what it must lock.
pub async fn find(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Option<Task>, Failure> {
    let row = Entity::find_by_id((tenant.uuid(), task.uuid())).one(&**tx).await.map_err(fault)?;
    row.map(task_rows::task).transpose()
}

/// Tasks by id, whichever exist. The fire transaction holds their timers, so nobody changes them meanwhile.
pub async fn find_all(tx: &Tx, keys: &[(TenantId, TaskId)]) -> Result<BTreeMap<TaskId, Task>, Failure> {
    let mut tasks = BTreeMap::new();
    for some in keys.chunks(ROWS_MAX) {
        let key = Expr::tuple([Expr::col(Column::TenantId), Expr::col(Column::TaskId)]);
        let wanted = some.iter().map(|(tenant, task)| (tenant.uuid(), task.uuid()));
        let rows = Entity::find().filter(key.in_tuples(wanted)).all(&**tx).await.map_err(fault)?;
        for row in rows {
            let task = task_rows::task(row)?;
            tasks.insert(task.id, task);
        }
    }
    Ok(tasks)
}

/// Locks tasks that were read before, timers first. Answers them as they are now, or nothing when a timer has gone or
/// moved meanwhile: then the caller starts again in a new transaction.
pub async fn lock(tx: &Tx, read: &[&Task]) -> Result<Option<Vec<Task>>, Failure> {
    let Some(first) = read.first() else { return Ok(Some(Vec::new())) };
    let named = read.iter().filter(|task| task.timer.is_some()).count();
    if timers::lock(tx, read).await? != named {
        return Ok(None);
    }
    let rows = Entity::find()
        .filter(Column::TenantId.eq(first.tenant.uuid()))
        .filter(tx.among(Column::TaskId, read.iter().map(|task| task.id.uuid())))
        .order_by_asc(Column::TaskId)
        .lock(LockType::Update)
        .all(&**tx)
        .await
        .map_err(fault)?;
    let tasks: Vec<Task> = rows.into_iter().map(task_rows::task).collect::<Result<_, _>>()?;
    let same = |now: &Task| read.iter().any(|then| then.id == now.id && then.timer == now.timer);
    Ok((tasks.len() == read.len() && tasks.iter().all(same)).then_some(tasks))
}

/// Replaces tasks that are locked, and their timers: the one that each named before by the one that it names now.
pub async fn replace(tx: &Tx, before: &[&Task], after: &[&Task]) -> Result<(), Failure> {
    timers::delete_of(tx, before).await?;
    save(tx, after).await?;
    timers::plant(tx, after).await
}

/// Writes task rows that exist. Timers are the caller's.
pub async fn save(tx: &Tx, tasks: &[&Task]) -> Result<(), Failure> {
    upsert::<Entity, Model>(tx, tasks.iter().map(|task| task_rows::row(task)).collect()).await
}

/// Adds tasks that do not exist yet, with their timers. Answers those that it added: the others are the same
/// occurrence, planned before.
pub async fn add(tx: &Tx, tasks: Vec<Task>) -> Result<Vec<Task>, Failure> {
    let mut added = Vec::new();
    for some in tasks.chunks(ROWS_MAX) {
        let rows = some.iter().map(|task| task_rows::row(task).into_active_model());
        let nothing = OnConflict::columns([Column::TenantId, Column::TaskId]).do_nothing().to_owned();
        let mut insert = Entity::insert_many(rows).on_conflict(nothing);
        let mut statement = std::mem::take(sea_orm::QueryTrait::query(&mut insert));
        statement.returning(sea_orm::sea_query::Query::returning().column(Column::TaskId));
        let ids: Vec<uuid::Uuid> = tx
            .query_all(&statement)
            .await
            .map_err(fault)?
            .iter()
            .map(|row| row.try_get("", "task_id"))
            .collect::<Result<_, _>>()
            .map_err(fault)?;
        added.extend(some.iter().filter(|task| ids.contains(&task.id.uuid())).cloned());
    }
    timers::plant(tx, &added.iter().collect::<Vec<_>>()).await?;
    Ok(added)
}

async fn all(tx: &Tx, tenant: TenantId, condition: Condition) -> Result<Vec<Task>, Failure> {
    let rows = Entity::find()
        .filter(Column::TenantId.eq(tenant.uuid()))
        .filter(condition)
        .order_by_asc(Column::TaskId)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(task_rows::task).collect()
}

/// The issues that the outcome of a task has raised: at most as many as one outcome may name.
pub async fn issues_of(tx: &Tx, tenant: TenantId, task: TaskId) -> Result<Vec<Task>, Failure> {
    let mut issues = all(tx, tenant, Condition::all().add(Column::ParentId.eq(task.uuid()))).await?;
    issues.retain(|found| found.kind == TaskKind::Issue);
    issues.sort_by_key(|issue| (issue.created_at, issue.due_at, issue.id));
    Ok(issues)
}

/// Live tasks of one customer: few, because each step has at most a handful.
pub async fn live_of_customer(tx: &Tx, tenant: TenantId, customer: CustomerId) -> Result<Vec<Task>, Failure> {
    let live = [TaskState::Scheduled.name(), TaskState::Open.name()];
    let condition = Condition::all().add(Column::CustomerId.eq(customer.uuid())).add(Column::State.is_in(live));
    all(tx, tenant, condition).await
}

/// The next open tasks on customers after one, by tenant and id: of one tenant or all, and with ids only those.
pub async fn open_page(
    tx: &Tx,
    (tenant, ids): (Option<TenantId>, &[TaskId]),
    after: Option<(TenantId, TaskId)>,
    limit: u64,
) -> Result<Vec<Task>, Failure> {
    let key = Expr::tuple([Expr::col(Column::TenantId), Expr::col(Column::TaskId)]);
    let behind = after.map(|(tenant, task)| key.gt(Expr::tuple([Expr::val(tenant.uuid()), Expr::val(task.uuid())])));
    let some = (!ids.is_empty()).then(|| Column::TaskId.is_in(ids.iter().map(|task| task.uuid())));
    let narrowed = Condition::all()
        .add_option(tenant.map(|tenant| Column::TenantId.eq(tenant.uuid())))
        .add_option(some)
        .add_option(behind);
    let rows = Entity::find()
        .filter(narrowed)
        .filter(Column::State.eq(TaskState::Open.name()))
        .filter(Column::CustomerId.is_not_null())
        .order_by_asc(Column::TenantId)
        .order_by_asc(Column::TaskId)
        .limit(limit)
        .all(&**tx)
        .await
        .map_err(fault)?;
    rows.into_iter().map(task_rows::task).collect()
}

/// Whose live tasks are looked for, and where.
pub struct Held<'a> {
    pub tenant: TenantId,
    pub person: SubjectId,
    /// Only those of these departments; none: all.
    pub departments: Option<&'a [DepartmentId]>,
    /// Those that are left out.
    pub except: &'a [TaskId],
}

/// Live tasks that a person must hand over: open ones of theirs, and scheduled ones that name them.
pub async fn live_of_person(tx: &Tx, held: &Held<'_>, limit: u64) -> Result<Vec<Task>, Failure> {
    let person = held.person.uuid();
    let open = Condition::all().add(RowColumn::State.eq(TaskState::Open.name())).add(RowColumn::AssigneeId.eq(person));
    let named =
        Condition::all().add(RowColumn::State.eq(TaskState::Scheduled.name())).add(RowColumn::NamedId.eq(person));
    let departments = held.departments.map(|all| all.iter().map(|department| department.uuid()).collect::<Vec<_>>());
    let ids: Vec<uuid::Uuid> = RowEntity::find()
        .select_only()
        .column(RowColumn::TaskId)
        .filter(RowColumn::TenantId.eq(held.tenant.uuid()))
        .filter(Condition::any().add(open).add(named))
        .filter(Condition::all().add_option(departments.map(|all| RowColumn::RowDepartmentId.is_in(all))))
        .filter(RowColumn::TaskId.is_not_in(held.except.iter().map(|task| task.uuid())))
        .order_by_asc(RowColumn::TaskId)
        .limit(limit)
        .into_tuple()
        .all(&**tx)
        .await
        .map_err(fault)?;
    let keys: Vec<_> = ids.into_iter().map(|id| (held.tenant, Id::from_uuid(id))).collect();
    Ok(find_all(tx, &keys).await?.into_values().collect())
}

/// What became of the tasks of one step of an enrolment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Past {
    /// When one was last completed, or ended by somebody's own word, since the entry.
    pub closed_at: Option<Timestamp>,
    /// How many have ended in the present generation, whatever the reason.
    pub ended: i64,
    /// The latest date of those that are open, were completed, or ended by somebody's own word, since the entry.
    pub taken: Option<NaiveDate>,
}

/// What became of the tasks of each step of an enrolment.
pub async fn past(tx: &Tx, enrolment: &Enrolment) -> Result<BTreeMap<String, Past>, Failure> {
    let since = enrolment.entered_at.micros();
    let own_word = Reason::Caller.name();
    let settled = format!("COALESCE(done_at, closed_at) >= {since} AND (state = 'done' OR reason = '{own_word}')");
    let closed = format!("MAX(CASE WHEN {settled} THEN COALESCE(done_at, closed_at) END)");
    // Written as ISO 8601, the latest is the greatest.
    let taken = format!("MAX(CASE WHEN state = 'open' OR ({settled}) THEN nominal END)");
    let ended = format!("SUM(CASE WHEN generation = {} AND state <> 'open' THEN 1 ELSE 0 END)", enrolment.generation);
    // Step, when it was closed, how many of this generation have ended, the last nominal time.
    type Row = (Option<String>, Option<i64>, i64, Option<String>);
    let rows: Vec<Row> = Entity::find()
        .select_only()
        .column(Column::Step)
        .expr_as(Expr::cust(closed), "closed")
        .expr_as(Expr::cust(ended), "ended")
        .expr_as(Expr::cust(taken), "taken")
        .filter(Column::TenantId.eq(enrolment.tenant.uuid()))
        .filter(Column::CustomerId.eq(enrolment.customer.uuid()))
        .filter(Column::EnrolmentId.eq(enrolment.id.uuid()))
        .filter(Column::State.ne(TaskState::Scheduled.name()))
        .group_by(Column::Step)
        .into_tuple()
        .all(&**tx)
        .await
        .map_err(fault)?;
    let past = |(step, closed, ended, taken): (Option<String>, Option<i64>, i64, Option<String>)| {
        let taken = taken.and_then(|nominal| local(&nominal)).map(|nominal| nominal.date());
        Some((step?, Past { closed_at: closed.map(at), ended, taken }))
    };
    Ok(rows.into_iter().filter_map(past).collect())
}

/// Counts of one person's work between two instants: due inside, and overdue before.
pub async fn count_day(
    tx: &Tx,
    tenant: TenantId,
    person: SubjectId,
    (from, until): (Timestamp, Timestamp),
) -> Result<(u64, u64), Failure> {
    let mine = |state: TaskState| {
        RowEntity::find().filter(RowColumn::TenantId.eq(tenant.uuid())).filter(RowColumn::State.eq(state.name()))
    };
    let open = mine(TaskState::Open).filter(RowColumn::AssigneeId.eq(person.uuid()));
    // What opens in the course of the day will be the work of whose customer it is, unless it names somebody.
    let scheduled = mine(TaskState::Scheduled).filter(RowColumn::RowOwnerId.eq(person.uuid()));
    let inside = Condition::all().add(RowColumn::DueAt.gte(from.micros())).add(RowColumn::DueAt.lt(until.micros()));
    let due = open.clone().filter(inside.clone()).count(&**tx).await.map_err(fault)?;
    let to_open = scheduled.filter(inside).count(&**tx).await.map_err(fault)?;
    let before = open.filter(RowColumn::DueAt.lt(from.micros())).count(&**tx).await.map_err(fault)?;
    Ok((due + to_open, before))
}
