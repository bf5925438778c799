//! How domain values look on the wire: the one way out, for calls and for repeats alike.

use std::collections::BTreeSet;

use revisit_bootstrap::wire::{time, time_optional};
use revisit_core::{Timestamp, id::Id};
use revisit_permission::{Clarity, Layer, Levels, Prose, Shown, Veiled};
use revisit_proto::followup::v1 as pb;

use crate::{
    continuity::Seen,
    domain::{
        calendar::Calendar,
        outcome::{Answer, Outcome, Review},
        people::Customer,
        plan::{Enrolment, EnrolmentState, Plan, PlanState, PlanVersion},
        task::{Channel, Task, TaskKind, TaskState},
    },
    schedule::WorkCalendar,
    store::figures::{Continuity, Figures},
};

pub mod plan;

fn text<K>(id: Option<Id<K>>) -> String {
    id.map(|id| id.to_string()).unwrap_or_default()
}

/// A task with what does not lie in its row in clear, for a reader.
pub struct Legible<'a> {
    pub task: &'a Task,
    pub customer: Option<&'a Customer>,
    pub levels: Levels,
    pub title: Veiled<String>,
    pub reason: Veiled<String>,
    pub asked: Asked,
    pub now: Timestamp,
}

/// Which texts of a task are asked for with their sensitive values in clear.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    pub title: Clarity,
    pub reason: Clarity,
}

impl Asked {
    pub const NOTHING: Self = Self { title: Clarity::Usual, reason: Clarity::Usual };
}

impl Legible<'_> {
    fn title(&self) -> Prose {
        self.levels.show_prose(&self.title, self.asked.title)
    }

    fn reason(&self) -> Prose {
        self.levels.show_prose(&self.reason, self.asked.reason)
    }

    /// Names of the texts of which sensitive values leave in clear: what the audit is told.
    pub fn disclosed(&self) -> Vec<&'static str> {
        let texts = [("title", self.title(), self.asked.title), ("reason", self.reason(), self.asked.reason)];
        let clear = texts.iter().filter(|(_, text, asked)| self.levels.discloses(*asked) && !text.kinds.is_empty());
        clear.map(|(name, ..)| *name).collect()
    }
}

/// A task. All of it is basic: who reads that layer masked gets the title masked, who does not read it the id alone.
#[must_use]
pub fn task(legible: Legible<'_>) -> pb::Task {
    let (title, reason) = (legible.title(), legible.reason());
    let kinds: BTreeSet<i32> = title.numbers().into_iter().chain(reason.numbers()).collect();
    let (title, reason) = (title.text.unwrap_or_default(), reason.text.unwrap_or_default());
    let Legible { task, customer, levels, now, .. } = legible;
    if !levels.reads(Layer::Basic) {
        let (task_id, etag) = (task.id.to_string(), task.version.to_string());
        return pb::Task { task_id, title, reason, etag, ..Default::default() };
    }
    let origin = task.origin.as_ref();
    pb::Task {
        task_id: task.id.to_string(),
        kind: task_kind(task.kind).into(),
        state: task_state(task.state).into(),
        title,
        customer_id: text(task.customer),
        assignee_id: text(task.responsible(customer)),
        assigned_by_name: task.named.is_some(),
        plan_id: text(origin.map(|origin| origin.plan)),
        plan_version: origin.map_or(0, |origin| origin.version),
        step_key: origin.map(|origin| origin.step.clone()).unwrap_or_default(),
        enrolment_id: text(origin.map(|origin| origin.enrolment)),
        channel: channel(task.channel).into(),
        open_time: Some(time(task.open_at)),
        due_time: Some(time(task.due_at)),
        nominal_local_time: task.nominal.map(local).unwrap_or_default(),
        time_zone: task.zone.clone(),
        overdue: task.is_overdue(now),
        done_time: time_optional(task.done_at),
        close_time: time_optional(task.closed_at),
        open_issue_count: task.open_issues,
        parent_task_id: text(task.parent),
        reason,
        // What is over lends nothing, whatever it was given with.
        lent_layers: if task.state.is_live() && task.lend_end() > now { layers(&task.lent) } else { Vec::new() },
        create_time: Some(time(task.created_at)),
        etag: task.version.to_string(),
        sensitive_kinds: kinds.into_iter().collect(),
    }
}

