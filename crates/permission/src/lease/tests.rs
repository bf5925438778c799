//! The lease to the instant: what may be answered, and when nothing may be.

use std::time::Duration;

use revisit_core::ManualClock;

use super::*;
use crate::fixture::{NOW, company, tenant};

const TTL: Duration = Duration::from_secs(2);

struct Replica {
    clock: ManualClock,
    leases: Leases,
}

impl Replica {
    fn new() -> Self {
        let clock = ManualClock::frozen(NOW);
        Self { leases: Leases::new(clock.clock()), clock }
    }

    fn deadline(&self) -> Steady {
        self.clock.clock().steady() + TTL
    }

    fn renew(&self, revision: i64) {
        self.leases.renewed(tenant(), self.deadline(), revision, (NOW, self.clock.clock().steady()));
    }

    fn load(&self, revision: i64) {
        self.leases.load(tenant(), Arc::new(Snapshot::compile(&company(), revision)));
    }

    fn reads(&self) -> Option<i64> {
        self.leases.read(tenant()).ok().map(|reading| reading.snapshot.revision)
    }
}

#[test]
fn nothing_is_answered_before_both_a_renewal_and_its_revision_have_come() {
    let replica = Replica::new();
    assert_eq!(replica.reads(), None);
    replica.renew(3);
    assert_eq!(replica.reads(), None);
    replica.load(2);
    assert_eq!(replica.reads(), None, "an older revision does not earn the lease");
    replica.load(3);
    assert_eq!(replica.reads(), Some(3));
    let other = Replica::new();
    other.load(3);
    assert_eq!(other.reads(), None, "a snapshot without a lease is not answered from");
}

#[test]
fn at_its_deadline_a_lease_is_over_to_the_instant() {
    let replica = Replica::new();
    replica.load(3);
    replica.renew(3);
    replica.clock.advance_steady(TTL - Duration::from_micros(1));
    assert_eq!(replica.reads(), Some(3));
    replica.clock.advance_steady(Duration::from_micros(1));
    assert_eq!(replica.reads(), None);
    replica.renew(3);
    assert_eq!(replica.reads(), Some(3));
}

#[test]
fn a_renewal_with_a_newer_revision_moves_the_deadline_only_when_that_is_loaded() {
    let replica = Replica::new();
    replica.load(3);
    replica.renew(3);
    replica.clock.advance_steady(TTL / 2);
    replica.renew(4);
    replica.clock.advance_steady(TTL / 2);
    assert_eq!(replica.reads(), None, "the old deadline stands while revision 4 is missing");
    replica.load(4);
    assert_eq!(replica.reads(), Some(4));
}

#[test]
fn a_late_answer_never_moves_the_deadline_back_and_an_old_snapshot_replaces_nothing() {
    let replica = Replica::new();
    replica.load(3);
    let early = replica.deadline();
    replica.clock.advance_steady(TTL / 2);
    replica.renew(3);
    replica.leases.renewed(tenant(), early, 3, (NOW, replica.clock.clock().steady()));
    replica.load(2);
    replica.clock.advance_steady(TTL / 2);
    assert_eq!(replica.reads(), Some(3));
}

#[test]
fn time_is_the_databases_and_goes_on_with_the_boot_clock_only() {
    let replica = Replica::new();
    replica.load(3);
    replica.renew(3);
    replica.clock.set_wall(Timestamp::from_seconds(5));
    replica.clock.advance_steady(TTL / 2);
    let reading = replica.leases.read(tenant()).expect("the lease holds");
    assert_eq!(reading.now, NOW + TTL / 2);
    assert_eq!(reading.until, NOW + TTL);
}

#[test]
fn time_is_counted_from_the_sending_of_the_renewal() {
    let replica = Replica::new();
    replica.load(3);
    let sent = replica.clock.clock().steady();
    replica.clock.advance_steady(TTL / 4);
    replica.leases.renewed(tenant(), sent + TTL, 3, (NOW, sent));
    assert_eq!(replica.leases.read(tenant()).expect("the lease holds").now, NOW + TTL / 4);
}

#[test]
fn asking_for_an_unknown_tenant_names_it_for_the_next_renewal_and_wakes_the_client() {
    let replica = Replica::new();
    let mut named = replica.leases.named();
    assert!(replica.leases.read(tenant()).is_err());
    assert!(named.has_changed().expect("the leases live"));
    named.mark_unchanged();
    assert_eq!(replica.leases.tenants(), [(tenant(), 0)]);
    replica.load(3);
    assert_eq!(replica.leases.tenants(), [(tenant(), 3)]);
    assert!(!named.has_changed().expect("the leases live"));
    replica.leases.forget(tenant());
    assert_eq!(replica.leases.tenants(), []);
}

#[tokio::test]
async fn who_waits_for_a_revision_is_woken_when_it_is_loaded() {
    let replica = Replica::new();
    let mut revision = replica.leases.revision(tenant());
    let waiting = tokio::spawn(async move { revision.wait_for(|loaded| *loaded >= 4).await.map(|loaded| *loaded) });
    replica.load(3);
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    replica.load(4);
    assert_eq!(waiting.await.expect("the task ends").expect("the tenant is held"), 4);
}
