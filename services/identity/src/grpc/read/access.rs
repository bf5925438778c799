//! Reading questions about decisions, and what shall be revoked.

use revisit_bootstrap::wire::read_time_required;
use revisit_core::{Failure, Id, Input, id::TenantId};
use revisit_permission::{Action, Flags, Level, Name, Row, TaskHolder};
use revisit_proto::identity::v1 as pb;
use uuid::Uuid;

use super::rights::levels;
use crate::{
    domain::profile::read_reason,
    operations::decisions::{Question, Target},
};

/// Questions of one call.
pub const QUESTIONS_MAX: usize = 1_000;
const TEAMS_MAX: usize = 100;
const HOLDERS_MAX: usize = 100;

pub fn question(message: pb::CheckRequest) -> Result<Question, Failure> {
    let mut input = Input::default();
    let tenant = input.id_optional("tenant_id", &message.tenant_id);
    let subject = input.id_optional("subject_id", &message.subject_id);
    input.require(!message.action.is_empty(), "action", "is required");
    let it = input.required("row", message.row).unwrap_or_default();
    let row = row(&mut input, tenant, it);
    input.finish()?;
    Ok(Question { tenant, subject, action: Action::parse(&message.action), row })
}

fn row(input: &mut Input, tenant: Option<TenantId>, it: pb::RowAttributes) -> Row {
    let id: Id<revisit_core::id::kind::Customer> = input.id("row.row_id", &it.row_id);
    let holders: Vec<TaskHolder> = if it.task_holders.len() > HOLDERS_MAX {
        input.refuse("row.task_holders", "must have at most 100 entries");
        Vec::new()
    } else {
        it.task_holders.into_iter().enumerate().map(|(index, holder)| self::holder(input, index, holder)).collect()
    };
    // The tenant of the question is put in where it is decided; a user's question may leave it out.
    let tenant = tenant.unwrap_or(Id::from_uuid(Uuid::nil()));
    let name = |text: String| (!text.is_empty()).then(|| Name::from(text));
    Row::new(tenant, id.uuid())
        .with_owner(input.id_optional("row.owner_id", &it.owner_id))
        .with_department(input.id_optional("row.department_id", &it.department_id))
        .with_teams(input.ids("row.team_ids", &it.team_ids, TEAMS_MAX))
        .with_stage(name(it.stage))
        .with_grade(name(it.grade))
        .with_flags(Flags { vip: it.vip, pooled: it.pooled })
        .with_task_holders(holders)
        .with_auth_rev(it.auth_rev)
}

fn holder(input: &mut Input, index: usize, it: pb::TaskHolder) -> TaskHolder {
    let at = |name: &str| format!("row.task_holders[{index}].{name}");
    TaskHolder {
        task: input.id(&at("task_id"), &it.task_id),
        generation: it.generation,
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
