//! The one place where a failure becomes a gRPC status and a status becomes a failure again.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    error::Error as _,
    pin::Pin,
    sync::{Arc, Mutex},
};

use futures::{Stream, StreamExt};
use revisit_core::{Failure, Kind, Violation};
use tonic::{Code, Response, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

use crate::denials::AUDITED_HEADER;

/// The domain of every ErrorInfo.
pub const DOMAIN: &str = "revisit";

/// What a unary handler answers.
pub type Reply<T> = Result<Response<T>, Status>;

/// What a streaming handler answers with.
pub type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// The third move of every handler: answers what an operation gave.
pub fn reply<T, E: Into<Failure>>(result: Result<T, E>) -> Reply<T> {
    result.map(Response::new).map_err(|error| status(error.into()))
}

/// The third move of a handler that answers a stream.
pub fn reply_stream<T, E, S>(result: Result<S, E>) -> Reply<Streamed<T>>
where
    E: Into<Failure>,
    S: Stream<Item = Result<T, E>> + Send + 'static,
{
    reply(
        result.map(|stream| -> Streamed<T> { Box::pin(stream.map(|item| item.map_err(|error| status(error.into())))) }),
    )
}

/// A failure as it goes on the wire. An internal one says nothing there; its source is logged here, once.
#[must_use]
pub fn status(failure: Failure) -> Status {
    if failure.kind == Kind::Internal {
        log(&failure);
        return fault();
    }
    if failure.kind == Kind::Unavailable && failure.source.is_some() {
        log(&failure);
    }
    let metadata: HashMap<_, _> =
        failure.details.into_iter().map(|(key, value)| (key.to_owned(), clipped(value))).collect();
    let mut details = ErrorDetails::with_error_info(failure.reason, DOMAIN, metadata);
    if !failure.violations.is_empty() {
        details.set_bad_request(fitting(failure.violations));
    }
    let mut status = Status::with_error_details(code(failure.kind), clipped(failure.message), details);
    if let Some(source) = failure.source {
        // It never leaves the process; the layer in front reads there what a denial was about.
        status.set_source(source);
    }
    status
}

fn fault() -> Status {
    let details = ErrorDetails::with_error_info("INTERNAL", DOMAIN, HashMap::new());
    Status::with_error_details(Code::Internal, "internal error", details)
}

/// What the caller of a handler that panicked hears. The panic itself is in the log already.
pub(crate) fn panicked() -> Status {
    fault()
}

/// Lies beneath a refusal that the peer which made it has written into the audit log.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("a peer refused it")]
pub(crate) struct Audited;

/// Bytes of all violations of one answer. They travel in a header, and clients break the connection over headers that
/// are larger than they allow, 8 KiB in some languages.
const VIOLATIONS_BYTES_MAX: usize = 3_072;
/// Characters of one text of an answer, which may repeat what the caller sent.
const TEXT_MAX: usize = 300;

/// As many violations as fit, always at least one; what is left out is counted.
fn fitting(violations: Vec<Violation>) -> Vec<FieldViolation> {
    let count = violations.len();
    let mut bytes = 0;
    let mut told: Vec<_> = violations
        .into_iter()
        .map(|violation| FieldViolation::new(clipped(violation.field), clipped(violation.rule)))
        .take_while(|told| {
            let first = bytes == 0;
            bytes += told.field.len() + told.description.len() + 1;
            first || bytes <= VIOLATIONS_BYTES_MAX
        })
        .collect();
    if told.len() < count {
        told.push(FieldViolation::new("", format!("and {} more", count - told.len())));
    }
    told
}

fn clipped(text: String) -> String {
    match text.char_indices().nth(TEXT_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

/// What a peer's status tells. A peer's internal fault is one of ours to our own caller.
#[must_use]
pub fn failure(status: &Status) -> Failure {
    let details = status.get_error_details();
    let kind = kind(status.code());
    if kind == Kind::Internal {
        return Failure::internal(format!("a peer answered {:?}: {}", status.code(), status.message()));
    }
    let (reason, metadata) = match details.error_info() {
        Some(info) if info.domain == DOMAIN => (known(&info.reason), info.metadata.clone()),
        Some(_) | None => (default_reason(kind), HashMap::new()),
    };
    let details_known: BTreeMap<_, _> = metadata.into_iter().map(|(key, value)| (known(&key), value)).collect();
    let violations = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    let audited = status.metadata().contains_key(AUDITED_HEADER);
    Failure {
        source: audited.then(|| -> Arc<dyn std::error::Error + Send + Sync> { Arc::new(Audited) }),
        violations: violations.into_iter().map(|bad| Violation { field: bad.field, rule: bad.description }).collect(),
        details: details_known,
        ..Failure::new(kind, reason, status.message())
    }
}

/// Why the messages that a caller streams have ended: most often because one of them is none.
#[must_use]
pub fn unreadable(status: &Status) -> Failure {
    if status.code() == Code::Internal {
        return Failure::new(Kind::Invalid, "MESSAGE_UNREADABLE", "a message of the stream cannot be decoded");
    }
    failure(status)
}

/// A peer's answer, or what its status tells.
pub fn answer<T>(result: Result<Response<T>, Status>) -> Result<T, Failure> {
    result.map(Response::into_inner).map_err(|status| failure(&status))
}

fn log(failure: &Failure) {
    let mut causes = String::new();
    let mut next = failure.source();
    while let Some(cause) = next {
        causes.push_str(if causes.is_empty() { "" } else { ": " });
        causes.push_str(&cause.to_string());
        next = cause.source();
    }
    tracing::error!(reason = failure.reason, cause = causes, "a call failed: {}", failure.message);
}

const fn code(kind: Kind) -> Code {
    match kind {
        Kind::Invalid => Code::InvalidArgument,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::Denied => Code::PermissionDenied,
        Kind::NotFound => Code::NotFound,
        Kind::Exists => Code::AlreadyExists,
        Kind::Precondition => Code::FailedPrecondition,
        Kind::Conflict => Code::Aborted,
        Kind::Exhausted => Code::ResourceExhausted,
        Kind::Unavailable => Code::Unavailable,
        Kind::Deadline => Code::DeadlineExceeded,
        Kind::Cancelled => Code::Cancelled,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Internal => Code::Internal,
    }
}

const fn kind(code: Code) -> Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => Kind::Invalid,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::PermissionDenied => Kind::Denied,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::Exists,
        Code::FailedPrecondition => Kind::Precondition,
        Code::Aborted => Kind::Conflict,
        Code::ResourceExhausted => Kind::Exhausted,
        Code::Unavailable => Kind::Unavailable,
        Code::DeadlineExceeded => Kind::Deadline,
        Code::Cancelled => Kind::Cancelled,
        Code::Unimplemented => Kind::Unimplemented,
        Code::Ok | Code::Unknown | Code::Internal | Code::DataLoss => Kind::Internal,
    }
}

/// The reason of a status that names none.
const fn default_reason(kind: Kind) -> &'static str {
    match kind {
        Kind::Invalid => "INVALID_ARGUMENT",
        Kind::Unauthenticated => "UNAUTHENTICATED",
        Kind::Denied => "PERMISSION_DENIED",
        Kind::NotFound => "NOT_FOUND",
        Kind::Exists => "ALREADY_EXISTS",
        Kind::Precondition => "FAILED_PRECONDITION",
        Kind::Conflict => "ABORTED",
        Kind::Exhausted => "RESOURCE_EXHAUSTED",
        Kind::Unavailable => "UNAVAILABLE",
        Kind::Deadline => "DEADLINE_EXCEEDED",
        Kind::Cancelled => "CANCELLED",
        Kind::Unimplemented => "UNIMPLEMENTED",
        Kind::Internal => "INTERNAL",
    }
}

