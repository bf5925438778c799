//! Deciding and writing: what each recipient may be told is decided as the recipient, now, and then put into words. A
//! decision that cannot be had holds the message; a template that fails blocks this one message.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use revisit_bootstrap::{Tx, answer, seal::Place};
use revisit_core::{
    Failure, Timestamp,
    id::{CustomerId, DeliveryId, TenantId},
};
use revisit_permission::{Address, Layer, Level, Levels, Veiled};
use revisit_proto::customer::v1::{Customer, ReadCustomersAsRequest, projections_client::ProjectionsClient};
use uuid::Uuid;

use super::{claim::Job, greet};
use crate::{
    App,
    channel::{
        email::{Letter, Words},
        webhook::Hook,
    },
    domain::{Channel, Error, MessageKind, State, kind::WhenHidden, retry, signature::Key, template::Rendered},
    operations::{
        endpoints::key_place,
        words::{self, Audience},
    },
    store::{deliveries::Delivery, endpoints, now, templates},
};

/// Time for one question about customers.
const ASK_MAX: Duration = Duration::from_secs(3);
/// Customers of one question.
const ASK_CUSTOMERS: usize = 100;
/// How long a message is held whose decision cannot be had, and by how much more at random.
const HOLD: Duration = Duration::from_secs(5);
const HOLD_SPREAD: Duration = Duration::from_secs(10);

/// What is to be done with a claimed delivery.
pub enum Fate {
    /// Into the recipient's inbox.
    Inbox(Rendered),
    /// By mail; the words are kept until an answer is known.
    Mail(Letter, Vec<u8>),
    /// To an endpoint.
    Hook(Hook),
    /// Not now, or not at all.
    Turned(State, &'static str, Option<Timestamp>),
}

/// A claimed delivery and its fate.
pub struct Prepared {
    pub delivery: Delivery,
    pub fate: Fate,
}

/// What a recipient may call a customer.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Naming {
    Named(String, Levels),
    Hidden,
    /// Nobody could say.
    Undecided,
}

type Namings = HashMap<(TenantId, Uuid, CustomerId), Naming>;

/// Decides and writes a batch.
pub async fn prepare(app: &App, jobs: Vec<Job>) -> Result<Vec<Prepared>, Error> {
    let (greetings, jobs): (Vec<_>, Vec<_>) =
        jobs.into_iter().partition(|job| job.delivery.kind == MessageKind::CustomerWelcome);
    let namings = decide(app, &jobs).await;
    let mut prepared = Vec::with_capacity(jobs.len() + greetings.len());
    // One read for the batch: templates, keys of endpoints, kept words.
    app.store
        .read(&app.workers.deliver, async |tx| {
            for job in jobs {
                let fate = write(app, tx, &job, &namings).await?;
                prepared.push(Prepared { delivery: job.delivery, fate });
            }
            Ok(())
        })
        .await?;
    for greeting in greetings {
        prepared.push(greet::greet(app, greeting).await);
    }
    Ok(prepared)
}

/// Asks the customer service, as each recipient, what its customers are called.
async fn decide(app: &App, jobs: &[Job]) -> Namings {
    let mut asked: BTreeMap<(TenantId, Uuid), Vec<CustomerId>> = BTreeMap::new();
    for job in jobs {
        let Some(customer) = job.intent.customer else { continue };
        if job.delivery.channel != Channel::Webhook && job.delivery.kind.names_customer() {
            asked.entry((job.delivery.tenant, job.delivery.recipient)).or_default().push(customer);
        }
    }
    let mut namings = Namings::new();
    for ((tenant, recipient), mut customers) in asked {
        customers.sort_unstable();
        customers.dedup();
        for some in customers.chunks(ASK_CUSTOMERS) {
            let found = read_as(app, (tenant, recipient), some, None).await;
            for customer in some {
                let naming = match &found {
                    Err(_) => Naming::Undecided,
                    Ok(found) => match found.iter().find(|one| one.customer_id == customer.to_string()) {
                        Some(one) if !one.name.is_empty() => Naming::Named(one.name.clone(), levels(one)),
                        Some(_) | None => Naming::Hidden,
                    },
                };
                namings.insert((tenant, recipient, *customer), naming);
            }
        }
    }
    namings
}

