//! The lease client against an identity that forgets, stops and comes back.

use std::time::Duration;

use revisit_core::{Kind, Timestamp};
use revisit_permission::Change;
use revisit_proto::customer::v1::timeline_client::TimelineClient;
use revisit_tests::fake_identity::unknown_id;
use tonic::{Code, metadata::MetadataValue};

use super::support::{World, note, reason, with_token};

/// Longer than a lease of the tests that wait for its end.
const PATIENCE: Duration = Duration::from_secs(10);

fn harmless() -> Vec<Change> {
    vec![Change::SessionRevoked { session: unknown_id(), until: Timestamp::MAX }]
}

#[tokio::test]
async fn a_tenant_is_named_by_a_renewal_before_its_state_is_loaded() {
    let world = World::start().await;
    world.note("").await.expect("the tenant is loaded on demand");
    assert_eq!(world.identity.state().snapshots, [(1, true)]);
}

#[tokio::test]
async fn past_its_deadline_every_call_is_unavailable_and_comes_back_with_identity() {
    let world = World::start().await;
    world.identity.state().ttl_millis = 500;
    world.note("").await.expect("the lease holds");
    world.identity.state().away = true;
    let expired = async {
        loop {
            if let Err(status) = world.note("").await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(PATIENCE, expired).await.expect("the lease ends");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "LEASE_EXPIRED"));
    world.identity.state().away = false;
    world.note("").await.expect("the lease is renewed while the call waits");
}

#[tokio::test]
async fn a_deadline_does_not_move_before_the_new_revision_is_loaded() {
    let world = World::start().await;
    world.identity.state().ttl_millis = 500;
    world.note("").await.expect("the lease holds");
    {
        let mut state = world.identity.state();
        (state.silent, state.pushes) = (true, false);
    }
    world.identity.commit(harmless());
    let expired = async {
        while world.running.runtime.leases.read(world.identity.tenant).is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, expired).await.expect("renewals alone do not keep it alive");
    world.identity.state().silent = false;
    world.note("").await.expect("it is loaded while the call waits");
}

#[tokio::test]
async fn a_new_revision_is_acknowledged_at_once() {
    let world = World::start().await;
    world.identity.state().ttl_millis = 10_000;
    world.note("").await.expect("loaded");
    let revision = world.identity.commit(harmless());
    let acknowledged = async {
        while !world.identity.state().holders.values().any(|(_, named)| *named == Some(revision)) {
            tokio::task::yield_now().await;
        }
    };
    // A quarter of the time to live would be 2.5 s.
    tokio::time::timeout(Duration::from_secs(2), acknowledged).await.expect("the push hastens it");
}

/// Waits until a revision is loaded.
async fn loaded(world: &World, revision: i64) {
    let mut loaded = world.running.runtime.leases.revision(world.identity.tenant);
    let reached = loaded.wait_for(|loaded| *loaded >= revision);
    tokio::time::timeout(PATIENCE, reached).await.expect("it is loaded").expect("the tenant is held");
}

#[tokio::test]
async fn a_revision_is_loaded_from_its_push_and_one_that_leaves_a_gap_is_asked_for() {
    let world = World::start().await;
    // No renewal comes to help.
    world.identity.state().ttl_millis = 600_000;
    world.note("").await.expect("loaded");
    world.identity.state().silent = true;
    let revision = world.identity.commit(harmless());
    loaded(&world, revision).await;
    {
        let mut state = world.identity.state();
        (state.silent, state.pushes) = (false, false);
    }
    world.identity.commit(harmless());
    world.identity.state().pushes = true;
    let revision = world.identity.commit(harmless());
    loaded(&world, revision).await;
    let reading = world.running.runtime.leases.read(world.identity.tenant).expect("the lease holds");
    let ended = reading.snapshot.facts().changes();
    let ended = ended.iter().filter(|change| matches!(change, Change::SessionRevoked { .. })).count();
    assert_eq!(ended, 3, "nothing is left out on the way");
}

