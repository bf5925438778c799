//! What a caller may send: bad input names its fields, stale etags abort, repeated requests answer what they did first.

use revisit_bootstrap::{answer, failure};
use revisit_permission::Action;
use revisit_proto::{followup::v1::ReminderKind, notification::v1 as pb};
use revisit_tests::fake_identity::unknown_id;
use tonic::{Code, Response, Status};

use super::desk::{Desk, at_each_desk, fresh, reason};

fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: Result<Response<T>, Status>, fields: &[&str]) {
    let status = result.expect_err("a rule is broken");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let violations = failure(&status).violations;
    let found: Vec<_> = violations.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(found, fields, "{violations:?}");
}

async fn everything(desk: &Desk) {
    desk.grant(&[
        Action::DeliveryView,
        Action::DeliveryReplay,
        Action::TemplateView,
        Action::TemplateManage,
        Action::EndpointManage,
    ])
    .await;
}

#[tokio::test]
async fn bad_input_is_told_field_by_field() {
    at_each_desk(async |desk: &Desk| {
        everything(desk).await;
        let (mut deliveries, mut inbox) = (desk.deliveries(), desk.inbox());
        let filter = pb::DeliveryFilter {
            states: vec![0, 99],
            kinds: vec![77],
            channels: vec![9],
            recipient_id: "nobody".to_owned(),
            from_time: Some(prost_types::Timestamp { seconds: 0, nanos: -1 }),
            ..Default::default()
        };
        let list = pb::ListDeliveriesRequest { filter: Some(filter), page_size: -1, page_token: "?".to_owned() };
        refused(
            deliveries.list_deliveries(desk.as_user(list)).await,
            &[
                "filter.states[0]",
                "filter.states[1]",
                "filter.kinds[0]",
                "filter.channels[0]",
                "filter.recipient_id",
                "filter.from_time",
                "page_size",
                "page_token",
            ],
        );
        let get = pb::GetDeliveryRequest::default();
        refused(deliveries.get_delivery(desk.as_user(get)).await, &["delivery_id"]);
        let alive = pb::DeliveryFilter { states: vec![pb::DeliveryState::Ready.into()], ..Default::default() };
        let replay = pb::ReplayDeliveriesRequest { filter: Some(alive), request_id: "x".to_owned() };
        refused(deliveries.replay_deliveries(desk.as_user(replay)).await, &["request_id", "filter.states"]);
        let read = pb::MarkReadRequest { message_ids: vec!["".to_owned(), "x".to_owned()] };
        refused(inbox.mark_read(desk.as_user(read)).await, &["message_ids[0]", "message_ids[1]"]);
        refused(inbox.mark_read(desk.as_user(pb::MarkReadRequest::default())).await, &["message_ids"]);
        let watch = pb::WatchMessagesRequest { after_sequence: -1 };
        refused(inbox.watch_messages(desk.as_user(watch)).await.map(|_| Response::new(())), &["after_sequence"]);
        bad_preferences(desk).await;
        bad_endpoints(desk).await;
    })
    .await;
}

async fn bad_preferences(desk: &Desk) {
    let mut client = desk.preferences();
    let entry = |kind, channels: &[i32]| pb::KindPreference { kind, channels: channels.to_vec() };
    let preferences = pb::UserPreferences {
        kinds: vec![entry(4, &[2]), entry(4, &[]), entry(0, &[3])],
        quiet_hours: Some(pb::QuietHours { start: "25:00".to_owned(), end: "07:00".to_owned() }),
        etag: "not mine".to_owned(),
        ..Default::default()
    };
    let request = pb::UpdatePreferencesRequest { preferences: Some(preferences), update_mask: mask(&["colour"]) };
    refused(
        client.update_preferences(desk.as_user(request)).await,
        &[
            "update_mask.paths[0]",
            "preferences.kinds[1].kind",
            "preferences.kinds[2].kind",
            "preferences.kinds[2].channels[0]",
            "preferences.quiet_hours",
            "preferences.etag",
        ],
    );
    refused(client.update_policy(desk.as_user(pb::UpdatePolicyRequest::default())).await, &["policy", "update_mask"]);
}

