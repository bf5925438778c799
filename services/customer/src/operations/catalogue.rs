//! Declaring fields, stages and grade rules.

use revisit_bootstrap::{Principal, audit, idempotency::Repeatable};
use revisit_permission::{Action, Decided, Row};

use super::customers::keep_answer;
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
    let decided = decide(who, Action::FieldManage)?;
    field.tenant = who.tenant();
    field.id = app.ids.next(app.clock.wall());
    field.version = 1;
    let write = app.store.database.write(&decided, async |tx| {
        let known = store::catalogue::fields(tx, who.tenant()).await?;
        if let Some(repeat) = &repeat
            && let Some(first) = repeat.first_answer(tx, who.tenant(), who.subject()).await?
        {
            let first = known.iter().find(|field| field.id.uuid().as_bytes().as_slice() == first);
            return first.cloned().ok_or_else(|| Error::NoSuchField(field.key.clone()));
        }
        if known.len() >= FIELDS_MAX {
            return Err(Error::TooMany { what: "fields", max: FIELDS_MAX });
        }
        store::catalogue::insert_field(tx, &decided, &field).await?;
        keep_answer(tx, who, repeat.as_ref(), field.id).await?;
        note(app, tx, who, Action::FieldManage, &field.key).await?;
        Ok(field.clone())
    });
    write.await
}

/// Title, requirement and bounds are replaced, choices are added: what values name never goes away.
pub async fn update_field(app: &App, who: &Principal, sent: Field, etag: i64) -> Result<Field, Error> {
    let decided = decide(who, Action::FieldManage)?;
    let write = app.store.database.write(&decided, async |tx| {
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
        store::catalogue::update_field(tx, &decided, &field).await?;
        note(app, tx, who, Action::FieldManage, &field.key).await?;
        Ok(field)
    });
    write.await
}

pub async fn retire_field(app: &App, who: &Principal, key: &str) -> Result<Field, Error> {
    let decided = decide(who, Action::FieldManage)?;
    let write = app.store.database.write(&decided, async |tx| {
        let mut field = known(tx, who, key).await?;
        if field.retired_at.is_some() {
            return Ok(field);
        }
        field.retired_at = Some(tx.now().await?);
        field.version += 1;
        store::catalogue::update_field(tx, &decided, &field).await?;
        note(app, tx, who, Action::FieldManage, &field.key).await?;
        Ok(field)
    });
    write.await
}

async fn known(tx: &revisit_bootstrap::Tx, who: &Principal, key: &str) -> Result<Field, Error> {
    let fields = store::catalogue::fields(tx, who.tenant()).await?;
    fields.into_iter().find(|field| field.key == key).ok_or_else(|| Error::NoSuchField(key.to_owned()))
}

/// What is declared changes what everybody may write: the audit names what.
async fn note(app: &App, tx: &revisit_bootstrap::Tx, who: &Principal, action: Action, what: &str) -> Result<(), Error> {
    let entry = audit::Entry::new(&who.caller, action.name(), "field").fields([what]);
    Ok(audit::record(tx, &app.ids, entry).await?)
}

pub async fn stages(app: &App, who: &Principal) -> Result<stage::Scheme, Error> {
    let scope = reader(who)?;
    app.store.database.read(&scope, async |tx| Ok(store::catalogue::stages(tx, scope.tenant()).await?)).await
}

pub async fn set_stages(app: &App, who: &Principal, scheme: stage::Scheme) -> Result<stage::Scheme, Error> {
    let decided = decide(who, Action::StageManage)?;
    let write = app.store.database.write(&decided, async |tx| {
        let stages = scheme.clone();
        store::catalogue::set_stages(tx, &decided, who.tenant(), &stages).await?;
        note(app, tx, who, Action::StageManage, "stages").await?;
        Ok(stages)
    });
    write.await
}

pub async fn grades(app: &App, who: &Principal) -> Result<grade::Scheme, Error> {
    let scope = reader(who)?;
    app.store.database.read(&scope, async |tx| Ok(store::catalogue::grades(tx, scope.tenant()).await?)).await
}

pub async fn set_grades(app: &App, who: &Principal, scheme: grade::Scheme) -> Result<grade::Scheme, Error> {
    let decided = decide(who, Action::GradeManage)?;
    let write = app.store.database.write(&decided, async |tx| {
        let grades = scheme.clone();
        store::catalogue::set_grades(tx, &decided, who.tenant(), &grades).await?;
        note(app, tx, who, Action::GradeManage, "grades").await?;
        Ok(grades)
    });
    write.await
}
