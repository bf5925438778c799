//! Events between the services: the outbox that commits them with the state, the relay and the bus that carry them,
//! and the inbox that applies each once.
//!
//! Nothing is ever published outside an outbox, and the database is the truth: a bus that has lost everything is filled
//! again by the relay, because rows stay until every named consumer has acknowledged them.

pub mod bus;
pub mod draft;
pub mod envelope;
pub mod inbox;
pub mod outbox;
pub mod relay;
pub mod trace;
pub mod watermark;

use revisit_core::id::TenantId;
use uuid::Uuid;

pub use bus::{Bus, BusError, MemoryBus, Published, Stream, Subscription};
pub use draft::{Draft, Floor, kind_of};
pub use envelope::{Envelope, EnvelopeExt, Malformed};
pub use outbox::{Appended, Outbox, migrations};
pub use relay::Relay;
pub use watermark::{Passage, Watermark};

/// Logical shards of every outbox. A stored event names its shard, so the number can never change.
pub const SHARDS: u32 = 64;

/// The shard of everything that concerns `key` of `tenant`: the customer if there is one, else the subject itself.
#[must_use]
pub fn shard(tenant: TenantId, key: Uuid) -> u32 {
    let mut hasher = blake3::Hasher::new();
    hasher.update(tenant.uuid().as_bytes());
    hasher.update(key.as_bytes());
    u32::from(hasher.finalize().as_bytes()[0]) % SHARDS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shard_never_changes_because_stored_rows_name_it() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let shards: Vec<u32> = (1..=4).map(|key| shard(tenant, Uuid::from_u128(key))).collect();
        assert_eq!(shards, [54, 7, 23, 49]);
    }

    #[test]
    fn keys_spread_over_all_shards() {
        let tenant = TenantId::from_uuid(Uuid::from_u128(1));
        let used: std::collections::BTreeSet<u32> = (0..2_000).map(|key| shard(tenant, Uuid::from_u128(key))).collect();
        assert_eq!(used.len(), SHARDS as usize);
    }
}
