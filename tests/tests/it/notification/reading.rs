//! Reading: the inbox, its stream, and what may be seen of deliveries.

use std::time::Duration;

use revisit_bootstrap::answer;
use revisit_permission::Action;
use revisit_proto::{followup::v1::ReminderKind, notification::v1 as pb};
use tonic::Code;

use super::desk::{Desk, PATIENCE, at_each_desk, reason};

async fn next(stream: &mut tonic::Streaming<pb::Message>) -> pb::Message {
    let next = tokio::time::timeout(PATIENCE, stream.message()).await.expect("it comes in time");
    next.expect("the stream goes on").expect("the stream goes on")
}

#[tokio::test]
async fn a_stream_brings_what_was_missed_and_then_what_arrives() {
    at_each_desk(async |desk: &Desk| {
        desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        let watch = |after_sequence| desk.as_user(pb::WatchMessagesRequest { after_sequence });
        let mut client = desk.inbox();
        let mut stream = client.watch_messages(watch(0)).await.expect("a stream").into_inner();
        assert_eq!(next(&mut stream).await.title, "Welcome to Revisit");
        assert_eq!(next(&mut stream).await.title, "Follow-up due: Blue Tea");
        desk.remind(ReminderKind::Overdue).await;
        let pushed = tokio::time::timeout(Duration::from_secs(2), next(&mut stream)).await.expect("within 2 s");
        assert_eq!(pushed.title, "Follow-up overdue: Blue Tea");
        let mut later = client.watch_messages(watch(pushed.sequence - 1)).await.expect("a stream").into_inner();
        assert_eq!(next(&mut later).await.message_id, pushed.message_id);
    })
    .await;
}

#[tokio::test]
async fn reading_is_kept_for_each_message_and_repeats_change_nothing() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        let count = async || {
            let request = desk.as_user(pb::GetUnreadCountRequest {});
            answer(desk.inbox().get_unread_count(request).await).expect("a count").unread_count
        };
        assert_eq!(count().await, 2);
        let read = desk.messages().await[0].message_id.clone();
        for _ in 0..2 {
            let request = pb::MarkReadRequest { message_ids: vec![read.clone()] };
            let left = answer(desk.inbox().mark_read(desk.as_user(request)).await).expect("it is marked");
            assert_eq!(left.unread_count, 1);
        }
        let delivery = desk.of_task(task).await.remove(&pb::Channel::Inbox).expect("it was planned");
        assert_eq!(delivery.state(), pb::DeliveryState::Read);
        assert!(delivery.read_time.is_some());
        let request = pb::ListMessagesRequest { unread_only: true, ..Default::default() };
        let unread = answer(desk.inbox().list_messages(desk.as_user(request)).await).expect("a page").messages;
        assert_eq!(unread.len(), 1);
        assert_ne!(unread[0].message_id, read);
    })
    .await;
}

#[tokio::test]
async fn nobody_reads_or_marks_somebody_elses_message() {
    at_each_desk(async |desk: &Desk| {
        let lin = desk.colleague("lin").await;
        let mine = desk.messages().await[0].message_id.clone();
        let request = pb::MarkReadRequest { message_ids: vec![mine] };
        let refused = desk.inbox().mark_read(desk.as_subject(lin, request)).await.expect_err("it is not hers");
        assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, "MESSAGE_NOT_FOUND"));
        assert_eq!(desk.messages().await[0].read_time, None);
    })
    .await;
}

#[tokio::test]
async fn an_inbox_is_paged_newest_first_without_a_gap() {
    at_each_desk(async |desk: &Desk| {
        for _ in 0..6 {
            desk.remind(ReminderKind::Due).await;
        }
        desk.settle().await;
        let (mut sequences, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListMessagesRequest { page_size: 3, page_token, unread_only: false };
            let page = answer(desk.inbox().list_messages(desk.as_user(request)).await).expect("a page");
            sequences.extend(page.messages.iter().map(|message| message.sequence));
            page_token = page.next_page_token;
            if page_token.is_empty() {
                break;
            }
        }
        assert_eq!(sequences, [7, 6, 5, 4, 3, 2, 1]);
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_seen_in_scope_only() {
    at_each_desk(async |desk: &Desk| {
        let lin = desk.colleague("lin").await;
        let list = |subject| desk.as_subject(subject, pb::ListDeliveriesRequest::default());
        let none = desk.deliveries().list_deliveries(list(lin)).await.expect_err("no right to see any");
        assert_eq!(none.code(), Code::PermissionDenied);
        desk.grant(&[Action::DeliveryView]).await;
        let mei = desk.identity.user;
        let all = answer(desk.deliveries().list_deliveries(list(mei)).await).expect("a page").deliveries;
        assert!(all.iter().any(|delivery| delivery.recipient_id == lin.to_string()));
        let counts = pb::CountDeliveriesRequest::default();
        let counted = answer(desk.deliveries().count_deliveries(desk.as_user(counts)).await).expect("counts").counts;
        let total: i64 = counted.iter().map(|count| count.count).sum();
        assert_eq!(total, i64::try_from(all.len()).expect("few"));
        let unknown = pb::GetDeliveryRequest { delivery_id: super::desk::fresh() };
        let missing = desk.deliveries().get_delivery(desk.as_user(unknown)).await.expect_err("there is none");
        assert_eq!((missing.code(), reason(&missing)), (Code::NotFound, "DELIVERY_NOT_FOUND"));
    })
    .await;
}
