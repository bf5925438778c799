//! What a customer is and which rules hold for it: pure, without database, clock or wire.

pub mod contact;
pub mod customer;
pub mod field;
pub mod filter;
pub mod grade;
pub mod import;
pub mod matching;
pub mod normal;
pub mod order;
pub mod sheet;
pub mod stage;
pub mod timeline;

use revisit_core::{
    Failure, Kind, Tried, Violation,
    id::{CustomerId, JobId, OrderId, SegmentId},
};
use revisit_permission::Denial;

/// Everything that this service refuses, and why.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such customer")]
    NoSuchCustomer(CustomerId),
    #[error("there is no such field")]
    NoSuchField(String),
    #[error("there is no such segment")]
    NoSuchSegment(SegmentId),
    #[error("there is no such order")]
    NoSuchOrder(OrderId),
    #[error("there is no such job")]
    NoSuchJob(JobId),
    #[error("the row has changed since it was read")]
    EtagStale { newest: i64 },
    #[error("such a customer exists")]
    Duplicate { of: Option<CustomerId>, owner_team: String, keys: Vec<&'static str> },
    #[error("another customer has this external id")]
    ExternalIdTaken,
    #[error("too many questions about customers of others in this hour")]
    DuplicateBudget { about: Vec<CustomerId> },
    #[error("the stage {0} is not declared")]
    StageUnknown(String),
    #[error("a customer cannot move from {from} to {to}")]
    StageTransitionIllegal { from: String, to: String },
    #[error("customers are in the stage {0}, so it must stay")]
    StageInUse(String),
    #[error("the field is retired")]
    FieldRetired(String),
    #[error("a field with this key exists")]
    FieldExists(String),
    #[error("the tenant has as many of these as it may have")]
    TooMany { what: &'static str, max: usize },
    #[error("the field {0} is below write for the caller")]
    FieldNotWritable(String),
    #[error("a sort key is not readable on all rows that the caller may see")]
    FieldNotSortable(String),
    #[error("this needs an approval, which cannot be asked for yet")]
    ApprovalRequired,
    #[error("the export has more rows than are allowed")]
    ExportCap { max: u64 },
    #[error("the new owner is not an active user")]
    OwnerInactive,
    #[error("in stage {stage} nobody responsible could see the customer: name a new owner")]
    NewOwnerRequired { stage: String },
    #[error("the new owner may not work on the customer in stage {stage}")]
    NewOwnerUnfit { stage: String },
    #[error("the customer has an owner: transfer it instead")]
    HasOwner,
    #[error("the customer has changed hands since")]
    OwnerChanged,
    #[error("the customer had no owner before")]
    NoFormerOwner,
    #[error("the job is still running")]
    JobRunning,
    #[error("the customer is deleted")]
    Deleted,
    #[error("the time in which it could be restored is over")]
    RestoreTimeOver,
    #[error("the number does not match the number of customers")]
    CountMismatch { expected: usize },
    #[error("a published plan uses the segment")]
    SegmentWatched(SegmentId),
    #[error("the import is not in a state that allows this")]
    ImportState { state: &'static str },
    #[error("the file cannot be read: {0}")]
    FileUnreadable(&'static str),
    #[error("{}", .0.reason)]
    Denied(Denial),
    /// A failure that is already told the way callers are told: bad input, or one of a shared part.
    #[error(transparent)]
    Told(#[from] Failure),
}

impl Error {
    /// Bad input in one field.
    pub fn invalid(field: impl Into<String>, rule: impl Into<String>) -> Self {
        Self::Told(Failure::invalid_field(field, rule))
    }

    fn kind(&self) -> (Kind, &'static str) {
        match self {
            Self::NoSuchCustomer(_) => (Kind::NotFound, "CUSTOMER_NOT_FOUND"),
            Self::NoSuchField(_) => (Kind::NotFound, "FIELD_NOT_FOUND"),
            Self::NoSuchSegment(_) => (Kind::NotFound, "SEGMENT_NOT_FOUND"),
            Self::NoSuchOrder(_) => (Kind::NotFound, "ORDER_NOT_FOUND"),
            Self::NoSuchJob(_) => (Kind::NotFound, "JOB_NOT_FOUND"),
            Self::EtagStale { .. } => (Kind::Conflict, "ETAG_STALE"),
            Self::Duplicate { .. } => (Kind::Exists, "DUPLICATE"),
            Self::ExternalIdTaken => (Kind::Exists, "EXTERNAL_ID_TAKEN"),
            Self::DuplicateBudget { .. } => (Kind::Exhausted, "DUPLICATE_BUDGET"),
            Self::StageUnknown(_) => (Kind::Invalid, "STAGE_UNKNOWN"),
            Self::StageTransitionIllegal { .. } => (Kind::Precondition, "STAGE_TRANSITION_ILLEGAL"),
            Self::StageInUse(_) => (Kind::Precondition, "STAGE_IN_USE"),
            Self::FieldRetired(_) => (Kind::Precondition, "FIELD_RETIRED"),
            Self::FieldExists(_) => (Kind::Exists, "FIELD_EXISTS"),
            Self::TooMany { .. } => (Kind::Exhausted, "TOO_MANY"),
            Self::FieldNotWritable(_) => (Kind::Denied, "FIELD_NOT_WRITABLE"),
            Self::FieldNotSortable(_) => (Kind::Denied, "FIELD_NOT_SORTABLE"),
            Self::ApprovalRequired => (Kind::Precondition, "APPROVAL_REQUIRED"),
            Self::ExportCap { .. } => (Kind::Exhausted, "EXPORT_CAP"),
            Self::OwnerInactive => (Kind::Precondition, "OWNER_INACTIVE"),
            Self::NewOwnerRequired { .. } => (Kind::Precondition, "NEW_OWNER_REQUIRED"),
            Self::NewOwnerUnfit { .. } => (Kind::Precondition, "NEW_OWNER_UNFIT"),
            Self::HasOwner => (Kind::Precondition, "HAS_OWNER"),
            Self::OwnerChanged => (Kind::Precondition, "OWNER_CHANGED"),
            Self::NoFormerOwner => (Kind::Precondition, "NO_FORMER_OWNER"),
            Self::JobRunning => (Kind::Precondition, "JOB_RUNNING"),
            Self::Deleted => (Kind::Precondition, "CUSTOMER_DELETED"),
            Self::RestoreTimeOver => (Kind::Precondition, "RESTORE_TIME_OVER"),
            Self::CountMismatch { .. } => (Kind::Precondition, "COUNT_MISMATCH"),
            Self::SegmentWatched(_) => (Kind::Precondition, "SEGMENT_WATCHED"),
            Self::ImportState { .. } => (Kind::Precondition, "IMPORT_STATE"),
            Self::FileUnreadable(_) => (Kind::Invalid, "FILE_UNREADABLE"),
            Self::Denied(_) => (Kind::Denied, "PERMISSION_DENIED"),
            Self::Told(failure) => (failure.kind, failure.reason),
        }
    }

    /// The stable reason, for results per row.
    pub fn reason(&self) -> &'static str {
        self.kind().1
    }
}

impl From<Denial> for Error {
    fn from(denial: Denial) -> Self {
        Self::Denied(denial)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, reason) = error.kind();
        let failure = Self::new(kind, reason, error.to_string());
        match error {
            Error::Told(failure) => failure,
            // A lease that ran out or a session that ended is not a denial; the permission crate tells them apart.
            Error::Denied(denial) => Self::from(denial),
            Error::EtagStale { newest } => failure.with("etag", newest.to_string()),
            Error::Duplicate { of, owner_team, keys } => {
                let failure = failure.with("matched_keys", keys.join(","));
                match of {
                    Some(customer) => failure.with("customer_id", customer.to_string()),
                    None => failure.with("owner_team", owner_team),
                }
            }
            Error::DuplicateBudget { about } => {
                let ids = about.into_iter().map(CustomerId::uuid).collect();
                failure.caused_by(Tried { resource: "customer", ids, fields: Vec::new() })
            }
            Error::StageTransitionIllegal { from, to } => failure.with("from", from).with("to", to),
            Error::NewOwnerRequired { stage } => {
                let rule = "is required: whoever has the customer could not view it in this stage";
                about_new_owner(failure, rule).with("stage", stage)
            }
            Error::NewOwnerUnfit { stage } => {
                let rule = "must be somebody who may view and update the customer in this stage";
                about_new_owner(failure, rule).with("stage", stage)
            }
            Error::TooMany { what, max } => failure.with("what", what).with("max", max.to_string()),
            Error::ExportCap { max } => failure.with("max", max.to_string()),
            Error::ImportState { state } => failure.with("state", state),
            Error::CountMismatch { expected } => failure.with("expected", expected.to_string()),
            Error::FieldNotWritable(field) | Error::FieldNotSortable(field) => failure.with("field", field),
            Error::NoSuchCustomer(_)
            | Error::NoSuchField(_)
            | Error::NoSuchSegment(_)
            | Error::NoSuchOrder(_)
            | Error::NoSuchJob(_)
            | Error::ExternalIdTaken
            | Error::StageUnknown(_)
            | Error::StageInUse(_)
            | Error::FieldRetired(_)
            | Error::FieldExists(_)
            | Error::ApprovalRequired
            | Error::OwnerInactive
            | Error::HasOwner
            | Error::OwnerChanged
            | Error::NoFormerOwner
            | Error::JobRunning
            | Error::Deleted
            | Error::RestoreTimeOver
            | Error::SegmentWatched(_)
            | Error::FileUnreadable(_) => failure,
        }
    }
}

fn about_new_owner(failure: Failure, rule: &str) -> Failure {
    let violations = vec![Violation { field: "new_owner_id".to_owned(), rule: rule.to_owned() }];
    Failure { violations, ..failure }
}
