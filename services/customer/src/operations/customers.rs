//! Creating and reading customers.

use std::sync::Arc;

use revisit_bootstrap::{
    Principal, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Input, Timestamp,
    id::{CustomerId, FieldId},
};
use revisit_permission::{Action, Decision, Layer, Levels, Permits, Scope, Veiled};

use super::{Clear, TRIES_MAX, View, entries, is_open, living, matching, once, require_write};
use crate::{
    App,
    domain::{
        Error, contact,
        customer::{Customer, CustomerKind, Draft},
        field::{self, Field},
        filter::{self, Expr as Filter},
        grade, stage,
        timeline::{Entry, EntryKind},
    },
    store::{
        self,
        load::{Deleted, Depth, Order, Place, SortKey, Wanted},
        save::{Change, MATCH_RACE},
    },
};

/// What a tenant declares, as one operation sees it.
pub struct Catalogue {
    pub fields: Arc<Vec<Field>>,
    pub stages: stage::Scheme,
    pub grades: grade::Scheme,
}

pub async fn catalogue(app: &App, scope: &Scope) -> Result<Catalogue, Error> {
    let read = app.store.database.read(scope, async |tx| {
        Ok::<_, Error>(Catalogue {
            fields: Arc::new(store::catalogue::fields(tx, scope.tenant()).await?),
            stages: store::catalogue::stages(tx, scope.tenant()).await?,
            grades: store::catalogue::grades(tx, scope.tenant()).await?,
        })
    });
    read.await
}

/// Creates a customer unless it is somebody already.
pub async fn create(app: &App, who: &Principal, draft: Draft, repeat: Option<Repeatable>) -> Result<View, Error> {
    let scope = who.scope(Action::CustomerCreate)?;
    once::view(app, &scope, Once::new(who, repeat.as_ref()), async |once| {
        let catalogue = catalogue(app, &scope).await?;
        let mut tries = 1;
        loop {
            match create_once(app, who, &scope, (&draft, &catalogue), once).await {
                Err(Error::Told(failure)) if failure.reason == MATCH_RACE && tries < TRIES_MAX => tries += 1,
                answer => return answer,
            }
        }
    })
    .await
}

async fn create_once(
    app: &App,
    who: &Principal,
    scope: &Scope,
    (draft, catalogue): (&Draft, &Catalogue),
    once: Once<'_>,
) -> Result<View, Error> {
    let mut customer = compose(app, who, draft, catalogue)?;
    let decided = who.decide(Action::CustomerCreate, &customer.row())?;
    let levels = decided.levels();
    customer.auth_rev = decided.revision();
    let mut permits = Permits(vec![decided]);
    if customer.owner != Some(who.subject()) {
        permits.0.push(who.decide(Action::CustomerAssign, &customer.row())?);
    }
    require_draft_writable(&levels, draft, &catalogue.fields)?;
    matching::refuse_duplicate(app, who, scope, &customer, None).await?;
    matching::refuse_taken(app, who, scope, &customer, None).await?;
    let created = app.store.database.write(&permits, async |tx| {
        let customer = customer.clone();
        let entry = entry(app, EntryKind::Record, &customer, tx.now().await?).by(who.subject());
        let entry = entry.change(None, Some("created".to_owned()));
        for entry_of_log in entries::made(&permits.0) {
            audit::record(tx, &app.ids, entry_of_log).await?;
        }
        once::saved(tx, &app.store, once, &permits, Change::create(customer).entry(entry)).await
    });
    let customer = created.await?;
    Ok(View::new(customer, levels, &catalogue.fields))
}

