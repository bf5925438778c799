//! Reading questions about decisions, and what shall be revoked.

use revisit_bootstrap::wire::{read_time, read_time_required};
use revisit_core::{
    Failure, Id, Input,
    id::{SubjectId, TenantId, kind},
};
use revisit_permission::{Action, Flags, Level, Name, Row, TaskHolder};
use revisit_proto::identity::v1 as pb;
use uuid::Uuid;

use super::{Paged, page, rights::levels};
use crate::{
    domain::profile::read_reason,
    operations::{
        decisions::{Question, Target},
        meaning::Named,
        subjects::WhoMay,
    },
};

/// Questions of one call.
pub const QUESTIONS_MAX: usize = 1_000;
const TEAMS_MAX: usize = 100;
const HOLDERS_MAX: usize = 100;
const FIELDS_MAX: usize = 200;
const FIELD_LENGTH_MAX: usize = 100;

pub fn question(message: pb::CheckRequest) -> Result<Question, Failure> {
    let mut input = Input::default();
    let tenant = input.id_optional("tenant_id", &message.tenant_id);
    let subject = input.id_optional("subject_id", &message.subject_id);
    input.require(!message.action.is_empty(), "action", "is required");
    let it = input.required("row", message.row).unwrap_or_default();
    let row = row(&mut input, "row", tenant, it);
    input.finish()?;
    let what = Named { action: Some(message.action), row, at: "row" };
    Ok(Question { tenant, subject, kind: None, what })
}

/// Characters of a stage, a grade or the name of a type.
const ATTRIBUTE_MAX: usize = 100;

/// A row that the caller describes, at `field` of the request.
pub fn row(input: &mut Input, field: &str, tenant: Option<TenantId>, it: pb::RowAttributes) -> Row {
    let at = |name: &str| format!("{field}.{name}");
    // Of whatever type the row is.
    let id: Id<()> = input.id(&at("row_id"), &it.row_id);
    let holders: Vec<TaskHolder> = if it.task_holders.len() > HOLDERS_MAX {
        input.refuse(at("task_holders"), "must have at most 100 entries");
        Vec::new()
    } else {
        let read = |(index, holder)| self::holder(input, &at(&format!("task_holders[{index}]")), holder);
        it.task_holders.into_iter().enumerate().map(read).collect()
    };
    // The tenant of the question is put in where it is decided; a user's question may leave it out.
    let tenant = tenant.unwrap_or(Id::from_uuid(Uuid::nil()));
    let mut name = |name: &str, text: &str| {
        let read = input.text(&at(name), text, 0..=ATTRIBUTE_MAX);
        // At its ends they would be trimmed, and the decision be about another name than was sent.
        let at_ends = text.chars().any(char::is_control) && !read.chars().any(char::is_control);
        input.require(!at_ends, &at(name), "must not contain control characters");
        (!read.is_empty()).then(|| Name::from(read))
    };
    let (stage, grade) = (name("stage", &it.stage), name("grade", &it.grade));
    let external = name("external_type", &it.external_type);
    let auth_rev = input.number(&at("auth_rev"), it.auth_rev, 0..=i64::MAX);
    Row::new(tenant, id.uuid())
        .with_owner(input.id_optional(&at("owner_id"), &it.owner_id))
        .with_department(input.id_optional(&at("department_id"), &it.department_id))
        .with_teams(input.ids(&at("team_ids"), &it.team_ids, TEAMS_MAX))
        .with_stage(stage)
        .with_grade(grade)
        .with_flags(Flags { vip: it.vip, pooled: it.pooled })
        .with_task_holders(holders)
        .with_auth_rev(auth_rev)
        .with_external(external)
}

fn holder(input: &mut Input, field: &str, it: pb::TaskHolder) -> TaskHolder {
    let at = |name: &str| format!("{field}.{name}");
    TaskHolder {
        task: input.id(&at("task_id"), &it.task_id),
        generation: input.number(&at("generation"), it.generation, 0..=i64::MAX),
        subject: input.id_optional(&at("subject_id"), &it.subject_id),
        layers: levels(input, &at("layers"), it.layers.unwrap_or_default(), Level::Hidden),
        until: read_time_required(input, &at("until_time"), it.until_time),
    }
}

