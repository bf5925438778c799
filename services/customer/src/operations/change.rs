//! Changing customers: each change is decided on the row before and after it, and lost races begin again.

use revisit_bootstrap::{
    Principal, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::{Input, id::CustomerId};
use revisit_permission::{Action, Decided, Layer, Level, Levels, Permits, Row, Scope};

use super::{
    TRIES_MAX, View,
    customers::{self, Catalogue},
    entries, hidden, matching, once, require_write,
    widening::refuse_widening,
};
use crate::{
    App,
    domain::{
        Error,
        contact::{self, ContactPoint},
        customer::{Customer, Draft},
        field::Field,
    },
    store::{
        self,
        load::Depth,
        save::{Change, MATCH_RACE},
    },
};

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
    /// Other decisions that the change rests on: they are made again with its own before it is committed.
    also: Vec<Decided>,
    /// The row after it on which the caller's right is decided, where that is not the row as it will be.
    decided_on: Option<Row>,
}

impl Planned {
    pub const fn new(change: Change, layers: Vec<(Layer, String)>) -> Self {
        Self { change, layers, also: Vec::new(), decided_on: None }
    }

    /// It rests on these decisions too.
    pub fn also(mut self, decided: impl IntoIterator<Item = Decided>) -> Self {
        self.also.extend(decided);
        self
    }

    /// The caller's right is decided on this row, because who gives a customer away need not have a right over what it
    /// becomes.
    pub fn decided_on(self, row: Row) -> Self {
        Self { decided_on: Some(row), ..self }
    }
}

/// Whose change, of which customer, by what right.
#[derive(Clone, Copy)]
pub struct Asking<'a> {
    pub who: &'a Principal,
    pub id: CustomerId,
    pub action: Action,
    pub asked: &'a Asked,
}

impl<'a> Asking<'a> {
    pub fn once(&self) -> Once<'a> {
        Once::new(self.who, self.asked.repeat.as_ref())
    }
}

/// Reads, decides, writes; begins again when somebody else was faster and the caller named no version.
pub async fn apply(
    app: &App,
    asking: Asking<'_>,
    plan: impl Fn(Customer, &Catalogue) -> Result<Planned, Error> + Send + Sync,
) -> Result<View, Error> {
    let scope = view_scope(app, asking.who, asking.id)?;
    once::view(app, &scope, asking.once(), async |_| {
        let catalogue = customers::catalogue(app, &scope).await?;
        let mut tries = 1;
        loop {
            let result = apply_once(app, asking, &catalogue, &plan).await;
            let lost = match &result {
                Err(Error::EtagStale { .. }) => asking.asked.etag.is_none(),
                Err(Error::Told(failure)) => failure.reason == MATCH_RACE,
                Err(_) | Ok(_) => false,
            };
            if !lost || tries >= TRIES_MAX {
                return result;
            }
            tries += 1;
        }
    })
    .await
}

/// Who may view nobody learns no more than who may not view this one.
pub fn view_scope(app: &App, who: &Principal, id: CustomerId) -> Result<Scope, Error> {
    app.reading(who)?;
    who.scope(Action::CustomerView).map_err(|failure| hidden(failure, Error::NoSuchCustomer(id)))
}

async fn apply_once(
    app: &App,
    asking: Asking<'_>,
    catalogue: &Catalogue,
    plan: &(impl Fn(Customer, &Catalogue) -> Result<Planned, Error> + Send + Sync),
) -> Result<View, Error> {
    let Asking { who, id, action, asked } = asking;
    let scope = view_scope(app, who, id)?;
    let read =
        app.store.database.read(&scope, async |tx| store::load::find(tx, &app.store, &scope, id, Depth::Sealed).await);
    let (before, _) = read.await?.ok_or(Error::NoSuchCustomer(id))?;
    require_version(asked, &before)?;
    let planned = plan(before.clone(), catalogue)?;
    let is_asked = planned.change.contents && planned.change.after.keys() != before.keys();
    if is_asked && planned.change.after.deleted_at.is_none() {
        matching::refuse_duplicate(app, who, &scope, &planned.change.after, Some(id)).await?;
    }
    if planned.change.after.external_id != before.external_id {
        matching::refuse_taken(app, who, &scope, &planned.change.after, Some(id)).await?;
    }
    let after = planned.decided_on.unwrap_or_else(|| planned.change.after.row());
    let decided = who.caller.decide_change(&who.leases, action, &before.row(), &after)?;
    // A move of stage overwrites what the row was before it: in the stage of a hand-over the mover only reads.
    let levels = if action == Action::CustomerStage { decided.levels_before() } else { decided.levels() };
    for (layer, field) in &planned.layers {
        require_write(&levels, *layer, field)?;
    }
    if let Some(before) = planned.change.before.as_ref() {
        refuse_widening(who, action, (&before.row(), &planned.change.after.row()))?;
    }
    let permits = Permits(std::iter::once(decided).chain(planned.also).collect());
    let named = planned.layers.into_iter().map(|(_, field)| field).collect();
    let customer = commit(app, &permits, (planned.change, named), asking.once()).await?;
    let levels = view_levels(who, &customer, &levels);
    Ok(View::new(customer, levels, &catalogue.fields))
}