/// Words that peers sent; they come from our own closed sets, so the bound only guards against a peer gone mad.
static WORDS: Mutex<BTreeSet<&'static str>> = Mutex::new(BTreeSet::new());
const WORDS_MAX: usize = 4_096;
const WORD_LENGTH_MAX: usize = 64;

fn known(word: &str) -> &'static str {
    // A poisoned lock only means that another thread panicked between two insertions.
    let mut words = WORDS.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(found) = words.get(word) {
        return found;
    }
    if words.len() >= WORDS_MAX || word.len() > WORD_LENGTH_MAX {
        return "OTHER";
    }
    let word: &'static str = Box::leak(word.to_owned().into_boxed_str());
    words.insert(word);
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_survives_the_wire_with_its_reason_details_and_fields() {
        let sent = Failure::new(Kind::Precondition, "DEPARTMENT_DISABLED", "the department is disabled")
            .with("department", "0190a0a0-0000-7000-8000-000000000001");
        let got = failure(&status(sent.clone()));
        assert_eq!(
            (got.kind, got.reason, &got.message, &got.details),
            (sent.kind, sent.reason, &sent.message, &sent.details)
        );
        let got = failure(&status(Failure::invalid_field("name", "is required")));
        assert_eq!(got.violations, [Violation { field: "name".to_owned(), rule: "is required".to_owned() }]);
    }

    #[test]
    fn an_answer_with_thousands_of_violations_still_fits_into_a_header() {
        let many = (0..5_000).map(|index| Violation { field: format!("paths[{index}]"), rule: "长".repeat(10_000) });
        let status = status(Failure { message: "长".repeat(10_000), ..Failure::invalid(many.collect()) });
        assert!(status.details().len() + status.message().len() < 6_000, "{}", status.details().len());
        let told = failure(&status).violations;
        assert_eq!(told.first().map(|first| first.field.as_str()), Some("paths[0]"));
        assert_eq!(told.last().map(|last| last.rule.clone()), Some(format!("and {} more", 5_001 - told.len())));
    }

    #[test]
    fn an_internal_fault_says_nothing_on_the_wire() {
        let status = status(Failure::internal("relation \"customer\" does not exist"));
        assert_eq!(status.message(), "internal error");
        assert!(!format!("{:?}", status.get_error_details()).contains("relation"));
    }
}