/// The customer that a draft describes, not yet decided about.
pub fn compose(app: &App, who: &Principal, draft: &Draft, catalogue: &Catalogue) -> Result<Customer, Error> {
    let reading = app.reading(who)?;
    let owner = draft.owner.unwrap_or(who.subject());
    let home = living(&reading, owner)?;
    let mut input = Input::default();
    let stage = draft.stage.as_deref().unwrap_or(catalogue.stages.initial());
    // A file may say the stage's title.
    let stage = catalogue.stages.stages.iter().find(|known| known.name == stage || known.title == stage);
    input.require(stage.is_some(), "stage", "is not a declared stage");
    if let Some(department) = draft.department {
        input.require(is_open(&reading, department), "department_id", "is not an open department");
    }
    let fields = values(&mut input, draft, &catalogue.fields);
    field::require_all(&mut input, &catalogue.fields, &fields.iter().map(|(field, _)| *field).collect::<Vec<_>>());
    input.finish()?;
    let now = app.clock.wall();
    let mut points = Vec::new();
    for (index, point) in draft.contact_points.iter().enumerate() {
        let path = format!("contact_points[{index}].value");
        points.push(point.complete(app.ids.next(now)).map_err(|rule| Error::invalid(path, rule))?);
    }
    contact::settle(&mut points);
    // Who has bought nothing yet has a grade too: cadences go by it from the first day.
    let verdict = catalogue.grades.judge(grade::Spending::default(), now);
    Ok(Customer {
        tenant: who.tenant(),
        id: app.new_customer_id(),
        kind: draft.kind.unwrap_or(CustomerKind::Person),
        name: draft.name.clone(),
        contact_points: points,
        owner: Some(owner),
        department: draft.department.or(home),
        teams: Vec::new(),
        task_holders: Vec::new(),
        ownership_epoch: 1,
        stage: stage.map(|stage| stage.name.clone()).unwrap_or_default(),
        grade: verdict.grade,
        grade_reason: Some(verdict.reason),
        graded_at: now,
        vip: draft.vip,
        pooled: false,
        tags: draft.tags.clone(),
        fields,
        city: draft.city.clone(),
        source: draft.source.clone(),
        birthday: draft.birthday.clone(),
        contract_end: draft.contract_end.clone(),
        external_id: draft.external_id.clone(),
        created_at: now,
        updated_at: now,
        deleted_at: None,
        version: 0,
        auth_rev: 0,
        import_job: None,
        import_version: None,
    })
}

/// The draft's values by field, checked; those that are to be removed are left out.
pub fn values(input: &mut Input, draft: &Draft, fields: &[Field]) -> Vec<(FieldId, Veiled<field::Value>)> {
    let mut values = Vec::new();
    for (key, value) in &draft.fields {
        let path = format!("fields.{key}");
        let Some(field) = fields.iter().find(|field| field.key == *key) else {
            input.refuse(path, "is not a field");
            continue;
        };
        if field.retired_at.is_some() {
            input.refuse(path, "is retired");
            continue;
        }
        match value.clone().map(|value| field::check(field, value)) {
            Some(Ok(value)) => values.push((field.id, Veiled::new(field.layer, value))),
            Some(Err(rule)) => input.refuse(path, rule),
            None => {}
        }
    }
    values
}

/// Refuses a draft that names anything below write.
pub fn require_draft_writable(levels: &Levels, draft: &Draft, fields: &[Field]) -> Result<(), Error> {
    require_write(levels, Layer::Basic, "name")?;
    if !draft.contact_points.is_empty() {
        require_write(levels, Layer::Sensitive, "contact_points")?;
    }
    for (key, _) in &draft.fields {
        if let Some(field) = fields.iter().find(|field| field.key == *key) {
            require_write(levels, field.layer, &format!("fields.{key}"))?;
        }
    }
    Ok(())
}

/// A timeline entry about a customer.
pub fn entry(app: &App, kind: EntryKind, customer: &Customer, at: Timestamp) -> Entry {
    Entry::new(kind, customer.tenant, customer.id, app.ids.next(at), at)
}

/// One customer.
pub async fn get(app: &App, who: &Principal, id: CustomerId, clear: &Clear) -> Result<View, Error> {
    get_all(app, who, &[id], clear).await?.pop().ok_or(Error::NoSuchCustomer(id))
}

/// Those of the customers that the caller may view.
pub async fn get_all(app: &App, who: &Principal, ids: &[CustomerId], clear: &Clear) -> Result<Vec<View>, Error> {
    // Who may view nobody at all is not told more than who may not view this one.
    let Ok(scope) = who.scope(Action::CustomerView).inspect_err(|failure| tracing::debug!(%failure, "nothing in view"))
    else {
        app.reading(who)?;
        return Ok(Vec::new());
    };
    let read = app.store.database.read(&scope, async |tx| {
        let fields = Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        clear.require_known(&fields)?;
        let seen = store::load::find_all(tx, &app.store, &scope, ids, Depth::Sealed).await?;
        let views = seen.into_iter().map(|(customer, levels)| View::new(customer, levels, &fields).with_clear(clear));
        Ok::<_, Error>(views.collect())
    });
    disclose(app, who, &scope, read.await?).await
}

