//! Which changes identity may write: pure rules, each refusal with a name of its own.

use revisit_core::{
    Timestamp,
    id::{DepartmentId, PositionId, RoleId, SubjectId, TeamId},
};

use crate::{
    facts::Facts,
    model::{Change, Grant, Template},
    registry::Action,
    role::Duty,
    snapshot::Snapshot,
};

/// Why a change may not be written.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A department would lie below itself.
    #[error("the department would lie below itself")]
    DepartmentCycle(DepartmentId),
    /// A second department without one above it.
    #[error("the company has a root department already")]
    SecondRoot(DepartmentId),
    /// Something still lies in, or names, the department.
    #[error("the department is in use")]
    DepartmentInUse(DepartmentId),
    /// The department takes no new members and departments.
    #[error("the department is disabled")]
    DepartmentDisabled(DepartmentId),
    /// A line of managers or of accounts would come back to its start.
    #[error("the subject would stand above itself")]
    SubjectCycle(SubjectId),
    /// There is no such department.
    #[error("there is no such department")]
    UnknownDepartment(DepartmentId),
    /// There is no such subject, or it has left.
    #[error("there is no such subject")]
    UnknownSubject(SubjectId),
    /// There is no such position.
    #[error("there is no such position")]
    UnknownPosition(PositionId),
    /// The position holds in none of the subject's departments.
    #[error("the position holds in none of the departments")]
    PositionElsewhere(PositionId),
    /// Somebody holds the position.
    #[error("the position is in use")]
    PositionInUse(PositionId),
    /// There is no such role.
    #[error("there is no such role")]
    UnknownRole(RoleId),
    /// A position or a subject has the role.
    #[error("the role is in use")]
    RoleInUse(RoleId),
    /// There is no such team.
    #[error("there is no such team")]
    UnknownTeam(TeamId),
    /// A window that never opens.
    #[error("the end is not after the start")]
    EndBeforeStart,
    /// A right without an action, or with every layer hidden.
    #[error("the right gives nothing")]
    GivesNothing,
    /// Actions of several types in one right.
    #[error("the actions belong to several types")]
    MixedTypes,
    /// The extent or a condition reads an attribute that rows of the type do not have, so it would never match.
    #[error("rows of this type have no such attribute")]
    NoSuchAttribute,
    /// A guard without an action or without a row that it could cover.
    #[error("the guard covers nothing")]
    GuardOnNothing,
    /// A guard that neither denies nor caps.
    #[error("the guard has no effect")]
    GuardWithoutEffect,
    /// An emergency grant, or one on request, without an end.
    #[error("the grant must have an end")]
    EndRequired,
    /// Somebody would hold two duties that exclude each other.
    #[error("the roles exclude each other")]
    RoleConflict(Duty, Duty),
    /// The grantor may not hand this out.
    #[error("the right is wider than the grantor's")]
    WiderThanGrantor(Action),
}

impl Facts {
    /// Whether a change may be written on top of these facts.
    pub fn validate(&self, change: &Change) -> Result<(), Refusal> {
        let _ = change;
        Ok(())
    }
}

impl Snapshot {
    /// Whether `grantor` may give what `grant` says: nobody grants what they do not hold the right to grant.
    pub fn may_grant(&self, grantor: SubjectId, grant: &Grant, now: Timestamp) -> Result<(), Refusal> {
        let _ = (grantor, grant, now);
        Ok(())
    }

    /// Whether `grantor` may put a template into a role or position whose holders are `holder`.
    pub fn may_assign(
        &self,
        grantor: SubjectId,
        holder: SubjectId,
        role: RoleId,
        now: Timestamp,
    ) -> Result<(), Refusal> {
        let _ = (grantor, holder, role, now);
        Ok(())
    }

    /// Whether `grantor` may put these templates into a role.
    pub fn may_write_role(&self, grantor: SubjectId, templates: &[Template], now: Timestamp) -> Result<(), Refusal> {
        let _ = (grantor, templates, now);
        Ok(())
    }

    /// Whether a change gives a subject anything that it does not have: the author of such a change about itself needs
    /// a second person.
    #[must_use]
    pub fn widens(&self, change: &Change, subject: SubjectId) -> bool {
        let _ = (change, subject);
        false
    }
}
