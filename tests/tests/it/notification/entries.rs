//! What the audit log is told when people change how others are told, and that what is shown of alerts does not outlive
//! the right to see them.

use std::collections::BTreeSet;

use revisit_bootstrap::{answer, failure};
use revisit_permission::Action;
use revisit_proto::{
    followup::v1::ReminderKind,
    identity::v1::{AuditEntry, AuditOutcome},
    notification::v1 as pb,
};
use revisit_tests::{
    databases::Backend,
    held::{Held, while_held},
    world::mask,
};
use sea_orm::{ConnectionTrait, TransactionTrait};
use tonic::{Code, Status};

use super::desk::{Desk, PATIENCE, at_each_desk, at_each_desk_on, fresh};
use crate::bad_input::keys::writing;

/// All writes, in the order in which they can be made, with what the entry says: the action, what it was done to, and
/// which fields. Those of a new row are not named.
const CALLS: [(&str, &str, &str, &[&str]); 10] = [
    ("Endpoints/CreateEndpoint", "endpoint.manage", "endpoint", &[]),
    ("Endpoints/AddEndpointKey", "endpoint.manage", "endpoint", &["keys"]),
    ("Endpoints/RemoveEndpointKey", "endpoint.manage", "endpoint", &["keys"]),
    ("Endpoints/UpdateEndpoint", "endpoint.manage", "endpoint", &["kinds"]),
    ("Endpoints/DeleteEndpoint", "endpoint.manage", "endpoint", &[]),
    ("Templates/UpdateTemplate", "template.manage", "template", &["text"]),
    ("Preferences/UpdatePolicy", "template.manage", "tenant", &["digest"]),
    ("Preferences/UpdatePreferences", "preferences.update", "preferences", &["quiet_hours"]),
    ("Inbox/MarkRead", "inbox.mark_read", "delivery", &["read_time"]),
    ("Deliveries/ReplayDeliveries", "delivery.replay", "delivery", &[]),
];

/// The keys of an endpoint, as they come and go.
#[derive(Default)]
struct Made {
    endpoint: pb::Endpoint,
    added: String,
}

/// Makes one of the calls; answers the id of what it changed.
async fn call(desk: &Desk, name: &str, made: &mut Made) -> String {
    let endpoint_id = made.endpoint.endpoint_id.clone();
    match name {
        "Endpoints/CreateEndpoint" => {
            made.endpoint = desk.endpoint(&[pb::MessageKind::TaskDue]).await.endpoint.expect("an endpoint");
            made.endpoint.endpoint_id.clone()
        }
        "Endpoints/AddEndpointKey" => {
            let algorithm = pb::KeyAlgorithm::Ed25519.into();
            let request = pb::AddEndpointKeyRequest { endpoint_id, algorithm, request_id: fresh() };
            // Sent again, it answers the first key.
            for _ in 0..2 {
                let told = answer(desk.endpoints().add_endpoint_key(desk.as_user(request.clone())).await);
                let keys = told.expect("a key").endpoint.expect("an endpoint").keys;
                made.added = keys.last().expect("a key").key_id.clone();
            }
            request.endpoint_id
        }
        "Endpoints/RemoveEndpointKey" => {
            let request = pb::RemoveEndpointKeyRequest { endpoint_id, key_id: made.added.clone() };
            answer(desk.endpoints().remove_endpoint_key(desk.as_user(request)).await).expect("it goes").endpoint_id
        }
        "Endpoints/UpdateEndpoint" => {
            let kinds = vec![pb::MessageKind::TaskOverdue.into()];
            let endpoint = Some(pb::Endpoint { kinds, etag: String::new(), ..made.endpoint.clone() });
            let request = pb::UpdateEndpointRequest { endpoint, update_mask: mask(&["kinds"]) };
            answer(desk.endpoints().update_endpoint(desk.as_user(request)).await).expect("it is changed").endpoint_id
        }
        "Endpoints/DeleteEndpoint" => {
            let request = pb::DeleteEndpointRequest { endpoint_id: endpoint_id.clone(), etag: String::new() };
            answer(desk.endpoints().delete_endpoint(desk.as_user(request)).await).expect("it goes");
            endpoint_id
        }
        "Templates/UpdateTemplate" => {
            let list = desk.as_user(pb::ListTemplatesRequest::default());
            let template = answer(desk.templates().list_templates(list).await).expect("a page").templates.remove(0);
            let request = pb::UpdateTemplateRequest { template: Some(template), update_mask: mask(&["text"]) };
            answer(desk.templates().update_template(desk.as_user(request)).await).expect("it is changed").template_id
        }
        "Preferences/UpdatePolicy" => {
            let policy = Some(pb::Policy { digest: false, ..Default::default() });
            let request = pb::UpdatePolicyRequest { policy, update_mask: mask(&["digest"]) };
            answer(desk.preferences().update_policy(desk.as_user(request)).await).expect("it is changed");
            desk.identity.tenant.to_string()
        }
        "Preferences/UpdatePreferences" => {
            let preferences = Some(pb::UserPreferences::default());
            let request = pb::UpdatePreferencesRequest { preferences, update_mask: mask(&["quiet_hours"]) };
            answer(desk.preferences().update_preferences(desk.as_user(request)).await).expect("it is changed");
            desk.identity.user.to_string()
        }
        "Inbox/MarkRead" => {
            let message_id = desk.messages().await.remove(0).message_id;
            // What is read already is not read again.
            for _ in 0..2 {
                let request = pb::MarkReadRequest { message_ids: vec![message_id.clone()] };
                answer(desk.inbox().mark_read(desk.as_user(request)).await).expect("it is marked");
            }
            message_id
        }
        // Deliveries/ReplayDeliveries, the last.
        _ => {
            let request = pb::ReplayDeliveriesRequest { request_id: fresh(), ..Default::default() };
            let replayed = async || desk.deliveries().replay_deliveries(desk.as_user(request.clone())).await;
            answer(replayed().await).expect("a job");
            answer(replayed().await).expect("the same job").replay_id
        }
    }
}

