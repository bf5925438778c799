//! What the log says of changes: each by the right that allowed it, and each act once.

use std::collections::BTreeSet;

use revisit_bootstrap::status::answer;
use revisit_permission::{Action, ActionSet, Extent, Levels, Template};
use revisit_proto::{customer::v1 as pb, identity::v1::AuditEntry};

use super::{
    person,
    support::{Office, Seat, everywhere, in_each_office},
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

/// What the log says of customers that imports made or took back.
async fn imported(office: &Office) -> Vec<AuditEntry> {
    let mut entries = office.audited("customer.import").await;
    entries.retain(|entry| entry.resource == "customer");
    entries
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
        let entries = imported(office).await;
        let expected =
            |fields: Vec<&'static str>| BTreeSet::from([("0", ids(&[0, 2]), fields.clone()), ("1", ids(&[1]), fields)]);
        assert_eq!(by_right(&entries), expected(Vec::new()));
        let request = pb::RevertImportRequest { job_id: done.job_id.clone(), ..Default::default() };
        answer(finance.imports().revert_import(request).await).expect("it begins");
        office.settle().await;
        let entries = imported(office).await;
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
        let written = vec!["city", "contact_points"];
        for (entries, id, fields) in
            [(imported(office).await, made, Vec::new()), (office.audited("customer.update").await, known, written)]
        {
            assert_eq!(entries.iter().map(|entry| &entry.resource_ids[..]).collect::<Vec<_>>(), [[id]]);
            assert_eq!(
                (&entries[0].subject_id, &entries[0].fields[..]),
                (&manager.id.to_string(), &words(&fields)[..])
            );
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_notes_what_its_importer_may_note_by_the_right_to_note() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let known = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let file = |phone: &str| format!("姓名,手机号,备注\n王芳,13800001001,旧友\n李强,{phone},新友\n");
        let noted = async || {
            let entries = rep.entries(&known).await.expect("its owner's").into_iter();
            entries.filter(|entry| entry.kind() == pb::EntryKind::Note).count()
        };
        let done = manager.import(office, file("13800001002").as_bytes()).await;
        assert_eq!((done.created_count, done.merged_count, noted().await), (1, 1, 1), "{done:?}");
        let made = manager.import_rows(&done.job_id, "created").await[0].customer_id.clone();
        let entries = office.audited("customer.note").await;
        let told: BTreeSet<_> = entries.iter().map(|it| (it.resource_ids.clone(), it.fields.clone())).collect();
        assert_eq!(told, BTreeSet::from([(vec![known.clone()], words(&["timeline.text"])), (vec![made], Vec::new())]));
        office.deny("manager", Action::CustomerNote).await;
        let done = manager.import(office, file("13800001003").as_bytes()).await;
        assert_eq!((done.duplicate_count, done.rejected_count, noted().await), (1, 1, 1), "{done:?}");
    })
    .await;
}

/// Says what each column of a file is.
async fn map_columns(who: &Seat, job_id: &str, columns: &[&str]) {
    let column = |(column, target): (i32, &&str)| pb::ColumnMapping {
        column,
        target: (*target).to_owned(),
        ..Default::default()
    };
    let mapping = (0..).zip(columns).map(column).collect();
    let request = pb::SetMappingRequest { job_id: job_id.to_owned(), mapping, ..Default::default() };
    answer(who.imports().set_mapping(request).await).expect("mapped");
}

