//! Figures over tasks, counted by the database from the rows that stand; nothing is kept beside them.

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, PlanId, SubjectId, TenantId},
};
use revisit_permission::{Columns, Layer, Maskable, Scope, Veiled};
use sea_orm::{
    ColumnTrait, Condition, ConnectionTrait, EntityTrait, FromQueryResult, QueryFilter, QueryOrder, QuerySelect,
    Statement,
    sea_query::{Expr, IntoColumnRef},
};
use uuid::Uuid;

use super::{
    task_entity::task_row,
    task_rows::{RowColumn, RowEntity},
};

/// By what figures are told apart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Group {
    All,
    Person,
    Team,
    Grade,
    Plan,
}

/// Which tasks are counted.
#[derive(Clone, Debug)]
pub struct Wish {
    pub from: Timestamp,
    pub until: Timestamp,
    pub group: Group,
    pub assignee: Option<SubjectId>,
    pub plan: Option<PlanId>,
}

/// Groups of one answer at the most.
pub const GROUPS_MAX: u64 = 10_000;

/// What customers said to the tasks of one group, in numbers.
#[derive(Clone, Copy, Default)]
pub struct Answers {
    pub success: i64,
    pub given: i64,
    pub satisfaction: i64,
}

impl Maskable for Answers {
    type Masked = ();

    /// Any part of a sum would narrow it down.
    fn masked(&self) {}
}

/// Figures of one group.
#[derive(Debug)]
pub struct Figures {
    pub id: Option<Uuid>,
    pub name: Option<String>,
    pub due: i64,
    pub on_time: i64,
    pub late: i64,
    pub overdue: i64,
    pub done: i64,
    pub asked: i64,
    pub answers: Veiled<Answers>,
}

/// What policy looks at on a figure: whose task it is and of which department. Stage and grade are no attributes of it.
fn columns() -> Columns {
    let mut columns = Columns::new(
        (task_row::Entity, RowColumn::TenantId).into_column_ref(),
        (task_row::Entity, RowColumn::TaskId).into_column_ref(),
    );
    columns.owner = Some((task_row::Entity, RowColumn::RowOwnerId).into_column_ref());
    columns.department = Some((task_row::Entity, RowColumn::RowDepartmentId).into_column_ref());
    columns
}

/// Of which answers the figures tell, and the layer that their sum is of: what customers said is of the history layer, with
/// what is sensitive of it of the review layer. For who does not read review a task with such an answer is done, and no more.
fn answered(scope: &Scope) -> (&'static str, Layer) {
    match (scope.reads(Layer::History), scope.reads(Layer::Review)) {
        (true, true) => ("TRUE", Layer::Review),
        (true, false) | (false, _) => (NOT_SENSITIVE, Layer::History),
    }
}

const NOT_SENSITIVE: &str = "NOT EXISTS (SELECT 1 FROM outcome o WHERE o.tenant_id = task_row.tenant_id \
                             AND o.task_id = task_row.task_id AND o.sensitive)";

/// Counts tasks in the scope. All clauses are one condition here: a sum has no page to stop at.
pub async fn count(tx: &Tx, scope: &Scope, wish: &Wish, now: Timestamp) -> Result<Vec<Figures>, Failure> {
    let now = now.micros();
    let sum = |condition: String| format!("COALESCE(SUM(CASE WHEN {condition} THEN 1 ELSE 0 END), 0)");
    let due = format!("due_at <= {now} AND state <> 'cancelled'");
    let (answered, layer) = answered(scope);
    let told = format!("state = 'done' AND {answered}");
    let counted = [
        sum(due.clone()),
        sum(format!("{due} AND state = 'done' AND done_at <= due_at")),
        sum(format!("{due} AND state = 'done' AND done_at > due_at")),
        sum(format!("{due} AND state <> 'done'")),
        sum("state = 'done'".to_owned()),
        sum("state = 'done' AND asks_satisfaction".to_owned()),
        sum(format!("{told} AND success")),
        sum(format!("{told} AND satisfaction IS NOT NULL")),
        format!("COALESCE(SUM(CASE WHEN {told} THEN satisfaction ELSE 0 END), 0)"),
    ];
    let mut find = RowEntity::find()
        .select_only()
        .filter(scope.condition(&columns()))
        .filter(RowColumn::DueAt.gte(wish.from.micros()))
        .filter(RowColumn::DueAt.lt(wish.until.micros()))
        .filter(
            Condition::all()
                .add_option(wish.assignee.map(|assignee| RowColumn::RowOwnerId.eq(assignee.uuid())))
                .add_option(wish.plan.map(|plan| RowColumn::PlanId.eq(plan.uuid()))),
        );
    for (name, text) in NUMBERS.into_iter().zip(counted) {
        find = find.expr_as(Expr::cust(text), name);
    }
    find = match wish.group {
        Group::All => find,
        Group::Person => find.column_as(RowColumn::AssigneeId, "id").group_by(RowColumn::AssigneeId),
        Group::Team => find.column_as(RowColumn::DepartmentId, "id").group_by(RowColumn::DepartmentId),
        Group::Plan => find.column_as(RowColumn::PlanId, "id").group_by(RowColumn::PlanId),
        Group::Grade => find.column_as(RowColumn::Grade, "name").group_by(RowColumn::Grade),
    };
    find = match wish.group {
        Group::All => find,
        Group::Person | Group::Team | Group::Plan => find.order_by_asc(Expr::cust("id")),
        Group::Grade => find.order_by_asc(Expr::cust("name")),
    };
    let rows = find.limit(GROUPS_MAX).into_model::<Row>().all(&**tx).await.map_err(fault)?;
    Ok(rows.into_iter().map(|row| row.veiled(layer)).collect())
}

