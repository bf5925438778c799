//! The rules of notification, without I/O: kinds, states, retries, quiet hours, templates, addresses, signatures.

pub mod kind;
pub mod outbound;
pub mod quiet;
pub mod retry;
pub mod shipped;
pub mod signature;
pub mod state;
pub mod template;

use revisit_core::{Failure, Kind, Violation};

pub use kind::{Channel, MessageKind};
pub use quiet::QuietHours;
pub use state::{Outcome, Progress, State, Terms};
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
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        if let Error::Template(flaws) = error {
            let violation = |flaw: template::Flaw| Violation {
                field: match flaw.part {
                    template::Part::Text => "template.text".to_owned(),
                    template::Part::Layout => "template.layout".to_owned(),
                },
                rule: flaw.rule,
            };
            return Self::invalid(flaws.into_iter().map(violation).collect());
        }
        let (kind, reason) = error.kind();
        Self::new(kind, reason, error.to_string())
    }
}
