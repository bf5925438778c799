//! Who calls: a user or service account by an EdDSA token, a service of ours by its service token, or both at once
//! when a service acts for a user. Every call but the public ones needs one of them.

use std::sync::Arc;

use http::{HeaderName, HeaderValue, header::AUTHORIZATION};
use revisit_core::{
    Failure, Kind,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Asked, Caller, Decided, Leases, Row, Scope};
use tokio::time::Instant;
use tonic::{Request, Status, body::Body};

use crate::{
    address,
    front::{Inner, Step, is_about_server, pass},
    limits::{Deadline, refuse},
    server::Gate,
    status,
};

mod callers;
mod keys;
mod revision;
mod verify;

pub use callers::Callers;
pub use keys::Keys;
pub use revision::RevisionToken;
pub use verify::{AUDIENCE, Claims, ISSUER, Verifier};

/// Metadata in which a service proves itself to another.
pub const CALLER_HEADER: &str = "x-revisit-caller";
/// Metadata that names the least revision to decide on.
pub const AT_LEAST_HEADER: &str = "x-revisit-at-least";

/// Who calls, and what decides for it. One per request.
#[derive(Clone)]
pub struct Principal {
    /// The subject as the permission crate knows it.
    pub caller: Caller,
    /// What its decisions are read from.
    pub leases: Leases,
    /// The service of ours that acts for it, if one does.
    pub service: Option<&'static str>,
    pub(crate) authorization: Option<HeaderValue>,
    pub(crate) deadline: Option<Instant>,
}

impl Principal {
    /// Somebody who is not calling, for a decision that a service makes by itself.
    #[must_use]
    pub fn named(leases: &Leases, tenant: TenantId, subject: SubjectId) -> Self {
        let caller = Caller::named(tenant, subject);
        Self { caller, leases: leases.clone(), service: None, authorization: None, deadline: None }
    }

    /// Its tenant.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.caller.tenant
    }

    /// The subject.
    #[must_use]
    pub const fn subject(&self) -> SubjectId {
        self.caller.subject
    }

    /// The rows to which it may do `action`; fails only if there can be none.
    pub fn scope<'a>(&self, asked: impl Into<Asked<'a>>) -> Result<Scope, Failure> {
        Ok(self.caller.scope(&self.leases, asked)?)
    }

    /// The proof that it may do `action` to `row`.
    pub fn decide(&self, action: Action, row: &Row) -> Result<Decided, Failure> {
        Ok(self.caller.decide(&self.leases, action, row)?)
    }
}

/// A service of ours that calls for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceCaller {
    /// Its name.
    pub service: &'static str,
}

/// The first move of a handler that serves users: who calls, and the message.
pub fn authenticated<T>(request: Request<T>) -> Result<(Principal, T), Status> {
    let principal = request.extensions().get::<Principal>().cloned();
    principal.map(|principal| (principal, request.into_inner())).ok_or_else(|| status::status(no_token()))
}

/// The first move of a handler that serves only the named services.
pub fn internal<T>(request: Request<T>, allowed: &[&str]) -> Result<(ServiceCaller, T), Status> {
    match request.extensions().get::<ServiceCaller>().copied() {
        Some(caller) if allowed.contains(&caller.service) => Ok((caller, request.into_inner())),
        Some(_) | None => {
            let message = "this call is for services of revisit only";
            Err(status::status(Failure::new(Kind::Denied, "INTERNAL_CALL", message)))
        }
    }
}

fn no_token() -> Failure {
    Failure::new(Kind::Unauthenticated, "TOKEN_REQUIRED", "the call needs an access token")
}

/// The layer that finds out who calls.
#[derive(Clone)]
pub struct Auth(Arc<Parts>);

struct Parts {
    verifier: Verifier,
    callers: Callers,
    /// In which a balancer of ours names the caller's address.
    address: Option<HeaderName>,
}

impl Auth {
    pub(crate) fn new(verifier: Verifier, callers: Callers, address: Option<HeaderName>) -> Self {
        Self(Arc::new(Parts { verifier, callers, address }))
    }

    /// The layer for what lies behind a gate.
    #[must_use]
    pub(crate) fn behind(self, gate: Gate) -> Guarded {
        Guarded { auth: self, gate }
    }

    /// Puts who calls into the request's extensions. It takes the parts without the body, which threads cannot share.
    async fn identify(&self, parts: &mut http::request::Parts, public: bool) -> Result<(), Failure> {
        let service = parts.headers.get(CALLER_HEADER).map(|token| self.0.callers.accept(token)).transpose()?;
        if let Some(service) = service {
            parts.extensions.insert(ServiceCaller { service });
        }
        // A public call (log-in, refresh) is answered to whoever asks, also with a token that is no longer valid.
        if public {
            return Ok(());
        }
        let Some(authorization) = parts.headers.get(AUTHORIZATION).cloned() else {
            return if service.is_some() { self.at_least(parts, None).await.map(drop) } else { Err(no_token()) };
        };
        let caller = self.0.verifier.caller(&authorization).await?;
        let least = self.at_least(parts, Some(caller.tenant)).await?;
        let principal = Principal {
            caller: caller.at_least(least),
            leases: self.0.verifier.leases().clone(),
            service,
            authorization: Some(authorization),
            deadline: parts.extensions.get::<Deadline>().map(|deadline| deadline.0),
        };
        parts.extensions.insert(principal);
        Ok(())
    }

    async fn at_least(&self, parts: &http::request::Parts, tenant: Option<TenantId>) -> Result<i64, Failure> {
        let Some(token) = parts.headers.get(AT_LEAST_HEADER) else { return Ok(0) };
        self.0.verifier.at_least(token.to_str().unwrap_or_default(), tenant).await
    }
}

/// The authentication layer in its place.
#[derive(Clone)]
pub struct Guarded {
    auth: Auth,
    gate: Gate,
}

impl Step for Guarded {
    async fn step<S: Inner>(self, request: http::Request<Body>, next: S) -> http::Response<Body> {
        // Who calls too early hears that it is too early, and not that the token is wrong.
        if is_about_server(request.uri().path()) || !self.gate.is_open() {
            return pass(next, request).await;
        }
        let public = self.gate.is_public(request.uri().path());
        let (mut parts, body) = request.into_parts();
        match self.auth.identify(&mut parts, public).await {
            Ok(()) => {
                let service = parts.extensions.get::<ServiceCaller>().map(|caller| caller.service);
                let request = http::Request::from_parts(parts, body);
                address::pass_from(next, request, self.auth.0.address.as_ref(), service).await
            }
            Err(failure) => refuse(failure),
        }
    }
}
