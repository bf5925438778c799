//! The saga that hands somebody's work over: what it knows, and when a part and the whole have ended.

use std::time::Duration;

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GrantId, JobId, PositionId, SubjectId},
};
use revisit_permission::Name;
use serde::{Deserialize, Serialize};

/// The server's cap on write deadlines: a row written under the former rights is committed by then, so a pass that
/// begins so long after the revocation was effective sees every one.
pub const SETTLE: Duration = Duration::from_secs(5);

/// Who takes over.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Successor {
    /// The head of the user's department.
    DepartmentHead,
    User(SubjectId),
    HeadOf(DepartmentId),
    RoundRobin(DepartmentId),
}

/// Why work changes hands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Kind {
    /// The user leaves the company for good.
    Leave,
    /// The user keeps the account and works elsewhere.
    Transfer { from: DepartmentId, to: DepartmentId, positions: Vec<PositionId> },
}

impl Kind {
    /// The department that the user is transferred out of, if it is a transfer.
    pub const fn department_left(&self) -> Option<DepartmentId> {
        match self {
            Self::Leave => None,
            Self::Transfer { from, .. } => Some(*from),
        }
    }
}

/// What was ordered, and what died with the order.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Plan {
    pub kind: Kind,
    pub successor: Successor,
    pub ordered_by: SubjectId,
    pub reason: String,
    pub revoked_grants: Vec<GrantId>,
    pub revoked_sessions: i32,
    /// Rows of other systems that stay the user's until those systems put them anew: how many of which registered type.
    pub external_rows: Vec<(Name, i64)>,
}

/// Which part of the work.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Part {
    Customers,
    Tasks,
}

/// How far one part is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Progress {
    pub pass: i64,
    pub moved: i64,
    pub refused: i64,
    pub remaining: i64,
    pub done: bool,
    pub reported_at: Option<Timestamp>,
}

/// What one pass gave.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Report {
    pub part: Part,
    pub pass: i64,
    pub began_at: Timestamp,
    pub moved: i64,
    pub refused: i64,
    pub remaining: i64,
}

/// Both parts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Parts {
    pub customers: Progress,
    pub tasks: Progress,
}

impl Parts {
    pub const fn get(&self, part: Part) -> &Progress {
        match part {
            Part::Customers => &self.customers,
            Part::Tasks => &self.tasks,
        }
    }

    fn get_mut(&mut self, part: Part) -> &mut Progress {
        match part {
            Part::Customers => &mut self.customers,
            Part::Tasks => &mut self.tasks,
        }
    }
}

/// How far a hand-over is. It only ever goes forward.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum State {
    /// The rights are gone in the log; some replica may still act on them.
    Revoked,
    /// The revocation is effective; the parts hand over.
    Running,
    /// Nothing is left.
    Done,
}

impl State {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Revoked => "revoked",
            Self::Running => "running",
            Self::Done => "done",
        }
    }

    pub fn parse(name: &str) -> Option<Self> {
        [Self::Revoked, Self::Running, Self::Done].into_iter().find(|state| state.name() == name)
    }
}

/// One hand-over.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandOver {
    pub id: JobId,
    pub user: SubjectId,
    pub state: State,
    pub plan: Plan,
    pub parts: Parts,
    pub revision: i64,
    pub created_at: Timestamp,
    pub effective_at: Option<Timestamp>,
    pub done_at: Option<Timestamp>,
}

impl HandOver {
    /// The revocation is effective. A repeat changes nothing.
    pub fn effective(&mut self, now: Timestamp) -> bool {
        let first = self.state == State::Revoked;
        if first {
            self.state = State::Running;
            self.effective_at = Some(now);
        }
        first
    }

    /// Takes a report. Repeats, and reports of an older pass, change nothing; a part that has ended stays ended.
    pub fn report(&mut self, report: &Report, now: Timestamp) {
        let (Some(effective_at), State::Running) = (self.effective_at, self.state) else { return };
        let part = self.parts.get_mut(report.part);
        if part.done || report.pass <= part.pass {
            return;
        }
        *part = Progress {
            pass: report.pass,
            moved: report.moved,
            refused: report.refused,
            remaining: report.remaining,
            done: report.remaining == 0 && report.began_at >= effective_at + SETTLE,
            reported_at: Some(now),
        };
        if self.parts.customers.done && self.parts.tasks.done {
            self.state = State::Done;
            self.done_at = Some(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    fn running() -> HandOver {
        let user = SubjectId::from_uuid(Uuid::from_u128(1));
        let mut hand_over = HandOver {
            id: JobId::from_uuid(Uuid::from_u128(2)),
            user,
            state: State::Revoked,
            plan: Plan {
                kind: Kind::Leave,
                successor: Successor::DepartmentHead,
                ordered_by: user,
                reason: String::new(),
                revoked_grants: Vec::new(),
                revoked_sessions: 0,
                external_rows: Vec::new(),
            },
            parts: Parts::default(),
            revision: 9,
            created_at: at(90),
            effective_at: None,
            done_at: None,
        };
        assert!(hand_over.effective(at(100)));
        assert!(!hand_over.effective(at(101)), "it was effective already");
        hand_over
    }

    fn pass(part: Part, pass: i64, began_at: i64, remaining: i64) -> Report {
        Report { part, pass, began_at: at(began_at), moved: 3, refused: 0, remaining }
    }

    #[test]
    fn a_pass_that_began_too_early_or_left_something_does_not_end_a_part() {
        let mut hand_over = running();
        hand_over.report(&pass(Part::Customers, 1, 104, 0), at(105));
        assert!(!hand_over.parts.customers.done, "a write of before may still be on its way");
        hand_over.report(&pass(Part::Customers, 2, 105, 1), at(106));
        assert!(!hand_over.parts.customers.done);
        hand_over.report(&pass(Part::Customers, 3, 106, 0), at(107));
        assert!(hand_over.parts.customers.done);
        assert_eq!(hand_over.state, State::Running, "the tasks are not done");
    }

    #[test]
    fn it_ends_with_its_last_part_and_late_reports_change_nothing() {
        let mut hand_over = running();
        hand_over.report(&pass(Part::Tasks, 1, 105, 0), at(106));
        hand_over.report(&pass(Part::Customers, 5, 110, 0), at(111));
        assert_eq!((hand_over.state, hand_over.done_at), (State::Done, Some(at(111))));
        let before = hand_over.clone();
        hand_over.report(&pass(Part::Customers, 4, 104, 7), at(112));
        assert_eq!(hand_over, before);
    }
}
