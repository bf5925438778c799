//! Intake: from an event to planned deliveries, at most once per recipient, in the transaction of the event.

use std::time::Duration;

use revisit_bootstrap::Tx;
use revisit_core::{
    Failure, Id, Timestamp,
    id::{CustomerId, EndpointId, EventId, SubjectId, TaskId, TenantId},
};
use uuid::Uuid;

use crate::{
    App,
    domain::{
        Channel, Error, MessageKind, Progress, State, Values,
        gate::{Gate, Recipient, Standing, gate},
    },
    store::{
        claims,
        deliveries::Delivery,
        endpoints::{self, Endpoint},
        intents::{self, Intent, Taken},
        ledger::{Ledger, Marks},
        people::{self, Person},
        preferences::{self, Policy, Preference},
    },
};

/// What an event asks to tell.
#[derive(Clone, Debug)]
pub struct Told {
    pub tenant: TenantId,
    pub source: String,
    pub event: EventId,
    pub kind: MessageKind,
    pub occurrence: String,
    pub customer: Option<CustomerId>,
    pub task: Option<TaskId>,
    pub facts: Values,
    pub expires_at: Timestamp,
    pub traceparent: String,
}

/// News that nobody has asked for an expiry is old after a week.
pub const NEWS_LIFE: Duration = Duration::from_secs(7 * 86_400);

/// What is known about a recipient when a message is planned or claimed.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub person: Option<Person>,
    pub preference: Option<Preference>,
    pub policy: Policy,
    /// A customer, who has neither preferences nor an account.
    pub is_customer: bool,
    /// Whether the task that the message is about is over.
    pub task_closed: bool,
}

impl Known {
    /// What the gate looks at.
    pub fn standing(&self, app: &App, kind: MessageKind, endpoint_takes: bool) -> Standing {
        let recipient = match &self.person {
            _ if self.is_customer => Recipient::Reachable,
            // Somebody of whom identity has not told us yet is not turned away: the hour may be unlucky.
            None => Recipient::Reachable,
            Some(person) if !person.active => Recipient::Inactive,
            Some(person) if person.email.is_none() => Recipient::WithoutAddress,
            Some(_) => Recipient::Reachable,
        };
        let preference = self.preference.as_ref();
        Standing {
            recipient,
            mails: preference.map_or_else(|| kind.mailed_by_default(), |preference| preference.mails(kind)),
            quiet: preference.map_or_else(|| app.config.quiet(), |preference| preference.quiet),
            zone: self.person.as_ref().map_or(chrono_tz::Asia::Shanghai, |person| person.zone),
            critical_breaks_quiet: self.policy.critical_breaks_quiet,
            endpoint_takes,
            task_closed: self.task_closed,
        }
    }
}

/// Plans a message to a user.
pub async fn tell(app: &App, tx: &Tx, told: &Told, recipient: SubjectId) -> Result<(), Failure> {
    let known = Known {
        person: people::find(tx, told.tenant, recipient).await?,
        preference: preferences::find(tx, told.tenant, recipient).await?,
        policy: preferences::policy(tx, told.tenant).await?,
        is_customer: false,
        task_closed: is_closed(tx, told.tenant, told.task).await?,
    };
    plan(app, tx, told, recipient.uuid(), &known).await
}

/// Plans a message to a customer: by mail only.
pub async fn tell_customer(app: &App, tx: &Tx, told: &Told, recipient: CustomerId) -> Result<(), Failure> {
    let known = Known { is_customer: true, ..Known::default() };
    plan(app, tx, told, recipient.uuid(), &known).await
}

async fn plan(app: &App, tx: &Tx, told: &Told, recipient: Uuid, known: &Known) -> Result<(), Failure> {
    let now = crate::store::now(tx).await?;
    let intent = Intent {
        tenant: told.tenant,
        id: app.ids.next(now),
        source: told.source.clone(),
        event: told.event,
        kind: told.kind,
        recipient,
        occurrence: told.occurrence.clone(),
        customer: told.customer,
        task: told.task,
        facts: told.facts.clone(),
        expires_at: told.expires_at,
        created_at: now,
        traceparent: told.traceparent.clone(),
    };
    match intents::take(tx, &intent).await? {
        Taken::First => {}
        Taken::Repeat => return Ok(()),
        Taken::Conflict => {
            // The first one stands. Waiting would not help: the producer has said two things under one key.
            tracing::warn!(event.id = %told.event, kind = told.kind.name(), "an event repeats with another body");
            return Ok(());
        }
    }
    let mut places = Vec::new();
    if !known.is_customer {
        places.push((Channel::Inbox, None));
    }
    if app.mail.is_on() && (told.kind.is_warning() || known.standing(app, told.kind, false).mails) {
        places.push((Channel::Email, None));
    }
    if told.kind.told_to_endpoints() {
        let all = endpoints::list(tx, told.tenant, Uuid::nil(), endpoints::ENDPOINTS_MAX).await?;
        places.extend(all.iter().filter(|one| one.takes(told.kind)).map(|one| (Channel::Webhook, Some(one.id))));
    }
    let ledger = Ledger::open(tx, now);
    for (channel, endpoint) in places {
        let delivery = first(app, &intent, known, (channel, endpoint), &ledger)?;
        crate::store::deliveries::add(tx, &delivery).await?;
    }
    ledger.close().await?;
    // The commit comes after this; a dispatcher that is too early looks again by itself.
    app.planned.notify_one();
    Ok(())
}

