//! Finding the customer that is already there, and what a caller may learn of it.
//!
//! Matching looks at the whole tenant. Who may read the match gets it; who may not learns only that there is one and in
//! whose team, each such answer costs of a budget and is audited: masking is not to be undone by guessing.

use std::collections::BTreeSet;

use revisit_bootstrap::{Principal, audit};
use revisit_core::id::CustomerId;
use revisit_permission::{Action, Scope};

use super::View;
use crate::{
    App,
    domain::{
        Error,
        customer::Customer,
        matching::{self, BUDGET_PER_HOUR, Key, KeyKind, MATCHES_MAX},
    },
    store::{self, load::Depth},
};

pub const HOUR_MICROS: i64 = 3_600_000_000;

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
pub async fn find(app: &App, scope: &Scope, keys: &BTreeSet<Key>, but: Option<CustomerId>) -> Result<Found, Error> {
    let tenant = scope.tenant();
    let holders =
        app.store.database.read(scope, async |tx| store::keys::holders(tx, &app.store, scope, tenant, keys).await);
    let mut holders: Vec<(CustomerId, KeyKind)> =
        holders.await?.into_iter().map(|(customer, key)| (customer, key.kind)).collect();
    holders.retain(|(customer, _)| Some(*customer) != but);
    let asked: BTreeSet<KeyKind> = keys.iter().map(|key| key.kind).collect();
    let keys = asked.into_iter().map(|kind| (kind, holders.iter().any(|(_, held)| *held == kind))).collect();
    let mut matches = matching::matches(holders);
    matches.truncate(MATCHES_MAX);
    Ok(Found { matches, keys })
}

pub struct Found {
    pub matches: Vec<(CustomerId, Vec<KeyKind>)>,
    pub keys: Vec<(KeyKind, bool)>,
}

/// Refuses a record that is somebody already.
pub async fn refuse_duplicate(
    app: &App,
    who: &Principal,
    scope: &Scope,
    customer: &Customer,
    but: Option<CustomerId>,
) -> Result<(), Error> {
    let found = find(app, scope, &customer.keys(), but).await?;
    let Some((id, kinds)) = found.matches.first() else { return Ok(()) };
    let keys = kinds.iter().map(|kind| kind.name()).collect();
    match readable(app, who, &[*id]).await?.pop() {
        Some(_) => Err(Error::Duplicate { of: Some(*id), owner_team: String::new(), keys }),
        None => {
            spend(app, who, scope, &[*id]).await?;
            let owner_team = owner_team(app, who, *id).await?;
            Err(Error::Duplicate { of: None, owner_team, keys })
        }
    }
}

/// Answers a caller's question. Asking costs when the answer is about customers of others.
pub async fn check(app: &App, who: &Principal, keys: BTreeSet<Key>) -> Result<Answer, Error> {
    // Whoever may create or import may ask: the question is the one that creating asks.
    let scope = who.scope(Action::CustomerCreate).or_else(|_| who.scope(Action::CustomerImport))?;
    let found = find(app, &scope, &keys, None).await?;
    let ids: Vec<CustomerId> = found.matches.iter().map(|(id, _)| *id).collect();
    let mut seen = readable(app, who, &ids).await?;
    let hidden: Vec<CustomerId> =
        ids.iter().filter(|id| !seen.iter().any(|view| view.customer.id == **id)).copied().collect();
    // A weak key alone is no match, but that somebody has it is still an answer about others.
    let hint = found.matches.is_empty() && found.keys.iter().any(|(_, held)| *held);
    if !hidden.is_empty() || hint {
        spend(app, who, &scope, &hidden).await?;
    }
    let mut matches = Vec::new();
    for (id, keys) in found.matches {
        let place = seen.iter().position(|view| view.customer.id == id);
        let seen = place.map(|place| seen.swap_remove(place));
        let owner_team = if seen.is_some() { String::new() } else { owner_team(app, who, id).await? };
        matches.push(Match { keys, seen, owner_team });
    }
    Ok(Answer { matches, keys: found.keys })
}

/// Those that the caller may view, masked.
async fn readable(app: &App, who: &Principal, ids: &[CustomerId]) -> Result<Vec<View>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let Ok(scope) = who.scope(Action::CustomerView) else { return Ok(Vec::new()) };
    let read = app.store.database.read(&scope, async |tx| {
        let fields = std::sync::Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        let seen = store::load::find_all(tx, &app.store, &scope, ids, Depth::Sealed).await?;
        Ok::<_, Error>(seen.into_iter().map(|(customer, levels)| View::new(customer, levels, &fields)).collect())
    });
    read.await
}

/// Takes one from the budget of this hour and writes the audit, before anything is answered.
async fn spend(app: &App, who: &Principal, scope: &Scope, about: &[CustomerId]) -> Result<(), Error> {
    let unbounded = who.scope(Action::CustomerProbe).is_ok();
    let write = app.store.database.write(scope, async |tx| {
        let hour = tx.now().await?.micros().div_euclid(HOUR_MICROS);
        let used = store::duty::count_question(tx, scope, (who.tenant(), who.subject()), hour).await?;
        let over = used > BUDGET_PER_HOUR && !unbounded;
        let entry = audit::Entry::new(&who.caller, "customer.duplicate_answer", "customer")
            .about(about.iter().map(|id| id.uuid()))
            .with(|message| {
                message.count = used;
                if over {
                    "DUPLICATE_BUDGET".clone_into(&mut message.reason_code);
                }
            });
        audit::record(tx, &app.ids, entry).await?;
        Ok::<_, Error>(over)
    });
    if write.await? { Err(Error::DuplicateBudget) } else { Ok(()) }
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