/// How much of a customer its reader gets, as the customer service has decided. A layer or level that this version does
/// not know is hidden.
pub fn levels(customer: &Customer) -> Levels {
    customer.levels.iter().fold(Levels::HIDDEN, |levels, one| {
        match (Layer::parse(&one.layer), Level::parse(&one.level)) {
            (Some(layer), Some(level)) => levels.with(layer, level),
            (None, _) | (_, None) => levels,
        }
    })
}

pub async fn read_as(
    app: &App,
    (tenant, subject): (TenantId, Uuid),
    customers: &[CustomerId],
    clear: Option<&str>,
) -> Result<Vec<Customer>, Failure> {
    let request = ReadCustomersAsRequest {
        tenant_id: tenant.to_string(),
        subject_id: subject.to_string(),
        customer_ids: customers.iter().map(ToString::to_string).collect(),
        read_mask: clear.map(|path| prost_types::FieldMask { paths: vec![path.to_owned()] }),
    };
    let mut client = ProjectionsClient::new(app.peers.channel("customer").within(ASK_MAX));
    let found = answer(client.read_customers_as(request).await).inspect_err(|failure| {
        tracing::warn!(%failure, "messages wait: the customer service cannot decide");
    });
    Ok(found?.answers.into_iter().filter_map(|answer| answer.customer).collect())
}

/// Waits for a decision. A call whose answer was lost stays what it is: it may have arrived, and what is repeated must
/// be the same words.
pub fn hold(app: &App, delivery: &Delivery) -> Fate {
    let spread = u32::try_from(delivery.progress.version).unwrap_or_default();
    let until = app.clock.wall() + HOLD + retry::jitter(delivery.id.uuid(), spread, HOLD_SPREAD);
    match delivery.is_repeat() {
        true => Fate::Turned(State::Unknown, "no_answer", Some(until)),
        false => Fate::Turned(State::Held, "decision", Some(until)),
    }
}

async fn write(app: &App, tx: &Tx, job: &Job, namings: &Namings) -> Result<Fate, Failure> {
    let delivery = &job.delivery;
    if delivery.channel == Channel::Webhook {
        return hook(app, tx, job).await;
    }
    let key = job.intent.customer.map(|customer| (delivery.tenant, delivery.recipient, customer));
    let (name, levels) = match key.filter(|_| delivery.kind.names_customer()).and_then(|key| namings.get(&key)) {
        None => (None, Levels::HIDDEN),
        Some(Naming::Named(name, levels)) => (Some(name.as_str()), *levels),
        Some(Naming::Undecided) => return Ok(hold(app, delivery)),
        // The words that are kept may name a customer whom the recipient may no longer see: they are not said again.
        Some(Naming::Hidden) if delivery.is_repeat() => {
            return Ok(Fate::Turned(State::Unknown, "no_answer", None));
        }
        Some(Naming::Hidden) if delivery.kind.when_hidden() == WhenHidden::Suppress => {
            return Ok(Fate::Turned(State::Suppressed, "not_permitted", None));
        }
        Some(Naming::Hidden) => (None, Levels::HIDDEN),
    };
    let Some(person) = &job.person else {
        // identity has not told us of the recipient yet: there is neither name nor address.
        return Ok(hold(app, delivery));
    };
    let kept = kept_words(app, tx, delivery).await?;
    let rendered = match kept {
        Some(kept) => kept,
        None => {
            let audience = Audience {
                name: &person.name,
                locale: person.locale,
                zone: person.zone,
                customer: name,
                levels,
                people: &job.people,
            };
            match render(app, tx, job, &audience).await? {
                Some(rendered) => rendered,
                None => return Ok(Fate::Turned(State::Dead, "template", None)),
            }
        }
    };
    Ok(match delivery.channel {
        Channel::Inbox | Channel::Webhook => Fate::Inbox(rendered),
        Channel::Email => mail(app, delivery, (&person.name, person.email.as_ref()), &rendered)?,
    })
}

