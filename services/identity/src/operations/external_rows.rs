//! Rows of other systems that identity keeps: put and removed by who may say what policy shall look at.

use std::collections::{BTreeMap, BTreeSet};

use revisit_bootstrap::auth::Principal;
use revisit_core::{Failure, Timestamp};
use revisit_permission::{Action, Asked, Decided, Facts, Keeping, Levels, Name, Permit, Row};
use uuid::Uuid;

use super::{asking::Asker, grants, meaning::refuse_others, searches};
use crate::{
    App,
    domain::{
        Error,
        directory::check_etag,
        external::{KeptRow, Registered},
    },
    store::{self, external_rows, external_types},
};

/// Rows of one call.
pub const ROWS_MAX: usize = 500;

/// A row as it shall be, and the version that the caller has seen.
#[derive(Clone, Debug)]
pub struct NewRow {
    pub row: Row,
    pub display_name: String,
    pub etag: String,
}

/// Adds or replaces rows, all of them or none; answers them as they are kept, in the order in which they were given.
pub async fn put(app: &App, who: &Principal, name: &Name, mut rows: Vec<NewRow>) -> Result<Vec<KeptRow>, Error> {
    rows.iter_mut().for_each(|it| it.row.tenant = who.tenant());
    let reading = who.leases.read(who.tenant()).map_err(|_| grants::lease_expired())?;
    let scope = who.scope(Asked::on(Action::ExternalManage, Some(name)))?;
    let ids: Vec<Uuid> = rows.iter().map(|it| it.row.id).collect();
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return Err(Error::Refused { field: "resources", rule: "must name each row once" });
    }
    rows.iter().try_for_each(|it| known(reading.snapshot.facts(), &it.row))?;
    let tenant = who.tenant();
    let before = app.store.read(&scope, async |tx| Ok(external_rows::by_ids(tx, tenant, name, &ids).await?)).await?;
    let permit = changing(who, &before, rows.iter().map(|it| it.row.clone()))?;
    app.store
        .write(&permit, async |tx| {
            let registered = held(tx, who, name).await?;
            let now = store::now(tx).await?;
            let there = unchanged(tx, who, name, (&ids, &before)).await?;
            let mut kept = Vec::with_capacity(rows.len());
            for new in rows {
                refuse_others(&registered.facts, &new.row)?;
                kept.push(next(there.get(&new.row.id), new, (permit.revision(), now))?);
            }
            let differ = |it: &&KeptRow| there.get(&it.row.id) != Some(*it);
            let written: Vec<KeptRow> = kept.iter().filter(differ).cloned().collect();
            external_rows::put(tx, tenant, name, &written).await?;
            Ok(kept)
        })
        .await
}

/// Removes rows, all of them or none; answers how many were there.
pub async fn delete(app: &App, who: &Principal, name: &Name, ids: &[Uuid]) -> Result<usize, Error> {
    let scope = who.scope(Asked::on(Action::ExternalManage, Some(name)))?;
    let tenant = who.tenant();
    let before = app.store.read(&scope, async |tx| Ok(external_rows::by_ids(tx, tenant, name, ids).await?)).await?;
    if before.is_empty() {
        return Ok(0);
    }
    let permit = changing(who, &before, std::iter::empty())?;
    app.store
        .write(&permit, async |tx| {
            held(tx, who, name).await?;
            let there = unchanged(tx, who, name, (ids, &before)).await?;
            let gone: Vec<Uuid> = there.into_keys().collect();
            external_rows::remove(tx, tenant, name, &gone).await?;
            Ok(gone.len())
        })
        .await
}

