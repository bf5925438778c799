//! What every call keeps to: pages without gaps, answers item by item, repeats that change nothing, versions that count.

use std::collections::BTreeSet;

use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Failure, Kind};
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::customer::v1 as pb;

use super::{
    person,
    support::{Office, Seat, everywhere, in_each_office},
};

#[tokio::test(flavor = "multi_thread")]
async fn pages_neither_skip_nor_repeat_what_was_there_whatever_comes_and_goes_in_between() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let name = |number: i32| format!("客户{number:02}");
        let phone = |number: i32| format!("1380000{number:04}");
        for order_by in ["", "create_time", "name", "name desc"] {
            let mut there = BTreeSet::new();
            for number in (10..30).step_by(2) {
                there.insert(rep.create(person(&name(number), &phone(number))).await.expect("made").customer_id);
            }
            let (mut seen, mut page_token, mut beside) = (Vec::new(), String::new(), Vec::new());
            loop {
                let request = pb::ListCustomersRequest {
                    page_size: 3,
                    page_token,
                    order_by: order_by.to_owned(),
                    ..Default::default()
                };
                let page = answer(manager.customers().list_customers(request).await).expect("a page");
                seen.extend(page.customers.into_iter().map(|row| row.customer_id));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
                if beside.len() >= 9 {
                    continue;
                }
                // One more in front, one in the middle, one behind; and one that was seen goes.
                for number in [beside.len(), beside.len() + 40, 99 - beside.len()] {
                    let number = i32::try_from(number).expect("small");
                    let row = rep.create(person(&name(number), &phone(number + 100))).await.expect("made");
                    beside.push(row.customer_id);
                }
                let gone = seen.iter().find(|id| there.contains(*id)).expect("one of the first").clone();
                let delete = pb::DeleteCustomerRequest { customer_id: gone.clone(), ..Default::default() };
                answer(manager.customers().delete_customer(delete).await).expect("deleted");
                there.remove(&gone);
            }
            let once: BTreeSet<_> = seen.iter().cloned().collect();
            assert_eq!(once.len(), seen.len(), "{order_by}: no row twice");
            assert!(there.is_subset(&once), "{order_by}: none that was there all the time is missing");
            let customer_ids: Vec<String> = there.into_iter().chain(beside).collect();
            let expected_count = i32::try_from(customer_ids.len()).expect("small");
            let sweep = pb::BatchDeleteCustomersRequest { customer_ids, expected_count };
            let swept = answer(manager.customers().batch_delete_customers(sweep).await).expect("for the next order");
            assert!(swept.answers.iter().all(|it| it.reason.is_empty()), "{swept:?}");
        }
        let request = pb::ListCustomersRequest { page_token: "bm9uZQ".to_owned(), ..Default::default() };
        let strange = answer(manager.customers().list_customers(request).await).expect_err("not a token of ours");
        assert_eq!(strange.kind, Kind::Invalid);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_answers_each_id_in_its_place_and_what_may_not_be_seen_like_what_is_not_there() {
    in_each_office(async |office: &Office| {
        let own = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let other = office.seat("outsider").create(person("李强", "13800001002")).await.expect("made").customer_id;
        let nobody = office.new_id::<revisit_core::id::kind::Customer>().to_string();
        let customer_ids = vec![other.clone(), own.clone(), nobody.clone()];
        let request = pb::BatchGetCustomersRequest { customer_ids: customer_ids.clone() };
        let answers =
            answer(office.seat("rep").customers().batch_get_customers(request).await).expect("answers").answers;
        let told: Vec<_> = answers.iter().map(|it| (&it.customer_id, it.reason.as_str())).collect();
        let expected = [(&other, "CUSTOMER_NOT_FOUND"), (&own, ""), (&nobody, "CUSTOMER_NOT_FOUND")];
        assert_eq!(told, expected);
        assert_eq!(answers[1].customer, office.seat("rep").get(&own).await.ok(), "what a get answers");
        assert!(answers[0].customer.is_none() && answers[2].customer.is_none());
        let many = vec![own; 1_001];
        let request = pb::BatchGetCustomersRequest { customer_ids: many };
        let refused = answer(office.seat("rep").customers().batch_get_customers(request).await).expect_err("too many");
        assert_eq!((refused.kind, refused.violations[0].field.as_str()), (Kind::Invalid, "customer_ids"));
    })
    .await;
}

