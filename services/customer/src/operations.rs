//! What callers and workers can have done: each operation decides first, then moves rows in one transaction.

pub mod access;
pub mod batch_delete;
pub mod catalogue;
pub mod change;
pub mod consume;
pub mod customers;
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
pub mod widening;

use revisit_bootstrap::{Principal, Tx};
use revisit_core::{
    Failure, Kind,
    id::{CustomerId, DepartmentId, SubjectId, TenantId},
};
use revisit_permission::{Layer, Levels, Reading};

use crate::{
    App,
    domain::{Error, customer::Customer, field::Field, normal::Region},
    store,
};

/// Tries of a change that loses its race against another, in all.
pub const TRIES_MAX: u32 = 3;

/// A customer on its way out: with what the caller gets of each layer, and which values may leave in clear.
pub struct View {
    pub customer: Customer,
    pub levels: Levels,
    pub clear: Clear,
    /// The tenant's fields: names and layers of the values.
    pub fields: std::sync::Arc<Vec<Field>>,
}

/// Which sensitive values the caller has asked for in clear.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Clear {
    pub contact_points: bool,
    pub all_fields: bool,
    pub fields: Vec<String>,
}

impl Clear {
    pub fn field(&self, key: &str) -> bool {
        self.all_fields || self.fields.iter().any(|wanted| wanted == key)
    }
}

impl View {
    pub fn new(customer: Customer, levels: Levels, fields: &std::sync::Arc<Vec<Field>>) -> Self {
        Self { customer, levels, clear: Clear::default(), fields: std::sync::Arc::clone(fields) }
    }

    /// A customer that the caller may not view.
    pub fn unseen(tenant: TenantId, id: CustomerId, version: i64) -> Self {
        Self::new(Customer::unseen(tenant, id, version), Levels::HIDDEN, &std::sync::Arc::default())
    }

    pub fn with_clear(mut self, clear: &Clear) -> Self {
        self.clear = clear.clone();
        self
    }

    /// Names of the sensitive fields whose values leave in clear: what the audit is told.
    pub fn disclosed(&self) -> Vec<String> {
        if !self.levels.reads(Layer::Sensitive) {
            return Vec::new();
        }
        let points = (self.clear.contact_points && !self.customer.contact_points.is_empty())
            .then(|| "contact_points".to_owned());
        let fields = self.fields.iter().filter(|field| {
            field.layer == Layer::Sensitive && self.clear.field(&field.key) && self.customer.field(field.id).is_some()
        });
        points.into_iter().chain(fields.map(|field| format!("fields.{}", field.key))).collect()
    }
}

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
