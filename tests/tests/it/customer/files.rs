//! Files in and out: nothing bad blocks what is good, and a whole import can be taken back.

use revisit_bootstrap::status::{answer, failure};
use revisit_core::{Failure, Kind};
use revisit_proto::customer::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

use super::{create, list, person};

/// Sends a file in pieces of an odd size.
async fn upload(who: &Person, bytes: &[u8]) -> Result<pb::ImportJob, Failure> {
    use pb::upload_file_request::Part;
    let header = Part::Header(pb::UploadHeader { file_name: "customers.csv".to_owned(), ..Default::default() });
    let parts: Vec<_> = std::iter::once(header)
        .chain(bytes.chunks(100_003).map(|piece| Part::Data(piece.to_vec())))
        .map(|part| pb::UploadFileRequest { part: Some(part) })
        .collect();
    answer(who.imports().upload_file(tonic::Request::new(tokio_stream::iter(parts))).await)
}

/// Starts a job and waits for its end.
async fn run(who: &Person, job_id: &str) -> pb::ImportJob {
    let request = pb::StartImportRequest { job_id: job_id.to_owned(), ..Default::default() };
    answer(who.imports().start_import(request).await).expect("it starts");
    let request = pb::GetImportRequest { job_id: job_id.to_owned() };
    let mut states = answer(who.imports().watch_import(request).await).expect("a stream");
    let mut last = None;
    while let Some(state) = states.message().await.map_err(|status| failure(&status)).expect("it goes on") {
        last = Some(state);
    }
    last.expect("a last state")
}

async fn rejected_file(who: &Person, job_id: &str) -> String {
    let request = pb::GetImportRequest { job_id: job_id.to_owned() };
    let mut chunks = answer(who.imports().download_rejected_rows(request).await).expect("a file");
    let mut file = Vec::new();
    while let Some(chunk) = chunks.message().await.expect("it goes on") {
        file.extend(chunk.data);
    }
    String::from_utf8(file).expect("UTF-8")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_file_is_reported_row_by_row_and_its_rejected_rows_can_be_sent_again() {
    in_each_world(async |world: &World| {
        let director = world.hire("zong", "regional_manager", &world.root).await;
        let endless = "x".repeat(3 << 20);
        let file = format!(
            "姓名,手机号,标签\r\n王芳,13800001001,团购;试听\r\n\"broken,13800001002,\r\n李强,13800001003,\r\n{endless}\r\n张敏,12345,\r\n王女士,+86 138 0000 1001,续费\r\n"
        );
        let job = upload(&director, file.as_bytes()).await.expect("a job");
        assert_eq!((job.encoding.as_str(), job.row_count), ("utf-8", 6));
        let done = run(&director, &job.job_id).await;
        assert_eq!(done.state, pb::ImportState::Done as i32, "{done:?}");
        assert_eq!((done.created_count, done.duplicate_count, done.rejected_count), (2, 1, 3));
        let named = list(&director, "name == \"王芳\"", 10).await.expect("a list");
        assert_eq!(named[0].tags, ["团购", "续费", "试听"], "the repeat adds what it knows");
        let file = rejected_file(&director, &job.job_id).await;
        assert!(file.contains("张敏,12345") && file.contains("phone: must be a phone number"), "{file}");
        let repaired = file.replace("张敏,12345", "张敏,13800001005");
        let again = upload(&director, repaired.as_bytes()).await.expect("a job");
        let again = run(&director, &again.job_id).await;
        assert_eq!(again.created_count, 1, "{again:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_merges_into_what_the_importer_may_write_and_is_taken_back_as_a_whole() {
    in_each_world(async |world: &World| {
        let director = world.hire("zong", "regional_manager", &world.root).await;
        let known = create(&director, person("王芳", "13800000000")).await.expect("made");
        let rows: String = (0..1_200).map(|number| format!("客户{number},1380000{number:04}\n")).collect();
        let file = format!("姓名,手机号\n{rows}");
        let job = upload(&director, file.as_bytes()).await.expect("a job");
        let done = run(&director, &job.job_id).await;
        assert_eq!((done.created_count, done.merged_count, done.rejected_count), (1_199, 1, 0));
        let touched = &list(&director, "name == \"客户7\"", 10).await.expect("a list")[0];
        let tag = pb::TagCustomerRequest {
            customer_id: touched.customer_id.clone(),
            add: vec!["团购".to_owned()],
            ..Default::default()
        };
        answer(director.customers().tag_customer(tag).await).expect("tagged");
        let request = pb::RevertImportRequest { job_id: job.job_id.clone(), ..Default::default() };
        answer(director.imports().revert_import(request).await).expect("it begins");
        world.settle().await;
        let request = pb::GetImportRequest { job_id: job.job_id };
        let reverted = answer(director.imports().get_import(request).await).expect("the job");
        assert_eq!((reverted.state, reverted.kept_count), (pb::ImportState::Reverted as i32, 1));
        let mut left: Vec<_> =
            list(&director, "", 100).await.expect("a list").into_iter().map(|it| it.customer_id).collect();
        left.sort();
        let mut expected = vec![known.customer_id, touched.customer_id.clone()];
        expected.sort();
        assert_eq!(left, expected);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_file_of_rows_is_refused() {
    in_each_world(async |world: &World| {
        let director = world.hire("zong", "regional_manager", &world.root).await;
        for bytes in [&b""[..], b"name,phone\n", b"\xFF\xFEn\0a\0", b"PK\x03\x04 no workbook"] {
            let refused = upload(&director, bytes).await.expect_err("no rows");
            assert_eq!((refused.kind, refused.reason), (Kind::Invalid, "FILE_UNREADABLE"), "{bytes:?}");
        }
        let seller = world.hire("jun", "sales_rep", &world.root).await;
        assert_eq!(upload(&seller, b"name\nx\n").await.expect_err("not a seller's call").kind, Kind::Denied);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_carries_a_mark_and_masked_values_unless_clear_ones_are_asked_for() {
    in_each_world(async |world: &World| {
        let director = world.hire("zong", "regional_manager", &world.root).await;
        create(&director, person("=王芳", "13800001001")).await.expect("made");
        for (clear_values, shown, hidden) in
            [(false, "138****1001", "13800001001"), (true, "13800001001", "138****1001")]
        {
            let request = pb::ExportCustomersRequest { clear_values, reason: "audit".to_owned(), ..Default::default() };
            let mut chunks = answer(director.exports().export_customers(request).await).expect("a file");
            let mut file = String::new();
            while let Some(chunk) = chunks.message().await.expect("it goes on") {
                file.push_str(&String::from_utf8(chunk.data).expect("UTF-8"));
            }
            assert!(file.contains(shown) && !file.contains(hidden), "{file}");
            assert!(file.contains(&*director.id) && file.contains("'=王芳"), "{file}");
        }
        let unexplained = pb::ExportCustomersRequest::default();
        assert!(answer(director.exports().export_customers(unexplained).await).is_err());
    })
    .await;
}
