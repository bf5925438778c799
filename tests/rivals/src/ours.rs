//! The company as our engine holds it: shared as facts, compiled into a snapshot.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant},
};

use revisit_core::{
    Id, Timestamp,
    id::{DepartmentId, RoleId, SubjectId, TenantId},
};
use revisit_permission::{
    Action, ActionSet, Assigned, Change, Department, Extent, Facts, Grant, Layer, Level, Levels, Name, NameSet, Origin,
    Place, Role, RoleAssignment, Row, STAGES, Snapshot, Subject, SubjectState, Template, Tenant,
};
use uuid::Uuid;

use crate::company::{ACTIONS, About, Company, GRANTED, Question, ROLES, Rule, Scope};

const NAMES: [Action; ACTIONS] = [
    Action::CustomerView,
    Action::CustomerUpdate,
    Action::CustomerDelete,
    Action::CustomerAssign,
    Action::CustomerExport,
    Action::CustomerNote,
    Action::CustomerStage,
    Action::CustomerMerge,
];
pub const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn id<K>(kind: u128, number: usize) -> Id<K> {
    // As random as ids are, and the same in every run.
    let mixed = (kind << 64 | number as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Id::from_uuid(Uuid::from_u128(mixed ^ mixed >> 67))
}

pub fn tenant() -> TenantId {
    id(1, 0)
}
pub fn department(number: usize) -> DepartmentId {
    id(2, number)
}
pub fn person(number: usize) -> SubjectId {
    id(3, number)
}
fn role(number: usize) -> RoleId {
    id(4, number)
}
fn customer(number: usize) -> Uuid {
    id::<()>(5, number).uuid()
}
pub fn action(number: usize) -> Action {
    NAMES[number]
}

/// All rows, as a service has decoded them.
pub fn rows(company: &Company) -> Vec<Row> {
    let stages: Vec<Name> = STAGES.iter().map(|stage| Name::from(*stage)).collect();
    let row = |(number, it): (usize, &crate::company::Customer)| {
        Row::new(tenant(), customer(number))
            .with_owner(person(it.owner))
            .with_department(department(it.department))
            .with_stage(Some(stages[it.stage].clone()))
    };
    company.customers.iter().enumerate().map(row).collect()
}

/// Everything but the grants.
pub fn organisation(company: &Company) -> Vec<Change> {
    let mut changes = vec![Change::Tenant(Tenant::default())];
    changes.extend(company.parents.iter().enumerate().map(|(number, parent)| {
        Change::Department(Department {
            id: department(number),
            parent: parent.map(department),
            name: format!("department {number}"),
            head: None,
            disabled: false,
            merged_into: None,
            modules_off: Vec::new(),
        })
    }));
    changes.extend((0..ROLES).map(|number| {
        Change::Role(Role {
            id: role(number),
            key: format!("role_{number}"),
            name: format!("role {number}"),
            shipped: None,
            templates: templates(&company.rules[number]),
        })
    }));
    for (number, it) in company.people.iter().enumerate() {
        let subject = Subject::user(person(number), format!("person {number}"), SubjectState::Active);
        changes.push(Change::Subject(Subject { department: Some(department(it.department)), ..subject }));
        let assigned = Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX };
        changes.extend(it.roles.iter().map(|held| {
            Change::RoleAssignment(RoleAssignment { subject: person(number), role: role(*held), assigned })
        }));
    }
    changes
}

fn levels() -> Levels {
    Levels::of(&[(Layer::Basic, Level::Write), (Layer::Sensitive, Level::Read)])
}

