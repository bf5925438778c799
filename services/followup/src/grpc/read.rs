//! Reading requests: what a caller sent becomes input of an operation, or violations that name field and rule.

use std::ops::RangeInclusive;

use crate::{
    domain::{
        plan::{EnrolmentState, PlanState},
        task::{Channel, Task},
    },
    operations::figures::Day,
    schedule,
    store::{enrolments::Which, figures},
};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use revisit_bootstrap::wire;
use revisit_core::{
    Failure, Input, Timestamp,
    id::{DepartmentId, Id, SubjectId, TaskId, TenantId},
    page::Page,
};
use revisit_permission::Layer;
use revisit_proto::{followup::v1 as pb, identity::v1 as identity};
use uuid::Uuid;

/// Minutes of thirty days.
pub const MINUTES_MAX: i32 = 43_200;
pub const UNKNOWN: &str = "must be a known value";

/// A required id as the only input of a call.
pub fn id<K>(field: &str, text: &str) -> Result<Id<K>, Failure> {
    let mut input = Input::default();
    let id = input.id(field, text);
    input.finish()?;
    Ok(id)
}

/// Minutes in a range.
pub fn minutes(input: &mut Input, field: &str, value: i32, range: RangeInclusive<i32>) -> u32 {
    u32::try_from(input.number(field, value, range)).unwrap_or(0)
}

/// Minutes before due, each in range and each once.
pub fn before_minutes(input: &mut Input, field: &str, values: &[i32]) -> Vec<u32> {
    input.require(values.len() <= 8, field, "must have at most 8 entries");
    let read = values.iter().enumerate();
    let mut read: Vec<_> =
        read.map(|(n, value)| minutes(input, &format!("{field}[{n}]"), *value, 1..=MINUTES_MAX)).collect();
    read.sort_unstable();
    read.dedup();
    read.truncate(8);
    read
}

/// A date as `YYYY-MM-DD`.
pub fn date(input: &mut Input, field: &str, text: &str) -> NaiveDate {
    match wire::read_day(input, field, text) {
        Some((year, month, day)) => {
            NaiveDate::from_ymd_opt(i32::from(year), u32::from(month), u32::from(day)).unwrap_or_default()
        }
        None => {
            if text.is_empty() {
                input.refuse(field, "is required");
            }
            NaiveDate::default()
        }
    }
}

const LOCAL_TIME: &str = "YYYY-MM-DDTHH:MM";

