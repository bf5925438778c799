//! The listener and what stands in front of every call: health, reflection, bounds, details of failures, drain.

use std::time::Duration;

use revisit_bootstrap::{Process, Shutdown, Sources};
use revisit_proto::{
    customer::v1::{ListTimelineRequest, ListTimelineResponse, timeline_client::TimelineClient},
    identity::v1::{WatchChangesRequest, leases_client::LeasesClient},
};
use revisit_tests::fake_identity::FakeIdentity;
use tokio_stream::StreamExt;
use tonic::{Code, Request, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_reflection::pb::v1alpha as draft;
use tonic_types::StatusExt;

use super::support::{PUBLIC, World, layers, note, reason, services, with_token};

async fn health(channel: Channel, service: &str) -> ServingStatus {
    let request = HealthCheckRequest { service: service.to_owned() };
    let answer = HealthClient::new(channel).check(request).await;
    answer.expect("health always answers").into_inner().status()
}

#[tokio::test]
async fn health_says_serving_for_the_process_and_for_each_service() {
    let world = World::start().await;
    for service in ["", "revisit.customer.v1.Timeline", "revisit.identity.v1.Leases"] {
        assert_eq!(health(world.channel(), service).await, ServingStatus::Serving, "{service}");
    }
}

#[tokio::test]
async fn a_process_is_not_ready_while_a_latch_is_held() {
    let identity = FakeIdentity::new();
    let (sender, receiver) = std::sync::mpsc::channel();
    let services = services(&identity, sender);
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port");
    let layers = layers(&services, &format!("server.listen = '{port}'\ncustomer.latched = true"));
    let process = Process::new("test", &services, layers).expect("valid");
    let starting = tokio::spawn(process.start(Sources::default(), Shutdown::new()));
    let notes = tokio::task::spawn_blocking(move || receiver.recv()).await.expect("no panic").expect("started");
    let channel = Channel::from_shared(format!("http://{port}")).expect("an address").connect_lazy();
    assert_eq!(health(channel.clone(), "").await, ServingStatus::NotServing);
    assert!(!starting.is_finished());
    notes.latch.lock().expect("no panic").take();
    let running = starting.await.expect("no panic").expect("it starts");
    assert_eq!(health(channel, "").await, ServingStatus::Serving);
    running.stop().await.expect("it stops");
}

#[tokio::test]
async fn reflection_lists_what_is_served() {
    let world = World::start().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(world.channel());
    let answers = client.server_reflection_info(tokio_stream::iter([request]));
    let answer = answers.await.expect("it answers").into_inner().next().await.expect("one").expect("an answer");
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else { panic!("no list") };
    let names: Vec<_> = list.service.into_iter().map(|service| service.name).collect();
    assert!(names.iter().any(|name| name == "revisit.customer.v1.Timeline"), "{names:?}");
    // Clients that know the draft of the protocol only.
    let request = draft::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(draft::server_reflection_request::MessageRequest::FileContainingSymbol(
            "revisit.customer.v1.Timeline".to_owned(),
        )),
    };
    let mut client = draft::server_reflection_client::ServerReflectionClient::new(world.channel());
    let answers = client.server_reflection_info(tokio_stream::iter([request]));
    let answer = answers.await.expect("it answers").into_inner().next().await.expect("one").expect("an answer");
    let Some(draft::server_reflection_response::MessageResponse::FileDescriptorResponse(files)) =
        answer.message_response
    else {
        panic!("no file")
    };
    assert!(!files.file_descriptor_proto.is_empty());
}

#[tokio::test]
async fn a_call_ends_at_its_callers_deadline_and_at_the_servers_at_the_latest() {
    let world = World::with("limits.deadline_millis_max = 300").await;
    for timeout in [Some(Duration::from_millis(100)), None, Some(Duration::from_secs(60))] {
        let mut request = with_token(note("wait"), &world.identity.token());
        if let Some(timeout) = timeout {
            request.set_timeout(timeout);
        }
        let mut client = TimelineClient::new(world.channel());
        let answer =
            tokio::time::timeout(Duration::from_secs(5), client.add_note(request)).await.expect("the bound holds");
        let status = answer.expect_err("it waits for ever");
        assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
        if timeout.is_none_or(|timeout| timeout > Duration::from_secs(1)) {
            assert_eq!(reason(&status), "DEADLINE_EXCEEDED");
        }
    }
}

