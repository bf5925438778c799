//! Calls of a module that is switched off for their caller: refused before any handler, all with the same answer.
//!
//! Handlers decide too, but each in its own order: one would look for the row first and find none, another would answer
//! what is decided by a right of no module. A service says with its routes which action each such call is for.

use http::{Request, Response};
use revisit_core::Failure;
use revisit_permission::{Action, Axis};
use tonic::body::Body;

use crate::{
    auth::Principal,
    front::{Inner, Step, pass},
    limits::refuse,
    server::Gate,
};

/// The layer that asks for the module.
#[derive(Clone)]
pub struct Modules {
    gate: Gate,
}

impl Modules {
    /// For what lies behind a gate.
    #[must_use]
    pub(crate) const fn new(gate: Gate) -> Self {
        Self { gate }
    }
}

impl Step for Modules {
    async fn step<S: Inner>(self, request: Request<Body>, next: S) -> Response<Body> {
        let action = self.gate.action(request.uri().path());
        let switched_on = match (action, request.extensions().get::<Principal>()) {
            (Some(action), Some(who)) => require_on(who, action),
            (Some(_) | None, _) => Ok(()),
        };
        match switched_on {
            Ok(()) => pass(next, request).await,
            Err(failure) => refuse(failure),
        }
    }
}

/// Refuses on the axis of modules only: whatever else stands in the way is for the handler to say.
fn require_on(who: &Principal, action: Action) -> Result<(), Failure> {
    match who.caller.scope(&who.leases, action) {
        Err(denial) if denial.decision.is_some_and(|it| it.witness.refused() == Some(Axis::Module)) => {
            Err(denial.into())
        }
        Ok(_) | Err(_) => Ok(()),
    }
}
