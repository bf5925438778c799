//! A task and its row: the conversion both ways.

use revisit_core::{Failure, Id};
use sea_orm::EntityTrait;

use super::{
    at, id, layers, layers_text, local, local_text, raw,
    task_entity::{task, task_row},
    unreadable,
};
use crate::domain::{
    plan::Reason,
    task::{Agenda, Channel, Moment, Origin, Task, TaskKind, TaskState, TimerKind},
};

pub(super) type Model = task::Model;
pub(super) type Column = task::Column;
pub(super) type Entity = task::Entity;
pub(super) type RowEntity = task_row::Entity;
pub(super) type RowColumn = <task_row::Entity as EntityTrait>::Column;

pub(super) fn task(row: Model) -> Result<Task, Failure> {
    let origin = match (row.plan_id, row.plan_version, row.step, row.enrolment_id) {
        (Some(plan), Some(version), Some(step), Some(enrolment)) => Some(Origin {
            plan: Id::from_uuid(plan),
            version,
            step,
            enrolment: Id::from_uuid(enrolment),
            generation: row.generation,
        }),
        _ => None,
    };
    let timer = match (row.timer_at, row.timer_kind) {
        (Some(micros), Some(code)) => {
            Some(Moment { at: at(micros), kind: TimerKind::parse(code).ok_or_else(|| unreadable("timer kind"))? })
        }
        _ => None,
    };
    Ok(Task {
        tenant: Id::from_uuid(row.tenant_id),
        id: Id::from_uuid(row.task_id),
        version: row.version,
        kind: TaskKind::parse(&row.kind).ok_or_else(|| unreadable("task kind"))?,
        state: TaskState::parse(&row.state).ok_or_else(|| unreadable("task state"))?,
        customer: id(row.customer_id),
        origin,
        occurrence: row.occurrence,
        nominal: row.nominal.as_deref().and_then(local),
        zone: row.zone,
        named: id(row.named_id),
        assignee: id(row.assignee_id),
        department: id(row.department_id),
        stage: row.stage,
        grade: row.grade,
        channel: row.channel.as_deref().and_then(Channel::parse),
        open_at: at(row.open_at),
        due_at: at(row.due_at),
        agenda: Agenda::parse(&row.agenda).ok_or_else(|| unreadable("agenda"))?,
        remind_open: row.remind_open,
        before_minutes: minutes(&row.before_minutes)?,
        timer,
        lent: layers(&row.lent)?,
        lent_until: at(row.lent_until),
        lent_by: id(row.lent_by_id),
        title: row.title,
        reason: Reason::parse(&row.reason),
        reason_text: row.reason_text,
        parent: id(row.parent_id),
        open_issues: row.open_issues,
        asks_satisfaction: row.asks_satisfaction,
        success: row.success,
        satisfaction: row.satisfaction,
        done_at: row.done_at.map(at),
        closed_at: row.closed_at.map(at),
        created_at: at(row.created_at),
        created_by: id(row.created_by),
    })
}

fn minutes(text: &str) -> Result<Vec<u32>, Failure> {
    text.split_whitespace().map(|number| number.parse().map_err(|_| unreadable("offset"))).collect()
}

pub(super) fn row(task: &Task) -> Model {
    let origin = task.origin.as_ref();
    Model {
        tenant_id: task.tenant.uuid(),
        task_id: task.id.uuid(),
        version: task.version,
        kind: task.kind.name().to_owned(),
        state: task.state.name().to_owned(),
        customer_id: raw(task.customer),
        plan_id: origin.map(|origin| origin.plan.uuid()),
        plan_version: origin.map(|origin| origin.version),
        step: origin.map(|origin| origin.step.clone()),
        enrolment_id: origin.map(|origin| origin.enrolment.uuid()),
        generation: origin.map_or(0, |origin| origin.generation),
        occurrence: task.occurrence.clone(),
        nominal: task.nominal.map(local_text),
        zone: task.zone.clone(),
        named_id: raw(task.named),
        assignee_id: raw(task.assignee),
        department_id: raw(task.department),
        stage: task.stage.clone(),
        grade: task.grade.clone(),
        channel: task.channel.map(|channel| channel.name().to_owned()),
        open_at: task.open_at.micros(),
        due_at: task.due_at.micros(),
        agenda: task.agenda.text(),
        remind_open: task.remind_open,
        before_minutes: task.before_minutes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        timer_at: task.timer.map(|timer| timer.at.micros()),
        timer_kind: task.timer.map(|timer| timer.kind.code()),
        lent: layers_text(&task.lent),
        lent_until: task.lent_until.micros(),
        lent_by_id: raw(task.lent_by),
        title: task.title.clone(),
        reason: task.reason.name().to_owned(),
        reason_text: task.reason_text.clone(),
        parent_id: raw(task.parent),
        open_issues: task.open_issues,
        asks_satisfaction: task.asks_satisfaction,
        success: task.success,
        satisfaction: task.satisfaction,
        done_at: task.done_at.map(|done| done.micros()),
        closed_at: task.closed_at.map(|closed| closed.micros()),
        created_at: task.created_at.micros(),
        created_by: raw(task.created_by),
    }
}