/// Figures as either shape of group answers them: a column that the query does not have reads as none.
struct Row {
    id: Option<Uuid>,
    name: Option<String>,
    numbers: [i64; NUMBERS.len()],
}

/// The counts and sums of a row, in the order of the query.
const NUMBERS: [&str; 9] = ["due", "on_time", "late", "overdue", "done", "asked", "success", "given", "satisfaction"];

impl Row {
    fn veiled(self, layer: Layer) -> Figures {
        let [due, on_time, late, overdue, done, asked, success, given, satisfaction] = self.numbers;
        let answers = Veiled::new(layer, Answers { success, given, satisfaction });
        Figures { id: self.id, name: self.name, due, on_time, late, overdue, done, asked, answers }
    }
}

impl FromQueryResult for Row {
    fn from_query_result(row: &sea_orm::QueryResult, prefix: &str) -> Result<Self, sea_orm::DbErr> {
        let mut numbers = [0; NUMBERS.len()];
        for (number, name) in numbers.iter_mut().zip(NUMBERS) {
            *number = row.try_get(prefix, name)?;
        }
        let (id, name) = (row.try_get(prefix, "id").unwrap_or(None), row.try_get(prefix, "name").unwrap_or(None));
        Ok(Self { id, name, numbers })
    }
}

/// One customer to whom somebody or something is missing.
#[derive(Clone, Debug)]
pub struct Gap {
    pub customer: CustomerId,
    pub lacks_owner: bool,
    pub lacks_task: bool,
}

/// What the continuity of a tenant looks like.
#[derive(Clone, Debug, Default)]
pub struct Continuity {
    pub customers: i64,
    pub ownerless: i64,
    pub taskless: i64,
    pub orphan_tasks: i64,
    pub gaps: Vec<Gap>,
}

/// Looks at every active customer of some grades, and at every open task.
pub async fn continuity(tx: &Tx, tenant: TenantId, grades: &[String], gaps_max: u32) -> Result<Continuity, Failure> {
    let backend = tx.get_database_backend();
    let marks: Vec<String> = (2..grades.len() + 2).map(|n| format!("${n}")).collect();
    let active =
        "EXISTS (SELECT 1 FROM person p WHERE p.tenant_id = c.tenant_id AND p.user_id = c.owner_id AND p.active)";
    let live = "EXISTS (SELECT 1 FROM task t WHERE t.tenant_id = c.tenant_id AND t.customer_id = c.customer_id \
                AND t.state IN ('scheduled', 'open'))";
    let rows = format!(
        "SELECT c.customer_id, c.owner_id IS NULL OR NOT {active} AS lacks_owner, NOT {live} AS lacks_task \
         FROM customer c WHERE c.tenant_id = $1 AND NOT c.deleted AND NOT c.pooled AND c.grade IN ({})",
        marks.join(", ")
    );
    let values = || {
        let grades = grades.iter().map(|grade| sea_orm::Value::from(grade.clone()));
        std::iter::once(sea_orm::Value::from(tenant.uuid())).chain(grades).collect::<Vec<_>>()
    };
    let total = format!(
        "SELECT COUNT(*) AS customers, COALESCE(SUM(CASE WHEN lacks_owner THEN 1 ELSE 0 END), 0) AS ownerless, \
         COALESCE(SUM(CASE WHEN lacks_task THEN 1 ELSE 0 END), 0) AS taskless FROM ({rows}) AS r"
    );
    let total = tx.query_one_raw(Statement::from_sql_and_values(backend, total, values())).await.map_err(fault)?;
    let listed =
        format!("SELECT * FROM ({rows}) AS r WHERE lacks_owner OR lacks_task ORDER BY customer_id LIMIT {gaps_max}");
    let listed = tx.query_all_raw(Statement::from_sql_and_values(backend, listed, values())).await.map_err(fault)?;
    let orphans = "SELECT COUNT(*) AS n FROM task t WHERE t.tenant_id = $1 AND t.state = 'open' AND NOT EXISTS \
                   (SELECT 1 FROM person p WHERE p.tenant_id = t.tenant_id AND p.user_id = t.assignee_id AND p.active)";
    let one = [sea_orm::Value::from(tenant.uuid())];
    let orphans = tx.query_one_raw(Statement::from_sql_and_values(backend, orphans, one)).await.map_err(fault)?;
    let mut found = Continuity::default();
    if let Some(row) = total {
        found.customers = row.try_get("", "customers").map_err(fault)?;
        found.ownerless = row.try_get("", "ownerless").map_err(fault)?;
        found.taskless = row.try_get("", "taskless").map_err(fault)?;
    }
    if let Some(row) = orphans {
        found.orphan_tasks = row.try_get("", "n").map_err(fault)?;
    }
    for row in &listed {
        found.gaps.push(Gap {
            customer: Id::from_uuid(row.try_get("", "customer_id").map_err(fault)?),
            lacks_owner: row.try_get("", "lacks_owner").map_err(fault)?,
            lacks_task: row.try_get("", "lacks_task").map_err(fault)?,
        });
    }
    Ok(found)
}