/// Calls that write, each as it is sent under one request id; `word` makes it another request.
async fn write(
    office: &Office,
    call: &str,
    customer_id: &str,
    (request_id, word): (&str, &str),
) -> Result<String, Failure> {
    let (rep, director, boss, admin) =
        (office.seat("rep"), office.seat("director"), office.seat("boss"), office.seat("admin"));
    let (customer_id, request_id, word) = (customer_id.to_owned(), request_id.to_owned(), word.to_owned());
    let owner_id = office.who("rep").to_string();
    match call {
        "create" => {
            let request = pb::CreateCustomerRequest { customer: Some(person(&word, "13900001000")), request_id };
            answer(rep.customers().create_customer(request).await).map(|it| it.customer_id)
        }
        "upsert" => {
            let row = pb::Customer { external_id: "E-9".to_owned(), ..person(&word, "13900001001") };
            let request = pb::UpsertCustomerRequest { customer: Some(row), request_id };
            answer(rep.customers().upsert_customer(request).await).map(|it| it.etag)
        }
        "update" => {
            let row = pb::Customer { customer_id: customer_id.clone(), city: word, ..Default::default() };
            let etag = rep.get(&customer_id).await?.etag;
            let update_mask = revisit_tests::world::mask(&["city"]);
            // The version is part of the request: a repeat names the one that it named first.
            let etag = if request_id.is_empty() { etag } else { "1".to_owned() };
            let request = pb::UpdateCustomerRequest { customer: Some(row), update_mask, etag, request_id };
            answer(rep.customers().update_customer(request).await).map(|it| it.etag)
        }
        "stage" => {
            let request = pb::MoveStageRequest { customer_id, stage: word, request_id, ..Default::default() };
            answer(rep.customers().move_stage(request).await).map(|it| it.etag)
        }
        "transfer" => {
            let request =
                pb::TransferCustomerRequest { customer_id, owner_id, reason: word, request_id, ..Default::default() };
            answer(director.ownership().transfer_customer(request).await).map(|it| it.etag)
        }
        "bulk" => {
            let customer_ids = vec![customer_id];
            let request = pb::CreateBulkTransferRequest {
                customer_ids,
                owner_id,
                reason: word,
                request_id,
                ..Default::default()
            };
            answer(director.ownership().create_bulk_transfer(request).await).map(|it| it.job_id)
        }
        "note" => {
            let request = pb::AddNoteRequest { customer_id, text: word, request_id };
            answer(rep.timeline().add_note(request).await).map(|it| it.entry_id)
        }
        "order" => {
            let amount = Some(pb::Money { minor_units: 1, currency: "CNY".to_owned() });
            let place_time = Some(wire::time(super::support::BEGIN));
            let order = pb::Order { customer_id, amount, place_time, description: word, ..Default::default() };
            let request = pb::RecordOrderRequest { order: Some(order), request_id };
            answer(boss.orders().record_order(request).await).map(|it| it.order_id)
        }
        "field" => {
            let field = pb::Field {
                key: "motto".to_owned(),
                title: word,
                r#type: pb::FieldType::Text.into(),
                ..Default::default()
            };
            let request = pb::CreateFieldRequest { field: Some(field), request_id };
            answer(admin.catalogue().create_field(request).await).map(|it| it.field_id)
        }
        _ => {
            let segment = pb::Segment { name: word, filter: "vip".to_owned(), ..Default::default() };
            let request = pb::CreateSegmentRequest { segment: Some(segment), request_id };
            answer(admin.segments().create_segment(request).await).map(|it| it.segment_id)
        }
    }
}

