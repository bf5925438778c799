//! What an open task lends its assignee of its customer: which layers, and until when.

use std::time::Duration;

use revisit_core::{Timestamp, id::SubjectId};
use revisit_permission::{Layer, Levels};

use super::{Moment, Task, TaskState, TimerKind};

/// Lent access never reaches further ahead than this.
const LEND_SPAN: Duration = Duration::from_hours(24);
/// An extension is asked for this long before the access would end.
const EXTEND_EVERY: Duration = Duration::from_hours(23);

/// What one person gets of a loan.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Share {
    pub layers: Vec<Layer>,
    /// None: as long as the window of the task that lends it.
    until: Option<Timestamp>,
    /// Whether who lends it sees the customer by a right of their own: a window that outlasts it lends the basic facts.
    seen: bool,
}

impl Share {
    /// Whether it lasts as long as the task's window, however long that is.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.until.is_none()
    }

    /// Which layers are lent of a window that ends then, and until when.
    #[must_use]
    pub fn over(&self, due_at: Timestamp) -> (Vec<Layer>, Timestamp) {
        match self.until {
            Some(until) if until < due_at && self.seen => (vec![Layer::Basic], due_at),
            until => (self.layers.clone(), until.map_or(due_at, |until| until.min(due_at))),
        }
    }

    /// The same of a task that is put off until then. What was given for less than a window stays as it was.
    #[must_use]
    pub fn put_off(&self, task: &Task, due_at: Timestamp) -> (Vec<Layer>, Timestamp) {
        match self.until {
            None => (task.lent.clone(), due_at),
            Some(_) if task.lent_until < due_at && self.seen => (vec![Layer::Basic], due_at),
            Some(_) => (task.lent.clone(), task.lent_until),
        }
    }
}

/// What somebody lends of a customer with the tasks that they make, put off and hand on.
///
/// To others for the whole window, when they read all of that by a right of their own; else no longer than the task lends
/// it that theirs comes from, because nobody prolongs what was only lent, or, when that is shorter than the window, the basic
/// facts for the whole of it, if those are what they see. To themselves no more than is lent to them already, and by name only
/// what they hold by name: it would outlive their right, or stay when the customer goes. Nor does a loan come back to who
/// lent it, whoever passes it on, unless somebody who sees the customer gives it anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loan {
    by: SubjectId,
    /// Who lends what they pass on: themselves, if they see the customer by right, else who has lent it to them.
    lender: Option<SubjectId>,
    to_others: Share,
    /// Back to who lent it to the giver: that would be a loan to oneself.
    to_lender: Share,
    /// With a task that goes where the customer goes.
    to_self: Share,
    to_self_by_name: Share,
}

impl Loan {
    /// Of who makes a task about a customer, by the levels that they have of it by right.
    #[must_use]
    pub fn of_maker(by: SubjectId, own: Levels, now: Timestamp) -> Self {
        Self::new((by, None), Some(own), vec![Layer::Basic], ([now; 3], now))
    }

    /// Of who changes a task, by the levels that they have of its customer by right.
    #[must_use]
    pub fn of_task(by: SubjectId, own: Option<Levels>, task: &Task, now: Timestamp) -> Self {
        let layers = if task.lent.is_empty() { vec![Layer::Basic] } else { task.lent.clone() };
        let (left, holds) = (task.lend_end(), task.state == TaskState::Open && task.assignee == Some(by));
        let held = |holds: bool| if holds { left } else { now };
        let ends = [left, held(holds), held(holds && task.named == Some(by))];
        Self::new((by, task.lent_by), own, layers, (ends, now))
    }

    /// Of who records what follows from a task: one that has not begun has lent nobody anything.
    #[must_use]
    pub fn of_outcome(by: SubjectId, own: Option<Levels>, task: &Task, now: Timestamp) -> Self {
        let mut loan = Self::of_task(by, own, task, now);
        if task.state != TaskState::Open && !loan.to_others.is_whole() {
            loan.to_others.until = Some(now);
        }
        loan
    }

    fn new(
        (by, lent_by): (SubjectId, Option<SubjectId>),
        own: Option<Levels>,
        layers: Vec<Layer>,
        ([left, to_self, by_name], now): ([Timestamp; 3], Timestamp),
    ) -> Self {
        let sees = own.is_some_and(|own| own.reads(Layer::Basic));
        let reads = sees && own.is_some_and(|own| layers.iter().all(|layer| own.reads(*layer)));
        let share = |until: Option<Timestamp>, seen: bool| Share { layers: layers.clone(), until, seen };
        Self {
            by,
            lender: if sees { Some(by) } else { lent_by },
            to_others: share((!reads).then_some(left), sees),
            to_lender: share(Some(now), false),
            to_self: share(Some(to_self), false),
            to_self_by_name: share(Some(by_name), false),
        }
    }

