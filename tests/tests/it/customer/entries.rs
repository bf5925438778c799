//! What the log says of changes: each by the right that allowed it, and each act once.

use std::collections::BTreeSet;

use revisit_bootstrap::status::answer;
use revisit_permission::{Action, ActionSet, Extent, Levels, Template};
use revisit_proto::{customer::v1 as pb, identity::v1::AuditEntry};

use super::{
    person,
    support::{Office, Seat, in_each_office},
};

/// What customers in these stages are imported by.
fn during(stages: &[&str]) -> Template {
    let stages = stages.iter().map(|stage| (*stage).to_owned()).collect();
    Template {
        actions: ActionSet::of(&[Action::CustomerImport]),
        extent: Extent::Own,
        stages: Some(stages),
        grades: None,
        external: None,
        levels: Levels::WRITE,
    }
}

/// Which customers each right is said to have changed, and which fields.
fn by_right(entries: &[AuditEntry]) -> BTreeSet<(&str, BTreeSet<&str>, Vec<&str>)> {
    let told = entries.iter().map(|it| {
        let right = it.witness.rsplit_once('#').map_or(it.witness.as_str(), |(_, template)| template);
        let ids = it.resource_ids.iter().map(String::as_str).collect();
        (right, ids, it.fields.iter().map(String::as_str).collect())
    });
    told.collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_of_an_import_stands_in_the_log_with_the_right_that_allowed_it_also_when_it_is_taken_back() {
    in_each_office(async |office: &Office| {
        office.grant("finance", vec![during(&["lead"]), during(&["won"])]).await;
        let finance = office.seat("finance");
        let file = "姓名,手机号,阶段\n甲,13800000001,lead\n乙,13800000002,won\n丙,13800000003,lead\n";
        let done = finance.import(office, file.as_bytes()).await;
        assert_eq!(done.created_count, 3, "{done:?}");
        let rows = finance.import_rows(&done.job_id, "created").await;
        let ids = |of: &[usize]| of.iter().map(|row| rows[*row].customer_id.as_str()).collect::<BTreeSet<_>>();
        let entries = office.audited("customer.import").await;
        let expected =
            |fields: Vec<&'static str>| BTreeSet::from([("0", ids(&[0, 2]), fields.clone()), ("1", ids(&[1]), fields)]);
        assert_eq!(by_right(&entries), expected(Vec::new()));
        let request = pb::RevertImportRequest { job_id: done.job_id.clone(), ..Default::default() };
        answer(finance.imports().revert_import(request).await).expect("it begins");
        office.settle().await;
        let entries = office.audited("customer.import").await;
        let back: Vec<_> = entries.into_iter().filter(|entry| !entry.fields.is_empty()).collect();
        assert_eq!(by_right(&back), expected(vec!["delete_time"]));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_that_makes_some_customers_and_merges_into_others_is_an_entry_for_each_of_both() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let known = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let file = "姓名,手机号,城市\n李强,13800001002,上海\n王芳,13800001001,上海\n";
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!((done.created_count, done.merged_count), (1, 1), "{done:?}");
        let made = manager.import_rows(&done.job_id, "created").await[0].customer_id.clone();
        for (action, id) in [("customer.import", made), ("customer.update", known)] {
            let entries = office.audited(action).await;
            assert_eq!(entries.iter().map(|entry| &entry.resource_ids[..]).collect::<Vec<_>>(), [[id]], "{action}");
            assert_eq!(entries[0].subject_id, manager.id.to_string());
        }
    })
    .await;
}

/// What the log says of a customer: of each change the act, the fields and why.
async fn told(office: &Office, customer_id: &str) -> Vec<(String, Vec<String>, String)> {
    let entries = office.heard::<AuditEntry>().await;
    let about =
        entries.into_iter().filter(|entry| entry.resource_ids == [customer_id] && entry.action != "customer.create");
    about.map(|entry| (entry.action, entry.fields, entry.why)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_is_one_entry_that_names_all_that_was_written_with_it() {
    in_each_office(async |office: &Office| {
        let (rep, director) = (office.seat("rep"), office.seat("director"));
        let made = async |who: &Seat, name: &str, phone: &str| {
            who.create(person(name, phone)).await.expect("made").customer_id
        };
        let (moved, sold) = (made(&rep, "王芳", "13800001001").await, made(&rep, "李强", "13800001002").await);
        let request = pb::TransferCustomerRequest {
            customer_id: moved.clone(),
            owner_id: office.who("outsider").to_string(),
            reason: "搬家".to_owned(),
            ..Default::default()
        };
        answer(director.ownership().transfer_customer(request).await).expect("moved");
        let words = |them: &[&str]| them.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let hand_over = words(&["owner_id", "department_id"]);
        assert_eq!(told(office, &moved).await, [("customer.transfer".to_owned(), hand_over, "搬家".to_owned())]);
        for stage in ["contacted", "qualified", "negotiating", "won"] {
            rep.move_stage(&sold, stage).await.expect("a sale");
        }
        let request = pb::MoveStageRequest {
            customer_id: sold.clone(),
            stage: "service".to_owned(),
            new_owner_id: office.who("service").to_string(),
            ..Default::default()
        };
        answer(rep.customers().move_stage(request).await).expect("handed over");
        let mut stages = told(office, &sold).await;
        stages.sort();
        let kept = ("customer.stage".to_owned(), words(&["stage"]), String::new());
        let given = ("customer.stage".to_owned(), words(&["owner_id", "department_id", "stage"]), String::new());
        assert_eq!(stages, [given, kept.clone(), kept.clone(), kept.clone(), kept]);
    })
    .await;
}
