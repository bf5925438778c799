//! Claiming: a batch of a lane's due deliveries becomes ours until the claim ends, past the gate once more.

use std::collections::{BTreeMap, HashMap, HashSet};

use revisit_bootstrap::Tx;
use revisit_core::{
    Failure, Steady, Timestamp,
    id::{TaskId, TenantId},
};
use uuid::Uuid;

use crate::{
    App,
    domain::{
        Error, MessageKind, State,
        gate::{Gate, gate},
    },
    operations::{
        intake::{Known, takes},
        words,
    },
    store::{
        claims,
        deliveries::Delivery,
        endpoints::{self, Endpoint},
        intents::{self, Intent},
        ledger::{Ledger, Marks},
        now,
        people::{self, Person},
        preferences,
    },
};

/// A delivery that is ours, with everything that is needed to send it.
#[derive(Clone, Debug)]
pub struct Job {
    pub delivery: Delivery,
    pub intent: Intent,
    pub person: Option<Person>,
    pub endpoint: Option<Endpoint>,
    /// Names of users that the message mentions.
    pub people: HashMap<Uuid, String>,
}

/// A batch that was claimed.
pub struct Claim {
    /// When the claim was asked for: our time on it counts from here.
    pub sent: Steady,
    pub jobs: Vec<Job>,
    /// Whether anything was due at all.
    pub found: bool,
}

/// What is known about the deliveries of one tenant.
struct Surroundings {
    intents: HashMap<Uuid, Intent>,
    known: HashMap<Uuid, Known>,
    endpoints: HashMap<Uuid, Endpoint>,
    names: HashMap<Uuid, String>,
    /// Tasks that are over.
    closed: HashSet<TaskId>,
}

/// Claims a batch of what is due in a lane.
pub async fn claim(app: &App, lane: &str) -> Result<Claim, Error> {
    let sent = app.clock.steady();
    let jobs = app.store.write(&app.workers.claim, async |tx| claim_in(app, tx, lane).await);
    let (found, jobs) = jobs.await?;
    Ok(Claim { sent, jobs, found })
}

async fn claim_in(app: &App, tx: &Tx, lane: &str) -> Result<(bool, Vec<Job>), Error> {
    let now = now(tx).await?;
    let due = claims::due(tx, lane, now).await?;
    let found = !due.is_empty();
    let mut tenants: BTreeMap<TenantId, Vec<Delivery>> = BTreeMap::new();
    for delivery in due {
        tenants.entry(delivery.tenant).or_default().push(delivery);
    }
    let ledger = Ledger::open(tx, now);
    let mut jobs = Vec::new();
    for (tenant, deliveries) in tenants {
        let around = surroundings(tx, tenant, &deliveries).await?;
        for delivery in deliveries {
            jobs.extend(take(app, &ledger, &around, delivery).await?);
        }
    }
    ledger.close().await?;
    Ok((found, jobs))
}

async fn surroundings(tx: &Tx, tenant: TenantId, deliveries: &[Delivery]) -> Result<Surroundings, Failure> {
    let ids = deliveries.iter().map(|delivery| delivery.intent.uuid()).collect();
    let intents: HashMap<_, _> =
        intents::find_all(tx, tenant, ids).await?.into_iter().map(|intent| (intent.id.uuid(), intent)).collect();
    let recipients: Vec<Uuid> = deliveries.iter().map(|delivery| delivery.recipient).collect();
    let mut users = recipients.clone();
    users.extend(intents.values().flat_map(words::mentioned));
    users.sort_unstable();
    users.dedup();
    let people: HashMap<Uuid, Person> =
        people::find_all(tx, tenant, users).await?.into_iter().map(|person| (person.user.uuid(), person)).collect();
    let mut preferences = preferences::find_all(tx, tenant, recipients.clone()).await?;
    let policy = preferences::policy(tx, tenant).await?;
    let mut known = HashMap::new();
    for delivery in deliveries {
        let one = known.entry(delivery.recipient).or_insert_with(|| Known {
            person: people.get(&delivery.recipient).cloned(),
            preference: preferences.remove(&delivery.recipient),
            policy,
            is_customer: false,
            task_closed: false,
        });
        one.is_customer |= delivery.kind == MessageKind::CustomerWelcome;
    }
    let mut endpoints = HashMap::new();
    for endpoint in deliveries.iter().filter_map(|delivery| delivery.endpoint) {
        if !endpoints.contains_key(&endpoint.uuid())
            && let Some(found) = endpoints::find(tx, tenant, endpoint).await?
        {
            endpoints.insert(endpoint.uuid(), found);
        }
    }
    let names = people.into_iter().map(|(id, person)| (id, person.name)).collect();
    let closed = people::closed(tx, tenant, deliveries.iter().filter_map(|delivery| delivery.task)).await?;
    Ok(Surroundings { intents, known, endpoints, names, closed })
}

/// What becomes of one due delivery; a job when it is ours now.
async fn take(
    app: &App,
    ledger: &Ledger<'_>,
    around: &Surroundings,
    mut delivery: Delivery,
) -> Result<Option<Job>, Error> {
    let now = ledger.now();
    let state = delivery.progress.state;
    if matches!(state, State::Claimed | State::Calling) {
        let next = match state == State::Claimed && delivery.is_repeat() {
            true => delivery.progress.to(State::Unknown, "claim_lost", Some(now))?,
            false => delivery.progress.reap(delivery.terms(), now)?,
        };
        ledger.advance(&mut delivery, next, Marks::default()).await?;
        return Ok(None);
    }
    let (Some(intent), Some(known)) =
        (around.intents.get(&delivery.intent.uuid()), around.known.get(&delivery.recipient))
    else {
        return Err(Failure::internal("a delivery has lost its intent").into());
    };
    let endpoint = delivery.endpoint.and_then(|endpoint| around.endpoints.get(&endpoint.uuid()));
    let mut standing = known.standing(app, delivery.kind, takes(endpoint, delivery.kind));
    // Of the delivery and not of the recipient, who may have messages about several tasks.
    standing.task_closed = delivery.task.is_some_and(|task| around.closed.contains(&task));
    match gate(delivery.terms(), delivery.kind, &standing, now) {
        // What may already have arrived is either repeated or left as it is; it cannot be held or taken back.
        Gate::Turned(..) if state == State::Unknown => {
            let mut left = delivery.progress.clone();
            left.due_at = None;
            ledger.leave(&mut delivery, left).await?;
            Ok(None)
        }
        Gate::Turned(to, reason, due_at) => {
            let next = delivery.progress.to(to, reason, due_at)?;
            ledger.advance(&mut delivery, next, Marks::default()).await?;
            Ok(None)
        }
        Gate::Open => {
            if state == State::Held {
                let ready = delivery.progress.to(State::Ready, "", Some(now))?;
                ledger.advance(&mut delivery, ready, Marks::default()).await?;
            }
            let claimed = delivery.progress.to(State::Claimed, "", Some(claim_end(app, now)))?;
            if !ledger.advance(&mut delivery, claimed, Marks::default()).await? {
                return Ok(None);
            }
            Ok(Some(Job {
                delivery,
                intent: intent.clone(),
                person: known.person.clone(),
                endpoint: endpoint.cloned(),
                people: around.names.clone(),
            }))
        }
    }
}

/// When a claim that begins now ends.
pub fn claim_end(app: &App, now: Timestamp) -> Timestamp {
    now + app.config.claim()
}
