//! Background work: what cannot go on ends or waits by itself, and holds up nothing else.

use revisit_bootstrap::status::answer;
use revisit_permission::{Action, ActionSet, Extent, Layer, Level, Levels, Template};
use revisit_proto::customer::v1 as pb;

use super::{
    person,
    support::{Office, in_each_office, in_each_office_with},
};

/// Rows of a file each of which enters every segment.
const ROWS: usize = 400;
const SEGMENTS: usize = 30;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_opened_ends_its_own_import_and_the_next_one_goes_on() {
    in_each_office(async |office: &Office| {
        let director = office.seat("director");
        let file = "姓名,手机号\n王芳,13800001001\n";
        let broken = director.upload("broken.csv", file.as_bytes()).await.expect("a job");
        office.write("UPDATE import_chunk SET sealed = 'broken'").await;
        director.start_import(&broken.job_id).await;
        let whole = director.import(office, file.as_bytes()).await;
        assert_eq!(whole.created_count, 1);
        let stopped = director.job(&broken.job_id).await;
        assert_eq!((stopped.state(), stopped.stop_reason.as_str()), (pb::ImportState::Stopped, "INTERNAL"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_nobody_can_decide_about_yet_waits_without_a_result_and_holds_up_no_other_work() {
    in_each_office(async |office: &Office| {
        let (rep, manager) = (office.seat("rep"), office.seat("manager"));
        rep.create(person("王芳", "13800001001")).await.expect("made");
        let other = rep.create(person("李强", "13800001002")).await.expect("made").customer_id;
        let job = manager.upload("customers.csv", "姓名,手机号,城市\n王芳,13800001001,上海\n".as_bytes()).await;
        let job = job.expect("a job").job_id;
        // As if the row had been written under rights that this replica has not heard of.
        office.write("UPDATE customer SET auth_rev = 1000000 WHERE name = '王芳'").await;
        manager.start_import(&job).await;
        let order = pb::CreateBulkTransferRequest {
            customer_ids: vec![other],
            owner_id: office.who("colleague").to_string(),
            ..Default::default()
        };
        answer(manager.ownership().create_bulk_transfer(order).await).expect("a job");
        office.until("SELECT count(*) AS n FROM transfer_job WHERE state = 2 AND moved_count = 1", 1).await;
        let waits = "SELECT count(*) AS n FROM import_job WHERE state = 2 AND next_row = 0";
        assert_eq!(office.number(waits).await, 1, "it is no customer of others, and no refused row");
        office.write("UPDATE customer SET auth_rev = 0 WHERE name = '王芳'").await;
        office.settle().await;
        let done = manager.job(&job).await;
        assert_eq!((done.state(), done.merged_count), (pb::ImportState::Done, 1), "{done:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_loses_every_race_ends_and_the_next_one_of_its_company_goes_on() {
    in_each_office(async |office: &Office| {
        let director = office.seat("director");
        let file = "姓名,手机号\n王芳,13800001001\n";
        director.import(office, file.as_bytes()).await;
        // A key that nobody has: it is never found by who looks, and always there for who writes.
        office.write("UPDATE strong_key SET customer_id = tenant_id").await;
        let losing = director.upload("losing.csv", file.as_bytes()).await.expect("a job");
        director.start_import(&losing.job_id).await;
        let next = director.import(office, "姓名,手机号\n李强,13800001002\n".as_bytes()).await;
        assert_eq!((next.state(), next.created_count), (pb::ImportState::Done, 1));
        let stopped = director.job(&losing.job_id).await;
        assert_eq!((stopped.state(), stopped.stop_reason.as_str()), (pb::ImportState::Stopped, "MATCH_RACE"));
        assert!(director.import_rows(&losing.job_id, "").await.is_empty());
        assert_eq!(office.number("SELECT count(*) AS n FROM import_chunk").await, 0, "its file is forgotten with it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn customers_that_cross_many_segments_are_written_in_smaller_pieces() {
    in_each_office_with("[customer]\nbatch_rows = 1000\n", async |office: &Office| {
        let (admin, director) = (office.seat("admin"), office.seat("director"));
        for number in 0..SEGMENTS {
            admin.segment(&format!("name != \"{number}\"")).await.expect("a segment");
        }
        let rows: String = (0..ROWS).map(|number| format!("客户{number},1380000{number:04}\n")).collect();
        let done = director.import(office, format!("姓名,手机号\n{rows}").as_bytes()).await;
        assert_eq!((done.state(), done.created_count), (pb::ImportState::Done, ROWS as i64), "{done:?}");
        assert_eq!(office.heard::<pb::SegmentEntered>().await.len(), ROWS * SEGMENTS);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_has_two_hundred_segments_at_the_most() {
    in_each_office(async |office: &Office| {
        let admin = office.seat("admin");
        let first = admin.segment("stage == \"lead\"").await.expect("a segment");
        for _ in 1..200 {
            admin.segment("stage == \"lead\"").await.expect("a segment");
        }
        let refused = admin.segment("stage == \"lead\"").await.expect_err("one too many");
        assert_eq!((refused.reason, refused.details.get("what").map(String::as_str)), ("TOO_MANY", Some("segments")));
        let delete = pb::DeleteSegmentRequest { segment_id: first.segment_id, ..Default::default() };
        answer(admin.segments().delete_segment(delete).await).expect("nobody watches it");
        admin.segment("stage == \"lead\"").await.expect("there is room again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_that_repeats_an_earlier_one_adds_no_layer_that_its_importer_may_not_write() {
    in_each_office(async |office: &Office| {
        let names = Template {
            actions: ActionSet::of(&[Action::CustomerImport, Action::CustomerView, Action::CustomerUpdate]),
            extent: Extent::Own,
            stages: None,
            grades: None,
            external: None,
            levels: Levels::HIDDEN.with(Layer::Basic, Level::Write),
        };
        office.grant("finance", vec![names]).await;
        let finance = office.seat("finance");
        let file =
            "姓名,类型,城市,手机号\n上海华信贸易有限公司,公司,上海,\n上海华信贸易有限公司,公司,上海,13800001001\n";
        let job = finance.upload("customers.csv", file.as_bytes()).await.expect("a job");
        let column =
            |column: i32, target: &str| pb::ColumnMapping { column, target: target.to_owned(), ..Default::default() };
        let mapping = vec![column(0, "name"), column(1, "kind"), column(2, "city"), column(3, "phone")];
        let request = pb::SetMappingRequest { job_id: job.job_id.clone(), mapping, ..Default::default() };
        answer(finance.imports().set_mapping(request).await).expect("mapped");
        finance.start_import(&job.job_id).await;
        office.settle().await;
        let rows = finance.import_rows(&job.job_id, "").await;
        let results: Vec<_> = rows.iter().map(|row| (row.result.as_str(), row.duplicate_of_row)).collect();
        assert_eq!(results, [("created", 0), ("duplicate", 1)]);
        assert_eq!(office.number("SELECT count(*) AS n FROM contact_point").await, 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_an_uploaded_file_is_for_its_uploader_and_for_who_reads_every_layer_of_imports() {
    in_each_office(async |office: &Office| {
        let manager = office.seat("manager");
        let file = "姓名,手机号,备注\n王芳,坏号码13800001001,不要打电话\n李 强,138 0000 1002,\n";
        let waiting = manager.upload("waiting.csv", file.as_bytes()).await.expect("a job");
        assert!(!waiting.preview[1].changes.is_empty(), "{waiting:?}");
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!(done.rejected_count, 1);
        for (who, clear) in [("manager", true), ("director", true), ("boss", false), ("admin", false)] {
            let seat = office.seat(who);
            let seen = seat.job(&waiting.job_id).await;
            assert_eq!(seen.preview.iter().any(|row| !row.changes.is_empty()), clear, "{who}: {seen:?}");
            let text = seat.rejected(&done.job_id).await;
            assert!(text.contains("phone: must be a phone number"), "{who}: {text}");
            assert_eq!(text.contains("13800001001") && text.contains("不要打电话"), clear, "{who}: {text}");
        }
        let mut readers: Vec<_> = office
            .audited("import.view")
            .await
            .into_iter()
            .map(|entry| (entry.subject_id, entry.resource_ids, entry.count))
            .collect();
        let entry = |who: &str, job: &str, rows| (office.who(who).to_string(), vec![job.to_owned()], rows);
        let mut expected = vec![
            entry("manager", &done.job_id, 1),
            entry("director", &done.job_id, 1),
            entry("director", &waiting.job_id, 2),
        ];
        readers.sort();
        expected.sort();
        assert_eq!(readers, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn amounts_in_an_uploaded_file_stay_hidden_to_who_reads_imports_and_no_amounts() {
    in_each_office(async |office: &Office| {
        office.seat("admin").field("budget", pb::FieldType::Number, "financial").await;
        let file =
            "姓名,手机号,budget\n王芳,坏号码13800001001,９８７６５\n\"李\"强,13800001002,5\n张敏, 138 0000 1003 ,7\n";
        let manager = office.seat("manager");
        let waiting = manager.upload("waiting.csv", file.as_bytes()).await.expect("a job");
        let done = manager.import(office, file.as_bytes()).await;
        assert!(done.rejected_count >= 2, "{done:?}");
        for (who, amounts) in [("manager", true), ("director", false)] {
            let seat = office.seat(who);
            let preview = seat.job(&waiting.job_id).await.preview;
            let changes: Vec<_> = preview.iter().flat_map(|row| &row.changes).collect();
            assert!(changes.iter().any(|change| change.contains("13800001003")), "{who}: {changes:?}");
            assert_eq!(changes.iter().any(|change| change.contains("98765")), amounts, "{who}: {changes:?}");
            let text = seat.rejected(&done.job_id).await;
            assert!(text.contains("王芳") && text.contains("13800001001"), "{who}: {text}");
            assert_eq!(text.contains("９８７６５"), amounts, "{who}: {text}");
            assert_eq!(text.contains("13800001002"), amounts, "{who}: what falls into no cells: {text}");
        }
    })
    .await;
}
