//! Which changes identity may write on top of the facts: pure rules, each refusal with a name of its own.

use std::collections::BTreeSet;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GuardId, PositionId, RoleId, SubjectId, TeamId},
};

use crate::{
    action::{Action, ActionSet},
    compile::ACCOUNTS_MAX,
    facts::Facts,
    level::Levels,
    model::{Assigned, Change, Department, Position, Removed, RoleAssignment, Subject, SubjectState, Team},
    registry::Attribute,
    role::Duty,
    row::NameSet,
    rule::{Effect, Extent, Grant, Guard, Origin, Place, Template, Whom},
};

/// Why a change may not be written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Refusal {
    /// A department would lie below itself.
    #[error("the department would lie below itself")]
    DepartmentCycle(DepartmentId),
    /// A second department without one above it.
    #[error("the company has a root department already")]
    SecondRoot(DepartmentId),
    /// Something still lies in the department.
    #[error("the department is in use")]
    DepartmentInUse(DepartmentId),
    /// The department takes no new members and no new departments.
    #[error("the department is disabled")]
    DepartmentDisabled(DepartmentId),
    /// The department is another name of the one that it was merged into, and stays that.
    #[error("the department was merged into another one")]
    DepartmentMerged(DepartmentId),
    /// A line of managers or of accounts would come back to its start, or be too long.
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
    /// A right without an action, or without a row that it could reach.
    #[error("the right gives nothing")]
    GivesNothing,
    /// Actions of several types in one rule.
    #[error("the actions belong to several types")]
    MixedTypes,
    /// The rule reads an attribute that rows of the type do not have, so it would never match.
    #[error("rows of this type have no such attribute")]
    NoSuchAttribute,
    /// A guard without an action, a row or a subject that it could cover.
    #[error("the guard covers nothing")]
    GuardOnNothing,
    /// A guard that caps no layer.
    #[error("the guard has no effect")]
    GuardWithoutEffect,
    /// An emergency grant, or one on request, without an end.
    #[error("the grant must have an end")]
    EndRequired,
    /// Somebody would hold two duties that exclude each other.
    #[error("nobody holds both duties: {0}, and {1}")]
    RoleConflict(Duty, Duty),
    /// There is no such registered type of rows.
    #[error("there is no such registered type")]
    UnknownExternalType,
    /// A rule on rows of our own that names registered types.
    #[error("only rules on rows of other systems name registered types")]
    NoExternalRows,
    /// A type would have the name of one of ours.
    #[error("the name is taken by a type of Revisit")]
    ExternalTypeReserved,
    /// A type would map one of its actions onto what is no verb for rows of other systems.
    #[error("is no verb for rows of other systems")]
    NoExternalVerb(Action),
    /// A type would lose an attribute that rules may read, or its rows would be elsewhere.
    #[error("a registered type keeps its attributes, and its rows where they are")]
    ExternalTypeNarrowed,
    /// A rule names the type.
    #[error("a role, grant or guard names the registered type")]
    ExternalTypeInUse,
    /// The grantor may not hand this action out, or not this far.
    #[error("the right is wider than the grantor's")]
    WiderThanGrantor(Action),
    /// The last active person who could give rights back would lose some of them.
    #[error("nobody who is active could undo this: let another person administer the company first")]
    NobodyCouldUndo,
    /// A guard that binds everybody who may lift guards.
    #[error("nobody could lift this guard: leave out somebody who may, by target.except_subject_ids")]
    NobodyCouldLift(GuardId),
}

impl Facts {
    /// Whether a change may be written on top of these facts. It says nothing about who may write it.
    pub fn validate(&self, change: &Change) -> Result<(), Refusal> {
        match change {
            Change::Tenant(tenant) => tenant.administrator.map_or(Ok(()), |id| self.present(id)),
            Change::Department(department) => self.validate_department(department),
            Change::Subject(subject) => self.validate_subject(subject),
            Change::Position(position) => self.validate_position(position),
            Change::Role(role) => role.templates.iter().try_for_each(|template| self.validate_template(template)),
            Change::RoleAssignment(assignment) => self.validate_assignment(assignment),
            Change::Team(team) => self.validate_team(team),
            Change::Grant(grant) => self.validate_grant(grant),
            Change::Guard(guard) => self.validate_guard(guard),
            Change::ExternalType(new) => self.validate_external_type(new),
            Change::SessionRevoked { .. } => Ok(()),
            Change::Removed(removed) => self.validate_removal(removed),
        }?;
        self.validate_duties(change)
    }

    fn validate_department(&self, new: &Department) -> Result<(), Refusal> {
        let old = self.department(new.id);
        self.validate_merger(old, new)?;
        match new.parent {
            None => {
                let root = self.departments.values().find(|other| other.parent.is_none() && other.id != new.id);
                root.map_or(Ok(()), |root| Err(Refusal::SecondRoot(root.id)))?;
            }
            Some(parent) => {
                let moved = old.is_none_or(|old| old.parent != new.parent);
                let above = self.known_department(parent)?;
                if moved && above.disabled {
                    return Err(Refusal::DepartmentDisabled(parent));
                }
                let parents = std::iter::successors(Some(parent), |id| self.department(*id)?.parent);
                // One step more than there are departments: a line that long has come back.
                if parents.take(self.departments.len() + 1).any(|id| id == new.id) {
                    return Err(Refusal::DepartmentCycle(new.id));
                }
            }
        }
        new.head.map_or(Ok(()), |head| self.present(head))
    }

