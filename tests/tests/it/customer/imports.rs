//! Imports under bad luck: killed on the way, taken back, or hardly a file at all.

use std::collections::BTreeSet;

use encoding_rs::GB18030;
use revisit_bootstrap::status::{answer, failure};
use revisit_permission::{Action, Layer, Level, Levels};
use revisit_proto::customer::v1 as pb;

use super::{
    person,
    support::{Office, Seat, everywhere, in_each_office, in_each_office_with},
};

const KILLS: i64 = 4;
const ROWS: i64 = 400;

pub fn state(job: &pb::ImportJob) -> (pb::ImportState, &str) {
    (pb::ImportState::try_from(job.state).expect("a known state"), job.stop_reason.as_str())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_is_killed_again_and_again_gives_every_row_one_result_and_one_customer() {
    in_each_office_with("[customer]\nbatch_rows = 8\n", async |office: &Office| {
        // Every tenth row repeats the one before; a row in a hundred breaks a rule.
        let rows = (1..=ROWS).map(|number| match number {
            _ if number % 100 == 50 => "坏行,12345\n".to_owned(),
            _ if number % 10 == 0 => format!("客户{number}再,1380000{:04}\n", number - 1),
            _ => format!("客户{number},1380000{number:04}\n"),
        });
        let file = format!("姓名,手机号\n{}", rows.collect::<String>());
        let director = office.seat("director");
        let job = director.upload("customers.csv", file.as_bytes()).await.expect("a job");
        director.start_import(&job.job_id).await;
        for kill in 1..=KILLS {
            let there = kill * ROWS / (KILLS + 2);
            let reached = format!("SELECT count(*) AS n FROM import_job WHERE next_row >= {there}");
            office.until(&reached, 1).await;
            office.kill();
            let running = "SELECT count(*) AS n FROM import_job WHERE state = 2 AND next_row < row_count";
            assert_eq!(office.number(running).await, 1, "it was killed on the way");
            office.open().await;
        }
        office.settle().await;
        let director = office.seat("director");
        let done = director.job(&job.job_id).await;
        assert_eq!(state(&done), (pb::ImportState::Done, ""));
        let (bad, repeats) = (ROWS / 100, ROWS / 10 - ROWS / 100);
        assert_eq!((done.created_count, done.rejected_count), (ROWS - bad - repeats, bad));
        assert_eq!(done.merged_count + done.duplicate_count, repeats);
        let rows = director.import_rows(&job.job_id, "").await;
        let numbers: Vec<i64> = rows.iter().map(|row| row.row).collect();
        assert_eq!(numbers, (1..=ROWS).collect::<Vec<_>>(), "one result for each row");
        let made: BTreeSet<_> = rows.iter().filter(|row| row.result == "created").map(|row| &row.customer_id).collect();
        let living = director.list("").await.expect("a list");
        assert_eq!(living.iter().map(|row| &row.customer_id).collect::<BTreeSet<_>>(), made);
        let left = "SELECT count(*) AS n FROM import_chunk";
        assert_eq!(office.number(left).await, 0, "the file is forgotten");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_that_repeats_itself_in_a_later_batch_is_still_taken_back_as_a_whole() {
    in_each_office_with("[customer]\nbatch_rows = 3\n", async |office: &Office| {
        let director = office.seat("director");
        let known = director.create(person("旧客户", "13700000000")).await.expect("made").customer_id;
        let file = "姓名,手机号,标签\n甲,13800000001,\n乙,13800000002,\n丙,13800000003,\n丁,13800000004,\n\
                    甲,13800000001,团购\n乙,13800000002,续费\n旧,13700000000,试听\n";
        let done = director.import(office, file.as_bytes()).await;
        assert_eq!((done.created_count, done.merged_count), (4, 3), "{done:?}");
        let touched = director.list("\"续费\" in tags").await.expect("a list").pop().expect("乙").customer_id;
        let change = pb::Customer { customer_id: touched.clone(), city: "上海".to_owned(), ..Default::default() };
        director.update(change, &["city"]).await.expect("somebody works with it");
        let request = pb::RevertImportRequest { job_id: done.job_id.clone(), ..Default::default() };
        answer(director.imports().revert_import(request).await).expect("it begins");
        office.settle().await;
        let reverted = director.job(&done.job_id).await;
        assert_eq!((state(&reverted).0, reverted.kept_count), (pb::ImportState::Reverted, 1));
        let left: BTreeSet<_> =
            director.list("").await.expect("a list").into_iter().map(|row| row.customer_id).collect();
        assert_eq!(left, BTreeSet::from([known, touched]));
        let again = director.import(office, file.as_bytes()).await;
        assert_eq!(again.created_count, 3, "what was taken back is free");
    })
    .await;
}

async fn names(who: &Seat) -> BTreeSet<String> {
    who.list("").await.expect("a list").into_iter().map(|row| row.name).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_row_is_merged_only_into_what_the_importer_may_write_and_an_external_id_has_one_customer() {
    in_each_office(async |office: &Office| {
        let (rep, outsider, manager) = (office.seat("rep"), office.seat("outsider"), office.seat("manager"));
        let own = pb::Customer { external_id: "E-1".to_owned(), ..person("王芳", "13800001001") };
        let own = rep.create(own).await.expect("made").customer_id;
        let seen = outsider.create(person("李强", "13800001002")).await.expect("made").customer_id;
        let looks = everywhere(&[Action::CustomerView], Levels::HIDDEN.with(Layer::Basic, Level::Read));
        office.grant("manager", vec![looks]).await;
        let file = "姓名,手机号,城市,客户编号\n王芳,13800001001,上海,\n李强,13800001002,杭州,\n\
                    张敏,13800001003,,E-1\n赵磊,13800001004,,E-2\n钱多,13800001005,,E-2\n";
        let done = manager.import(office, file.as_bytes()).await;
        assert_eq!(state(&done), (pb::ImportState::Done, ""));
        let rows = manager.import_rows(&done.job_id, "").await;
        let results: Vec<_> = rows.iter().map(|row| (row.result.as_str(), row.customer_id.as_str())).collect();
        assert_eq!(results[..2], [("merged", own.as_str()), ("duplicate", seen.as_str())]);
        assert_eq!((results[2].0, results[3].0, results[4].0), ("rejected", "created", "rejected"));
        assert!(rows[2].violations.iter().all(|bad| bad.field == "external_id") && !rows[2].violations.is_empty());
        assert_eq!(rep.get(&own).await.expect("his").city, "上海");
        assert_eq!(outsider.get(&seen).await.expect("hers").city, "", "nothing was written");
        let delete = pb::DeleteCustomerRequest { customer_id: own.clone(), ..Default::default() };
        answer(manager.customers().delete_customer(delete).await).expect("deleted");
        let again = manager.import(office, "姓名,手机号,客户编号\n张敏,13800001003,E-1\n".as_bytes()).await;
        assert_eq!(again.created_count, 1, "a deleted customer's external id is free");
        let restore = pb::RestoreCustomerRequest { customer_id: own, ..Default::default() };
        let taken = answer(manager.customers().restore_customer(restore).await).expect_err("it is another's now");
        assert_eq!(taken.reason, "EXTERNAL_ID_TAKEN");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_hardly_one_is_refused_or_told_row_by_row() {
    in_each_office(async |office: &Office| {
        let director = office.seat("director");
        let endless = vec![b'x'; 3 << 20];
        for bytes in [&endless[..], b"\"name,phone\nx,1\n", b"\n\n\n", b"\xEF\xBB\xBF"] {
            let refused = director.upload("customers.csv", bytes).await.expect_err("no file of rows");
            assert_eq!(refused.reason, "FILE_UNREADABLE", "{refused:?}");
        }
        // GB18030 with a byte that is none, a row with too many cells, and a line without an end.
        let mut bytes = GB18030.encode("姓名,手机号\n王芳,13800001001\n李强").0.into_owned();
        bytes.extend_from_slice(b"\x81\xFF,13800001002\n");
        bytes.extend_from_slice(&GB18030.encode("张敏,13800001003\n赵磊,13800001004,多,了\n钱多,").0);
        bytes.extend_from_slice(&endless);
        let done = director.import(office, &bytes).await;
        assert_eq!((done.encoding.as_str(), state(&done)), ("gb18030", (pb::ImportState::Done, "")));
        assert_eq!(names(&director).await, BTreeSet::from(["王芳".to_owned(), "张敏".to_owned()]));
        let rejected = director.import_rows(&done.job_id, "rejected").await;
        let rules: Vec<_> = rejected.iter().map(|row| (row.row, row.violations[0].rule.as_str())).collect();
        let expected =
            [(2, "is not valid GB18030"), (4, "has more cells than the header"), (5, "is longer than 1 MiB")];
        assert_eq!(rules, expected);
        // A front that looks like UTF-8 and a tail that is not: its rows are told, the others are taken.
        let padding = format!("填充,13800002000,{}\n", "远".repeat(90)).repeat(250);
        let mut mixed = format!("姓名,手机号,来源\n{padding}").into_bytes();
        mixed.extend_from_slice(&GB18030.encode("孙丽,13800002001,官网\n").0);
        mixed.extend_from_slice("周军,13800002002,官网\n".as_bytes());
        let done = director.import(office, &mixed).await;
        assert_eq!((done.encoding.as_str(), done.row_count, done.rejected_count), ("utf-8", 252, 1));
        assert!(names(&director).await.contains("周军"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_rows_come_back_in_pieces_and_are_taken_once_they_are_repaired() {
    in_each_office(async |office: &Office| {
        let director = office.seat("director");
        let long = "很长的来源".repeat(50_000);
        let file =
            format!("姓名,手机号,来源\n王芳,12345,{long}\n\"李, 强\",不详,\"说\"\"好\"\"\"\n张敏,13800001003,\n");
        let done = director.import(office, file.as_bytes()).await;
        assert_eq!((done.created_count, done.rejected_count), (1, 2));
        let request = pb::GetImportRequest { job_id: done.job_id.clone() };
        let mut chunks = answer(director.imports().download_rejected_rows(request).await).expect("a file");
        let (mut text, mut pieces) = (Vec::new(), 0);
        while let Some(chunk) = chunks.message().await.expect("it goes on") {
            assert!(chunk.data.len() <= 256 << 10, "every client takes it");
            text.extend(chunk.data);
            pieces += 1;
        }
        assert!(pieces > 2, "a row of 750 kB is more than one message");
        let text = String::from_utf8(text).expect("UTF-8");
        assert!(text.contains("phone: must be a phone number") && text.contains(&long), "all of it is there");
        let repaired = text.replace("12345", "13800001001").replace("不详", "13800001002").replace(&long, "展会");
        let again = director.import(office, repaired.as_bytes()).await;
        assert_eq!((again.created_count, again.rejected_count), (2, 0), "{again:?}");
        let expected = ["王芳", "李, 强", "张敏"].map(str::to_owned);
        assert_eq!(names(&director).await, BTreeSet::from(expected));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_tries_the_rows_and_shows_the_first_and_those_that_would_be_rejected() {
    in_each_office(async |office: &Office| {
        let director = office.seat("director");
        let phone = |number: u32| {
            if number.is_multiple_of(40) { "坏号码".to_owned() } else { format!("1380000{number:04}") }
        };
        let rows = (1..=200).map(|number| format!("客户{number},{}\n", phone(number)));
        let file: String = std::iter::once("姓名,手机号\n".to_owned()).chain(rows).collect();
        let job = director.upload("customers.csv", file.as_bytes()).await.expect("a job");
        assert_eq!((job.dry_run_row_count, job.dry_run_rejected_count), (200, 5));
        let shown: Vec<i64> = job.preview.iter().map(|row| row.row).collect();
        assert_eq!(shown, (1..=20).chain([40, 80, 120, 160, 200]).collect::<Vec<i64>>());
        assert!(job.preview.iter().all(|row| (row.result == "rejected") == (row.row % 40 == 0)), "{job:?}");
        assert_eq!(job.preview[20].violations[0].field, "phone");
        assert_eq!(office.number("SELECT count(*) AS n FROM customer").await, 0, "nothing is written");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dry_run_of_a_long_file_ends_at_a_row_and_says_how_far_it_went() {
    in_each_office(async |office: &Office| {
        let note = "很".repeat(1_000);
        let rows = (1..=1_000).map(|number| format!("客户{number},1380000{number:04},{note}\n"));
        let file: String = std::iter::once("姓名,手机号,备注\n".to_owned()).chain(rows).collect();
        let job = office.seat("director").upload("customers.csv", file.as_bytes()).await.expect("a job");
        assert_eq!(job.row_count, 1_000);
        assert!((300..=400).contains(&job.dry_run_row_count), "a mebibyte of three: {job:?}");
        assert_eq!((job.dry_run_rejected_count, job.preview.len()), (0, 20));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rejected_rows_stop_within_their_chunk_when_the_right_to_imports_is_taken() {
    in_each_office(async |office: &Office| {
        let director = office.seat("director");
        // A few rows are one chunk, and more bytes than any buffer on the way takes.
        let long = "很长的来源".repeat(50_000);
        let rows: String = (0..4).map(|number| format!("客户{number},12345,{long}\n")).collect();
        let done = director.import(office, format!("姓名,手机号,来源\n{rows}").as_bytes()).await;
        assert_eq!(done.rejected_count, 4);
        let request = pb::GetImportRequest { job_id: done.job_id };
        let mut chunks = answer(director.imports().download_rejected_rows(request).await).expect("a file");
        let mut bytes = chunks.message().await.expect("it begins").expect("a piece").data.len();
        office.strip("director").await;
        let end = loop {
            match chunks.message().await {
                Ok(Some(piece)) => bytes += piece.data.len(),
                Ok(None) => break None,
                Err(status) => break Some(failure(&status)),
            }
        };
        assert!(end.is_some() && bytes < rows.len() / 2, "{bytes} bytes of {} have left, {end:?}", rows.len());
    })
    .await;
}
