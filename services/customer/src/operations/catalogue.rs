//! Declaring fields, stages and grade rules.

use revisit_bootstrap::{
    Principal, Tx, audit,
    idempotency::{Once, Repeatable},
};
use revisit_permission::{Action, Decided, Row};

use crate::{
    App,
    domain::{
        Error,
        field::{CHOICES_MAX, FIELDS_MAX, Field},
        grade, stage,
    },
    store,
};

/// Fields, stages and grades belong to the whole company.
fn decide(who: &Principal, action: Action) -> Result<Decided, Error> {
    Ok(who.decide(action, &Row::of_tenant(who.tenant()))?)
}

/// Whoever sees customers sees what they are described with.
fn reader(who: &Principal) -> Result<revisit_permission::Scope, Error> {
    Ok(who.scope(Action::CustomerView).or_else(|_| who.scope(Action::FieldManage))?)
}

pub async fn fields(app: &App, who: &Principal, retired: bool) -> Result<Vec<Field>, Error> {
    let scope = reader(who)?;
    let read =
        app.store.database.read(&scope, async |tx| Ok::<_, Error>(store::catalogue::fields(tx, scope.tenant()).await?));
    let mut fields = read.await?;
    fields.retain(|field| retired || field.retired_at.is_none());
    Ok(fields)
}

pub async fn create_field(
    app: &App,
    who: &Principal,
    mut field: Field,
    repeat: Option<Repeatable>,
) -> Result<Field, Error> {
    field.tenant = who.tenant();
    field.id = app.ids.next(app.clock.wall());
    field.version = 1;
    write_field(app, who, &field.key, repeat, async |tx, decided| {
        if store::catalogue::fields(tx, who.tenant()).await?.len() >= FIELDS_MAX {
            return Err(Error::TooMany { what: "fields", max: FIELDS_MAX });
        }
        store::catalogue::insert_field(tx, decided, &field).await?;
        note(app, tx, who, Action::FieldManage, &field.key).await?;
        Ok(field.clone())
    })
    .await
}

/// Writes one field, once; keys never change, so that a repeat finds it by its own.
async fn write_field(
    app: &App,
    who: &Principal,
    key: &str,
    repeat: Option<Repeatable>,
    work: impl AsyncFnOnce(&Tx, &Decided) -> Result<Field, Error>,
) -> Result<Field, Error> {
    let decided = decide(who, Action::FieldManage)?;
    let write = app.store.database.write(&decided, async |tx| {
        let work = async || {
            let field = work(tx, &decided).await?;
            Ok((field.id.uuid(), field))
        };
        Once::new(who, repeat.as_ref()).row(tx, async |_| known(tx, who, key).await, work).await
    });
    write.await
}

/// Title, requirement and bounds are replaced, choices are added: what values name never goes away.
pub async fn update_field(
    app: &App,
    who: &Principal,
    (sent, etag): (Field, i64),
    repeat: Option<Repeatable>,
) -> Result<Field, Error> {
    write_field(app, who, &sent.key, repeat, async |tx, decided| {
        let mut field = known(tx, who, &sent.key).await?;
        if field.version != etag {
            return Err(Error::EtagStale { newest: field.version });
        }
        if field.retired_at.is_some() {
            return Err(Error::FieldRetired(field.key));
        }
        field.title.clone_from(&sent.title);
        field.required = sent.required;
        field.length_max = sent.length_max;
        (field.number_min, field.number_max) = (sent.number_min, sent.number_max);
        for (key, title) in &sent.choices {
            match field.choices.iter_mut().find(|(known, _)| known == key) {
                Some((_, known)) => known.clone_from(title),
                None => field.choices.push((key.clone(), title.clone())),
            }
        }
        if field.choices.len() > CHOICES_MAX {
            return Err(Error::TooMany { what: "choices", max: CHOICES_MAX });
        }
        field.version += 1;
        store::catalogue::update_field(tx, decided, &field).await?;
        note(app, tx, who, Action::FieldManage, &field.key).await?;
        Ok(field)
    })
    .await
}

pub async fn retire_field(app: &App, who: &Principal, key: &str, repeat: Option<Repeatable>) -> Result<Field, Error> {
    write_field(app, who, key, repeat, async |tx, decided| {
        let mut field = known(tx, who, key).await?;
        if field.retired_at.is_some() {
            return Ok(field);
        }
        field.retired_at = Some(tx.now().await?);
        field.version += 1;
        store::catalogue::update_field(tx, decided, &field).await?;
        note(app, tx, who, Action::FieldManage, &field.key).await?;
        Ok(field)
    })
    .await
}

async fn known(tx: &Tx, who: &Principal, key: &str) -> Result<Field, Error> {
    let fields = store::catalogue::fields(tx, who.tenant()).await?;
    fields.into_iter().find(|field| field.key == key).ok_or_else(|| Error::NoSuchField(key.to_owned()))
}

/// What is declared changes what everybody may write: the audit names what.
async fn note(app: &App, tx: &Tx, who: &Principal, action: Action, what: &str) -> Result<(), Error> {
    let entry = audit::Entry::new(&who.caller, action.name(), "field").fields([what]);
    Ok(audit::record(tx, &app.ids, entry).await?)
}

pub async fn stages(app: &App, who: &Principal) -> Result<stage::Scheme, Error> {
    let scope = reader(who)?;
    app.store.database.read(&scope, async |tx| Ok(store::catalogue::stages(tx, scope.tenant()).await?)).await
}

pub async fn set_stages(
    app: &App,
    who: &Principal,
    scheme: stage::Scheme,
    repeat: Option<Repeatable>,
) -> Result<stage::Scheme, Error> {
    let (decided, tenant) = (decide(who, Action::StageManage)?, who.tenant());
    let write = app.store.database.write(&decided, async |tx| {
        // A company has one scheme, so it is found by the company.
        let find = async |_| Ok(store::catalogue::stages(tx, tenant).await?);
        let work = async || {
            store::catalogue::set_stages(tx, &decided, tenant, &scheme).await?;
            note(app, tx, who, Action::StageManage, "stages").await?;
            // As it lies there: where a stage leads has no order of its own.
            Ok((tenant.uuid(), store::catalogue::stages(tx, tenant).await?))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    write.await
}

pub async fn grades(app: &App, who: &Principal) -> Result<grade::Scheme, Error> {
    let scope = reader(who)?;
    app.store.database.read(&scope, async |tx| Ok(store::catalogue::grades(tx, scope.tenant()).await?)).await
}

pub async fn set_grades(
    app: &App,
    who: &Principal,
    scheme: grade::Scheme,
    repeat: Option<Repeatable>,
) -> Result<grade::Scheme, Error> {
    let (decided, tenant) = (decide(who, Action::GradeManage)?, who.tenant());
    let write = app.store.database.write(&decided, async |tx| {
        let find = async |_| Ok(store::catalogue::grades(tx, tenant).await?);
        let work = async || {
            store::catalogue::set_grades(tx, &decided, tenant, &scheme).await?;
            note(app, tx, who, Action::GradeManage, "grades").await?;
            Ok((tenant.uuid(), scheme.clone()))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    write.await
}
