//! Carrying a publication, a migration or an end through all customers of a plan: a few at a time, restarts included.

use revisit_bootstrap::database::Tx;
use revisit_core::{Failure, Id, Timestamp, id::EnrolmentId};
use revisit_permission::Worker;

use super::planner;
use crate::{
    App,
    domain::{
        Error,
        plan::{Enrolment, EnrolmentState, Plan, PlanState, Reason},
    },
    store::{
        enrolments, plans,
        plans::{Sweep, SweepKind},
        projection,
    },
};

/// Customers of one transaction.
const BATCH: u64 = 100;

/// Does the next piece of a sweep. Answers whether there may be more.
pub async fn step(app: &App, worker: &Worker) -> Result<bool, Failure> {
    app.database.write(worker, async |tx: &Tx| step_in(app, tx).await).await
}

async fn step_in(app: &App, tx: &Tx) -> Result<bool, Failure> {
    let Some(sweep) = plans::next_sweep(tx).await? else { return Ok(false) };
    let now = app.now(tx).await?;
    let plan = plans::lock(tx, sweep.tenant, sweep.plan).await?;
    let reached = match (&plan, sweep.kind) {
        (Some(plan), SweepKind::Enrol) if plan.state == PlanState::Published => {
            enrol(app, tx, plan, &sweep, now).await?
        }
        (Some(plan), SweepKind::Migrate) if plan.state == PlanState::Published => {
            migrate(app, tx, plan, &sweep).await?
        }
        (Some(plan), SweepKind::Sift) if plan.state == PlanState::Published => release(tx, plan, &sweep, now).await?,
        (Some(plan), SweepKind::Release) => release(tx, plan, &sweep, now).await?,
        (None, _) | (Some(_), SweepKind::Enrol | SweepKind::Migrate | SweepKind::Sift) => None,
    };
    match reached {
        Some(cursor) => plans::save_sweep(tx, &Sweep { cursor, ..sweep }).await?,
        None => plans::end_sweep(tx, &sweep).await?,
    }
    Ok(true)
}

type Cursor = Option<revisit_core::id::CustomerId>;

async fn enrol(app: &App, tx: &Tx, plan: &Plan, sweep: &Sweep, now: Timestamp) -> Result<Cursor, Failure> {
    let Some(segment) = plan.segment else { return Ok(None) };
    let members = projection::members(tx, sweep.tenant, segment, sweep.cursor, BATCH).await?;
    for member in &members {
        // A member whose facts are not known yet enters when its event arrives.
        if let Some(customer) = projection::customer(tx, sweep.tenant, *member, projection::Hold::Change).await? {
            planner::enrol(app, tx, plan, &customer, now).await?;
        }
    }
    Ok(members.last().copied())
}

async fn migrate(app: &App, tx: &Tx, plan: &Plan, sweep: &Sweep) -> Result<Cursor, Failure> {
    let batch = batch(tx, plan, sweep).await?;
    let version = planner::version(app, tx, (plan.tenant, plan.id, plan.published)).await?;
    let definition = &version.ok_or_else(|| Failure::from(Error::NoSuchVersion))?.definition;
    for found in &batch {
        let customer = projection::customer(tx, plan.tenant, found.customer, projection::Hold::Change).await?;
        let enrolment = enrolments::lock(tx, plan.tenant, found.id).await?;
        let (Some(customer), Some(enrolment)) = (customer, enrolment) else { continue };
        if enrolment.plan_version >= plan.published {
            continue;
        }
        let zone = planner::zone(app, tx, definition.zone.as_deref(), &customer).await?;
        let moved = Enrolment { plan_version: plan.published, zone, ..enrolment };
        match moved.state {
            EnrolmentState::Active => drop(planner::replan(app, tx, moved, &customer, Reason::Migrated).await?),
            // It is planned when it is resumed.
            EnrolmentState::Paused => {
                enrolments::save(tx, &Enrolment { version: moved.version + 1, ..moved }).await?;
            }
            EnrolmentState::Released => {}
        }
    }
    Ok(reached(&batch))
}

/// Releases everybody when the plan has ended, else who is no member of its audience.
async fn release(tx: &Tx, plan: &Plan, sweep: &Sweep, now: Timestamp) -> Result<Cursor, Failure> {
    let audience = plan.segment.filter(|_| sweep.kind == SweepKind::Sift);
    let reason = if audience.is_some() { Reason::Left } else { Reason::PlanEnded };
    let batch = batch(tx, plan, sweep).await?;
    for found in &batch {
        projection::customer(tx, plan.tenant, found.customer, projection::Hold::Change).await?;
        if let Some(segment) = audience
            && projection::is_member(tx, plan.tenant, (segment, found.customer)).await?
        {
            continue;
        }
        if let Some(enrolment) = enrolments::lock(tx, plan.tenant, found.id).await?
            && enrolment.state != EnrolmentState::Released
        {
            planner::suspend(tx, enrolment, EnrolmentState::Released, reason, now).await?;
        }
    }
    Ok(reached(&batch))
}

/// These sweeps walk by enrolment; the cursor holds whichever id the walk goes by.
async fn batch(tx: &Tx, plan: &Plan, sweep: &Sweep) -> Result<Vec<Enrolment>, Failure> {
    let after: EnrolmentId = Id::from_uuid(sweep.cursor.uuid());
    enrolments::of_plan(tx, plan.tenant, plan.id, Some(after), BATCH).await
}

fn reached(batch: &[Enrolment]) -> Cursor {
    batch.last().map(|enrolment| Id::from_uuid(enrolment.id.uuid()))
}
