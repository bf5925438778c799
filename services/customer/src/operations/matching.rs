//! Finding the customer that is already there, and what a caller may learn of it.
//!
//! Matching looks at the whole tenant. Who may read the match gets it; who may not learns only that there is one and in
//! whose team, each such answer costs of a budget and is audited: masking is not to be undone by guessing.

use std::collections::BTreeSet;

use revisit_bootstrap::{Principal, Tx, audit};
use revisit_core::{Failure, id::CustomerId};
use revisit_permission::{Action, Beside, Layer, Permit, Scope};
use revisit_proto::identity::v1::AuditOutcome;

use super::{View, allowed};
use crate::{
    App,
    domain::{
        Error,
        customer::Customer,
        matching::{self, BUDGET_PER_HOUR, Key, KeyKind, MATCHES_MAX},
        order::Order,
    },
    store::{self, load::Depth},
};

pub const HOUR_MICROS: i64 = 3_600_000_000;
/// Why a question beyond the budget is refused, and why an import stops whose rows are too often customers of others.
pub const BUDGET_SPENT: &str = "DUPLICATE_BUDGET";
/// Holders of keys that are looked at together.
const HOLDERS_READ: usize = 100;

/// What a question about duplicates gave.
pub struct Answer {
    pub matches: Vec<Match>,
    /// Each key that was asked about and whether anybody has it.
    pub keys: Vec<(KeyKind, bool)>,
}

pub struct Match {
    pub keys: Vec<KeyKind>,
    /// The customer, when the caller may read it.
    pub seen: Option<View>,
    /// Where the owner works, when the caller may not.
    pub owner_team: String,
}

/// Who matches these keys; `but` is the customer itself when it exists already.
async fn find(app: &App, scope: &Scope, keys: &BTreeSet<Key>, but: Option<CustomerId>) -> Result<Found, Error> {
    let tenant = scope.tenant();
    let read =
        app.store.database.read(scope, async |tx| store::keys::holders(tx, &app.store, scope, tenant, keys).await);
    let mut holders: Vec<(CustomerId, KeyKind)> =
        read.await?.into_iter().map(|(customer, key)| (customer, key.kind)).collect();
    holders.retain(|(customer, _)| Some(*customer) != but);
    let mut matches = matching::matches(holders.iter().copied());
    matches.truncate(MATCHES_MAX);
    Ok(Found { holders, matches })
}

struct Found {
    /// Everybody who has one of the keys.
    holders: Vec<(CustomerId, KeyKind)>,
    /// Those among them who are the same customer, by which keys.
    matches: Vec<(CustomerId, Vec<KeyKind>)>,
}

