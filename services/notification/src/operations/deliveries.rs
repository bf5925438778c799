//! Deliveries for those who may see them: one, a page, counts; and replaying dead letters.

use revisit_bootstrap::{Principal, Tx, audit::Deed, idempotency::Repeatable};
use revisit_core::{Id, Kind, id::DeliveryId, page::Page};
use revisit_permission::{Action, Beside, Permits, Row, Scope};
use uuid::Uuid;

use super::write::{self, Made};
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

/// Whether the caller is told of alerts. That there is one is for who may see alerts: whom it is about would else learn of
/// it from the list.
struct Alerts(Option<Scope>);

impl Alerts {
    fn seen_by(who: &Principal) -> Result<Self, Error> {
        match who.scope(Action::AuditView) {
            // Over the whole company alone: an alert is of nobody's reach in particular.
            Ok(scope) => Ok(Self(Some(scope).filter(|scope| scope.levels(&Row::of_tenant(scope.tenant())).is_some()))),
            Err(failure) if failure.kind == Kind::Denied => Ok(Self(None)),
            // Nobody can say now.
            Err(failure) => Err(failure.into()),
        }
    }

    /// Kinds whose deliveries the caller does not see.
    const fn unseen(&self) -> &'static [MessageKind] {
        match &self.0 {
            Some(_) => &[],
            None => &[MessageKind::AlertRaised],
        }
    }

    /// A filter as the caller may ask it.
    fn within(&self, filter: Filter) -> Filter {
        Filter { unseen: self.unseen().iter().map(|kind| kind.name().to_owned()).collect(), ..filter }
    }

    /// Reads under a right and under the one that lets alerts be told: both are asked again before the answer.
    async fn read<T>(
        self,
        app: &App,
        scope: Scope,
        work: impl AsyncFnOnce(&Tx) -> Result<T, Error>,
    ) -> Result<T, Error> {
        app.store.read(&Beside(scope, self.0), work).await
    }
}

pub async fn get(app: &App, who: &Principal, id: DeliveryId) -> Result<Told, Error> {
    let (scope, alerts) = (who.scope(Action::DeliveryView)?, Alerts::seen_by(who)?);
    let unseen = alerts.unseen();
    let work = async |tx: &Tx| {
        let delivery = deliveries::find(tx, &scope, id).await?.filter(|it| !unseen.contains(&it.kind));
        let delivery = delivery.ok_or(Error::NoSuchDelivery)?;
        let attempts = deliveries::attempts(tx, &delivery).await?;
        let history = deliveries::history(tx, &delivery).await?;
        Ok(Told { delivery, attempts, history })
    };
    alerts.read(app, scope.clone(), work).await
}

/// A page and the token of the next.
pub async fn list(app: &App, who: &Principal, filter: Filter, page: Page) -> Result<(Vec<Delivery>, String), Error> {
    let (scope, alerts) = (who.scope(Action::DeliveryView)?, Alerts::seen_by(who)?);
    let filter = alerts.within(filter);
    let work = async |tx: &Tx| Ok(deliveries::list(tx, &scope, &filter, &page).await?);
    let mut rows = alerts.read(app, scope.clone(), work).await?;
    let size = usize::try_from(page.size).unwrap_or(usize::MAX);
    let more = rows.len() > size;
    rows.truncate(size);
    let next = rows.last().filter(|_| more).map(|last| page.token(&deliveries::key(last)));
    Ok((rows, next.unwrap_or_default()))
}

pub async fn count(app: &App, who: &Principal, filter: Filter) -> Result<Vec<Count>, Error> {
    let (scope, alerts) = (who.scope(Action::DeliveryView)?, Alerts::seen_by(who)?);
    let filter = alerts.within(filter);
    let work = async |tx: &Tx| Ok(deliveries::count(tx, &scope, &filter).await?);
    alerts.read(app, scope.clone(), work).await
}

/// Starts a replay, or answers the one that the same request started.
pub async fn replay(app: &App, who: &Principal, filter: Filter, repeat: Option<Repeatable>) -> Result<Replay, Error> {
    let permit = super::of_tenant(who, Action::DeliveryReplay)?;
    let (tenant, subject) = (who.tenant(), who.subject());
    // What is replayed is counted.
    let alerts = Alerts::seen_by(who)?;
    let filter = alerts.within(filter);
    let alerts = alerts.0.map(|_| super::of_tenant(who, Action::AuditView)).transpose()?;
    let permits = Permits(std::iter::once(permit).chain(alerts).collect());
    let work = async |tx: &Tx| {
        if let Some(repeat) = &repeat
            && let Some(first) = repeat.first_answer(tx, tenant, subject).await?
        {
            let id = Uuid::from_slice(&first).map_err(revisit_core::Failure::internal)?;
            return Ok(Made::Unchanged(replays::find(tx, tenant, id).await?.ok_or(Error::NoSuchReplay)?));
        }
        let at = now(tx).await?;
        let replay = Replay {
            tenant,
            id: app.ids.next(at),
            filter,
            cursor: Uuid::nil(),
            replayed: 0,
            done: false,
            created_at: at,
        };
        replays::add(tx, &replay).await?;
        if let Some(repeat) = &repeat {
            repeat.keep(tx, tenant, subject, replay.id.uuid().as_bytes().to_vec()).await?;
        }
        let deed = Deed::on("delivery", [replay.id.uuid()]);
        Ok(Made::Changed(replay, deed))
    };
    let started = write::change(app, &permits, work).await?;
    app.ticked.notify_one();
    Ok(started)
}

pub async fn get_replay(app: &App, who: &Principal, id: Id<revisit_core::id::kind::Job>) -> Result<Replay, Error> {
    let permit = super::of_tenant(who, Action::DeliveryReplay)?;
    app.store
        .read(&permit, async |tx| replays::find(tx, permit.tenant(), id.uuid()).await?.ok_or(Error::NoSuchReplay))
        .await
}
