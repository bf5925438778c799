//! The translation of a predicate into conditions of the query builder: one per clause, for one keyset query each.

use revisit_core::Timestamp;
use sea_query::{ColumnRef, Condition, TableRef};

use crate::{level::Layer, permit::Scope, predicate::Predicate};

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
    /// The teams that share it.
    pub teams: Option<SideTable>,
    /// The open tasks on it.
    pub holders: Option<HolderTable>,
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
    /// One condition for each clause that holds at `now`, guards and tenant included: each is one keyset query, and
    /// their union is the list. None when nothing is in reach.
    #[must_use]
    pub fn conditions(&self, columns: &Columns, now: Timestamp) -> Vec<Condition> {
        let _ = (columns, now);
        Vec::new()
    }
}

impl Scope {
    /// See [`Predicate::conditions`].
    #[must_use]
    pub fn conditions(&self, columns: &Columns) -> Vec<Condition> {
        self.predicate().conditions(columns, self.now())
    }

    /// All of them in one, for a row by its id, for a count or for a batch of ids; never for a sorted page.
    #[must_use]
    pub fn condition(&self, columns: &Columns) -> Condition {
        self.conditions(columns).into_iter().fold(Condition::any(), Condition::add)
    }

    /// Where the layer's values may be looked at: an atom of a caller's filter over another row is unknown.
    #[must_use]
    pub fn readable(&self, layer: Layer, columns: &Columns) -> Condition {
        let _ = (layer, columns);
        Condition::any()
    }
}
