//! Changing customers: each change is decided on the row before and after it, and lost races begin again.

use std::sync::Arc;

use revisit_bootstrap::{Principal, audit, idempotency::Repeatable};
use revisit_core::{
    Input, Timestamp,
    id::{CustomerId, SubjectId},
};
use revisit_permission::{Action, Decided, Layer, Level, Levels};

use super::{
    TRIES_MAX, View,
    customers::{self, Catalogue},
    living, matching, require_write,
};
use crate::{
    App,
    domain::{
        Error,
        contact::{self, ContactPoint},
        customer::{Customer, Draft, RESTORE_DAYS, clean_tags},
        timeline::EntryKind,
    },
    store::{
        self,
        load::{Deleted, Depth, Order, Wanted},
        save::{Change, Handover, MATCH_RACE},
    },
};

const DAY: std::time::Duration = std::time::Duration::from_hours(24);

/// What a caller wants changed, and on which version.
#[derive(Clone, Default)]
pub struct Asked {
    pub etag: Option<i64>,
    pub repeat: Option<Repeatable>,
}

/// A change of one customer, worked out on the row as it was read.
pub struct Planned {
    pub change: Change,
    /// The layers that it writes, each with the field that names it in a refusal.
    pub layers: Vec<(Layer, String)>,
}

/// Reads, decides, writes; begins again when somebody else was faster and the caller named no version.
pub async fn apply(
    app: &App,
    who: &Principal,
    id: CustomerId,
    action: Action,
    asked: &Asked,
    plan: impl Fn(Customer, &Catalogue) -> Result<Planned, Error> + Send + Sync,
) -> Result<View, Error> {
    let scope = view_scope(app, who, id)?;
    if let Some(first) = customers::first_answer(app, who, &scope, asked.repeat.as_ref()).await? {
        return Ok(first);
    }
    let catalogue = customers::catalogue(app, &scope).await?;
    let mut tries = 1;
    loop {
        let result = apply_once(app, who, id, action, asked, &catalogue, &plan).await;
        let lost = match &result {
            Err(Error::EtagStale { .. }) => asked.etag.is_none(),
            Err(Error::Told(failure)) => failure.reason == MATCH_RACE,
            Err(_) | Ok(_) => false,
        };
        if !lost || tries >= TRIES_MAX {
            return result;
        }
        tries += 1;
    }
}

/// Who may view nobody learns no more than who may not view this one.
fn view_scope(app: &App, who: &Principal, id: CustomerId) -> Result<revisit_permission::Scope, Error> {
    app.reading(who)?;
    who.scope(Action::CustomerView).map_err(|_| Error::NoSuchCustomer(id))
}

async fn apply_once(
    app: &App,
    who: &Principal,
    id: CustomerId,
    action: Action,
    asked: &Asked,
    catalogue: &Catalogue,
    plan: &(impl Fn(Customer, &Catalogue) -> Result<Planned, Error> + Send + Sync),
) -> Result<View, Error> {
    let scope = view_scope(app, who, id)?;
    let read =
        app.store.database.read(&scope, async |tx| store::load::find(tx, &app.store, &scope, id, Depth::Sealed).await);
    let (before, _) = read.await?.ok_or(Error::NoSuchCustomer(id))?;
    require_version(asked, &before)?;
    let planned = plan(before.clone(), catalogue)?;
    if planned.change.contents && planned.change.after.deleted_at.is_none() {
        matching::refuse_duplicate(app, who, &scope, &planned.change.after, Some(id)).await?;
    }
    let decided = who.caller.decide_change(&who.leases, action, &before.row(), &planned.change.after.row())?;
    // A move of stage overwrites what the row was before it: in the stage of a hand-over the mover only reads.
    let levels = if action == Action::CustomerStage { decided.levels_before() } else { decided.levels() };
    for (layer, field) in &planned.layers {
        require_write(&levels, *layer, field)?;
    }
    let customer = commit(app, who, &decided, planned.change, asked.repeat.as_ref()).await?;
    let levels = view_levels(who, &customer, &levels);
    Ok(View::new(customer, levels, &catalogue.fields))
}

/// What the caller sees of a row that it has just changed: what viewing gives, or what the change itself gave.
fn view_levels(who: &Principal, customer: &Customer, changed: &Levels) -> Levels {
    match who.decide(Action::CustomerView, &customer.row()) {
        Ok(decided) => decided.levels(),
        // Handed away: what was read before this call may be answered, and no layer more.
        Err(_) => changed.cap(Levels::HIDDEN.with(Layer::Basic, Level::Read)),
    }
}

