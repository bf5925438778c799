//! What a subject may do to a row, and to which of the rows that identity itself keeps.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Id, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Asked, Keeping, Levels, Name, Predicate, Reading, Resource, Row, Snapshot};
use uuid::Uuid;

use super::{
    asking::{Asker, Hearing},
    grants,
    meaning::{KeptRows, Named, There, mean},
};
use crate::{
    App,
    domain::{Error, directory::department_row, external::KeptRow},
    store::external_rows,
};

/// Rows that are looked at in one go; then others have their turn.
const SLICE: usize = 256;

/// The names of the actions of a row's type that a subject may do to it: of a type of ours in the order of the registry, of
/// a registered type first those that it has names for.
pub async fn actions(
    app: &App,
    asker: &Asker,
    subject: SubjectId,
    (resource, named): (Option<Resource>, Named),
) -> Result<Vec<String>, Error> {
    let mut hearing = Hearing::open(app, asker, None, &[named.row.auth_rev]).await?;
    hearing.subject(Some(subject))?;
    let kept = KeptRows::read(app, &mut hearing, std::iter::once(&named)).await?;
    // While it was read, the asker's right may have gone.
    let subject = hearing.subject(Some(subject))?;
    let (snapshot, now) = (&hearing.reading.snapshot, hearing.reading.now);
    let meant = mean(snapshot, &named, &kept)?;
    if meant.there == There::No {
        return Ok(Vec::new());
    }
    let registered = meant.row.external.as_ref().and_then(|name| snapshot.facts().external_type(name));
    let names: Vec<(String, Action)> = match registered {
        Some(registered) => registered.names().collect(),
        None => {
            let of_type = Action::ALL.iter().copied().filter(|action| Some(action.resource()) == resource);
            of_type.map(|action| (action.name().to_owned(), action)).collect()
        }
    };
    let allowed = |action| snapshot.decide(subject, action, &meant.row, now).allowed;
    Ok(names.into_iter().filter(|(_, action)| allowed(*action)).map(|(name, _)| name).collect())
}

/// Which rows.
pub struct Rows {
    /// The asker when nobody is named.
    pub subject: Option<SubjectId>,
    /// An action of the registry or of the registered type.
    pub action: String,
    /// Of which registered type; none for a type of ours.
    pub external: Option<Name>,
    pub after: Option<Uuid>,
    pub size: u32,
}

/// One page of rows of a type of ours that identity keeps, in the order of their ids, and the last one when there are more.
pub async fn own_rows(app: &App, asker: &Asker, wanted: &Rows) -> Result<(Vec<Uuid>, Option<Uuid>), Error> {
    let hearing = Hearing::open(app, asker, None, &[]).await?;
    let subject = hearing.subject(wanted.subject)?;
    let (snapshot, now) = (&hearing.reading.snapshot, hearing.reading.now);
    let action = Action::parse(&wanted.action).ok_or(Error::UnknownAction)?;
    let rows = kept(snapshot, hearing.tenant, action.resource())?;
    let from = wanted.after.map_or(0, |after| rows.partition_point(|row| row.id <= after));
    let predicate = snapshot.predicate(subject, action);
    let size = usize::try_from(wanted.size).unwrap_or(usize::MAX);
    let mut found = Vec::new();
    for slice in rows[from..].chunks(SLICE) {
        found.extend(slice.iter().filter(|row| predicate.check(row, now).is_some()).map(|row| row.id));
        if found.len() > size {
            break;
        }
        tokio::task::yield_now().await;
    }
    let more = found.len() > size;
    found.truncate(size);
    hearing.subject(wanted.subject)?;
    let next = found.last().copied().filter(|_| more);
    Ok((found, next))
}

/// Rows of other systems, each with what the subject has of it.
pub struct Found {
    pub rows: Vec<(KeptRow, Levels)>,
    /// The last one of this page, when there are more.
    pub next: Option<Uuid>,
}

/// Times that a page is read: again when rows or rights turn out to be newer than what it was read by.
const READS_MAX: usize = 3;

