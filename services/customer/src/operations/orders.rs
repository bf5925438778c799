//! Orders: recorded once, counted in the grade in the same commit.

use revisit_bootstrap::{
    Principal, Tx, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Timestamp,
    id::{CustomerId, OrderId},
};
use revisit_permission::{Action, Clarity, Decided, Layer, Levels, Purpose};
use revisit_proto::customer::v1 as pb;

use super::{TRIES_MAX, customers, entries, matching::refuse_order_taken, require_write, widening::refuse_widening};
use crate::{
    App,
    domain::{Error, customer::Customer, grade, order::Order, timeline::EntryKind},
    store::{self, load::Depth, orders::Which, save::Change},
};

/// An order and how much of it the caller gets.
pub type Read = (Order, Levels);

/// Records an order and regrades its customer.
pub async fn record(app: &App, who: &Principal, order: Order, repeat: Option<Repeatable>) -> Result<Read, Error> {
    let mut tries = 1;
    loop {
        match record_once(app, who, order.clone(), repeat.as_ref()).await {
            Err(Error::EtagStale { .. }) if tries < TRIES_MAX => tries += 1,
            result => return result,
        }
    }
}

async fn record_once(app: &App, who: &Principal, order: Order, repeat: Option<&Repeatable>) -> Result<Read, Error> {
    let (customer, decided) = may_record(app, who, order.customer).await?;
    let once = Once::new(who, repeat);
    // A repeat is asked nothing that costs of a budget.
    if app.store.database.read(&decided, async |tx| Ok::<_, Error>(once.first(tx).await?)).await?.is_none() {
        refuse_order_taken(app, who, &who.scope(Action::CustomerOrderRecord)?, &order).await?;
    }
    write_order(app, (who, repeat), (customer, decided), async |tx, customer, decided| {
        if let Some(external) = &order.external_id
            && let Some(known) =
                store::orders::find(tx, &app.store, decided, customer.id, Which::External(external)).await?
        {
            return Ok(known);
        }
        store::orders::insert(tx, &app.store, decided, &order).await?;
        tx.emit(
            revisit_event::Draft::new(
                who.tenant(),
                order.id.uuid(),
                1,
                &pb::OrderRecorded {
                    customer_id: order.customer.to_string(),
                    order_id: order.id.to_string(),
                    time_micros: order.placed_at.micros(),
                },
            )
            .keyed(order.customer.uuid()),
        );
        let amount = order.amount.lift(Purpose::Entrust).text();
        regrade_after((app, who), tx, decided, customer, (order.id, order.placed_at, Some(amount))).await?;
        Ok(order)
    })
    .await
}

/// The customer and the right to record orders of it: who has it reads what it records.
async fn may_record(app: &App, who: &Principal, id: CustomerId) -> Result<(Customer, Decided), Error> {
    let customer = find(app, who, id).await?;
    let decided = who.decide(Action::CustomerOrderRecord, &customer.row())?;
    require_write(&decided.levels(), Layer::Financial, "order.amount")?;
    Ok((customer, decided))
}

/// Writes one order of a customer, once.
async fn write_order(
    app: &App,
    (who, repeat): (&Principal, Option<&Repeatable>),
    (customer, decided): (Customer, Decided),
    work: impl AsyncFnOnce(&Tx, Customer, &Decided) -> Result<Order, Error>,
) -> Result<Read, Error> {
    let of = customer.id;
    let write = app.store.database.write(&decided, async |tx| {
        let find = async |id| {
            let id = OrderId::from_uuid(id);
            let found = store::orders::find(tx, &app.store, &decided, of, Which::Id(id)).await?;
            found.ok_or(Error::NoSuchOrder(id))
        };
        let work = async || {
            // Boxed: with what stands around it a write outgrows the stack's share of one future.
            let order = Box::pin(work(tx, customer, &decided)).await?;
            audit::record(tx, &app.ids, entries::changed(&decided, [of], ["order"])).await?;
            Ok((order.id.uuid(), order))
        };
        Once::new(who, repeat).row(tx, find, work).await
    });
    Ok((write.await?, decided.levels()))
}

