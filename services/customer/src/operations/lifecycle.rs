//! The life of a record: tags, owners, deletion and return. Each is a change as `change` makes them.

use std::{sync::Arc, time::Duration};

use revisit_bootstrap::{
    Principal,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Input, Timestamp,
    id::{CustomerId, DepartmentId, SubjectId},
};
use revisit_permission::{Action, Layer, Levels, Permits, Scope};

use super::{
    View,
    change::{Asked, Asking, Planned, apply, commit, view_levels, view_scope},
    customers, is_open, living, matching, once, require_write,
};
use crate::{
    App,
    domain::{
        Error,
        customer::{Customer, RESTORE_DAYS, clean_tags},
        filter::Expr as Filter,
        timeline::EntryKind,
    },
    store::{
        self,
        load::{Deleted, Wanted},
        save::{Change, Handover},
    },
};

const DAY: Duration = Duration::from_hours(24);

/// The change with another owner: owner, department of record and ownership epoch move together.
pub fn hand_to(
    app: &App,
    who: &Principal,
    mut change: Change,
    (owner, department): (SubjectId, Option<DepartmentId>),
    now: Timestamp,
) -> Result<Change, Error> {
    let reading = app.reading(who)?;
    let home = living(&reading, owner)?;
    if let Some(department) = department
        && !is_open(&reading, department)
    {
        return Err(Error::invalid("department_id", "is not an open department"));
    }
    let former = change.before.as_ref().and_then(|before| before.owner);
    change.after.owner = Some(owner);
    change.after.department = department.or(home).or(change.after.department);
    change.after.pooled = false;
    change.after.ownership_epoch += 1;
    let entry = customers::entry(app, EntryKind::Owner, &change.after, now)
        .by(who.subject())
        .change(former.map(|former| former.to_string()), Some(owner.to_string()));
    Ok(change.entry(entry))
}

pub async fn tag(
    app: &App,
    who: &Principal,
    id: CustomerId,
    (add, remove): (Vec<String>, Vec<String>),
    repeat: Option<Repeatable>,
) -> Result<View, Error> {
    let asked = Asked { etag: None, repeat };
    let asking = Asking { who, id, action: Action::CustomerTag, asked: &asked };
    apply(app, asking, |before, _| {
        let mut after = before.clone();
        let mut input = Input::default();
        let removed = clean_tags(&mut input, "remove", remove.clone());
        after.tags.extend(add.clone());
        after.tags = clean_tags(&mut input, "add", after.tags);
        after.tags.retain(|tag| !removed.contains(tag));
        input.finish()?;
        let layers = vec![(Layer::Basic, "tags".to_owned())];
        Ok(Planned::new(Change::update(before, after), layers))
    })
    .await
}

/// Deletes softly. The contact points of a deleted customer are free for others.
pub async fn delete(app: &App, who: &Principal, id: CustomerId, asked: Asked) -> Result<View, Error> {
    let asking = Asking { who, id, action: Action::CustomerDelete, asked: &asked };
    let deleted = apply(app, asking, |before, _| {
        let now = app.clock.wall();
        let mut after = before.clone();
        after.deleted_at = Some(now);
        let entry = customers::entry(app, EntryKind::Record, &after, now)
            .by(who.subject())
            .change(None, Some("deleted".to_owned()));
        let change = Change::update(before, after).with_contents().entry(entry);
        Ok(Planned::new(change, vec![(Layer::Basic, "delete_time".to_owned())]))
    })
    .await;
    match deleted {
        // Who was deleted before is answered as it is, and stays so however often this very request is sent.
        Err(Error::NoSuchCustomer(_)) => {
            let found = find_deleted(app, who, id).await?.ok_or(Error::NoSuchCustomer(id))?;
            once::keep(app, &view_scope(app, who, id)?, asking.once(), found).await
        }
        answer => answer,
    }
}

