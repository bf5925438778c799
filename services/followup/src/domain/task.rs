//! One planned contact: its window, its reminders one after the other, and what may be done to it.
//!
//! The version rises with each change that people see. A reminder that goes out is none, so that the version is also
//! the generation under which each kind of reminder leaves at most once.

use std::time::Duration;

use chrono::NaiveDateTime;
use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, EnrolmentId, PlanId, SubjectId, TaskId, TenantId},
};
use revisit_permission::{Flags, Layer, Row};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Error, people::Customer, plan::Reason};

mod lending;

pub use lending::Loan;

pub use super::agenda::{Agenda, Moment, TimerKind};

/// How far ahead anything may be due that people plan by hand.
pub const AHEAD_MAX: Duration = Duration::from_hours(24 * 366);

/// How the customer is reached.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    Phone,
    Wechat,
    Email,
    Meeting,
    Visit,
    Other,
}

impl Channel {
    const ALL: [Self; 6] = [Self::Phone, Self::Wechat, Self::Email, Self::Meeting, Self::Visit, Self::Other];

    /// As stored and as events carry it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Phone => "phone",
            Self::Wechat => "wechat",
            Self::Email => "email",
            Self::Meeting => "meeting",
            Self::Visit => "visit",
            Self::Other => "other",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.name() == name)
    }
}

/// What made a task.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskKind {
    Plan,
    Todo,
    NextContact,
    Issue,
}

impl TaskKind {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Plan => "plan",
            Self::Todo => "todo",
            Self::NextContact => "next_contact",
            Self::Issue => "issue",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Plan, Self::Todo, Self::NextContact, Self::Issue].into_iter().find(|kind| kind.name() == name)
    }
}

/// Where a task stands. Overdue is derived.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TaskState {
    Scheduled,
    Open,
    Done,
    Cancelled,
}

impl TaskState {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Open => "open",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Scheduled, Self::Open, Self::Done, Self::Cancelled].into_iter().find(|state| state.name() == name)
    }

    #[must_use]
    pub const fn is_live(self) -> bool {
        matches!(self, Self::Scheduled | Self::Open)
    }
}

/// The occurrence of a plan that a task is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Origin {
    pub plan: PlanId,
    pub version: i32,
    pub step: String,
    pub enrolment: EnrolmentId,
    /// Of the enrolment, when the task was planned.
    pub generation: i64,
}

/// A follow-up task.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Task {
    pub tenant: TenantId,
    pub id: TaskId,
    pub version: i64,
    pub kind: TaskKind,
    pub state: TaskState,
    pub customer: Option<CustomerId>,
    pub origin: Option<Origin>,
    /// What tells it from other occurrences of its origin.
    pub occurrence: String,
    pub nominal: Option<NaiveDateTime>,
    pub zone: String,
    /// Who it was given to by name; it does not follow the customer then.
    pub named: Option<SubjectId>,
    /// Who is responsible since it opened.
    pub assignee: Option<SubjectId>,
    /// Department, stage and grade when it opened: what figures are told apart by, whatever becomes of the customer.
    pub department: Option<DepartmentId>,
    pub stage: Option<String>,
    pub grade: Option<String>,
    pub channel: Option<Channel>,
    pub open_at: Timestamp,
    pub due_at: Timestamp,
    pub agenda: Agenda,
    pub remind_open: bool,
    /// How long before due its maker wants to be reminded; empty where a plan says so.
    pub before_minutes: Vec<u32>,
    /// The one timer that it owns; none after its last kind.
    pub timer: Option<Moment>,
    pub lent: Vec<Layer>,
    /// The end of what was given, see [`Loan`]: nothing is lent beyond, however often its assignee puts it off.
    pub lent_until: Timestamp,
    /// Who lends it by a right of their own; nobody when the plan does.
    pub lent_by: Option<SubjectId>,
    /// Sealed; empty for an occurrence of a plan, which is named by its step.
    pub title: Vec<u8>,
    pub reason: Reason,
    /// Sealed; only with [`Reason::Caller`].
    pub reason_text: Vec<u8>,
    pub parent: Option<TaskId>,
    pub open_issues: i32,
    pub asks_satisfaction: bool,
    pub success: Option<bool>,
    pub satisfaction: Option<i16>,
    pub done_at: Option<Timestamp>,
    pub closed_at: Option<Timestamp>,
    pub created_at: Timestamp,
    pub created_by: Option<SubjectId>,
}

impl Task {
    /// The id of an occurrence: the same on every replica, so that planning it twice is planning it once.
    #[must_use]
    pub fn id_of(tenant: TenantId, origin: &Origin, customer: CustomerId, occurrence: &str) -> TaskId {
        let generation = origin.generation.to_be_bytes();
        let (tenant, plan, customer) = (tenant.uuid(), origin.plan.uuid(), customer.uuid());
        let parts: [&[u8]; 6] = [
            tenant.as_bytes(),
            plan.as_bytes(),
            origin.step.as_bytes(),
            customer.as_bytes(),
            &generation,
            occurrence.as_bytes(),
        ];
        TaskId::derived("revisit followup task v1", &parts)
    }

    /// The id of a task that a request or an outcome makes.
    #[must_use]
    pub fn id_by_key(tenant: TenantId, kind: TaskKind, key: &str) -> TaskId {
        TaskId::derived(
            "revisit followup keyed task v1",
            &[tenant.uuid().as_bytes(), kind.name().as_bytes(), key.as_bytes()],
        )
    }

    /// What decides its shard: the customer, else the task itself.
    #[must_use]
    pub fn shard_key(&self) -> Uuid {
        self.customer.map_or(self.id.uuid(), |customer| customer.uuid())
    }

