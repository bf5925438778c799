//! Leases over two replicas, the audit chain, and hand-overs.

use std::time::Duration;

use revisit_proto::identity::v1::{self as pb, hand_overs_client::HandOversClient};
use tonic::{Code, Request};

use super::support::{CUSTOMER_TOKEN, FOLLOWUP_TOKEN, World, channel, log_in, on_each, refusal, refused};

#[tokio::test]
async fn what_one_replica_revokes_the_other_refuses() {
    on_each(async |world| {
        if world.database.backend == revisit_tests::databases::Backend::Sqlite {
            // A file has one process.
            return;
        }
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let second = world.replica().await;
        let person = log_in(&channel(&second), super::support::COMPANY, "mei").await.expect("the log-in is good");
        person.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.expect("the second replica knows her");
        let target = Some(pb::revoke_and_wait_request::Target::UserId(mei));
        let request = pb::RevokeAndWaitRequest { target, reason: "left her key".to_owned() };
        let revoked = world.admin.access().revoke_and_wait(request).await.expect("she is stopped").into_inner();
        assert!(revoked.acknowledged);
        let after = person.directory().get_own_profile(pb::GetOwnProfileRequest {}).await;
        assert_eq!(after.expect_err("no replica may act on it any more").code(), Code::Unauthenticated);
        second.stop().await.expect("it ends in order");
        // The row of a replica that is gone holds nobody up for longer than its lease.
        let suspended = world.user("lei", root, "Sales representative").await.user_id;
        let target = Some(pb::revoke_and_wait_request::Target::UserId(suspended));
        let request = pb::RevokeAndWaitRequest { target, reason: String::new() };
        world.admin.access().revoke_and_wait(request).await.expect("she is stopped");
    })
    .await;
}

#[tokio::test]
async fn every_change_is_in_the_chain_with_who_why_before_and_after() {
    on_each(async |world| {
        let root = world.tenant.root_department_id.clone();
        let auditor = world.user("eyes", &root, "Auditor").await;
        let eyes = world.log_in("eyes").await;
        let request = pb::SuspendUserRequest {
            user_id: world.user("mei", &root, "Sales representative").await.user_id,
            reason: "a test".to_owned(),
            ..pb::SuspendUserRequest::default()
        };
        let mei = request.user_id.clone();
        world.admin.directory().suspend_user(request).await.expect("she is stopped");
        let entry = world
            .eventually("the entry is chained", async || {
                let request = pb::ListEntriesRequest { resource_id: mei.clone(), ..pb::ListEntriesRequest::default() };
                let listed = eyes.audit().list_entries(request).await.expect("an auditor sees it").into_inner();
                let found = listed.entries.into_iter().filter_map(|it| it.entry);
                let mut about = found.filter(|it| it.action == "user.manage" && it.why == "a test");
                about.next()
            })
            .await;
        assert_eq!(entry.subject_id, world.tenant.administrator_id);
        assert!(entry.before_json.contains("active") && entry.after_json.contains("suspended"), "{entry:?}");
        let all = eyes.audit().list_entries(pb::ListEntriesRequest::default()).await.expect("seen").into_inner();
        // They are listed by their time, and chained as they came.
        let mut numbers: Vec<_> = all.entries.iter().map(|it| it.number).collect();
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|one, other| one + 1 == *other), "{numbers:?}");
        let denied = world.admin.audit().list_entries(pb::ListEntriesRequest::default()).await;
        assert_eq!(refusal(denied), refused(Code::PermissionDenied, "PERMISSION_DENIED"));
        assert_eq!(auditor.state(), pb::SubjectState::Invited, "as the answer to the create said");
    })
    .await;
}

async fn leave(world: &World, user_id: &str) -> Result<pb::HandOver, tonic::Status> {
    let request = pb::StartHandOverRequest {
        user_id: user_id.to_owned(),
        kind: pb::HandOverKind::Leave.into(),
        reason: "leaves the company".to_owned(),
        ..pb::StartHandOverRequest::default()
    };
    Ok(world.admin.hand_overs().start_hand_over(request).await?.into_inner())
}

async fn state(world: &World, id: &str) -> pb::HandOver {
    let request = pb::GetHandOverRequest { hand_over_id: id.to_owned() };
    world.admin.hand_overs().get_hand_over(request).await.expect("it is seen").into_inner()
}

async fn running(world: &World, id: &str) -> pb::HandOver {
    world
        .eventually("the revocation is effective", async || {
            let it = state(world, id).await;
            (it.state() == pb::HandOverState::Running).then_some(it)
        })
        .await
}

async fn report(world: &World, token: &str, message: pb::ReportHandOverRequest) -> Result<bool, tonic::Status> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("x-revisit-caller", token.parse().expect("ASCII"));
    let mut client = HandOversClient::new(world.channel.clone());
    Ok(client.report_hand_over(request).await?.into_inner().done)
}