/// A new delivery, already past the gate.
fn first(
    app: &App,
    intent: &Intent,
    known: &Known,
    (channel, endpoint): (Channel, Option<EndpointId>),
    ledger: &Ledger<'_>,
) -> Result<Delivery, Failure> {
    let now = ledger.now();
    let id: Id<revisit_core::id::kind::Delivery> = app.ids.next(now);
    let token = match channel {
        Channel::Inbox => String::new(),
        Channel::Email => format!("{id}@{}", app.mail.domain()),
        Channel::Webhook => format!("msg_{}", id.uuid().simple()),
    };
    let mut delivery = Delivery {
        tenant: intent.tenant,
        id,
        intent: intent.id,
        kind: intent.kind,
        channel,
        endpoint,
        recipient: intent.recipient,
        department: known.person.as_ref().and_then(|person| person.department),
        customer: intent.customer,
        task: intent.task,
        progress: Progress::planned(),
        expires_at: intent.expires_at,
        created_at: now,
        accepted_at: None,
        read_at: None,
        last_code: String::new(),
        token,
        rendered: None,
    };
    let standing = known.standing(app, intent.kind, true);
    let next = match gate(delivery.terms(), intent.kind, &standing, now) {
        Gate::Open => delivery.progress.to(State::Ready, "", Some(now)),
        Gate::Turned(state, reason, due_at) => delivery.progress.to(state, reason, due_at),
    }?;
    ledger.note(&delivery, State::Planned, &next);
    delivery.progress = next;
    Ok(delivery)
}

/// Takes back what is still to be told about a task and has become pointless.
pub async fn cancel(
    tx: &Tx,
    (tenant, task): (TenantId, TaskId),
    reason: &'static str,
    concerns: impl Fn(&Delivery) -> bool,
) -> Result<(), Failure> {
    let ledger = Ledger::open(tx, crate::store::now(tx).await?);
    for mut delivery in claims::of_task(tx, tenant, task).await? {
        if !concerns(&delivery) || !delivery.progress.state.next().contains(&State::Cancelled) {
            continue;
        }
        let next = delivery.progress.to(State::Cancelled, reason, None)?;
        ledger.advance(&mut delivery, next, Marks::default()).await?;
    }
    ledger.close().await
}

/// Plans a dead letter anew, past the gate, with all its tries.
pub async fn replan(app: &App, tx: &Tx, ledger: &Ledger<'_>, delivery: &mut Delivery) -> Result<(), Error> {
    let mut planned = delivery.progress.to(State::Planned, "replayed", None)?;
    planned.tries = 0;
    if !ledger.advance(delivery, planned, Marks::default()).await? {
        return Ok(());
    }
    let recipient = SubjectId::from_uuid(delivery.recipient);
    let known = Known {
        person: people::find(tx, delivery.tenant, recipient).await?,
        preference: preferences::find(tx, delivery.tenant, recipient).await?,
        policy: preferences::policy(tx, delivery.tenant).await?,
        is_customer: delivery.kind == MessageKind::CustomerWelcome,
        task_closed: is_closed(tx, delivery.tenant, delivery.task).await?,
    };
    let endpoint = match delivery.endpoint {
        Some(endpoint) => endpoints::find(tx, delivery.tenant, endpoint).await?,
        None => None,
    };
    let standing = known.standing(app, delivery.kind, takes(endpoint.as_ref(), delivery.kind));
    let next = match gate(delivery.terms(), delivery.kind, &standing, ledger.now()) {
        Gate::Open => delivery.progress.to(State::Ready, "replayed", Some(ledger.now())),
        Gate::Turned(state, reason, due_at) => delivery.progress.to(state, reason, due_at),
    }?;
    ledger.advance(delivery, next, Marks::default()).await?;
    Ok(())
}

async fn is_closed(tx: &Tx, tenant: TenantId, task: Option<TaskId>) -> Result<bool, Failure> {
    Ok(match task {
        Some(task) => people::task(tx, tenant, task).await?.is_some_and(|task| task.closed),
        None => false,
    })
}

/// Whether an endpoint still takes messages of a kind.
pub fn takes(endpoint: Option<&Endpoint>, kind: MessageKind) -> bool {
    endpoint.is_some_and(|endpoint| endpoint.takes(kind))
}
