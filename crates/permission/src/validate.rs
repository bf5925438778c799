//! Which changes identity may write on top of the facts: pure rules, each refusal with a name of its own.

use std::collections::BTreeSet;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, PositionId, RoleId, SubjectId, TeamId},
};

use crate::{
    action::{Action, ActionSet},
    compile::ACCOUNTS_MAX,
    facts::Facts,
    level::Levels,
    model::{Assigned, Change, Department, Position, Removed, RoleAssignment, Subject, SubjectState, Team},
    registry::Attribute,
    role::{Duty, clash},
    row::NameSet,
    rule::{Effect, Extent, Grant, Guard, Origin, Place, Template, Whom},
    snapshot::Snapshot,
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
    #[error("the roles exclude each other")]
    RoleConflict(Duty, Duty),
    /// The grantor may not hand this action out, or not this far.
    #[error("the right is wider than the grantor's")]
    WiderThanGrantor(Action),
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
            Change::SessionRevoked { .. } => Ok(()),
            Change::Removed(removed) => self.validate_removal(*removed),
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
        if was.is_none() { self.validate_removal(Removed::Department(new.id)) } else { Ok(()) }
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
        self.validate_right(grant.actions, &grant.extent, grant.stages.as_ref(), grant.grades.as_ref())
    }

    fn validate_template(&self, template: &Template) -> Result<(), Refusal> {
        let Template { actions, extent, stages, grades, levels: _ } = template;
        self.validate_right(*actions, extent, stages.as_ref(), grades.as_ref())
    }

    fn validate_right(
        &self,
        actions: ActionSet,
        extent: &Extent,
        stages: Option<&NameSet>,
        grades: Option<&NameSet>,
    ) -> Result<(), Refusal> {
        let place = |place: &Place| match place {
            Place::Mine => Ok(()),
            Place::At(department) => self.known_department(*department).map(drop),
        };
        let nothing = |empty: bool| if empty { Err(Refusal::GivesNothing) } else { Ok(()) };
        nothing(actions.is_empty() || names_nothing(stages) || names_nothing(grades))?;
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
        has_attributes(actions, [read, stage, grade].into_iter().flatten())
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
        let no_row = names_nothing(condition.stages.as_ref())
            || names_nothing(condition.grades.as_ref())
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
            (condition.vip || condition.pooled).then_some(Attribute::Flags),
            condition.stages.is_some().then_some(Attribute::Stage),
            condition.grades.is_some().then_some(Attribute::Grade),
            condition.department.is_some().then_some(Attribute::Department),
        ];
        has_attributes(guard.actions, read.into_iter().flatten())
    }

    fn validate_removal(&self, removed: Removed) -> Result<(), Refusal> {
        let refused = |used: bool, refusal| if used { Err(refusal) } else { Ok(()) };
        match removed {
            Removed::Department(id) => {
                let below = self.departments.values().any(|department| department.parent == Some(id));
                let members = self.subjects.values().any(|it| it.departments().any(|department| department == id));
                let positions = self.positions.values().any(|position| position.department == id);
                refused(below || members || positions, Refusal::DepartmentInUse(id))
            }
            Removed::Position(id) => {
                let held = self.subjects.values().any(|subject| subject.positions.contains(&id));
                refused(held, Refusal::PositionInUse(id))
            }
            Removed::Role(id) => {
                let positions = self.positions.values().any(|position| position.roles.contains(&id));
                let assigned = self.assignments.values().flatten().any(|assignment| assignment.role == id);
                refused(positions || assigned, Refusal::RoleInUse(id))
            }
            Removed::Subject(_)
            | Removed::RoleAssignment { .. }
            | Removed::Team(_)
            | Removed::Grant { .. }
            | Removed::Guard(_) => Ok(()),
        }
    }

    /// That nobody whose roles or grants the change touches comes to hold two duties that exclude each other.
    fn validate_duties(&self, change: &Change) -> Result<(), Refusal> {
        let touched: Box<dyn Fn(&Subject) -> bool> = match change {
            Change::Subject(new) => Box::new(|subject| subject.id == new.id),
            Change::RoleAssignment(new) => Box::new(|subject| subject.id == new.subject),
            Change::Grant(new) => Box::new(|subject| subject.id == new.holder),
            Change::Position(new) => Box::new(|subject| subject.positions.contains(&new.id)),
            Change::Role(_) => Box::new(|_| true),
            // What was withheld is held again.
            Change::Removed(Removed::RoleAssignment { subject: id, .. }) => Box::new(|subject| subject.id == *id),
            // Positions of the new place hold for whoever moves below it.
            Change::Department(new) if self.moves(new) => Box::new(|subject| !subject.positions.is_empty()),
            Change::Tenant(_)
            | Change::Department(_)
            | Change::Team(_)
            | Change::Guard(_)
            | Change::SessionRevoked { .. }
            | Change::Removed(_) => return Ok(()),
        };
        let mut after = self.clone();
        after.apply(change);
        let snapshot = Snapshot::compile(&after, 0);
        for subject in after.subjects.values().filter(|subject| touched(subject)) {
            let held = snapshot.subject(subject.id).map_or(&[][..], |facts| &facts.roles);
            let roles: Vec<_> = held.iter().filter_map(|held| after.role(held.role)).collect();
            let held = |duty: Duty| {
                roles.iter().any(|role| duty.held_by(&role.templates))
                    || after.grants_of(subject.id).any(|grant| duty.includes(grant.right.actions, grant.right.levels))
            };
            if let Some((one, other)) = clash(held) {
                return Err(Refusal::RoleConflict(one, other));
            }
        }
        Ok(())
    }

    fn moves(&self, new: &Department) -> bool {
        self.department(new.id).is_some_and(|old| (old.parent, old.merged_into) != (new.parent, new.merged_into))
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

fn has_attributes(actions: ActionSet, mut read: impl Iterator<Item = Attribute>) -> Result<(), Refusal> {
    let resource = actions.resource().ok_or(Refusal::MixedTypes)?;
    let there = read.all(|attribute| resource.attributes().contains(&attribute));
    if there { Ok(()) } else { Err(Refusal::NoSuchAttribute) }
}

#[cfg(test)]
mod tests;
