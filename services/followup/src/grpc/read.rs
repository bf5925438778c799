//! Reading requests: what a caller sent becomes input of an operation, or violations that name field and rule.

use std::{collections::BTreeMap, ops::RangeInclusive};

use chrono::{NaiveDate, NaiveDateTime, NaiveTime};
use chrono_tz::Tz;
use revisit_bootstrap::{idempotency::Repeatable, wire};
use revisit_core::{
    Failure, Input, Timestamp,
    id::{CustomerId, DepartmentId, Id, SubjectId, TaskId, TenantId},
    page::Page,
};
use revisit_permission::Layer;
use revisit_proto::{followup::v1 as pb, identity::v1 as identity};
use uuid::Uuid;

use super::etag;
use crate::{
    domain::{
        outcome::{Issue, Note},
        plan::{EnrolmentState, PlanState},
        task::{Channel, TaskKind, TaskState},
    },
    operations::{by_hand, calendars::Write, complete::Record, figures::Day, outcomes::NOTES_MAX, tasks::Change},
    schedule::{self, Special, WorkCalendar, calendar::DAY_MINUTES},
    store::{enrolments::Which, figures, lists},
};

/// Characters of a reason in the caller's words.
const REASON_MAX: usize = 200;
const NOTE_MAX: usize = 4_000;
const ISSUES_MAX: usize = 10;
/// Minutes of thirty days.
pub const MINUTES_MAX: i32 = 43_200;
const SNOOZE_DAYS_MAX: u64 = 366;
const UNKNOWN: &str = "must be a known value";

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

/// A local date and time as `YYYY-MM-DDTHH:MM`.
pub fn local_time(input: &mut Input, field: &str, text: &str) -> NaiveDateTime {
    NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M").unwrap_or_else(|_| {
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

/// A task that somebody makes.
pub fn new_task(message: &pb::CreateTaskRequest) -> Result<by_hand::New, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "CreateTask", message);
    let kind = match pb::TaskKind::try_from(message.kind) {
        Ok(pb::TaskKind::Todo) => TaskKind::Todo,
        Ok(pb::TaskKind::NextContact) => TaskKind::NextContact,
        Ok(pb::TaskKind::Unspecified | pb::TaskKind::Plan | pb::TaskKind::Issue) | Err(_) => {
            input.refuse("kind", "must be TODO or NEXT_CONTACT");
            TaskKind::Todo
        }
    };
    let customer = input.id_optional("customer_id", &message.customer_id);
    let channel = channel(&mut input, "channel", message.channel);
    if kind == TaskKind::NextContact {
        input.require(customer.is_some(), "customer_id", "is required for a next contact");
        input.require(channel.is_some(), "channel", "is required for a next contact");
    }
    let new = by_hand::New {
        kind,
        title: input.text("title", &message.title, 1..=200),
        customer,
        assignee: input.id_optional("assignee_id", &message.assignee_id),
        due_at: wire::read_time_required(&mut input, "due_time", message.due_time),
        channel,
        before_minutes: before_minutes(&mut input, "remind_before_minutes", &message.remind_before_minutes),
        repeat,
    };
    input.finish()?;
    Ok(new)
}

fn task_states(input: &mut Input, values: &[i32]) -> Vec<TaskState> {
    let mut read = Vec::new();
    input.require(values.len() <= 10, "states", "must have at most 10 entries");
    for (index, value) in values.iter().take(10).enumerate() {
        match pb::TaskState::try_from(*value) {
            Ok(pb::TaskState::Scheduled) => read.push(TaskState::Scheduled),
            Ok(pb::TaskState::Open) => read.push(TaskState::Open),
            Ok(pb::TaskState::Done) => read.push(TaskState::Done),
            Ok(pb::TaskState::Cancelled) => read.push(TaskState::Cancelled),
            Ok(pb::TaskState::Unspecified) | Err(_) => input.refuse(format!("states[{index}]"), UNKNOWN),
        }
    }
    read
}

