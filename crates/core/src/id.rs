//! Typed ids: a 128-bit value that cannot be mistaken for the id of another thing.
//!
//! New ids are UUIDv7 (RFC 9562), so that keys made together lie together. Where the same fact must always yield
//! the same id (a task of one occurrence, say) the id is a 128-bit hash: see [`Id::derived`].

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    marker::PhantomData,
    str::FromStr,
    sync::{Arc, Mutex},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use crate::clock::Timestamp;

/// The id of a `K`. `K` is a marker: it is never built.
pub struct Id<K> {
    value: Uuid,
    kind: PhantomData<fn() -> K>,
}

/// Declares marker types and the id alias of each.
macro_rules! kinds {
    ($($(#[$doc:meta])* $kind:ident => $alias:ident;)*) => {
        /// Markers that tell ids apart.
        pub mod kind {
            $($(#[$doc])* #[derive(Debug)] pub enum $kind {})*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$kind>;)*
    };
}

kinds! {
    /// A company (主账号); every row belongs to exactly one.
    Tenant => TenantId;
    /// A user or a service account of one tenant.
    Subject => SubjectId;
    /// A node of a tenant's organisation tree.
    Department => DepartmentId;
    /// A named job with a role set, declared at a department.
    Position => PositionId;
    /// A named list of grant templates.
    Role => RoleId;
    /// One right of one holder.
    Grant => GrantId;
    /// One subtraction of rights.
    Guard => GuardId;
    /// A temporary collaboration group.
    Team => TeamId;
    /// A log-in: what a refresh token continues and a revocation ends.
    Session => SessionId;
    /// A customer of the tenant: a person or a company.
    Customer => CustomerId;
    /// A phone number, address or account by which a customer is reached.
    ContactPoint => ContactPointId;
    /// A field that the tenant has added to its customers.
    Field => FieldId;
    /// An order of a customer, recorded as a fact.
    Order => OrderId;
    /// A row of another system that identity keeps.
    ExternalRow => ExternalRowId;
    /// A saved customer filter that is evaluated live.
    Segment => SegmentId;
    /// One entry of a customer's timeline.
    TimelineEntry => TimelineEntryId;
    /// A persisted piece of long work: an import, an export, a bulk transfer, a hand-over.
    Job => JobId;
    /// A follow-up plan (回访计划).
    Plan => PlanId;
    /// One customer in one plan.
    Enrolment => EnrolmentId;
    /// A follow-up task: one planned contact.
    Task => TaskId;
    /// A work calendar.
    Calendar => CalendarId;
    /// A message template.
    Template => TemplateId;
    /// What one event asks to tell one recipient.
    Intent => IntentId;
    /// One planned channel step of an intent.
    Delivery => DeliveryId;
    /// One call to a provider.
    Attempt => AttemptId;
    /// A receiver of signed webhooks.
    Endpoint => EndpointId;
    /// An event of an outbox.
    Event => EventId;
}

impl<K> Id<K> {
    /// Wraps a stored value.
    #[must_use]
    pub const fn from_uuid(value: Uuid) -> Self {
        Self { value, kind: PhantomData }
    }

    /// The value as stored.
    #[must_use]
    pub const fn uuid(self) -> Uuid {
        self.value
    }

    /// The id of the thing that `parts` names: the first 128 bits of a BLAKE3 hash over length-prefixed parts, so
    /// that ("ab", "c") and ("a", "bc") differ. `context` names what is derived and must be unique per use.
    #[must_use]
    pub fn derived(context: &'static str, parts: &[&[u8]]) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key(context);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut value = [0; 16];
        value.copy_from_slice(&hasher.finalize().as_bytes()[..16]);
        Self::from_uuid(Uuid::from_bytes(value))
    }
}

impl<K> Clone for Id<K> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<K> Copy for Id<K> {}
impl<K> PartialEq for Id<K> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}
impl<K> Eq for Id<K> {}
impl<K> PartialOrd for Id<K> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}
impl<K> Ord for Id<K> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.value.cmp(&other.value)
    }
}
impl<K> Hash for Id<K> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.value.hash(state);
    }
}
impl<K> fmt::Debug for Id<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, formatter)
    }
}
impl<K> fmt::Display for Id<K> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.value, formatter)
    }
}
impl<K> FromStr for Id<K> {
    type Err = uuid::Error;

    /// Takes the hyphenated form only; the nil id is refused because it is what an empty wire field would become.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let value = Uuid::try_parse(text)?;
        if value.is_nil() || text.len() != uuid::fmt::Hyphenated::LENGTH {
            return Err(Uuid::parse_str("").err().unwrap_or_else(|| unreachable!("an empty text is no id")));
        }
        Ok(Self::from_uuid(value))
    }
}
impl<K> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}
impl<'de, K> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Uuid::deserialize(deserializer).map(Self::from_uuid)
    }
}
impl<K> From<Uuid> for Id<K> {
    fn from(value: Uuid) -> Self {
        Self::from_uuid(value)
    }
}
impl<K> From<Id<K>> for Uuid {
    fn from(id: Id<K>) -> Self {
        id.value
    }
}

/// The one source of new ids and random bytes; a seeded one makes a run repeatable.
#[derive(Clone, Debug)]
pub struct Ids(Source);

#[derive(Clone, Debug)]
enum Source {
    Random,
    Seeded(Arc<Mutex<StdRng>>),
}

impl Ids {
    /// Ids from the operating system's randomness: for everything that serves.
    #[must_use]
    pub const fn random() -> Self {
        Self(Source::Random)
    }

    /// Ids that repeat with the seed: for the demo and tests only, never where a secret is drawn.
    #[must_use]
    pub fn seeded(seed: u64) -> Self {
        Self(Source::Seeded(Arc::new(Mutex::new(StdRng::seed_from_u64(seed)))))
    }

    /// A new UUIDv7 stamped with `at`.
    #[must_use]
    pub fn next<K>(&self, at: Timestamp) -> Id<K> {
        let millis = u64::try_from(at.micros() / 1_000).unwrap_or(0);
        Id::from_uuid(uuid::Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid())
    }

    /// Random bytes, for secrets and nonces too unless the source is seeded.
    #[must_use]
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.0 {
            Source::Random => rand::rng().fill(&mut bytes[..]),
            // A poisoned lock only means that another thread panicked between two draws: the state is still valid.
            Source::Seeded(rng) => rng.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).fill(&mut bytes[..]),
        }
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_derived_id_depends_on_where_its_parts_end() {
        let one: TaskId = Id::derived("test", &[b"ab", b"c"]);
        let other: TaskId = Id::derived("test", &[b"a", b"bc"]);
        assert_ne!(one, other);
    }

    #[test]
    fn an_empty_nil_or_braced_text_is_no_id() {
        for text in ["", "00000000-0000-0000-0000-000000000000", "{0190a0a0-0000-7000-8000-000000000001}"] {
            assert!(text.parse::<TaskId>().is_err(), "{text}");
        }
        assert!("0190a0a0-0000-7000-8000-000000000001".parse::<TaskId>().is_ok());
    }

    #[test]
    fn seeded_ids_repeat() {
        let at = Timestamp::from_micros(1_700_000_000_000_000);
        let draw = || Ids::seeded(7).next::<kind::Task>(at);
        assert_eq!(draw(), draw());
    }
}
