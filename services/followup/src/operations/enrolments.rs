//! Enrolments by hand: looking at them, pausing, resuming, moving to the newest version.

use revisit_bootstrap::{
    Principal,
    audit::Deed,
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::id::{CustomerId, EnrolmentId, PlanId, TenantId};
use revisit_permission::{Action, Layer, Permits, Scope};
use revisit_proto::followup::v1 as pb;

use super::{
    planner,
    rights::Rights,
    write::{self, Made},
};
use crate::{
    App,
    domain::{
        Error,
        people::Customer,
        plan::{Enrolment, EnrolmentState, Plan, Reason},
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
    app.database.read(&scope, async |tx: &Tx| seen(tx, &scope, id).await?.ok_or(Error::NoSuchCustomer)).await
}

/// A customer that lies in the scope.
async fn seen(tx: &Tx, scope: &Scope, id: CustomerId) -> Result<Option<Customer>, Error> {
    let found = projection::customer(tx, scope.tenant(), id, projection::Hold::Look).await?;
    Ok(found.filter(|customer| !customer.deleted && scope.levels(&customer.row()).is_some()))
}

/// A customer held, so that its owner does not change until the transaction ends, for who decides on it then.
pub async fn held_customer(tx: &Tx, tenant: TenantId, id: CustomerId) -> Result<Customer, Error> {
    let held = projection::customer(tx, tenant, id, projection::Hold::Share).await?;
    held.filter(|customer| !customer.deleted).ok_or(Error::NoSuchCustomer)
}

/// Who can see no row of a kind at all learns no more than who cannot see this one.
fn hidden(failure: revisit_core::Failure, instead: Error) -> Error {
    if failure.kind == revisit_core::Kind::Denied { instead } else { failure.into() }
}

/// A page of enrolments: of a plan that the caller may see, or of a customer; in either case of customers that they may
/// see, because that somebody is followed up, and why no longer, is told of the customer.
pub async fn list(
    app: &App,
    who: &Principal,
    which: Which,
    (after, limit): (Option<EnrolmentId>, u32),
) -> Result<(Vec<pb::Enrolment>, Option<EnrolmentId>), Error> {
    if let Some(customer) = which.customer {
        viewed_customer(app, who, customer).await?;
    }
    let permit = (who.scope(Action::PlanView)?, who.scope(Action::CustomerView)?);
    let (plans, customers) = &permit;
    app.freshness.require("customer")?;
    app.database
        .read(&permit, async |tx: &Tx| {
            if let Some(plan) = which.plan {
                plans::find(tx, plans, plan).await?.ok_or(Error::NoSuchPlan)?;
            }
            let mut rows = enrolments::list(tx, customers, which, after, limit as usize + 1).await?;
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let next = rows.last().filter(|_| more).map(|row| row.id);
            Ok((rows.iter().map(show::enrolment).collect(), next))
        })
        .await
}

/// How many customers run in a plan, of those whom the caller may count. Who is in a segment is told by basic facts: where
/// some row hides those, being counted would tell of them, and nothing is told.
pub async fn running(app: &App, who: &Principal, plan: PlanId, older_than: Option<i32>) -> Result<Option<i64>, Error> {
    let counts = match who.scope(Action::CustomerAggregate) {
        Ok(scope) if scope.reads(Layer::Basic) => scope,
        Ok(_) => return Ok(None),
        Err(failure) if failure.kind == revisit_core::Kind::Denied => return Ok(None),
        Err(failure) => return Err(failure.into()),
    };
    app.freshness.require("customer")?;
    let count = app
        .database
        .read(&counts, async |tx: &Tx| enrolments::count(tx, &counts, plan, older_than).await.map_err(Error::from));
    Ok(Some(i64::try_from(count.await?).unwrap_or(i64::MAX)))
}

/// What a change of one enrolment names.
pub struct Change {
    pub id: EnrolmentId,
    pub etag: Option<i64>,
    pub repeat: Option<Repeatable>,
}

/// Stops planning for one customer in one plan. Pausing twice changes nothing.
pub async fn pause(app: &App, who: &Principal, change: Change) -> Result<pb::Enrolment, Error> {
    let found = find(app, who, change.id).await?;
    let permits = found.decide(who)?;
    let work = async |tx: &Tx| {
        let mut rights = Rights::of(who);
        let (_, enrolment) = lock(tx, &mut rights, &found).await?;
        match enrolment.state {
            EnrolmentState::Paused => return Ok(Made::Unchanged(show::enrolment(&enrolment), rights)),
            EnrolmentState::Released => return Err(Error::EnrolmentState),
            EnrolmentState::Active => {}
        }
        unchanged(&enrolment, change.etag)?;
        let now = app.now(tx).await?;
        let paused = planner::suspend(tx, enrolment, EnrolmentState::Paused, Reason::Paused, now).await?;
        Ok(Made::Changed(show::enrolment(&paused), deed(change.id), rights))
    };
    write::change(app, &permits, Once::new(who, change.repeat.as_ref()), work).await
}

fn deed(id: EnrolmentId) -> Deed {
    Deed::on("enrolment", [id.uuid()]).fields(["state"])
}

/// Plans again from now on. Resuming what runs changes nothing.
pub async fn resume(app: &App, who: &Principal, change: Change) -> Result<pb::Enrolment, Error> {
    let found = find(app, who, change.id).await?;
    let permits = found.decide(who)?;
    let work = async |tx: &Tx| {
        let mut rights = Rights::of(who);
        let (customer, enrolment) = lock(tx, &mut rights, &found).await?;
        match enrolment.state {
            EnrolmentState::Active => return Ok(Made::Unchanged(show::enrolment(&enrolment), rights)),
            EnrolmentState::Released => return Err(Error::EnrolmentState),
            EnrolmentState::Paused => {}
        }
        unchanged(&enrolment, change.etag)?;
        let enrolment = Enrolment { state: EnrolmentState::Active, ..enrolment };
        let resumed = planner::replan(app, tx, enrolment, &customer, Reason::Resumed).await?;
        Ok(Made::Changed(show::enrolment(&resumed), deed(change.id), rights))
    };
    let resumed = write::change(app, &permits, Once::new(who, change.repeat.as_ref()), work).await?;
    app.wake.notify_one();
    Ok(resumed)
}

fn unchanged(enrolment: &Enrolment, etag: Option<i64>) -> Result<(), Error> {
    if etag.is_none_or(|etag| etag == enrolment.version) { Ok(()) } else { Err(Error::Stale) }
}

/// An enrolment with what it is decided on.
struct Found {
    enrolment: Enrolment,
    plan: Plan,
    customer: Customer,
}

impl Found {
    /// Pausing leaves out all that is planned for a customer, and resuming plans it anew: beside the right over the
    /// plan's enrolments it takes what leaving out a single task of that customer takes, and to see whose enrolment it is.
    fn decide(&self, who: &Principal) -> Result<Permits, Error> {
        let row = self.customer.row();
        let plan = who.decide(Action::EnrolmentManage, &self.plan.row())?;
        Ok(Permits(vec![plan, who.decide(Action::TaskUpdate, &row)?, who.decide(Action::CustomerView, &row)?]))
    }
}

/// An enrolment of a customer that the caller may see, in a plan that they may see.
async fn find(app: &App, who: &Principal, id: EnrolmentId) -> Result<Found, Error> {
    let plans = who.scope(Action::PlanView)?;
    let customers = who.scope(Action::CustomerView).map_err(|failure| hidden(failure, Error::NoSuchEnrolment))?;
    let permit = (plans, customers);
    let (plans, customers) = &permit;
    app.freshness.require("customer")?;
    app.database
        .read(&permit, async |tx: &Tx| {
            let enrolment = enrolments::find(tx, plans.tenant(), id).await?.ok_or(Error::NoSuchEnrolment)?;
            let plan = plans::find(tx, plans, enrolment.plan).await?.ok_or(Error::NoSuchEnrolment)?;
            let customer = seen(tx, customers, enrolment.customer).await?;
            Ok(Found { enrolment, plan, customer: customer.ok_or(Error::NoSuchEnrolment)? })
        })
        .await
}

/// Customer first, then enrolment: the order that all follow. The customer may have changed hands since it was read; the
/// plan belongs to whom it belonged.
async fn lock(tx: &Tx, rights: &mut Rights, read: &Found) -> Result<(Customer, Enrolment), Error> {
    let (tenant, id) = (read.enrolment.tenant, read.enrolment.customer);
    let customer = projection::customer(tx, tenant, id, projection::Hold::Change).await?;
    let customer = customer.ok_or(Error::NoSuchCustomer)?;
    rights.decide(Action::EnrolmentManage, &read.plan.row())?;
    rights.decide(Action::TaskUpdate, &customer.row())?;
    // Whose enrolment it is, and why it stands still, is told of the customer.
    rights.decide(Action::CustomerView, &customer.row())?;
    let enrolment = enrolments::lock(tx, tenant, read.enrolment.id).await?;
    Ok((customer, enrolment.ok_or(Error::NoSuchEnrolment)?))
}

/// Moves all enrolments of a plan to its newest version, in the background.
pub async fn migrate(
    app: &App,
    who: &Principal,
    plan: PlanId,
    repeat: Option<Repeatable>,
) -> Result<pb::MigrateEnrolmentsResponse, Error> {
    let scope = who.scope(Action::PlanView)?;
    let found = app.database.read(&scope, async |tx: &Tx| plans::find(tx, &scope, plan).await.map_err(Error::from));
    let found = found.await?.ok_or(Error::NoSuchPlan)?;
    let permits = Permits(vec![who.decide(Action::EnrolmentManage, &found.row())?]);
    let enrolment_count = running(app, who, found.id, Some(found.published)).await?;
    let work = async |tx: &Tx| {
        let plan = plans::lock(tx, who.tenant(), plan).await?.ok_or(Error::NoSuchPlan)?;
        let mut rights = Rights::of(who);
        rights.decide(Action::EnrolmentManage, &plan.row())?;
        let now = app.now(tx).await?;
        plans::save_sweep(tx, &Sweep::begin(&plan, SweepKind::Migrate, now)).await?;
        let answer = pb::MigrateEnrolmentsResponse { enrolment_count };
        // Of the plan, because its enrolments move one by one and later.
        Ok(Made::Changed(answer, Deed::on("plan", [plan.id.uuid()]).fields(["enrolments"]), rights))
    };
    let begun = write::change(app, &permits, Once::new(who, repeat.as_ref()), work).await?;
    app.wake.notify_one();
    Ok(begun)
}
