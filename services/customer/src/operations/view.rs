//! A customer on its way out: what its reader gets of each layer, and no way to the rest.

use std::sync::Arc;

use revisit_core::id::{CustomerId, TenantId};
use revisit_permission::{Clarity, Layer, Levels, Purpose, Row, Shown, Veiled};

use crate::domain::{
    Error,
    contact::{ContactPoint, ContactValue},
    customer::Customer,
    field::{Field, Value},
};

/// A customer under the levels of one reader. Its facts are veiled as a whole, its values each for itself.
pub struct View {
    customer: Veiled<Customer>,
    pub levels: Levels,
    pub clear: Clear,
    /// The tenant's fields: names and layers of the values.
    pub fields: Arc<Vec<Field>>,
}

/// Which sensitive values the caller has asked for in clear.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Clear {
    pub contact_points: bool,
    pub all_fields: bool,
    pub fields: Vec<String>,
}

impl Clear {
    /// Refuses names of fields that the company does not have: an answer without them would look like one without values.
    pub fn require_known(&self, fields: &[Field]) -> Result<(), Error> {
        let known = |key: &String| fields.iter().any(|field| field.key == *key);
        if self.fields.iter().all(known) {
            Ok(())
        } else {
            Err(Error::invalid("read_mask", "names a field that the company does not have"))
        }
    }

    fn of_field(&self, key: &str) -> Clarity {
        asked(self.all_fields || self.fields.iter().any(|wanted| wanted == key))
    }

    fn of_contact_points(&self) -> Clarity {
        asked(self.contact_points)
    }
}

const fn asked(named: bool) -> Clarity {
    if named { Clarity::Clear } else { Clarity::Usual }
}

impl View {
    pub fn new(customer: Customer, levels: Levels, fields: &Arc<Vec<Field>>) -> Self {
        let customer = Veiled::new(Layer::Basic, customer);
        Self { customer, levels, clear: Clear::default(), fields: Arc::clone(fields) }
    }

    /// A customer that the caller may not view.
    pub fn unseen(tenant: TenantId, id: CustomerId, version: i64) -> Self {
        Self::new(Customer::unseen(tenant, id, version), Levels::HIDDEN, &Arc::default())
    }

    pub fn with_clear(mut self, clear: &Clear) -> Self {
        self.clear = clear.clone();
        self
    }

    /// Who sees the row at all has its id.
    pub fn id(&self) -> CustomerId {
        self.customer.lift(Purpose::Part).id
    }

    pub fn version(&self) -> i64 {
        self.customer.lift(Purpose::Part).version
    }

    /// The version on the wire.
    pub fn etag(&self) -> String {
        self.version().to_string()
    }

    /// What policy may look at.
    pub fn row(&self) -> Row {
        self.customer.lift(Purpose::Judge).row()
    }

    /// The facts of the basic layer.
    pub fn basic(&self) -> Shown<'_, Customer> {
        self.levels.show(&self.customer, Clarity::Usual)
    }

    /// Contact points, each with what is shown of its value; none of which nothing is shown.
    pub fn contact_points(&self) -> impl Iterator<Item = (&ContactPoint, Shown<'_, ContactValue>)> {
        let points = self.customer.lift(Purpose::Part).contact_points.iter();
        let points = points.map(|point| (point, self.levels.show(&point.value, self.clear.of_contact_points())));
        points.filter(|(_, shown)| !matches!(shown, Shown::Hidden))
    }

    /// What is shown of a field's value.
    pub fn value(&self, field: &Field) -> Shown<'_, Value> {
        match self.customer.lift(Purpose::Part).field(field.id) {
            Some(value) => self.levels.show(value, self.clear.of_field(&field.key)),
            None => Shown::Hidden,
        }
    }

    /// Why the customer has its grade.
    pub fn grade_reason(&self) -> Option<&String> {
        let reason = self.customer.lift(Purpose::Part).grade_reason.as_ref()?;
        self.levels.show(reason, Clarity::Usual).clear()
    }

    /// Names of the sensitive fields whose values leave in clear: what the audit is told.
    pub fn disclosed(&self) -> Vec<String> {
        let mut points = self.contact_points();
        let points = points.any(|(_, shown)| shown.clear().is_some()).then(|| "contact_points".to_owned());
        let fields = self.fields.iter().filter(|field| field.layer == Layer::Sensitive);
        let fields = fields.filter(|field| self.value(field).clear().is_some());
        points.into_iter().chain(fields.map(|field| format!("fields.{}", field.key))).collect()
    }
}
