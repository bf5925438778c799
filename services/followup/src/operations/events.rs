//! What this service tells the others, as drafts for the outbox. Basic-layer values only.

use revisit_core::Timestamp;
use revisit_event::Draft;
use revisit_permission::{Layer, Purpose};
use revisit_proto::followup::v1 as pb;

use crate::domain::{
    outcome::Outcome,
    plan::{Plan, PlanVersion},
    task::{Task, TaskKind, TimerKind},
};

/// Reminders are worth nothing this long after they were due; one before due ends with the due time.
const REMINDER_LIFE: std::time::Duration = std::time::Duration::from_hours(48);

/// An event about a task lies in the shard of its customer, in order with the customer's other events.
fn draft<M: prost::Name>(task: &Task, message: &M) -> Draft {
    let draft = Draft::new(task.tenant, task.id.uuid(), task.version, message).keyed(task.shard_key());
    match task.timer {
        Some(timer) => draft.planted(timer.at.micros()),
        None => draft,
    }
}

/// The task lends its assignee access from now on; nothing to say without a customer.
pub fn opened(task: &Task, now: Timestamp) -> Option<Draft> {
    Some(draft(task, &opening(task, now)?))
}

/// What is told of an open task.
pub fn opening(task: &Task, now: Timestamp) -> Option<pb::TaskOpened> {
    Some(pb::TaskOpened {
        task_id: task.id.to_string(),
        customer_id: task.customer?.to_string(),
        assignee_id: task.assignee?.to_string(),
        generation: task.version,
        layers: task.lent.iter().map(|layer: &Layer| layer.name().to_owned()).collect(),
        until_micros: task.lend_until(now).micros(),
        account: Some(account(task)),
    })
}

fn account(task: &Task) -> pb::TaskAccount {
    let text = |id: Option<String>| id.unwrap_or_default();
    pb::TaskAccount {
        assignee_id: text(task.assignee.map(|id| id.to_string())),
        department_id: text(task.department.map(|id| id.to_string())),
        grade: text(task.grade.clone()),
        plan_id: text(task.origin.as_ref().map(|origin| origin.plan.to_string())),
        due_time_micros: task.due_at.micros(),
    }
}

/// The task is over, and with it the access that it lent and every reminder that has not left.
pub fn closed(task: &Task, done: bool, now: Timestamp) -> Draft {
    let message = pb::TaskClosed {
        task_id: task.id.to_string(),
        customer_id: task.customer.map(|customer| customer.to_string()).unwrap_or_default(),
        generation: task.version,
        done,
        time_micros: now.micros(),
        account: Some(account(task)),
    };
    draft(task, &message)
}

/// What a firing timer reminds of, if it reminds at all; opening does when the task says so.
pub fn reminder(task: &Task, fired: TimerKind, plan_name: &str, now: Timestamp) -> Option<Draft> {
    let (kind, ordinal) = match fired {
        TimerKind::Open if task.remind_open => (pb::ReminderKind::Opened, 0),
        TimerKind::Open | TimerKind::Extend => return None,
        TimerKind::Before(number) => (pb::ReminderKind::Before, i32::from(number)),
        TimerKind::Due => (pb::ReminderKind::Due, 0),
        TimerKind::Overdue => (pb::ReminderKind::Overdue, 0),
        TimerKind::Escalate => (pb::ReminderKind::Escalated, 0),
    };
    let expires = match fired {
        TimerKind::Before(_) => task.due_at.max(now),
        TimerKind::Open | TimerKind::Extend | TimerKind::Due | TimerKind::Overdue | TimerKind::Escalate => {
            task.due_at.max(now) + REMINDER_LIFE
        }
    };
    let message = pb::ReminderDue {
        task_id: task.id.to_string(),
        customer_id: task.customer.map(|customer| customer.to_string()).unwrap_or_default(),
        recipient_id: task.assignee?.to_string(),
        kind: kind.into(),
        generation: task.version,
        due_time_micros: task.due_at.micros(),
        plan_name: plan_name.to_owned(),
        expire_time_micros: expires.micros(),
        ordinal,
    };
    Some(draft(task, &message))
}

/// What the list of a task without a plan is called.
#[must_use]
pub const fn list_name(kind: TaskKind) -> &'static str {
    match kind {
        TaskKind::Plan => "",
        TaskKind::Todo => "to-do",
        TaskKind::NextContact => "next contact",
        TaskKind::Issue => "issue",
    }
}

/// An outcome was recorded. Of a sensitive one the result stays here; another one is entrusted to customer and
/// notification, which keep it in the layer that it has here.
pub fn recorded(task: &Task, outcome: &Outcome) -> Draft {
    let result = match outcome.sensitive() {
        true => String::new(),
        false => outcome.answer.lift(Purpose::Entrust).result.clone(),
    };
    let message = pb::OutcomeRecorded {
        task_id: task.id.to_string(),
        customer_id: outcome.customer.map(|customer| customer.to_string()).unwrap_or_default(),
        recorded_by_id: outcome.recorded_by.to_string(),
        result,
        channel: outcome.channel.map(|channel| channel.name().to_owned()).unwrap_or_default(),
        time_micros: outcome.recorded_at.micros(),
        sensitive: outcome.sensitive(),
    };
    draft(task, &message)
}

/// A version was published.
pub fn published(plan: &Plan, version: &PlanVersion) -> Draft {
    let message = pb::PlanPublished {
        plan_id: plan.id.to_string(),
        plan_version: version.version,
        segment_id: version.definition.segment.to_string(),
        watched_fields: version.definition.watched_fields().into_iter().map(str::to_owned).collect(),
    };
    Draft::new(plan.tenant, plan.id.uuid(), plan.version, &message)
}

/// A plan has ended.
pub fn retired(plan: &Plan) -> Draft {
    let segment_id = plan.segment.map(|segment| segment.to_string()).unwrap_or_default();
    let message = pb::PlanRetired { plan_id: plan.id.to_string(), segment_id };
    Draft::new(plan.tenant, plan.id.uuid(), plan.version, &message)
}
