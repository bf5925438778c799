//! The floor: the same question, answered by one look-up of the person, one of the row's department, and an interval
//! compare; no grants beside the roles, no levels, no time, no reason. Nothing that decides about these rows by role and
//! place can be cheaper. Beside it the same on rows of twelve bytes whose labels are known, which spares most memory.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use revisit_permission::Row;
use uuid::Uuid;

use crate::{
    company::{ACTIONS, Company, Question, Scope},
    ours,
};

/// Folds an id by multiplication.
#[derive(Default)]
struct Fold(u64);

impl Hasher for Fold {
    fn finish(&self) -> u64 {
        self.0
    }
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let product =
                u128::from(self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
            self.0 = (product >> 64) as u64 ^ product as u64;
        }
    }
    fn write_usize(&mut self, word: usize) {
        self.0 ^= word as u64;
    }
}

type Map<V> = HashMap<Uuid, V, BuildHasherDefault<Fold>>;

/// What a person may, per action and scope, as a bit for each stage.
struct Rights {
    number: u32,
    department: u16,
    interval: (u16, u16),
    masks: [[u8; 4]; ACTIONS],
}

impl Rights {
    fn allow(&self, action: usize, (label, is_department, is_owner): (u16, bool, bool), stage: u8) -> bool {
        let masks = self.masks[action];
        let part = |scope: Scope, reached: bool| if reached { masks[scope as usize] } else { 0 };
        let mask = part(Scope::All, true)
            | part(Scope::Subtree, self.interval.0 <= label && label < self.interval.1)
            | part(Scope::Department, is_department)
            | part(Scope::Own, is_owner);
        mask >> stage & 1 == 1
    }
}

/// As small as a row can be.
struct Small {
    owner: u32,
    department: u16,
    label: u16,
    stage: u8,
}

pub struct Floor {
    people: Map<Rights>,
    labels: Map<(u16, u16)>,
    small: Vec<Small>,
}

/// A question with what a caller has at hand.
pub struct Asked<'a> {
    person: Uuid,
    action: usize,
    row: &'a Row,
    /// A name would have to be looked up.
    stage: u8,
    small: usize,
}

impl Floor {
    pub fn new(company: &Company) -> Self {
        let rights = |(number, it): (usize, &crate::company::Person)| {
            let mut masks = [[0; 4]; ACTIONS];
            for role in &it.roles {
                for (action, rule) in company.rules[*role].iter().enumerate() {
                    if let Some(rule) = rule {
                        masks[action][rule.scope as usize] |= rule.stages;
                    }
                }
            }
            let (enter, exit) = company.intervals[it.department];
            let interval = (less(enter), less(exit));
            let rights = Rights { number: less(number), department: less(it.department), interval, masks };
            (ours::person(number).uuid(), rights)
        };
        let label = |(number, interval): (usize, &(usize, usize))| {
            (ours::department(number).uuid(), (less(number), less(interval.0)))
        };
        let small = |it: &crate::company::Customer| Small {
            owner: less(it.owner),
            department: less(it.department),
            label: less(company.intervals[it.department].0),
            stage: less(it.stage),
        };
        Self {
            people: company.people.iter().enumerate().map(rights).collect(),
            labels: company.intervals.iter().enumerate().map(label).collect(),
            small: company.customers.iter().map(small).collect(),
        }
    }

    /// On the row as it is.
    pub fn decide(&self, it: &Asked<'_>) -> bool {
        let Some(who) = self.people.get(&it.person) else { return false };
        let at = it.row.department.and_then(|department| self.labels.get(&department.uuid()));
        let Some((department, label)) = at else { return false };
        let is_owner = it.row.owner.is_some_and(|owner| owner.uuid() == it.person);
        who.allow(it.action, (*label, who.department == *department, is_owner), it.stage)
    }

    /// On the small one.
    pub fn decide_small(&self, it: &Asked<'_>) -> bool {
        let Some(who) = self.people.get(&it.person) else { return false };
        let row = &self.small[it.small];
        who.allow(it.action, (row.label, who.department == row.department, who.number == row.owner), row.stage)
    }
}

fn less<T: TryFrom<usize>>(number: usize) -> T {
    T::try_from(number).ok().expect("the company is small enough")
}

pub fn asked<'a>(company: &Company, rows: &'a [Row], questions: &[Question]) -> Vec<Asked<'a>> {
    let ask = |it: &Question| Asked {
        person: ours::person(it.person).uuid(),
        action: it.action,
        row: &rows[it.customer],
        stage: less(company.customers[it.customer].stage),
        small: it.customer,
    };
    questions.iter().map(ask).collect()
}
