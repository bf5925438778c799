//! Everything that can go wrong here, one variant per thing that a caller could act on.

use std::time::Duration;

use revisit_core::{Failure, Kind, Tried, id::SubjectId};
use revisit_permission::{Change, Facts, Refusal};
use uuid::Uuid;

use super::naming;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("there is no such tenant")]
    NoSuchTenant,
    #[error("there is no such department")]
    NoSuchDepartment,
    #[error("there is no such position")]
    NoSuchPosition,
    #[error("there is no such user")]
    NoSuchUser,
    #[error("there is no such service account")]
    NoSuchServiceAccount,
    #[error("there is no such role")]
    NoSuchRole,
    #[error("there is no such grant")]
    NoSuchGrant,
    #[error("there is no such guard")]
    NoSuchGuard,
    #[error("there is no such session")]
    NoSuchSession,
    #[error("there is no such hand-over")]
    NoSuchHandOver,
    #[error("there is no such override")]
    NoSuchOverride,
    #[error("there is no such registered type")]
    NoSuchExternalType,
    #[error("there is no such row")]
    NoSuchExternalResource,

    #[error("a company with this key exists")]
    TenantKeyTaken,
    #[error("the username is taken")]
    UsernameTaken,
    #[error("another user has this mail address")]
    EmailTaken,
    #[error("another user has this telephone number")]
    PhoneTaken,
    #[error("a role with this key exists")]
    RoleKeyTaken,
    #[error("a registered type of this name exists")]
    ExternalTypeTaken,

    #[error("the root department cannot be moved or closed")]
    RootDepartment,
    #[error("a shipped role cannot be changed; copy it into a role of your own")]
    RoleShipped,
    #[error("the state of the user does not allow this")]
    UserState,
    #[error("the administrator of the company cannot be stopped or handed over")]
    Administrator,
    #[error("a hand-over of this user runs already")]
    HandOverRunning,
    #[error("the change would widen its author's own rights and needs a second person")]
    OwnRights(Tried),
    #[error("who can come in as this user has rights that you may not give: a second person is needed")]
    TakesOver(Tried),
    #[error("the right is wider than the grantor's")]
    Beyond(Tried),
    #[error("a company can have no more of these")]
    TooMany,

    /// A rule of the permission model.
    #[error(transparent)]
    Rule(#[from] Refusal),
    /// The same, about this field of the request.
    #[error("{field}: {refusal}")]
    Named { field: String, refusal: Refusal },
    /// A row of a batch breaks a rule.
    #[error("{field}: {rule}")]
    Broken { field: String, rule: &'static str },
    #[error("action: is not a known action")]
    UnknownAction,
    #[error("{field}: {rule}")]
    Refused { field: &'static str, rule: &'static str },
    #[error("somebody changed it in the meantime; read it again")]
    StaleEtag,

    #[error("the log-in is refused")]
    LogInRefused,
    #[error("too many failed log-ins; wait before the next")]
    LogInDelayed { retry_after: Duration },
    #[error("the refresh token is not valid")]
    RefreshRefused,
    #[error("the one-time token is not valid any more")]
    PasswordLinkRefused,
    #[error("too many passwords are checked at this moment")]
    Busy,

    #[error("the export holds more than 1,000,000 entries; narrow the filter")]
    ExportCap,
    #[error("the permission log no longer reaches back that far")]
    RevisionTooOld,
    #[error("the filter would name too many ids; ask about an action or a subject that reaches less")]
    FilterTooLarge,
    #[error("too many revisions lie before that instant")]
    HistoryTooLong,
    #[error("identity is initialised already")]
    AlreadyInitialised,
    #[error("identity is not initialised: run `identity init`")]
    NotInitialised,

    #[error("the hand-over would leave the work to {successor}, who is not active")]
    SuccessorInactive { successor: SubjectId },
    /// A failure of a layer beneath, which has its own kind and reason.
    #[error(transparent)]
    Beneath(#[from] Failure),
}

impl Error {
    /// A rule that a change would break, by the field of the request that it comes from.
    pub fn of_change(facts: &Facts, change: &Change, refusal: Refusal) -> Self {
        match naming::field(facts, change, &refusal) {
            Some(field) => Self::Named { field, refusal },
            None => Self::Rule(refusal),
        }
    }

    /// What the model does not let somebody hand out, with what or whom it would have been given.
    pub fn beyond(resource: &'static str, ids: impl IntoIterator<Item = Uuid>) -> impl FnOnce(Refusal) -> Self {
        move |refusal| match Self::tried(resource, ids, &refusal) {
            Some(tried) => Self::Beyond(tried),
            None => Self::Rule(refusal),
        }
    }

    /// The same of somebody whose link or secret would be drawn.
    pub fn takes_over(target: SubjectId) -> impl FnOnce(Refusal) -> Self {
        move |refusal| Self::TakesOver(Self::tried("user", [target.uuid()], &refusal).unwrap_or_default())
    }

    fn tried(resource: &'static str, ids: impl IntoIterator<Item = Uuid>, refusal: &Refusal) -> Option<Tried> {
        let Refusal::WiderThanGrantor(action) = refusal else { return None };
        Some(Tried { resource, ids: ids.into_iter().collect(), fields: vec![action.name().to_owned()] })
    }

    fn kind(&self) -> (Kind, &'static str) {
        match self {
            Self::NoSuchTenant => (Kind::NotFound, "TENANT_NOT_FOUND"),
            Self::NoSuchDepartment => (Kind::NotFound, "DEPARTMENT_NOT_FOUND"),
            Self::NoSuchPosition => (Kind::NotFound, "POSITION_NOT_FOUND"),
            Self::NoSuchUser => (Kind::NotFound, "USER_NOT_FOUND"),
            Self::NoSuchServiceAccount => (Kind::NotFound, "SERVICE_ACCOUNT_NOT_FOUND"),
            Self::NoSuchRole => (Kind::NotFound, "ROLE_NOT_FOUND"),
            Self::NoSuchGrant => (Kind::NotFound, "GRANT_NOT_FOUND"),
            Self::NoSuchGuard => (Kind::NotFound, "GUARD_NOT_FOUND"),
            Self::NoSuchSession => (Kind::NotFound, "SESSION_NOT_FOUND"),
            Self::NoSuchHandOver => (Kind::NotFound, "HAND_OVER_NOT_FOUND"),
            Self::NoSuchOverride => (Kind::NotFound, "OVERRIDE_NOT_FOUND"),
            Self::NoSuchExternalType => (Kind::NotFound, "EXTERNAL_TYPE_NOT_FOUND"),
            Self::NoSuchExternalResource => (Kind::NotFound, "EXTERNAL_RESOURCE_NOT_FOUND"),
            Self::TenantKeyTaken => (Kind::Exists, "TENANT_KEY_TAKEN"),
            Self::UsernameTaken => (Kind::Exists, "USERNAME_TAKEN"),
            Self::EmailTaken => (Kind::Exists, "EMAIL_TAKEN"),
            Self::PhoneTaken => (Kind::Exists, "PHONE_TAKEN"),
            Self::RoleKeyTaken => (Kind::Exists, "ROLE_KEY_TAKEN"),
            Self::ExternalTypeTaken => (Kind::Exists, "EXTERNAL_TYPE_TAKEN"),
            Self::RootDepartment => (Kind::Precondition, "ROOT_DEPARTMENT"),
            Self::RoleShipped => (Kind::Precondition, "ROLE_SHIPPED"),
            Self::UserState => (Kind::Precondition, "USER_STATE"),
            Self::Administrator => (Kind::Precondition, "ADMINISTRATOR"),
            Self::HandOverRunning => (Kind::Precondition, "HAND_OVER_RUNNING"),
            Self::OwnRights(_) | Self::TakesOver(_) => (Kind::Precondition, "APPROVAL_REQUIRED"),
            Self::Beyond(_) => (Kind::Denied, "GRANT_EXCEEDS_GRANTOR"),
            Self::TooMany => (Kind::Exhausted, "TOO_MANY"),
            Self::Rule(refusal) | Self::Named { refusal, .. } => rule(refusal),
            Self::Refused { .. } | Self::Broken { .. } | Self::UnknownAction => (Kind::Invalid, "INVALID_ARGUMENT"),
            Self::StaleEtag => (Kind::Conflict, "ETAG_STALE"),
            Self::LogInRefused => (Kind::Unauthenticated, "LOG_IN_REFUSED"),
            Self::LogInDelayed { .. } => (Kind::Exhausted, "LOG_IN_DELAYED"),
            Self::RefreshRefused => (Kind::Unauthenticated, "REFRESH_REFUSED"),
            Self::PasswordLinkRefused => (Kind::Unauthenticated, "PASSWORD_LINK_REFUSED"),
            Self::Busy => (Kind::Exhausted, "OVERLOADED"),
            Self::ExportCap => (Kind::Exhausted, "EXPORT_CAP"),
            Self::RevisionTooOld => (Kind::Precondition, "REVISION_TOO_OLD"),
            Self::FilterTooLarge => (Kind::Exhausted, "FILTER_TOO_LARGE"),
            Self::HistoryTooLong => (Kind::Exhausted, "HISTORY_TOO_LONG"),
            Self::AlreadyInitialised => (Kind::Precondition, "ALREADY_INITIALISED"),
            Self::NotInitialised => (Kind::Unavailable, "NOT_INITIALISED"),
            Self::SuccessorInactive { .. } => (Kind::Precondition, "SUCCESSOR_INACTIVE"),
            Self::Beneath(failure) => (failure.kind, failure.reason),
        }
    }
}

/// A rule that only the state breaks is a precondition; one that the input breaks has a field, see [`naming`].
const fn rule(refusal: &Refusal) -> (Kind, &'static str) {
    match refusal {
        Refusal::DepartmentCycle(_) => (Kind::Precondition, "DEPARTMENT_CYCLE"),
        Refusal::SecondRoot(_) => (Kind::Precondition, "ROOT_DEPARTMENT"),
        Refusal::DepartmentInUse(_) => (Kind::Precondition, "DEPARTMENT_IN_USE"),
        Refusal::DepartmentDisabled(_) => (Kind::Precondition, "DEPARTMENT_DISABLED"),
        Refusal::DepartmentMerged(_) => (Kind::Precondition, "DEPARTMENT_MERGED"),
        Refusal::SubjectCycle(_) => (Kind::Precondition, "SUBJECT_CYCLE"),
        Refusal::PositionInUse(_) => (Kind::Precondition, "POSITION_IN_USE"),
        Refusal::RoleInUse(_) => (Kind::Precondition, "ROLE_IN_USE"),
        Refusal::RoleConflict(..) => (Kind::Precondition, "ROLE_CONFLICT"),
        Refusal::ExternalTypeNarrowed => (Kind::Precondition, "EXTERNAL_TYPE_NARROWED"),
        Refusal::ExternalTypeInUse => (Kind::Precondition, "EXTERNAL_TYPE_IN_USE"),
        Refusal::NobodyCouldUndo | Refusal::NobodyCouldLift(_) => (Kind::Precondition, "NOBODY_COULD_UNDO"),
        Refusal::WiderThanGrantor(_) => (Kind::Denied, "GRANT_EXCEEDS_GRANTOR"),
        Refusal::UnknownDepartment(_)
        | Refusal::UnknownSubject(_)
        | Refusal::UnknownPosition(_)
        | Refusal::PositionElsewhere(_)
        | Refusal::UnknownRole(_)
        | Refusal::UnknownTeam(_)
        | Refusal::EndBeforeStart
        | Refusal::GivesNothing
        | Refusal::MixedTypes
        | Refusal::NoSuchAttribute
        | Refusal::GuardOnNothing
        | Refusal::GuardWithoutEffect
        | Refusal::UnknownExternalType
        | Refusal::NoExternalRows
        | Refusal::ExternalTypeReserved
        | Refusal::NoExternalVerb(_)
        | Refusal::EndRequired => (Kind::Invalid, "INVALID_ARGUMENT"),
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let (kind, reason) = error.kind();
        let failure = Self::new(kind, reason, error.to_string());
        if let Error::Beneath(beneath) = error {
            return beneath;
        }
        if let Error::Refused { field, rule } = error {
            return Self::invalid_field(field, rule);
        }
        if let Error::Broken { field, rule } = error {
            return Self::invalid_field(field, rule);
        }
        if let Error::Named { field, refusal } = &error {
            return Self::invalid_field(field.clone(), refusal.to_string());
        }
        if let Error::Beyond(tried) | Error::OwnRights(tried) | Error::TakesOver(tried) = error {
            return failure.caused_by(tried);
        }
        if let Error::UnknownAction = error {
            return Self::invalid_field("action", "is not a known action");
        }
        if let Error::LogInDelayed { retry_after } = error {
            return failure.with("retry_after_seconds", retry_after.as_secs().max(1).to_string());
        }
        if let Error::Rule(refusal) = &error
            && let Some(field) = naming::anywhere(refusal)
        {
            return Self::invalid_field(field, refusal.to_string());
        }
        failure
    }
}
