//! A customer's own greeting: name and address are read as the customer's owner, in whose name it is sent, and only a
//! clear address will do.

use std::collections::HashMap;

use revisit_core::id::CustomerId;
use revisit_permission::{Address, Levels, Veiled};
use revisit_proto::customer::v1::{ContactType, Customer};

use super::{
    claim::Job,
    prepare::{Fate, Prepared, hold, mail, read_as, render},
};
use crate::{
    App,
    domain::{Error, Fact, State, Value},
    operations::words::Audience,
    store::people,
};

/// Decides and writes one greeting.
pub async fn greet(app: &App, job: Job) -> Prepared {
    let fate = match letter(app, &job).await {
        Ok(fate) => fate,
        Err(error) => {
            tracing::warn!(delivery.id = %job.delivery.id, %error, "a greeting waits");
            hold(app, &job.delivery)
        }
    };
    Prepared { delivery: job.delivery, fate }
}

async fn letter(app: &App, job: &Job) -> Result<Fate, Error> {
    let (tenant, customer) = (job.delivery.tenant, CustomerId::from_uuid(job.delivery.recipient));
    let worker = &app.workers.deliver;
    let owner = app
        .store
        .read(worker, async |tx| {
            let known = people::customer(tx, tenant, customer).await?.filter(|known| !known.deleted);
            match known.and_then(|known| known.owner) {
                Some(owner) => Ok(people::find(tx, tenant, owner).await?),
                None => Ok(None),
            }
        })
        .await?;
    let Some(owner) = owner else { return Ok(Fate::Turned(State::Suppressed, "no_owner", None)) };
    let as_owner = (tenant, owner.user.uuid());
    let Some(found) = read_as(app, as_owner, &[customer], Some("contact_points")).await?.pop() else {
        return Ok(Fate::Turned(State::Suppressed, "not_permitted", None));
    };
    let Some(address) = address(&found) else { return Ok(Fate::Turned(State::Suppressed, "no_address", None)) };
    let mut job = job.clone();
    job.intent.facts.insert(Fact::Owner.name().to_owned(), Value::Text(owner.user.to_string()));
    let people = HashMap::from([(owner.user.uuid(), owner.name)]);
    // A customer has told us no language and no zone: those of its owner are used.
    let (locale, zone) = (owner.locale, owner.zone);
    let audience =
        Audience { name: &found.name, locale, zone, customer: None, levels: Levels::HIDDEN, people: &people };
    let rendered = app.store.read(worker, async |tx| Ok(render(app, tx, &job, &audience).await?)).await?;
    match rendered {
        Some(rendered) => Ok(mail(app, &job.delivery, (&found.name, Some(&address)), &rendered)?),
        None => Ok(Fate::Turned(State::Dead, "template", None)),
    }
}

/// The first address to use. Its normal form is empty while it is masked, and a masked address is none.
fn address(customer: &Customer) -> Option<Veiled<Address>> {
    let mails = customer.contact_points.iter().filter(|point| point.r#type() == ContactType::Email);
    let clear = mails.filter(|point| !point.normal_form.is_empty());
    clear.max_by_key(|point| point.primary).map(|point| Address::mail(point.normal_form.clone()))
}
