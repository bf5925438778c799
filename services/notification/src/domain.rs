//! The rules of notification, without I/O: kinds, states, retries, quiet hours, templates, addresses, signatures.

pub mod fact;
pub mod gate;
pub mod kind;
pub mod morning;
pub mod outbound;
pub mod quiet;
pub mod retry;
pub mod shipped;
pub mod signature;
pub mod state;
pub mod template;

use revisit_core::{Failure, Kind, Violation};

pub use fact::Fact;
pub use kind::{Channel, MessageKind};
pub use quiet::QuietHours;
pub use state::{Call, Outcome, Progress, State, Terms};
pub use template::{Locale, Template, Value, Values};

/// Everything that a caller, or a worker, may have to act on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such delivery")]
    NoSuchDelivery,
    #[error("there is no such message in your inbox")]
    NoSuchMessage,
    #[error("there is no such template")]
    NoSuchTemplate,
    #[error("there is no such endpoint")]
    NoSuchEndpoint,
    #[error("there is no such key on this endpoint")]
    NoSuchKey,
    #[error("there is no such replay")]
    NoSuchReplay,
    #[error("it was changed in the meantime")]
    Stale,
    #[error("an endpoint has at most {0} keys")]
    TooManyKeys(usize),
    #[error("the last key of an endpoint stays")]
    LastKey,
    #[error("a tenant has at most {0} endpoints")]
    TooManyEndpoints(u64),
    #[error("a delivery cannot go from {} to {}", from.name(), to.name())]
    NoSuchEdge { from: State, to: State },
    #[error("the template breaks a rule")]
    Template(Vec<template::Flaw>),
    /// A failure that already says what it is: bad input, a denial, a fault beneath.
    #[error("{0}")]
    Failed(Failure),
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}

impl Error {
    const fn kind(&self) -> (Kind, &'static str) {
        match self {
            Self::NoSuchDelivery => (Kind::NotFound, "DELIVERY_NOT_FOUND"),
            Self::NoSuchMessage => (Kind::NotFound, "MESSAGE_NOT_FOUND"),
            Self::NoSuchTemplate => (Kind::NotFound, "TEMPLATE_NOT_FOUND"),
            Self::NoSuchEndpoint => (Kind::NotFound, "ENDPOINT_NOT_FOUND"),
            Self::NoSuchKey => (Kind::NotFound, "ENDPOINT_KEY_NOT_FOUND"),
            Self::NoSuchReplay => (Kind::NotFound, "REPLAY_NOT_FOUND"),
            Self::Stale => (Kind::Conflict, "STALE_ETAG"),
            Self::TooManyKeys(_) => (Kind::Precondition, "TOO_MANY_KEYS"),
            Self::LastKey => (Kind::Precondition, "LAST_KEY"),
            Self::TooManyEndpoints(_) => (Kind::Exhausted, "TOO_MANY_ENDPOINTS"),
            Self::NoSuchEdge { .. } => (Kind::Conflict, "DELIVERY_MOVED_ON"),
            Self::Template(_) => (Kind::Invalid, "INVALID_ARGUMENT"),
            Self::Failed(failure) => (failure.kind, failure.reason),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let ((kind, reason), message) = (error.kind(), error.to_string());
        if let Error::Failed(failure) = error {
            return failure;
        }
        if let Error::Template(flaws) = error {
            return Self::invalid(flaws.into_iter().map(violation).collect());
        }
        Self::new(kind, reason, message)
    }
}

fn violation(flaw: template::Flaw) -> Violation {
    let field = match flaw.part {
        template::Part::Text => "template.text",
        template::Part::Layout => "template.layout",
    };
    Violation { field: field.to_owned(), rule: flaw.rule }
}