impl Found {
    fn ids(&self) -> Vec<CustomerId> {
        self.holders.iter().map(|(id, _)| *id).collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Of whom an answer tells although the caller may not read them: the matches, and of each key that it learns of
    /// from nobody else one holder. A weak key alone is no match, but that somebody has it is an answer too.
    fn told_of(&self, seen: &[CustomerId]) -> Vec<CustomerId> {
        let hidden = |id: &CustomerId| !seen.contains(id);
        let mut told: Vec<CustomerId> = self.matches.iter().map(|(id, _)| *id).filter(hidden).collect();
        for (id, kind) in &self.holders {
            let known = |(holder, held): &(CustomerId, KeyKind)| {
                held == kind && (seen.contains(holder) || told.contains(holder))
            };
            if !self.holders.iter().any(known) {
                told.push(*id);
            }
        }
        told
    }
}

/// Refuses a record that is somebody already.
pub async fn refuse_duplicate(
    app: &App,
    who: &Principal,
    scope: &Scope,
    customer: &Customer,
    but: Option<CustomerId>,
) -> Result<(), Error> {
    let keys = customer.keys();
    if keys.is_empty() {
        return Ok(());
    }
    require_budget(app, who, scope).await?;
    let found = find(app, scope, &keys, but).await?;
    let Some((id, kinds)) = found.matches.first() else { return Ok(()) };
    let keys = kinds.iter().map(|kind| kind.name()).collect();
    if readable(app, viewing(who)?.as_ref(), &[*id]).await?.is_empty() {
        spend(app, who, scope, &[*id]).await?;
        return Err(Error::Duplicate { of: None, owner_team: owner_team(app, who, *id).await?, keys });
    }
    Err(Error::Duplicate { of: Some(*id), owner_team: String::new(), keys })
}

/// Refuses an external id that another customer has. Of one whom the caller may not read that is an answer like any.
pub async fn refuse_taken(
    app: &App,
    who: &Principal,
    scope: &Scope,
    customer: &Customer,
    but: Option<CustomerId>,
) -> Result<(), Error> {
    let Some(external) = &customer.external_id else { return Ok(()) };
    require_budget(app, who, scope).await?;
    let worker = &app.workers.matching;
    let read = app.store.database.read(worker, async |tx| {
        Ok::<_, Error>(store::load::external_ids(tx, worker, who.tenant(), std::slice::from_ref(external)).await?)
    });
    let Some(holder) = read.await?.remove(external).filter(|holder| Some(*holder) != but) else { return Ok(()) };
    if readable(app, viewing(who)?.as_ref(), &[holder]).await?.is_empty() {
        spend(app, who, scope, &[holder]).await?;
    }
    Err(Error::ExternalIdTaken)
}

/// Refuses the external id of an order that another customer has: an answer about that customer, like any.
pub async fn refuse_order_taken(app: &App, who: &Principal, scope: &Scope, order: &Order) -> Result<(), Error> {
    let Some(external) = &order.external_id else { return Ok(()) };
    require_budget(app, who, scope).await?;
    let (worker, tenant) = (&app.workers.matching, who.tenant());
    let read = async |tx: &Tx| store::orders::holder(tx, worker, tenant, external).await;
    let holder = app.store.database.read(worker, read).await?;
    let Some(holder) = holder.filter(|holder| *holder != order.customer) else { return Ok(()) };
    match super::orders::find(app, who, holder).await {
        Ok(_) => {}
        Err(Error::NoSuchCustomer(_)) => spend(app, who, scope, &[holder]).await?,
        Err(error) => return Err(error),
    }
    Err(Error::ExternalIdTaken)
}

/// Answers a caller's question. Asking costs when the answer is about customers of others.
pub async fn check(app: &App, who: &Principal, keys: BTreeSet<Key>) -> Result<Answer, Error> {
    // Whoever may create or import may ask: the question is the one that creating asks.
    let scope = who.scope(Action::CustomerCreate).or_else(|_| who.scope(Action::CustomerImport))?;
    require_budget(app, who, &scope).await?;
    let found = find(app, &scope, &keys, None).await?;
    let (mut seen, viewing) = (Vec::new(), viewing(who)?);
    for ids in found.ids().chunks(HOLDERS_READ) {
        seen.extend(readable(app, viewing.as_ref(), ids).await?);
    }
    let told = found.told_of(&seen.iter().map(|view| view.id()).collect::<Vec<_>>());
    if !told.is_empty() {
        spend(app, who, &scope, &told).await?;
    }
    let asked: BTreeSet<KeyKind> = keys.iter().map(|key| key.kind).collect();
    let keys = asked.into_iter().map(|kind| (kind, found.holders.iter().any(|(_, held)| *held == kind))).collect();
    let mut matches = Vec::new();
    for (id, keys) in found.matches {
        let place = seen.iter().position(|view| view.id() == id);
        let seen = place.map(|place| seen.swap_remove(place));
        let owner_team = if seen.is_some() { String::new() } else { owner_team(app, who, id).await? };
        matches.push(Match { keys, seen, owner_team });
    }
    // What was read by one right and found by another leaves under both.
    Beside(scope, viewing).confirm().map_err(Failure::from)?;
    Ok(Answer { matches, keys })
}

/// Whom the caller may view, if anybody.
fn viewing(who: &Principal) -> Result<Option<Scope>, Error> {
    allowed(who.scope(Action::CustomerView))
}

/// Those of whom the caller may read at least the name, masked.
async fn readable(app: &App, viewing: Option<&Scope>, ids: &[CustomerId]) -> Result<Vec<View>, Error> {
    let Some(scope) = viewing.filter(|_| !ids.is_empty()) else { return Ok(Vec::new()) };
    let read = app.store.database.read(scope, async |tx| {
        let fields = std::sync::Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        let mut seen = store::load::find_all(tx, &app.store, scope, ids, Depth::Sealed).await?;
        seen.retain(|(_, levels)| levels.reads(Layer::Basic));
        Ok::<_, Error>(seen.into_iter().map(|(customer, levels)| View::new(customer, levels, &fields)).collect())
    });
    read.await
}

/// Refuses a question once the budget of this hour is spent, before anything is looked up: else a refusal would itself
/// say that there is somebody.
pub async fn require_budget(app: &App, who: &Principal, scope: &Scope) -> Result<(), Error> {
    if who.scope(Action::CustomerProbe).is_ok() {
        return Ok(());
    }
    let read = app.store.database.read(scope, async |tx| {
        let hour = tx.now().await?.micros().div_euclid(HOUR_MICROS);
        store::duty::questions(tx, scope, who.subject(), hour).await
    });
    let used = read.await?;
    if used < BUDGET_PER_HOUR { Ok(()) } else { Err(Error::DuplicateBudget { about: Vec::new() }) }
}

/// Takes one for each customer told of from the budget of this hour and writes the audit, before anything is answered. What
/// is refused is written where the answer leaves, like every refusal, and so bounded by the minute.
pub async fn spend(app: &App, who: &Principal, scope: &Scope, about: &[CustomerId]) -> Result<(), Error> {
    let unbounded = who.scope(Action::CustomerProbe).is_ok();
    let asked = i64::try_from(about.len()).unwrap_or(i64::MAX);
    let write = app.store.database.write(scope, async |tx| {
        let hour = tx.now().await?.micros().div_euclid(HOUR_MICROS);
        let used = store::duty::count_questions(tx, scope, (who.tenant(), who.subject()), (hour, asked)).await?;
        let over = used > BUDGET_PER_HOUR && !unbounded;
        if !over {
            audit::record(tx, &app.ids, answer_entry(who, about, used)).await?;
        }
        Ok::<_, Error>((used, over))
    });
    let (used, over) = write.await?;
    if used >= BUDGET_PER_HOUR && used - asked < BUDGET_PER_HOUR && !unbounded {
        // Once an hour: who asks so much may be looking for what is masked.
        tracing::warn!(tenant.id = %who.tenant(), subject.id = %who.subject(), used, "the questions of an hour are spent");
    }
    if over { Err(Error::DuplicateBudget { about: about.to_vec() }) } else { Ok(()) }
}

/// That somebody was told of customers of others, and how much has been by now: of the hour, or of an import's file.
pub fn answer_entry(who: &Principal, about: &[CustomerId], told: i64) -> audit::Entry {
    about_others(who).about(about.iter().map(|id| id.uuid())).with(|message| message.count = told)
}

/// That an import was refused the rest of its file: of each file once. Of whom it has told until then, an answer's entry
/// says.
pub fn stop_entry(who: &Principal) -> audit::Entry {
    about_others(who).refused(AuditOutcome::Denied, BUDGET_SPENT)
}

fn about_others(who: &Principal) -> audit::Entry {
    audit::Entry::new(&who.caller, "customer.duplicate_answer", "customer")
}

/// The department of a customer's owner, by name: all that is told to who may not read the customer.
async fn owner_team(app: &App, who: &Principal, id: CustomerId) -> Result<String, Error> {
    let reading = app.reading(who)?;
    let tenant = who.tenant();
    let read = app.store.database.read(&app.workers.matching, async |tx| {
        Ok::<_, Error>(store::load::for_worker(tx, &app.workers.matching, tenant, &[id]).await?.pop())
    });
    let Some(customer) = read.await? else { return Ok(String::new()) };
    let owners = customer.owner.and_then(|owner| reading.snapshot.subject(owner)?.subject.department);
    let department = owners.or(customer.department).and_then(|department| reading.snapshot.department(department));
    Ok(department.map(|department| department.name.clone()).unwrap_or_default())
}
