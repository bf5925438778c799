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
pub mod script;
pub mod sweeps;
pub mod tasks;
