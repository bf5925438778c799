//! What other services' events change here: task-bound access, the timeline, what plans watch, hand-overs.

use revisit_bootstrap::{Tx, database::fault};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, SubjectId, TenantId, TimelineEntryId},
};
use revisit_event::{Envelope, EnvelopeExt};
use revisit_permission::{Layer, Level, Levels, TaskHolder};
use revisit_proto::{followup::v1 as followup, identity::v1 as identity};

use crate::{
    App,
    domain::timeline::{Entry, EntryKind},
    store::{self, load, past::LENT_MAX},
};

/// How long a closed task is remembered, so that an older message cannot open it again.
const CLOSED_KEPT: std::time::Duration = std::time::Duration::from_hours(24);

/// Applies one event, whatever its type; types that concern nothing here are passed over.
pub async fn apply(app: &App, tx: &Tx, event: &Envelope) -> Result<(), Failure> {
    let tenant = event.tenant()?;
    if let Some(opened) = event.read::<followup::TaskOpened>()? {
        return open_task(app, tx, tenant, &opened).await;
    }
    if let Some(closed) = event.read::<followup::TaskClosed>()? {
        if closed.customer_id.is_empty() {
            return Ok(());
        }
        let (customer, task) = (required(&closed.customer_id)?, required(&closed.task_id)?);
        return close_task(app, tx, (tenant, customer), task, closed.generation).await;
    }
    if let Some(outcome) = event.read::<followup::OutcomeRecorded>()? {
        return outcome_recorded(app, tx, tenant, &outcome).await;
    }
    if let Some(published) = event.read::<followup::PlanPublished>()? {
        let (plan, segment) = (required(&published.plan_id)?, required(&published.segment_id)?);
        let of = (tenant, plan, published.plan_version);
        let worker = &app.workers.consume;
        store::segment_rows::watch_for(tx, worker, of, segment, &published.watched_fields).await?;
        app.wake.notify_one();
        return Ok(());
    }
    if let Some(retired) = event.read::<followup::PlanRetired>()? {
        let plan = required(&retired.plan_id)?;
        return Ok(store::segment_rows::unwatch(tx, &app.workers.consume, tenant, plan).await?);
    }
    if let Some(started) = event.read::<identity::HandOverStarted>()? {
        super::hand_over::begin(app, tx, tenant, &started).await?;
        app.wake.notify_one();
    }
    Ok(())
}

/// An id of a message; one that is missing or malformed can never be applied.
pub fn required<K>(text: &str) -> Result<Id<K>, Failure> {
    text.parse().map_err(|_| Failure::internal("an event names no id where it must"))
}

async fn open_task(app: &App, tx: &Tx, tenant: TenantId, opened: &followup::TaskOpened) -> Result<(), Failure> {
    if opened.customer_id.is_empty() {
        return Ok(());
    }
    // A layer that this version does not know is not lent.
    // Nor is anything lent for longer than a question about the past looks back.
    let until = tx.now().await.map_err(fault)? + LENT_MAX;
    let lent = opened.layers.iter().filter_map(|layer| Layer::parse(layer));
    let holder = TaskHolder {
        task: required(&opened.task_id)?,
        generation: opened.generation,
        subject: Some(required(&opened.assignee_id)?),
        layers: lent.fold(Levels::HIDDEN, |levels, layer| levels.with(layer, Level::Read)),
        until: until.min(Timestamp::from_micros(opened.until_micros)),
    };
    let customer = required(&opened.customer_id)?;
    Ok(store::duty::hold_task(tx, &app.workers.consume, (tenant, customer), &holder).await?)
}

/// Ends what a task lends; the entry stays without a subject so that a late message cannot open it again.
pub async fn close_task(
    app: &App,
    tx: &Tx,
    customer: (TenantId, CustomerId),
    task: revisit_core::id::TaskId,
    generation: i64,
) -> Result<(), Failure> {
    let until = tx.now().await.map_err(fault)? + CLOSED_KEPT;
    let holder = TaskHolder { task, generation, subject: None, layers: Levels::HIDDEN, until };
    Ok(store::duty::hold_task(tx, &app.workers.consume, customer, &holder).await?)
}

/// The timeline takes an entry from an outcome: what is sensitive of it belongs to supervisors.
async fn outcome_recorded(
    app: &App,
    tx: &Tx,
    tenant: TenantId,
    outcome: &followup::OutcomeRecorded,
) -> Result<(), Failure> {
    if outcome.customer_id.is_empty() {
        return Ok(());
    }
    let customer: CustomerId = required(&outcome.customer_id)?;
    let worker = &app.workers.consume;
    if load::for_worker(tx, worker, tenant, &[customer]).await.map_err(fault)?.is_empty() {
        return Ok(());
    }
    let task: revisit_core::id::TaskId = required(&outcome.task_id)?;
    let at = Timestamp::from_micros(outcome.time_micros);
    // Derived, so that the same outcome is one entry however often it is told.
    let parts = [tenant.uuid(), task.uuid()].map(uuid::Uuid::into_bytes);
    let stamp = outcome.time_micros.to_be_bytes();
    let id = TimelineEntryId::derived("revisit customer outcome entry", &[&parts[0], &parts[1], &stamp]);
    let mut entry = Entry::new(EntryKind::FollowUp, tenant, customer, id, at).about(task);
    let result = (!outcome.result.is_empty()).then(|| outcome.result.clone());
    entry = entry.change(None, result);
    entry.actor = outcome.recorded_by_id.parse::<SubjectId>().ok();
    entry.channel = (!outcome.channel.is_empty()).then(|| outcome.channel.clone());
    let entry = if outcome.sensitive { entry.reviewed() } else { entry };
    Ok(store::timeline::add_heard(tx, &app.store, worker, &entry).await?)
}
