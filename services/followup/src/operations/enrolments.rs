//! Enrolments by hand: looking at them, pausing, resuming, moving to the newest version.

use revisit_bootstrap::{Principal, database::Tx};
use revisit_core::id::{CustomerId, EnrolmentId, PlanId, TenantId};
use revisit_permission::Action;
use revisit_proto::followup::v1 as pb;

use super::planner;
use crate::{
    App,
    domain::{
        Error,
        people::Customer,
        plan::{Enrolment, EnrolmentState, Reason},
    },
    show,
    store::{
        enrolments,
        enrolments::Which,
        plans,
        plans::{Sweep, SweepKind},
        projection,
    },
};

/// A customer that the caller may view; another one does not exist for them.
pub async fn viewed_customer(app: &App, who: &Principal, id: CustomerId) -> Result<Customer, Error> {
    let scope = who.scope(Action::CustomerView).map_err(|failure| hidden(failure, Error::NoSuchCustomer))?;
    app.freshness.require("customer")?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let found = projection::customer(tx, scope.tenant(), id, projection::Hold::Look).await?;
            let found = found.filter(|customer| !customer.deleted && scope.levels(&customer.row()).is_some());
            found.ok_or(Error::NoSuchCustomer)
        })
        .await
}

/// The same customer held, so that its owner does not change until the transaction ends; the caller may still view it.
pub async fn held_customer(tx: &Tx, who: &Principal, id: CustomerId) -> Result<Customer, Error> {
    let scope = who.scope(Action::CustomerView).map_err(|failure| hidden(failure, Error::NoSuchCustomer))?;
    let found = projection::customer(tx, scope.tenant(), id, projection::Hold::Share).await?;
    let found = found.filter(|customer| !customer.deleted && scope.levels(&customer.row()).is_some());
    found.ok_or(Error::NoSuchCustomer)
}

/// Who can see no row of a kind at all learns no more than who cannot see this one.
fn hidden(failure: revisit_core::Failure, instead: Error) -> Error {
    if failure.kind == revisit_core::Kind::Denied { instead } else { failure.into() }
}

/// A page of enrolments: of a plan that the caller may see, or of a customer.
pub async fn list(
    app: &App,
    who: &Principal,
    which: Which,
    (after, limit): (Option<EnrolmentId>, u32),
) -> Result<(Vec<pb::Enrolment>, Option<EnrolmentId>), Error> {
    if let Some(customer) = which.customer {
        viewed_customer(app, who, customer).await?;
    }
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            if let Some(plan) = which.plan {
                plans::find(tx, &scope, plan).await?.ok_or(Error::NoSuchPlan)?;
            }
            let mut rows = enrolments::list(tx, scope.tenant(), which, after, u64::from(limit) + 1).await?;
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let next = rows.last().filter(|_| more).map(|row| row.id);
            Ok((rows.iter().map(show::enrolment).collect(), next))
        })
        .await
}

/// What a change of one enrolment names.
pub struct Change {
    pub id: EnrolmentId,
    pub etag: Option<i64>,
}

/// Stops planning for one customer in one plan. Pausing twice changes nothing.
pub async fn pause(app: &App, who: &Principal, change: Change) -> Result<pb::Enrolment, Error> {
    let found = find(app, who, change.id).await?;
    let permit = who.decide(Action::EnrolmentManage, &found.1.row())?;
    app.database
        .write(&permit, async |tx: &Tx| {
            let (_, enrolment) = lock(tx, permit.tenant(), &found.0).await?;
            match enrolment.state {
                EnrolmentState::Paused => return Ok(show::enrolment(&enrolment)),
                EnrolmentState::Released => return Err(Error::EnrolmentState),
                EnrolmentState::Active => {}
            }
            unchanged(&enrolment, change.etag)?;
            let now = app.now(tx).await?;
            let paused = planner::suspend(tx, enrolment, EnrolmentState::Paused, Reason::Paused, now).await?;
            Ok(show::enrolment(&paused))
        })
        .await
}

/// Plans again from now on. Resuming what runs changes nothing.
pub async fn resume(app: &App, who: &Principal, change: Change) -> Result<pb::Enrolment, Error> {
    let found = find(app, who, change.id).await?;
    let permit = who.decide(Action::EnrolmentManage, &found.1.row())?;
    let resumed = app.database.write(&permit, async |tx: &Tx| {
        let (customer, enrolment) = lock(tx, permit.tenant(), &found.0).await?;
        match enrolment.state {
            EnrolmentState::Active => return Ok(show::enrolment(&enrolment)),
            EnrolmentState::Released => return Err(Error::EnrolmentState),
            EnrolmentState::Paused => {}
        }
        unchanged(&enrolment, change.etag)?;
        let enrolment = Enrolment { state: EnrolmentState::Active, ..enrolment };
        let resumed = planner::replan(app, tx, enrolment, &customer, Reason::Resumed).await?;
        Ok(show::enrolment(&resumed))
    });
    let resumed = resumed.await?;
    app.wake.notify_one();
    Ok(resumed)
}

fn unchanged(enrolment: &Enrolment, etag: Option<i64>) -> Result<(), Error> {
    if etag.is_none_or(|etag| etag == enrolment.version) { Ok(()) } else { Err(Error::Stale) }
}

/// An enrolment of a plan that the caller may see.
async fn find(app: &App, who: &Principal, id: EnrolmentId) -> Result<(Enrolment, crate::domain::plan::Plan), Error> {
    let scope = who.scope(Action::PlanView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let enrolment = enrolments::find(tx, scope.tenant(), id).await?.ok_or(Error::NoSuchEnrolment)?;
            let plan = plans::find(tx, &scope, enrolment.plan).await?.ok_or(Error::NoSuchEnrolment)?;
            Ok((enrolment, plan))
        })
        .await
}

/// Customer first, then enrolment: the order that all follow.
async fn lock(tx: &Tx, tenant: TenantId, read: &Enrolment) -> Result<(Customer, Enrolment), Error> {
    let customer = projection::customer(tx, tenant, read.customer, projection::Hold::Change).await?;
    let enrolment = enrolments::lock(tx, tenant, read.id).await?;
    Ok((customer.ok_or(Error::NoSuchCustomer)?, enrolment.ok_or(Error::NoSuchEnrolment)?))
}

/// Moves all enrolments of a plan to its newest version, in the background.
pub async fn migrate(app: &App, who: &Principal, plan: PlanId) -> Result<pb::MigrateEnrolmentsResponse, Error> {
    let scope = who.scope(Action::PlanView)?;
    let found = app.database.read(&scope, async |tx: &Tx| plans::find(tx, &scope, plan).await.map_err(Error::from));
    let found = found.await?.ok_or(Error::NoSuchPlan)?;
    let permit = who.decide(Action::EnrolmentManage, &found.row())?;
    let count = app.database.write(&permit, async |tx: &Tx| {
        let plan = plans::lock(tx, permit.tenant(), plan).await?.ok_or(Error::NoSuchPlan)?;
        let now = app.now(tx).await?;
        plans::save_sweep(tx, &Sweep::begin(&plan, SweepKind::Migrate, now)).await?;
        Ok::<_, Error>(enrolments::count(tx, permit.tenant(), plan.id, Some(plan.published)).await?)
    });
    let count = count.await?;
    app.wake.notify_one();
    Ok(pb::MigrateEnrolmentsResponse { enrolment_count: i64::try_from(count).unwrap_or(i64::MAX) })
}
