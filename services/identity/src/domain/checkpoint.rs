//! Checkpoints of the audit chain: where it stood, and how far each place had come that entries come from. They are
//! signed and kept by every service.

use revisit_core::{Timestamp, id::TenantId};

use super::chain::Origin;

/// A checkpoint is made at each entry whose number is a multiple, so that none covers more.
pub const ENTRIES_MAX: i64 = 1_000;

/// How far one place had come.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reach {
    pub origin: Origin,
    /// No event at or below it was missing.
    pub position: i64,
    /// Entries of the company from there since the former checkpoint.
    pub entries: i64,
}

/// Where a chain stood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// Counts from 1 without gaps.
    pub number: i64,
    /// The last entry that it covers.
    pub entry_number: i64,
    pub hash: Vec<u8>,
    pub time: Timestamp,
    pub reaches: Vec<Reach>,
    pub kid: String,
    pub signature: Vec<u8>,
}

impl Checkpoint {
    /// What is signed: all but the signature.
    #[must_use]
    pub fn bytes(&self, tenant: TenantId) -> Vec<u8> {
        let mut bytes = b"revisit identity audit checkpoint".to_vec();
        let mut add = |part: &[u8]| {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part);
        };
        add(tenant.uuid().as_bytes());
        for number in [self.number, self.entry_number, self.time.micros()] {
            add(&number.to_be_bytes());
        }
        add(&self.hash);
        add(self.kid.as_bytes());
        for reach in &self.reaches {
            add(reach.origin.source.as_bytes());
            add(reach.origin.incarnation.as_bytes());
            add(&reach.origin.shard.to_be_bytes());
            add(&reach.position.to_be_bytes());
            add(&reach.entries.to_be_bytes());
        }
        bytes
    }
}
