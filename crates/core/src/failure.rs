//! What a failed operation tells its caller: a closed kind, a stable reason and, for bad input, the fields.
//!
//! Each service has its own `Error`; a `Failure` is what that becomes at the border. Only `bootstrap::status`
//! turns it into a gRPC status and back.

use std::{collections::BTreeMap, error::Error as StdError, fmt, sync::Arc};

use uuid::Uuid;

/// The classes of failure a caller can act on; each is one gRPC code.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum Kind {
    /// The input breaks a rule, whatever the state (INVALID_ARGUMENT).
    Invalid,
    /// No valid token (UNAUTHENTICATED).
    Unauthenticated,
    /// The caller may not do this (PERMISSION_DENIED).
    Denied,
    /// There is no such row, or the caller may not read it (NOT_FOUND).
    NotFound,
    /// Something with that key exists (ALREADY_EXISTS).
    Exists,
    /// The state forbids it until somebody changes it (FAILED_PRECONDITION).
    Precondition,
    /// A lost race: read again and repeat (ABORTED).
    Conflict,
    /// A budget or limit is used up (RESOURCE_EXHAUSTED).
    Exhausted,
    /// A dependency is away; the same call may succeed later (UNAVAILABLE).
    Unavailable,
    /// The time allowed for the call is over (DEADLINE_EXCEEDED).
    Deadline,
    /// The caller or a shutdown ended the call (CANCELLED).
    Cancelled,
    /// Not offered here (UNIMPLEMENTED).
    Unimplemented,
    /// A fault of ours; the caller learns nothing but that (INTERNAL).
    Internal,
}

/// One field that breaks one rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// Path of the field in the request, as in the proto: `contact_points[2].value`.
    pub field: String,
    /// The rule in words, without the offending value.
    pub rule: String,
}

/// What was tried, beneath a refusal that is no decision about one row ([`Failure::caused_by`]): whoever reads the audit log
/// sees there for whom it was, and what was beyond the caller.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Tried {
    /// Type of what it was about.
    pub resource: &'static str,
    /// What and whom it was about.
    pub ids: Vec<Uuid>,
    /// Names of the rights that were beyond the caller, or to be changed.
    pub fields: Vec<String>,
}

impl fmt::Display for Tried {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "tried on {}: {}", self.resource, self.fields.join(", "))
    }
}

impl StdError for Tried {}

/// A failed operation.
#[derive(Clone, Debug)]
pub struct Failure {
    /// What class it is.
    pub kind: Kind,
    /// Stable UPPER_SNAKE word that programs compare.
    pub reason: &'static str,
    /// For people: lower-case, no full stop, no driver text, no personal data.
    pub message: String,
    /// The fields at fault, for [`Kind::Invalid`].
    pub violations: Vec<Violation>,
    /// Machine-readable details beside the reason.
    pub details: BTreeMap<&'static str, String>,
    /// What went wrong beneath: for the log, never for the caller.
    pub source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// A failure without details.
    #[must_use]
    pub fn new(kind: Kind, reason: &'static str, message: impl Into<String>) -> Self {
        Self { kind, reason, message: message.into(), violations: Vec::new(), details: BTreeMap::new(), source: None }
    }

    /// A fault of ours that `source` explains to the log.
    #[must_use]
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self { source: Some(Arc::from(source.into())), ..Self::new(Kind::Internal, "INTERNAL", "internal error") }
    }

    /// Bad input, one violation per field and rule.
    #[must_use]
    pub fn invalid(violations: Vec<Violation>) -> Self {
        let message = match violations.as_slice() {
            [] => "the request is not valid".to_owned(),
            [first] => format!("{}: {}", first.field, first.rule),
            [first, rest @ ..] => format!("{}: {} (and {} more)", first.field, first.rule, rest.len()),
        };
        Self { violations, ..Self::new(Kind::Invalid, "INVALID_ARGUMENT", message) }
    }

    /// Bad input in one field.
    #[must_use]
    pub fn invalid_field(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::invalid(vec![Violation { field: field.into(), rule: rule.into() }])
    }

    /// `what` is away for now.
    #[must_use]
    pub fn unavailable(reason: &'static str, message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, reason, message)
    }

    /// Adds a machine-readable detail.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        self.details.insert(key, value.into());
        self
    }

    /// The same about the fields of a message that lies in a field of another: bad input is named by its path from the
    /// outer one.
    #[must_use]
    pub fn within(self, field: &str) -> Self {
        if self.kind != Kind::Invalid || self.violations.is_empty() {
            return self;
        }
        let inner = |it: Violation| Violation { field: format!("{field}.{}", it.field), ..it };
        let violations = self.violations.into_iter().map(inner).collect();
        Self { source: self.source, reason: self.reason, details: self.details, ..Self::invalid(violations) }
    }

    /// Keeps what lies beneath for the log.
    #[must_use]
    pub fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(Arc::from(source.into()));
        self
    }

    /// Whether the same call may succeed when repeated without any change.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self.kind {
            Kind::Unavailable | Kind::Conflict | Kind::Deadline => true,
            Kind::Invalid
            | Kind::Unauthenticated
            | Kind::Denied
            | Kind::NotFound
            | Kind::Exists
            | Kind::Precondition
            | Kind::Exhausted
            | Kind::Cancelled
            | Kind::Unimplemented
            | Kind::Internal => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.reason, self.message)
    }
}

impl StdError for Failure {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}
