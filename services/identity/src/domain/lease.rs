//! Leases: which replicas may still act on an older revision, and which have fallen silent for good.

use std::{collections::HashMap, time::Duration};

use revisit_core::{Steady, id::TenantId};
use uuid::Uuid;

/// Tenants of one renewal.
pub const TENANTS_MAX: usize = 10_000;
/// Bytes of one packed tenant: id and revision.
const PACKED: usize = 16 + 8;

/// A replica, as its row says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    pub name: String,
    pub epoch: String,
    /// Drawn anew with each renewal, so that an unchanged row is a silent replica.
    pub beat: i64,
    /// Each tenant that it serves, with the revision that it has acknowledged.
    pub tenants: Vec<(TenantId, i64)>,
}

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

/// Whether some replica that names the tenant has not acknowledged the revision.
#[must_use]
pub fn is_outstanding(holders: &[Holder], tenant: TenantId, revision: i64) -> bool {
    holders
        .iter()
        .flat_map(|holder| &holder.tenants)
        .any(|(named, acknowledged)| *named == tenant && *acknowledged < revision)
}

/// What this replica remembers of the others' rows.
#[derive(Debug, Default)]
pub struct Silence {
    seen: HashMap<String, (String, i64, Steady)>,
}

impl Silence {
    /// Looks at all rows and answers those that have not changed for `bound` of this replica's own steady clock. A row
    /// is compared by epoch and beat, so what was renewed in between is never among them.
    pub fn look<'a>(&mut self, holders: &'a [Holder], now: Steady, bound: Duration) -> Vec<&'a Holder> {
        self.seen.retain(|name, _| holders.iter().any(|holder| holder.name == *name));
        let mut silent = Vec::new();
        for holder in holders {
            match self.seen.get(&holder.name) {
                Some((epoch, beat, since)) if *epoch == holder.epoch && *beat == holder.beat => {
                    if now.since(*since) >= bound {
                        silent.push(holder);
                    }
                }
                Some(_) | None => {
                    self.seen.insert(holder.name.clone(), (holder.epoch.clone(), holder.beat, now));
                }
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn holder(beat: i64, tenants: &[(TenantId, i64)]) -> Holder {
        Holder { name: "customer/1".to_owned(), epoch: "e".to_owned(), beat, tenants: tenants.to_vec() }
    }

    #[test]
    fn a_revision_is_outstanding_while_one_replica_that_names_the_tenant_is_behind() {
        let holders = [holder(1, &[(tenant(1), 7), (tenant(2), 3)]), holder(2, &[(tenant(1), 8)])];
        assert!(is_outstanding(&holders, tenant(1), 8));
        assert!(!is_outstanding(&holders, tenant(1), 7));
        assert!(!is_outstanding(&holders, tenant(3), 9), "nobody names it, so nobody can act on it");
    }

    #[test]
    fn packed_tenants_are_unpacked_alike() {
        let tenants = vec![(tenant(1), 7), (tenant(2), i64::MAX)];
        assert_eq!(unpack(&pack(&tenants)), tenants);
    }

    #[test]
    fn only_a_row_that_stays_unchanged_for_the_whole_bound_is_silent() {
        let bound = Duration::from_secs(2);
        let at = |millis| Steady::from_boot(Duration::from_millis(millis));
        let mut silence = Silence::default();
        let (first, second) = ([holder(1, &[])], [holder(2, &[])]);
        assert!(silence.look(&first, at(0), bound).is_empty());
        assert!(silence.look(&first, at(1_999), bound).is_empty());
        assert!(silence.look(&second, at(2_000), bound).is_empty(), "it was renewed");
        assert!(silence.look(&second, at(3_999), bound).is_empty());
        assert_eq!(silence.look(&second, at(4_000), bound), [&second[0]]);
    }
}