/// Cancels an order: it counts no longer.
pub async fn cancel(
    app: &App,
    who: &Principal,
    (customer, id): (CustomerId, OrderId),
    repeat: Option<Repeatable>,
) -> Result<Read, Error> {
    let may = may_record(app, who, customer).await?;
    write_order(app, (who, repeat.as_ref()), may, async |tx, customer, decided| {
        let found = store::orders::find(tx, &app.store, decided, customer.id, Which::Id(id)).await?;
        let mut order = found.ok_or(Error::NoSuchOrder(id))?;
        if order.cancelled_at.is_none() {
            let now = tx.now().await?;
            order.cancelled_at = Some(now);
            store::orders::cancel(tx, decided, id, now).await?;
            regrade_after((app, who), tx, decided, customer, (id, now, None)).await?;
        }
        Ok(order)
    })
    .await
}

/// Judges the customer anew and writes what the order said on its timeline.
async fn regrade_after(
    (app, who): (&App, &Principal),
    tx: &Tx,
    decided: &Decided,
    before: Customer,
    (order, at, amount): (OrderId, Timestamp, Option<String>),
) -> Result<(), Error> {
    let now = tx.now().await?;
    let scheme = store::catalogue::grades(tx, decided.tenant()).await?;
    let spending = store::orders::spending(tx, decided, decided.tenant(), &[before.id], (&scheme, now)).await?;
    let verdict = scheme.judge(spending.get(&before.id).copied().unwrap_or_default(), now);
    let said = if amount.is_some() { "recorded" } else { "cancelled" };
    let entry = customers::entry(app, EntryKind::Order, &before, at)
        .by(decided.caller().subject)
        .change(amount, Some(said.to_owned()))
        .about(order);
    let mut change = graded(app, before, verdict, now).entry(entry);
    if let Some(before) = &change.before {
        refuse_widening(who, Action::CustomerOrderRecord, (&before.row(), &change.after.row()))?;
    }
    change.after.auth_rev = decided.revision();
    store::save::save(tx, &app.store, decided, vec![change]).await?;
    Ok(())
}

/// The change that a verdict makes.
pub fn graded(app: &App, before: Customer, verdict: grade::Verdict, now: Timestamp) -> Change {
    let mut after = before.clone();
    after.grade = verdict.grade;
    after.grade_reason = Some(verdict.reason);
    after.graded_at = now;
    let (from, to) = (before.grade.clone(), after.grade.clone());
    let moved = from != to;
    let entry = customers::entry(app, EntryKind::Grade, &after, now).change(from, to);
    let change = Change::update(before, after);
    if moved { change.entry(entry) } else { change }
}

/// A page of a customer's orders, how much of them the caller gets, and whether more follow.
pub async fn list(
    app: &App,
    who: &Principal,
    customer: CustomerId,
    (after, size): (Option<(i64, uuid::Uuid)>, usize),
    clarity: Clarity,
) -> Result<(Vec<Order>, Levels, bool), Error> {
    let customer = find(app, who, customer).await?;
    let decided = who.decide(Action::CustomerOrderView, &customer.row())?;
    let read = app.store.database.read(&decided, async |tx| {
        store::orders::page(tx, &app.store, &decided, customer.id, (after, size as u64 + 1)).await
    });
    let mut orders = read.await?;
    let more = orders.len() > size;
    orders.truncate(size);
    let levels = decided.levels();
    let holds_any = |order: &Order| !levels.show_prose(&order.description, clarity).kinds.is_empty();
    if levels.discloses(clarity) && orders.iter().any(holds_any) {
        let entry = audit::Entry::new(&who.caller, Action::CustomerOrderView.name(), "customer");
        let entry = entry.about([customer.id.uuid()]).fields(["orders.description"]).decided(&decided.decisions()[0]);
        app.store.database.write(&decided, async |tx| audit::record(tx, &app.ids, entry).await).await?;
    }
    Ok((orders, levels, more))
}

/// The customer if the caller may view it, or may see orders of it: finance views no contacts, and a cashier views
/// nothing else.
pub async fn find(app: &App, who: &Principal, id: CustomerId) -> Result<Customer, Error> {
    app.reading(who)?;
    for action in [Action::CustomerView, Action::CustomerOrderView, Action::CustomerOrderRecord] {
        let Ok(scope) = who.scope(action) else { continue };
        let read = app
            .store
            .database
            .read(&scope, async |tx| store::load::find(tx, &app.store, &scope, id, Depth::Open).await);
        if let Some((customer, _)) = read.await? {
            return Ok(customer);
        }
    }
    Err(Error::NoSuchCustomer(id))
}
