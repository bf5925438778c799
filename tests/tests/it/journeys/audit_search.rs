//! Finding entries of the audit log, taking them out, and asking who has read a row.

use revisit_bootstrap::status::{answer, failure};
use revisit_core::{Failure, Kind};
use revisit_proto::{customer::v1 as customer, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::connect_to,
    world::{TENANT, World, credentials, in_each_world},
};
use sea_orm::{ConnectionTrait, Database};
use tonic::transport::Endpoint;

/// Entries that are put into the log at once, for an export of several pieces.
const MANY: usize = 6_000;
/// Entries of one piece.
const PIECE: usize = 500;
/// Bytes that identity may send ahead of who reads.
const WINDOW: u32 = 65_535;

async fn found(auditor: &Person, request: identity::ListEntriesRequest) -> Vec<identity::ChainedEntry> {
    let auditor = auditor.fresh().await.expect("a session");
    let request = identity::ListEntriesRequest { page_size: 1_000, ..request };
    answer(auditor.audit().list_entries(request).await).expect("an auditor reads the log").entries
}

/// Mei has a customer that she and Lin have read, Lin twice, and an export was refused to her.
async fn reading(world: &World) -> (Person, Person, Person, String) {
    let mei = world.hire("mei", "sales_rep", &world.root).await;
    let lin = world.hire("lin", "sales_manager", &world.root).await;
    let shen = world.hire("shen", "auditor", &world.root).await;
    let ours = world.customer(&mei, "王芳", "13800001001").await.customer_id;
    for who in [&mei, &lin, &lin] {
        world.ask(who, &ours).await.expect("it is theirs to read");
    }
    let export = customer::ExportCustomersRequest { reason: "to take along".to_owned(), ..Default::default() };
    answer(mei.exports().export_customers(export).await).map(drop).expect_err("not hers to export");
    world.settle().await;
    (mei, lin, shen, ours)
}

#[tokio::test(flavor = "multi_thread")]
async fn entries_are_found_by_everything_that_they_name_and_pages_leave_none_out() {
    in_each_world(async |world: &World| {
        let (mei, lin, shen, ours) = reading(world).await;
        let all = found(&shen, identity::ListEntriesRequest::default()).await;
        let entry = |it: &identity::ChainedEntry| it.entry.clone().expect("an entry");
        let by_time = |it: &identity::ChainedEntry| std::cmp::Reverse((entry(it).time_micros, it.number));
        assert!(all.is_sorted_by_key(by_time), "newest first");
        let reads = |wanted: &dyn Fn(&identity::AuditEntry) -> bool| -> Vec<i64> {
            all.iter().filter(|it| wanted(&entry(it))).map(|it| it.number).collect()
        };
        let lins = lin.id.to_string();
        let done = i32::from(identity::AuditOutcome::Done);
        let denied = i32::from(identity::AuditOutcome::Denied);
        let customers: Vec<i64> = all.iter().filter(|it| it.source == "customer").map(|it| it.number).collect();
        let own = identity::ListEntriesRequest::default;
        let contact = || "contact_points".to_owned();
        let cases = [
            (identity::ListEntriesRequest { subject_id: lins.clone(), ..own() }, reads(&|it| it.subject_id == lins)),
            (
                identity::ListEntriesRequest { action: "customer.view".to_owned(), ..own() },
                reads(&|it| it.action == "customer.view"),
            ),
            (
                identity::ListEntriesRequest { resource_id: ours.clone(), ..own() },
                reads(&|it| it.resource_ids.contains(&ours)),
            ),
            (identity::ListEntriesRequest { field: contact(), ..own() }, reads(&|it| it.fields.contains(&contact()))),
            (identity::ListEntriesRequest { source: "customer".to_owned(), ..own() }, customers),
            (identity::ListEntriesRequest { outcome: denied, ..own() }, reads(&|it| it.outcome == denied)),
            (
                identity::ListEntriesRequest { field: contact(), subject_id: lins.clone(), outcome: done, ..own() },
                reads(&|it| it.fields.contains(&contact()) && it.subject_id == lins),
            ),
            (
                identity::ListEntriesRequest {
                    field: contact(),
                    resource_id: ours.clone(),
                    subject_id: mei.id.to_string(),
                    ..own()
                },
                reads(&|it| it.fields.contains(&contact()) && it.subject_id == mei.id.to_string()),
            ),
        ];
        for (request, expected) in cases {
            assert!(!expected.is_empty(), "{request:?} is to find something");
            let numbers: Vec<i64> = found(&shen, request.clone()).await.iter().map(|it| it.number).collect();
            assert_eq!(numbers, expected, "{request:?}");
            assert_eq!(paged(&shen, request.clone()).await, expected, "page by page: {request:?}");
            // Combined with what none of them has.
            let none = identity::ListEntriesRequest { action: "no.such".to_owned(), ..request };
            assert_eq!(found(&shen, none).await, []);
        }
        assert_eq!(paged(&shen, own()).await.len(), found(&shen, own()).await.len());
        let middle = entry(&all[all.len() / 2]).time_micros;
        let instant = |micros: i64| revisit_bootstrap::wire::time(revisit_core::Timestamp::from_micros(micros));
        let before = identity::ListEntriesRequest { end_time: Some(instant(middle)), ..own() };
        assert!(found(&shen, before).await.iter().all(|it| entry(it).time_micros < middle));
        let since = identity::ListEntriesRequest { start_time: Some(instant(middle)), ..own() };
        assert!(found(&shen, since).await.iter().all(|it| entry(it).time_micros >= middle));
    })
    .await;
}

