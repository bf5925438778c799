//! Identity's database as its readers see it, what is pushed of it, and the rights that are taken back one after another.

use std::{collections::BTreeMap, time::Duration};

use revisit_core::{
    Id, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use revisit_permission::{
    Action, ActionSet, Caller, Change, Extent, Facts, Grant, Holder as Row, Layer, Leases, Level, Levels, Origin, Push,
    Removed, Renewal, Row as Customer, Subject, SubjectState, Template,
};
use uuid::Uuid;

use super::node::{At, TTL};

pub const TENANT: TenantId = Id::from_uuid(Uuid::from_u128(1));
/// Rights, each of a person of its own.
pub const RIGHTS: usize = 9;
/// The database that all of a schedule happens in, and one that its pushes sometimes come from.
const INCARNATION: &str = "one";
const FORMER: &str = "the one before";
/// Every instant of the schedules lies before it.
const LATER: Timestamp = Timestamp::MAX;

fn id<K>(kind: u128, number: usize) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(kind << 64 | number as u128))
}

fn person(right: usize) -> Subject {
    Subject::user(id(2, right), format!("person {right}"), SubjectState::Active)
}

fn session(right: usize) -> SessionId {
    id(3, right)
}

fn grant(right: usize) -> Grant {
    let template = Template {
        actions: ActionSet::of(&[Action::CustomerView]),
        extent: Extent::Tenant,
        stages: None,
        grades: None,
        external: None,
        levels: Levels::of(&[(Layer::Basic, Level::Read)]),
    };
    Grant::of(id(4, right), id(2, right), template, (Timestamp::MIN, LATER), Origin::Direct)
}

/// How a right is taken back: in turn by its grant, its session, and its holder.
fn revocation(right: usize) -> Change {
    match right % 3 {
        0 => Change::Removed(Removed::Grant { holder: id(2, right), id: id(4, right) }),
        1 => Change::SessionRevoked { session: session(right), until: LATER },
        _ => Change::Subject(Subject { state: SubjectState::Suspended, ..person(right) }),
    }
}

/// What a holder answers to who uses a right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    Allowed,
    Denied,
    Unavailable,
}

/// Asks as a call would: with the session, about a customer.
pub fn ask(leases: &Leases, right: usize) -> Answer {
    use revisit_permission::DenialKind::{Denied, Session, Stale};
    let subject: SubjectId = id(2, right);
    let caller = Caller::with_session(TENANT, subject, session(right), 1);
    let row = Customer::new(TENANT, Uuid::from_u128(7));
    match caller.decide(leases, Action::CustomerView, &row).map_err(|denial| denial.kind) {
        Ok(_) => Answer::Allowed,
        Err(Denied | Session) => Answer::Denied,
        Err(Stale) => Answer::Unavailable,
    }
}

/// The database: one order of commits, and reads that see all of them.
pub struct Database {
    /// The log; the revision of a change is its place, counted from 1.
    log: Vec<Vec<Change>>,
    rows: BTreeMap<String, Row>,
    /// How far its wall clock was stepped, in microseconds.
    pub stepped: i64,
}

impl Database {
    pub fn new() -> Self {
        let rights = (0..RIGHTS).flat_map(|right| [Change::Subject(person(right)), Change::Grant(grant(right))]);
        Self { log: vec![rights.collect()], rows: BTreeMap::new(), stepped: 0 }
    }

    pub fn revision(&self) -> i64 {
        i64::try_from(self.log.len()).unwrap_or(i64::MAX)
    }

    /// Commits a revocation.
    pub fn revoke(&mut self, right: usize) -> i64 {
        self.log.push(vec![revocation(right)]);
        self.revision()
    }

    /// Commits a holder's row: the first step of a renewal. A row does not give way to an earlier renewal.
    pub fn name(&mut self, row: Row) -> bool {
        let overtaken =
            self.rows.get(&row.name).is_some_and(|later| later.epoch == row.epoch && later.number >= row.number);
        if !overtaken {
            self.rows.insert(row.name.clone(), row);
        }
        !overtaken
    }

    /// The second step: what is read after that.
    pub fn read(&self, now: At, named: &[(TenantId, i64)]) -> Renewal {
        let wall = i64::try_from(now).unwrap_or(i64::MAX).saturating_add(self.stepped);
        let database_time = Timestamp::from_seconds(1_800_000_000).micros().saturating_add(wall);
        Renewal {
            ttl: TTL,
            database_time: Timestamp::from_micros(database_time),
            incarnation: INCARNATION.to_owned(),
            granted: named.iter().map(|(tenant, _)| (*tenant, self.revision())).collect(),
        }
    }

    /// What is pushed of the newest revision.
    pub fn push(&self) -> Push {
        let changes = self.log.last().cloned().unwrap_or_default();
        Push { revision: self.revision(), incarnation: INCARNATION.to_owned(), changes }
    }

    /// The same when some may have been missed: its number alone.
    pub fn look(&self) -> Push {
        Push { changes: Vec::new(), ..self.push() }
    }

    /// What a database that was set back has pushed under that number: it takes nothing from anybody.
    pub fn former(&self) -> Push {
        let changes = vec![Change::Subject(person(RIGHTS))];
        Push { incarnation: FORMER.to_owned(), changes, ..self.push() }
    }

    pub fn rows(&self) -> Vec<Row> {
        self.rows.values().cloned().collect()
    }

    /// Deletes a row if it is still the one that was seen.
    pub fn remove(&mut self, seen: &Row) -> bool {
        let same = self.rows.get(&seen.name).is_some_and(|row| row.epoch == seen.epoch && row.number == seen.number);
        if same {
            self.rows.remove(&seen.name);
        }
        same
    }

    /// Brings what somebody holds up to date.
    pub fn catch_up(&self, facts: &mut Facts, revision: i64) -> i64 {
        let from = usize::try_from(revision).unwrap_or(0);
        self.log.iter().skip(from).flatten().for_each(|change| facts.apply(change));
        self.revision()
    }
}

/// Which holder's clock a lease may outlive by.
pub fn life() -> Duration {
    TTL + super::node::DRIFT
}
