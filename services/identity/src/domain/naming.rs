//! Which field of a request a rule of the model is about: by what was to be written, because one rule has several writers.

use revisit_permission::{
    ActionSet, Attribute, Change, Facts, Guard, NameSet, Refusal, Resource, Role, Subject, SubjectKind, Template, Whom,
};

/// What of a request a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    Subject,
    Department,
    Position,
    Role,
    Team,
    End,
    /// The right as a whole.
    Right,
    Actions,
    /// Whom, what and on which rows a guard binds.
    Covered,
    /// What is read of a row that has no such attribute.
    Attribute,
    Cap,
    ExternalTypes,
    TypeName,
    TypeActions,
}

type Names = &'static [(Part, &'static str)];

const GRANT: Names = &[(Part::Subject, "holder_id"), (Part::End, "end_time")];
const TEMPLATE: Names = &[
    (Part::Department, "extent.department_id"),
    (Part::Team, "extent.team_id"),
    (Part::Right, "extent"),
    (Part::Actions, "actions"),
    (Part::ExternalTypes, "external_types"),
];
const GUARD: Names = &[
    (Part::Role, "guard.target.role_id"),
    (Part::Actions, "guard.actions"),
    (Part::ExternalTypes, "guard.condition.external_types"),
    (Part::Cap, "guard.cap"),
    (Part::End, "guard.end_time"),
];
const EXTERNAL_TYPE: Names = &[
    (Part::TypeName, "external_type.name"),
    (Part::TypeActions, "external_type.actions"),
    (Part::Attribute, "external_type.attributes"),
];
/// Where nothing else is known of the request.
const ANYWHERE: Names = &[
    (Part::Subject, "user_id"),
    (Part::Department, "department_id"),
    (Part::Position, "position_ids"),
    (Part::Role, "role_ids"),
    (Part::Team, "extent.team_id"),
    (Part::End, "end_time"),
    (Part::Right, "extent"),
    (Part::Actions, "actions"),
    (Part::Covered, "guard"),
    (Part::Attribute, "extent"),
    (Part::Cap, "cap"),
    (Part::ExternalTypes, "external_types"),
    (Part::TypeName, "external_type.name"),
    (Part::TypeActions, "external_type.actions"),
];

/// What a rule is about that the input breaks; one that only the state breaks is about nothing in the request.
const fn part(refusal: &Refusal) -> Option<Part> {
    match refusal {
        Refusal::UnknownSubject(_) => Some(Part::Subject),
        Refusal::UnknownDepartment(_) => Some(Part::Department),
        Refusal::UnknownPosition(_) | Refusal::PositionElsewhere(_) => Some(Part::Position),
        Refusal::UnknownRole(_) => Some(Part::Role),
        Refusal::UnknownTeam(_) => Some(Part::Team),
        Refusal::EndBeforeStart | Refusal::EndRequired => Some(Part::End),
        Refusal::GivesNothing => Some(Part::Right),
        Refusal::MixedTypes => Some(Part::Actions),
        Refusal::GuardOnNothing => Some(Part::Covered),
        Refusal::NoSuchAttribute => Some(Part::Attribute),
        Refusal::GuardWithoutEffect => Some(Part::Cap),
        Refusal::UnknownExternalType | Refusal::NoExternalRows => Some(Part::ExternalTypes),
        Refusal::ExternalTypeReserved => Some(Part::TypeName),
        Refusal::NoExternalVerb(_) => Some(Part::TypeActions),
        Refusal::DepartmentCycle(_)
        | Refusal::SecondRoot(_)
        | Refusal::DepartmentInUse(_)
        | Refusal::DepartmentDisabled(_)
        | Refusal::DepartmentMerged(_)
        | Refusal::SubjectCycle(_)
        | Refusal::PositionInUse(_)
        | Refusal::RoleInUse(_)
        | Refusal::RoleConflict(..)
        | Refusal::ExternalTypeNarrowed
        | Refusal::ExternalTypeInUse
        | Refusal::NobodyCouldUndo
        | Refusal::NobodyCouldLift(_)
        | Refusal::WiderThanGrantor(_) => None,
    }
}

fn named(names: Names, part: Part) -> Option<&'static str> {
    names.iter().find(|(known, _)| *known == part).map(|(_, name)| *name)
}

/// The field when no more is known than the rule.
pub fn anywhere(refusal: &Refusal) -> Option<&'static str> {
    named(ANYWHERE, part(refusal)?)
}