async fn bad_endpoints(desk: &Desk) {
    let mut client = desk.endpoints();
    for url in ["", "http://example.com/", "https://10.0.0.1/", "https://u:p@example.com/", "not a url"] {
        let endpoint = pb::Endpoint { url: url.to_owned(), ..Default::default() };
        let request = pb::CreateEndpointRequest { endpoint: Some(endpoint), algorithm: 7, request_id: String::new() };
        refused(client.create_endpoint(desk.as_user(request)).await, &["endpoint.url", "algorithm"]);
    }
    let request = pb::UpdateEndpointRequest {
        endpoint: Some(pb::Endpoint { endpoint_id: fresh(), state: 9, ..Default::default() }),
        update_mask: mask(&["state"]),
    };
    refused(client.update_endpoint(desk.as_user(request)).await, &["endpoint.state"]);
    let request = pb::GetEndpointRequest { endpoint_id: fresh() };
    let missing = client.get_endpoint(desk.as_user(request)).await.expect_err("there is none");
    assert_eq!((missing.code(), reason(&missing)), (Code::NotFound, "ENDPOINT_NOT_FOUND"));
}

async fn template(desk: &Desk, kind: pb::MessageKind, channel: pb::Channel) -> pb::Template {
    let request = pb::ListTemplatesRequest { kind: kind.into(), locale: "en".to_owned(), ..Default::default() };
    let listed = answer(desk.templates().list_templates(desk.as_user(request)).await).expect("a page").templates;
    listed.into_iter().find(|template| template.channel() == channel).expect("it is shipped")
}

#[tokio::test]
async fn a_template_that_lacks_a_variable_is_refused_when_it_is_saved() {
    at_each_desk(async |desk: &Desk| {
        everything(desk).await;
        let shipped = template(desk, pb::MessageKind::TaskDue, pb::Channel::Inbox).await;
        let change = |text: &str, layout: &str| pb::UpdateTemplateRequest {
            template: Some(pb::Template { text: text.to_owned(), layout: layout.to_owned(), ..shipped.clone() }),
            update_mask: mask(&["text", "layout"]),
        };
        let mut client = desk.templates();
        let unknown = change("title = Due\nbody = Call { $phone }", "{{ text.body }} {{ secret }}");
        refused(client.update_template(desk.as_user(unknown)).await, &["template.text", "template.layout"]);
        let good = change("title = Now: { $customer_name }\nbody = Go.", "{{ text.body }} {{ plan_name }}");
        let saved = answer(client.update_template(desk.as_user(good.clone())).await).expect("it is saved");
        assert!(!saved.shipped);
        let stale = client.update_template(desk.as_user(good)).await.expect_err("the etag is old");
        assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "STALE_ETAG"));
        desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        let message = desk.messages().await.remove(0);
        assert_eq!((message.title.as_str(), message.body.as_str()), ("Now: Blue Tea", "Go. A weekly"));
    })
    .await;
}

