//! The company that every engine decides about, in plain numbers: 1,000 departments in a tree of depth 5, 10,000 people
//! with one to three of 20 roles, a million customers, and grants beside the roles.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use revisit_measure::Size;

const SEED: u64 = 20_261_122;
/// Departments on each level of the tree.
const LEVELS: [usize; 5] = [1, 6, 36, 216, 741];
pub const ROLES: usize = 20;
pub const ACTIONS: usize = 8;
/// Stages of a customer.
pub const STAGES: usize = 7;
const ALL_STAGES: u8 = 0x7f;
/// Most stages, as a third of the rules are limited to.
const SOME_STAGES: u8 = 0b001_1011;
/// Of so many grants one is about a department; the others are about one to three customers.
const OF_DEPARTMENTS: usize = 10;
/// A grant beside the roles is about these actions.
pub const GRANTED: [usize; 2] = [0, 1];

/// Which customers a rule is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Own,
    Department,
    Subtree,
    All,
}

/// What a role says of one action.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rule {
    pub scope: Scope,
    /// A bit for each stage.
    pub stages: u8,
}

impl Rule {
    pub fn stages(&self) -> Option<Vec<usize>> {
        (self.stages != ALL_STAGES).then(|| (0..STAGES).filter(|stage| self.stages >> stage & 1 == 1).collect())
    }
}

pub struct Person {
    pub department: usize,
    pub roles: Vec<usize>,
}

pub struct Customer {
    pub owner: usize,
    pub department: usize,
    pub stage: usize,
}

/// What one grant beside the roles is about.
#[derive(Clone, Debug)]
pub enum About {
    Customers(Vec<usize>),
    Department(usize),
}

pub struct Grant {
    pub holder: usize,
    pub about: About,
}

/// One question and its answer.
#[derive(Clone, Copy)]
pub struct Question {
    pub person: usize,
    pub action: usize,
    pub customer: usize,
    pub allowed: bool,
}

pub struct Company {
    pub parents: Vec<Option<usize>>,
    /// The labels at and below each department.
    pub intervals: Vec<(usize, usize)>,
    pub people: Vec<Person>,
    pub customers: Vec<Customer>,
    pub rules: Vec<[Option<Rule>; ACTIONS]>,
    pub grants: Vec<Grant>,
    /// The places of each person's grants.
    pub held: Vec<Vec<usize>>,
}

impl Company {
    pub fn found(size: Size) -> Self {
        let mut dice = StdRng::seed_from_u64(SEED);
        let parents = tree();
        let intervals = label(&parents);
        let rules = (0..ROLES).map(|role| std::array::from_fn(|action| rule(&mut dice, role, action))).collect();
        let people: Vec<Person> = (0..size.pick(1_000, 10_000, 10_000))
            .map(|_| Person { department: dice.random_range(0..parents.len()), roles: roles(&mut dice) })
            .collect();
        let customer = |_| {
            let owner = dice.random_range(0..people.len());
            Customer { owner, department: people[owner].department, stage: dice.random_range(0..STAGES) }
        };
        let customers = (0..size.pick(10_000, 1_000_000, 1_000_000)).map(customer).collect();
        let held = vec![Vec::new(); people.len()];
        Self { parents, intervals, people, customers, rules, grants: Vec::new(), held }
    }

    /// Adds grants until there are so many; each person holds about as many as the next.
    pub fn grow(&mut self, grants: usize) {
        let mut dice = StdRng::seed_from_u64(SEED + grants as u64);
        while self.grants.len() < grants {
            let place = self.grants.len();
            let holder = place % self.people.len();
            let about = if place % OF_DEPARTMENTS == 0 {
                About::Department(dice.random_range(0..self.parents.len()))
            } else {
                let count = dice.random_range(1..=3);
                About::Customers((0..count).map(|_| dice.random_range(0..self.customers.len())).collect())
            };
            self.held[holder].push(place);
            self.grants.push(Grant { holder, about });
        }
    }

