//! Reading what callers say about tasks and outcomes.

use chrono_tz::Tz;
use revisit_bootstrap::{idempotency::Repeatable, wire};
use revisit_core::{
    Failure, Input, Timestamp,
    id::{CustomerId, SubjectId, TaskId},
    page::Page,
};
use revisit_permission::Clarity;
use revisit_proto::followup::v1 as pb;
use uuid::Uuid;

use super::{
    etag,
    read::{MINUTES_MAX, UNKNOWN, before_minutes, channel, layer, minutes, zone},
};
use crate::{
    domain::{
        outcome::{Issue, Note},
        task::{AHEAD_MAX, TaskKind, TaskState},
    },
    operations::{by_hand, complete::Record, outcomes::NOTES_MAX, tasks::Change},
    show::Asked,
    store::lists,
};

/// Characters of a reason in the caller's words.
const REASON_MAX: usize = 200;
const NOTE_MAX: usize = 4_000;
const ISSUES_MAX: usize = 10;

/// A task that somebody makes.
pub fn new_task(message: &pb::CreateTaskRequest, now: Timestamp) -> Result<by_hand::New, Failure> {
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
    let due_at = wire::read_time_required(&mut input, "due_time", message.due_time);
    near(&mut input, "due_time", due_at, now);
    let new = by_hand::New {
        kind,
        title: input.text("title", &message.title, 1..=200),
        customer,
        assignee: input.id_optional("assignee_id", &message.assignee_id),
        due_at,
        channel,
        reminders: by_hand::reminders(
            kind,
            before_minutes(&mut input, "remind_before_minutes", &message.remind_before_minutes),
        ),
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
    let ends = (("due_after_time", message.due_after_time), ("due_before_time", message.due_before_time));
    let (due_from, due_until) = wire::read_window(&mut input, ends.0, ends.1);
    let wish = lists::Wish {
        customer: input.id_optional("customer_id", &message.customer_id),
        assignee: input.id_optional("assignee_id", &message.assignee_id),
        states: task_states(&mut input, &message.states),
        kinds: task_kinds(&mut input, &message.kinds),
        plan: input.id_optional("plan_id", &message.plan_id),
        due_from,
        due_until,
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

/// Words, version and key of a change.
type Named<'a> = (&'a str, &'a str, &'a str);

fn change(
    input: &mut Input,
    (rpc, message): (&'static str, &impl prost::Message),
    task: &str,
    (reason, tag, request_id): Named<'_>,
) -> Change {
    Change {
        repeat: Repeatable::read(input, request_id, rpc, message),
        task: input.id("task_id", task),
        etag: etag(input, "etag", tag),
        reason: input.text("reason", reason, 0..=REASON_MAX),
    }
}

/// Refuses what lies too far ahead: a task lends its customer until it is due.
fn near(input: &mut Input, field: &'static str, at: Timestamp, now: Timestamp) {
    input.require(at <= now + AHEAD_MAX, field, "must lie at most 366 days ahead");
}

/// A new due time.
pub fn snooze(message: &pb::SnoozeTaskRequest, now: Timestamp) -> Result<(Change, Timestamp), Failure> {
    let mut input = Input::default();
    let named = (message.reason.as_str(), message.etag.as_str(), message.request_id.as_str());
    let change = change(&mut input, ("SnoozeTask", message), &message.task_id, named);
    let due_at = wire::read_time_required(&mut input, "due_time", message.due_time);
    near(&mut input, "due_time", due_at, now);
    input.finish()?;
    Ok((change, due_at))
}

/// A new assignee.
pub fn reassign(message: &pb::ReassignTaskRequest) -> Result<(Change, Option<SubjectId>), Failure> {
    let mut input = Input::default();
    let named = (message.reason.as_str(), message.etag.as_str(), message.request_id.as_str());
    let change = change(&mut input, ("ReassignTask", message), &message.task_id, named);
    let assignee = input.id_optional("assignee_id", &message.assignee_id);
    input.finish()?;
    Ok((change, assignee))
}

/// An end without an outcome.
pub fn cancel(message: &pb::CancelTaskRequest) -> Result<Change, Failure> {
    let named = (message.reason.as_str(), message.etag.as_str(), message.request_id.as_str());
    ending(("CancelTask", message), &message.task_id, named)
}

/// An occurrence that is left out.
pub fn skip(message: &pb::SkipTaskRequest) -> Result<Change, Failure> {
    let named = (message.reason.as_str(), message.etag.as_str(), message.request_id.as_str());
    ending(("SkipTask", message), &message.task_id, named)
}

/// Whoever ends a task without an outcome says why.
fn ending(of: (&'static str, &impl prost::Message), task: &str, named: Named<'_>) -> Result<Change, Failure> {
    let mut input = Input::default();
    let change = change(&mut input, of, task, named);
    input.require(!change.reason.is_empty(), "reason", "is required");
    input.finish()?;
    Ok(change)
}

/// A review.
pub fn review(message: &pb::ReviewOutcomeRequest) -> Result<(TaskId, Option<Repeatable>), Failure> {
    let mut input = Input::default();
    let repeat = Repeatable::read(&mut input, &message.request_id, "ReviewOutcome", message);
    let id = input.id("task_id", &message.task_id);
    input.finish()?;
    Ok((id, repeat))
}

/// An outcome.
pub fn record(message: &pb::CompleteTaskRequest, now: Timestamp) -> Result<Record, Failure> {
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
    let next_contact_at = wire::read_time(&mut input, "next_contact_time", message.next_contact_time);
    if let Some(at) = next_contact_at {
        near(&mut input, "next_contact_time", at, now);
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
        next_contact_at,
        notes,
        issues,
        sensitive: message.sensitive,
        etag: etag(&mut input, "etag", &message.etag),
        repeat,
    };
    input.finish()?;
    Ok(record)
}

/// Which task, and what of it is asked for in clear.
pub fn task(message: &pb::GetTaskRequest) -> Result<(TaskId, Asked), Failure> {
    let mut input = Input::default();
    let id = input.id("task_id", &message.task_id);
    let mut asked = Asked::NOTHING;
    for path in message.read_mask.as_ref().map_or(&[][..], |mask| &mask.paths) {
        match path.as_str() {
            "title" => asked.title = Clarity::Clear,
            "reason" => asked.reason = Clarity::Clear,
            _ => input.refuse("read_mask", "may only name title and reason"),
        }
    }
    input.finish()?;
    Ok((id, asked))
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