/// A deleted customer, for who may delete it.
pub async fn find_deleted(app: &App, who: &Principal, id: CustomerId) -> Result<Option<View>, Error> {
    let Ok(scope) = who.scope(Action::CustomerDelete) else { return Ok(None) };
    let read = app.store.database.read(&scope, async |tx| {
        let fields = Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        let filter = Filter::Always(true);
        let only = [id];
        let wanted = Wanted { deleted: Deleted::Only, only: Some(&only), ..Wanted::matching(&filter) };
        let (mut seen, _) = store::load::page(tx, &scope, wanted, None, 1).await?;
        store::load::unseal(tx, &app.store, &mut seen).await?;
        Ok::<_, Error>(seen.pop().map(|(customer, levels)| {
            let levels = view_levels(who, &customer, &levels);
            View::new(customer, levels, &fields)
        }))
    });
    read.await
}

/// Takes a deletion back, unless the time is over or somebody else has become this customer.
pub async fn restore(app: &App, who: &Principal, id: CustomerId, repeat: Option<Repeatable>) -> Result<View, Error> {
    let scope = who.scope(Action::CustomerRestore)?;
    once::view(app, &scope, Once::new(who, repeat.as_ref()), async |once| restore_once(app, &scope, id, once).await)
        .await
}

async fn restore_once(app: &App, scope: &Scope, id: CustomerId, once: Once<'_>) -> Result<View, Error> {
    let who = once.who();
    let catalogue = customers::catalogue(app, scope).await?;
    let read = app.store.database.read(scope, async |tx| {
        let filter = Filter::Always(true);
        let only = [id];
        let wanted = Wanted { deleted: Deleted::Also, only: Some(&only), ..Wanted::matching(&filter) };
        let (mut seen, _) = store::load::page(tx, scope, wanted, None, 1).await?;
        store::load::unseal(tx, &app.store, &mut seen).await?;
        Ok::<_, Error>(seen.pop())
    });
    let (before, levels) = read.await?.ok_or(Error::NoSuchCustomer(id))?;
    let shown = |customer: Customer, levels: &Levels| {
        let levels = view_levels(who, &customer, levels);
        View::new(customer, levels, &catalogue.fields)
    };
    let Some(deleted_at) = before.deleted_at else { return once::keep(app, scope, once, shown(before, &levels)).await };
    let now = app.clock.wall();
    if now.since(deleted_at) > DAY * RESTORE_DAYS {
        return Err(Error::RestoreTimeOver);
    }
    let mut after = before.clone();
    after.deleted_at = None;
    matching::refuse_duplicate(app, who, scope, &after, Some(id)).await?;
    matching::refuse_taken(app, who, scope, &after, Some(id)).await?;
    let decided = who.caller.decide_change(&who.leases, Action::CustomerRestore, &before.row(), &after.row())?;
    let levels = decided.levels();
    require_write(&levels, Layer::Basic, "delete_time")?;
    let entry = customers::entry(app, EntryKind::Record, &after, now)
        .by(who.subject())
        .change(None, Some("restored".to_owned()));
    let change = Change::update(before, after).with_contents().entry(entry);
    let customer = commit(app, &Permits(vec![decided]), (change, vec!["delete_time".to_owned()]), once).await?;
    Ok(shown(customer, &levels))
}

/// Moves a customer to another owner. `action` is transfer, or assign for a customer that nobody alive owns.
pub async fn transfer(
    app: &App,
    who: &Principal,
    (id, action): (CustomerId, Action),
    to: (SubjectId, Option<DepartmentId>),
    (handover, asked): (Handover, Asked),
) -> Result<View, Error> {
    let asking = Asking { who, id, action, asked: &asked };
    apply(app, asking, |before, _| {
        if action == Action::CustomerAssign {
            let reading = app.reading(who)?;
            if before.owner.is_some_and(|owner| living(&reading, owner).is_ok()) {
                return Err(Error::HasOwner);
            }
        }
        let change = Change::update(before.clone(), before).because(handover.clone());
        let change = hand_to(app, who, change, to, app.clock.wall())?;
        Ok(Planned::new(change, vec![(Layer::Basic, "owner_id".to_owned())]))
    })
    .await
}