    /// Whether it is allowed: the reference that every engine has to agree with.
    fn allows(&self, person: usize, action: usize, customer: usize) -> bool {
        let (who, row) = (&self.people[person], &self.customers[customer]);
        let by_role = who.roles.iter().filter_map(|role| self.rules[*role][action]).any(|rule| {
            rule.stages >> row.stage & 1 == 1
                && match rule.scope {
                    Scope::Own => row.owner == person,
                    Scope::Department => row.department == who.department,
                    Scope::Subtree => self.is_below(row.department, who.department),
                    Scope::All => true,
                }
        });
        let by_grant = |place: &usize| match &self.grants[*place].about {
            About::Customers(customers) => customers.contains(&customer),
            About::Department(department) => row.department == *department,
        };
        by_role || (GRANTED.contains(&action) && self.held[person].iter().any(by_grant))
    }

    pub fn is_below(&self, department: usize, top: usize) -> bool {
        let ((enter, exit), label) = (self.intervals[top], self.intervals[department].0);
        enter <= label && label < exit
    }

    /// Questions of which half are allowed, in random order: about one's own customers, those that one was granted, and
    /// anybody's.
    pub fn questions(&self, count: usize) -> Vec<Question> {
        let mut dice = StdRng::seed_from_u64(SEED + 1);
        let mut own = vec![Vec::new(); self.people.len()];
        for (place, customer) in self.customers.iter().enumerate() {
            own[customer.owner].push(place);
        }
        let mut left = [count - count / 2, count / 2];
        let mut questions = Vec::with_capacity(count);
        while left != [0, 0] {
            let person = dice.random_range(0..self.people.len());
            let action = dice.random_range(0..ACTIONS);
            let anybody = dice.random_range(0..self.customers.len());
            let customer = match dice.random_range(0..4) {
                0 | 1 if !own[person].is_empty() => own[person][dice.random_range(0..own[person].len())],
                2 if !self.held[person].is_empty() => {
                    match &self.grants[self.held[person][dice.random_range(0..self.held[person].len())]].about {
                        About::Customers(customers) => customers[0],
                        About::Department(_) => anybody,
                    }
                }
                _ => anybody,
            };
            let allowed = self.allows(person, action, customer);
            if left[usize::from(allowed)] > 0 {
                left[usize::from(allowed)] -= 1;
                questions.push(Question { person, action, customer, allowed });
            }
        }
        questions
    }
}

fn tree() -> Vec<Option<usize>> {
    let mut parents = vec![None];
    let mut above = 0..1;
    for count in &LEVELS[1..] {
        let begin = parents.len();
        parents.extend((0..*count).map(|place| Some(above.start + place % above.len())));
        above = begin..parents.len();
    }
    parents
}

fn label(parents: &[Option<usize>]) -> Vec<(usize, usize)> {
    let mut below = vec![Vec::new(); parents.len()];
    for (department, parent) in parents.iter().enumerate() {
        if let Some(parent) = parent {
            below[*parent].push(department);
        }
    }
    let mut intervals = vec![(0, 0); parents.len()];
    enter(0, &below, &mut 0, &mut intervals);
    intervals
}

/// As deep as [`LEVELS`] is long.
fn enter(department: usize, below: &[Vec<usize>], next: &mut usize, intervals: &mut [(usize, usize)]) {
    intervals[department].0 = *next;
    *next += 1;
    for child in &below[department] {
        enter(*child, below, next, intervals);
    }
    intervals[department].1 = *next;
}

/// Eight roles of one's own customers, six of the department's, four of what lies below, two of the whole company. The
/// second half of the actions differs from role to role.
fn rule(dice: &mut StdRng, role: usize, action: usize) -> Option<Rule> {
    let usual = match role {
        0..8 => Scope::Own,
        8..14 => Scope::Department,
        14..18 => Scope::Subtree,
        _ => Scope::All,
    };
    let scope = if action < ACTIONS / 2 {
        Some(usual)
    } else {
        [None, Some(Scope::Own), Some(Scope::Department), Some(Scope::Subtree), Some(usual)][dice.random_range(0..5)]
    };
    let stages = if dice.random_range(0..3) == 0 { SOME_STAGES } else { ALL_STAGES };
    scope.map(|scope| Rule { scope, stages })
}

/// One to three; a role of the whole company is rare.
fn roles(dice: &mut StdRng) -> Vec<usize> {
    let count = dice.random_range(1..=3);
    let mut roles: Vec<usize> = (0..count)
        .map(|_| {
            let end = if dice.random_range(0..50) == 0 { ROLES } else { 18 };
            dice.random_range(0..end)
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}