async fn commit(
    app: &App,
    who: &Principal,
    decided: &Decided,
    mut change: Change,
    repeat: Option<&Repeatable>,
) -> Result<Customer, Error> {
    change.after.auth_rev = decided.revision();
    let id = change.after.id;
    let write = app.store.database.write(decided, async |tx| {
        if change.before.as_ref().is_some_and(|before| before.owner != change.after.owner) {
            let handover = change.handover.clone();
            audit::record(tx, &app.ids, transfer_entry(who, decided, &[id], &handover)).await?;
        }
        let saved = store::save::save(tx, &app.store, decided, vec![change]).await?;
        customers::keep_answer(tx, who, repeat, id).await?;
        Ok::<_, Error>(saved)
    });
    write.await?.pop().ok_or(Error::NoSuchCustomer(id))
}

fn require_version(asked: &Asked, before: &Customer) -> Result<(), Error> {
    match asked.etag {
        Some(etag) if etag != before.version => Err(Error::EtagStale { newest: before.version }),
        Some(_) | None => Ok(()),
    }
}

/// Which fields of a draft an update writes.
#[derive(Clone, Default)]
pub struct Mask {
    pub kind: bool,
    pub name: bool,
    pub contact_points: bool,
    pub vip: bool,
    pub city: bool,
    pub source: bool,
    pub birthday: bool,
    pub contract_end: bool,
    pub external_id: bool,
    pub tags: bool,
    /// All values: those that the draft lacks are removed.
    pub all_fields: bool,
    /// Contact points are added to those that are there.
    pub add_contact_points: bool,
}

pub async fn update(
    app: &App,
    who: &Principal,
    id: CustomerId,
    draft: Draft,
    mask: Mask,
    asked: Asked,
) -> Result<View, Error> {
    apply(app, who, id, Action::CustomerUpdate, &asked, |before, catalogue| {
        plan_update(app, before, &draft, &mask, catalogue)
    })
    .await
}

/// The customer with the masked parts of the draft in place.
pub fn plan_update(
    app: &App,
    before: Customer,
    draft: &Draft,
    mask: &Mask,
    catalogue: &Catalogue,
) -> Result<Planned, Error> {
    let mut after = before.clone();
    let mut layers = Vec::new();
    let mut input = Input::default();
    let mut write = |written: bool, field: &str| {
        if written {
            layers.push((Layer::Basic, field.to_owned()));
        }
        written
    };
    if write(mask.kind, "kind") {
        after.kind = draft.kind.unwrap_or(after.kind);
    }
    if write(mask.name, "name") {
        draft.name.clone_into(&mut after.name);
    }
    if write(mask.vip, "vip") {
        after.vip = draft.vip;
    }
    if write(mask.tags, "tags") {
        after.tags.clone_from(&draft.tags);
    }
    let words = [
        (mask.city, "city", &draft.city, &mut after.city),
        (mask.source, "source", &draft.source, &mut after.source),
        (mask.birthday, "birthday", &draft.birthday, &mut after.birthday),
        (mask.contract_end, "contract_end", &draft.contract_end, &mut after.contract_end),
        (mask.external_id, "external_id", &draft.external_id, &mut after.external_id),
    ];
    for (masked, name, new, old) in words {
        if write(masked, name) {
            old.clone_from(new);
        }
    }
    if mask.contact_points {
        layers.push((Layer::Sensitive, "contact_points".to_owned()));
        after.contact_points = contact_points(app, &mut input, &before, draft, mask.add_contact_points);
    }
    let values = customers::values(&mut input, draft, &catalogue.fields);
    for field in catalogue.fields.iter() {
        let named = draft.fields.iter().any(|(key, _)| *key == field.key);
        let writable = field.retired_at.is_none();
        if named || (mask.all_fields && writable && before.field(field.id).is_some()) {
            layers.push((field.layer, format!("fields.{}", field.key)));
            after.fields.retain(|(id, _)| *id != field.id);
        }
    }
    after.fields.extend(values);
    input.finish()?;
    let contents = mask.kind || mask.name || mask.city || mask.contact_points;
    let change = Change::update(before, after);
    Ok(Planned { change: if contents { change.with_contents() } else { change }, layers })
}

fn contact_points(app: &App, input: &mut Input, before: &Customer, draft: &Draft, add: bool) -> Vec<ContactPoint> {
    let mut points = if add { before.contact_points.clone() } else { Vec::new() };
    for (index, sent) in draft.contact_points.iter().enumerate() {
        let path = format!("contact_points[{index}]");
        let known = sent.id.and_then(|id| before.contact_points.iter().find(|point| point.id == id));
        match known {
            Some(known) if sent.input.is_empty() => {
                points.push(ContactPoint { verified: sent.verified, primary: sent.primary, ..known.clone() });
            }
            None if sent.id.is_some() => {
                input.refuse(format!("{path}.contact_point_id"), "is not one of the customer's")
            }
            Some(_) | None => {
                let id = sent.id.unwrap_or_else(|| app.ids.next(app.clock.wall()));
                match sent.complete(id) {
                    Ok(point) => points.push(point),
                    Err(rule) => input.refuse(format!("{path}.value"), rule),
                }
            }
        }
    }
    contact::settle(&mut points);
    input.require(points.len() <= contact::CONTACT_POINTS_MAX, "contact_points", "must have at most 20 entries");
    points
}

