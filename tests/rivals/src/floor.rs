//! The floor: one look-up of the person by id and an interval compare with a row that lies ready, its labels included; no
//! grants beside the roles, no levels, no time, no reason. Nothing that decides by role and place can be cheaper.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

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

pub struct Floor {
    people: Map<Rights>,
    /// As small as a row can be.
    rows: Vec<Row>,
}

struct Row {
    owner: u32,
    department: u16,
    label: u16,
    stage: u8,
}

/// A question with what a caller has at hand.
pub struct Asked {
    person: Uuid,
    action: usize,
    row: usize,
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
            let interval = (small(enter), small(exit));
            let rights = Rights { number: small(number), department: small(it.department), interval, masks };
            (ours::person(number).uuid(), rights)
        };
        let row = |it: &crate::company::Customer| Row {
            owner: small(it.owner),
            department: small(it.department),
            label: small(company.intervals[it.department].0),
            stage: small(it.stage),
        };
        Self {
            people: company.people.iter().enumerate().map(rights).collect(),
            rows: company.customers.iter().map(row).collect(),
        }
    }

    pub fn decide(&self, it: &Asked) -> bool {
        let Some(who) = self.people.get(&it.person) else { return false };
        let row = &self.rows[it.row];
        let masks = who.masks[it.action];
        let part = |scope: Scope, reached: bool| if reached { masks[scope as usize] } else { 0 };
        let mask = part(Scope::All, true)
            | part(Scope::Subtree, who.interval.0 <= row.label && row.label < who.interval.1)
            | part(Scope::Department, who.department == row.department)
            | part(Scope::Own, who.number == row.owner);
        mask >> row.stage & 1 == 1
    }
}

fn small<T: TryFrom<usize>>(number: usize) -> T {
    T::try_from(number).ok().expect("the company is small enough")
}

pub fn asked(questions: &[Question]) -> Vec<Asked> {
    let ask = |it: &Question| Asked { person: ours::person(it.person).uuid(), action: it.action, row: it.customer };
    questions.iter().map(ask).collect()
}