/// Writes the audit of clear values before they leave: without the entry there is no answer.
pub async fn disclose(app: &App, who: &Principal, scope: &Scope, views: Vec<View>) -> Result<Vec<View>, Error> {
    // One entry for what was disclosed alike, by the same right.
    let mut groups: Vec<(Vec<String>, Decision, Vec<uuid::Uuid>)> = Vec::new();
    for view in &views {
        let (disclosed, id) = (view.disclosed(), view.id());
        if disclosed.is_empty() {
            continue;
        }
        let decision = scope.decision_on(&view.row()).ok_or(Error::NoSuchCustomer(id))?;
        let alike = |(fields, by, _): &&mut (Vec<String>, Decision, Vec<uuid::Uuid>)| {
            *fields == disclosed && by.witness == decision.witness
        };
        match groups.iter_mut().find(alike) {
            Some((.., ids)) => ids.push(id.uuid()),
            None => groups.push((disclosed, decision, vec![id.uuid()])),
        }
    }
    if !groups.is_empty() {
        let write = app.store.database.write(scope, async |tx| {
            for (fields, decision, ids) in &groups {
                let entry = audit::Entry::new(&who.caller, scope.action().name(), "customer");
                let entry = entry.about(ids.iter().copied()).fields(fields.iter().cloned()).decided(decision);
                audit::record(tx, &app.ids, entry).await?;
            }
            Ok::<_, Error>(())
        });
        write.await?;
    }
    Ok(views)
}

/// Which page of which list.
pub struct List {
    pub filter: String,
    pub order: Order,
    pub deleted: bool,
    pub after: Option<Place>,
    pub size: usize,
    pub clear: Clear,
}

/// A page of customers and the place behind it when more follow.
pub async fn list(app: &App, who: &Principal, list: List) -> Result<(Vec<View>, Option<Place>), Error> {
    let scope = who.scope(if list.deleted { Action::CustomerRestore } else { Action::CustomerView })?;
    // What some clause hides must not show through the order of rows. When a customer was made its id says; the other keys
    // are basic.
    if list.order.key != SortKey::CreateTime && !scope.reads(Layer::Basic) {
        return Err(Error::FieldNotSortable("order_by".to_owned()));
    }
    let read = app.store.database.read(&scope, async |tx| {
        let fields = Arc::new(store::catalogue::fields(tx, scope.tenant()).await?);
        list.clear.require_known(&fields)?;
        let filter = read_filter(&list.filter, &fields)?;
        let deleted = if list.deleted { Deleted::Only } else { Deleted::Without };
        let wanted = Wanted { order: list.order, deleted, ..Wanted::matching(&filter) };
        let (mut seen, more) = store::load::page(tx, &scope, wanted, list.after.clone(), list.size).await?;
        store::load::unseal(tx, &app.store, &mut seen).await?;
        let next = seen.last().filter(|_| more).map(|(customer, _)| Place::of(customer, list.order.key));
        let views = seen
            .into_iter()
            .map(|(customer, levels)| View::new(customer, levels, &fields).with_clear(&list.clear))
            .collect();
        Ok::<_, Error>((views, next))
    });
    let (views, next) = read.await?;
    Ok((disclose(app, who, &scope, views).await?, next))
}

/// Reads a caller's filter; a refusal names the column.
pub fn read_filter(source: &str, fields: &[Field]) -> Result<Filter, Error> {
    filter::parse(source, fields).map_err(|refusal| Error::invalid("filter", refusal.to_string()))
}

/// How many customers the caller may count and the filter matches.
pub async fn count(app: &App, who: &Principal, source: &str) -> Result<i64, Error> {
    let scope = who.scope(Action::CustomerAggregate)?;
    let read = app.store.database.read(&scope, async |tx| {
        let fields = store::catalogue::fields(tx, scope.tenant()).await?;
        let filter = read_filter(source, &fields)?;
        store::load::count(tx, &scope, &filter).await
    });
    read.await
}