/// Creates the customer with the draft's external id, or writes what the draft sets.
pub async fn upsert(app: &App, who: &Principal, draft: Draft, repeat: Option<Repeatable>) -> Result<View, Error> {
    let external = draft.external_id.clone().unwrap_or_default();
    let scope = who.scope(Action::CustomerView).or_else(|_| who.scope(Action::CustomerCreate))?;
    let found = app.store.database.read(&scope, async |tx| store::load::by_external_id(tx, &scope, &external).await);
    match found.await? {
        None => customers::create(app, who, draft, repeat).await,
        Some(id) => {
            let mask = Mask {
                kind: draft.kind.is_some(),
                name: true,
                contact_points: !draft.contact_points.is_empty(),
                add_contact_points: true,
                vip: draft.vip,
                city: draft.city.is_some(),
                source: draft.source.is_some(),
                birthday: draft.birthday.is_some(),
                contract_end: draft.contract_end.is_some(),
                tags: !draft.tags.is_empty(),
                external_id: false,
                all_fields: false,
            };
            update(app, who, id, draft, mask, Asked { etag: None, repeat }).await
        }
    }
}

/// Moves a customer to another stage, and to another owner in the same commit when one is named.
pub async fn move_stage(
    app: &App,
    who: &Principal,
    id: CustomerId,
    stage: &str,
    new_owner: Option<SubjectId>,
    asked: Asked,
) -> Result<View, Error> {
    apply(app, who, id, Action::CustomerStage, &asked, |before, catalogue| {
        if catalogue.stages.find(stage).is_none() {
            return Err(Error::StageUnknown(stage.to_owned()));
        }
        if !catalogue.stages.allows(&before.stage, stage) {
            return Err(Error::StageTransitionIllegal { from: before.stage.clone(), to: stage.to_owned() });
        }
        let now = app.clock.wall();
        let mut after = before.clone();
        stage.clone_into(&mut after.stage);
        let entry = customers::entry(app, EntryKind::Stage, &after, now)
            .by(who.subject())
            .change(before.stage.clone(), after.stage.clone());
        let mut change = Change::update(before.clone(), after).entry(entry);
        if let Some(owner) = new_owner.filter(|owner| before.owner != Some(*owner)) {
            who.caller.decide(&who.leases, Action::CustomerTransfer, &before.row())?;
            change = hand_to(app, who, change, owner, None, now)?;
        }
        Ok(Planned { change, layers: vec![(Layer::Basic, "stage".to_owned())] })
    })
    .await
}

/// The change with another owner: owner, department of record and ownership epoch move together.
pub fn hand_to(
    app: &App,
    who: &Principal,
    mut change: Change,
    owner: SubjectId,
    department: Option<revisit_core::id::DepartmentId>,
    now: Timestamp,
) -> Result<Change, Error> {
    let home = living(&app.reading(who)?, owner)?;
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
    add: Vec<String>,
    remove: Vec<String>,
) -> Result<View, Error> {
    apply(app, who, id, Action::CustomerTag, &Asked::default(), |before, _| {
        let mut after = before.clone();
        let mut input = Input::default();
        let removed = clean_tags(&mut input, "remove", remove.clone());
        after.tags.extend(add.clone());
        after.tags = clean_tags(&mut input, "add", after.tags);
        after.tags.retain(|tag| !removed.contains(tag));
        input.finish()?;
        Ok(Planned { change: Change::update(before, after), layers: vec![(Layer::Basic, "tags".to_owned())] })
    })
    .await
}

/// Deletes softly. The contact points of a deleted customer are free for others.
pub async fn delete(app: &App, who: &Principal, id: CustomerId, asked: Asked) -> Result<View, Error> {
    let scope = view_scope(app, who, id)?;
    // A repeat finds the row deleted already and answers it.
    if let Some(deleted) = find_deleted(app, who, id).await? {
        return Ok(deleted);
    }
    drop(scope);
    apply(app, who, id, Action::CustomerDelete, &asked, |before, _| {
        let now = app.clock.wall();
        let mut after = before.clone();
        after.deleted_at = Some(now);
        let entry = customers::entry(app, EntryKind::Record, &after, now)
            .by(who.subject())
            .change(None, Some("deleted".to_owned()));
        let change = Change::update(before, after).with_contents().entry(entry);
        Ok(Planned { change, layers: Vec::new() })
    })
    .await
}