/// One page of rows of a registered type, in the order of their ids: what the predicate gives as SQL, each decided once
/// more. None is missing that a check would allow by then.
pub async fn kept_rows(app: &App, asker: &Asker, wanted: &Rows) -> Result<Found, Error> {
    let mut hearing = Hearing::open(app, asker, None, &[]).await?;
    for _ in 0..READS_MAX {
        let subject = hearing.subject(wanted.subject)?;
        let (action, external) = of_kept(&hearing.reading.snapshot, wanted)?;
        let asked = Asked::on(action, Some(&external));
        let Reading { snapshot, now: then, .. } = hearing.reading.clone();
        let predicate = snapshot.predicate(subject, asked);
        let tenant = hearing.tenant;
        let (page, newer) = match hearing.own(subject, asked) {
            Some(scope) => {
                app.store
                    .read(&scope, async |tx| read(tx, (tenant, &external), (&predicate, then), wanted).await)
                    .await?
            }
            None => {
                hearing.read(app, async |tx| read(tx, (tenant, &external), (&predicate, then), wanted).await).await?
            }
        };
        hearing.reach(app, &newer).await?;
        hearing.settle(app)?;
        let Reading { snapshot, now, .. } = &hearing.reading;
        let newest = snapshot.predicate(subject, asked);
        let is_missed = newer.iter().any(|revision| *revision <= newest.revision());
        if !is_missed && predicate.stands((&newest, *now), then) {
            hearing.subject(wanted.subject)?;
            return Ok(found(page, wanted, |row| newest.check(row, *now)));
        }
    }
    Err(grants::lease_expired().into())
}

/// The rows of a predicate, one more than the page holds, and the revisions under which rows of the type were written that
/// it does not know.
async fn read(
    tx: &Tx,
    (tenant, external): (TenantId, &Name),
    (predicate, now): (&Predicate, Timestamp),
    wanted: &Rows,
) -> Result<(Vec<KeptRow>, Vec<i64>), Error> {
    let page = external_rows::page(tx, predicate, now, wanted.after, u64::from(wanted.size) + 1).await?;
    // Afterwards: a row of a newer revision that is put meanwhile is seen here at the latest.
    let newer = external_rows::newer(tx, tenant, external, predicate.revision()).await?;
    Ok((page, newer))
}

/// The action and the registered type that are meant, if identity keeps its rows.
fn of_kept(snapshot: &Snapshot, wanted: &Rows) -> Result<(Action, Name), Error> {
    let named = snapshot.facts().action_named(&wanted.action, wanted.external.as_ref());
    let (action, external) = named.ok_or(Error::UnknownAction)?;
    let registered = external.as_ref().and_then(|name| snapshot.facts().external_type(name));
    let registered = registered.ok_or(Error::NoSuchExternalType)?;
    match registered.keeping {
        Keeping::Kept => Ok((action, registered.name.clone())),
        Keeping::Sent => Err(Error::Refused { field: "external_type", rule: "identity keeps no rows of this type" }),
    }
}

/// A page with what there is of each row, from one row more than the page holds.
fn found(mut page: Vec<KeptRow>, wanted: &Rows, check: impl Fn(&Row) -> Option<Levels>) -> Found {
    let size = usize::try_from(wanted.size).unwrap_or(usize::MAX);
    let more = page.len() > size;
    page.truncate(size);
    let next = page.last().filter(|_| more).map(|it| it.row.id);
    let rows = page.into_iter().filter_map(|it| check(&it.row).map(|levels| (it, levels))).collect();
    Found { rows, next }
}

/// Every row of a type of ours, as policy sees it.
fn kept(snapshot: &Snapshot, tenant: TenantId, resource: Resource) -> Result<Vec<Row>, Error> {
    let mut rows: Vec<Row> = match resource {
        Resource::User => {
            let facts = snapshot.subjects().into_iter().filter_map(|id| snapshot.facts().subject(id));
            facts.map(|it| Row::new(tenant, it.id).with_owner(it.id).with_department(it.department)).collect()
        }
        Resource::Department => {
            snapshot.org().departments().map(|id| department_row(tenant, Id::from_uuid(id.uuid()))).collect()
        }
        Resource::Customer
        | Resource::Task
        | Resource::Plan
        | Resource::Calendar
        | Resource::Template
        | Resource::Delivery
        | Resource::Endpoint
        | Resource::Role
        | Resource::Grant
        | Resource::Audit
        | Resource::Tenant
        | Resource::Import
        | Resource::Segment
        | Resource::Field
        | Resource::Metrics
        | Resource::External => {
            return Err(Error::Refused { field: "resource.type", rule: "identity keeps no rows of this type" });
        }
    };
    rows.sort_unstable_by_key(|row| row.id);
    Ok(rows)
}