pub async fn render(app: &App, tx: &Tx, job: &Job, audience: &Audience<'_>) -> Result<Option<Rendered>, Failure> {
    let delivery = &job.delivery;
    let key = (delivery.kind, delivery.channel, audience.locale);
    let stored = templates::for_message(tx, delivery.tenant, key, now(tx).await?).await?;
    let rendered =
        app.texts.compiled(&stored).and_then(|template| template.render(&words::values(&job.intent, audience)));
    Ok(rendered
        .inspect_err(|flaw| tracing::warn!(delivery.id = %delivery.id, rule = flaw.rule, "a template failed"))
        .ok())
}

/// What the words of a delivery are bound to, in the inbox as well as on a row whose answer is missing.
pub const fn words_place(id: DeliveryId) -> Place {
    Place { table: "delivery", row: id.uuid(), column: "words" }
}

/// Whose key seals a message: the customer's that it is about, so that it goes with the customer, else the recipient's.
pub fn owner_of(delivery: &Delivery) -> Uuid {
    delivery.customer.map_or(delivery.recipient, Into::into)
}

/// The words of a call that is repeated because its answer was lost.
async fn kept_words(app: &App, tx: &Tx, delivery: &Delivery) -> Result<Option<Rendered>, Failure> {
    let Some(sealed) = &delivery.rendered else { return Ok(None) };
    let owner = (delivery.tenant, owner_of(delivery));
    let opened = app.sealer.open(tx, owner, words_place(delivery.id), sealed).await?;
    let Some(opened) = opened else { return Ok(None) };
    let (title, body) = serde_json::from_slice(&opened).map_err(Failure::internal)?;
    Ok(Some(Rendered { title, body }))
}

pub fn mail(
    app: &App,
    delivery: &Delivery,
    (name, address): (&str, Option<&Veiled<Address>>),
    words: &Rendered,
) -> Result<Fate, Failure> {
    let Some(address) = address else { return Ok(Fate::Turned(State::Suppressed, "no_address", None)) };
    let letter = app.mail.write(&Words {
        name,
        address,
        subject: &words.title,
        body: &words.body,
        message_id: &delivery.token,
        // The instant of planning: the bytes stay the same at every try.
        at: delivery.created_at,
    });
    let Some(letter) = letter else { return Ok(Fate::Turned(State::Suppressed, "address_malformed", None)) };
    let kept = serde_json::to_vec(&(&words.title, &words.body)).map_err(Failure::internal)?;
    Ok(Fate::Mail(letter, kept))
}

async fn hook(app: &App, tx: &Tx, job: &Job) -> Result<Fate, Failure> {
    let Some(endpoint) = &job.endpoint else {
        return Ok(Fate::Turned(State::Cancelled, "endpoint_disabled", None));
    };
    let mut keys = Vec::new();
    for key in endpoints::keys(tx, endpoint.tenant, endpoint.id).await? {
        let owner = (endpoint.tenant, endpoint.id.uuid());
        let place = key_place(key.id);
        let opened = app.sealer.open(tx, owner, place, &key.sealed).await?;
        keys.extend(opened.and_then(|text| Key::parse(std::str::from_utf8(&text).ok()?)));
    }
    if keys.is_empty() {
        return Err(Failure::internal("an endpoint has no key"));
    }
    let body = words::payload(&job.delivery, &job.intent);
    Ok(Fate::Hook(Hook { url: endpoint.url.clone(), id: job.delivery.token.clone(), body, keys }))
}
