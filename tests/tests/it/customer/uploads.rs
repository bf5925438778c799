//! What uploaded files may take of the database, and when it is given back.

use std::time::Duration;

use revisit_core::Kind;
use revisit_proto::customer::v1 as pb;
use tokio_stream::{StreamExt, iter, pending};

use super::support::{Office, Seat, in_each_office_with};

/// Pieces in which files lie.
const PIECES: &str = "SELECT count(*) AS n FROM import_chunk";

/// A file of one row and about so many KiB.
fn file(kibibytes: usize) -> String {
    format!("姓名,手机号,随便\n王芳,13800001001,{}\n", "x".repeat(kibibytes << 10))
}

async fn upload(who: &Seat, kibibytes: usize) -> Result<pb::ImportJob, revisit_core::Failure> {
    who.upload("customers.csv", file(kibibytes).as_bytes()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_company_keeps_so_much_of_uploaded_files_and_has_room_again_when_their_imports_end() {
    in_each_office_with("[customer]\nupload_mebibytes_max = 1\n", async |office: &Office| {
        let (manager, director) = (office.seat("manager"), office.seat("director"));
        let first = upload(&manager, 700).await.expect("it fits");
        let refused = upload(&director, 700).await.expect_err("two of them do not");
        assert_eq!((refused.kind, refused.reason), (Kind::Exhausted, "TOO_MANY"));
        assert_eq!(refused.details.get("what").map(String::as_str), Some("mebibytes of uploads"));
        assert_eq!(office.number(PIECES).await, 3, "nothing is kept of what was refused");
        manager.start_import(&first.job_id).await;
        office.settle().await;
        upload(&director, 700).await.expect("there is room again");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_ended_import_has_left_behind_is_forgotten_and_the_file_of_one_that_waits_is_not() {
    in_each_office_with("", async |office: &Office| {
        let manager = office.seat("manager");
        manager.upload("ended.csv", file(700).as_bytes()).await.expect("a job");
        let waiting = upload(&manager, 300).await.expect("a job");
        office.write("UPDATE import_job SET state = 4, ended_at = created_at WHERE file_name = 'ended.csv'").await;
        assert_eq!(office.number(PIECES).await, 5);
        office.advance(Duration::from_hours(2)).await;
        office.until(PIECES, 2).await;
        manager.start_import(&waiting.job_id).await;
        office.settle().await;
        assert_eq!(manager.job(&waiting.job_id).await.created_count, 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_was_cut_off_is_forgotten_within_two_hours() {
    in_each_office_with("", async |office: &Office| {
        use pb::upload_file_request::Part;
        let header = Part::Header(pb::UploadHeader { file_name: "customers.csv".to_owned(), ..Default::default() });
        let bytes = Part::Data(file(700).into_bytes());
        let parts = [header, bytes].map(|part| pb::UploadFileRequest { part: Some(part) });
        let mut imports = office.seat("manager").imports();
        let cut = {
            let call = imports.upload_file(iter(parts).chain(pending()));
            tokio::select! {
                _ = call => false,
                () = office.until(PIECES, 2) => true,
            }
        };
        assert!(cut, "it never ends by itself");
        office.advance(Duration::from_hours(2)).await;
        office.until(PIECES, 0).await;
    })
    .await;
}