/// Entries that were not there before.
async fn new(desk: &Desk, known: &mut BTreeSet<String>) -> Vec<AuditEntry> {
    let mut entries = desk.entries().await;
    entries.retain(|entry| known.insert(entry.entry_id.clone()));
    entries
}

#[tokio::test]
async fn each_change_by_a_person_is_one_entry_and_a_repeat_is_none() {
    let tried: BTreeSet<_> = CALLS.iter().map(|(call, ..)| format!("/revisit.notification.v1.{call}")).collect();
    assert_eq!(tried, writing("/revisit.notification.v1."), "every write of the contract is made");
    at_each_desk(async |desk: &Desk| {
        desk.listen().await;
        desk.grant(&[Action::EndpointManage, Action::TemplateView, Action::TemplateManage, Action::DeliveryReplay])
            .await;
        let (mut known, mut made) = (BTreeSet::new(), Made::default());
        for (name, action, resource, fields) in CALLS {
            let id = call(desk, name, &mut made).await;
            desk.settle().await;
            let entries = new(desk, &mut known).await;
            assert_eq!(entries.len(), 1, "{name}: {entries:?}");
            let entry = &entries[0];
            assert_eq!((entry.action.as_str(), entry.resource.as_str()), (action, resource), "{name}");
            assert_eq!((entry.subject_id.clone(), &entry.resource_ids), (desk.identity.user.to_string(), &vec![id]));
            assert_eq!((entry.fields.as_slice(), entry.outcome()), (&*owned(fields), AuditOutcome::Done), "{name}");
            let by_right = entry.witness.starts_with("grant:") || entry.witness == "own profile";
            assert!(by_right && entry.revision > 0, "{name}: {entry:?}");
        }
        desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert_eq!(new(desk, &mut known).await, [], "what workers do has nobody who did it");
    })
    .await;
}

fn owned(fields: &[&str]) -> Vec<String> {
    fields.iter().map(|field| (*field).to_owned()).collect()
}

/// What is told of deliveries, with what it waits for: workers read the table too.
const TOLD: [(&str, Held<'_>); 3] = [
    ("get", Held { table: "attempt", statement: "SELECT \"attempt\"." }),
    ("list", Held { table: "delivery", statement: "SELECT \"delivery\"." }),
    ("count", Held { table: "delivery", statement: "SELECT \"delivery\"." }),
];

/// How the right to see alerts, or to see deliveries at all, ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Denied(Action),
    AlertsRevoked,
}

async fn ask(desk: &Desk, name: &str, delivery_id: &str) -> Result<(), Status> {
    let mut deliveries = desk.deliveries();
    match name {
        "get" => {
            let request = pb::GetDeliveryRequest { delivery_id: delivery_id.to_owned() };
            deliveries.get_delivery(desk.as_user(request)).await.map(drop)
        }
        "list" => deliveries.list_deliveries(desk.as_user(pb::ListDeliveriesRequest::default())).await.map(drop),
        _ => deliveries.count_deliveries(desk.as_user(pb::CountDeliveriesRequest::default())).await.map(drop),
    }
}

