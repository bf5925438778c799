//! The audit chain: each entry's hash covers the one before, so that an edited, removed or reordered entry shows; and
//! each is signed, so that who writes the rest of the chain anew without the key is found at the first entry.

use std::collections::BTreeSet;

use revisit_core::{Timestamp, id::TenantId};
use uuid::Uuid;

/// One shard of the outbox of a service, in one life of its database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Origin {
    pub source: String,
    pub incarnation: Uuid,
    pub shard: u32,
}

/// What an entry is found by. All of it follows from the entry's bytes.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Index {
    pub subject: Option<Uuid>,
    pub action: String,
    /// The number of the outcome in the contract.
    pub outcome: i32,
    pub time: Timestamp,
    pub rows: BTreeSet<Uuid>,
    pub fields: BTreeSet<String>,
}

/// An entry in its place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    pub number: i64,
    pub origin: Origin,
    /// Where it lies in the shard.
    pub position: i64,
    pub entry: Vec<u8>,
    pub index: Index,
    pub hash: Vec<u8>,
    /// Of the number and the hash.
    pub signature: Vec<u8>,
}

/// What the next link is chained to. The first one follows an empty one.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Head {
    pub number: i64,
    pub hash: Vec<u8>,
    pub signature: Vec<u8>,
}

impl Head {
    /// The hash of an entry that follows. It covers the signature before, too: an edited one shows at the next entry.
    #[must_use]
    pub fn hash_next(&self, tenant: TenantId, (origin, position): (&Origin, i64), entry: &[u8]) -> Vec<u8> {
        let mut hasher = blake3::Hasher::new_derive_key("revisit identity audit chain");
        let tenant = tenant.uuid();
        let parts: [&[u8]; 9] = [
            &self.hash,
            &self.signature,
            tenant.as_bytes(),
            &(self.number + 1).to_be_bytes(),
            origin.source.as_bytes(),
            origin.incarnation.as_bytes(),
            &origin.shard.to_be_bytes(),
            &position.to_be_bytes(),
            entry,
        ];
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        hasher.finalize().as_bytes().to_vec()
    }
}

impl Link {
    /// What the next one is chained to.
    #[must_use]
    pub fn head(&self) -> Head {
        Head { number: self.number, hash: self.hash.clone(), signature: self.signature.clone() }
    }
}

/// Where a chain ends, signed: what is cut off behind leaves a whole chain that ends too early.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct End {
    pub number: i64,
    pub kid: String,
    pub signature: Vec<u8>,
}

/// What is signed of each entry.
#[must_use]
pub fn entry_bytes(tenant: TenantId, number: i64, hash: &[u8]) -> Vec<u8> {
    [b"revisit identity audit entry".as_slice(), tenant.uuid().as_bytes(), &number.to_be_bytes(), hash].concat()
}

/// What is signed at the end of a chain: not what is signed of an entry, or any entry could be made the last one.
#[must_use]
pub fn end_bytes(tenant: TenantId, number: i64, hash: &[u8]) -> Vec<u8> {
    [b"revisit identity audit end".as_slice(), tenant.uuid().as_bytes(), &number.to_be_bytes(), hash].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    #[test]
    fn a_hash_is_of_one_company_one_place_and_what_stands_before() {
        let head = Head { number: 3, hash: vec![1], signature: vec![2] };
        let place = |source: &str, incarnation, shard| Origin {
            source: source.to_owned(),
            incarnation: Uuid::from_u128(incarnation),
            shard,
        };
        let here = place("identity", 9, 1);
        let others = [
            head.hash_next(tenant(2), (&here, 5), b"entry"),
            head.hash_next(tenant(1), (&place("customer", 9, 1), 5), b"entry"),
            head.hash_next(tenant(1), (&place("identity", 8, 1), 5), b"entry"),
            head.hash_next(tenant(1), (&place("identity", 9, 2), 5), b"entry"),
            head.hash_next(tenant(1), (&here, 6), b"entry"),
            head.hash_next(tenant(1), (&here, 5), b"another"),
            Head { number: 4, ..head.clone() }.hash_next(tenant(1), (&here, 5), b"entry"),
            Head { hash: vec![7], ..head.clone() }.hash_next(tenant(1), (&here, 5), b"entry"),
            Head { signature: vec![7], ..head.clone() }.hash_next(tenant(1), (&here, 5), b"entry"),
        ];
        let hash = head.hash_next(tenant(1), (&here, 5), b"entry");
        for (at, other) in others.iter().enumerate() {
            assert_ne!(*other, hash, "the {at}th of them");
        }
    }
}
