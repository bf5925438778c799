//! Who can see a customer, and who could: identity decides, by what the customer is or was.

use revisit_bootstrap::{Principal, status::answer, wire};
use revisit_core::{Timestamp, id::CustomerId};
use revisit_permission::{Action, Layer, Permit, TaskHolder};
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
        let now = past::find(tx, &explains, explains.tenant(), question.customer).await?;
        // One that the right does not reach answers like one that does not exist.
        let reached = now.filter(|customer| explains.levels(&customer.row()).is_some());
        let now = reached.ok_or(Error::NoSuchCustomer(question.customer))?;
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
