//! Sending: what was decided is done. Before a provider is called its call is written down, and afterwards the outcome,
//! on the call's own row; what happens between the two is unknown and never looks like nothing.

use futures::{StreamExt, stream};
use revisit_bootstrap::{Tx, seal::Keys};
use revisit_core::{Failure, Steady, id::TenantId};

use super::{
    claim::claim_end,
    prepare::{Fate, Prepared, owner_of, words_place},
};
use crate::{
    App,
    channel::{Answer, email::Letter, webhook::Hook},
    domain::{Call as Which, Channel, Error, Outcome, State, template::Rendered},
    store::{
        claims,
        deliveries::Delivery,
        endpoints, inbox,
        ledger::{self, Call, Ledger, Marks},
        now,
    },
};

/// Outcomes that are written together.
const OUTCOMES_MAX: usize = 16;

/// A call whose row is written.
struct Under {
    delivery: Delivery,
    call: Call,
    which: Which,
    way: Way,
}

enum Way {
    Mail(Letter),
    Hook(Hook),
}

/// What a call came to, and how long it took.
struct Done {
    delivery: Delivery,
    call: Call,
    which: Which,
    answer: Answer,
    latency_micros: i64,
}

/// Does what was prepared. `sent` is when the claim was asked for.
pub async fn send(app: &App, sent: Steady, prepared: Vec<Prepared>) -> Result<(), Error> {
    let calls = begin(app, prepared).await?;
    if calls.is_empty() {
        return Ok(());
    }
    let at_once = match calls.first().map(|under| under.delivery.channel) {
        Some(Channel::Email) => app.config.mail.connections_max,
        Some(Channel::Webhook | Channel::Inbox) | None => app.config.webhook.calls_max,
    };
    let mut done =
        stream::iter(calls).map(|under| call(app, sent, under)).buffer_unordered(at_once).ready_chunks(OUTCOMES_MAX);
    while let Some(some) = done.next().await {
        end(app, some).await?;
    }
    Ok(())
}

/// Writes down what goes nowhere, what goes into inboxes, and the calls that are about to be made.
async fn begin(app: &App, mut prepared: Vec<Prepared>) -> Result<Vec<Under>, Error> {
    // Inboxes are locked in this order, so that two batches never wait for each other.
    prepared.sort_by_key(|one| (one.delivery.tenant, one.delivery.recipient, one.delivery.created_at, one.delivery.id));
    let mut arrived = Vec::new();
    let calls = app
        .store
        .write(&app.workers.deliver, async |tx| {
            let ledger = Ledger::open(tx, now(tx).await?);
            let mut calls = Vec::new();
            for same in prepared.chunk_by_mut(|one, two| one.delivery.tenant == two.delivery.tenant) {
                let keys = keys(app, tx, same).await?;
                for one in same {
                    if let Some(under) = step(app, tx, &ledger, &keys, one).await? {
                        calls.push(under);
                    } else if one.delivery.progress.state == State::Delivered {
                        arrived.push((one.delivery.tenant, one.delivery.recipient.into()));
                    }
                }
            }
            let rows: Vec<_> = calls.iter().map(|under: &Under| (&under.delivery, &under.call)).collect();
            ledger::begin_calls(tx, &rows, ledger.now()).await?;
            ledger.close().await?;
            Ok(calls)
        })
        .await?;
    for arrival in arrived {
        // Nobody may be listening, and nobody has to.
        let _ = app.arrivals.send(arrival);
    }
    Ok(calls)
}

/// The keys of everything that a tenant's messages are sealed under.
async fn keys(app: &App, tx: &Tx, prepared: &[Prepared]) -> Result<Keys, Failure> {
    let sealed = prepared.iter().filter(|one| !matches!(one.fate, Fate::Turned(..)));
    let mut owners: Vec<_> = sealed.map(|one| owner_of(&one.delivery)).collect();
    owners.sort_unstable();
    owners.dedup();
    let tenant = prepared.first().map_or(TenantId::from_uuid(uuid::Uuid::nil()), |one| one.delivery.tenant);
    app.sealer.keys_to_write(tx, tenant, &owners).await
}

async fn step(
    app: &App,
    tx: &Tx,
    ledger: &Ledger<'_>,
    keys: &Keys,
    one: &mut Prepared,
) -> Result<Option<Under>, Error> {
    let delivery = &mut one.delivery;
    let seal = |delivery: &Delivery, plain: &[u8]| keys.seal(owner_of(delivery), words_place(delivery.id), plain);
    let fate = std::mem::replace(&mut one.fate, Fate::Turned(State::Ready, "", None));
    let (way, kept) = match fate {
        Fate::Turned(state, reason, due_at) => {
            let next = delivery.progress.to(state, reason, due_at)?;
            ledger.advance(delivery, next, Marks::default()).await?;
            return Ok(None);
        }
        Fate::Inbox(words) => {
            put_into_inbox(tx, ledger, delivery, seal(delivery, &spoken(&words)?)?).await?;
            return Ok(None);
        }
        Fate::Mail(letter, words) => (Way::Mail(letter), words),
        Fate::Hook(hook) => (Way::Hook(hook.clone()), hook.body),
    };
    let request_hash = match &way {
        Way::Mail(letter) => *blake3::hash(&letter.bytes).as_bytes(),
        Way::Hook(hook) => *blake3::hash(&hook.body).as_bytes(),
    };
    let which = if delivery.is_repeat() { Which::Repeat } else { Which::First };
    let marks = Marks { rendered: Some(seal(delivery, &kept)?), ..Marks::default() };
    let calling = delivery.progress.call(claim_end(app, ledger.now()))?;
    if !ledger.advance(delivery, calling, marks).await? {
        return Ok(None);
    }
    let attempt = app.ids.next(ledger.now());
    Ok(Some(Under { delivery: delivery.clone(), call: Call { attempt, request_hash }, which, way }))
}