#[tokio::test]
async fn what_is_too_much_at_once_is_refused_and_health_still_answers() {
    let world = World::with("limits.concurrency_max = 1").await;
    let token = world.identity.token();
    let mut client = TimelineClient::new(world.channel());
    let first = tokio::spawn(async move { client.add_note(with_token(note("wait"), &token)).await });
    world.begun().await;
    let status = world.note("").await.expect_err("there is no room");
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
    assert_eq!(health(world.channel(), "").await, ServingStatus::Serving);
    world.notes.release.add_permits(1);
    first.await.expect("no panic").expect("the first one ends");
    world.note("").await.expect("there is room again");
}

#[tokio::test]
async fn one_subject_has_a_share_of_the_calls_and_gets_it_back() {
    let world = World::with("limits.calls_per_subject_max = 1").await;
    let token = world.identity.token();
    let mut client = TimelineClient::new(world.channel());
    let first = tokio::spawn(async move { client.add_note(with_token(note("wait"), &token)).await });
    world.begun().await;
    let status = world.note("").await.expect_err("the subject has its share");
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "CALLS_TOO_MANY"));
    let anybody = TimelineClient::new(world.channel()).list_timeline(ListTimelineRequest::default()).await;
    anybody.expect("there is room for others");
    world.notes.release.add_permits(1);
    first.await.expect("no panic").expect("the first one ends");
    world.note("").await.expect("its share is free again");
}

#[tokio::test]
async fn who_calls_without_a_token_and_sends_nothing_keeps_out_nobody_who_has_one() {
    let world = World::with("limits.public_concurrency_max = 1\nlimits.deadline_millis_max = 5000").await;
    let body = tokio_stream::pending::<ListTimelineRequest>();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static(PUBLIC[0]);
    let mut silent = tonic::client::Grpc::new(world.channel());
    let codec = tonic_prost::ProstCodec::<ListTimelineRequest, ListTimelineResponse>::default();
    silent.ready().await.expect("a connection");
    let silent = tokio::spawn(async move { silent.client_streaming(Request::new(body), path, codec).await.map(drop) });
    let mut client = TimelineClient::new(world.channel());
    let ask = async |client: &mut TimelineClient<_>| client.list_timeline(ListTimelineRequest::default()).await;
    let refused = async {
        loop {
            if let Err(status) = ask(&mut client).await {
                return status;
            }
        }
    };
    let status = tokio::time::timeout(Duration::from_secs(4), refused).await.expect("the silent call has the room");
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "OVERLOADED"));
    world.note("").await.expect("who has a token has other room");
    let late = tokio::time::timeout(Duration::from_secs(4), silent).await.expect("before the call's own deadline");
    let late = late.expect("no panic").expect_err("it never sent anything");
    assert_eq!(reason(&late), "REQUEST_LATE", "{late:?}");
    ask(&mut client).await.expect("there is room for strangers again");
}

#[tokio::test]
async fn a_message_beyond_the_bound_is_refused() {
    let world = World::with("limits.message_bytes_max = 1024").await;
    world.note(&"x".repeat(900)).await.expect("it is small enough");
    let status = world.note(&"x".repeat(1_100)).await.expect_err("it is too large");
    assert_eq!(status.code(), Code::ResourceExhausted, "{status:?}");
    assert_eq!(reason(&status), "MESSAGE_TOO_LARGE");
}

#[tokio::test]
async fn a_failure_arrives_with_reason_details_and_field_violations() {
    let world = World::start().await;
    let missing = world.note("missing").await.expect_err("it is missing");
    let details = missing.get_error_details();
    let info = details.error_info().expect("it has a reason");
    assert_eq!(
        (missing.code(), info.reason.as_str(), info.domain.as_str()),
        (Code::NotFound, "NOTE_NOT_FOUND", "revisit")
    );
    assert_eq!(info.metadata.get("note").map(String::as_str), Some("7"));
    let wrong = world.note("wrong").await.expect_err("it is wrong");
    let details = wrong.get_error_details();
    let fields: Vec<_> =
        details.bad_request().expect("fields").field_violations.iter().map(|bad| bad.field.as_str()).collect();
    assert_eq!((wrong.code(), fields), (Code::InvalidArgument, vec!["text", "customer_id"]));
}

