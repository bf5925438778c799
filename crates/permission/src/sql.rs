//! The translation of a predicate into conditions of the query builder: one per clause, for one keyset query each.
//!
//! Every part is true or false and never null, so that NOT means what it means in memory. What the columns cannot say
//! is false. Lists of ids are bound one by one: a database takes about 30,000 of them, which bounds the departments
//! under one head and the people under one manager.

use revisit_core::{
    Timestamp,
    id::{DepartmentId, SubjectId},
};
use sea_query::{ColumnRef, Condition, Expr, ExprTrait, Query, TableRef};
use uuid::Uuid;

use crate::{
    account::Account,
    clause::{Clause, Reach},
    level::Layer,
    permit::Scope,
    policy::{Bar, Policy},
    predicate::Predicate,
    row::NameSet,
    rule::Effect,
};

/// Where a store keeps the attributes of a type of rows. An attribute without a column is one that all rows lack.
#[derive(Clone, Debug)]
pub struct Columns {
    /// The company.
    pub tenant: ColumnRef,
    /// The row's id.
    pub id: ColumnRef,
    /// The owner.
    pub owner: Option<ColumnRef>,
    /// The department of record.
    pub department: Option<ColumnRef>,
    /// The stage.
    pub stage: Option<ColumnRef>,
    /// The grade.
    pub grade: Option<ColumnRef>,
    /// Whether it is a VIP; never null.
    pub vip: Option<ColumnRef>,
    /// Whether it lies in the pool; never null.
    pub pooled: Option<ColumnRef>,
    /// The revision under which the row was written; never null.
    pub auth_rev: Option<ColumnRef>,
    /// The teams that share it.
    pub teams: Option<SideTable>,
    /// The open tasks on it.
    pub holders: Option<HolderTable>,
    /// Its registered type, in a table of rows of other systems; never null.
    pub external: Option<ColumnRef>,
}

impl Columns {
    /// Columns of a type of rows that has none of the attributes: only grants over the tenant and on ids reach it.
    #[must_use]
    pub fn new(tenant: impl Into<ColumnRef>, id: impl Into<ColumnRef>) -> Self {
        Self {
            tenant: tenant.into(),
            id: id.into(),
            owner: None,
            department: None,
            stage: None,
            grade: None,
            vip: None,
            pooled: None,
            auth_rev: None,
            teams: None,
            holders: None,
            external: None,
        }
    }
}

/// A table with one row per row and value.
#[derive(Clone, Debug)]
pub struct SideTable {
    /// The table.
    pub table: TableRef,
    /// Its company column.
    pub tenant: ColumnRef,
    /// Its column with the id of the row.
    pub row: ColumnRef,
    /// Its column with the value.
    pub value: ColumnRef,
    /// Its column with the registered type, where rows of several types lie in one table: their ids may be equal.
    pub external: Option<ColumnRef>,
}

/// The table of task holders.
#[derive(Clone, Debug)]
pub struct HolderTable {
    /// Rows and subjects; the subject is null once the task is closed.
    pub table: SideTable,
    /// When it ends, in microseconds.
    pub until: ColumnRef,
}

impl Predicate {
    /// One condition for each clause that holds at `now`, with the tenant and the guards: each is one keyset query, and
    /// their union is the list. A clause whose rows another one lists is left out. Empty when nothing is in reach.
    #[must_use]
    pub fn conditions(&self, columns: &Columns, now: Timestamp) -> Vec<Condition> {
        let translation = Translation { predicate: self, policy: &self.policy, columns, now };
        translation.clauses_with(&|_| true, &|bar| bar.effect == Effect::Deny)
    }
}

impl Scope {
    /// See [`Predicate::conditions`].
    #[must_use]
    pub fn conditions(&self, columns: &Columns) -> Vec<Condition> {
        self.predicate().conditions(columns, self.now())
    }

    /// All of them in one: for a row by its id, a count, a batch of ids; never for a sorted page.
    #[must_use]
    pub fn condition(&self, columns: &Columns) -> Condition {
        any(self.conditions(columns))
    }

    /// The rows of the scope whose values of a layer the caller may read; nothing when there can be none. In a caller's
    /// filter an atom over such a layer is unknown on the others. Which layers a task lends stands in its row: one with
    /// a task that might lend this one is among these, and whoever reads it decides again.
    #[must_use]
    pub fn readable(&self, layer: Layer, columns: &Columns) -> Option<Condition> {
        let reads = |clause: &Clause| clause.levels.reads(layer);
        let hides = |bar: &Bar| match bar.effect {
            Effect::Deny => true,
            Effect::Cap(ceiling) => !ceiling.reads(layer),
        };
        let predicate = self.predicate();
        let translation = Translation { predicate, policy: &predicate.policy, columns, now: self.now() };
        let clauses = translation.clauses_with(&reads, &hides);
        (!clauses.is_empty()).then(|| any(clauses))
    }
}