    /// What is merged is closed, empty and without a head, hangs under the living department, and never comes back.
    fn validate_merger(&self, old: Option<&Department>, new: &Department) -> Result<(), Refusal> {
        let was = old.and_then(|old| old.merged_into);
        let Some(into) = new.merged_into else {
            return if was.is_some() { Err(Refusal::DepartmentMerged(new.id)) } else { Ok(()) };
        };
        let lives = self.known_department(into)?.merged_into.is_none();
        let shaped = new.disabled && new.head.is_none() && new.parent == Some(into) && into != new.id;
        if !lives || !shaped {
            return Err(Refusal::DepartmentMerged(into));
        }
        if was.is_none() { self.validate_removal(&Removed::Department(new.id)) } else { Ok(()) }
    }

    fn validate_subject(&self, new: &Subject) -> Result<(), Refusal> {
        if new.state == SubjectState::Left {
            return Ok(());
        }
        let old: BTreeSet<_> = self.subject(new.id).into_iter().flat_map(Subject::departments).collect();
        for id in new.departments() {
            if self.known_department(id)?.disabled && !old.contains(&id) {
                return Err(Refusal::DepartmentDisabled(id));
            }
        }
        for id in &new.positions {
            let position = self.position(*id).ok_or(Refusal::UnknownPosition(*id))?;
            if !new.departments().any(|department| self.lies_within(department, position.department)) {
                return Err(Refusal::PositionElsewhere(*id));
            }
        }
        self.validate_line(new.id, new.manager, self.subjects.len(), |subject| subject.manager)?;
        self.validate_line(new.id, new.parent, ACCOUNTS_MAX, |subject| subject.parent)
    }

    /// That a line upwards exists, has at most `length` members and never comes back to `id`.
    fn validate_line(
        &self,
        id: SubjectId,
        first: Option<SubjectId>,
        length: usize,
        next: impl Fn(&Subject) -> Option<SubjectId>,
    ) -> Result<(), Refusal> {
        first.map_or(Ok(()), |first| self.present(first))?;
        let mut line = std::iter::successors(first, |id| next(self.subject(*id)?));
        let comes_back = line.by_ref().take(length).any(|above| above == id);
        if comes_back || line.next().is_some() { Err(Refusal::SubjectCycle(id)) } else { Ok(()) }
    }

    fn validate_position(&self, position: &Position) -> Result<(), Refusal> {
        self.known_department(position.department)?;
        position.roles.iter().try_for_each(|role| self.known_role(*role))
    }

    fn validate_assignment(&self, assignment: &RoleAssignment) -> Result<(), Refusal> {
        self.present(assignment.subject)?;
        self.known_role(assignment.role)?;
        match assignment.assigned {
            Assigned::Added { from, until } => opens(from, until),
            Assigned::Withheld => Ok(()),
        }
    }

    fn validate_team(&self, team: &Team) -> Result<(), Refusal> {
        team.members.iter().try_for_each(|member| self.present(*member))?;
        opens(team.from, team.until)
    }

    fn validate_grant(&self, grant: &Grant) -> Result<(), Refusal> {
        self.present(grant.holder)?;
        let ends = match grant.origin {
            Origin::Temporary | Origin::BreakGlass | Origin::Team => true,
            Origin::Direct | Origin::Share => false,
            Origin::Delegation(giver) => {
                self.present(giver)?;
                false
            }
        };
        if ends && grant.until == Timestamp::MAX {
            return Err(Refusal::EndRequired);
        }
        opens(grant.from, grant.until)?;
        self.validate_right(
            (grant.actions, grant.external.as_ref()),
            &grant.extent,
            names(&grant.stages, &grant.grades),
        )
    }

    fn validate_template(&self, template: &Template) -> Result<(), Refusal> {
        let Template { actions, extent, stages, grades, external, levels: _ } = template;
        self.validate_right((*actions, external.as_ref()), extent, names(stages, grades))
    }

    fn validate_right(
        &self,
        (actions, external): (ActionSet, Option<&NameSet>),
        extent: &Extent,
        (stages, grades): (Option<&NameSet>, Option<&NameSet>),
    ) -> Result<(), Refusal> {
        let place = |place: &Place| match place {
            Place::Mine => Ok(()),
            Place::At(department) => self.known_department(*department).map(drop),
        };
        let nothing = |empty: bool| if empty { Err(Refusal::GivesNothing) } else { Ok(()) };
        nothing(actions.is_empty() || [stages, grades, external].into_iter().any(names_nothing))?;
        let read = match extent {
            Extent::Own => Some(Attribute::Owner),
            Extent::Task => Some(Attribute::TaskHolders),
            Extent::Department(at) | Extent::Subtree(at) => place(at).map(|()| Some(Attribute::Department))?,
            Extent::Pooled(at, _) => place(at).map(|()| Some(Attribute::Flags))?,
            Extent::Team(id) if self.teams.contains_key(id) => Some(Attribute::Teams),
            Extent::Team(id) => return Err(Refusal::UnknownTeam(*id)),
            Extent::Ids(ids) => nothing(ids.is_empty()).map(|()| None)?,
            Extent::Tenant => None,
        };
        let stage = stages.is_some().then_some(Attribute::Stage);
        let grade = grades.is_some().then_some(Attribute::Grade);
        self.have_attributes((actions, external), &[read, stage, grade])
    }