#[must_use]
pub fn layers(layers: &[Layer]) -> Vec<String> {
    layers.iter().map(|layer| layer.name().to_owned()).collect()
}

/// A local time without seconds.
#[must_use]
pub fn local(local: chrono::NaiveDateTime) -> String {
    local.format("%Y-%m-%dT%H:%M").to_string()
}

const fn task_kind(kind: TaskKind) -> pb::TaskKind {
    match kind {
        TaskKind::Plan => pb::TaskKind::Plan,
        TaskKind::Todo => pb::TaskKind::Todo,
        TaskKind::NextContact => pb::TaskKind::NextContact,
        TaskKind::Issue => pb::TaskKind::Issue,
    }
}

const fn task_state(state: TaskState) -> pb::TaskState {
    match state {
        TaskState::Scheduled => pb::TaskState::Scheduled,
        TaskState::Open => pb::TaskState::Open,
        TaskState::Done => pb::TaskState::Done,
        TaskState::Cancelled => pb::TaskState::Cancelled,
    }
}

#[must_use]
pub const fn channel(channel: Option<Channel>) -> pb::Channel {
    match channel {
        None => pb::Channel::Unspecified,
        Some(Channel::Phone) => pb::Channel::Phone,
        Some(Channel::Wechat) => pb::Channel::Wechat,
        Some(Channel::Email) => pb::Channel::Email,
        Some(Channel::Meeting) => pb::Channel::Meeting,
        Some(Channel::Visit) => pb::Channel::Visit,
        Some(Channel::Other) => pb::Channel::Other,
    }
}

/// A note; that there is one in a layer that is hidden is hidden, too.
#[must_use]
pub fn note(layer: Layer, text: Prose) -> Option<pb::Note> {
    let sensitive_kinds = text.numbers();
    Some(pb::Note { layer: layer.name().to_owned(), text: text.text?, sensitive_kinds })
}

/// An issue by its task.
#[must_use]
pub fn issue(task: &Task, title: Prose) -> pb::Issue {
    pb::Issue {
        sensitive_kinds: title.numbers(),
        title: title.text.unwrap_or_default(),
        assignee_id: text(task.assignee.or(task.named)),
        due_within_minutes: 0,
        task_id: task.id.to_string(),
        due_time: Some(time(task.due_at)),
        state: task_state(task.state).into(),
    }
}

/// An outcome without its notes; of whose answer is not shown only that it exists, when and by whom.
#[must_use]
pub fn outcome(outcome: &Outcome, answer: Shown<'_, Answer>) -> pb::Outcome {
    let answer = answer.clear();
    pb::Outcome {
        task_id: outcome.task.to_string(),
        customer_id: text(outcome.customer),
        recorded_by_id: outcome.recorded_by.to_string(),
        record_time: Some(time(outcome.recorded_at)),
        result: answer.map(|answer| answer.result.clone()).unwrap_or_default(),
        channel: channel(outcome.channel).into(),
        satisfaction: answer.and_then(|answer| answer.satisfaction).map(i32::from),
        next_contact_time: time_optional(outcome.next_contact_at),
        notes: Vec::new(),
        issues: Vec::new(),
        sensitive: outcome.sensitive(),
        withheld: answer.is_none(),
        review: match outcome.review {
            Review::NotNeeded => pb::ReviewState::NotNeeded,
            Review::Pending => pb::ReviewState::Pending,
            Review::Approved => pb::ReviewState::Approved,
            Review::SentBack => pb::ReviewState::SentBack,
        }
        .into(),
        reviewed_by_id: text(outcome.reviewed_by),
    }
}

#[must_use]
pub fn plan(plan: &Plan, published: Option<&PlanVersion>) -> pb::Plan {
    let definition = plan.draft.as_ref().or(published.map(|version| &version.definition));
    pb::Plan {
        plan_id: plan.id.to_string(),
        name: plan.name.clone(),
        state: match plan.state {
            PlanState::Draft => pb::PlanState::Draft,
            PlanState::Published => pb::PlanState::Published,
            PlanState::Retired => pb::PlanState::Retired,
        }
        .into(),
        published_version: plan.published,
        definition: definition.map(plan::definition),
        has_draft: plan.draft.is_some(),
        owner_id: plan.owner.to_string(),
        create_time: Some(time(plan.created_at)),
        update_time: Some(time(plan.updated_at)),
        etag: plan.version.to_string(),
    }
}

