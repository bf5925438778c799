//! What callers and workers can have done: each operation decides first, then moves rows in one transaction.

pub mod access;
pub mod batch_delete;
pub mod catalogue;
pub mod change;
pub mod consume;
pub mod customers;
pub mod entries;
pub mod exports;
pub mod hand_over;
pub mod imports;
pub mod lifecycle;
pub mod matching;
pub mod nightly;
pub mod once;
pub mod orders;
pub mod segments;
pub mod stages;
pub mod timeline;
pub mod transfers;
mod view;
pub mod widening;

pub use view::{Clear, View};

use revisit_bootstrap::{Principal, Tx};
use revisit_core::{
    Failure, Kind,
    id::{CustomerId, DepartmentId, SubjectId, TenantId},
};
use revisit_permission::{Layer, Levels, Reading};

use crate::{
    App,
    domain::{Error, normal::Region},
    store,
};

/// Tries of a change that loses its race against another, in all.
pub const TRIES_MAX: u32 = 3;

impl App {
    /// What is known of the caller's company now.
    pub fn reading(&self, who: &Principal) -> Result<Reading, Error> {
        Ok(who.caller.reading(&who.leases)?)
    }

    /// Where the caller's company is at home.
    pub fn region(&self, who: &Principal) -> Result<Region, Error> {
        Ok(region(&self.reading(who)?))
    }

    pub fn new_customer_id(&self) -> CustomerId {
        self.ids.next(self.clock.wall())
    }
}

/// Where the company is at home: whose numbers are written without a country code.
pub fn region(reading: &Reading) -> Region {
    Region::of(reading.snapshot.facts().settings().region.as_deref())
}

/// An active subject's primary department; fails when it is not active.
pub fn living(reading: &Reading, owner: SubjectId) -> Result<Option<DepartmentId>, Error> {
    match reading.snapshot.subject(owner) {
        Some(facts) if facts.active => Ok(facts.subject.department),
        Some(_) | None => Err(Error::OwnerInactive),
    }
}

/// What was decided, or none when it was denied. That nobody can say for now is neither: it stays a failure.
pub fn allowed<T>(decided: Result<T, Failure>) -> Result<Option<T>, Error> {
    match decided {
        Ok(decided) => Ok(Some(decided)),
        Err(failure) if failure.kind == Kind::Denied => Ok(None),
        Err(failure) => Err(Error::Told(failure)),
    }
}

/// A refusal that says no more than that nothing is there. That nobody can say for now is none: it stays a failure.
pub fn hidden(failure: Failure, instead: Error) -> Error {
    if failure.kind == Kind::Denied { instead } else { Error::Told(failure) }
}

/// Whether a department exists and works.
pub fn is_open(reading: &Reading, department: DepartmentId) -> bool {
    reading.snapshot.department(department).is_some_and(|department| !department.disabled)
}

/// Rows of one transaction of background work: fewer where each may cross many segments, for what a transaction tells
/// has a maximum.
pub async fn rows_max(app: &App, tenant: TenantId) -> Result<u64, Error> {
    let worker = &app.workers.sweep;
    let read = async |tx: &Tx| Ok::<_, Error>(store::segments::rows_max(tx, tenant).await?);
    Ok(app.store.database.read(worker, read).await?.min(app.config.batch_rows as u64))
}

/// Refuses when a layer is below write for the caller.
pub fn require_write(levels: &Levels, layer: Layer, field: &str) -> Result<(), Error> {
    if levels.writes(layer) { Ok(()) } else { Err(Error::FieldNotWritable(field.to_owned())) }
}