#[tokio::test]
async fn who_leaves_is_out_at_once_and_the_hand_over_ends_when_nothing_is_left() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let person = world.log_in("mei").await;
        let begun = leave(world, &mei).await.expect("it begins");
        assert_eq!((begun.state(), begun.revoked_session_count), (pb::HandOverState::Revoked, 1));
        let again = leave(world, &mei).await;
        assert_eq!(refusal(again), refused(Code::FailedPrecondition, "HAND_OVER_RUNNING"));
        let it = running(world, &begun.hand_over_id).await;
        let after = person.directory().get_own_profile(pb::GetOwnProfileRequest {}).await;
        assert_eq!(after.expect_err("she is out").code(), Code::Unauthenticated);
        let effective = it.effective_time.expect("it is effective");
        let pass = |part: pb::HandOverPart, pass: i64, seconds: i64, remaining: i64| pb::ReportHandOverRequest {
            tenant_id: world.tenant.tenant_id.clone(),
            hand_over_id: begun.hand_over_id.clone(),
            part: part.into(),
            pass,
            pass_start_time: Some(prost_types::Timestamp { seconds: effective.seconds + seconds, ..effective }),
            moved: 2,
            refused: 0,
            remaining,
        };
        use pb::HandOverPart::{Customers, Tasks};
        let early = report(world, CUSTOMER_TOKEN, pass(Customers, 1, 0, 0)).await.expect("it is taken");
        assert!(!early, "a write under the former rights may still be on its way");
        let foreign = report(world, FOLLOWUP_TOKEN, pass(Customers, 2, 6, 0)).await;
        assert_eq!(foreign.expect_err("not its part").code(), Code::InvalidArgument);
        assert!(!report(world, CUSTOMER_TOKEN, pass(Customers, 2, 6, 1)).await.expect("it is taken"));
        assert!(report(world, CUSTOMER_TOKEN, pass(Customers, 3, 7, 0)).await.expect("it is taken"));
        assert!(report(world, CUSTOMER_TOKEN, pass(Customers, 2, 6, 1)).await.expect("a repeat changes nothing"));
        assert!(report(world, FOLLOWUP_TOKEN, pass(Tasks, 1, 6, 0)).await.expect("it is taken"));
        assert_eq!(state(world, &begun.hand_over_id).await.state(), pb::HandOverState::Done);
        let user = pb::GetUserRequest { user_id: mei.clone(), read_mask: None };
        let user = world.admin.directory().get_user(user).await.expect("the record stays").into_inner();
        assert_eq!((user.state(), user.position_ids.len()), (pb::SubjectState::Left, 0));
        let back = leave(world, &mei).await;
        assert_eq!(refusal(back), refused(Code::FailedPrecondition, "USER_STATE"));
    })
    .await;
}

#[tokio::test]
async fn a_hand_over_that_was_ordered_before_a_restart_goes_on_after_it() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let mei = world.user("mei", root, "Sales representative").await.user_id;
        let begun = leave(world, &mei).await.expect("it begins");
        // The row of a replica that never renews again: the saga has to wait for its lease to run out.
        let it = running(world, &begun.hand_over_id).await;
        assert!(it.effective_time.is_some());
        let second = world.replica().await;
        let lei = world.user("lei", root, "Sales representative").await.user_id;
        let begun = leave(world, &lei).await.expect("it begins");
        second.stop().await.expect("it ends in order");
        let waited = tokio::time::timeout(Duration::from_secs(8), running(world, &begun.hand_over_id)).await;
        waited.expect("a replica that is gone holds nobody up");
    })
    .await;
}

#[tokio::test]
async fn a_transfer_moves_the_user_and_keeps_the_account() {
    on_each(async |world| {
        let root = &world.tenant.root_department_id;
        let (north, south) = (world.department(root, "North").await, world.department(root, "South").await);
        let mei = world.user("mei", &north.department_id, "Sales representative").await.user_id;
        let request = pb::StartHandOverRequest {
            user_id: mei.clone(),
            kind: pb::HandOverKind::Transfer.into(),
            to_department_id: south.department_id.clone(),
            to_position_ids: vec![world.position("Customer service").await],
            ..pb::StartHandOverRequest::default()
        };
        let missing = pb::StartHandOverRequest { to_position_ids: Vec::new(), ..request.clone() };
        let missing = world.admin.hand_overs().start_hand_over(missing).await;
        assert_eq!(missing.expect_err("it is refused").code(), Code::InvalidArgument);
        let begun = world.admin.hand_overs().start_hand_over(request).await.expect("it begins").into_inner();
        running(world, &begun.hand_over_id).await;
        let person = world.log_in("mei").await;
        let own = person.directory().get_own_profile(pb::GetOwnProfileRequest {}).await.expect("her own").into_inner();
        assert_eq!((own.state(), own.department_id), (pb::SubjectState::Active, south.department_id));
        let boss = pb::StartHandOverRequest {
            user_id: world.tenant.administrator_id.clone(),
            kind: pb::HandOverKind::Leave.into(),
            ..pb::StartHandOverRequest::default()
        };
        let boss = world.admin.hand_overs().start_hand_over(boss).await;
        assert_eq!(refusal(boss), refused(Code::FailedPrecondition, "ADMINISTRATOR"));
    })
    .await;
}
