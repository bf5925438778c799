//! Orders of a customer: facts for who may see them, amounts for who reads amounts.

use revisit_core::{
    Timestamp,
    id::{CustomerId, OrderId, SubjectId},
};
use revisit_permission::{Layer, Mask, Maskable, Veiled};

/// An order; its description is in clear in memory only, and veiled there.
#[derive(Clone)]
pub struct Order {
    pub id: OrderId,
    pub customer: CustomerId,
    pub external_id: Option<String>,
    pub amount: Veiled<Amount>,
    pub placed_at: Timestamp,
    pub description: Veiled<String>,
    pub cancelled_at: Option<Timestamp>,
    pub recorded_by: SubjectId,
}

/// What an order comes to.
#[derive(Clone)]
pub struct Amount {
    pub minor_units: i64,
    pub currency: String,
}

impl Amount {
    pub const fn veiled(minor_units: i64, currency: String) -> Veiled<Self> {
        Veiled::new(Layer::Financial, Self { minor_units, currency })
    }

    /// As the timeline says it.
    pub fn text(&self) -> String {
        format!("{}.{:02} {}", self.minor_units / 100, self.minor_units % 100, self.currency)
    }
}

impl Maskable for Amount {
    type Masked = String;

    fn masked(&self) -> String {
        Mask::Whole.apply(&self.currency)
    }
}

impl Order {
    /// What was bought belongs to what was paid for it.
    pub const fn described(text: String) -> Veiled<String> {
        Veiled::new(Layer::Financial, text)
    }
}
