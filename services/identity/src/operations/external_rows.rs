//! Rows of other systems that identity keeps: put and removed by who may say what policy shall look at.

use std::collections::{BTreeMap, BTreeSet};

use revisit_bootstrap::{audit, auth::Principal, database::Tx};
use revisit_core::{Failure, Timestamp};
use revisit_permission::{Action, Asked, Decided, Facts, Keeping, Levels, Name, Permit, Row, Scope};
use uuid::Uuid;

use super::{
    asking::{self, Asker},
    grants,
    meaning::{refuse_others, refused},
    searches,
};
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

/// Rows as they are kept, and the token of a revision that sees them.
pub struct Put {
    pub rows: Vec<KeptRow>,
    pub token: String,
}

/// Adds or replaces rows, all of them or none; answers them as they are kept, in the order in which they were given.
pub async fn put(app: &App, who: &Principal, name: &Name, mut rows: Vec<NewRow>) -> Result<Put, Error> {
    rows.iter_mut().for_each(|it| it.row.tenant = who.tenant());
    let ids: Vec<Uuid> = rows.iter().map(|it| it.row.id).collect();
    if ids.iter().collect::<BTreeSet<_>>().len() < ids.len() {
        return Err(Error::Refused { field: "resources", rule: "must name each row once" });
    }
    let tenant = who.tenant();
    let (before, _) = there(app, who, Asked::on(Action::ExternalManage, Some(name)), &ids).await?;
    let reading = who.leases.read(tenant).map_err(|_| grants::lease_expired())?;
    for (index, it) in rows.iter().enumerate() {
        known(reading.snapshot.facts(), &it.row, &at(index))?;
    }
    let permit = changing(who, &before, rows.iter().map(|it| it.row.clone()))?;
    let token = app.token(tenant, permit.revision())?;
    app.store
        .write(&permit, async |tx| {
            let registered = held(tx, who, name).await?;
            let now = store::now(tx).await?;
            let there = unchanged(tx, who, name, (&ids, &before)).await?;
            let mut kept = Vec::with_capacity(rows.len());
            for (index, new) in rows.into_iter().enumerate() {
                refuse_others(&registered.facts, &new.row, &at(index))?;
                kept.push(next(there.get(&new.row.id), new, (permit.revision(), now))?);
            }
            if kept.iter().all(|it| it.version != NO_VERSION) {
                return Ok(Put { rows: kept, token });
            }
            let version = external_types::next_row_version(tx, tenant, name).await?;
            let mut written = Vec::new();
            for it in kept.iter_mut().filter(|it| it.version == NO_VERSION) {
                it.version = version;
                written.push(it.clone());
            }
            external_rows::put(tx, tenant, name, &written).await?;
            let written: Vec<Uuid> = written.iter().map(|it| it.row.id).collect();
            note(app, tx, (who, &permit), (PUT, name), &written).await?;
            Ok(Put { rows: kept, token })
        })
        .await
}

/// Removes rows, all of them or none; answers how many were there. One that the caller may not remove is not there.
pub async fn delete(app: &App, who: &Principal, name: &Name, ids: &[Uuid]) -> Result<usize, Error> {
    let tenant = who.tenant();
    let (mut before, scope) = there(app, who, Asked::on(Action::ExternalManage, Some(name)), ids).await?;
    before.retain(|it| scope.levels(&it.row).is_some());
    if before.is_empty() {
        return Ok(0);
    }
    let gone: Vec<Uuid> = before.iter().map(|it| it.row.id).collect();
    let permit = changing(who, &before, std::iter::empty())?;
    app.store
        .write(&permit, async |tx| {
            held(tx, who, name).await?;
            unchanged(tx, who, name, (&gone, &before)).await?;
            external_rows::remove(tx, tenant, name, &gone).await?;
            note(app, tx, (who, &permit), (DELETE, name), &gone).await?;
            Ok(gone.len())
        })
        .await
}

/// A row that the caller may view, and how much of it.
pub async fn get(app: &App, who: &Principal, name: &Name, id: Uuid) -> Result<(KeptRow, Levels), Error> {
    let (mut found, scope) = there(app, who, Asked::on(Action::ExternalView, Some(name)), &[id]).await?;
    let found = found.pop().ok_or(Error::NoSuchExternalResource)?;
    let levels = scope.levels(&found.row).ok_or(Error::NoSuchExternalResource)?;
    Ok((found, levels))
}

