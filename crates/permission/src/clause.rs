//! Grants as clauses: which rows one right of one account reaches, in which stages, for which grades, and when.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, TeamId},
};
use uuid::Uuid;

use crate::{
    decision::{Axis, GrantRef},
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
    /// Whether it depends on the department or the teams of a row.
    pub(crate) const fn is_placed(&self) -> bool {
        match self {
            Self::Department(_) | Self::Subtree(_) | Self::Team(_) | Self::Pooled(_) | Self::PooledSubtree(_) => true,
            Self::Own | Self::Task | Self::Ids(_) | Self::Tenant => false,
        }
    }

    /// Whether it is about a team that shares the row.
    pub(crate) fn is_of_team(&self, row: &Row) -> bool {
        matches!(self, Self::Team(team) if row.teams.contains(team))
    }

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
    /// How much of each layer.
    pub levels: Levels,
    /// Where and when it holds on these rows; most clauses hold everywhere and always.
    pub(crate) limits: Option<Arc<Limits>>,
}

/// What limits a clause beside its reach.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// In which stages; all when none is named.
    pub stages: Option<NameSet>,
    /// For which grades; all when none is named.
    pub grades: Option<NameSet>,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
}

impl Clause {
    pub(crate) fn new(grant: GrantRef, reach: Reach, levels: Levels, limits: Limits) -> Self {
        Self { grant, reach, levels, limits: (limits != Limits::NONE).then(|| Arc::new(limits)) }
    }

    /// What limits it.
    #[must_use]
    pub fn limits(&self) -> &Limits {
        self.limits.as_deref().unwrap_or(&Limits::NONE)
    }

    /// From when and until when.
    pub(crate) fn window(&self) -> (Timestamp, Timestamp) {
        let Limits { from, until, .. } = self.limits();
        (*from, *until)
    }

    /// Whether it holds at `now`.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        let (from, until) = self.window();
        from <= now && now < until
    }

    /// Whether every row that `other` reaches is reached here too, whatever the levels.
    pub(crate) fn lists(&self, other: &Self, org: &Org) -> bool {
        self.reach.includes(&other.reach, org) && self.limits().hold_where(other.limits())
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

impl Limits {
    const NONE: Self = Self { stages: None, grades: None, from: Timestamp::MIN, until: Timestamp::MAX };

    /// Whether they hold for the row's stage and grade, whatever the time; else the axis on which they do not.
    pub(crate) fn pass(&self, row: &Row) -> Result<(), Axis> {
        let fits = |names: &Option<NameSet>, name| names.as_ref().is_none_or(|names| names.contains(name));
        if !fits(&self.stages, row.stage.as_ref()) {
            return Err(Axis::Stage);
        }
        if fits(&self.grades, row.grade.as_ref()) { Ok(()) } else { Err(Axis::Grade) }
    }

    /// Whether they hold in every stage and for every grade where `other` do.
    pub(crate) fn hold_where(&self, other: &Self) -> bool {
        let wider = |mine: &Option<NameSet>, its: &Option<NameSet>| match (mine, its) {
            (None, _) => true,
            (Some(mine), Some(its)) => its.within(mine),
            (Some(_), None) => false,
        };
        wider(&self.stages, &other.stages) && wider(&self.grades, &other.grades)
    }
}