async fn put_into_inbox(tx: &Tx, ledger: &Ledger<'_>, delivery: &mut Delivery, sealed: Vec<u8>) -> Result<(), Error> {
    let delivered = delivery.progress.to(State::Delivered, "", None)?;
    // Only the winner of the compare-and-set writes the message, so there is one.
    if ledger.advance(delivery, delivered, Marks::default()).await? {
        inbox::add(tx, delivery, sealed, ledger.now()).await?;
    }
    Ok(())
}

/// Words as they are sealed.
fn spoken(words: &Rendered) -> Result<Vec<u8>, Failure> {
    serde_json::to_vec(&(&words.title, &words.body)).map_err(Failure::internal)
}

/// Makes one call, if a whole provider time-out is left of the claim.
async fn call(app: &App, sent: Steady, under: Under) -> Done {
    let Under { delivery, call, which, way } = under;
    let began = app.clock.steady();
    let longest = match &way {
        Way::Mail(_) => app.config.mail.timeout(),
        Way::Hook(_) => app.config.webhook.timeout(),
    };
    let answer = if began.since(sent) + longest > app.config.claim() {
        Answer::new(Outcome::NotCalled, "claim_too_old")
    } else {
        match &way {
            Way::Mail(letter) => app.mail.send(letter).await,
            Way::Hook(hook) => app.webhooks.call(hook).await,
        }
    };
    let latency = app.clock.steady().since(began).as_micros();
    Done { delivery, call, which, answer, latency_micros: i64::try_from(latency).unwrap_or(i64::MAX) }
}

/// Writes down outcomes.
async fn end(app: &App, done: Vec<Done>) -> Result<(), Error> {
    app.store
        .write(&app.workers.deliver, async |tx| {
            let ledger = Ledger::open(tx, now(tx).await?);
            for one in done {
                settle(tx, &ledger, one).await?;
            }
            ledger.close().await?;
            Ok(())
        })
        .await
}

async fn settle(tx: &Tx, ledger: &Ledger<'_>, done: Done) -> Result<(), Error> {
    let Done { mut delivery, call, which, answer, latency_micros } = done;
    let outcome = (answer.outcome.number(), answer.code.as_str());
    ledger::end_call(tx, &delivery, &call, outcome, latency_micros).await?;
    let marks = Marks { code: Some(answer.code.clone()), rendered: None };
    let next = delivery.progress.settle(delivery.terms(), which, answer.outcome, ledger.now())?;
    if !ledger.advance(&mut delivery, next, marks.clone()).await? {
        late(tx, ledger, &delivery, (which, answer.outcome), marks).await?;
    }
    if answer.gone {
        disable(tx, &delivery).await?;
    }
    Ok(())
}

/// The claim had ended before the answer came: it still settles what is unknown, and changes nothing else.
async fn late(
    tx: &Tx,
    ledger: &Ledger<'_>,
    delivery: &Delivery,
    (which, outcome): (Which, Outcome),
    marks: Marks,
) -> Result<(), Error> {
    let Some(mut now_is) = claims::one(tx, delivery.tenant, delivery.id).await? else { return Ok(()) };
    if now_is.progress.state != State::Unknown {
        return Ok(());
    }
    let next = now_is.progress.settle(now_is.terms(), which, outcome, ledger.now())?;
    if next.state != State::Unknown {
        ledger.advance(&mut now_is, next, marks).await?;
    }
    Ok(())
}

/// The receiver is gone for good: nothing more goes there until somebody enables it again.
async fn disable(tx: &Tx, delivery: &Delivery) -> Result<(), Error> {
    let Some(endpoint) = delivery.endpoint else { return Ok(()) };
    let Some(mut endpoint) = endpoints::find(tx, delivery.tenant, endpoint).await? else { return Ok(()) };
    if !endpoint.enabled {
        return Ok(());
    }
    let former = endpoint.version;
    endpoint.enabled = false;
    "gone".clone_into(&mut endpoint.reason);
    endpoint.version += 1;
    endpoints::save(tx, &endpoint, former).await?;
    tracing::info!(endpoint.id = %endpoint.id, "an endpoint said that it is gone and was disabled");
    Ok(())
}
