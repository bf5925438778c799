//! Reading a request and answering it: who asks, within which bounds, and as which status a failure goes out.

use std::sync::Arc;

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use revisit_bootstrap::{
    Refusals, address,
    auth::{AT_LEAST_HEADER, Principal},
};
use revisit_core::{Failure, Kind};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::{
    Desk,
    body::{self, TOO_LARGE},
    wire::Object,
};
use crate::{App, domain::Error, operations::asking::Asker};

/// What a client names its request by; the answer names it too.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: &str = "application/json";

/// An answer in JSON, and what it refuses of several questions.
pub struct Told {
    pub answer: Value,
    pub refusals: Option<Refusals>,
}

impl From<Value> for Told {
    fn from(answer: Value) -> Self {
        Self { answer, refusals: None }
    }
}

/// Answers a question in JSON.
pub async fn asked<I, T, F>(desk: Desk, request: Request, act: fn(Arc<App>, Asker, I) -> F) -> Response
where
    I: DeserializeOwned + Send,
    T: Into<Told>,
    F: Future<Output = Result<T, Error>> + Send,
{
    let request_id = request.headers().get(&REQUEST_ID).cloned();
    let answering = async {
        let call = request.uri().path().rsplit('/').next().map(|name| format!("AuthZEN/{name}")).unwrap_or_default();
        let address = address::of(request.headers(), request.extensions(), desk.address_header.as_ref());
        // Without the body, which threads cannot share.
        let (parts, body) = request.into_parts();
        let who = principal(&desk, &parts.headers).await?;
        let caller = who.caller.clone();
        let share = desk.calls.add((who.tenant(), who.subject()), desk.config.calls_per_subject_max);
        let _share = share.ok_or_else(too_many)?;
        require_json(&parts.headers)?;
        let held = body::read(body, desk.config.body_kibibytes_max, &desk.bodies).await?;
        // Only now: who withholds a body takes up nobody's room but the own share.
        let _room = desk.room.try_acquire().map_err(|_| overloaded())?;
        // In the room, because what is read is many times as large as its text.
        let Object(input): Object<I> =
            serde_json::from_slice(&held.bytes).map_err(|fault| Failure::invalid_field("body", fault.to_string()))?;
        drop(held);
        let answer = act(Arc::clone(&desk.app), Asker::Subject(Box::new(who)), input).await;
        let answer: Result<Told, Failure> = answer.map(Into::into).map_err(Failure::from);
        let refusals = answer.as_ref().ok().and_then(|told| told.refusals.as_ref());
        if let Some(denials) = &desk.denials {
            for failure in answer.as_ref().err().into_iter().chain(refusals.into_iter().flat_map(Refusals::iter)) {
                denials.refused(&caller, &call, address, failure).await?;
            }
        }
        answer
    };
    let answered = tokio::time::timeout(desk.config.time_max(), answering).await;
    let mut response = match answered.unwrap_or_else(|_| Err(late())) {
        Ok(told) => json(StatusCode::OK, &told.answer),
        Err(failure) => refused(&failure),
    };
    if let Some(id) = request_id {
        response.headers_mut().insert(REQUEST_ID, id);
    }
    response
}

fn require_json(headers: &HeaderMap) -> Result<(), Failure> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .is_some_and(|it| it.split(';').next().is_some_and(|media| media.trim().eq_ignore_ascii_case(JSON)));
    if is_json { Ok(()) } else { Err(Failure::invalid_field("Content-Type", "must be application/json")) }
}

/// Who asks. Nobody who is not known has a body read.
async fn principal(desk: &Desk, headers: &HeaderMap) -> Result<Principal, Failure> {
    let Some(authorization) = headers.get(header::AUTHORIZATION) else {
        return Err(Failure::new(Kind::Unauthenticated, "TOKEN_REQUIRED", "the call needs an access token"));
    };
    let mut who = desk.verifier.principal(authorization).await?;
    if let Some(token) = headers.get(AT_LEAST_HEADER) {
        let least = desk.verifier.at_least(token.to_str().unwrap_or_default(), Some(who.tenant())).await?;
        who.caller = who.caller.at_least(least);
    }
    Ok(who)
}

pub fn overloaded() -> Failure {
    Failure::unavailable("OVERLOADED", "too many requests at once; try again")
}

fn too_many() -> Failure {
    let message = "too many requests of one subject at once; try again when some have ended";
    Failure::new(Kind::Exhausted, "CALLS_TOO_MANY", message)
}

fn late() -> Failure {
    Failure::new(Kind::Deadline, "DEADLINE_EXCEEDED", "the request took too long")
}

/// The status of a failure: about the question, never about a decision.
pub fn status(failure: &Failure) -> StatusCode {
    if failure.reason == TOO_LARGE {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    match failure.kind {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Denied => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Exists | Kind::Precondition | Kind::Conflict => StatusCode::CONFLICT,
        Kind::Exhausted => StatusCode::TOO_MANY_REQUESTS,
        Kind::Unavailable | Kind::Cancelled => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Deadline => StatusCode::GATEWAY_TIMEOUT,
        Kind::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// The standard wants a message, a string in JSON.
fn refused(failure: &Failure) -> Response {
    let status = status(failure);
    if status.is_server_error() {
        let cause = std::error::Error::source(failure).map(ToString::to_string);
        tracing::warn!(%failure, cause, "an AuthZEN request failed");
    }
    let mut response = json(status, &Value::String(failure.to_string()));
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// An answer in JSON.
pub fn json(status: StatusCode, value: &Value) -> Response {
    let mut response = Response::new(Body::from(value.to_string()));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(JSON));
    response
}