async fn find_deleted(app: &App, who: &Principal, id: CustomerId) -> Result<Option<View>, Error> {
    let Ok(scope) = who.scope(Action::CustomerDelete) else { return Ok(None) };
    let read = app.store.database.read(&scope, async |tx| {
        let fields = Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        let filter = crate::domain::filter::Expr::Always(true);
        let only = [id];
        let wanted = Wanted { filter: &filter, order: Order::OLDEST_FIRST, deleted: Deleted::Only, only: Some(&only) };
        let (seen, _) = store::load::page(tx, &scope, wanted, None, 1).await?;
        Ok::<_, Error>(seen.into_iter().next().map(|(customer, levels)| View::new(customer, levels, &fields)))
    });
    read.await
}

/// Deletes several; each answer stands alone. The typed number guards against a slip.
pub async fn delete_all(
    app: &App,
    who: &Principal,
    ids: Vec<CustomerId>,
    expected: usize,
) -> Result<Vec<(CustomerId, Result<View, Error>)>, Error> {
    if ids.len() != expected {
        return Err(Error::CountMismatch { expected: ids.len() });
    }
    let mut answers = Vec::new();
    for id in ids {
        answers.push((id, delete(app, who, id, Asked::default()).await));
    }
    Ok(answers)
}

/// Takes a deletion back, unless the time is over or somebody else has become this customer.
pub async fn restore(app: &App, who: &Principal, id: CustomerId) -> Result<View, Error> {
    let scope = who.scope(Action::CustomerRestore)?;
    let catalogue = customers::catalogue(app, &scope).await?;
    let read = app.store.database.read(&scope, async |tx| {
        let filter = crate::domain::filter::Expr::Always(true);
        let only = [id];
        let wanted = Wanted { filter: &filter, order: Order::OLDEST_FIRST, deleted: Deleted::Also, only: Some(&only) };
        let (mut seen, _) = store::load::page(tx, &scope, wanted, None, 1).await?;
        store::load::unseal(tx, &app.store, &mut seen).await?;
        Ok::<_, Error>(seen.pop())
    });
    let (before, levels) = read.await?.ok_or(Error::NoSuchCustomer(id))?;
    let Some(deleted_at) = before.deleted_at else { return Ok(View::new(before, levels, &catalogue.fields)) };
    let now = app.clock.wall();
    if now.since(deleted_at) > DAY * RESTORE_DAYS {
        return Err(Error::RestoreTimeOver);
    }
    let mut after = before.clone();
    after.deleted_at = None;
    matching::refuse_duplicate(app, who, &scope, &after, Some(id)).await?;
    let decided = who.caller.decide_change(&who.leases, Action::CustomerRestore, &before.row(), &after.row())?;
    let entry = customers::entry(app, EntryKind::Record, &after, now)
        .by(who.subject())
        .change(None, Some("restored".to_owned()));
    let change = Change::update(before, after).with_contents().entry(entry);
    let customer = commit(app, who, &decided, change, None).await?;
    Ok(View::new(customer, decided.levels(), &catalogue.fields))
}

/// Moves a customer to another owner. `action` is transfer, or assign for a customer that nobody alive owns.
pub async fn transfer(
    app: &App,
    who: &Principal,
    id: CustomerId,
    to: (SubjectId, Option<revisit_core::id::DepartmentId>),
    action: Action,
    (handover, asked): (Handover, Asked),
) -> Result<View, Error> {
    apply(app, who, id, action, &asked, |before, _| {
        if action == Action::CustomerAssign {
            let reading = app.reading(who)?;
            if before.owner.is_some_and(|owner| living(&reading, owner).is_ok()) {
                return Err(Error::HasOwner);
            }
        }
        let change = Change::update(before.clone(), before).because(handover.clone());
        let change = hand_to(app, who, change, to.0, to.1, app.clock.wall())?;
        Ok(Planned { change, layers: Vec::new() })
    })
    .await
}

/// The audit entry of customers that changed hands.
pub fn transfer_entry(who: &Principal, decided: &Decided, ids: &[CustomerId], handover: &Handover) -> audit::Entry {
    let action = decided.action().map_or("customer.transfer", Action::name);
    let entry = audit::Entry::new(&who.caller, action, "customer");
    let entry = entry.about(ids.iter().map(|id| id.uuid())).fields(["owner_id", "department_id"]);
    entry.with(|message| {
        handover.reason.clone_into(&mut message.why);
        message.revision = decided.revision();
    })
}