#[tokio::test]
async fn deliveries_do_not_outlive_the_right_to_see_the_alerts_among_them() {
    for end in [End::Denied(Action::AuditView), End::Denied(Action::DeliveryView), End::AlertsRevoked] {
        for (name, place) in TOLD {
            at_each_desk_on(&[Backend::Postgres], async |desk: &Desk| {
                let alerts = desk.grant(&[Action::DeliveryView, Action::AuditView]).await[1];
                let task = desk.remind(ReminderKind::Due).await;
                desk.settle().await;
                let delivery = desk.of_task(task).await.remove(&pb::Channel::Inbox).expect("it was planned");
                ask(desk, name, &delivery.delivery_id).await.expect("they may so far");
                let connections = (&desk.own().await, &desk.own().await);
                let told = ask(desk, name, &delivery.delivery_id);
                let ended = async {
                    match end {
                        End::Denied(action) => desk.deny(action).await,
                        End::AlertsRevoked => desk.revoke(alerts).await,
                    }
                };
                let refused = while_held(connections, place, told, ended).await;
                let refused = refused.expect_err("it was told all the same");
                // Whoever asks again is answered by the newest rights.
                let said = (refused.code(), failure(&refused).reason);
                assert_eq!(said, (Code::Unavailable, "LEASE_EXPIRED"), "{name}, {end:?}: {refused:?}");
            })
            .await;
        }
    }
}

#[tokio::test]
async fn a_replay_does_not_outlive_the_right_to_see_the_alerts_among_what_it_sends() {
    for gone in [Action::AuditView, Action::DeliveryReplay] {
        at_each_desk_on(&[Backend::Postgres], async |desk: &Desk| {
            desk.grant(&[Action::DeliveryReplay, Action::AuditView]).await;
            let connections = (&desk.own().await, &desk.own().await);
            let mut deliveries = desk.deliveries();
            let request = pb::ReplayDeliveriesRequest { filter: None, request_id: fresh() };
            let replay = deliveries.replay_deliveries(desk.as_user(request));
            let place = Held { table: "replay", statement: "INSERT" };
            let refused = while_held(connections, place, replay, desk.deny(gone)).await;
            let refused = refused.expect_err("it was begun all the same");
            let said = (refused.code(), failure(&refused).reason);
            assert_eq!(said, (Code::PermissionDenied, "PERMISSION_DENIED"), "{gone:?}: {refused:?}");
            assert_eq!(desk.number("SELECT count(*) AS n FROM replay").await, 0);
        })
        .await;
    }
}

/// Waits until so many wait for a lock of the table; each look at the database is the pause before the next.
async fn waiting(desk: &Desk, table: &str, many: i64) {
    let text = format!("SELECT count(*) AS n FROM pg_locks WHERE NOT granted AND relation = '{table}'::regclass");
    let waits = async { while desk.number(&text).await < many {} };
    tokio::time::timeout(PATIENCE, waits).await.expect("they wait for the table");
}

#[tokio::test]
async fn a_message_that_two_devices_mark_at_once_was_read_once() {
    at_each_desk_on(&[Backend::Postgres], async |desk: &Desk| {
        desk.listen().await;
        desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        let mut message_ids: Vec<String> = desk.messages().await.into_iter().map(|it| it.message_id).collect();
        message_ids.sort();
        let request = pb::MarkReadRequest { message_ids: message_ids.clone() };
        let mark = || async { answer(desk.inbox().mark_read(desk.as_user(request.clone())).await) };
        // Both find it unread; what they write has to wait.
        let own = desk.own().await;
        let held = own.begin().await.expect("a transaction");
        held.execute_unprepared("LOCK TABLE inbox_message IN SHARE MODE").await.expect("it is locked");
        let meanwhile = async {
            waiting(desk, "inbox_message", 2).await;
            held.commit().await.expect("it is unlocked");
        };
        let (one, other, ()) = futures::join!(mark(), mark(), meanwhile);
        let unread = [one, other].map(|told| told.expect("it is marked").unread_count);
        assert_eq!(unread, [0, 0]);
        desk.settle().await;
        let mut entries = desk.entries().await;
        assert_eq!(entries.len(), 1, "{entries:?}");
        entries[0].resource_ids.sort();
        assert_eq!((entries[0].action.as_str(), &entries[0].resource_ids), ("inbox.mark_read", &message_ids));
    })
    .await;
}