#[tokio::test]
async fn what_another_incarnation_pushes_is_not_applied() {
    let world = World::start().await;
    world.identity.state().ttl_millis = 600_000;
    world.note("").await.expect("loaded");
    "second".clone_into(&mut world.identity.state().incarnation);
    let foreign = world.identity.commit(harmless());
    "first".clone_into(&mut world.identity.state().incarnation);
    let own = vec![Change::SessionRevoked { session: unknown_id(), until: Timestamp::from_seconds(1) }];
    {
        // What the first incarnation has in its place.
        let mut state = world.identity.state();
        state.log.pop();
    }
    world.identity.commit(own);
    loaded(&world, foreign).await;
    let reading = world.running.runtime.leases.read(world.identity.tenant).expect("the lease holds");
    let kept = reading.snapshot.facts().changes();
    let forever = |change: &Change| matches!(change, Change::SessionRevoked { until: Timestamp::MAX, .. });
    assert!(!kept.iter().any(forever), "{kept:?}");
}

#[tokio::test]
async fn a_revision_token_makes_a_call_wait_for_its_revision() {
    let world = World::start().await;
    world.note("").await.expect("loaded");
    world.identity.state().pushes = false;
    let tenant = world.identity.tenant;
    let call = async |token: String| {
        let mut request = with_token(note(""), &world.identity.token());
        request.metadata_mut().insert("x-revisit-at-least", MetadataValue::try_from(token).expect("ASCII"));
        TimelineClient::new(world.channel()).add_note(request).await
    };
    let revision = world.identity.commit(harmless());
    call(world.identity.revision_token(tenant, revision)).await.expect("it is loaded meanwhile");
    let reading = world.running.runtime.leases.read(tenant).expect("the lease holds");
    assert_eq!(reading.snapshot.revision, revision);
    let status = call(world.identity.revision_token(tenant, revision + 1)).await.expect_err("there is none");
    assert_eq!(reason(&status), "LEASE_EXPIRED");
    for forged in [
        "nonsense".to_owned(),
        world.identity.revision_token(unknown_id(), 1),
        revisit_tests::fake_identity::FakeIdentity::new().revision_token(tenant, 1),
    ] {
        assert_eq!(call(forged).await.expect_err("it is not good").code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn an_ended_session_is_forgotten_once_no_token_of_it_can_be_good() {
    let world = World::start().await;
    world.note("").await.expect("loaded");
    let past = vec![Change::SessionRevoked { session: unknown_id(), until: Timestamp::from_seconds(1) }];
    world.identity.commit(past);
    let revision = world.identity.commit(harmless());
    let loaded = async {
        loop {
            let reading = world.running.runtime.leases.read(world.identity.tenant).expect("the lease holds");
            if reading.snapshot.revision == revision {
                return reading.snapshot;
            }
            tokio::task::yield_now().await;
        }
    };
    let snapshot = tokio::time::timeout(PATIENCE, loaded).await.expect("it is loaded");
    let mut ended = snapshot.facts().changes();
    ended.retain(|change| matches!(change, Change::SessionRevoked { .. }));
    assert!(matches!(&ended[..], [Change::SessionRevoked { until: Timestamp::MAX, .. }]), "{ended:?}");
}

#[tokio::test]
async fn a_restored_identity_makes_everything_load_anew() {
    let world = World::start().await;
    world.identity.commit(harmless());
    world.note("").await.expect("loaded at revision 2");
    let old = world.identity.revision_token(world.identity.tenant, 2);
    {
        let mut state = world.identity.state();
        state.log.truncate(1);
        "second".clone_into(&mut state.incarnation);
    }
    world.running.renew().await.expect("renewed");
    let reading = world.running.runtime.leases.read(world.identity.tenant).expect("the lease holds");
    assert_eq!(reading.snapshot.revision, 1);
    let refused = world.running.runtime.verifier.at_least(&old, None).await.expect_err("of a former life");
    assert_eq!(refused.kind, Kind::Invalid);
}

#[tokio::test]
async fn an_unknown_tenant_is_told_at_once_and_not_held() {
    let world = World::start().await;
    let runtime = &world.running.runtime;
    let failure = runtime.lease.hold(unknown_id()).await.expect_err("there is none");
    assert_eq!(failure.reason, "TENANT_NOT_FOUND");
    assert!(runtime.leases.tenants().is_empty());
}