/// The questions of a batch: the batch as a whole has its bounds, each question its own violations.
pub fn questions(message: pb::BatchCheckRequest) -> Result<Vec<Result<Question, Failure>>, Failure> {
    let mut input = Input::default();
    input.require(!message.checks.is_empty(), "checks", "is required");
    input.require(message.checks.len() <= QUESTIONS_MAX, "checks", "must have at most 1,000 entries");
    input.finish()?;
    Ok(message.checks.into_iter().map(question).collect())
}

pub fn explain(message: pb::ExplainAccessRequest) -> Result<Question, Failure> {
    let mut input = Input::default();
    let check = input.required("check", message.check);
    input.finish()?;
    question(check.unwrap_or_default())
}

pub fn fields(message: pb::CheckFieldsRequest) -> Result<(Question, Vec<String>), Failure> {
    let mut input = Input::default();
    let check = input.required("check", message.check);
    let fields = message.fields;
    input.require(!fields.is_empty(), "fields", "is required");
    input.require(fields.len() <= FIELDS_MAX, "fields", "must have at most 200 entries");
    for (index, field) in fields.iter().enumerate().take(FIELDS_MAX) {
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '.');
        let fits = !field.is_empty() && field.len() <= FIELD_LENGTH_MAX && field.chars().all(named);
        input.require(fits, &format!("fields[{index}]"), "must be 1 to 100 of a-z, 0-9, _ and .");
    }
    input.finish()?;
    Ok((question(check.unwrap_or_default())?, fields))
}

/// An action that must be known, at `field` of the request.
pub fn action(input: &mut Input, field: &str, text: &str) -> Action {
    Action::parse(text).unwrap_or_else(|| {
        input.refuse(field, if text.is_empty() { "is required" } else { "is not a known action" });
        Action::AccessExplain
    })
}

/// Whose filter, and for which action, on rows of which registered type.
pub type FilterQuestion = ((Option<TenantId>, Option<SubjectId>), Option<Name>);

pub fn filter(message: &pb::ListFilterRequest) -> Result<FilterQuestion, Failure> {
    let mut input = Input::default();
    let tenant = input.id_optional("tenant_id", &message.tenant_id);
    let subject = input.id_optional("subject_id", &message.subject_id);
    input.require(!message.action.is_empty(), "action", "is required");
    input.finish()?;
    let external = (!message.external_type.is_empty()).then(|| Name::from(message.external_type.as_str()));
    Ok(((tenant, subject), external))
}

pub fn who_may(message: pb::ListSubjectsWithAccessRequest) -> Result<(WhoMay, Paged<kind::Subject>), Failure> {
    let mut input = Input::default();
    let tenant = input.id_optional("tenant_id", &message.tenant_id);
    input.require(!message.action.is_empty(), "action", "is required");
    let at = read_time(&mut input, "at_time", message.at_time);
    let asked = format!("{:?} {:?}", message.row, at.map(revisit_core::Timestamp::micros));
    let shape = ["subjects", &message.tenant_id, &message.action, &asked];
    let paged = page(&mut input, message.page_size, &message.page_token, &shape)?;
    let it = input.required("row", message.row).unwrap_or_default();
    let row = row(&mut input, "row", tenant, it);
    input.finish()?;
    let what = Named { action: Some(message.action), row, at: "row" };
    Ok((WhoMay { tenant, what, kind: None, at, after: paged.after, size: paged.page.size }, paged))
}

pub fn revocation(message: pb::RevokeAndWaitRequest) -> Result<(Target, String), Failure> {
    use pb::revoke_and_wait_request::Target as Wire;
    let mut input = Input::default();
    let target = match &message.target {
        Some(Wire::GrantId(id)) => Target::Grant(input.id("grant_id", id)),
        Some(Wire::SessionId(id)) => Target::Session(input.id("session_id", id)),
        Some(Wire::UserId(id)) => Target::User(input.id("user_id", id)),
        None => {
            input.refuse("target", "is required");
            Target::User(Id::from_uuid(Uuid::nil()))
        }
    };
    let reason = read_reason(&mut input, &message.reason);
    input.finish()?;
    Ok((target, reason))
}
