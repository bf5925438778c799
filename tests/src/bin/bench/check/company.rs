//! A company of realistic size: a tree of a thousand departments, ten thousand people in the shipped roles, shares
//! between colleagues, guards, and a hundred thousand customers.

use std::sync::Arc;

use revisit_core::{
    Id, Ids, Timestamp,
    id::{DepartmentId, RoleId, SubjectId, TenantId},
};
use revisit_permission::{
    Action, ActionSet, Assigned, Change, Department, Effect, Exceptions, Extent, Facts, Flags, Grant, Guard, Layer,
    Level, Levels, Name, Origin, Role, RoleAssignment, Row, RowCondition, STAGES, Shipped, Snapshot, Subject,
    SubjectState, Template, Tenant, Whom, shipped_roles,
};
use revisit_tests::{measure::Size, rights::guard};
use uuid::Uuid;

const SEED: u64 = 20_261_121;
/// Departments below each on the levels of the tree: 1 + 6 + 36 + 216 + 864 of them.
const BRANCHES: [usize; 4] = [6, 6, 6, 4];
/// Who has which role, of a hundred people.
const ROLES: [(&str, usize); 8] = [
    ("sales_rep", 66),
    ("service", 16),
    ("sales_manager", 9),
    ("regional_manager", 3),
    ("marketing", 2),
    ("finance", 2),
    ("executive", 1),
    ("auditor", 1),
];
/// What people ask most.
const ACTIONS: [Action; 5] = [
    Action::CustomerView,
    Action::CustomerView,
    Action::CustomerUpdate,
    Action::CustomerNote,
    Action::CustomerTransfer,
];
/// Every so many people have got rows shared by a colleague; every so many customers are VIPs.
const SHARING: usize = 5;
const VIP: usize = 50;

/// The company.
pub struct Company {
    pub facts: Facts,
    pub rows: Vec<Row>,
    people: Vec<(SubjectId, DepartmentId)>,
    by_owner: Vec<Vec<usize>>,
    grants: usize,
}

/// One question and its answer.
pub struct Question {
    pub subject: SubjectId,
    pub action: Action,
    pub row: usize,
    pub allowed: bool,
}

/// Numbers drawn from a seed.
struct Dice(Ids);

impl Dice {
    fn below(&self, end: usize) -> usize {
        let drawn = u64::from_le_bytes(self.0.bytes());
        // The remainder is far below what a measurement could show.
        usize::try_from(drawn % u64::try_from(end.max(1)).unwrap_or(1)).unwrap_or(0)
    }
}

fn role_id(key: &str) -> RoleId {
    Id::derived("bench role", &[key.as_bytes()])
}

impl Company {
    /// Founds it.
    pub fn found(size: Size) -> Self {
        let dice = Dice(Ids::seeded(SEED));
        let tenant: TenantId = Id::from_uuid(Uuid::from_u128(1));
        let departments = tree();
        let mut changes = vec![Change::Tenant(Tenant::default())];
        changes.extend(departments.iter().cloned().map(Change::Department));
        changes.extend(shipped_roles().iter().map(|shipped| {
            Change::Role(Role {
                id: role_id(shipped.key),
                key: shipped.key.to_owned(),
                name: shipped.name.to_owned(),
                shipped: Some(Shipped { key: shipped.key.to_owned(), version: shipped.version }),
                templates: shipped.templates.clone(),
            })
        }));
        let people = people(&dice, &departments, size.pick(1_000, 10_000, 10_000), &mut changes);
        let (rows, by_owner) = customers(&dice, tenant, &people, size.pick(10_000, 100_000, 100_000));
        changes.extend(shares(&dice, &people, &rows).into_iter().map(Change::Grant));
        changes.extend(guards().into_iter().map(Change::Guard));
        let grants = changes.iter().filter(|change| matches!(change, Change::Grant(_))).count();
        Self { facts: Facts::of(tenant, &changes), rows, people, by_owner, grants }
    }

    /// What it is, in words.
    pub fn described(&self) -> String {
        let departments = tree().len();
        format!("{departments} departments, {} people in shipped roles, {} shares", self.people.len(), self.grants)
    }

    /// Questions of which half are allowed, in random order; their predicates are compiled when this returns.
    pub fn questions(&self, snapshot: &Snapshot, now: Timestamp, count: usize) -> Vec<Question> {
        let dice = Dice(Ids::seeded(SEED + 1));
        let (mut allowed_left, mut denied_left) = (count / 2, count - count / 2);
        let mut questions = Vec::with_capacity(count);
        while allowed_left + denied_left > 0 {
            let person = dice.below(self.people.len());
            let action = ACTIONS[dice.below(ACTIONS.len())];
            let own = &self.by_owner[person];
            // Half of the draws are about one's own customers, the others about anybody's.
            let row = if dice.below(2) == 0 && !own.is_empty() {
                own[dice.below(own.len())]
            } else {
                dice.below(self.rows.len())
            };
            let subject = self.people[person].0;
            let allowed = snapshot.decide(subject, action, &self.rows[row], now).allowed;
            let left = if allowed { &mut allowed_left } else { &mut denied_left };
            if *left > 0 {
                *left -= 1;
                questions.push(Question { subject, action, row, allowed });
            }
        }
        questions
    }
}

