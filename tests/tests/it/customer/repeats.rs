//! Writes that are sent again: one effect, the first answer, and nothing of what the caller may no longer see.

mod writes;

use std::{collections::BTreeSet, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_core::{Kind, id::kind::Event};
use revisit_proto::customer::v1 as pb;

use super::{
    person,
    support::{Office, in_each_office},
};
use crate::bad_input::keys::keyed;
use writes::{CALLS, Sent, Things, send};

/// What a repeat might have done twice: every row that a write makes or moves, and every event but audit entries, of
/// which reading a preview leaves one too.
const DONE: &str = "SELECT (SELECT count(*) FROM customer) + (SELECT CAST(sum(version) AS bigint) FROM customer)
    + (SELECT count(*) FROM timeline_entry) + (SELECT count(*) FROM customer_order)
    + (SELECT count(cancelled_at) FROM customer_order) + (SELECT CAST(sum(version) AS bigint) FROM field)
    + (SELECT CAST(sum(version) AS bigint) FROM segment) + (SELECT count(*) FROM transfer_job)
    + (SELECT count(*) FROM import_job) + (SELECT CAST(sum(state) AS bigint) FROM import_job)
    + (SELECT count(*) FROM import_chunk) + (SELECT CAST(coalesce(sum(version), 0) AS bigint) FROM scheme)
    + (SELECT count(*) FROM outbox WHERE kind <> 'revisit.identity.v1.audit_entry') AS n";

fn key(office: &Office) -> String {
    office.new_id::<Event>().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_sent_again_answers_the_first_and_does_nothing_and_another_one_under_its_id_is_refused() {
    let tried: BTreeSet<_> = CALLS.iter().map(|call| format!("/revisit.customer.v1.{call}")).collect();
    let written: BTreeSet<_> = keyed().into_iter().filter(|path| path.starts_with("/revisit.customer.")).collect();
    assert_eq!(tried, written, "every write of the contract is tried");
    in_each_office(async |office: &Office| {
        let things = Things::make(office).await;
        for call in CALLS {
            let request_id = key(office);
            let first = send(office, &things, call, Sent { request_id: request_id.clone(), other: false });
            let first = first.await.expect(call);
            office.settle().await;
            let done = office.number(DONE).await;
            let again = send(office, &things, call, Sent { request_id: request_id.clone(), other: false });
            let again = again.await.expect(call);
            office.settle().await;
            assert_eq!((again, office.number(DONE).await), (first, done), "{call}");
            let reused = send(office, &things, call, Sent { request_id, other: true }).await.expect_err(call);
            assert_eq!((reused.kind, reused.reason), (Kind::Precondition, "REQUEST_ID_REUSED"), "{call}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_sent_twice_at_once_is_done_once_and_answered_alike() {
    in_each_office(async |office: &Office| {
        let things = Things::make(office).await;
        for call in CALLS {
            let request_id = key(office);
            let sent = || send(office, &things, call, Sent { request_id: request_id.clone(), other: false });
            let (one, other) = tokio::join!(sent(), sent());
            assert_eq!(one.expect(call), other.expect(call), "{call}");
            office.settle().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_does_not_do_again_what_was_undone_in_between() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let customer_id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let is_deleted = async || manager.get(&customer_id).await.is_err();
        let delete = |request_id: String| pb::DeleteCustomerRequest {
            customer_id: customer_id.clone(),
            request_id,
            ..Default::default()
        };
        let restore = |request_id: String| pb::RestoreCustomerRequest { customer_id: customer_id.clone(), request_id };
        let (deletion, second, restoral, batch) = (key(office), key(office), key(office), key(office));
        answer(manager.customers().delete_customer(delete(deletion.clone())).await).expect("deleted");
        let nothing =
            answer(manager.customers().delete_customer(delete(second.clone())).await).expect("it was already");
        assert!(nothing.delete_time.is_some());
        answer(manager.customers().restore_customer(restore(restoral.clone())).await).expect("restored");
        for request_id in [deletion.clone(), second] {
            let again = answer(manager.customers().delete_customer(delete(request_id)).await).expect("the first");
            assert_eq!((again.customer_id, is_deleted().await), (customer_id.clone(), false));
        }
        let all = pb::BatchDeleteCustomersRequest {
            customer_ids: vec![customer_id.clone()],
            expected_count: 1,
            request_id: batch,
        };
        answer(manager.customers().batch_delete_customers(all.clone()).await).expect("deleted");
        let again = answer(manager.customers().restore_customer(restore(restoral)).await).expect("the first");
        assert_eq!((again.delete_time.is_some(), is_deleted().await), (true, true), "as it is now");
        answer(manager.customers().restore_customer(restore(key(office))).await).expect("restored anew");
        let again = answer(manager.customers().batch_delete_customers(all).await).expect("the first").answers;
        assert_eq!((again[0].reason.as_str(), is_deleted().await), ("", false));
        // After a day nobody remembers.
        office.advance(Duration::from_hours(25)).await;
        answer(manager.customers().delete_customer(delete(deletion)).await).expect("deleted");
        assert!(is_deleted().await);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeat_names_the_version_that_it_has_replaced_itself_and_is_not_aborted_for_it() {
    in_each_office(async |office: &Office| {
        let admin = office.seat("admin");
        let made = admin.segment("vip").await.expect("made");
        let named = |name: &str, etag: &str, request_id: &str| pb::UpdateSegmentRequest {
            segment: Some(pb::Segment { name: name.to_owned(), ..made.clone() }),
            etag: etag.to_owned(),
            request_id: request_id.to_owned(),
        };
        let request_id = key(office);
        answer(admin.segments().update_segment(named("甲", "1", &request_id)).await).expect("changed");
        answer(admin.segments().update_segment(named("乙", "2", "")).await).expect("changed by another request");
        let again = answer(admin.segments().update_segment(named("甲", "1", &request_id)).await).expect("the first");
        assert_eq!((again.name.as_str(), again.etag.as_str()), ("乙", "3"), "the row as it is now");
        let stale = answer(admin.segments().update_segment(named("甲", "1", "")).await).expect_err("without a key");
        assert_eq!((stale.kind, stale.reason), (Kind::Conflict, "ETAG_STALE"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_is_sent_again_names_the_version_that_it_made_of_a_customer_who_is_out_of_sight() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let customer_id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let all = pb::BatchDeleteCustomersRequest {
            customer_ids: vec![customer_id.clone()],
            expected_count: 1,
            request_id: key(office),
        };
        let etag = |answers: Vec<pb::CustomerAnswer>| answers[0].customer.as_ref().expect("it is named").etag.clone();
        let delete = async || answer(manager.customers().batch_delete_customers(all.clone()).await).expect("deleted");
        let first = etag(delete().await.answers);
        let restore = pb::RestoreCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        answer(manager.customers().restore_customer(restore).await).expect("restored");
        let away = pb::TransferCustomerRequest {
            customer_id: customer_id.clone(),
            owner_id: office.who("outsider").to_string(),
            reason: "moves".to_owned(),
            ..Default::default()
        };
        answer(office.seat("director").ownership().transfer_customer(away).await).expect("handed over");
        assert_eq!(manager.get(&customer_id).await.map_err(|it| it.reason), Err("CUSTOMER_NOT_FOUND"));
        assert_eq!(etag(delete().await.answers), first);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_handed_a_customer_away_is_told_by_a_repeat_that_it_was_done_and_nothing_of_the_customer() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let sold = pb::Customer { stage: "won".to_owned(), ..person("王芳", "13800001001") };
        let create = pb::CreateCustomerRequest { customer: Some(sold), request_id: key(office) };
        let made = answer(manager.customers().create_customer(create.clone()).await).expect("made");
        let note = pb::AddNoteRequest {
            customer_id: made.customer_id.clone(),
            text: "周末看样板间".to_owned(),
            request_id: key(office),
        };
        answer(manager.timeline().add_note(note.clone()).await).expect("noted");
        let hand_over = pb::MoveStageRequest {
            customer_id: made.customer_id.clone(),
            stage: "service".to_owned(),
            new_owner_id: office.who("service").to_string(),
            request_id: key(office),
            ..Default::default()
        };
        let first = answer(manager.customers().move_stage(hand_over.clone()).await).expect("handed over");
        assert_eq!(manager.get(&made.customer_id).await.map_err(|it| it.reason), Err("CUSTOMER_NOT_FOUND"));
        let again = answer(manager.customers().move_stage(hand_over).await).expect("it was done");
        assert!(again.levels.iter().all(|it| it.level == "hidden"), "{again:?}");
        let bare = pb::Customer {
            customer_id: first.customer_id,
            etag: first.etag,
            levels: again.levels.clone(),
            ..Default::default()
        };
        assert_eq!(again, bare);
        let again = answer(manager.customers().create_customer(create).await).expect("it was done");
        assert_eq!(again, pb::Customer { etag: made.etag, ..bare });
        let refused = answer(manager.timeline().add_note(note).await).expect_err("notes are for who may note");
        assert_eq!((refused.kind, refused.reason), (Kind::NotFound, "CUSTOMER_NOT_FOUND"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_sent_again_is_known_by_its_bytes_however_they_were_cut() {
    in_each_office(async |office: &Office| {
        let (manager, request_id) = (office.seat("manager"), key(office));
        let file = writes::file("甲");
        let first = manager.upload_as(&request_id, "c.csv", file.as_bytes().chunks(7)).await.expect("a job");
        let again = manager.upload_as(&request_id, "c.csv", file.as_bytes().chunks(11)).await.expect("the first job");
        assert_eq!(again, first);
        assert_eq!(office.number("SELECT count(*) AS n FROM import_chunk").await, 1, "no second file is kept");
        let other = writes::file("乙");
        let reused = manager.upload_as(&request_id, "c.csv", other.as_bytes().chunks(7)).await.expect_err("another");
        assert_eq!(reused.reason, "REQUEST_ID_REUSED");
        assert_eq!(office.number("SELECT count(*) AS n FROM import_chunk").await, 1, "nor a third");
    })
    .await;
}
