//! Webhooks: signed, repeated under the same id, rotated, and ended by the receiver.

use std::time::Duration;

use revisit_bootstrap::answer;
use revisit_permission::Action;
use revisit_proto::{followup::v1::ReminderKind, notification::v1 as pb};
use uuid::Uuid;

use super::desk::{Desk, at_each_desk, reason};

const RIGHTS: [Action; 2] = [Action::EndpointManage, Action::DeliveryView];

async fn hook(desk: &Desk, task: Uuid) -> pb::Delivery {
    desk.of_task(task).await.remove(&pb::Channel::Webhook).expect("it was planned")
}

async fn shown(desk: &Desk, endpoint: &pb::Endpoint) -> pb::Endpoint {
    let request = pb::GetEndpointRequest { endpoint_id: endpoint.endpoint_id.clone() };
    answer(desk.endpoints().get_endpoint(desk.as_user(request)).await).expect("the endpoint")
}

#[tokio::test]
async fn an_endpoint_gets_signed_facts_of_the_kinds_that_it_asked_for() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        let made = desk.endpoint(&[pb::MessageKind::TaskDue]).await;
        desk.remind(ReminderKind::Before).await;
        let task = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        let calls = desk.receiver.calls();
        assert_eq!(calls.len(), 1);
        assert!(calls[0].is_signed_with(&made.verification_key));
        assert_eq!(calls[0].timestamp, desk.manual.clock().wall().seconds().to_string());
        let body: serde_json::Value = serde_json::from_str(&calls[0].body).expect("JSON");
        assert_eq!((&body["type"], &body["data"]["task_id"]), (&"task_due".into(), &task.to_string().into()));
        assert!(!calls[0].body.contains("Blue Tea"), "an endpoint gets ids and facts, no names");
        assert_eq!(hook(desk, task).await.token, calls[0].id);
    })
    .await;
}

#[tokio::test]
async fn a_failing_endpoint_is_called_again_with_the_same_id_and_body() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        desk.endpoint(&[]).await;
        // A fault, and a connection that is lost before an answer: the second may have arrived.
        desk.receiver.expect_answers(&[500, 0]);
        let task = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert_eq!(hook(desk, task).await.state(), pb::DeliveryState::Ready);
        desk.advance(Duration::from_secs(5)).await;
        assert_eq!(hook(desk, task).await.state(), pb::DeliveryState::Unknown);
        desk.advance(Duration::from_secs(300)).await;
        assert_eq!(hook(desk, task).await.state(), pb::DeliveryState::Accepted);
        let calls = desk.receiver.calls();
        assert_eq!(calls.len(), 3);
        assert!(calls.iter().all(|call| (&call.id, &call.body) == (&calls[0].id, &calls[0].body)));
    })
    .await;
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_not_called_again_until_somebody_enables_it() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        let made = desk.endpoint(&[]).await.endpoint.expect("an endpoint");
        desk.receiver.expect_answers(&[410]);
        let task = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert_eq!(hook(desk, task).await.state(), pb::DeliveryState::Rejected);
        let disabled = shown(desk, &made).await;
        assert_eq!((disabled.state(), disabled.reason.as_str()), (pb::EndpointState::Disabled, "gone"));
        let later = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert!(!desk.of_task(later).await.contains_key(&pb::Channel::Webhook));
        let enabled = pb::Endpoint { state: pb::EndpointState::Enabled.into(), ..disabled };
        let request = pb::UpdateEndpointRequest {
            endpoint: Some(enabled),
            update_mask: Some(prost_types::FieldMask { paths: vec!["state".to_owned()] }),
        };
        answer(desk.endpoints().update_endpoint(desk.as_user(request)).await).expect("it is enabled");
        let again = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert_eq!(hook(desk, again).await.state(), pb::DeliveryState::Accepted);
    })
    .await;
}

#[tokio::test]
async fn while_keys_rotate_old_and_new_verify_and_the_last_one_stays() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        let made = desk.endpoint(&[]).await;
        let endpoint = made.endpoint.expect("an endpoint");
        let add = |algorithm: pb::KeyAlgorithm| pb::AddEndpointKeyRequest {
            endpoint_id: endpoint.endpoint_id.clone(),
            algorithm: algorithm.into(),
            request_id: String::new(),
        };
        let mut client = desk.endpoints();
        let hmac = add(pb::KeyAlgorithm::HmacSha256);
        let second = answer(client.add_endpoint_key(desk.as_user(hmac.clone())).await).expect("a key");
        let third = answer(client.add_endpoint_key(desk.as_user(add(pb::KeyAlgorithm::Ed25519))).await).expect("a key");
        assert!(third.verification_key.starts_with("whpk_"));
        let fourth = client.add_endpoint_key(desk.as_user(hmac)).await.expect_err("three are enough");
        assert_eq!(reason(&fourth), "TOO_MANY_KEYS");
        desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        let call = desk.receiver.calls().remove(0);
        assert!(call.is_signed_with(&made.verification_key) && call.is_signed_with(&second.verification_key));
        assert_eq!(call.signature.split(' ').filter(|one| one.starts_with("v1a,")).count(), 1);
        let keys = shown(desk, &endpoint).await.keys;
        let mut left = keys.len();
        for key in keys {
            let request =
                pb::RemoveEndpointKeyRequest { endpoint_id: endpoint.endpoint_id.clone(), key_id: key.key_id };
            let removed = client.remove_endpoint_key(desk.as_user(request)).await;
            match left {
                1 => assert_eq!(reason(&removed.expect_err("the last one stays")), "LAST_KEY"),
                _ => assert_eq!(removed.expect("it goes").into_inner().keys.len(), left - 1),
            }
            left -= 1;
        }
    })
    .await;
}

#[tokio::test]
async fn a_removed_endpoint_takes_back_what_was_not_sent() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        let made = desk.endpoint(&[]).await.endpoint.expect("an endpoint");
        desk.receiver.expect_answers(&[503]);
        let task = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert_eq!(hook(desk, task).await.state(), pb::DeliveryState::Ready);
        let request = pb::DeleteEndpointRequest { endpoint_id: made.endpoint_id.clone(), etag: "999".to_owned() };
        let stale = desk.endpoints().delete_endpoint(desk.as_user(request)).await.expect_err("another version");
        assert_eq!((stale.code(), reason(&stale)), (tonic::Code::Aborted, "STALE_ETAG"));
        let request = pb::DeleteEndpointRequest { endpoint_id: made.endpoint_id, etag: String::new() };
        answer(desk.endpoints().delete_endpoint(desk.as_user(request)).await).expect("it goes");
        desk.advance(Duration::from_secs(10)).await;
        assert_eq!(hook(desk, task).await.state(), pb::DeliveryState::Cancelled);
        assert_eq!(desk.receiver.calls().len(), 1);
    })
    .await;
}