/// What the caller sees of a row that it has just changed: what viewing gives, or what the change itself gave.
pub fn view_levels(who: &Principal, customer: &Customer, changed: &Levels) -> Levels {
    match who.decide(Action::CustomerView, &customer.row()) {
        Ok(decided) => decided.levels(),
        // Handed away: what was read before this call may be answered, and no layer more.
        Err(_) => changed.cap(Levels::HIDDEN.with(Layer::Basic, Level::Read)),
    }
}

/// Writes one changed customer, and the audit of who changed it. `named` are the fields that were to be written.
pub async fn commit(
    app: &App,
    permits: &Permits,
    (mut change, named): (Change, Vec<String>),
    once: Once<'_>,
) -> Result<Customer, Error> {
    let id = change.after.id;
    let decided = permits.0.first().ok_or(Error::NoSuchCustomer(id))?;
    change.after.auth_rev = decided.revision();
    let write = app.store.database.write(permits, async |tx| {
        audit::record(tx, &app.ids, entries::of_change(decided, &change, named)).await?;
        once::saved(tx, &app.store, once, permits, change).await
    });
    write.await
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
    (draft, mask): (Draft, Mask),
    asked: Asked,
) -> Result<View, Error> {
    let asking = Asking { who, id, action: Action::CustomerUpdate, asked: &asked };
    apply(app, asking, |before, catalogue| {
        // Before anything is compared with what is there: a refusal tells of the levels and never of a value.
        let levels = who.decide(Action::CustomerUpdate, &before.row())?.levels();
        named(&draft, &mask, catalogue).iter().try_for_each(|(layer, field)| require_write(&levels, *layer, field))?;
        plan_update(app, before, &draft, &mask, catalogue)
    })
    .await
}

/// What an update names, by layer: said by the request and the catalogue alone. All values are every field's, whether
/// or not the customer has one.
fn named(draft: &Draft, mask: &Mask, catalogue: &Catalogue) -> Vec<(Layer, String)> {
    let basic = [
        (mask.kind, "kind"),
        (mask.name, "name"),
        (mask.vip, "vip"),
        (mask.tags, "tags"),
        (mask.city, "city"),
        (mask.source, "source"),
        (mask.birthday, "birthday"),
        (mask.contract_end, "contract_end"),
        (mask.external_id, "external_id"),
    ];
    let basic = basic.into_iter().filter(|(named, _)| *named).map(|(_, field)| (Layer::Basic, field.to_owned()));
    let points = mask.contact_points.then(|| (Layer::Sensitive, "contact_points".to_owned()));
    let fields = catalogue.fields.iter().filter(|field| is_named(field, draft, mask));
    let fields = fields.map(|field| (field.layer, format!("fields.{}", field.key)));
    basic.chain(points).chain(fields).collect()
}

fn is_named(field: &Field, draft: &Draft, mask: &Mask) -> bool {
    (mask.all_fields && field.retired_at.is_none()) || draft.fields.iter().any(|(key, _)| *key == field.key)
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
    let mut input = Input::default();
    if mask.kind {
        after.kind = draft.kind.unwrap_or(after.kind);
    }
    if mask.name {
        draft.name.clone_into(&mut after.name);
    }
    if mask.vip {
        after.vip = draft.vip;
    }
    if mask.tags {
        after.tags.clone_from(&draft.tags);
    }
    let words = [
        (mask.city, &draft.city, &mut after.city),
        (mask.source, &draft.source, &mut after.source),
        (mask.birthday, &draft.birthday, &mut after.birthday),
        (mask.contract_end, &draft.contract_end, &mut after.contract_end),
        (mask.external_id, &draft.external_id, &mut after.external_id),
    ];
    for (written, new, old) in words {
        if written {
            old.clone_from(new);
        }
    }
    if mask.contact_points {
        after.contact_points = contact_points(app, &mut input, &before, draft, mask.add_contact_points);
    }
    let values = customers::values(&mut input, draft, &catalogue.fields);
    for field in catalogue.fields.iter().filter(|field| is_named(field, draft, mask)) {
        after.fields.retain(|(id, _)| *id != field.id);
    }
    after.fields.extend(values);
    input.finish()?;
    let contents = mask.kind || mask.name || mask.city || mask.contact_points;
    let change = Change::update(before, after);
    let layers = named(draft, mask, catalogue);
    Ok(Planned::new(if contents { change.with_contents() } else { change }, layers))
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
            update(app, who, id, (draft, mask), Asked { etag: None, repeat }).await
        }
    }
}