/// Actions with the same scope and stages share a template.
fn templates(rules: &[Option<Rule>; ACTIONS]) -> Vec<Template> {
    let mut groups: BTreeMap<(u8, u8), (Rule, Vec<Action>)> = BTreeMap::new();
    for (number, rule) in rules.iter().enumerate() {
        if let Some(rule) = rule {
            groups.entry((rule.scope as u8, rule.stages)).or_insert((*rule, Vec::new())).1.push(action(number));
        }
    }
    let template = |(rule, actions): (Rule, Vec<Action>)| Template {
        actions: actions.into_iter().collect(),
        extent: match rule.scope {
            Scope::Own => Extent::Own,
            Scope::Department => Extent::Department(Place::Mine),
            Scope::Subtree => Extent::Subtree(Place::Mine),
            Scope::All => Extent::Tenant,
        },
        stages: rule.stages().map(|stages| stages.into_iter().map(|stage| STAGES[stage]).collect::<NameSet>()),
        grades: None,
        external: None,
        levels: levels(),
    };
    groups.into_values().map(template).collect()
}

/// The grants beside the roles.
pub fn grants(company: &Company) -> impl Iterator<Item = Change> {
    let actions: ActionSet = GRANTED.iter().map(|number| action(*number)).collect();
    let grant = move |(number, it): (usize, &crate::company::Grant)| {
        let extent = match &it.about {
            About::Customers(customers) => {
                Extent::Ids(customers.iter().copied().map(customer).collect::<Arc<[Uuid]>>())
            }
            About::Department(at) => Extent::Department(Place::At(department(*at))),
        };
        let right = Template { actions, extent, stages: None, grades: None, external: None, levels: levels() };
        Change::Grant(Grant::of(
            id(6, number),
            person(it.holder),
            right,
            (Timestamp::MIN, Timestamp::MAX),
            Origin::Share,
        ))
    };
    company.grants.iter().enumerate().map(grant)
}

pub fn facts(organisation: &[Change], grants: &[Change]) -> Facts {
    Facts::of(tenant(), organisation.iter().chain(grants))
}

/// A question as a caller has it at hand: typed ids, and the row by reference.
pub struct Asked<'a> {
    pub subject: SubjectId,
    pub action: Action,
    pub row: &'a Row,
    pub allowed: bool,
}

pub fn asked<'a>(rows: &'a [Row], questions: &[Question]) -> Vec<Asked<'a>> {
    let ask = |it: &Question| Asked {
        subject: person(it.person),
        action: action(it.action),
        row: &rows[it.customer],
        allowed: it.allowed,
    };
    questions.iter().map(ask).collect()
}

/// Asks.
pub fn decide(snapshot: &Snapshot, it: &Asked<'_>) -> bool {
    snapshot.decide(it.subject, it.action, it.row, NOW).allowed
}

/// What it takes to move the department with the most people below it under another one: one revision.
pub fn moved(facts: &Facts, company: &Company) -> Duration {
    let weigh = |top: &usize| company.people.iter().filter(|it| company.is_below(it.department, *top)).count();
    let top = (1..company.parents.len()).max_by_key(weigh).expect("there is more than one department");
    let beside = (1..company.parents.len()).find(|it| !company.is_below(*it, top)).expect("there is one beside it");
    let old = facts.department(department(top)).expect("every department was declared");
    let change = Change::Department(Department { parent: Some(department(beside)), ..old.clone() });
    applied(facts, &change)
}

/// What it takes to apply one more grant: until a replica that has it may answer.
pub fn one_more(facts: &Facts, company: &Company) -> Duration {
    let right = Template {
        actions: [action(0)].into_iter().collect(),
        extent: Extent::Tenant,
        stages: None,
        grades: None,
        external: None,
        levels: levels(),
    };
    let number = company.grants.len();
    let grant = Grant::of(id(6, number), person(0), right, (Timestamp::MIN, Timestamp::MAX), Origin::Direct);
    applied(facts, &Change::Grant(grant))
}

/// As a replica does it: on a copy, because the former snapshot goes on answering.
fn applied(facts: &Facts, change: &Change) -> Duration {
    let began = Instant::now();
    let mut facts = facts.clone();
    facts.apply(change);
    std::hint::black_box(Snapshot::compile(&facts, 2));
    began.elapsed()
}