#[must_use]
pub fn plan_version(version: &PlanVersion) -> pb::PlanVersion {
    pb::PlanVersion {
        plan_id: version.plan.to_string(),
        version: version.version,
        definition: Some(plan::definition(&version.definition)),
        published_by_id: version.published_by.to_string(),
        publish_time: Some(time(version.published_at)),
    }
}

#[must_use]
pub fn enrolment(enrolment: &Enrolment) -> pb::Enrolment {
    pb::Enrolment {
        enrolment_id: enrolment.id.to_string(),
        plan_id: enrolment.plan.to_string(),
        plan_version: enrolment.plan_version,
        customer_id: enrolment.customer.to_string(),
        state: match enrolment.state {
            EnrolmentState::Active => pb::EnrolmentState::Active,
            EnrolmentState::Paused => pb::EnrolmentState::Paused,
            EnrolmentState::Released => pb::EnrolmentState::Released,
        }
        .into(),
        generation: enrolment.generation,
        reason: enrolment.reason.words().to_owned(),
        time_zone: enrolment.zone.clone(),
        enter_time: Some(time(enrolment.entered_at)),
        last_completed_time: time_optional(enrolment.last_completed_at),
        etag: enrolment.version.to_string(),
    }
}

#[must_use]
pub fn calendar(calendar: &Calendar) -> pb::Calendar {
    let WorkCalendar { week, china, days } = &calendar.hours;
    let interval = |(weekday, (start, end)): (i32, &(u16, u16))| pb::WorkingInterval {
        weekday,
        start_time: minutes(*start),
        end_time: minutes(*end),
    };
    let week = (1_i32..).zip(week).flat_map(|(weekday, day)| day.iter().map(move |stretch| (weekday, stretch)));
    pb::Calendar {
        calendar_id: calendar.id.to_string(),
        name: calendar.name.clone(),
        base: if *china { "CN".to_owned() } else { String::new() },
        intervals: week.map(interval).collect(),
        days: days
            .iter()
            .map(|(date, day)| pb::SpecialDay { date: date.to_string(), working: day.working, name: day.name.clone() })
            .collect(),
        is_default: calendar.is_default,
        etag: calendar.version.to_string(),
    }
}

/// `HH:MM` of minutes since midnight.
#[must_use]
pub fn minutes(minutes: u16) -> String {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
}

#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of tasks stay far below 2^52")]
pub fn figures(row: &Figures, levels: &Levels) -> pb::Figures {
    let rate = |part: i64, whole: i64, none: f64| if whole == 0 { none } else { part as f64 / whole as f64 };
    let said = levels.show(&row.answers, Clarity::Usual).clear().copied().unwrap_or_default();
    pb::Figures {
        group: row.id.map(|id| id.to_string()).or_else(|| row.name.clone()).unwrap_or_default(),
        due_count: row.due,
        on_time_count: row.on_time,
        late_count: row.late,
        overdue_count: row.overdue,
        done_count: row.done,
        success_count: said.success,
        satisfaction_count: said.given,
        satisfaction_sum: said.satisfaction,
        asked_count: row.asked,
        on_time_rate: rate(row.on_time, row.due, 1.0),
        success_rate: rate(said.success, row.done, 0.0),
        satisfaction_mean: rate(said.satisfaction, said.given, 0.0),
    }
}

#[must_use]
pub fn continuity(found: &Continuity, seen: Option<Seen>) -> pb::CheckContinuityResponse {
    let gap = |gap: &crate::store::figures::Gap| pb::ContinuityGap {
        customer_id: gap.customer.to_string(),
        lacks_owner: gap.lacks_owner,
        lacks_task: gap.lacks_task,
    };
    pb::CheckContinuityResponse {
        customer_count: found.customers,
        ownerless_count: found.ownerless,
        taskless_count: found.taskless,
        orphan_task_count: found.orphan_tasks,
        gaps: found.gaps.iter().map(gap).collect(),
        monitor_time: time_optional(seen.map(|seen| seen.at)),
        monitor_gap_count: seen.map_or(0, |seen| seen.gaps()),
    }
}
