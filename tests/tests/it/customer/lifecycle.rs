//! Three ways in with one check, deletion of many with a typed number, and the way back for thirty days.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;

use super::{
    person,
    support::{Office, in_each_office},
};

#[tokio::test(flavor = "multi_thread")]
async fn by_hand_by_file_or_by_interface_a_customer_is_checked_alike_and_found_again() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let upsert = |external: &str, name: &str, phone: &str, city: &str| pb::UpsertCustomerRequest {
            customer: Some(pb::Customer {
                external_id: external.to_owned(),
                city: city.to_owned(),
                ..person(name, phone)
            }),
            ..Default::default()
        };
        let first =
            answer(rep.customers().upsert_customer(upsert("E-1", "王芳", "13800001001", "")).await).expect("made");
        let again = upsert("E-1", "王芳芳", "13800001009", "上海");
        let again = answer(rep.customers().upsert_customer(again).await).expect("written");
        assert_eq!(
            (&again.customer_id, again.name.as_str(), again.city.as_str()),
            (&first.customer_id, "王芳芳", "上海")
        );
        assert_eq!(again.contact_points.len(), 2, "a number is added, none is lost");
        // The same mistakes on all three ways.
        let bad = answer(rep.customers().upsert_customer(upsert("E-2", "", "12345", "")).await).expect_err("bad");
        let by_hand = rep.create(person("", "12345")).await.expect_err("bad");
        let by_file = manager.import(office, "姓名,手机号\n,12345\n".as_bytes()).await;
        let by_file = manager.import_rows(&by_file.job_id, "rejected").await;
        let rules = |failure: &revisit_core::Failure| {
            failure.violations.iter().map(|bad| bad.rule.clone()).collect::<std::collections::BTreeSet<_>>()
        };
        let told = by_file[0].violations.iter().map(|bad| bad.rule.clone()).collect();
        assert_eq!((rules(&bad), rules(&by_hand)), (rules(&by_hand), told));
        // And the same repeat: known by the number that came last.
        let repeat = upsert("E-3", "王女士", "13800001009", "");
        let repeat = answer(rep.customers().upsert_customer(repeat).await).expect_err("she is there");
        let by_hand = rep.create(person("王女士", "13800001009")).await.expect_err("she is there");
        for failure in [repeat, by_hand] {
            assert_eq!((failure.kind, failure.reason), (Kind::Exists, "DUPLICATE"));
            assert_eq!(failure.details.get("customer_id"), Some(&first.customer_id));
        }
        let by_file = manager.import(office, "姓名,手机号\n王女士,13800001009\n".as_bytes()).await;
        assert_eq!((by_file.created_count, by_file.merged_count), (0, 1));
        let taken = upsert("E-1", "别人", "13900000001", "");
        let taken = answer(office.seat("outsider").customers().upsert_customer(taken).await).expect_err("taken");
        assert_eq!((taken.kind, taken.reason), (Kind::Exists, "EXTERNAL_ID_TAKEN"));
        let delete = pb::DeleteCustomerRequest { customer_id: first.customer_id.clone(), ..Default::default() };
        answer(manager.customers().delete_customer(delete).await).expect("deleted");
        let anew = upsert("E-1", "王芳", "13800001001", "");
        let anew = answer(rep.customers().upsert_customer(anew).await).expect("who was deleted is made anew");
        assert_ne!(anew.customer_id, first.customer_id);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn many_are_deleted_only_by_their_number_each_for_itself_and_come_back_for_thirty_days() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let mut ids = Vec::new();
        for (owner, phone) in [("rep", "13800001001"), ("rep", "13800001002"), ("outsider", "13800001003")] {
            ids.push(office.seat(owner).create(person("王芳", phone)).await.expect("made").customer_id);
        }
        let order = |count: i32| pb::BatchDeleteCustomersRequest {
            customer_ids: ids.clone(),
            expected_count: count,
            ..Default::default()
        };
        for count in [2, 4] {
            let slip = answer(manager.customers().batch_delete_customers(order(count)).await).expect_err("a slip");
            assert_eq!((slip.kind, slip.reason), (Kind::Precondition, "COUNT_MISMATCH"));
            assert_eq!(slip.details.get("expected").map(String::as_str), Some("3"));
        }
        assert_eq!(manager.list("").await.expect("a list").len(), 2, "nothing is gone");
        let answers = answer(manager.customers().batch_delete_customers(order(3)).await).expect("answers").answers;
        let reasons: Vec<_> = answers.iter().map(|it| (it.customer_id.clone(), it.reason.as_str())).collect();
        let expected: Vec<_> = ids.iter().cloned().zip(["", "", "CUSTOMER_NOT_FOUND"]).collect();
        assert_eq!(reasons, expected, "the branch's row is not hers");
        assert!(manager.list("").await.expect("a list").is_empty());
        office.seat("outsider").get(&ids[2]).await.expect("still there");
        let request = pb::ListCustomersRequest { deleted: true, ..Default::default() };
        let bin = answer(manager.customers().list_customers(request).await).expect("what was deleted").customers;
        assert_eq!(bin.len(), 2);
        let restore = |id: &str| pb::RestoreCustomerRequest { customer_id: id.to_owned(), ..Default::default() };
        office.advance(Duration::from_hours(24 * 29)).await;
        let back = answer(manager.customers().restore_customer(restore(&ids[0])).await).expect("in time");
        assert_eq!((back.contact_points.len(), back.delete_time), (1, None));
        office.advance(Duration::from_hours(24 * 2)).await;
        let late = answer(manager.customers().restore_customer(restore(&ids[1])).await).expect_err("too late");
        assert_eq!((late.kind, late.reason), (Kind::Precondition, "RESTORE_TIME_OVER"));
        let entries = manager.entries(&ids[0]).await.expect("a timeline");
        let told: Vec<_> =
            entries.iter().filter(|it| it.kind == pb::EntryKind::Record as i32).map(|it| &it.to).collect();
        assert_eq!(told.len(), 3, "made, deleted, restored: {told:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_change_of_a_customer_is_in_the_audit_log_with_the_fields_that_were_written_and_no_value() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let customer_id = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let moved = pb::Customer {
            customer_id: customer_id.clone(),
            city: "上海".to_owned(),
            contact_points: person("", "13800001002").contact_points,
            ..Default::default()
        };
        rep.update(moved, &["city", "contact_points"]).await.expect("written");
        rep.move_stage(&customer_id, "contacted").await.expect("moved");
        let note = pb::AddNoteRequest {
            customer_id: customer_id.clone(),
            text: "calls back on Monday".to_owned(),
            ..Default::default()
        };
        answer(rep.timeline().add_note(note).await).expect("noted");
        let delete = pb::DeleteCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        answer(manager.customers().delete_customer(delete).await).expect("deleted");
        let restore = pb::RestoreCustomerRequest { customer_id: customer_id.clone(), ..Default::default() };
        answer(manager.customers().restore_customer(restore).await).expect("restored");
        let imported = manager.import(office, "姓名,手机号\n李雷,13800001003\n".as_bytes()).await;
        let (rep, manager) = (rep.id.to_string(), manager.id.to_string());
        let expected = [
            ("customer.create", &rep, ""),
            ("customer.update", &rep, "contact_points city"),
            ("customer.stage", &rep, "stage"),
            ("customer.note", &rep, "timeline.text"),
            ("customer.delete", &manager, "delete_time"),
            ("customer.restore", &manager, "delete_time"),
            ("customer.import", &manager, ""),
        ];
        for (action, by, fields) in expected {
            let mut entries = office.audited(action).await;
            entries.retain(|entry| entry.resource == "customer");
            let [entry] = entries.as_slice() else { panic!("{action}: {entries:?}") };
            let mut named = entry.fields.clone();
            let mut expected: Vec<_> = fields.split_whitespace().map(str::to_owned).collect();
            named.sort();
            expected.sort();
            assert_eq!((&entry.subject_id, named), (by, expected), "{action}");
            assert!(!entry.witness.is_empty() && entry.resource_ids.len() == 1, "{entry:?}");
            if action != "customer.import" {
                assert_eq!(entry.resource_ids, std::slice::from_ref(&customer_id), "{action}");
            }
            let told = format!("{entry:?}");
            assert!(!["13800", "上海", "Monday"].iter().any(|value| told.contains(value)), "{told}");
        }
        assert_eq!(imported.created_count, 1);
    })
    .await;
}