    fn validate_guard(&self, guard: &Guard) -> Result<(), Refusal> {
        let condition = &guard.condition;
        match guard.whom {
            Whom::Everyone => Ok(()),
            Whom::Subject(id) if guard.except.subjects.contains(&id) => Err(Refusal::GuardOnNothing),
            Whom::Subject(id) => self.present(id),
            Whom::Role(id) => self.known_role(id),
            Whom::Department(id) => self.known_department(id).map(drop),
        }?;
        guard.except.subjects.iter().try_for_each(|id| self.present(*id))?;
        let no_row = names_nothing(condition.stages.as_ref())
            || names_nothing(condition.grades.as_ref())
            || names_nothing(condition.external.as_ref())
            || condition.ids.as_ref().is_some_and(|ids| ids.is_empty());
        if guard.actions.is_empty() || no_row {
            return Err(Refusal::GuardOnNothing);
        }
        if guard.effect == Effect::Cap(Levels::WRITE) {
            return Err(Refusal::GuardWithoutEffect);
        }
        condition.department.map_or(Ok(()), |id| self.known_department(id).map(drop))?;
        opens(guard.from, guard.until)?;
        let read = [
            (guard.except.owner || guard.except.managers).then_some(Attribute::Owner),
            (condition.vip || condition.pooled).then_some(Attribute::Flags),
            condition.stages.is_some().then_some(Attribute::Stage),
            condition.grades.is_some().then_some(Attribute::Grade),
            condition.department.is_some().then_some(Attribute::Department),
        ];
        self.have_attributes((guard.actions, condition.external.as_ref()), &read)
    }

    fn validate_removal(&self, removed: &Removed) -> Result<(), Refusal> {
        let refused = |used: bool, refusal| if used { Err(refusal) } else { Ok(()) };
        match removed {
            Removed::Department(id) => {
                let id = *id;
                let below = self.departments.values().any(|department| department.parent == Some(id));
                let members = self.subjects.values().any(|it| it.departments().any(|department| department == id));
                let positions = self.positions.values().any(|position| position.department == id);
                refused(below || members || positions, Refusal::DepartmentInUse(id))
            }
            Removed::Position(id) => {
                let held = self.subjects.values().any(|subject| subject.positions.contains(id));
                refused(held, Refusal::PositionInUse(*id))
            }
            Removed::Role(id) => {
                let positions = self.positions.values().any(|position| position.roles.contains(id));
                let assigned = self.assignments.values().flatten().any(|assignment| assignment.role == *id);
                refused(positions || assigned, Refusal::RoleInUse(*id))
            }
            Removed::ExternalType(name) => refused(self.names_external_type(name), Refusal::ExternalTypeInUse),
            Removed::Subject(_)
            | Removed::RoleAssignment { .. }
            | Removed::Team(_)
            | Removed::Grant { .. }
            | Removed::Guard(_) => Ok(()),
        }
    }

    fn present(&self, id: SubjectId) -> Result<(), Refusal> {
        let there = self.subject(id).is_some_and(|subject| subject.state != SubjectState::Left);
        if there { Ok(()) } else { Err(Refusal::UnknownSubject(id)) }
    }

    fn known_department(&self, id: DepartmentId) -> Result<&Department, Refusal> {
        self.department(id).ok_or(Refusal::UnknownDepartment(id))
    }

    fn known_role(&self, id: RoleId) -> Result<(), Refusal> {
        if self.roles.contains_key(&id) { Ok(()) } else { Err(Refusal::UnknownRole(id)) }
    }

    fn lies_within(&self, department: DepartmentId, top: DepartmentId) -> bool {
        let upwards = std::iter::successors(Some(department), |id| self.department(*id)?.parent);
        upwards.take(self.departments.len() + 1).any(|id| id == top)
    }
}

fn opens(from: Timestamp, until: Timestamp) -> Result<(), Refusal> {
    if from < until { Ok(()) } else { Err(Refusal::EndBeforeStart) }
}

fn names_nothing(names: Option<&NameSet>) -> bool {
    names.is_some_and(NameSet::is_empty)
}

fn names<'a>(stages: &'a Option<NameSet>, grades: &'a Option<NameSet>) -> (Option<&'a NameSet>, Option<&'a NameSet>) {
    (stages.as_ref(), grades.as_ref())
}

mod duties;
mod external;
#[cfg(test)]
mod tests;