#[derive(Clone, Copy)]
struct Translation<'a> {
    /// What is asked.
    predicate: &'a Predicate,
    /// What the subject may do, or whoever delegated to it.
    policy: &'a Policy,
    columns: &'a Columns,
    now: Timestamp,
}

/// Which clauses count, and which guards take a row away.
type Counts<'a> = &'a dyn Fn(&Clause) -> bool;
type Bars<'a> = &'a dyn Fn(&Bar) -> bool;

impl<'a> Translation<'a> {
    fn clauses_with(&self, counts: Counts<'_>, bars: Bars<'_>) -> Vec<Condition> {
        let policy = self.policy;
        let mut shared = vec![all([equal(&self.columns.tenant, policy.base.tenant.uuid())])];
        shared.extend(
            self.columns.auth_rev.as_ref().map(|column| Expr::col(column.clone()).lte(policy.base.revision).into()),
        );
        shared.extend(self.columns.external.as_ref().map(|column| self.of_type(column).into()));
        shared.extend(self.above_and_bars(counts, bars));
        let clauses = self.account(&policy.own, counts, bars);
        clauses.into_iter().map(|clause| shared.iter().cloned().fold(clause, Condition::add)).collect()
    }

    /// What every clause of a policy is narrowed by: each account above must allow, and no guard may stand against it.
    fn above_and_bars(&self, counts: Counts<'_>, bars: Bars<'_>) -> Vec<Condition> {
        let policy = self.policy;
        let above = policy.above.iter().map(|account| any(self.account(account, counts, bars)));
        let open = policy.bars_on(self.predicate.bit()).filter(|bar| bar.holds(self.now) && bars(bar));
        above.chain(open.map(|bar| self.covered(bar).not())).collect()
    }

    /// The clauses of one account that hold and are not listed by another one anyway.
    fn account(&self, account: &Account, counts: Counts<'_>, bars: Bars<'_>) -> Vec<Condition> {
        let about = account.about(self.predicate.bit());
        let open: Vec<(usize, &Clause)> =
            about.filter(|(_, clause)| clause.holds(self.now) && counts(clause)).collect();
        let org = self.policy.org();
        // Of two that list the same rows the first stays. What was delegated lists less than it says.
        let listed = |at: usize, clause: &Clause| {
            open.iter().enumerate().any(|(other, (place, wider))| {
                other != at
                    && account.giver(*place).is_none()
                    && wider.lists(clause, org)
                    && (other < at || account.giver(open[at].0).is_some() || !clause.lists(wider, org))
            })
        };
        let kept = open.iter().enumerate().filter(|(at, (_, clause))| !listed(*at, clause));
        kept.map(|(_, (place, clause))| {
            let condition = self.clause(account, clause);
            condition.add_option(account.giver(*place).map(|giver| self.given(giver, counts, bars)))
        })
        .collect()
    }

    /// The rows on which a giver's own right stands.
    fn given(&self, giver: &'a Policy, counts: Counts<'_>, bars: Bars<'_>) -> Condition {
        let giver = Self { policy: giver, ..*self };
        let own = any(giver.account(&giver.policy.own, counts, bars));
        giver.above_and_bars(counts, bars).into_iter().fold(all([]).add(own), Condition::add)
    }

    fn clause(&self, account: &Account, clause: &Clause) -> Condition {
        let columns = self.columns;
        let condition = match &clause.reach {
            Reach::Own => all([self.one_of(columns.owner.as_ref(), account.who.iter().map(|id| id.uuid()))]),
            Reach::Task => all([self.holds_task(&account.who)]),
            Reach::Department(at) => self.placed(&[*at]).add(self.in_pool().not()),
            Reach::Subtree(top) => self.placed(&self.below(*top)).add(self.in_pool().not()),
            Reach::Pooled(at) => self.placed(&[*at]).add(self.in_pool()),
            Reach::PooledSubtree(top) => self.placed(&self.below(*top)).add(self.in_pool()),
            Reach::Team(team) => all([self.shared_by(team.uuid())]),
            Reach::Ids(ids) => all([self.one_of(Some(&columns.id), ids.iter().copied())]),
            Reach::Tenant => Condition::all(),
        };
        condition
            .add_option(clause.limits().stages.as_ref().map(|names| self.named(columns.stage.as_ref(), names)))
            .add_option(clause.limits().grades.as_ref().map(|names| self.named(columns.grade.as_ref(), names)))
    }

    fn below(&self, top: DepartmentId) -> Vec<DepartmentId> {
        self.policy.org().subtree(top).collect()
    }

