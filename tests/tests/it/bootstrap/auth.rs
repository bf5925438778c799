//! Who may call: access tokens, service tokens, public calls.

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use revisit_bootstrap::auth::Claims;
use revisit_core::Timestamp;
use revisit_permission::Change;
use revisit_proto::customer::v1::{ListTimelineRequest, RecordTouchRequest, timeline_client::TimelineClient};
use revisit_tests::fake_identity::{KEY_ID, unknown_id};
use tonic::{Code, Request, metadata::MetadataValue};

use super::support::{World, reason};

#[tokio::test]
async fn a_good_token_tells_the_handler_who_calls() {
    let world = World::start().await;
    let answer = world.note("").await.expect("the token is good");
    assert_eq!(answer.entry_id, world.identity.user.to_string());
    assert_eq!(answer.customer_id, world.identity.tenant.to_string());
}

#[tokio::test]
async fn a_call_without_a_token_is_refused_unless_it_is_public() {
    let world = World::start().await;
    let mut client = TimelineClient::new(world.channel());
    let status = client.add_note(super::support::note("")).await.expect_err("it has no token");
    assert_eq!((status.code(), reason(&status)), (Code::Unauthenticated, "TOKEN_REQUIRED"));
    client.list_timeline(ListTimelineRequest::default()).await.expect("it is public");
}

#[tokio::test]
async fn a_public_call_is_answered_also_with_a_token_that_is_no_longer_good() {
    let world = World::start().await;
    let request = super::support::with_token(Request::new(ListTimelineRequest::default()), "nonsense");
    TimelineClient::new(world.channel()).list_timeline(request).await.expect("it is public");
}

#[tokio::test]
async fn a_token_that_is_forged_old_or_of_somebody_unknown_is_refused() {
    let world = World::start().await;
    let good = world.identity.claims();
    let sign = |claims: Claims| world.identity.sign(&claims, KEY_ID);
    let symmetric = Header { kid: Some(KEY_ID.to_owned()), ..Header::new(Algorithm::HS256) };
    let by_secret = jsonwebtoken::encode(&symmetric, &good, &EncodingKey::from_secret(b"guess")).expect("signed");
    let none = "eyJhbGciOiJub25lIn0.e30.";
    let of_another = revisit_tests::fake_identity::FakeIdentity::new().sign(&good, KEY_ID);
    let cases = [
        ("another algorithm", by_secret),
        ("no algorithm", none.to_owned()),
        ("another key", of_another),
        ("an unknown key id", world.identity.sign(&good, "k2")),
        ("another issuer", sign(Claims { iss: "other".to_owned(), ..good.clone() })),
        ("another audience", sign(Claims { aud: "other".to_owned(), ..good.clone() })),
        ("expired", sign(Claims { iat: good.iat - 400, nbf: good.iat - 400, exp: good.iat - 100, ..good.clone() })),
        ("not yet", sign(Claims { nbf: good.iat + 100, ..good.clone() })),
        ("too long a life", sign(Claims { exp: good.iat + 3_600, ..good.clone() })),
        ("an unknown tenant", sign(Claims { tid: unknown_id::<()>().to_string(), ..good.clone() })),
        ("a closed window", sign(Claims { wnd: Some(good.iat - 1), ..good.clone() })),
    ];
    for (what, token) in cases {
        let status = world.note_as(&token, "").await.expect_err(what);
        assert_eq!(status.code(), Code::Unauthenticated, "{what}: {status:?}");
    }
    world.note("").await.expect("the good one still passes");
}

#[tokio::test]
async fn a_revoked_session_is_refused_as_soon_as_the_change_is_known() {
    let world = World::start().await;
    let token = world.identity.token();
    world.note_as(&token, "").await.expect("it is good");
    let session = world.identity.session;
    let revision = world.identity.commit(vec![Change::SessionRevoked { session, until: Timestamp::MAX }]);
    world.running.runtime.lease.reach(world.identity.tenant, revision).await.expect("it is loaded");
    let status = world.note_as(&token, "").await.expect_err("it was revoked");
    assert_eq!((status.code(), reason(&status)), (Code::Unauthenticated, "SESSION_REVOKED"));
}

#[tokio::test]
async fn a_token_of_a_later_revision_waits_until_that_is_loaded() {
    let world = World::start().await;
    world.note("").await.expect("revision 1 is loaded");
    world.identity.state().pushes = false;
    let session = world.identity.session;
    let revision = world.identity.commit(vec![Change::SessionRevoked { session, until: Timestamp::MAX }]);
    let claims = Claims { rev: revision, ..world.identity.claims() };
    let status = world.note_as(&world.identity.sign(&claims, KEY_ID), "").await.expect_err("it was revoked");
    assert_eq!(reason(&status), "SESSION_REVOKED");
    let claims = Claims { rev: revision + 1, ..claims };
    let status = world.note_as(&world.identity.sign(&claims, KEY_ID), "").await.expect_err("there is none");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "LEASE_EXPIRED"));
}

#[tokio::test]
async fn an_internal_call_is_for_the_named_services_only() {
    let world = World::start().await;
    let call = async |token: Option<&str>| {
        let mut request = Request::new(RecordTouchRequest::default());
        if let Some(token) = token {
            request.metadata_mut().insert("x-revisit-caller", MetadataValue::try_from(token).expect("ASCII"));
        }
        TimelineClient::new(world.channel()).record_touch(request).await
    };
    assert_eq!(call(None).await.expect_err("nobody").code(), Code::Unauthenticated);
    assert_eq!(reason(&call(Some("guess")).await.expect_err("a guess")), "CALLER_UNKNOWN");
    let user = super::support::with_token(Request::new(RecordTouchRequest::default()), &world.identity.token());
    let status = TimelineClient::new(world.channel()).record_touch(user).await.expect_err("a user");
    assert_eq!((status.code(), reason(&status)), (Code::PermissionDenied, "INTERNAL_CALL"));
}

#[tokio::test]
async fn services_of_one_process_call_each_other_by_memory_as_themselves() {
    let world = World::start().await;
    let call = async |from: &'static str| {
        let peer = world.running.runtime.of(from).peers.channel("customer");
        TimelineClient::new(peer).record_touch(RecordTouchRequest::default()).await
    };
    let answer = call("identity").await.expect("it is named").into_inner();
    assert_eq!(answer.entry_id, "identity");
    assert_eq!(reason(&call("customer").await.expect_err("it is not named")), "INTERNAL_CALL");
}

#[tokio::test]
async fn a_peer_without_an_address_is_away_at_once() {
    let world = World::start().await;
    let peer = world.running.runtime.peers.channel("notification");
    let status = TimelineClient::new(peer).record_touch(RecordTouchRequest::default()).await.expect_err("away");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "PEER_UNAVAILABLE"));
}
