//! The facts of one tenant as identity stores them and as replicas load them: a log of [`Change`]s.
//!
//! Rule-bearing types refuse fields that they do not know. A replica that is older than a rule must not read it
//! without the part that narrows it; it fails to load, and answers nothing once its lease ends.

use crate::{
    external::ExternalType,
    level::Levels,
    registry::Module,
    row::Name,
    rule::{Grant, Guard, Template},
};
use revisit_core::{
    Timestamp,
    id::{DepartmentId, GrantId, GuardId, PositionId, RoleId, SessionId, SubjectId, TeamId},
};
use serde::{Deserialize, Serialize};

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
    /// A registered type of rows as it is now.
    ExternalType(ExternalType),
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
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
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
    /// A registered type of rows.
    ExternalType(Name),
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
    /// ISO 3166-1 code of the country whose phone numbers are written without a country code; the product's default when
    /// there is none. No policy looks at it: it stands here because every service holds these facts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
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
    /// The department that it was merged into and hangs under. From then on it is another name of that one: rows keep
    /// it, and every rule that names one of the two means both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_into: Option<DepartmentId>,
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