/// A page of rows to which a subject may do something.
pub async fn list(app: &App, who: &Principal, wanted: &searches::Rows) -> Result<searches::Found, Error> {
    let asker = Asker::Subject(Box::new(who.clone()));
    let found = searches::kept_rows(app, &asker, wanted).await?;
    if wanted.subject.is_none_or(|subject| subject == who.subject()) {
        // Whom no right leads to any row is told so.
        let reading = who.leases.read(who.tenant()).map_err(|_| grants::lease_expired())?;
        let named = reading.snapshot.facts().action_named(&wanted.action, wanted.external.as_ref());
        let (action, external) = named.ok_or(Error::UnknownAction)?;
        who.scope(Asked::on(action, external.as_ref()))?;
    }
    Ok(found)
}

/// The rows that there are of some ids, and the caller's scope on a state that is new enough to decide about them.
async fn there(app: &App, who: &Principal, asked: Asked<'_>, ids: &[Uuid]) -> Result<(Vec<KeptRow>, Scope), Error> {
    let (scope, tenant) = (who.scope(asked)?, who.tenant());
    let Some(name) = asked.external else { return Ok((Vec::new(), scope)) };
    let found = app.store.read(&scope, async |tx| Ok(external_rows::by_ids(tx, tenant, name, ids).await?)).await?;
    let revisions: Vec<i64> = found.iter().map(|it| it.row.auth_rev).collect();
    if revisions.iter().all(|revision| *revision <= scope.revision()) {
        return Ok((found, scope));
    }
    asking::reach(app, tenant, &revisions).await?;
    Ok((found, who.scope(asked)?))
}

/// What the audit calls it.
const PUT: &str = "external.put_rows";
const DELETE: &str = "external.delete_rows";

/// Who put or removed which rows, and by what right.
async fn note(
    app: &App,
    tx: &Tx,
    (who, permit): (&Principal, &Decided),
    (act, name): (&str, &Name),
    ids: &[Uuid],
) -> Result<(), Error> {
    let Some(decision) = permit.decision() else { return Ok(()) };
    let entry = audit::Entry::new(&who.caller, act, name.as_str()).about(ids.iter().copied()).decided(&decision);
    Ok(audit::record(tx, &app.ids, entry).await?)
}

/// Where in a request a row is.
fn at(index: usize) -> String {
    format!("resources[{index}].attributes")
}

/// The right to the rows as they are and as they would be.
fn changing(who: &Principal, before: &[KeptRow], after: impl Iterator<Item = Row>) -> Result<Decided, Error> {
    let rows: Vec<Row> = before.iter().map(|it| it.row.clone()).chain(after).collect();
    let decided = who.caller.decide_all(&who.leases, Action::ExternalManage, &rows).map_err(Failure::from)?;
    Ok(decided)
}

/// The type, held until the transaction ends.
async fn held(tx: &Tx, who: &Principal, name: &Name) -> Result<Registered, Error> {
    let it = external_types::hold(tx, who.tenant(), name).await?.ok_or(Error::NoSuchExternalType)?;
    match it.facts.keeping {
        Keeping::Kept => Ok(it),
        Keeping::Sent => Err(Error::Refused { field: "external_type", rule: "its rows are not kept here" }),
    }
}

/// The rows that are there, if they are those that were decided about.
async fn unchanged(
    tx: &Tx,
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
    if !new.etag.is_empty() {
        check_etag(&new.etag, there.map_or(NO_VERSION, |it| it.version))?;
    }
    if let Some(it) = there {
        let same =
            Row { auth_rev: it.row.auth_rev, ..new.row.clone() } == it.row && new.display_name == it.display_name;
        if same {
            return Ok(it.clone());
        }
    }
    let row = new.row.with_auth_rev(revision);
    Ok(KeptRow { row, display_name: new.display_name, version: NO_VERSION, updated_at: now })
}

/// Of a row that is not there, or changes and has not got its next version yet; no row that is kept has it.
const NO_VERSION: i64 = 0;

/// That owner, department and teams exist: an id that nobody has would never match, and looks like a row that is kept.
fn known(facts: &Facts, row: &Row, at: &str) -> Result<(), Error> {
    if row.owner.is_some_and(|owner| facts.subject(owner).is_none()) {
        return Err(refused(at, "owner_id", "there is no such user"));
    }
    if row.department.is_some_and(|department| facts.department(department).is_none()) {
        return Err(refused(at, "department_id", "there is no such department"));
    }
    if row.teams.iter().any(|team| facts.team(*team).is_none()) {
        return Err(refused(at, "team_ids", "there is no such team"));
    }
    Ok(())
}
