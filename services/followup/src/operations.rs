//! The use cases: what people ask for, what other services' events cause, and what goes on in the background.

pub mod arrivals;
pub mod by_hand;
pub mod calendars;
pub mod complete;
pub mod consume;
pub mod customers;
pub mod enrolments;
pub mod events;
pub mod figures;
pub mod hand_over;
pub mod outcomes;
pub mod planner;
pub mod plans;
pub mod rebuild;
pub mod rights;
pub mod script;
pub mod sight;
pub mod sweeps;
pub mod tasks;
pub mod write;

use revisit_core::{Failure, Kind};

use crate::domain::Error;

/// What was decided, or nothing when it was denied; that nobody can say now is told.
fn allowed<T>(decided: Result<T, Failure>) -> Result<Option<T>, Error> {
    match decided {
        Ok(decided) => Ok(Some(decided)),
        Err(failure) if failure.kind == Kind::Denied => Ok(None),
        Err(failure) => Err(failure.into()),
    }
}
