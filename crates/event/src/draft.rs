//! What a service says when it emits an event; the outbox adds identity, time and place.

use prost::Name;
use revisit_core::id::TenantId;
use uuid::Uuid;

use crate::trace;

/// An event that has not been appended yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// Whose event it is.
    pub tenant: TenantId,
    /// What it is about.
    pub subject: Uuid,
    /// What is hashed to the shard: the customer if there is one, else the subject.
    pub key: Uuid,
    /// Version of the subject after the change.
    pub sequence: i64,
    /// Full name of the message, last part in snake case.
    pub kind: String,
    /// The encoded message: basic-layer values only.
    pub data: Vec<u8>,
    /// W3C trace context of the span in which the draft was made; empty when there is none.
    pub traceparent: String,
    /// What the row says about the shard's floor; only the follow-up engine sets it.
    pub floor: Floor,
    /// The least `fire_at` that the transaction planted; only the follow-up engine sets it.
    pub planted: Option<i64>,
}

/// The floor of a row: a `fire_at` below which the shard has no timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Floor {
    /// The lesser of the predecessor's floor and what this row planted; none when the predecessor has none.
    Inherit,
    /// What a fire transaction has found, lowered by all that was planted after the position it had read.
    Set {
        /// The least of its last claimed key, the least due key that it skipped and what it planted.
        floor: i64,
        /// The newest position of the shard when it read the floor.
        read_at: i64,
    },
}

impl Draft {
    /// The event that says `message` about `subject`.
    #[must_use]
    pub fn new<M: Name>(tenant: TenantId, subject: Uuid, sequence: i64, message: &M) -> Self {
        Self {
            tenant,
            subject,
            key: subject,
            sequence,
            kind: kind_of::<M>(),
            data: message.encode_to_vec(),
            traceparent: trace::traceparent(),
            floor: Floor::Inherit,
            planted: None,
        }
    }

    /// Puts the event into the shard of `key`, so that it stays in order with the other events of that key.
    #[must_use]
    pub fn keyed(mut self, key: Uuid) -> Self {
        self.key = key;
        self
    }

    /// Says that the transaction planted a timer as early as `fire_at`.
    #[must_use]
    pub fn planted(mut self, fire_at: i64) -> Self {
        self.planted = Some(fire_at);
        self
    }

    /// Says what a fire transaction found, having read the floor at position `read_at`.
    #[must_use]
    pub fn floor(mut self, floor: i64, read_at: i64) -> Self {
        self.floor = Floor::Set { floor, read_at };
        self
    }
}

/// The event type of a message: its full name with the last part in snake case, `revisit.customer.v1.owner_changed`.
#[must_use]
pub fn kind_of<M: Name>() -> String {
    let full = M::full_name();
    let (package, name) = full.rsplit_once('.').unwrap_or(("", &full));
    let mut kind = String::with_capacity(full.len() + 8);
    if !package.is_empty() {
        kind.push_str(package);
        kind.push('.');
    }
    let mut before = None;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before.is_some_and(|before: char| !before.is_ascii_uppercase()) {
            kind.push('_');
        }
        kind.push(letter.to_ascii_lowercase());
        before = Some(letter);
    }
    kind
}

#[cfg(test)]
mod tests {
    use revisit_proto::{customer::v1::OwnerChanged, event::v1::Envelope};

    use super::*;

    #[test]
    fn a_kind_is_the_full_name_with_its_last_part_in_snake_case() {
        assert_eq!(kind_of::<OwnerChanged>(), "revisit.customer.v1.owner_changed");
        assert_eq!(kind_of::<Envelope>(), "revisit.event.v1.envelope");
    }

    #[test]
    fn a_draft_is_keyed_by_its_subject_unless_said_otherwise() {
        let (tenant, subject, key) = (TenantId::from_uuid(Uuid::from_u128(1)), Uuid::from_u128(2), Uuid::from_u128(3));
        let draft = Draft::new(tenant, subject, 7, &OwnerChanged::default());
        assert_eq!((draft.key, draft.sequence), (subject, 7));
        assert_eq!(draft.keyed(key).key, key);
    }
}
