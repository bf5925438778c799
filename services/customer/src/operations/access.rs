//! Who can see a customer, who could, and why: identity decides, by what the customer is or was.

use revisit_bootstrap::{Principal, database::Tx, status::answer, wire};
use revisit_core::{
    Timestamp,
    id::{CustomerId, SubjectId},
};
use revisit_permission::{Action, Layer, Levels, Permit, Scope, TaskHolder};
use revisit_proto::identity::v1::{self as identity, access_client::AccessClient};

use crate::{
    App,
    domain::{Error, customer::Customer},
    store::past,
};

/// The question.
pub struct WhoMay {
    pub customer: CustomerId,
    pub action: Action,
    /// Now, when there is none.
    pub at: Option<Timestamp>,
    pub page_size: i32,
    pub page_token: String,
}

/// One page of those who may, or could, as identity answers it. The caller's right to explain must reach the customer as
/// it is now; which subjects are told is decided by identity for the same caller.
pub async fn who_may(
    app: &App,
    who: &Principal,
    question: WhoMay,
) -> Result<identity::ListSubjectsWithAccessResponse, Error> {
    let explains = who.scope(Action::AccessExplain)?;
    let read = app.store.database.read(&explains, async |tx| {
        let reached = reached(tx, &explains, question.customer).await?;
        let (now, _) = reached.ok_or(Error::NoSuchCustomer(question.customer))?;
        match question.at {
            None => Ok(now),
            Some(at) if at <= app.clock.wall() - app.config.past() => {
                Err(Error::invalid("at_time", "must not lie before what is kept of the past"))
            }
            Some(at) if at < now.created_at => {
                Err(Error::invalid("at_time", "must not lie before the customer was made"))
            }
            Some(at) => past::at(tx, &explains, now, at).await,
        }
    });
    let then = read.await?;
    if then.deleted_at.is_some() {
        return Err(Error::Deleted);
    }
    let request = identity::ListSubjectsWithAccessRequest {
        tenant_id: String::new(),
        action: question.action.name().to_owned(),
        row: Some(attributes(&then, question.at)),
        at_time: question.at.map(wire::time),
        page_size: question.page_size,
        page_token: question.page_token,
    };
    let mut identity = AccessClient::new(app.peers.acting("identity", who));
    let told = answer(identity.list_subjects_with_access(request).await)?;
    explains.confirm().map_err(revisit_core::Failure::from)?;
    Ok(told)
}

/// The question why.
pub struct Why {
    pub customer: CustomerId,
    /// The caller, when nobody is named.
    pub subject: Option<SubjectId>,
    pub action: Action,
}

/// Why somebody may do something to a customer, or may not, as identity explains it.
pub async fn why(app: &App, who: &Principal, question: Why) -> Result<identity::ExplainAccessResponse, Error> {
    let (customer, scope) = open_to(app, who, &question).await?;
    let check = identity::CheckRequest {
        tenant_id: String::new(),
        subject_id: question.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        action: question.action.name().to_owned(),
        row: Some(attributes(&customer, None)),
    };
    let mut identity = AccessClient::new(app.peers.acting("identity", who));
    let told = answer(identity.explain_access(identity::ExplainAccessRequest { check: Some(check) }).await)?;
    scope.confirm().map_err(revisit_core::Failure::from)?;
    Ok(told)
}

/// The customer, and the right by which the caller may hear why somebody may do something to it: about oneself to see it,
/// else to explain it. What decided tells what the customer is, so a view without its basic facts does not do.
async fn open_to(app: &App, who: &Principal, question: &Why) -> Result<(Customer, Scope), Error> {
    let id = question.customer;
    let find = async |scope: &Scope| app.store.database.read(scope, async |tx| reached(tx, scope, id).await).await;
    let own = question.subject.is_none_or(|subject| subject == who.subject());
    if own
        && let Ok(views) = who.scope(Action::CustomerView)
        && let Some((customer, levels)) = find(&views).await?
        && customer.deleted_at.is_none()
        && levels.reads(Layer::Basic)
    {
        return Ok((customer, views));
    }
    let explains = match who.scope(Action::AccessExplain) {
        Ok(explains) => explains,
        Err(_) if own => {
            // To ask about oneself is no attempt to explain others. That a lease has run out is told all the same.
            app.reading(who)?;
            return Err(Error::NoSuchCustomer(id));
        }
        Err(failure) => return Err(failure.into()),
    };
    let (customer, _) = find(&explains).await?.ok_or(Error::NoSuchCustomer(id))?;
    if customer.deleted_at.is_some() { Err(Error::Deleted) } else { Ok((customer, explains)) }
}

/// A customer and how much of it a right gives. One that the right does not reach answers like one that does not exist.
async fn reached(tx: &Tx, scope: &Scope, id: CustomerId) -> Result<Option<(Customer, Levels)>, Error> {
    let found = past::find(tx, scope, scope.tenant(), id).await?;
    Ok(found.and_then(|customer| scope.levels(&customer.row()).map(|levels| (customer, levels))))
}

/// What decisions look at. About the past no revision of permission is asked for: identity finds the one of then.
fn attributes(customer: &Customer, at: Option<Timestamp>) -> identity::RowAttributes {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    identity::RowAttributes {
        row_id: customer.id.to_string(),
        owner_id: id(customer.owner.map(revisit_core::Id::uuid)),
        department_id: id(customer.department.map(revisit_core::Id::uuid)),
        team_ids: customer.teams.iter().map(ToString::to_string).collect(),
        stage: customer.stage.clone(),
        grade: text(&customer.grade),
        vip: customer.vip,
        pooled: customer.pooled,
        // A closed task lends nothing.
        task_holders: customer.task_holders.iter().filter(|it| it.subject.is_some()).map(holder).collect(),
        auth_rev: if at.is_some() { 0 } else { customer.auth_rev },
        external_type: String::new(),
    }
}

fn holder(it: &TaskHolder) -> identity::TaskHolder {
    let level = |layer: Layer| {
        let reads = it.layers.reads(layer);
        (if reads { identity::Level::Read } else { identity::Level::Hidden }).into()
    };
    identity::TaskHolder {
        task_id: it.task.to_string(),
        generation: it.generation,
        subject_id: it.subject.map(|subject| subject.to_string()).unwrap_or_default(),
        layers: Some(identity::LayerLevels {
            basic: level(Layer::Basic),
            sensitive: level(Layer::Sensitive),
            history: level(Layer::History),
            financial: level(Layer::Financial),
            review: level(Layer::Review),
        }),
        until_time: Some(wire::time(it.until)),
    }
}
