//! The tenants of a lease row, as they are stored.

use revisit_core::id::TenantId;
use uuid::Uuid;

/// Tenants of one renewal.
pub const TENANTS_MAX: usize = 10_000;
/// Bytes of one packed tenant: id and revision.
const PACKED: usize = 16 + 8;

/// Packs tenants as they are stored: a replica renews several times a second, so the row is small.
#[must_use]
pub fn pack(tenants: &[(TenantId, i64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(tenants.len() * PACKED);
    for (tenant, revision) in tenants {
        bytes.extend_from_slice(tenant.uuid().as_bytes());
        bytes.extend_from_slice(&revision.to_be_bytes());
    }
    bytes
}

/// The reverse of [`pack`]; a cut-off end is left out.
#[must_use]
pub fn unpack(bytes: &[u8]) -> Vec<(TenantId, i64)> {
    let (packed, _) = bytes.as_chunks::<PACKED>();
    packed
        .iter()
        .filter_map(|part| {
            let (id, revision) = part.split_at(16);
            Some((TenantId::from_uuid(Uuid::from_slice(id).ok()?), i64::from_be_bytes(revision.try_into().ok()?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_tenants_are_unpacked_alike() {
        let tenant = |number: u128| TenantId::from_uuid(Uuid::from_u128(number));
        let tenants = vec![(tenant(1), 7), (tenant(2), i64::MAX)];
        assert_eq!(unpack(&pack(&tenants)), tenants);
    }
}
