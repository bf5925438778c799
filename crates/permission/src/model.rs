//! The facts of one tenant as identity stores them and as replicas load them: a log of [`Change`]s.
//!
//! Rule-bearing types refuse fields that they do not know. A replica that is older than a rule must not read it
//! without the part that narrows it; it fails to load, and answers nothing once its lease ends.

use std::sync::Arc;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GrantId, GuardId, PositionId, RoleId, SessionId, SubjectId, TeamId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::{
    level::Levels,
    registry::{ActionSet, Module},
    row::NameSet,
};

/// One step of a tenant's permission log. Applying the same one twice changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Change {
    /// The company's own settings.
    Tenant(Tenant),
    /// A department as it is now.
    Department(Department),
    /// A user or service account as it is now.
    Subject(Subject),
    /// A position as it is now.
    Position(Position),
    /// A role as it is now.
    Role(Role),
    /// A role of one subject beside those of its positions, or a role of its positions that it does not get.
    RoleAssignment(RoleAssignment),
    /// A team as it is now.
    Team(Team),
    /// A grant. A removed id never comes back.
    Grant(Grant),
    /// A guard.
    Guard(Guard),
    /// A session has ended. It stays ended whatever is applied afterwards.
    SessionRevoked {
        /// The session.
        session: SessionId,
        /// When its last token has expired, so that the entry may be forgotten.
        until: Timestamp,
    },
    /// Something is gone.
    Removed(Removed),
}

/// What is gone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removed {
    /// A department.
    Department(DepartmentId),
    /// A subject. One that leaves is kept with the state `left`; this is for invitations that were never taken.
    Subject(SubjectId),
    /// A position.
    Position(PositionId),
    /// A role.
    Role(RoleId),
    /// An assignment.
    RoleAssignment {
        /// Whose.
        subject: SubjectId,
        /// Which role.
        role: RoleId,
    },
    /// A team.
    Team(TeamId),
    /// A grant.
    Grant {
        /// Whose.
        holder: SubjectId,
        /// Which.
        id: GrantId,
    },
    /// A guard.
    Guard(GuardId),
}

/// The company's own settings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tenant {
    /// The last in every line of managers.
    pub administrator: Option<SubjectId>,
    /// Modules that are switched off for everybody.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_off: Vec<Module>,
}

/// A node of the tree.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Department {
    /// Its id.
    pub id: DepartmentId,
    /// The department above; none for the root.
    pub parent: Option<DepartmentId>,
    /// Name that people see.
    pub name: String,
    /// Who heads it.
    pub head: Option<SubjectId>,
    /// Closed to new members and rows. Decisions about rows that it has do not change.
    #[serde(default)]
    pub disabled: bool,
    /// Modules that are switched off for its members and for those below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub modules_off: Vec<Module>,
}

/// What a subject is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectKind {
    /// A person (子账号).
    User,
    /// A program.
    ServiceAccount,
}

/// Where a subject stands. Only an active one may do anything.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubjectState {
    /// Asked to join, has not set a password yet.
    Invited,
    /// May act.
    Active,
    /// May not act for now.
    Suspended,
    /// Has left the company for good.
    Left,
}

/// A user or service account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// Its id.
    pub id: SubjectId,
    /// What it is.
    pub kind: SubjectKind,
    /// Where it stands.
    pub state: SubjectState,
    /// Name that people see.
    pub name: String,
    /// The primary department.
    pub department: Option<DepartmentId>,
    /// Further departments.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub further: Vec<DepartmentId>,
    /// Positions held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub positions: Vec<PositionId>,
    /// The manager, when it is not the head of the department.
    pub manager: Option<SubjectId>,
    /// The account of which this one is a sub-account; it never may do more than that one.
    #[serde(default)]
    pub parent: Option<SubjectId>,
}

impl Subject {
    /// A user without a place.
    #[must_use]
    pub fn user(id: SubjectId, name: impl Into<String>, state: SubjectState) -> Self {
        Self {
            id,
            kind: SubjectKind::User,
            state,
            name: name.into(),
            department: None,
            further: Vec::new(),
            positions: Vec::new(),
            manager: None,
            parent: None,
        }
    }

    /// All its departments, the primary one first.
    pub fn departments(&self) -> impl Iterator<Item = DepartmentId> {
        self.department.into_iter().chain(self.further.iter().copied())
    }
}

/// A named job (岗位) with a set of roles. It holds in the department where it is declared and in all below it, also
/// in one that is added later.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
    /// Its id.
    pub id: PositionId,
    /// Where it is declared.
    pub department: DepartmentId,
    /// Name that people see.
    pub name: String,
    /// What its holders get.
    pub roles: Vec<RoleId>,
}

/// A named list of grant templates.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Role {
    /// Its id.
    pub id: RoleId,
    /// Key, unique in the company.
    pub key: String,
    /// Name that people see.
    pub name: String,
    /// From which shipped role it was made.
    #[serde(default)]
    pub shipped: Option<Shipped>,
    /// What it is made of.
    pub templates: Vec<Template>,
}

/// Key and version of a shipped role.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Shipped {
    /// Key in the catalogue.
    pub key: String,
    /// Version of the catalogue's entry.
    pub version: u32,
}

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
    /// How much of each layer.
    pub levels: Levels,
}

/// Whether an assignment gives or takes away.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Assigned {
    /// Given beside the positions' roles.
    Added {
        /// From when.
        from: Timestamp,
        /// Until when; [`Timestamp::MAX`] for without end.
        until: Timestamp,
    },
    /// The positions' role is not given.
    Withheld,
}

/// An override of a subject's roles; at most one per subject and role.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoleAssignment {
    /// Whose.
    pub subject: SubjectId,
    /// Which role.
    pub role: RoleId,
    /// Given or taken away.
    pub assigned: Assigned,
}

/// A temporary collaboration group with its own end.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Team {
    /// Its id.
    pub id: TeamId,
    /// Name that people see.
    pub name: String,
    /// Who works in it.
    pub members: Vec<SubjectId>,
    /// The most that a grant through the team gives.
    pub cap: Levels,
    /// From when it works.
    pub from: Timestamp,
    /// When it ends, and with it every grant through it.
    pub until: Timestamp,
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
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
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
    /// How much of each layer.
    pub levels: Levels,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included; [`Timestamp::MAX`] for without end.
    pub until: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
}

impl Grant {
    /// The grant that gives `holder` what a template says.
    #[must_use]
    pub fn of(id: GrantId, holder: SubjectId, right: Template, window: (Timestamp, Timestamp), origin: Origin) -> Self {
        let Template { actions, extent, stages, grades, levels } = right;
        Self { id, holder, actions, extent, stages, grades, levels, from: window.0, until: window.1, origin }
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
