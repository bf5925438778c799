//! The rules themselves: what a grant or a template gives, and what a guard takes away.
//!
//! Like all that bears a rule, they refuse fields that they do not know; see [`crate::Change`].

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GrantId, GuardId, RoleId, SubjectId, TeamId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{action::ActionSet, level::Levels, row::NameSet};

/// A right without a holder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// What may be done: actions of one type.
    pub actions: ActionSet,
    /// To which rows.
    pub extent: Extent,
    /// In which stages; all when none is named, also for rows without a stage.
    #[serde(default)]
    pub stages: Option<NameSet>,
    /// For which grades; all when none is named, also for rows without a grade.
    #[serde(default)]
    pub grades: Option<NameSet>,
    /// On which registered types; all when none is named. Only for actions on rows of other systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<NameSet>,
    /// How much of each layer.
    pub levels: Levels,
}

/// The reach of a grant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Extent {
    /// Rows that the holder owns.
    Own,
    /// Rows that an open task lends to the holder, at most with the layers lent.
    Task,
    /// Rows of a department.
    Department(Place),
    /// Rows of a department and of all below it.
    Subtree(Place),
    /// Rows that a team shares, while the holder is a member.
    Team(TeamId),
    /// Named rows.
    Ids(Arc<[Uuid]>),
    /// Every row of the company.
    Tenant,
    /// Unowned rows in the pool of a department (`true`: and of all below it); the basic layer only.
    Pooled(Place, bool),
}

/// Which department.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// Each of the holder's own. For a role that comes from a position: those in which the position holds.
    Mine,
    /// This one.
    At(DepartmentId),
}

/// Where a grant that stands beside the roles comes from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// An administrator's grant.
    Direct,
    /// A colleague shared rows.
    Share,
    /// An approved request, with an end.
    Temporary,
    /// A team's.
    Team,
    /// On behalf of another subject; void unless that one is active.
    Delegation(SubjectId),
    /// In an emergency; always ends, always alarms.
    BreakGlass,
}

/// One right of one holder.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Its id; never used again.
    pub id: GrantId,
    /// Whose.
    pub holder: SubjectId,
    /// What may be done: actions of one type.
    pub actions: ActionSet,
    /// To which rows.
    pub extent: Extent,
    /// In which stages; see [`Template::stages`].
    #[serde(default)]
    pub stages: Option<NameSet>,
    /// For which grades; see [`Template::grades`].
    #[serde(default)]
    pub grades: Option<NameSet>,
    /// On which registered types; see [`Template::external`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<NameSet>,
    /// How much of each layer.
    pub levels: Levels,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included; [`Timestamp::MAX`] for without end.
    pub until: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
}

impl Origin {
    /// Who delegated what comes from here.
    #[must_use]
    pub const fn giver(&self) -> Option<SubjectId> {
        match self {
            Self::Delegation(giver) => Some(*giver),
            Self::Direct | Self::Share | Self::Temporary | Self::Team | Self::BreakGlass => None,
        }
    }
}

impl Grant {
    /// Who delegated it.
    #[must_use]
    pub const fn giver(&self) -> Option<SubjectId> {
        self.origin.giver()
    }

    /// The grant that gives `holder` what a template says.
    #[must_use]
    pub fn of(id: GrantId, holder: SubjectId, right: Template, window: (Timestamp, Timestamp), origin: Origin) -> Self {
        let Template { actions, extent, stages, grades, external, levels } = right;
        let (from, until) = window;
        Self { id, holder, actions, extent, stages, grades, external, levels, from, until, origin }
    }
}

/// Whom a guard binds.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Whom {
    /// Everybody, administrators too.
    Everyone,
    /// One subject.
    Subject(SubjectId),
    /// The holders of a role.
    Role(RoleId),
    /// The members of a department and of all below it.
    Department(DepartmentId),
}

/// Who is left out of a guard.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exceptions {
    /// The owner of the row.
    #[serde(default)]
    pub owner: bool,
    /// Everybody in the owner's line of managers.
    #[serde(default)]
    pub managers: bool,
    /// These.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subjects: Vec<SubjectId>,
}

/// Which rows a guard covers: everything that is set must hold. An attribute that the row lacks fails its test.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RowCondition {
    /// Only VIP rows.
    #[serde(default)]
    pub vip: bool,
    /// Only rows in the pool.
    #[serde(default)]
    pub pooled: bool,
    /// Only rows in one of these stages.
    #[serde(default)]
    pub stages: Option<NameSet>,
    /// Only rows of one of these grades.
    #[serde(default)]
    pub grades: Option<NameSet>,
    /// Only rows of this department and of all below it.
    #[serde(default)]
    pub department: Option<DepartmentId>,
    /// Only these rows.
    #[serde(default)]
    pub ids: Option<Arc<[Uuid]>>,
    /// Only rows of these registered types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external: Option<NameSet>,
}

/// What a guard does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Effect {
    /// The row is denied.
    Deny,
    /// No layer gets more than this. [`Levels::WRITE`] caps nothing.
    Cap(Levels),
}

/// A subtraction of rights.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Guard {
    /// Its id.
    pub id: GuardId,
    /// Whom it binds.
    pub whom: Whom,
    /// Who is left out.
    #[serde(default)]
    pub except: Exceptions,
    /// On which actions: of one type.
    pub actions: ActionSet,
    /// On which rows.
    #[serde(default)]
    pub condition: RowCondition,
    /// What it does.
    pub effect: Effect,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
    /// Why: shown in explanations.
    pub reason: String,
}
