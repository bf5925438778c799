//! What a subject may do to a row, and to which of the rows that identity itself keeps.

use revisit_core::{
    Id,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Action, Permit, Resource, Row, Snapshot};
use uuid::Uuid;

use super::asking::{Asker, Explains, Hearing};
use crate::{
    App,
    domain::{Error, directory::department_row},
};

/// Rows that are looked at in one go; then others have their turn.
const SLICE: usize = 256;

/// The actions of a type that a subject may do to a row, in the order of the registry.
pub async fn actions(
    app: &App,
    asker: &Asker,
    subject: SubjectId,
    (resource, row): (Resource, Row),
) -> Result<Vec<Action>, Error> {
    let hearing = Hearing::open(app, asker, None, &[row.auth_rev]).await?;
    let subject = hearing.subject(Some(subject))?;
    let row = Row { tenant: hearing.tenant, ..row };
    let (snapshot, now) = (&hearing.reading.snapshot, hearing.reading.now);
    let of_type = Action::ALL.iter().copied().filter(|action| action.resource() == resource);
    Ok(of_type.filter(|action| snapshot.decide(subject, *action, &row, now).allowed).collect())
}

/// Which rows.
pub struct Rows {
    pub subject: SubjectId,
    pub action: Action,
    pub after: Option<Uuid>,
    pub size: u32,
}

/// One page of rows of a type that identity keeps, in the order of their ids, and the last one when there are more.
pub async fn rows(app: &App, asker: &Asker, wanted: &Rows) -> Result<(Vec<Uuid>, Option<Uuid>), Error> {
    let hearing = Hearing::open(app, asker, None, &[]).await?;
    let subject = hearing.subject(Some(wanted.subject))?;
    let (snapshot, now) = (&hearing.reading.snapshot, hearing.reading.now);
    let rows = kept(snapshot, hearing.tenant, wanted.action.resource())?;
    let from = wanted.after.map_or(0, |after| rows.partition_point(|row| row.id <= after));
    let predicate = snapshot.predicate(subject, wanted.action);
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
    if let Ok(Explains::Within(scope)) = hearing.explains() {
        scope.confirm().map_err(revisit_core::Failure::from)?;
    }
    let next = found.last().copied().filter(|_| more);
    Ok((found, next))
}

/// Every row of a type, as policy sees it.
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