#[tokio::test]
async fn a_fault_of_ours_says_internal_error_and_nothing_more() {
    let world = World::start().await;
    let status = world.note("fault").await.expect_err("it fails");
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert!(!format!("{status:?}").contains("relation"));
}

#[tokio::test]
async fn a_drain_lets_running_calls_end_and_takes_no_new_ones() {
    let world = World::start().await;
    let token = world.identity.token();
    let mut client = TimelineClient::new(world.channel());
    let call = tokio::spawn(async move { client.add_note(with_token(note("wait"), &token)).await });
    world.begun().await;
    world.running.runtime.shutdown.drain();
    let refused = async {
        // The listener closes a moment after the drain begins; until then calls still pass.
        while TimelineClient::new(world.channel()).list_timeline(ListTimelineRequest::default()).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), refused).await.expect("new calls are refused");
    assert!(!call.is_finished());
    world.notes.release.add_permits(1);
    call.await.expect("no panic").expect("the running call ends well");
    world.running.ended().await.expect("an ordered end");
}

#[tokio::test]
async fn a_drain_is_bounded_by_the_configuration() {
    let world = World::with("server.drain_seconds_max = 0").await;
    let token = world.identity.token();
    let mut client = TimelineClient::new(world.channel());
    let call = tokio::spawn(async move { client.add_note(with_token(note("wait"), &token)).await });
    world.begun().await;
    let stopped = tokio::time::timeout(Duration::from_secs(3), world.running.stop()).await;
    stopped.expect("the bound holds").expect("an ordered end");
    let status = call.await.expect("no panic").expect_err("the call is cut off");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "SHUTTING_DOWN"));
}

#[tokio::test]
async fn an_endless_answer_ends_when_draining_begins() {
    let world = World::with("server.drain_seconds_max = 60").await;
    let request = with_token(Request::new(WatchChangesRequest::default()), &world.identity.token());
    let mut changes = LeasesClient::new(world.channel()).watch_changes(request).await.expect("it begins").into_inner();
    world.identity.commit(Vec::new());
    changes.message().await.expect("it goes on").expect("a change");
    world.running.runtime.shutdown.drain();
    let status = tokio::time::timeout(Duration::from_secs(5), changes.message()).await.expect("it ends");
    let status = status.expect_err("the server ends");
    assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "SHUTTING_DOWN"));
    drop(changes);
    let ended = tokio::time::timeout(Duration::from_secs(10), world.running.ended()).await;
    ended.expect("the drain is short").expect("an ordered end");
}

#[tokio::test]
async fn a_subject_has_so_many_endless_answers_at_once_and_another_when_one_has_ended() {
    let world = World::with("limits.streams_per_subject_max = 2").await;
    let watch = async || {
        let request = with_token(Request::new(WatchChangesRequest::default()), &world.identity.token());
        LeasesClient::new(world.channel()).watch_changes(request).await.map(tonic::Response::into_inner)
    };
    let one = watch().await.expect("the first");
    let _other = watch().await.expect("the second");
    let status = watch().await.expect_err("there is no place");
    assert_eq!((status.code(), reason(&status)), (Code::ResourceExhausted, "STREAMS_TOO_MANY"));
    drop(one);
    let again = async { while watch().await.is_err() {} };
    tokio::time::timeout(Duration::from_secs(10), again).await.expect("its place is free");
}

#[tokio::test]
async fn a_handler_that_panics_answers_a_fault_and_harms_no_other_call_of_its_connection() {
    let world = World::start().await;
    let channel = world.channel();
    let ask = async |text: &str| {
        let request = with_token(note(text), &world.identity.token());
        TimelineClient::new(channel.clone()).add_note(request).await.map(drop)
    };
    let waiting = tokio::spawn({
        let mut client = TimelineClient::new(channel.clone());
        let request = with_token(note("wait"), &world.identity.token());
        async move { client.add_note(request).await.map(drop) }
    });
    world.begun().await;
    let status = ask("panic").await.expect_err("it panicked");
    assert_eq!((status.code(), status.message(), reason(&status)), (Code::Internal, "internal error", "INTERNAL"));
    assert!(!format!("{:?}", status.get_error_details()).contains("purpose"));
    world.notes.release.add_permits(1);
    waiting.await.expect("no panic here").expect("the other call of the connection goes on");
    ask("fine").await.expect("the process lives");
}