fn tree() -> Vec<Department> {
    let department = |number: usize, parent: Option<DepartmentId>| Department {
        id: Id::derived("bench department", &[&number.to_be_bytes()]),
        parent,
        name: format!("department {number}"),
        head: None,
        disabled: false,
        merged_into: None,
        modules_off: Vec::new(),
    };
    let mut all = vec![department(0, None)];
    let mut level = vec![all[0].id];
    for branches in BRANCHES {
        let mut below = Vec::new();
        for parent in level {
            for _ in 0..branches {
                let child = department(all.len(), Some(parent));
                below.push(child.id);
                all.push(child);
            }
        }
        level = below;
    }
    all
}

/// People by role; who leads sits in the upper part of the tree.
fn people(
    dice: &Dice,
    departments: &[Department],
    count: usize,
    changes: &mut Vec<Change>,
) -> Vec<(SubjectId, DepartmentId)> {
    let upper = departments.len() / 20;
    let mut people = Vec::with_capacity(count);
    for number in 0..count {
        let mut place = number % 100;
        let role = ROLES.iter().find(|(_, share)| {
            let here = place < *share;
            place = place.saturating_sub(*share);
            here
        });
        let key = role.map_or("sales_rep", |(key, _)| *key);
        let department = match key {
            "sales_rep" | "service" => departments[dice.below(departments.len())].id,
            "sales_manager" => departments[dice.below(departments.len() / 4)].id,
            _ => departments[dice.below(upper)].id,
        };
        let id: SubjectId = Id::derived("bench person", &[&number.to_be_bytes()]);
        let subject = Subject::user(id, format!("person {number}"), SubjectState::Active);
        changes.push(Change::Subject(Subject { department: Some(department), ..subject }));
        let assigned = Assigned::Added { from: Timestamp::MIN, until: Timestamp::MAX };
        changes.push(Change::RoleAssignment(RoleAssignment { subject: id, role: role_id(key), assigned }));
        people.push((id, department));
    }
    people
}

fn customers(
    dice: &Dice,
    tenant: TenantId,
    people: &[(SubjectId, DepartmentId)],
    count: usize,
) -> (Vec<Row>, Vec<Vec<usize>>) {
    let stages: Vec<Name> = STAGES.iter().map(|stage| Name::from(*stage)).collect();
    let grades: Vec<Name> = ["A", "B", "C"].map(Name::from).to_vec();
    let mut by_owner = vec![Vec::new(); people.len()];
    let mut rows = Vec::with_capacity(count);
    for number in 0..count {
        let person = dice.below(people.len());
        let (owner, department) = people[person];
        by_owner[person].push(number);
        let row = Row::new(tenant, Id::<()>::derived("bench customer", &[&number.to_be_bytes()]))
            .with_owner(owner)
            .with_department(department)
            .with_stage(Some(stages[dice.below(stages.len())].clone()))
            .with_grade(Some(grades[dice.below(grades.len())].clone()))
            .with_flags(Flags { vip: number % VIP == 0, pooled: false });
        rows.push(row);
    }
    (rows, by_owner)
}

/// Rows of colleagues that some people were shown.
fn shares(dice: &Dice, people: &[(SubjectId, DepartmentId)], rows: &[Row]) -> Vec<Grant> {
    let shown = Levels::of(&[(Layer::Basic, Level::Read), (Layer::Sensitive, Level::Masked)]);
    let share = |(number, (holder, _)): (usize, &(SubjectId, DepartmentId))| {
        let ids: Vec<Uuid> = (0..=dice.below(5)).map(|_| rows[dice.below(rows.len())].id).collect();
        let right = Template {
            actions: ActionSet::of(&[Action::CustomerView]),
            extent: Extent::Ids(Arc::from(ids)),
            stages: None,
            grades: None,
            external: None,
            levels: shown,
        };
        let id = Id::derived("bench grant", &[&number.to_be_bytes()]);
        Grant::of(id, *holder, right, (Timestamp::MIN, Timestamp::MAX), Origin::Share)
    };
    people.iter().enumerate().filter(|(number, _)| number % SHARING == 0).map(share).collect()
}

/// VIPs' contact values are masked for all but owner and managers; nobody takes VIPs out of the company.
fn guards() -> Vec<Guard> {
    let vip = || RowCondition { vip: true, ..RowCondition::default() };
    let on_vips = |number: u128, except, actions: &[Action], effect| Guard {
        id: Id::from_uuid(Uuid::from_u128(number)),
        except,
        condition: vip(),
        ..guard(Whom::Everyone, actions, effect)
    };
    let masked = Levels::WRITE.with(Layer::Sensitive, Level::Masked);
    let own = Exceptions { owner: true, managers: true, subjects: Vec::new() };
    vec![
        on_vips(1, own, &[Action::CustomerView, Action::CustomerUpdate], Effect::Cap(masked)),
        on_vips(2, Exceptions::default(), &[Action::CustomerExport, Action::CustomerTransfer], Effect::Deny),
    ]
}