fn task_kinds(input: &mut Input, values: &[i32]) -> Vec<TaskKind> {
    let mut read = Vec::new();
    input.require(values.len() <= 10, "kinds", "must have at most 10 entries");
    for (index, value) in values.iter().take(10).enumerate() {
        match pb::TaskKind::try_from(*value) {
            Ok(pb::TaskKind::Plan) => read.push(TaskKind::Plan),
            Ok(pb::TaskKind::Todo) => read.push(TaskKind::Todo),
            Ok(pb::TaskKind::NextContact) => read.push(TaskKind::NextContact),
            Ok(pb::TaskKind::Issue) => read.push(TaskKind::Issue),
            Ok(pb::TaskKind::Unspecified) | Err(_) => input.refuse(format!("kinds[{index}]"), UNKNOWN),
        }
    }
    read
}

/// Which tasks to list.
pub fn tasks(message: &pb::ListTasksRequest) -> Result<(lists::Wish, Page), Failure> {
    let mut input = Input::default();
    let shape = prost::Message::encode_to_vec(&pb::ListTasksRequest {
        page_size: 0,
        page_token: String::new(),
        ..message.clone()
    });
    let shape = shape.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let page = Page::read(&mut input, message.page_size, &message.page_token, &[&shape]);
    let wish = lists::Wish {
        customer: input.id_optional("customer_id", &message.customer_id),
        assignee: input.id_optional("assignee_id", &message.assignee_id),
        states: task_states(&mut input, &message.states),
        kinds: task_kinds(&mut input, &message.kinds),
        plan: input.id_optional("plan_id", &message.plan_id),
        due_from: wire::read_time(&mut input, "due_after_time", message.due_after_time),
        due_until: wire::read_time(&mut input, "due_before_time", message.due_before_time),
        waiting_for_issues: message.waiting_for_issues,
        day: None,
        after: None,
        limit: page.size as usize,
    };
    input.finish()?;
    let after = task_key(&page)?;
    Ok((lists::Wish { after, ..wish }, page))
}

/// Whose day, in which zone.
pub fn today(message: &pb::ListTodayTasksRequest) -> Result<(lists::Wish, Option<Tz>, Page), Failure> {
    let mut input = Input::default();
    let shape = [message.assignee_id.as_str(), message.time_zone.as_str()];
    let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
    let zone = (!message.time_zone.is_empty()).then(|| zone(&mut input, "time_zone", &message.time_zone));
    let wish = lists::Wish {
        assignee: input.id_optional("assignee_id", &message.assignee_id),
        states: vec![TaskState::Scheduled, TaskState::Open],
        limit: page.size as usize,
        ..lists::Wish::default()
    };
    input.finish()?;
    let after = task_key(&page)?;
    Ok((lists::Wish { after, ..wish }, zone, page))
}

/// The instant and id after which a page begins.
pub fn task_key(page: &Page) -> Result<Option<lists::Key>, Failure> {
    let key = |bytes: &Vec<u8>| {
        let (micros, id) = bytes.split_at_checked(8)?;
        let micros = i64::from_be_bytes(micros.try_into().ok()?);
        Some((Timestamp::from_micros(micros), TaskId::from_uuid(Uuid::from_slice(id).ok()?)))
    };
    page.after.as_ref().map(|bytes| key(bytes).ok_or_else(Page::unreadable)).transpose()
}

/// The token of the page after an instant and id.
pub fn task_token(page: &Page, next: Option<lists::Key>) -> String {
    let key = |(at, id): lists::Key| [&at.micros().to_be_bytes()[..], id.uuid().as_bytes()].concat();
    next.map(|next| page.token(&key(next))).unwrap_or_default()
}

fn change(input: &mut Input, (task, reason, tag): (&str, &str, &str), required: bool) -> Change {
    Change {
        task: input.id("task_id", task),
        etag: etag(input, "etag", tag),
        reason: input.text("reason", reason, usize::from(required)..=REASON_MAX),
    }
}

