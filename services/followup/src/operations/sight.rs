//! By what rights somebody looks at a task and at what was said in it. They are asked together, once, and all of them
//! again when the answer leaves: levels of a right that is not confirmed would outlive it.

use revisit_bootstrap::Principal;
use revisit_permission::{Action, Beside, Decision, Layer, Level, Levels, Permit, Scope};

use super::allowed;
use crate::domain::{Error, people::Customer, task::Task};

/// The rights of one reader.
pub struct Sight {
    tasks: Scope,
    /// None for who views no customer.
    customers: Option<Scope>,
    /// None for who reviews no task.
    reviews: Option<Scope>,
}

impl Sight {
    /// For who views some task at least.
    pub fn of(who: &Principal) -> Result<Self, Error> {
        let tasks = who.scope(Action::TaskView)?;
        let (customers, reviews) = (allowed(who.scope(Action::CustomerView))?, allowed(who.scope(Action::TaskReview))?);
        Ok(Self { tasks, customers, reviews })
    }

    /// What is read and written under. A right that the reader does not have has shown nothing.
    pub fn permit(&self) -> impl Permit + use<> {
        Beside(Beside(self.tasks.clone(), self.customers.clone()), self.reviews.clone())
    }

    /// Which tasks.
    pub const fn tasks(&self) -> &Scope {
        &self.tasks
    }

    /// What decided that the task is seen, if it is.
    pub fn decision(&self, task: &Task, customer: Option<&Customer>) -> Option<Decision> {
        self.tasks.decision_on(&task.row(customer))
    }

    /// The levels of a customer, if it is seen.
    pub fn viewed(&self, customer: &Customer) -> Option<Levels> {
        self.customers.as_ref()?.levels(&customer.row())
    }

    /// Whether the reader reviews what came of the task.
    pub fn reviews(&self, task: &Task, customer: Option<&Customer>) -> bool {
        self.reviews.as_ref().is_some_and(|scope| scope.levels(&task.row(customer)).is_some())
    }

    /// The levels of a task's texts, which give its reader no more of a customer's sensitive values than the customer
    /// does.
    pub fn of_texts(&self, levels: Levels, customer: Option<&Customer>) -> Levels {
        let Some(customer) = customer else { return levels };
        let viewed = self.viewed(customer).map_or(Level::Hidden, |viewed| viewed.get(Layer::Sensitive));
        levels.cap(Levels::WRITE.with(Layer::Sensitive, viewed))
    }
}