/// A row that the caller may view, and how much of it.
pub async fn get(app: &App, who: &Principal, name: &Name, id: Uuid) -> Result<(KeptRow, Levels), Error> {
    let scope = who.scope(Asked::on(Action::ExternalView, Some(name)))?;
    let find = async |tx: &_| Ok::<_, Error>(external_rows::by_ids(tx, who.tenant(), name, &[id]).await?);
    let found = app.store.read(&scope, find).await?.pop().ok_or(Error::NoSuchExternalResource)?;
    let levels = scope.levels(&found.row).ok_or(Error::NoSuchExternalResource)?;
    Ok((found, levels))
}

/// A page of rows to which a subject may do something.
pub async fn list(app: &App, who: &Principal, wanted: &searches::Rows) -> Result<searches::Found, Error> {
    let asker = Asker::Subject(Box::new(who.clone()));
    if wanted.subject.is_some_and(|subject| subject != who.subject()) {
        return searches::kept_rows(app, &asker, wanted).await;
    }
    let reading = who.leases.read(who.tenant()).map_err(|_| grants::lease_expired())?;
    let named = reading.snapshot.facts().action_named(&wanted.action, wanted.external.as_ref());
    let (action, external) = named.ok_or(Error::UnknownAction)?;
    let scope = who.scope(Asked::on(action, external.as_ref()))?;
    let found = searches::kept_rows(app, &asker, wanted).await?;
    scope.confirm().map_err(Failure::from)?;
    Ok(found)
}

/// The right to the rows as they are and as they would be.
fn changing(who: &Principal, before: &[KeptRow], after: impl Iterator<Item = Row>) -> Result<Decided, Error> {
    let rows: Vec<Row> = before.iter().map(|it| it.row.clone()).chain(after).collect();
    let decided = who.caller.decide_all(&who.leases, Action::ExternalManage, &rows).map_err(Failure::from)?;
    Ok(decided)
}

/// The type, held until the transaction ends.
async fn held(tx: &revisit_bootstrap::database::Tx, who: &Principal, name: &Name) -> Result<Registered, Error> {
    let it = external_types::hold(tx, who.tenant(), name).await?.ok_or(Error::NoSuchExternalType)?;
    match it.facts.keeping {
        Keeping::Kept => Ok(it),
        Keeping::Sent => Err(Error::Refused { field: "external_type", rule: "its rows are not kept here" }),
    }
}

/// The rows that are there, if they are those that were decided about.
async fn unchanged(
    tx: &revisit_bootstrap::database::Tx,
    who: &Principal,
    name: &Name,
    (ids, before): (&[Uuid], &[KeptRow]),
) -> Result<BTreeMap<Uuid, KeptRow>, Error> {
    let there = external_rows::by_ids(tx, who.tenant(), name, ids).await?;
    if there != before {
        return Err(Error::StaleEtag);
    }
    Ok(there.into_iter().map(|it| (it.row.id, it)).collect())
}

/// A row as it is kept from now on; the same as before when nothing differs.
fn next(there: Option<&KeptRow>, new: NewRow, (revision, now): (i64, Timestamp)) -> Result<KeptRow, Error> {
    let version = there.map_or(0, |it| it.version);
    if !new.etag.is_empty() {
        check_etag(&new.etag, version)?;
    }
    if let Some(it) = there {
        let same =
            Row { auth_rev: it.row.auth_rev, ..new.row.clone() } == it.row && new.display_name == it.display_name;
        if same {
            return Ok(it.clone());
        }
    }
    let row = new.row.with_auth_rev(revision);
    Ok(KeptRow { row, display_name: new.display_name, version: version + 1, updated_at: now })
}

/// That owner and department exist: an id that nobody has would never match, and looks like a row that is kept.
fn known(facts: &Facts, row: &Row) -> Result<(), Error> {
    if row.owner.is_some_and(|owner| facts.subject(owner).is_none()) {
        return Err(Error::Refused { field: "resources.attributes.owner_id", rule: "there is no such user" });
    }
    if row.department.is_some_and(|department| facts.department(department).is_none()) {
        let rule = "there is no such department";
        return Err(Error::Refused { field: "resources.attributes.department_id", rule });
    }
    Ok(())
}
