//! Notes, touches and the history of a customer; each entry is filtered by its layer like any field.

use revisit_bootstrap::{
    Principal, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::id::{CustomerId, TimelineEntryId};
use revisit_event::Draft;
use revisit_permission::{Action, Clarity, Layer, Level, Levels};
use revisit_proto::customer::v1 as pb;

use super::{entries, hidden, require_write};
use crate::{
    App,
    domain::{
        Error,
        timeline::{Direction, Entry},
    },
    store::{self, load::Depth, timeline::Place},
};

/// Adds a note or a touch. Needs the right to note and to write the history, nothing else.
pub async fn add(
    app: &App,
    who: &Principal,
    entry: Entry,
    repeat: Option<Repeatable>,
) -> Result<(Entry, Levels), Error> {
    app.reading(who)?;
    let scope = who
        .scope(Action::CustomerNote)
        .or_else(|_| who.scope(Action::CustomerView))
        .map_err(|failure| hidden(failure, Error::NoSuchCustomer(entry.customer)))?;
    let id = entry.customer;
    let read =
        app.store.database.read(&scope, async |tx| store::load::find(tx, &app.store, &scope, id, Depth::Open).await);
    let (customer, _) = read.await?.ok_or(Error::NoSuchCustomer(id))?;
    let decided = who.decide(Action::CustomerNote, &customer.row())?;
    require_write(&decided.levels(), Layer::History, "text")?;
    let write = app.store.database.write(&decided, async |tx| {
        let find = async |first| {
            let first = TimelineEntryId::from_uuid(first);
            let first = store::timeline::find(tx, &app.store, &decided, id, first).await?;
            first.ok_or(Error::NoSuchCustomer(id))
        };
        let work = async || {
            store::timeline::add(tx, &app.store, &decided, &entry).await?;
            audit::record(tx, &app.ids, entries::changed(&decided, [id], [entries::NOTE])).await?;
            if entry.direction == Some(Direction::Inbound) {
                let inbound = pb::InboundReceived {
                    customer_id: id.to_string(),
                    entry_id: entry.id.to_string(),
                    time_micros: entry.happened_at.micros(),
                };
                tx.emit(Draft::new(who.tenant(), entry.id.uuid(), 1, &inbound).keyed(id.uuid()));
            }
            Ok((entry.id.uuid(), entry))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    Ok((write.await?, decided.levels()))
}

/// A page of entries, how much of them the caller gets, and the place behind it.
pub async fn list(
    app: &App,
    who: &Principal,
    customer: CustomerId,
    (after, size): (Option<Place>, usize),
    clarity: Clarity,
) -> Result<(Vec<Entry>, Levels, Option<Place>), Error> {
    app.reading(who)?;
    let scope = who.scope(Action::CustomerView);
    let scope = scope.map_err(|failure| hidden(failure, Error::NoSuchCustomer(customer)))?;
    let read = app
        .store
        .database
        .read(&scope, async |tx| store::load::find(tx, &app.store, &scope, customer, Depth::Open).await);
    let (row, _) = read.await?.ok_or(Error::NoSuchCustomer(customer))?;
    let decided = who.decide(Action::CustomerView, &row.row())?;
    // Of the decision that is confirmed when the answer leaves, and not of the one that found the customer.
    let levels = decided.levels();
    let layers: Vec<Layer> = Layer::ALL.iter().copied().filter(|layer| levels.get(*layer) > Level::Hidden).collect();
    let read = app.store.database.read(&decided, async |tx| {
        store::timeline::page(tx, &app.store, &decided, customer, (&layers, after, size as u64 + 1)).await
    });
    let mut entries = read.await?;
    let more = entries.len() > size;
    entries.truncate(size);
    let next = entries.last().filter(|_| more).map(|entry| (entry.happened_at.micros(), entry.id.uuid()));
    if levels.discloses(clarity) && entries.iter().any(|entry| !entry.sensitive_kinds(&levels).is_empty()) {
        let entry = audit::Entry::new(&who.caller, Action::CustomerView.name(), "customer");
        let entry = entry.about([customer.uuid()]).fields([entries::NOTE]).decided(&decided.decisions()[0]);
        app.store.database.write(&decided, async |tx| audit::record(tx, &app.ids, entry).await).await?;
    }
    Ok((entries, levels, next))
}