/// A local date and time as `YYYY-MM-DDTHH:MM`.
pub fn local_time(input: &mut Input, field: &str, text: &str) -> NaiveDateTime {
    // A signed year, or one of five digits, would lead to the ends of the calendar, where nothing can be added any more.
    let plain = text.len() == LOCAL_TIME.len() && text.bytes().next().is_some_and(|first| first.is_ascii_digit());
    let read = plain.then(|| NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").ok()).flatten();
    read.unwrap_or_else(|| {
        input.refuse(field, "must be a local time as YYYY-MM-DDTHH:MM");
        NaiveDateTime::default()
    })
}

/// A zone of the IANA database.
pub fn zone(input: &mut Input, field: &str, name: &str) -> Tz {
    schedule::zone(name).unwrap_or_else(|| {
        input.refuse(field, "must be a zone of the IANA database, like Asia/Shanghai");
        Tz::UTC
    })
}

/// A channel; UNSPECIFIED is none.
pub fn channel(input: &mut Input, field: &str, value: i32) -> Option<Channel> {
    match pb::Channel::try_from(value) {
        Ok(pb::Channel::Unspecified) => None,
        Ok(pb::Channel::Phone) => Some(Channel::Phone),
        Ok(pb::Channel::Wechat) => Some(Channel::Wechat),
        Ok(pb::Channel::Email) => Some(Channel::Email),
        Ok(pb::Channel::Meeting) => Some(Channel::Meeting),
        Ok(pb::Channel::Visit) => Some(Channel::Visit),
        Ok(pb::Channel::Other) => Some(Channel::Other),
        Err(_) => {
            input.refuse(field, UNKNOWN);
            None
        }
    }
}

/// A plan's state in a filter; UNSPECIFIED is every one.
pub fn plan_state(input: &mut Input, value: i32) -> Option<PlanState> {
    match pb::PlanState::try_from(value) {
        Ok(pb::PlanState::Unspecified) => None,
        Ok(pb::PlanState::Draft) => Some(PlanState::Draft),
        Ok(pb::PlanState::Published) => Some(PlanState::Published),
        Ok(pb::PlanState::Retired) => Some(PlanState::Retired),
        Err(_) => {
            input.refuse("state", UNKNOWN);
            None
        }
    }
}

/// Whether running enrolments move to a new version.
pub fn migrates(input: &mut Input, value: i32) -> bool {
    match pb::EnrolmentPolicy::try_from(value) {
        Ok(policy) => policy == pb::EnrolmentPolicy::Migrate,
        Err(_) => {
            input.refuse("enrolments", UNKNOWN);
            false
        }
    }
}

/// A page key that is a number.
pub fn number_key(bytes: &[u8]) -> Result<i32, Failure> {
    bytes.try_into().map(i32::from_be_bytes).map_err(|_| Page::unreadable())
}

/// Which enrolments to list.
pub fn enrolments(message: &pb::ListEnrolmentsRequest) -> Result<(Which, Page), Failure> {
    let mut input = Input::default();
    let plan = input.id_optional("plan_id", &message.plan_id);
    let customer = input.id_optional("customer_id", &message.customer_id);
    input.require(plan.is_some() || customer.is_some(), "plan_id", "is required unless customer_id is given");
    let state = match pb::EnrolmentState::try_from(message.state) {
        Ok(pb::EnrolmentState::Unspecified) => None,
        Ok(pb::EnrolmentState::Active) => Some(EnrolmentState::Active),
        Ok(pb::EnrolmentState::Paused) => Some(EnrolmentState::Paused),
        Ok(pb::EnrolmentState::Released) => Some(EnrolmentState::Released),
        Err(_) => {
            input.refuse("state", UNKNOWN);
            None
        }
    };
    let state_text = message.state.to_string();
    let shape = [message.plan_id.as_str(), message.customer_id.as_str(), state_text.as_str()];
    let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
    input.finish()?;
    Ok((Which { plan, customer, state }, page))
}

/// The name of a layer.
pub fn layer(input: &mut Input, field: &str, name: &str) -> Layer {
    Layer::parse(name).unwrap_or_else(|| {
        input.refuse(field, "must be one of basic, sensitive, history, financial, review");
        Layer::Sensitive
    })
}

/// Which figures.
pub fn figures(message: &pb::GetFiguresRequest) -> Result<figures::Wish, Failure> {
    let mut input = Input::default();
    let from = wire::read_time_required(&mut input, "start_time", message.start_time);
    let until = wire::read_time_required(&mut input, "end_time", message.end_time);
    let days = until.since(from).as_secs() / 86_400;
    input.require(until > from && days <= 3_660, "end_time", "must lie after start_time, at most 3,660 days");
    let group = match pb::FigureGroup::try_from(message.group_by) {
        Ok(pb::FigureGroup::Unspecified) => figures::Group::All,
        Ok(pb::FigureGroup::Person) => figures::Group::Person,
        Ok(pb::FigureGroup::Team) => figures::Group::Team,
        Ok(pb::FigureGroup::Grade) => figures::Group::Grade,
        Ok(pb::FigureGroup::Plan) => figures::Group::Plan,
        Err(_) => {
            input.refuse("group_by", UNKNOWN);
            figures::Group::All
        }
    };
    let assignee = input.id_optional("assignee_id", &message.assignee_id);
    let plan = input.id_optional("plan_id", &message.plan_id);
    input.finish()?;
    Ok(figures::Wish { from, until, group, assignee, plan })
}

/// Which grades, and how many gaps to list.
pub fn continuity(message: &pb::CheckContinuityRequest) -> Result<(Vec<String>, u32), Failure> {
    let mut input = Input::default();
    input.require(message.grades.len() <= 20, "grades", "must have at most 20 entries");
    let mut grades = Vec::new();
    for (index, grade) in message.grades.iter().take(20).enumerate() {
        grades.push(input.text(&format!("grades[{index}]"), grade, 1..=64));
    }
    if grades.is_empty() {
        grades = vec!["A".to_owned(), "B".to_owned()];
    }
    let page = Page::read(&mut input, message.page_size, "", &[]);
    input.finish()?;
    Ok((grades, page.size))
}

/// A local day is longer than 24 hours when clocks are set back.
const DAY_MICROS_MAX: i64 = 26 * 3_600 * 1_000_000;

/// Whose days, for the digest.
pub fn days(message: &pb::CountTodayRequest) -> Result<(TenantId, Vec<Day>), Failure> {
    let mut input = Input::default();
    let tenant = input.id("tenant_id", &message.tenant_id);
    input.require((1..=100).contains(&message.questions.len()), "questions", "must have 1 to 100 entries");
    let mut days = Vec::new();
    for (index, question) in message.questions.iter().take(100).enumerate() {
        let micros = question.until_micros.checked_sub(question.from_micros);
        let is_day = micros.is_some_and(|micros| (1..=DAY_MICROS_MAX).contains(&micros));
        input.require(is_day, &format!("questions[{index}].until_micros"), "must end a day that has begun");
        days.push(Day {
            assignee: input.id(&format!("questions[{index}].assignee_id"), &question.assignee_id),
            from: Timestamp::from_micros(question.from_micros),
            until: Timestamp::from_micros(question.until_micros),
        });
    }
    input.finish()?;
    Ok((tenant, days))
}

/// Open tasks of one answer.
const TASKS_MAX: usize = 500;

/// Which open tasks: of one tenant or all, and with ids only those.
pub struct OpenTasks {
    pub tenant: Option<TenantId>,
    pub ids: Vec<TaskId>,
    pub after: Option<(TenantId, TaskId)>,
    pub page: Page,
}

/// Which open tasks, and which page of them.
pub fn open_tasks(message: &pb::ListOpenTasksRequest) -> Result<OpenTasks, Failure> {
    let mut input = Input::default();
    let tenant = input.id_optional("tenant_id", &message.tenant_id);
    input.require(message.task_ids.len() <= TASKS_MAX, "task_ids", "must have at most 500 entries");
    let ids = message.task_ids.iter().take(TASKS_MAX).enumerate();
    let ids: Vec<TaskId> = ids.map(|(index, id)| input.id(&format!("task_ids[{index}]"), id)).collect();
    let named = message.task_ids.join(",");
    let page = Page::read(&mut input, message.page_size, &message.page_token, &[&message.tenant_id, &named]);
    input.finish()?;
    let after = page.after.as_deref().map(task_key).transpose()?;
    Ok(OpenTasks { tenant, ids, after, page })
}

fn task_key(bytes: &[u8]) -> Result<(TenantId, TaskId), Failure> {
    let (tenant, task) = bytes.split_at_checked(16).ok_or_else(Page::unreadable)?;
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).map_err(|_| Page::unreadable());
    Ok((Id::from_uuid(id(tenant)?), Id::from_uuid(id(task)?)))
}

/// The token of the page that follows a task.
pub fn task_token(page: &Page, last: &Task) -> String {
    page.token(&[last.tenant.uuid().into_bytes(), last.id.uuid().into_bytes()].concat())
}

type Whose = ((TenantId, SubjectId), Option<DepartmentId>);

/// Whose work would move.
pub fn hand_over(message: &identity::PreviewHandOverRequest) -> Result<Whose, Failure> {
    let mut input = Input::default();
    let tenant = input.id("tenant_id", &message.tenant_id);
    let person = input.id("user_id", &message.user_id);
    let from = input.id_optional("from_department_id", &message.from_department_id);
    input.finish()?;
    Ok(((tenant, person), from))
}

/// `HH:MM`.
pub fn clock_time(text: &str) -> Option<NaiveTime> {
    (text.len() == 5).then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten()
}