    /// What policy may look at: the customer's attributes of now, owned by the person responsible.
    #[must_use]
    pub fn row(&self, customer: Option<&Customer>) -> Row {
        let row = Row::new(self.tenant, self.id).with_owner(self.responsible(customer));
        let Some(customer) = customer else { return row.with_department(self.department) };
        row.with_department(customer.department)
            .with_teams(customer.teams.iter().copied())
            .with_stage(customer.stage.as_deref().map(Into::into))
            .with_grade(customer.grade.as_deref().map(Into::into))
            .with_flags(Flags { vip: customer.vip, pooled: customer.pooled })
            .with_auth_rev(customer.auth_rev)
    }

    /// Whoever opened it, or while it is scheduled the one named, else the customer's owner of now.
    #[must_use]
    pub fn responsible(&self, customer: Option<&Customer>) -> Option<SubjectId> {
        self.assignee.or(self.named).or_else(|| customer.and_then(|customer| customer.owner))
    }

    /// Whether it is an occurrence of this step of an enrolment.
    #[must_use]
    pub fn is_of(&self, enrolment: EnrolmentId, step: &str) -> bool {
        self.origin.as_ref().is_some_and(|origin| origin.enrolment == enrolment && origin.step == step)
    }

    #[must_use]
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.state == TaskState::Open && self.due_at < now
    }

    /// The first timer after a moment: the next reminder, or the next extension of a window longer than a day.
    #[must_use]
    pub fn next_timer(&self, after: Moment) -> Option<Moment> {
        let reminder = self.agenda.after(after);
        [reminder, self.next_extension(after)].into_iter().flatten().min()
    }

    /// The timer of a task that has just been planned or changed: reminders that lie behind are not caught up on.
    #[must_use]
    pub fn timer_from(&self, now: Timestamp) -> Option<Moment> {
        match self.state {
            TaskState::Scheduled => Some(Moment { at: self.open_at, kind: TimerKind::Open }),
            TaskState::Open => self.next_timer(Moment { at: now, kind: TimerKind::Escalate }),
            TaskState::Done | TaskState::Cancelled => None,
        }
    }

    /// The window begins: somebody is responsible from now on. Who stands in for the one named is not named: they answer for
    /// it as long as the customer is theirs.
    #[must_use]
    pub fn opened(mut self, assignee: Option<SubjectId>, customer: Option<&Customer>) -> Self {
        self.state = TaskState::Open;
        self.assignee = assignee;
        self.named = self.named.filter(|named| assignee == Some(*named));
        // Whatever it was pulled forward from: nobody lengthens by that what they are lent.
        self.lent_until = self.lent_until.min(self.due_at);
        self.version += 1;
        if let Some(customer) = customer {
            self.department = customer.department;
            self.stage = customer.stage.clone();
            self.grade = customer.grade.clone();
        }
        self.timer = self.next_timer(Moment { at: self.open_at, kind: TimerKind::Open });
        self
    }

    fn live(self) -> Result<Self, Error> {
        if self.state.is_live() { Ok(self) } else { Err(Error::TaskClosed) }
    }

    /// Another due time; the reminders are planned anew.
    pub fn snoozed(self, due_at: Timestamp, agenda: Agenda, now: Timestamp) -> Result<Self, Error> {
        let mut task = self.live()?;
        if due_at <= now {
            return Err(Error::DueInPast);
        }
        if task.state == TaskState::Scheduled {
            // The window keeps its length, unless that would begin it in the past.
            let length = task.due_at.since(task.open_at);
            task.open_at = (due_at - length).max(now);
        }
        task.due_at = due_at;
        task.agenda = agenda;
        task.version += 1;
        task.timer = task.timer_from(now);
        Ok(task)
    }

    /// Another person. The pending reminder stays: one that is due this instant still goes out.
    pub fn reassigned(
        self,
        named: Option<SubjectId>,
        responsible: Option<SubjectId>,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let mut task = self.live()?;
        task.named = named;
        if task.state == TaskState::Open {
            task.assignee = responsible;
        }
        task.version += 1;
        Ok(task.extended(now))
    }

    /// Ended without an outcome.
    pub fn cancelled(self, reason: Reason, now: Timestamp) -> Result<Self, Error> {
        let mut task = self.live()?;
        task.state = TaskState::Cancelled;
        task.reason = reason;
        task.closed_at = Some(now);
        task.timer = None;
        task.version += 1;
        Ok(task)
    }

    /// An outcome was recorded; with issues the task is closed when they are.
    pub fn done(self, outcome: Done, now: Timestamp) -> Result<Self, Error> {
        let mut task = self.live()?;
        task.state = TaskState::Done;
        task.done_at = Some(now);
        task.success = Some(outcome.success);
        task.satisfaction = outcome.satisfaction;
        task.open_issues = outcome.issues;
        task.closed_at = (outcome.issues == 0).then_some(now);
        task.timer = None;
        task.version += 1;
        Ok(task)
    }

    /// One of its issues was closed.
    #[must_use]
    pub fn issue_closed(mut self, now: Timestamp) -> Self {
        self.open_issues = (self.open_issues - 1).max(0);
        if self.open_issues == 0 && self.state == TaskState::Done {
            self.closed_at = Some(now);
        }
        self.version += 1;
        self
    }
}

/// What an outcome says about its task.
#[derive(Clone, Copy, Debug)]
pub struct Done {
    pub success: bool,
    pub satisfaction: Option<i16>,
    pub issues: i32,
}

#[cfg(test)]
mod tests;
