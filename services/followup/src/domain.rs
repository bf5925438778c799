//! The rules of follow-up: plans, what they make of a customer's standing, tasks and outcomes; and all that can go wrong.

pub mod agenda;
pub mod calendar;
pub mod outcome;
pub mod people;
pub mod plan;
pub mod planning;
pub mod task;

use revisit_core::{Failure, Kind, Violation, id::SubjectId};
use revisit_permission::{Denial, Layer};

/// Why an operation failed: one variant per thing that a caller could act on.
#[derive(Debug)]
pub enum Error {
    /// No such task, or one that the caller may not read.
    NoSuchTask,
    NoSuchPlan,
    NoSuchVersion,
    NoSuchEnrolment,
    NoSuchCalendar,
    NoSuchCustomer,
    NoSuchOutcome,
    NoSuchTemplate,
    /// Somebody changed the row since the caller read it, or is changing it now.
    Stale,
    /// The task was done or cancelled.
    TaskClosed,
    /// A due time that has passed.
    DueInPast,
    /// Only an occurrence of a plan can be skipped.
    NotSkippable,
    /// The plan has ended.
    PlanRetired,
    /// Nothing differs from what is published.
    NoDraft,
    /// The caller may not grant these layers, so a plan of theirs may not lend them.
    LayersRefused(Vec<Layer>),
    /// The caller may not write a note of this layer.
    LayerNotWritable(Layer),
    /// The enrolment is not in the state that the call needs.
    EnrolmentState,
    /// The person is no active user of the company.
    NotActive(SubjectId),
    /// Nobody reviews an outcome of their own.
    OwnReview,
    /// The outcome waits for no review.
    NoReview,
    /// The result is not one that the plan names.
    UnknownResult,
    /// As many calendars as a company may have.
    TooManyCalendars(usize),
    /// Bad input that only stored rows can show.
    Invalid(Vec<Violation>),
    /// The decision said no.
    Denied(Denial),
    /// From beneath: database, lease, peer.
    Failed(Failure),
}

impl Error {
    fn kind(&self) -> (Kind, &'static str) {
        match self {
            Self::NoSuchTask => (Kind::NotFound, "TASK_NOT_FOUND"),
            Self::NoSuchPlan => (Kind::NotFound, "PLAN_NOT_FOUND"),
            Self::NoSuchVersion => (Kind::NotFound, "PLAN_VERSION_NOT_FOUND"),
            Self::NoSuchEnrolment => (Kind::NotFound, "ENROLMENT_NOT_FOUND"),
            Self::NoSuchCalendar => (Kind::NotFound, "CALENDAR_NOT_FOUND"),
            Self::NoSuchCustomer => (Kind::NotFound, "CUSTOMER_NOT_FOUND"),
            Self::NoSuchOutcome => (Kind::NotFound, "OUTCOME_NOT_FOUND"),
            Self::NoSuchTemplate => (Kind::NotFound, "PLAN_TEMPLATE_NOT_FOUND"),
            Self::Stale => (Kind::Conflict, "ETAG_STALE"),
            Self::TaskClosed => (Kind::Precondition, "TASK_CLOSED"),
            Self::DueInPast => (Kind::Invalid, "DUE_TIME_IN_PAST"),
            Self::NotSkippable => (Kind::Precondition, "TASK_NOT_SKIPPABLE"),
            Self::PlanRetired => (Kind::Precondition, "PLAN_RETIRED"),
            Self::NoDraft => (Kind::Precondition, "PLAN_WITHOUT_DRAFT"),
            Self::LayersRefused(_) => (Kind::Denied, "LAYERS_NOT_GRANTABLE"),
            Self::LayerNotWritable(_) => (Kind::Denied, "LAYER_NOT_WRITABLE"),
            Self::EnrolmentState => (Kind::Precondition, "ENROLMENT_STATE"),
            Self::NotActive(_) => (Kind::Precondition, "ASSIGNEE_NOT_ACTIVE"),
            Self::OwnReview => (Kind::Denied, "OWN_OUTCOME"),
            Self::NoReview => (Kind::Precondition, "OUTCOME_WITHOUT_REVIEW"),
            Self::UnknownResult => (Kind::Invalid, "RESULT_UNKNOWN"),
            Self::TooManyCalendars(_) => (Kind::Exhausted, "TOO_MANY_CALENDARS"),
            Self::Invalid(_) => (Kind::Invalid, "INVALID_ARGUMENT"),
            Self::Denied(_) => (Kind::Denied, "PERMISSION_DENIED"),
            Self::Failed(failure) => (failure.kind, failure.reason),
        }
    }

