//! What a subject may do to a row, and to which of the rows that identity itself keeps.

use std::sync::Arc;

use revisit_core::{
    Id,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Asked, Keeping, Levels, Name, Permit, Resource, Row, Snapshot};
use uuid::Uuid;

use super::{
    asking::{Asker, Explains, Hearing},
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
    (resource, row): (Option<Resource>, Row),
) -> Result<Vec<String>, Error> {
    let mut hearing = Hearing::open(app, asker, None, &[row.auth_rev]).await?;
    let subject = hearing.subject(Some(subject))?;
    let named = Named { action: None, row };
    let kept = KeptRows::read(app, &mut hearing, std::iter::once(&named)).await?;
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
    confirm(&hearing)?;
    let next = found.last().copied().filter(|_| more);
    Ok((found, next))
}

/// Rows of other systems, each with what the subject has of it.
pub struct Found {
    pub rows: Vec<(KeptRow, Levels)>,
    /// The last one of this page, when there are more.
    pub next: Option<Uuid>,
}

/// One page of rows of a registered type, in the order of their ids: what the predicate gives as SQL, each decided once more.
pub async fn kept_rows(app: &App, asker: &Asker, wanted: &Rows) -> Result<Found, Error> {
    let mut hearing = Hearing::open(app, asker, None, &[]).await?;
    let subject = hearing.subject(wanted.subject)?;
    let (snapshot, now) = (Arc::clone(&hearing.reading.snapshot), hearing.reading.now);
    let named = snapshot.facts().action_named(&wanted.action, wanted.external.as_ref());
    let (action, external) = named.ok_or(Error::UnknownAction)?;
    let registered = external.as_ref().and_then(|name| snapshot.facts().external_type(name));
    if registered.ok_or(Error::NoSuchExternalType)?.keeping == Keeping::Sent {
        return Err(Error::Refused { field: "external_type", rule: "identity keeps no rows of this type" });
    }
    let predicate = snapshot.predicate(subject, Asked::on(action, external.as_ref()));
    let limit = u64::from(wanted.size) + 1;
    // What is read is in the predicate of somebody whom the asker may ask about.
    let page = app.store.read(&app.workers.ask, async |tx| {
        Ok::<_, Error>(external_rows::page(tx, &predicate, now, wanted.after, limit).await?)
    });
    let mut page = page.await?;
    let size = usize::try_from(wanted.size).unwrap_or(usize::MAX);
    let more = page.len() > size;
    page.truncate(size);
    let next = page.last().filter(|_| more).map(|it| it.row.id);
    hearing.settle(app)?;
    let (snapshot, now) = (&hearing.reading.snapshot, hearing.reading.now);
    let predicate = snapshot.predicate(subject, Asked::on(action, external.as_ref()));
    let decided = |it: KeptRow| predicate.check(&it.row, now).map(|levels| (it, levels));
    let rows = page.into_iter().filter_map(decided).collect();
    confirm(&hearing)?;
    Ok(Found { rows, next })
}

/// That the asker may still ask about others when the answer leaves.
fn confirm(hearing: &Hearing<'_>) -> Result<(), Error> {
    if let Ok(Explains::Within(scope)) = hearing.explains() {
        scope.confirm().map_err(revisit_core::Failure::from)?;
    }
    Ok(())
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
