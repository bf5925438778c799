//! Deliveries for those who may see them: one, a page, counts; and replaying dead letters.

use revisit_bootstrap::{Principal, audit, idempotency::Repeatable};
use revisit_core::{Id, Kind, id::DeliveryId, page::Page};
use revisit_permission::{Action, Row};
use uuid::Uuid;

use crate::{
    App,
    domain::{Error, MessageKind},
    store::{
        deliveries::{self, Attempt, Count, Delivery, Filter, StateChange},
        now,
        replays::{self, Replay},
    },
};

/// A delivery with everything that happened to it.
pub struct Told {
    pub delivery: Delivery,
    pub attempts: Vec<Attempt>,
    pub history: Vec<StateChange>,
}

/// Kinds whose deliveries the caller does not see. That there is an alert is for who may see alerts: whom it is about
/// would else learn of it from the list.
fn unseen(who: &Principal) -> Result<Vec<MessageKind>, Error> {
    match who.decide(Action::AuditView, &Row::of_tenant(who.tenant())) {
        Ok(_) => Ok(Vec::new()),
        Err(failure) if failure.kind == Kind::Denied => Ok(vec![MessageKind::AlertRaised]),
        // Nobody can say now.
        Err(failure) => Err(failure.into()),
    }
}

/// A filter as the caller may ask it.
fn seen(who: &Principal, filter: Filter) -> Result<Filter, Error> {
    let unseen = unseen(who)?.into_iter().map(|kind| kind.name().to_owned()).collect();
    Ok(Filter { unseen, ..filter })
}

pub async fn get(app: &App, who: &Principal, id: DeliveryId) -> Result<Told, Error> {
    let scope = who.scope(Action::DeliveryView)?;
    let unseen = unseen(who)?;
    app.store
        .read(&scope, async |tx| {
            let delivery = deliveries::find(tx, &scope, id).await?.filter(|it| !unseen.contains(&it.kind));
            let delivery = delivery.ok_or(Error::NoSuchDelivery)?;
            let attempts = deliveries::attempts(tx, &delivery).await?;
            let history = deliveries::history(tx, &delivery).await?;
            Ok(Told { delivery, attempts, history })
        })
        .await
}

/// A page and the token of the next.
pub async fn list(app: &App, who: &Principal, filter: Filter, page: Page) -> Result<(Vec<Delivery>, String), Error> {
    let scope = who.scope(Action::DeliveryView)?;
    let filter = seen(who, filter)?;
    let mut rows = app.store.read(&scope, async |tx| Ok(deliveries::list(tx, &scope, &filter, &page).await?)).await?;
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| page.token(&deliveries::key(last)));
    Ok((rows, next.unwrap_or_default()))
}

pub async fn count(app: &App, who: &Principal, filter: Filter) -> Result<Vec<Count>, Error> {
    let scope = who.scope(Action::DeliveryView)?;
    let filter = seen(who, filter)?;
    app.store.read(&scope, async |tx| Ok(deliveries::count(tx, &scope, &filter).await?)).await
}

/// Starts a replay, or answers the one that the same request started.
pub async fn replay(app: &App, who: &Principal, filter: Filter, repeat: Option<Repeatable>) -> Result<Replay, Error> {
    let permit = super::of_tenant(who, Action::DeliveryReplay)?;
    let (tenant, subject) = (who.tenant(), who.subject());
    // What is replayed is counted.
    let filter = seen(who, filter)?;
    let started = app
        .store
        .write(&permit, async |tx| {
            if let Some(repeat) = &repeat
                && let Some(first) = repeat.first_answer(tx, tenant, subject).await?
            {
                let id = Uuid::from_slice(&first).map_err(revisit_core::Failure::internal)?;
                return replays::find(tx, tenant, id).await?.ok_or(Error::NoSuchReplay);
            }
            let at = now(tx).await?;
            let replay = Replay {
                tenant,
                id: app.ids.next(at),
                filter: filter.clone(),
                cursor: Uuid::nil(),
                replayed: 0,
                done: false,
                created_at: at,
            };
            replays::add(tx, &replay).await?;
            if let Some(repeat) = &repeat {
                repeat.keep(tx, tenant, subject, replay.id.uuid().as_bytes().to_vec()).await?;
            }
            let entry = audit::Entry::new(&who.caller, Action::DeliveryReplay.name(), "delivery");
            audit::record(tx, &app.ids, entry.about([replay.id.uuid()])).await?;
            Ok(replay)
        })
        .await?;
    app.ticked.notify_one();
    Ok(started)
}

pub async fn get_replay(app: &App, who: &Principal, id: Id<revisit_core::id::kind::Job>) -> Result<Replay, Error> {
    let permit = super::of_tenant(who, Action::DeliveryReplay)?;
    app.store
        .read(&permit, async |tx| replays::find(tx, permit.tenant(), id.uuid()).await?.ok_or(Error::NoSuchReplay))
        .await
}
