//! What every call keeps to: pages without gaps, answers item by item, versions that count.

use std::collections::BTreeSet;

use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Kind};
use revisit_proto::customer::v1 as pb;

use super::{
    person,
    support::{Office, Seat, in_each_office},
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
            let sweep = pb::BatchDeleteCustomersRequest { customer_ids, expected_count, ..Default::default() };
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

async fn stale(who: &Seat, director: &Seat, customer_id: &str, etag: &str) -> Vec<Failure> {
    let (customer_id, etag) = (customer_id.to_owned(), etag.to_owned());
    let row = pb::Customer { customer_id: customer_id.clone(), city: "上海".to_owned(), ..Default::default() };
    let update_mask = revisit_tests::world::mask(&["city"]);
    let update =
        pb::UpdateCustomerRequest { customer: Some(row), update_mask, etag: etag.clone(), ..Default::default() };
    let stage = "contacted".to_owned();
    let stage =
        pb::MoveStageRequest { customer_id: customer_id.clone(), stage, etag: etag.clone(), ..Default::default() };
    let delete =
        pb::DeleteCustomerRequest { customer_id: customer_id.clone(), etag: etag.clone(), ..Default::default() };
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
