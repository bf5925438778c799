//! The teller's side of the lease: since when nobody can act on an older revision, and which holders have fallen silent.
//! No I/O, like the holder's side.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use revisit_core::{Steady, id::TenantId};

/// A holder of leases, as its row in identity's database says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Holder {
    /// Unique among all that run.
    pub name: String,
    /// Drawn at start-up: another life of the name is another holder.
    pub epoch: String,
    /// Counts its renewals: an unchanged row is a silent holder, and a row never gives way to an earlier renewal, which
    /// may name fewer tenants than the holder answers for by now.
    pub number: i64,
    /// Each tenant that it serves, with the revision that it has acknowledged.
    pub tenants: Vec<(TenantId, i64)>,
}

/// Whether some holder that names the tenant has not acknowledged the revision.
#[must_use]
pub fn is_outstanding(holders: &[Holder], tenant: TenantId, revision: i64) -> bool {
    holders
        .iter()
        .flat_map(|holder| &holder.tenants)
        .any(|(named, acknowledged)| *named == tenant && *acknowledged < revision)
}

/// How it is known that a revision is effective.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Effective {
    /// Every holder has acknowledged it.
    Acknowledged,
    /// The leases of those that have not have run out.
    RunOut,
}

/// Finds out since when a revision is effective. Any replica of identity can: a read begun after the commit shows every
/// holder that could have missed it, and no lease outlives its life.
#[derive(Clone, Debug)]
pub struct Telling {
    tenant: TenantId,
    revision: i64,
    began: Steady,
    life: Duration,
}

impl Telling {
    /// Begins after the commit, at `began` of the teller's own boot-time clock. `life` is how long a lease may live after
    /// its renewal was sent, and the drift beside it.
    #[must_use]
    pub const fn begin(tenant: TenantId, revision: i64, began: Steady, life: Duration) -> Self {
        Self { tenant, revision, began, life }
    }

    /// Looks at the rows of a read that was begun after [`Telling::begin`]; nothing while somebody may still act on an
    /// older revision.
    #[must_use]
    pub fn look(&self, holders: &[Holder], now: Steady) -> Option<Effective> {
        if !is_outstanding(holders, self.tenant, self.revision) {
            return Some(Effective::Acknowledged);
        }
        (now.since(self.began) >= self.life).then_some(Effective::RunOut)
    }
}

/// What a replica of identity remembers of the holders' rows.
#[derive(Debug, Default)]
pub struct Silence {
    /// By name and epoch: the number, and since when it is the same.
    seen: HashMap<(String, String), (i64, Steady)>,
}

impl Silence {
    /// Looks at all rows and answers those that have not changed for `life` of this replica's own boot-time clock. A row
    /// is compared by its number, so what was renewed in between is never among them.
    pub fn look<'a>(&mut self, holders: &'a [Holder], now: Steady, life: Duration) -> Vec<&'a Holder> {
        let key = |holder: &Holder| (holder.name.clone(), holder.epoch.clone());
        let there: HashSet<_> = holders.iter().map(key).collect();
        self.seen.retain(|known, _| there.contains(known));
        let mut silent = Vec::new();
        for holder in holders {
            match self.seen.get(&key(holder)) {
                Some((number, since)) if *number == holder.number => {
                    if now.since(*since) >= life {
                        silent.push(holder);
                    }
                }
                Some(_) | None => {
                    self.seen.insert(key(holder), (holder.number, now));
                }
            }
        }
        silent
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn tenant(number: u128) -> TenantId {
        TenantId::from_uuid(Uuid::from_u128(number))
    }

    fn holder(number: i64, tenants: &[(TenantId, i64)]) -> Holder {
        Holder { name: "customer/1".to_owned(), epoch: "e".to_owned(), number, tenants: tenants.to_vec() }
    }

    fn at(millis: u64) -> Steady {
        Steady::from_boot(Duration::from_millis(millis))
    }

    #[test]
    fn a_revision_is_outstanding_while_one_replica_that_names_the_tenant_is_behind() {
        let holders = [holder(1, &[(tenant(1), 7), (tenant(2), 3)]), holder(2, &[(tenant(1), 8)])];
        assert!(is_outstanding(&holders, tenant(1), 8));
        assert!(!is_outstanding(&holders, tenant(1), 7));
        assert!(!is_outstanding(&holders, tenant(3), 9), "nobody names it, so nobody can act on it");
    }

    #[test]
    fn a_revision_is_told_when_all_have_acknowledged_it_or_no_lease_can_live() {
        let telling = Telling::begin(tenant(1), 8, at(100), Duration::from_millis(2_050));
        let behind = [holder(1, &[(tenant(1), 7)])];
        assert_eq!(telling.look(&behind, at(2_149)), None);
        assert_eq!(telling.look(&behind, at(2_150)), Some(Effective::RunOut));
        assert_eq!(telling.look(&[holder(2, &[(tenant(1), 8)])], at(101)), Some(Effective::Acknowledged));
        assert_eq!(telling.look(&[], at(101)), Some(Effective::Acknowledged));
    }

    #[test]
    fn only_a_row_that_stays_unchanged_for_the_whole_life_is_silent() {
        let life = Duration::from_secs(2);
        let mut silence = Silence::default();
        let (first, second) = ([holder(1, &[])], [holder(2, &[])]);
        assert!(silence.look(&first, at(0), life).is_empty());
        assert!(silence.look(&first, at(1_999), life).is_empty());
        assert!(silence.look(&second, at(2_000), life).is_empty(), "it was renewed");
        assert!(silence.look(&second, at(3_999), life).is_empty());
        assert_eq!(silence.look(&second, at(4_000), life), [&second[0]]);
    }
}