    /// Of an issue. Without the right to give work to whom it is raised for it lends the basic facts alone. What the plan
    /// has granted to whoever issues are dispatched to comes on top: to others, for as long as the issue takes. What is only
    /// left of a loan does not ride on that.
    #[must_use]
    pub fn of_issue(mut self, gives: bool, granted: &[Layer]) -> Self {
        if !gives {
            for share in [&mut self.to_others, &mut self.to_lender, &mut self.to_self, &mut self.to_self_by_name] {
                share.layers = vec![Layer::Basic];
            }
        }
        if granted.is_empty() {
            return self;
        }
        if !self.to_others.is_whole() {
            self.to_others = Share { layers: vec![Layer::Basic], until: None, ..self.to_others };
        }
        for layer in granted {
            if !self.to_others.layers.contains(layer) {
                self.to_others.layers.push(*layer);
            }
        }
        self
    }

    /// What somebody gets with a task that they are or are not named for; nobody stands for whoever the customer will
    /// belong to.
    #[must_use]
    pub fn share(&self, to: Option<SubjectId>, named: Option<SubjectId>) -> &Share {
        match (to == Some(self.by), named) {
            (false, _) if to.is_some() && to == self.lender => &self.to_lender,
            (false, _) => &self.to_others,
            (true, None) => &self.to_self,
            (true, Some(_)) => &self.to_self_by_name,
        }
    }

    /// Whether somebody who is named would still see the customer then, as far as that is known: by this loan, or by right
    /// if it is who lends.
    #[must_use]
    pub fn reaches(&self, named: SubjectId, then: Timestamp) -> bool {
        // Who lends and sees, sees; who else is named gets the basic facts from who sees.
        let lent = self.share(Some(named), Some(named));
        self.to_others.seen || lent.until.is_none_or(|until| until > then)
    }
}

impl Task {
    /// The same with what it lends to whom it is for.
    #[must_use]
    pub fn lending(mut self, loan: &Loan, (to, named): (Option<SubjectId>, Option<SubjectId>), now: Timestamp) -> Self {
        (self.lent, self.lent_until) = loan.share(to, named).over(self.due_at);
        self.lent_by = loan.lender;
        self.extended(now)
    }

    /// The same after it was put off, when it is to open for whoever the customer belongs to by then: its window is the plan's.
    #[must_use]
    pub fn planned(mut self, now: Timestamp) -> Self {
        self.lent_until = self.due_at;
        self.timer = self.timer_from(now);
        self
    }

    /// The same after it was put off from what it was.
    #[must_use]
    pub fn lending_on(mut self, loan: &Loan, (before, to): (&Self, Option<SubjectId>), now: Timestamp) -> Self {
        (self.lent, self.lent_until) = loan.share(to, self.named).put_off(before, self.due_at);
        if self.lent_until > before.lent_until {
            self.lent_by = loan.lender;
        }
        self.timer = self.timer_from(now);
        self
    }

    /// The same, passed on by order of somebody; to themselves, and to who lends it, it lends nothing any more. Whose loan it
    /// is stays: an order is nobody's sight of the customer.
    #[must_use]
    pub fn passed_on(mut self, by: SubjectId, to: SubjectId, now: Timestamp) -> Self {
        let lender = *self.lent_by.get_or_insert(by);
        if to == by || to == lender {
            self.lent_until = self.lent_until.min(now);
        }
        self
    }

    /// The same with its next extension, when it is open and that comes before its next reminder.
    pub(super) fn extended(mut self, now: Timestamp) -> Self {
        if self.state == TaskState::Open {
            let extension = self.next_extension(Moment { at: now, kind: TimerKind::Escalate });
            self.timer = self.timer.into_iter().chain(extension).min();
        }
        self
    }

    /// How long the access lasts that is lent now: the end of the due window, at most a day ahead, and never past the
    /// end of what was given.
    #[must_use]
    pub fn lend_until(&self, now: Timestamp) -> Timestamp {
        self.lend_end().min(now + LEND_SPAN)
    }

    /// When the last of what it lends is over. To its maker it lends nothing while it follows the customer: to oneself a
    /// loan would outlive the right. To whoever it comes to from there it does.
    #[must_use]
    pub fn lend_end(&self) -> Timestamp {
        let makers_own = self.named.is_none() && self.assignee.is_some() && self.assignee == self.created_by;
        let end = self.due_at.min(self.lent_until);
        if makers_own { end.min(self.open_at) } else { end }
    }

    pub(super) fn next_extension(&self, after: Moment) -> Option<Moment> {
        self.customer?;
        let step = i64::try_from(EXTEND_EVERY.as_micros()).unwrap_or(i64::MAX);
        let passed = (after.at.micros() - self.open_at.micros()).max(0) / step;
        let nth = |n: i64| Moment {
            at: Timestamp::from_micros(self.open_at.micros().saturating_add(step.saturating_mul(n))),
            kind: TimerKind::Extend,
        };
        let next = [nth(passed.max(1)), nth(passed + 1)].into_iter().find(|moment| *moment > after)?;
        // The access lent an extension earlier lasts until an hour after this one; nothing is left to extend beyond the end.
        (next.at + (LEND_SPAN - EXTEND_EVERY) < self.lend_end()).then_some(next)
    }
}