#[tokio::test]
async fn templates_are_paged_and_a_preview_saves_nothing() {
    at_each_desk(async |desk: &Desk| {
        everything(desk).await;
        let (mut count, mut page_token) = (0, String::new());
        loop {
            let request = pb::ListTemplatesRequest { page_size: 7, page_token, ..Default::default() };
            let page = answer(desk.templates().list_templates(desk.as_user(request)).await).expect("a page");
            count += page.templates.len();
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        let kinds =
            answer(desk.templates().list_kinds(desk.as_user(pb::ListKindsRequest {})).await).expect("kinds").kinds;
        assert_eq!(count, kinds.len() * 4, "two channels in two languages");
        let request = pb::PreviewTemplateRequest {
            kind: pb::MessageKind::Digest.into(),
            channel: pb::Channel::Email.into(),
            locale: "zh-CN".to_owned(),
            text: "title = 今日\nbody = { $due_count } 项".to_owned(),
            layout: "{{ text.body }}".to_owned(),
        };
        let shown = answer(desk.templates().preview_template(desk.as_user(request)).await).expect("it renders");
        assert_eq!(shown.body, "3 项");
        let kept = template(desk, pb::MessageKind::Digest, pb::Channel::Email).await;
        assert!(kept.shipped);
    })
    .await;
}

#[tokio::test]
async fn a_repeated_request_answers_the_first_endpoint_and_another_body_is_refused() {
    at_each_desk(async |desk: &Desk| {
        everything(desk).await;
        let endpoint = pb::Endpoint { url: desk.receiver.url(), ..Default::default() };
        let request = pb::CreateEndpointRequest { endpoint: Some(endpoint), request_id: fresh(), ..Default::default() };
        let mut client = desk.endpoints();
        let first = answer(client.create_endpoint(desk.as_user(request.clone())).await).expect("an endpoint");
        let again = answer(client.create_endpoint(desk.as_user(request.clone())).await).expect("the same endpoint");
        assert_eq!(first, again);
        let other = pb::CreateEndpointRequest { algorithm: pb::KeyAlgorithm::Ed25519.into(), ..request };
        let reused = client.create_endpoint(desk.as_user(other)).await.expect_err("another body");
        assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
        let all =
            answer(client.list_endpoints(desk.as_user(pb::ListEndpointsRequest::default())).await).expect("a page");
        assert_eq!(all.endpoints.len(), 1);
        assert_eq!(all.endpoints[0].keys.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn preferences_are_ones_own_and_stale_etags_abort() {
    at_each_desk(async |desk: &Desk| {
        let mut client = desk.preferences();
        let get = || desk.as_user(pb::GetPreferencesRequest {});
        let first = answer(client.get_preferences(get()).await).expect("defaults");
        assert_eq!(first.quiet_hours.as_ref().map(|quiet| quiet.start.as_str()), Some("22:00"));
        let change = pb::UpdatePreferencesRequest {
            preferences: Some(pb::UserPreferences { quiet_hours: None, ..first }),
            update_mask: mask(&["quiet_hours"]),
        };
        let changed = answer(client.update_preferences(desk.as_user(change.clone())).await).expect("it is changed");
        assert_eq!(changed.quiet_hours, None);
        let stale = client.update_preferences(desk.as_user(change)).await.expect_err("the etag is old");
        assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "STALE_ETAG"));
        let lin = desk.colleague("lin").await;
        let others = desk.as_subject(lin, pb::GetPreferencesRequest {});
        assert!(answer(client.get_preferences(others).await).expect("defaults").quiet_hours.is_some());
    })
    .await;
}

#[tokio::test]
async fn without_a_right_templates_endpoints_and_the_policy_are_denied() {
    at_each_desk(async |desk: &Desk| {
        let denied = [
            desk.templates().list_templates(desk.as_user(pb::ListTemplatesRequest::default())).await.err(),
            desk.endpoints().list_endpoints(desk.as_user(pb::ListEndpointsRequest::default())).await.err(),
            desk.preferences().get_policy(desk.as_user(pb::GetPolicyRequest {})).await.err(),
        ];
        for status in denied {
            assert_eq!(status.expect("it is denied").code(), Code::PermissionDenied);
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_that_its_template_cannot_put_into_words_is_dead_and_holds_up_nobody_elses() {
    at_each_desk(async |desk: &Desk| {
        everything(desk).await;
        let shipped = template(desk, pb::MessageKind::TaskDue, pb::Channel::Inbox).await;
        let text = "title = { $customer_name } { $customer_name }\nbody = Go.".to_owned();
        let twice = pb::UpdateTemplateRequest {
            template: Some(pb::Template { text, ..shipped }),
            update_mask: mask(&["text"]),
        };
        answer(desk.templates().update_template(desk.as_user(twice)).await).expect("it holds for usual names");
        let lin = desk.colleague("lin").await;
        let (long, short) = (unknown_id::<()>().uuid(), unknown_id::<()>().uuid());
        desk.show(desk.identity.user, long, &"x".repeat(200));
        desk.show(lin, short, "Tea");
        let mut tasks = Vec::new();
        for (recipient, customer) in [(desk.identity.user, long), (lin, short)] {
            let task = unknown_id::<()>().uuid();
            let mut reminder = desk.reminder(task, customer, ReminderKind::Due);
            reminder.recipient_id = recipient.to_string();
            desk.publish("followup", task, &reminder).await;
            tasks.push(task);
        }
        desk.settle().await;
        let dead = &desk.of_task(tasks[0]).await[&pb::Channel::Inbox];
        assert_eq!((dead.state(), dead.reason.as_str()), (pb::DeliveryState::Dead, "template"));
        assert_eq!(desk.messages_of(lin).await[0].title, "Tea Tea");
    })
    .await;
}
