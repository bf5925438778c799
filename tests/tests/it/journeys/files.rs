//! A file of customers, dirty as files are, comes in row by row.

use revisit_bootstrap::status::{answer, failure};
use revisit_proto::customer::v1 as pb;
use revisit_tests::world::{World, in_each_world};

const FILE: &str = "姓名,手机号,城市,生日\r\n王芳,+86 138 0000 1001,上海,1992-02-29\r\n王女士,１３８００００１００１,上海,\r\n\
                    李强,12345,杭州,\r\n,13800001004,北京,\r\n张敏,138-0000-1005,北京,1990/05/06\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn a_dirty_file_makes_customers_finds_the_repeat_and_tells_why_rows_are_rejected() {
    in_each_world(async |world: &World| {
        let director = world.hire("zong", "regional_manager", &world.root).await;
        let parts = [
            pb::upload_file_request::Part::Header(pb::UploadHeader {
                file_name: "customers.csv".to_owned(),
                ..Default::default()
            }),
            pb::upload_file_request::Part::Data(FILE.as_bytes().to_vec()),
        ];
        let parts = parts.map(|part| pb::UploadFileRequest { part: Some(part) });
        let upload = tonic::Request::new(tokio_stream::iter(parts));
        let job = answer(director.imports().upload_file(upload).await).expect("a job");
        let request = pb::SetMappingRequest { job_id: job.job_id.clone(), mapping: job.mapping, ..Default::default() };
        let job = answer(director.imports().set_mapping(request).await).expect("a preview");
        assert_eq!(job.preview.len(), 5);
        let request = pb::StartImportRequest { job_id: job.job_id.clone(), ..Default::default() };
        answer(director.imports().start_import(request).await).expect("it starts");
        let watch = pb::GetImportRequest { job_id: job.job_id.clone() };
        let mut states = answer(director.imports().watch_import(watch).await).expect("a stream");
        let mut last = None;
        while let Some(state) = states.message().await.map_err(|status| failure(&status)).expect("it goes on") {
            last = Some(state);
        }
        let done = last.expect("a last state");
        assert_eq!(done.state, pb::ImportState::Done as i32);
        assert_eq!((done.row_count, done.created_count, done.merged_count + done.duplicate_count), (5, 2, 1));
        assert_eq!(done.rejected_count, 2);
        let request =
            pb::ListImportRowsRequest { job_id: job.job_id, result: "rejected".to_owned(), ..Default::default() };
        let rejected = answer(director.imports().list_import_rows(request).await).expect("rows").rows;
        assert!(rejected.iter().all(|row| !row.violations.is_empty()), "{rejected:?}");
        let count = pb::CountCustomersRequest::default();
        assert_eq!(answer(director.customers().count_customers(count).await).expect("a count").count, 2);
    })
    .await;
}