    fn placed(&self, departments: &[DepartmentId]) -> Condition {
        all([self.one_of(self.columns.department.as_ref(), departments.iter().map(|id| id.uuid()))])
    }

    /// Unowned and in the pool.
    fn in_pool(&self) -> Condition {
        let pooled = self.flag(self.columns.pooled.as_ref());
        all([pooled]).add_option(self.columns.owner.as_ref().map(|owner| Expr::col(owner.clone()).is_null()))
    }

    fn holds_task(&self, who: &[SubjectId]) -> Expr {
        let Some(holders) = &self.columns.holders else { return self.never() };
        let mut subquery = self.side(&holders.table);
        subquery
            .and_where(Expr::col(holders.table.value.clone()).is_in(who.iter().map(|id| id.uuid())))
            .and_where(Expr::col(holders.until.clone()).gt(self.now.micros()));
        Expr::col(self.columns.id.clone()).in_subquery(subquery)
    }

    fn shared_by(&self, team: Uuid) -> Expr {
        let Some(teams) = &self.columns.teams else { return self.never() };
        let mut subquery = self.side(teams);
        subquery.and_where(equal(&teams.value, team));
        Expr::col(self.columns.id.clone()).in_subquery(subquery)
    }

    /// The ids of rows that a side table names; the caller narrows it.
    fn side(&self, side: &SideTable) -> sea_query::SelectStatement {
        let mut subquery = Query::select();
        subquery
            .column(side.row.clone())
            .from(side.table.clone())
            .and_where(equal(&side.tenant, self.policy.base.tenant.uuid()))
            .and_where_option(side.external.as_ref().map(|column| self.of_type(column)));
        subquery
    }

    /// Of the registered type that is asked about.
    fn of_type(&self, column: &ColumnRef) -> Expr {
        match self.predicate.external() {
            Some(name) => Expr::col(column.clone()).eq(name.as_str()),
            None => self.never(),
        }
    }

    /// Whether a guard covers the row. What may be null is asked for first, so that the whole is never null.
    fn covered(&self, bar: &Bar) -> Condition {
        let columns = self.columns;
        Condition::all()
            .add(self.excepted(bar).not())
            .add_option(bar.vip.then(|| self.flag(columns.vip.as_ref())))
            .add_option(bar.pooled.then(|| self.flag(columns.pooled.as_ref())))
            .add_option(bar.stages.as_ref().map(|names| self.named(columns.stage.as_ref(), names)))
            .add_option(bar.grades.as_ref().map(|names| self.named(columns.grade.as_ref(), names)))
            .add_option(bar.department.map(|top| self.placed(&self.below(top))))
            .add_option(bar.ids.as_ref().map(|ids| self.one_of(Some(&columns.id), ids.iter().copied())))
    }

    fn excepted(&self, bar: &Bar) -> Condition {
        let subject = self.policy.subject;
        let own = bar.except_owner.then_some(subject);
        let led = bar.except_led.iter().flat_map(|lines| lines.led_by(subject));
        all([self.one_of(self.columns.owner.as_ref(), own.into_iter().chain(led).map(|id| id.uuid()))])
    }

    fn flag(&self, column: Option<&ColumnRef>) -> Expr {
        column.map_or_else(|| self.never(), |column| Expr::col(column.clone()).eq(true))
    }

    fn named(&self, column: Option<&ColumnRef>, names: &NameSet) -> Condition {
        let Some(column) = column else { return all([self.never()]) };
        let names = names.iter().map(|name| name.as_str().to_owned());
        all([Expr::col(column.clone()).is_not_null(), Expr::col(column.clone()).is_in(names)])
    }

    fn one_of(&self, column: Option<&ColumnRef>, ids: impl Iterator<Item = Uuid>) -> Expr {
        let mut ids = ids.peekable();
        match column {
            Some(column) if ids.peek().is_some() => {
                let known = Expr::col(column.clone()).is_not_null();
                known.and(Expr::col(column.clone()).is_in(ids))
            }
            Some(_) | None => self.never(),
        }
    }

    /// An id is one of none.
    fn never(&self) -> Expr {
        Expr::col(self.columns.id.clone()).is_in(std::iter::empty::<Uuid>())
    }
}

fn equal(column: &ColumnRef, id: Uuid) -> Expr {
    Expr::col(column.clone()).eq(id)
}

fn all<const N: usize>(parts: [Expr; N]) -> Condition {
    parts.into_iter().fold(Condition::all(), Condition::add)
}

/// An OR of nothing would be no condition at all and let every row through: here it is one that no row meets.
fn any(parts: Vec<Condition>) -> Condition {
    if parts.is_empty() {
        return all([Expr::val(0).eq(1)]);
    }
    parts.into_iter().fold(Condition::any(), Condition::add)
}

#[cfg(test)]
mod tests;