/// Imports a file whose columns are these.
async fn import_columns(office: &Office, who: &Seat, columns: &[&str], rows: &str) -> pb::ImportJob {
    let file = format!("{}\n{rows}", columns.join(","));
    let job = who.upload("customers.csv", file.as_bytes()).await.expect("a job");
    map_columns(who, &job.job_id, columns).await;
    who.start_import(&job.job_id).await;
    office.settle().await;
    who.job(&job.job_id).await
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_of_an_import_are_told_by_what_they_add_and_by_the_right_to_give_customers_to_others() {
    in_each_office(async |office: &Office| {
        office.grant("manager", vec![everywhere(&[Action::CustomerAssign], Levels::WRITE)]).await;
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        let made = async |name: &str, phone: &str| rep.create(person(name, phone)).await.expect("made").customer_id;
        let first = [made("王芳", "13800001001").await, made("李强", "13800001002").await];
        // The city that the second one has already is told too: what a row does not add tells what is there.
        let change = pb::Customer { customer_id: first[1].clone(), city: "杭州".to_owned(), ..Default::default() };
        rep.update(change, &["city"]).await.expect("written");
        let before = office.audited("customer.update").await.len();
        let tagged = made("张敏", "13800001003").await;
        let rows = format!(
            "王芳,13800001001,上海,,\n李强,13800001002,上海,,\n张敏,13800001003,,团购,\n张敏,13800001003,,,\n\
             赵磊,13800001004,,,{0}\n钱多,13800001005,,,{0}\n孙丽,13800001006,上海,,\n\
             孙丽,13800001006,北京,,\n",
            rep.id
        );
        let columns = ["name", "phone", "city", "tags", "owner_id"];
        let done = import_columns(office, &manager, &columns, &rows).await;
        assert_eq!((done.merged_count, done.duplicate_count, done.created_count), (3, 2, 3), "{done:?}");
        let entries = office.audited("customer.update").await;
        let merges: BTreeSet<_> = entries
            .iter()
            .filter(|entry| entry.subject_id == manager.id.to_string())
            .map(|entry| (entry.fields.clone(), entry.resource_ids.iter().cloned().collect::<BTreeSet<_>>()))
            .collect();
        assert_eq!(entries.len(), before + 2, "rows that add the same are one entry");
        let expected = BTreeSet::from([
            (words(&["city", "contact_points"]), BTreeSet::from(first)),
            (words(&["contact_points", "tags"]), BTreeSet::from([tagged])),
        ]);
        assert_eq!(merges, expected);
        let rows = manager.import_rows(&done.job_id, "created").await;
        let ids: BTreeSet<_> = rows.iter().map(|row| row.customer_id.clone()).collect();
        let given: BTreeSet<_> = rows[..2].iter().map(|row| row.customer_id.clone()).collect();
        let assigned = office.audited("customer.assign").await;
        for (entries, ids) in [(imported(office).await, ids), (assigned, given)] {
            let told: Vec<BTreeSet<_>> = entries.iter().map(|it| it.resource_ids.iter().cloned().collect()).collect();
            assert_eq!(told, [ids], "{entries:?}");
            assert!(entries[0].fields.is_empty() && entries[0].witness.starts_with("role:"), "{entries:?}");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_makes_a_customer_for_somebody_else_is_told_by_both_rights() {
    in_each_office(async |office: &Office| {
        let boss = office.seat("director");
        let given = pb::Customer { owner_id: office.who("rep").to_string(), ..person("王芳", "13800001001") };
        let given = boss.create(given).await.expect("made").customer_id;
        boss.create(person("李强", "13800001002")).await.expect("their own");
        assert_eq!(office.audited("customer.create").await.len(), 2);
        let assigned = office.audited("customer.assign").await;
        assert_eq!(assigned.iter().map(|entry| &entry.resource_ids[..]).collect::<Vec<_>>(), [[given]]);
    })
    .await;
}

/// What the log says of a type that is no customer, in the order of the fields: the act, its fields, why, and of what.
async fn told_of(office: &Office, resource: &str) -> Vec<(String, Vec<String>, String, Vec<String>)> {
    let entries = office.heard::<AuditEntry>().await.into_iter().filter(|entry| entry.resource == resource);
    let told = entries.map(|entry| (entry.action, entry.fields, entry.why, entry.resource_ids));
    let mut told: Vec<_> = told.collect();
    told.sort();
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_segment_is_an_entry_when_it_is_made_changed_and_deleted_and_none_when_it_is_sent_again() {
    in_each_office(async |office: &Office| {
        let admin = office.seat("admin");
        let leads = admin.segment("stage == \"lead\"").await.expect("a segment");
        let segment = pb::Segment { filter: "stage == \"won\"".to_owned(), ..leads.clone() };
        let etag = leads.etag.clone();
        let request = pb::UpdateSegmentRequest { segment: Some(segment), etag, ..Default::default() };
        answer(admin.segments().update_segment(request.clone()).await).expect("another filter");
        answer(admin.segments().update_segment(request).await).expect_err("it has changed since");
        let request_id = office.new_id::<revisit_core::id::kind::Event>().to_string();
        for _ in 0..2 {
            let segment_id = leads.segment_id.clone();
            let request = pb::DeleteSegmentRequest { segment_id, request_id: request_id.clone() };
            answer(admin.segments().delete_segment(request).await).expect("nobody watches it");
        }
        let entry = |fields: &[&str]| {
            ("segment.manage".to_owned(), words(fields), String::new(), vec![leads.segment_id.clone()])
        };
        let expected = [entry(&[]), entry(&["delete_time"]), entry(&["name", "filter"])];
        assert_eq!(told_of(office, "segment").await, expected);
        let entries = office.audited("segment.manage").await;
        assert!(entries.iter().all(|entry| entry.witness.starts_with("role:")), "{entries:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_to_an_import_is_an_entry_of_its_own_and_nothing_is_when_nothing_changes() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let done = manager.upload("customers.csv", "name,phone,city\n王芳,13800001001,上海\n".as_bytes()).await;
        let done = done.expect("a job");
        for _ in 0..2 {
            map_columns(&manager, &done.job_id, &["name", "phone", ""]).await;
        }
        for _ in 0..2 {
            manager.start_import(&done.job_id).await;
        }
        office.settle().await;
        for _ in 0..2 {
            let request = pb::RevertImportRequest { job_id: done.job_id.clone(), ..Default::default() };
            answer(manager.imports().revert_import(request).await).expect("it begins, and has begun");
        }
        office.settle().await;
        let entry =
            |fields: &[&str]| ("customer.import".to_owned(), words(fields), String::new(), vec![done.job_id.clone()]);
        let expected = [entry(&[]), entry(&["mapping"]), entry(&["state"]), entry(&["state"])];
        assert_eq!(told_of(office, "import").await, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_order_of_a_bulk_transfer_and_the_one_that_takes_it_back_say_why() {
    in_each_office(async |office: &Office| {
        let (rep, director) = (office.seat("rep"), office.seat("director"));
        let moved = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let request = pb::CreateBulkTransferRequest {
            customer_ids: vec![moved],
            owner_id: office.who("colleague").to_string(),
            reason: "一".to_owned(),
            ..Default::default()
        };
        let job = answer(director.ownership().create_bulk_transfer(request).await).expect("a job").job_id;
        office.settle().await;
        let request =
            pb::UndoBulkTransferRequest { job_id: job.clone(), reason: "二".to_owned(), ..Default::default() };
        let back = answer(director.ownership().undo_bulk_transfer(request).await).expect("a job").job_id;
        let entry = |why: &str, jobs: &[&String]| {
            let jobs = jobs.iter().map(|job| (*job).clone()).collect();
            ("customer.transfer".to_owned(), Vec::new(), why.to_owned(), jobs)
        };
        let expected = [entry("一", &[&job]), entry("二", &[&back, &job])];
        assert_eq!(told_of(office, "bulk_transfer").await, expected);
    })
    .await;
}

fn words(them: &[&str]) -> Vec<String> {
    them.iter().map(|word| (*word).to_owned()).collect()
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

#[tokio::test(flavor = "multi_thread")]
async fn a_hand_over_to_another_department_of_the_same_owner_is_one_and_says_why() {
    in_each_office(async |office: &Office| {
        let (rep, director) = (office.seat("rep"), office.seat("director"));
        let moved = rep.create(person("王芳", "13800001001")).await.expect("made").customer_id;
        let request = pb::TransferCustomerRequest {
            customer_id: moved.clone(),
            owner_id: rep.id.to_string(),
            department_id: office.branch.to_string(),
            reason: "搬家".to_owned(),
            ..Default::default()
        };
        answer(director.ownership().transfer_customer(request).await).expect("moved");
        let hand_over = words(&["owner_id", "department_id"]);
        assert_eq!(told(office, &moved).await, [("customer.transfer".to_owned(), hand_over, "搬家".to_owned())]);
    })
    .await;
}
