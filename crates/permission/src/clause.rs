//! Grants as clauses: which rows one right of one account reaches, in which stages, for which grades, and when.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, TeamId},
};
use uuid::Uuid;

use crate::{
    decision::GrantRef,
    level::Levels,
    org::Org,
    row::{NameSet, Row},
};

/// The reach of a clause: an extent whose relative places are resolved.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reach {
    /// Rows that the subject owns.
    Own,
    /// Rows on which the subject holds an open task.
    Task,
    /// Rows of one department, the pool excepted.
    Department(DepartmentId),
    /// Rows of a department and of all below it, the pool excepted.
    Subtree(DepartmentId),
    /// Rows that a team shares.
    Team(TeamId),
    /// Named rows, in order.
    Ids(Arc<[Uuid]>),
    /// Every row.
    Tenant,
    /// Unowned rows in the pool of one department.
    Pooled(DepartmentId),
    /// Unowned rows in the pools of a department and of all below it.
    PooledSubtree(DepartmentId),
}

impl Reach {
    /// Whether every row within `other` is also within this reach, for the same subject.
    pub(crate) fn includes(&self, other: &Self, org: &Org) -> bool {
        match (self, other) {
            (Self::Tenant, _) => true,
            (Self::Subtree(top), Self::Subtree(at) | Self::Department(at))
            | (Self::PooledSubtree(top), Self::PooledSubtree(at) | Self::Pooled(at)) => org.within(*at, *top),
            (Self::Ids(mine), Self::Ids(its)) => its.iter().all(|id| mine.binary_search(id).is_ok()),
            (
                Self::Own
                | Self::Task
                | Self::Department(_)
                | Self::Subtree(_)
                | Self::Team(_)
                | Self::Ids(_)
                | Self::Pooled(_)
                | Self::PooledSubtree(_),
                _,
            ) => self == other,
        }
    }
}

/// One grant, seen from one subject and one action.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Clause {
    /// Which grant.
    pub grant: GrantRef,
    /// Which rows.
    pub reach: Reach,
    /// In which stages; all when none is named.
    pub stages: Option<NameSet>,
    /// For which grades; all when none is named.
    pub grades: Option<NameSet>,
    /// How much of each layer.
    pub levels: Levels,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
}

impl Clause {
    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }

    pub(crate) fn fits_stage(&self, row: &Row) -> bool {
        self.stages.as_ref().is_none_or(|stages| stages.contains(row.stage.as_ref()))
    }

    pub(crate) fn fits_grade(&self, row: &Row) -> bool {
        self.grades.as_ref().is_none_or(|grades| grades.contains(row.grade.as_ref()))
    }

    /// Whether every row that `other` reaches is reached here too, whatever the levels.
    pub(crate) fn lists(&self, other: &Self, org: &Org) -> bool {
        let wider = |mine: &Option<NameSet>, its: &Option<NameSet>| match (mine, its) {
            (None, _) => true,
            (Some(mine), Some(its)) => its.within(mine),
            (Some(_), None) => false,
        };
        self.reach.includes(&other.reach, org)
            && wider(&self.stages, &other.stages)
            && wider(&self.grades, &other.grades)
    }

    /// The department whose subtree it reaches.
    pub(crate) const fn top(&self) -> Option<DepartmentId> {
        match self.reach {
            Reach::Subtree(top) | Reach::PooledSubtree(top) => Some(top),
            Reach::Own
            | Reach::Task
            | Reach::Department(_)
            | Reach::Team(_)
            | Reach::Ids(_)
            | Reach::Tenant
            | Reach::Pooled(_) => None,
        }
    }
}
