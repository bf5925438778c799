//! Types of rows of other systems: registered, changed and removed, each as one revision.
//!
//! Who may do it needs no right to the rows. Whoever holds one cannot map a type in a way that gives him more.

use std::collections::BTreeMap;

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_permission::{Action, Attribute, Change, ExternalType, Layer, Name, Refusal, Removed};

use super::{
    book::{Book, Cause, Once, Revised},
    roles,
};
use crate::{
    App,
    domain::{
        Error,
        directory::check_etag,
        external::{Registered, TYPES_MAX},
    },
    store::{external_rows, external_types},
};

const MANAGE: &str = Action::ExternalTypeManage.name();

/// A new type.
pub struct NewType {
    pub facts: ExternalType,
    pub display_name: String,
    pub reason: String,
}

/// What may be changed of a type.
#[derive(Default)]
pub struct TypeEdit {
    pub display_name: Option<String>,
    pub actions: Option<BTreeMap<String, Action>>,
    pub fields: Option<BTreeMap<String, Layer>>,
    pub attributes: Option<Vec<Attribute>>,
    pub etag: String,
    pub reason: String,
}

pub async fn get(app: &App, who: &Principal, name: &Name) -> Result<Registered, Error> {
    let permit = roles::may(who, Action::RoleView)?;
    let found = app.store.read(&permit, async |tx| Ok(external_types::by_name(tx, who.tenant(), name).await?)).await?;
    found.ok_or(Error::NoSuchExternalType)
}

/// A page of types, and whether there are more.
pub async fn list(
    app: &App,
    who: &Principal,
    after: Option<&str>,
    size: u32,
) -> Result<(Vec<Registered>, bool), Error> {
    let permit = roles::may(who, Action::RoleView)?;
    let limit = u64::from(size) + 1;
    let page = async |tx: &_| Ok(external_types::page(tx, who.tenant(), after, limit).await?);
    let mut found: Vec<Registered> = app.store.read(&permit, page).await?;
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let more = found.len() > size;
    found.truncate(size);
    Ok((found, more))
}

pub async fn create<M: Message + Default>(
    app: &App,
    who: &Principal,
    input: NewType,
    once: Once<Registered, M>,
) -> Result<M, Error> {
    let permit = roles::may(who, Action::ExternalTypeManage)?;
    let tenant = who.tenant();
    let cause = Cause::new(who, MANAGE, input.reason.clone());
    let created = app.revise_once(&permit, cause, once, async |tx, book| {
        let it = stage(book, input)?;
        external_types::add(tx, tenant, &it, book.now).await?;
        Ok(it)
    });
    Ok(created.await?.0)
}

/// Puts a new type into a revision.
pub fn stage(book: &mut Book, input: NewType) -> Result<Registered, Error> {
    if book.facts().external_type(&input.facts.name).is_some() {
        return Err(Error::ExternalTypeTaken);
    }
    if book.facts().external_types().count() >= TYPES_MAX {
        return Err(Error::TooMany);
    }
    book.add(Change::ExternalType(input.facts.clone()))?;
    Ok(Registered { facts: input.facts, display_name: input.display_name, version: 1 })
}

pub async fn change(app: &App, who: &Principal, name: &Name, edit: TypeEdit) -> Result<Revised<Registered>, Error> {
    let permit = roles::may(who, Action::ExternalTypeManage)?;
    let tenant = who.tenant();
    app.revise(&permit, tenant, Cause::new(who, MANAGE, edit.reason.clone()), async |tx, book| {
        let it = stage_change(tx, book, name, edit).await?;
        external_types::save(tx, tenant, &it).await?;
        Ok(it)
    })
    .await
}

/// Puts a changed type into a revision.
pub async fn stage_change(tx: &Tx, book: &mut Book, name: &Name, edit: TypeEdit) -> Result<Registered, Error> {
    let mut it = external_types::by_name(tx, book.tenant.id, name).await?.ok_or(Error::NoSuchExternalType)?;
    check_etag(&edit.etag, it.version)?;
    it.display_name = edit.display_name.unwrap_or(it.display_name);
    it.facts.actions = edit.actions.unwrap_or(it.facts.actions);
    it.facts.fields = edit.fields.unwrap_or(it.facts.fields);
    it.facts.attributes = edit.attributes.unwrap_or(it.facts.attributes);
    book.add(Change::ExternalType(it.facts.clone()))?;
    it.version += 1;
    Ok(it)
}

pub async fn delete(app: &App, who: &Principal, name: &Name, edit: TypeEdit) -> Result<Revised<()>, Error> {
    let permit = roles::may(who, Action::ExternalTypeManage)?;
    let tenant = who.tenant();
    app.revise(&permit, tenant, Cause::new(who, MANAGE, edit.reason), async |tx, book| {
        // Whoever puts rows holds the type too, so none comes in between.
        external_types::hold(tx, tenant, name).await?.ok_or(Error::NoSuchExternalType)?;
        stage_removal(tx, book, name, &edit.etag).await?;
        Ok(external_types::remove(tx, tenant, name).await?)
    })
    .await
}

/// Puts the end of a type into a revision.
pub async fn stage_removal(tx: &Tx, book: &mut Book, name: &Name, etag: &str) -> Result<(), Error> {
    let tenant = book.tenant.id;
    let it = external_types::by_name(tx, tenant, name).await?.ok_or(Error::NoSuchExternalType)?;
    check_etag(etag, it.version)?;
    if external_rows::any(tx, tenant, name).await? {
        return Err(Refusal::ExternalTypeInUse.into());
    }
    book.add(Change::Removed(Removed::ExternalType(name.clone())))?;
    Ok(())
}