/// What a repeat might have done twice.
const DONE: &str = "SELECT (SELECT count(*) FROM customer) + (SELECT CAST(sum(version) AS bigint) FROM customer)
    + (SELECT count(*) FROM timeline_entry) + (SELECT count(*) FROM customer_order) + (SELECT count(*) FROM field)
    + (SELECT count(*) FROM segment) + (SELECT count(*) FROM transfer_job) AS n";

#[tokio::test(flavor = "multi_thread")]
async fn a_write_that_is_sent_again_answers_the_first_and_does_nothing_and_another_one_under_its_id_is_refused() {
    in_each_office(async |office: &Office| {
        let records = everywhere(
            &[Action::CustomerOrderRecord],
            Levels::HIDDEN.with(Layer::Basic, Level::Write).with(Layer::Financial, Level::Write),
        );
        office.grant("boss", vec![records]).await;
        let id = office.seat("rep").create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let calls = ["update", "create", "upsert", "stage", "transfer", "bulk", "note", "order", "field", "segment"];
        for call in calls {
            let request_id = office.new_id::<revisit_core::id::kind::Event>().to_string();
            let (word, other) = if call == "stage" { ("contacted", "churned") } else { ("甲", "乙") };
            let first = write(office, call, &id, (&request_id, word)).await.expect(call);
            office.settle().await;
            let done = office.number(DONE).await;
            let again = write(office, call, &id, (&request_id, word)).await.expect(call);
            office.settle().await;
            assert_eq!((again, office.number(DONE).await), (first, done), "{call}");
            let reused = write(office, call, &id, (&request_id, other)).await.expect_err(call);
            assert_eq!(reused.reason, "REQUEST_ID_REUSED", "{call}");
        }
    })
    .await;
}

async fn stale(who: &Seat, director: &Seat, customer_id: &str, etag: &str) -> Vec<Failure> {
    let (customer_id, etag) = (customer_id.to_owned(), etag.to_owned());
    let row = pb::Customer { customer_id: customer_id.clone(), city: "上海".to_owned(), ..Default::default() };
    let update_mask = revisit_tests::world::mask(&["city"]);
    let update =
        pb::UpdateCustomerRequest { customer: Some(row), update_mask, etag: etag.clone(), ..Default::default() };
    let stage = "contacted".to_owned();
    let stage =
        pb::MoveStageRequest { customer_id: customer_id.clone(), stage, etag: etag.clone(), ..Default::default() };
    let delete = pb::DeleteCustomerRequest { customer_id: customer_id.clone(), etag: etag.clone() };
    let owner_id = director.id.to_string();
    let transfer = pb::TransferCustomerRequest { customer_id, owner_id, etag, ..Default::default() };
    vec![
        answer(who.customers().update_customer(update).await).expect_err("an update"),
        answer(who.customers().move_stage(stage).await).expect_err("a move"),
        answer(director.customers().delete_customer(delete).await).expect_err("a deletion"),
        answer(director.ownership().transfer_customer(transfer).await).expect_err("a transfer"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_a_version_that_is_no_longer_the_newest_is_aborted_and_told_which_one_is() {
    in_each_office(async |office: &Office| {
        let (rep, director) = (office.seat("rep"), office.seat("director"));
        let made = rep.create(person("王芳", "13800001001")).await.expect("made");
        let tag = pb::TagCustomerRequest {
            customer_id: made.customer_id.clone(),
            add: vec!["团购".to_owned()],
            ..Default::default()
        };
        let newest = answer(rep.customers().tag_customer(tag).await).expect("tagged").etag;
        for failure in stale(&rep, &director, &made.customer_id, &made.etag).await {
            assert_eq!((failure.kind, failure.reason), (Kind::Conflict, "ETAG_STALE"));
            assert_eq!(failure.details.get("etag"), Some(&newest));
        }
        assert_eq!(rep.get(&made.customer_id).await.expect("his").etag, newest, "nothing was written");
    })
    .await;
}
