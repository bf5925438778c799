//! The record: who sees what of it, how it changes, and that nothing of it lies in clear.

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world, mask};

use super::{create, fields, get, list, person, point};

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_sees_masked_values_until_clear_ones_are_asked_for_and_a_colleague_sees_nothing() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let mei = world.hire("mei", "sales_rep", &store).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        let made = create(&jun, person("王芳", "１３８ 0000 1001")).await.expect("a customer");
        assert_eq!(made.contact_points[0].value, "138****1001");
        assert_eq!((made.stage.as_str(), made.grade.as_str(), made.etag.as_str()), ("lead", "C", "1"));
        let clear = world.ask(&jun, &made.customer_id).await.expect("hers");
        assert_eq!(clear.contact_points[0].normal_form, "+8613800001001");
        assert_eq!(get(&mei, &made.customer_id).await.map_err(|it| it.kind), Err(Kind::NotFound));
        assert!(list(&mei, "", 10).await.expect("a list").is_empty());
        assert_eq!(list(&manager, "", 10).await.expect("a list").len(), 1);
        let unknown = get(&mei, "0190a0a0-0000-7000-8000-000000000001").await.expect_err("nobody");
        let forbidden = get(&mei, &made.customer_id).await.expect_err("not hers");
        assert_eq!((unknown.reason, unknown.message), (forbidden.reason, forbidden.message));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_is_complete_page_by_page_in_both_directions() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        for number in 0..11 {
            create(&jun, person(&format!("客户{number:02}"), &format!("1380000{number:04}"))).await.expect("made");
        }
        for order_by in ["", "create_time", "name desc", "update_time"] {
            let (mut names, mut page_token) = (Vec::new(), String::new());
            loop {
                let request = pb::ListCustomersRequest {
                    page_size: 4,
                    page_token,
                    order_by: order_by.to_owned(),
                    ..Default::default()
                };
                let page = answer(manager.customers().list_customers(request).await).expect("a page");
                names.extend(page.customers.into_iter().map(|customer| customer.name));
                page_token = page.next_page_token;
                if page_token.is_empty() {
                    break;
                }
            }
            let mut expected: Vec<String> = (0..11).map(|number| format!("客户{number:02}")).collect();
            if order_by.ends_with("desc") {
                expected.reverse();
            } else {
                // The clock stands still, so all were made at one instant: their order is that of their ids.
                names.sort();
            }
            assert_eq!(names, expected, "{order_by}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_every_field_a_stale_version_aborts_and_a_repeat_answers_the_first() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let bad = pb::Customer {
            kind: 99,
            name: " ".to_owned(),
            birthday: "1990-02-30".to_owned(),
            contact_points: vec![point(pb::ContactType::Phone, "不详"), pb::ContactPoint::default()],
            ..Default::default()
        };
        let refused = create(&jun, bad).await.expect_err("nothing of it is right");
        assert_eq!(refused.kind, Kind::Invalid);
        for field in ["customer.kind", "customer.name", "customer.birthday", "customer.contact_points[0].value"] {
            assert!(fields(&refused).contains(&field), "{field}: {:?}", refused.violations);
        }
        let request = pb::CreateCustomerRequest {
            customer: Some(person("王芳", "13800001001")),
            request_id: "0190a0a0-0000-7000-8000-00000000abcd".to_owned(),
        };
        let first = answer(jun.customers().create_customer(request.clone()).await).expect("made");
        let again = answer(jun.customers().create_customer(request).await).expect("the same");
        assert_eq!(first, again);
        let update = |etag: &str, name: &str| pb::UpdateCustomerRequest {
            customer: Some(pb::Customer {
                customer_id: first.customer_id.clone(),
                name: name.to_owned(),
                ..Default::default()
            }),
            update_mask: mask(&["name"]),
            etag: etag.to_owned(),
            ..Default::default()
        };
        let changed = answer(jun.customers().update_customer(update("1", "王芳芳")).await).expect("changed");
        assert_eq!((changed.name.as_str(), changed.etag.as_str()), ("王芳芳", "2"));
        assert_eq!(changed.contact_points[0].value, "138****1001", "what the mask leaves out stays");
        let stale = answer(jun.customers().update_customer(update("1", "王")).await).expect_err("too late");
        assert_eq!((stale.kind, stale.reason), (Kind::Conflict, "ETAG_STALE"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_customer_is_gone_frees_its_number_and_comes_back_with_everything() {
    in_each_world(async |world: &World| {
        let store = world.department("上海徐汇店", &world.root).await;
        let jun = world.hire("jun", "sales_rep", &store).await;
        let manager = world.hire("hui", "sales_manager", &store).await;
        let made = create(&jun, person("王芳", "13800001001")).await.expect("made");
        let delete = || pb::DeleteCustomerRequest { customer_id: made.customer_id.clone(), ..Default::default() };
        let denied = answer(jun.customers().delete_customer(delete()).await).expect_err("a seller deletes nobody");
        assert_eq!(denied.kind, Kind::Denied);
        answer(manager.customers().delete_customer(delete()).await).expect("deleted");
        answer(manager.customers().delete_customer(delete()).await).expect("a repeat changes nothing");
        assert_eq!(get(&jun, &made.customer_id).await.map_err(|it| it.kind), Err(Kind::NotFound));
        let restore = pb::RestoreCustomerRequest { customer_id: made.customer_id.clone(), ..Default::default() };
        answer(manager.customers().restore_customer(restore.clone()).await).expect("restored");
        assert_eq!(get(&jun, &made.customer_id).await.expect("back").contact_points.len(), 1);
        answer(manager.customers().delete_customer(delete()).await).expect("deleted again");
        create(&jun, person("李强", "13800001001")).await.expect("the number is free");
        let taken = answer(manager.customers().restore_customer(restore).await).expect_err("the number is taken");
        assert_eq!((taken.kind, taken.reason), (Kind::Exists, "DUPLICATE"));
    })
    .await;
}