/// A new due time.
pub fn snooze(message: &pb::SnoozeTaskRequest, now: Timestamp) -> Result<(Change, Timestamp), Failure> {
    let mut input = Input::default();
    let change = change(&mut input, (&message.task_id, &message.reason, &message.etag), false);
    let due_at = wire::read_time_required(&mut input, "due_time", message.due_time);
    let last = now + std::time::Duration::from_hours(24 * SNOOZE_DAYS_MAX);
    input.require(due_at <= last, "due_time", "must lie at most 366 days ahead");
    input.finish()?;
    Ok((change, due_at))
}

/// A new assignee.
pub fn reassign(message: &pb::ReassignTaskRequest) -> Result<(Change, Option<SubjectId>), Failure> {
    let mut input = Input::default();
    let change = change(&mut input, (&message.task_id, &message.reason, &message.etag), false);
    let assignee = input.id_optional("assignee_id", &message.assignee_id);
    input.finish()?;
    Ok((change, assignee))
}

/// An end without an outcome, with its reason.
pub fn ending(parts: (&str, &str, &str)) -> Result<Change, Failure> {
    let mut input = Input::default();
    let change = change(&mut input, parts, true);
    input.finish()?;
    Ok(change)
}

/// An outcome.
pub fn record(message: &pb::CompleteTaskRequest) -> Result<Record, Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "CompleteTask", message);
    let satisfaction = message.satisfaction.map(|value| input.number("satisfaction", value, 1..=5));
    input.require(message.notes.len() <= NOTES_MAX, "notes", "must have at most 10 entries");
    input.require(message.issues.len() <= ISSUES_MAX, "issues", "must have at most 10 entries");
    let mut notes = Vec::new();
    for (index, note) in message.notes.iter().take(NOTES_MAX).enumerate() {
        let mut inner = Input::default();
        let layer = layer(&mut inner, "layer", &note.layer);
        notes.push(Note { layer, text: inner.lines("text", &note.text, 1..=NOTE_MAX) });
        input.nest(&format!("notes[{index}]"), inner);
    }
    let mut issues = Vec::new();
    for (index, issue) in message.issues.iter().take(ISSUES_MAX).enumerate() {
        let mut inner = Input::default();
        issues.push(Issue {
            title: inner.text("title", &issue.title, 1..=200),
            assignee: inner.id_optional("assignee_id", &issue.assignee_id),
            due_within_minutes: minutes(&mut inner, "due_within_minutes", issue.due_within_minutes, 1..=MINUTES_MAX),
        });
        input.nest(&format!("issues[{index}]"), inner);
    }
    let record = Record {
        task: input.id("task_id", &message.task_id),
        result: input.text("result", &message.result, 1..=40),
        channel: channel(&mut input, "channel", message.channel),
        satisfaction: satisfaction.and_then(|value| i16::try_from(value).ok()),
        next_contact_at: wire::read_time(&mut input, "next_contact_time", message.next_contact_time),
        notes,
        issues,
        sensitive: message.sensitive,
        etag: etag(&mut input, "etag", &message.etag),
        repeat,
    };
    input.finish()?;
    Ok(record)
}

/// The name of a layer.
pub fn layer(input: &mut Input, field: &str, name: &str) -> Layer {
    Layer::parse(name).unwrap_or_else(|| {
        input.refuse(field, "must be one of basic, sensitive, history, financial, review");
        Layer::Sensitive
    })
}

/// Which outcome, and whether sensitive notes are asked for in clear.
pub fn outcome(message: &pb::GetOutcomeRequest) -> Result<(TaskId, bool), Failure> {
    let mut input = Input::default();
    let id = input.id("task_id", &message.task_id);
    let paths = message.read_mask.as_ref().map_or(&[][..], |mask| &mask.paths);
    input.require(paths.iter().all(|path| path == "notes"), "read_mask", "may only name notes");
    input.finish()?;
    Ok((id, !paths.is_empty()))
}

