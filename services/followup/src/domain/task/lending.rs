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
}

impl Share {
    /// Whether it lasts as long as the task's window, however long that is.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.until.is_none()
    }

    /// When it ends, of a window that ends then.
    #[must_use]
    pub fn end(&self, due_at: Timestamp) -> Timestamp {
        self.until.map_or(due_at, |until| until.min(due_at))
    }
}

/// What somebody lends of a customer with the tasks that they make, put off and hand on.
///
/// To others for the whole window, when they read all of that by a right of their own; else no longer than the task lends
/// it that theirs comes from, because nobody prolongs what was only lent. To themselves no more than is lent to them already,
/// and by name only what they hold by name: it would outlive their right, or stay when the customer goes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loan {
    by: SubjectId,
    /// Whether they see the customer by a right of their own.
    sees: bool,
    to_others: Share,
    /// With a task that goes where the customer goes.
    to_self: Share,
    to_self_by_name: Share,
}

impl Loan {
    /// Of who makes a task about a customer, by the levels that they have of it by right.
    #[must_use]
    pub fn of_maker(by: SubjectId, own: Levels, now: Timestamp) -> Self {
        Self::new(by, Some(own), vec![Layer::Basic], [now; 3])
    }

    /// Of who changes a task, or records what follows from it, by the levels that they have of its customer by right.
    #[must_use]
    pub fn of_task(by: SubjectId, own: Option<Levels>, task: &Task, now: Timestamp) -> Self {
        let layers = if task.lent.is_empty() { vec![Layer::Basic] } else { task.lent.clone() };
        let (left, holds) = (task.lend_end(), task.state == TaskState::Open && task.assignee == Some(by));
        let held = |holds: bool| if holds { left } else { now };
        Self::new(by, own, layers, [left, held(holds), held(holds && task.named == Some(by))])
    }

    fn new(by: SubjectId, own: Option<Levels>, layers: Vec<Layer>, [left, to_self, by_name]: [Timestamp; 3]) -> Self {
        let reads = own.is_some_and(|own| own.reads(Layer::Basic) && layers.iter().all(|layer| own.reads(*layer)));
        let share = |until: Option<Timestamp>| Share { layers: layers.clone(), until };
        Self {
            by,
            sees: own.is_some_and(|own| own.reads(Layer::Basic)),
            to_others: share((!reads).then_some(left)),
            to_self: share(Some(to_self)),
            to_self_by_name: share(Some(by_name)),
        }
    }

    /// Of an issue. Without the right to give work to whom it is raised for it lends the basic facts alone. What the plan
    /// has granted to whoever issues are dispatched to comes on top: to others, for as long as the issue takes. What is only
    /// left of a loan does not ride on that.
    #[must_use]
    pub fn of_issue(mut self, gives: bool, granted: &[Layer]) -> Self {
        if !gives {
            for share in [&mut self.to_others, &mut self.to_self, &mut self.to_self_by_name] {
                share.layers = vec![Layer::Basic];
            }
            if self.sees {
                self.to_others.until = None;
            }
        }
        if granted.is_empty() {
            return self;
        }
        if !self.to_others.is_whole() {
            self.to_others = Share { layers: vec![Layer::Basic], until: None };
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
            (false, _) => &self.to_others,
            (true, None) => &self.to_self,
            (true, Some(_)) => &self.to_self_by_name,
        }
    }

    /// Whether somebody would still see the customer then, as far as that hangs on this loan.
    #[must_use]
    pub fn reaches(&self, to: SubjectId, then: Timestamp) -> bool {
        to != self.by || self.sees || self.to_self_by_name.until.is_none_or(|until| until > then)
    }
}

impl Task {
    /// The same with what it lends to whom it is for.
    #[must_use]
    pub fn lending(mut self, share: &Share, now: Timestamp) -> Self {
        self.lent.clone_from(&share.layers);
        self.lent_until = share.end(self.due_at);
        self.extended(now)
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
