//! Operations: who may do what here, and what follows from it.

pub mod consume;
pub mod deliveries;
pub mod digest;
pub mod endpoints;
pub mod inbox;
pub mod intake;
pub mod preferences;
pub mod rebuild;
pub mod templates;
pub mod words;
pub mod write;

use revisit_bootstrap::Principal;
use revisit_permission::{Action, Decided, Row};

use crate::domain::Error;

/// What belongs to the tenant as a whole (templates, endpoints, policy) is decided on the row that stands for it.
fn of_tenant(who: &Principal, action: Action) -> Result<Decided, Error> {
    Ok(who.decide(action, &Row::of_tenant(who.tenant()))?)
}

/// What belongs to the caller itself.
fn own(who: &Principal) -> Result<Decided, Error> {
    Ok(who.caller.own(&who.leases).map_err(revisit_core::Failure::from)?)
}