    fn message(&self) -> String {
        match self {
            Self::NoSuchTask => "there is no such task".into(),
            Self::NoSuchPlan => "there is no such plan".into(),
            Self::NoSuchVersion => "there is no such version of the plan".into(),
            Self::NoSuchEnrolment => "there is no such enrolment".into(),
            Self::NoSuchCalendar => "there is no such calendar".into(),
            Self::NoSuchCustomer => "there is no such customer".into(),
            Self::NoSuchOutcome => "the task has no outcome".into(),
            Self::NoSuchTemplate => "there is no such plan template".into(),
            Self::Stale => "the row has changed since it was read".into(),
            Self::TaskClosed => "the task was done or cancelled".into(),
            Self::DueInPast => "due_time: must not lie in the past".into(),
            Self::NotSkippable => "only a live occurrence of a plan can be skipped".into(),
            Self::PlanRetired => "the plan has ended".into(),
            Self::NoDraft => "the plan has no draft to publish".into(),
            Self::LayersRefused(layers) => {
                let names: Vec<_> = layers.iter().map(|layer| layer.name()).collect();
                format!("publishing needs the right to grant the lent layers: {}", names.join(", "))
            }
            Self::LayerNotWritable(layer) => format!("the caller may not write the {layer} layer"),
            Self::EnrolmentState => "the enrolment is in another state".into(),
            Self::NotActive(_) => "the person is no active user".into(),
            Self::OwnReview => "nobody reviews an outcome of their own".into(),
            Self::NoReview => "the outcome waits for no review".into(),
            Self::UnknownResult => "result: must be one that the plan names".into(),
            Self::TooManyCalendars(max) => format!("a company may have {max} calendars"),
            Self::Invalid(_) | Self::Denied(_) | Self::Failed(_) => String::new(),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let ((kind, reason), message) = (error.kind(), error.message());
        let field = match error {
            Error::DueInPast => Some(("due_time", "must not lie in the past")),
            Error::UnknownResult => Some(("result", "must be one that the plan names")),
            Error::Invalid(violations) => return Self::invalid(violations),
            Error::Denied(denial) => return denial.into(),
            Error::Failed(failure) => return failure,
            Error::NotActive(who) => return Self::new(kind, reason, message).with("subject_id", who.to_string()),
            Error::NoSuchTask
            | Error::NoSuchPlan
            | Error::NoSuchVersion
            | Error::NoSuchEnrolment
            | Error::NoSuchCalendar
            | Error::NoSuchCustomer
            | Error::NoSuchOutcome
            | Error::NoSuchTemplate
            | Error::Stale
            | Error::TaskClosed
            | Error::NotSkippable
            | Error::PlanRetired
            | Error::NoDraft
            | Error::LayersRefused(_)
            | Error::LayerNotWritable(_)
            | Error::EnrolmentState
            | Error::TooManyCalendars(_)
            | Error::OwnReview
            | Error::NoReview => None,
        };
        let mut failure = Self::new(kind, reason, message);
        if let Some((field, rule)) = field {
            failure.violations = vec![Violation { field: field.into(), rule: rule.into() }];
        }
        failure
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Failed(failure)
    }
}
impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}