/// Whose outcomes.
pub fn outcomes(message: &pb::ListOutcomesRequest) -> Result<(CustomerId, Page), Failure> {
    let mut input = Input::default();
    let customer = input.id("customer_id", &message.customer_id);
    let page = Page::read(&mut input, message.page_size, &message.page_token, &[&message.customer_id]);
    input.finish()?;
    Ok((customer, page))
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

/// Whose days, for the digest.
pub fn days(message: &pb::CountTodayRequest) -> Result<(TenantId, Vec<Day>), Failure> {
    let mut input = Input::default();
    let tenant = input.id("tenant_id", &message.tenant_id);
    input.require(message.questions.len() <= 100, "questions", "must have at most 100 entries");
    let mut days = Vec::new();
    for (index, question) in message.questions.iter().take(100).enumerate() {
        days.push(Day {
            assignee: input.id(&format!("questions[{index}].assignee_id"), &question.assignee_id),
            from: Timestamp::from_micros(question.from_micros),
            until: Timestamp::from_micros(question.until_micros),
        });
    }
    input.finish()?;
    Ok((tenant, days))
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

/// A calendar as it is written.
pub fn calendar(input: &mut Input, message: Option<&pb::Calendar>) -> Write {
    let mut inner = Input::default();
    let empty = pb::Calendar::default();
    let given = message.unwrap_or_else(|| {
        input.refuse("calendar", "is required");
        &empty
    });
    let china = given.base == "CN";
    inner.require(china || given.base.is_empty(), "base", "must be CN or empty");
    let write = Write {
        name: inner.text("name", &given.name, 1..=100),
        hours: WorkCalendar {
            week: week(&mut inner, &given.intervals),
            china,
            days: special_days(&mut inner, &given.days),
        },
        is_default: given.is_default,
    };
    if message.is_some() {
        input.nest("calendar", inner);
    }
    write
}

fn week(input: &mut Input, intervals: &[pb::WorkingInterval]) -> [Vec<(u16, u16)>; 7] {
    let mut week: [Vec<(u16, u16)>; 7] = Default::default();
    input.require((1..=50).contains(&intervals.len()), "intervals", "must have 1 to 50 entries");
    for (index, interval) in intervals.iter().take(50).enumerate() {
        let field = |name: &str| format!("intervals[{index}].{name}");
        let weekday = input.number(&field("weekday"), interval.weekday, 1..=7);
        let start = time_of_day(input, &field("start_time"), &interval.start_time);
        let end = time_of_day(input, &field("end_time"), &interval.end_time);
        input.require(start < end, &field("end_time"), "must lie after start_time");
        if let Some(day) = usize::try_from(weekday - 1).ok().and_then(|day| week.get_mut(day)) {
            day.push((start, end));
        }
    }
    for day in &mut week {
        day.sort_unstable();
        let apart = day.windows(2).all(|pair| pair[0].1 <= pair[1].0);
        input.require(apart, "intervals", "must not overlap");
    }
    week
}

/// Minutes since midnight of `HH:MM`; `24:00` is the end of the day.
fn time_of_day(input: &mut Input, field: &str, text: &str) -> u16 {
    if text == "24:00" {
        return DAY_MINUTES;
    }
    clock_time(text).map_or_else(
        || {
            input.refuse(field, "must be a time as HH:MM");
            0
        },
        |time| {
            use chrono::Timelike;
            u16::try_from(time.hour() * 60 + time.minute()).unwrap_or(0)
        },
    )
}

/// `HH:MM`.
pub fn clock_time(text: &str) -> Option<NaiveTime> {
    (text.len() == 5).then(|| NaiveTime::parse_from_str(text, "%H:%M").ok()).flatten()
}

fn special_days(input: &mut Input, days: &[pb::SpecialDay]) -> BTreeMap<NaiveDate, Special> {
    let mut read = BTreeMap::new();
    input.require(days.len() <= 1_000, "days", "must have at most 1,000 entries");
    for (index, day) in days.iter().take(1_000).enumerate() {
        let field = |name: &str| format!("days[{index}].{name}");
        let date = date(input, &field("date"), &day.date);
        let name = input.text(&field("name"), &day.name, 0..=60);
        if read.insert(date, Special { working: day.working, name }).is_some() {
            input.refuse(field("date"), "must not be named twice");
        }
    }
    read
}