async fn paged(auditor: &Person, request: identity::ListEntriesRequest) -> Vec<i64> {
    let (mut numbers, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = identity::ListEntriesRequest { page_size: 3, page_token, ..request.clone() };
        let page = answer(auditor.audit().list_entries(request).await).expect("a page");
        numbers.extend(page.entries.iter().map(|it| it.number));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return numbers;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_tells_session_and_address_of_the_caller_and_the_place_that_it_came_from() {
    in_each_world(async |world: &World| {
        let (mei, _, shen, ours) = reading(world).await;
        let request =
            identity::ListEntriesRequest { subject_id: mei.id.to_string(), resource_id: ours, ..Default::default() };
        let read = found(&shen, request).await;
        let read =
            read.iter().find(|it| it.entry.as_ref().is_some_and(|it| !it.fields.is_empty())).expect("her reading");
        let entry = read.entry.as_ref().expect("an entry");
        assert_eq!(entry.caller_address, "127.0.0.1");
        assert!(!entry.session_id.is_empty());
        assert_eq!(read.source, "customer");
        assert!(!read.incarnation.is_empty() && read.position > 0, "{read:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_read_a_row_is_told_to_an_auditor_and_the_question_is_in_the_log() {
    in_each_world(async |world: &World| {
        let (mei, lin, shen, ours) = reading(world).await;
        let request = identity::ListReadersRequest { resource_id: ours.clone(), ..Default::default() };
        let told = answer(shen.audit().list_readers(request.clone()).await).expect("an auditor may ask");
        let mut expected = [(mei.id.to_string(), 1), (lin.id.to_string(), 2)];
        expected.sort();
        let readers: Vec<(String, i64)> = told.readers.iter().map(|it| (it.subject_id.clone(), it.count)).collect();
        assert_eq!(readers, expected);
        assert!(told.readers.iter().all(|it| it.fields == ["contact_points"] && it.actions == ["customer.view"]));
        assert!(!told.truncated);
        let refused = answer(mei.audit().list_readers(request).await).expect_err("not hers to ask");
        assert_eq!(refused.kind, Kind::Denied);
        world.settle().await;
        let asked = identity::ListEntriesRequest { action: "audit.list_readers".to_owned(), ..Default::default() };
        let asked = found(&shen, asked).await;
        let done: Vec<_> =
            asked.iter().filter_map(|it| it.entry.as_ref()).filter(|it| it.reason_code.is_empty()).collect();
        assert_eq!(done.len(), 1, "{asked:?}");
        assert_eq!((done[0].subject_id.clone(), done[0].resource_ids.clone()), (shen.id.to_string(), vec![ours]));
    })
    .await;
}

/// The pieces of an export, until it ends or is refused.
async fn export(who: &Person, format: identity::ExportFormat) -> Result<Vec<u8>, Failure> {
    let mut pieces = answer(who.audit().export_entries(wish(format)).await)?;
    let mut file = Vec::new();
    while let Some(piece) = pieces.message().await.map_err(|status| failure(&status))? {
        file.extend(piece.data);
    }
    Ok(file)
}

fn wish(format: identity::ExportFormat) -> identity::ExportEntriesRequest {
    identity::ExportEntriesRequest { format: format.into(), reason: "a court asks".to_owned(), filter: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_is_taken_out_as_csv_and_as_json_and_the_export_is_in_it() {
    in_each_world(async |world: &World| {
        let (mei, _, shen, ours) = reading(world).await;
        let count = found(&shen, identity::ListEntriesRequest::default()).await.len();
        let csv = String::from_utf8(export(&shen, identity::ExportFormat::Csv).await.expect("a file")).expect("UTF-8");
        assert!(csv.starts_with("number,time_micros,source,"), "{csv}");
        assert!(csv.lines().count() > count && csv.contains(&ours));
        world.settle().await;
        let json = export(&shen, identity::ExportFormat::JsonLines).await.expect("a file");
        let json = String::from_utf8(json).expect("UTF-8");
        let lines: Vec<serde_json::Value> =
            json.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        let exported = lines.iter().find(|line| line["action"] == "audit.export").expect("the first export is in it");
        assert_eq!((exported["why"].as_str(), exported["outcome"].as_str()), (Some("a court asks"), Some("DONE")));
        let rows = (csv.lines().count() - 1).to_string();
        assert_eq!(exported["count"].as_str(), Some(rows.as_str()), "without the header: {exported}");
        assert_eq!(export(&mei, identity::ExportFormat::Csv).await.expect_err("not hers").kind, Kind::Denied);
        let unsaid =
            identity::ExportEntriesRequest { reason: String::new(), ..wish(identity::ExportFormat::Unspecified) };
        let unsaid =
            answer(shen.audit().export_entries(unsaid).await).map(drop).expect_err("neither format nor reason");
        let fields: Vec<&str> = unsaid.violations.iter().map(|it| it.field.as_str()).collect();
        assert_eq!(fields, ["format", "reason"]);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_of_the_log_ends_within_a_piece_when_the_right_to_it_does() {
    in_each_world(async |world: &World| {
        let shen = world.hire("shen", "auditor", &world.root).await;
        let sqlite = format!("sqlite:{}/identity.sqlite?mode=rw", world.folder().display());
        let identity = match world.database_settings() {
            "" => Database::connect(sqlite).await.expect("the file is there"),
            _ => connect_to(&world.database("identity")).await,
        };
        // Copies of one entry: nobody verifies this log.
        let copies = format!(
            "WITH RECURSIVE copies(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM copies WHERE i < {MANY}) \
             INSERT INTO audit_entry SELECT e.tenant_id, e.number + 100000 + i, e.source, e.incarnation, e.shard, \
             e.position, e.subject_id, e.action, e.outcome, e.time, e.entry, e.hash, e.signature \
             FROM audit_entry e, copies WHERE e.number = 3"
        );
        identity.execute_unprepared(&copies).await.expect("entries may be added");
        // As little as the protocol allows: the export goes on only as fast as it is read.
        let endpoint = Endpoint::from_shared(format!("http://{}", world.running.address())).expect("an address");
        let narrow = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        let slow = credentials(TENANT, "shen");
        let slow = Person::log_in(narrow.connect_lazy(), world.running.clock(), &slow).await.expect("a session");
        let mut pieces =
            answer(slow.audit().export_entries(wish(identity::ExportFormat::Csv)).await).expect("it begins");
        let mut file = pieces.message().await.expect("a piece").expect("there is more").data;
        let target = identity::revoke_and_wait_request::Target::UserId(shen.id.to_string());
        let request = identity::RevokeAndWaitRequest { target: Some(target), ..Default::default() };
        answer(world.admin.access().revoke_and_wait(request).await).expect("the administrator may");
        let ended = loop {
            match pieces.message().await {
                Ok(Some(piece)) => file.extend(piece.data),
                Ok(None) => break None,
                Err(status) => break Some(failure(&status).kind),
            }
        };
        // What was decided before that moment is on its way, and what the next decision has let out meanwhile.
        let left = file.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count() - 1;
        assert!(
            ended.is_some_and(|kind| kind == Kind::Denied || kind == Kind::Unauthenticated),
            "{ended:?} after {left}"
        );
        assert!(left <= 2 * PIECE, "{left} entries left");
    })
    .await;
}
