//! A task that is held for change: what is locked with it, who may change it now, and whether its lent access moves.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Timestamp,
    id::{SubjectId, TaskId, TenantId},
};
use revisit_permission::{Action, Levels};

use crate::{
    domain::{
        Error,
        people::Customer,
        plan::Enrolment,
        task::{Loan, Task},
    },
    operations::rights::Rights,
    store::{enrolments, people, projection, tasks},
};

/// A task that is held for change, with what it hangs on.
pub struct Locked {
    pub task: Task,
    pub customer: Option<Customer>,
    pub enrolment: Option<Enrolment>,
    pub parent: Option<Task>,
}

/// Locks a task in the order that all follow: customer, enrolment, timer, tasks by key. Nothing when a timer fired
/// meanwhile: the caller begins again in a new transaction.
pub async fn lock(tx: &Tx, tenant: TenantId, id: TaskId) -> Result<Option<Locked>, Error> {
    let read = tasks::find(tx, tenant, id).await?.ok_or(Error::NoSuchTask)?;
    let customer = match read.customer {
        Some(customer) => projection::customer(tx, tenant, customer, projection::Hold::Share).await?,
        None => None,
    };
    let enrolment = match &read.origin {
        Some(origin) => enrolments::lock(tx, tenant, origin.enrolment).await?,
        None => None,
    };
    let parent = match read.parent {
        Some(parent) => tasks::find(tx, tenant, parent).await?,
        None => None,
    };
    let both: Vec<&Task> = [Some(&read), parent.as_ref()].into_iter().flatten().collect();
    let Some(mut locked) = tasks::lock(tx, &both).await? else { return Ok(None) };
    let Some(place) = locked.iter().position(|task| task.id == id) else { return Ok(None) };
    let task = locked.swap_remove(place);
    Ok(Some(Locked { task, customer, enrolment, parent: locked.pop() }))
}

impl Locked {
    /// Decides on the task as it is now that nobody changes it: it may have changed hands since it was read.
    pub fn decide(&self, rights: &mut Rights, action: Action) -> Result<Levels, Error> {
        rights.decide(action, &self.task.row(self.customer.as_ref()))
    }

    /// Refuses when the caller has seen an older version.
    pub fn unchanged(&self, etag: Option<i64>) -> Result<(), Error> {
        if etag.is_none_or(|etag| etag == self.task.version) { Ok(()) } else { Err(Error::Stale) }
    }
}

/// What somebody who changes a task lends of its customer.
pub fn loan(rights: &mut Rights, locked: &Locked, now: Timestamp) -> Result<Loan, Error> {
    Ok(Loan::of_task(rights.who().subject(), own(rights, locked)?, &locked.task, now))
}

/// What somebody who records an outcome lends of the customer with what follows from it.
pub fn loan_of_outcome(rights: &mut Rights, locked: &Locked, now: Timestamp) -> Result<Loan, Error> {
    Ok(Loan::of_outcome(rights.who().subject(), own(rights, locked)?, &locked.task, now))
}

/// What somebody sees of the customer by a right of their own: decided on what followup knows of it, where no task is.
fn own(rights: &mut Rights, locked: &Locked) -> Result<Option<Levels>, Error> {
    match &locked.customer {
        Some(customer) => rights.allowed(Action::CustomerView, &customer.row()),
        None => Ok(None),
    }
}

/// Refuses a person who is not active where one is named.
pub async fn active(tx: &Tx, tenant: TenantId, named: Option<SubjectId>) -> Result<(), Error> {
    match named {
        Some(named) if !people::persons(tx, tenant, &[named]).await?.is_active(named) => Err(Error::NotActive(named)),
        Some(_) | None => Ok(()),
    }
}