/// The field of the request that wanted to write `change` on these facts. A create has its fields by themselves, an
/// update has them in what it updates.
pub fn field(facts: &Facts, change: &Change, refusal: &Refusal) -> Option<String> {
    let part = part(refusal)?;
    let within = |name: &str, field: &str, is_there: Option<()>| match is_there {
        Some(()) => format!("{name}.{field}"),
        None => field.to_owned(),
    };
    let by_table = |names: Names| named(names, part).or_else(|| named(ANYWHERE, part)).map(ToOwned::to_owned);
    match change {
        Change::Grant(new) => {
            if let Some(field) = named(GRANT, part) {
                return Some(field.to_owned());
            }
            let right = (new.actions, new.external.as_ref(), new.stages.is_some(), new.grades.is_some());
            Some(format!("right.{}", of_right(facts, part, right)?))
        }
        Change::Role(new) => {
            let (index, template) = broken(facts, new)?;
            let right =
                (template.actions, template.external.as_ref(), template.stages.is_some(), template.grades.is_some());
            let field = format!("templates[{index}].{}", of_right(facts, part, right)?);
            Some(within("role", &field, facts.role(new.id).map(drop)))
        }
        Change::Guard(new) => of_guard(facts, new, part).map(ToOwned::to_owned).or_else(|| by_table(GUARD)),
        Change::RoleAssignment(new) if part == Part::Role && !is_program(facts, new.subject) => {
            Some("role_id".to_owned())
        }
        Change::RoleAssignment(_) => by_table(ANYWHERE),
        Change::Department(new) if part == Part::Subject => {
            Some(within("department", "head_id", facts.department(new.id).map(drop)))
        }
        Change::Department(_) => Some("parent_id".to_owned()),
        Change::Position(new) => {
            let field = named(ANYWHERE, part)?;
            Some(within("position", field, facts.position(new.id).map(drop)))
        }
        Change::Subject(new) => {
            Some(within("user", of_subject(new, (part, refusal))?, facts.subject(new.id).map(drop)))
        }
        Change::ExternalType(_) => by_table(EXTERNAL_TYPE),
        Change::Tenant(_) | Change::Team(_) | Change::SessionRevoked { .. } | Change::Removed(_) => by_table(ANYWHERE),
    }
}

fn is_program(facts: &Facts, id: revisit_core::id::SubjectId) -> bool {
    facts.subject(id).is_some_and(|it| it.kind == SubjectKind::ServiceAccount)
}

/// The first template of a role that breaks a rule.
fn broken<'a>(facts: &Facts, role: &'a Role) -> Option<(usize, &'a Template)> {
    let breaks = |template: &Template| {
        let alone = Role { templates: vec![template.clone()], ..role.clone() };
        facts.validate(&Change::Role(alone)).is_err()
    };
    role.templates.iter().enumerate().find(|(_, template)| breaks(template))
}

/// Which field of a right; of an attribute that the rows lack, the one that reads it.
fn of_right(
    facts: &Facts,
    part: Part,
    (actions, external, stages, grades): (ActionSet, Option<&NameSet>, bool, bool),
) -> Option<&'static str> {
    let has = |attribute: Attribute| match external {
        Some(named) => named.iter().all(|name| facts.external_type(name).is_some_and(|it| it.has(attribute))),
        None => actions.resource().is_some_and(|resource: Resource| resource.attributes().contains(&attribute)),
    };
    if part != Part::Attribute {
        return named(TEMPLATE, part);
    }
    let unread = |named: bool, attribute| named && !has(attribute);
    Some(match (unread(stages, Attribute::Stage), unread(grades, Attribute::Grade)) {
        (true, _) => "stages",
        (false, true) => "grades",
        (false, false) => "extent.kind",
    })
}

fn of_guard(facts: &Facts, it: &Guard, part: Part) -> Option<&'static str> {
    let known = |id: &revisit_core::id::SubjectId| facts.subject(*id).is_some();
    match part {
        Part::Subject if !it.except.subjects.iter().all(known) => Some("guard.target.except_subject_ids"),
        Part::Subject => Some("guard.target.subject_id"),
        Part::Department => match it.whom {
            Whom::Department(id) if facts.department(id).is_none() => Some("guard.target.department_id"),
            Whom::Everyone | Whom::Subject(_) | Whom::Role(_) | Whom::Department(_) => {
                Some("guard.condition.department_id")
            }
        },
        Part::Covered => {
            // Whoever it binds is left out by that list, and not by what the guard bars.
            let leaves_out = matches!(it.whom, Whom::Subject(id) if it.except.subjects.contains(&id));
            let of_rows = if it.actions.is_empty() { "guard.actions" } else { "guard.condition" };
            Some(if leaves_out { "guard.target.except_subject_ids" } else { of_rows })
        }
        Part::Attribute if it.except.owner || it.except.managers => Some("guard.target"),
        Part::Attribute => Some("guard.condition"),
        Part::Actions | Part::Position | Part::Role | Part::Team | Part::End | Part::Right | Part::Cap => None,
        Part::ExternalTypes | Part::TypeName | Part::TypeActions => None,
    }
}

/// Somebody names others in several fields.
fn of_subject(new: &Subject, (part, refusal): (Part, &Refusal)) -> Option<&'static str> {
    match (part, refusal) {
        (Part::Subject, Refusal::UnknownSubject(id)) if new.parent == Some(*id) && new.manager != Some(*id) => {
            Some("parent_user_id")
        }
        (Part::Subject, _) => Some("manager_id"),
        (Part::Department, Refusal::UnknownDepartment(id)) if new.department != Some(*id) => {
            Some("further_department_ids")
        }
        (part, _) => named(ANYWHERE, part),
    }
}
