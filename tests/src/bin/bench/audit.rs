//! `tests/bench audit`: searches of the audit log through the service's own gRPC call, by everything that entries are found
//! by, for keys that are frequent, drawn and missing, first pages and deep ones.
//!
//! The entries are made by the database itself. They are not chained, which no search looks at; each has the bytes of a
//! real entry.

use std::time::Duration;

use prost::Message;
use revisit_bootstrap::{status::answer, wire};
use revisit_core::{Clock, Timestamp};
use revisit_proto::identity::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::{connect_to, texts, tidy},
    measure::{Line, Size, Table, machine, millis, percentile, say},
    world::{Ground, World},
};
use sea_orm::{ConnectionTrait, DatabaseConnection};
use uuid::Uuid;

use crate::rows::mixed;

const PAGE: i32 = 50;
/// Pages before a deep one.
const DEEP: usize = 20;
/// Entries of one statement that loads.
const LOAD: u64 = 250_000;
/// The span of time that entries lie in: a year.
const SPAN_MICROS: i64 = 365 * 86_400 * 1_000_000;
/// When it ends: 2026-11-01, midnight.
const END: i64 = 1_793_491_200_000_000;
/// People; the first one does a tenth of everything.
const SUBJECTS: u64 = 2_000;
/// Entries for each row, about; the first row is in a hundredth of all.
const ENTRIES_PER_ROW: u64 = 10;
/// The first byte of their ids, and of ids that nothing has.
const PERSON: u8 = 0xa1;
const ROW: u8 = 0xa2;
const NOBODY: u8 = 0xa3;
const FIELDS: u64 = 30;
const ACTIONS: u64 = 40;
/// Numbers from here on, so that none is taken.
const NUMBERS: u64 = 1_000_000;

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench audit: {}\n", machine()));
    let entries = size.pick(20_000, 1_000_000, 10_000_000);
    let consumers = "[identity]\nlease_ttl_millis = 10000\n[consumers]\nidentity = [\"identity\"]\n".to_owned();
    let ground = Ground { settings: consumers, only: vec![revisit_identity::NAME], ..Ground::default() };
    let world = World::on(ground).await;
    let auditor = world.hire("auditor", "auditor", &world.root).await;
    let database = connect_to(&world.database(revisit_identity::NAME)).await;
    load(&database, &auditor, entries).await;
    let mut table = Table::new(&["by", "key", "found", "first p50 ms", "first p95 ms", "deep p50 ms", "deep p95 ms"]);
    let mut all = Vec::new();
    let calls = size.pick(2, 30, 50);
    for (by, key, search) in searches() {
        let measured = Box::pin(search_times(&auditor, search, entries, calls)).await;
        let figure = |times: &[f64], percent| match times.is_empty() {
            true => "-".to_owned(),
            false => format!("{:.2}", percentile(times, percent)),
        };
        table.row(&[
            by,
            key,
            &measured.found.to_string(),
            &figure(&measured.first, 50),
            &figure(&measured.first, 95),
            &figure(&measured.deep, 50),
            &figure(&measured.deep, 95),
        ]);
        all.extend(measured.first.into_iter().chain(measured.deep));
    }
    table.print();
    say(&format!(
        "{entries} entries, {calls} calls of each kind; `found` is of one page of {PAGE}; ended with {}\n\n",
        machine()
    ));
    database.close().await.expect("the connection closes");
    world.running.stop().await.expect("it stops without a fault");
    Line::default()
        .with("entries", entries)
        .with("search_p50_ms", format!("{:.2}", percentile(&all, 50)))
        .with("search_p95_ms", format!("{:.2}", percentile(&all, 95)))
        .with("search_max_ms", format!("{:.2}", percentile(&all, 100)))
        .print();
}

/// A search with the number of a draw and of all entries.
type Search = fn(u64, u64) -> pb::ListEntriesRequest;

fn empty() -> pb::ListEntriesRequest {
    pb::ListEntriesRequest { page_size: PAGE, ..Default::default() }
}

/// An id as the database makes it.
fn id(kind: u8, number: u64) -> String {
    Uuid::from_u128((u128::from(kind) << 120) | u128::from(number)).to_string()
}

fn subject(number: u64) -> String {
    id(PERSON, number % SUBJECTS)
}

fn row(number: u64, entries: u64) -> String {
    id(ROW, number % (entries / ENTRIES_PER_ROW).max(1))
}

fn at(number: u64, entries: u64) -> Option<prost_types::Timestamp> {
    let share = i64::try_from(number % entries).unwrap_or(0) * (SPAN_MICROS / i64::try_from(entries).unwrap_or(1));
    Some(wire::time(Timestamp::from_micros(END - SPAN_MICROS + share)))
}

const DENIED: i32 = pb::AuditOutcome::Denied as i32;

/// Every kind of search.
fn searches() -> Vec<(&'static str, &'static str, Search)> {
    vec![
        ("nothing", "-", |_, _| empty()),
        ("subject", "drawn", |draw, _| pb::ListEntriesRequest { subject_id: subject(mixed(draw)), ..empty() }),
        ("subject", "most frequent", |_, _| pb::ListEntriesRequest { subject_id: subject(0), ..empty() }),
        ("subject", "missing", |_, _| pb::ListEntriesRequest { subject_id: id(NOBODY, 1), ..empty() }),
        ("row", "drawn", |draw, n| pb::ListEntriesRequest { resource_id: row(mixed(draw), n), ..empty() }),
        ("row", "most frequent", |_, n| pb::ListEntriesRequest { resource_id: row(0, n), ..empty() }),
        ("row", "missing", |_, _| pb::ListEntriesRequest { resource_id: id(NOBODY, 1), ..empty() }),
        ("field", "drawn", |draw, _| pb::ListEntriesRequest {
            field: format!("field_{}", mixed(draw) % FIELDS),
            ..empty()
        }),
        ("field", "missing", |_, _| pb::ListEntriesRequest { field: "no_field".to_owned(), ..empty() }),
        ("action", "drawn", |draw, _| pb::ListEntriesRequest {
            action: format!("action.{}", mixed(draw) % ACTIONS),
            ..empty()
        }),
        ("action", "missing", |_, _| pb::ListEntriesRequest { action: "no.action".to_owned(), ..empty() }),
        ("source", "drawn", |draw, _| pb::ListEntriesRequest { source: source(mixed(draw)).to_owned(), ..empty() }),
        ("outcome", "rare", |_, _| pb::ListEntriesRequest { outcome: DENIED, ..empty() }),
        ("time", "an hour", |draw, n| pb::ListEntriesRequest {
            start_time: at(mixed(draw), n),
            end_time: at(mixed(draw) % n + n / 8_760 + 1, n),
            ..empty()
        }),
        ("time", "long ago", |draw, n| pb::ListEntriesRequest { end_time: at(mixed(draw) % (n / 4), n), ..empty() }),
        ("subject and time", "drawn", |draw, n| pb::ListEntriesRequest {
            subject_id: subject(mixed(draw)),
            end_time: at(mixed(draw + 1), n),
            ..empty()
        }),
        ("subject and action", "most frequent, missing", |_, _| pb::ListEntriesRequest {
            subject_id: subject(0),
            action: "no.action".to_owned(),
            ..empty()
        }),
        ("subject and field", "drawn", |draw, _| pb::ListEntriesRequest {
            subject_id: subject(mixed(draw)),
            field: format!("field_{}", mixed(draw + 1) % FIELDS),
            ..empty()
        }),
        ("subject and field", "most frequent, missing", |_, _| pb::ListEntriesRequest {
            subject_id: subject(0),
            field: "no_field".to_owned(),
            ..empty()
        }),
        ("row and subject", "most frequent, drawn", |draw, n| pb::ListEntriesRequest {
            resource_id: row(0, n),
            subject_id: subject(mixed(draw)),
            ..empty()
        }),
        ("row and field", "most frequent, drawn", |draw, n| pb::ListEntriesRequest {
            resource_id: row(0, n),
            field: format!("field_{}", mixed(draw) % FIELDS),
            ..empty()
        }),
        ("action and outcome", "drawn, rare", |draw, _| pb::ListEntriesRequest {
            action: format!("action.{}", mixed(draw) % ACTIONS),
            outcome: DENIED,
            ..empty()
        }),
        ("source and outcome", "drawn, rare", |draw, _| pb::ListEntriesRequest {
            source: source(mixed(draw)).to_owned(),
            outcome: DENIED,
            ..empty()
        }),
        ("subject and source", "most frequent, drawn", |draw, _| pb::ListEntriesRequest {
            subject_id: subject(0),
            source: source(mixed(draw)).to_owned(),
            ..empty()
        }),
    ]
}

const fn source(number: u64) -> &'static str {
    ["customer", "followup", "identity", "notification"][(number % 4) as usize]
}

/// What one kind of search took, in milliseconds.
#[derive(Default)]
struct Times {
    found: usize,
    first: Vec<f64>,
    deep: Vec<f64>,
}

async fn search_times(auditor: &Person, search: Search, entries: u64, calls: u64) -> Times {
    let mut times = Times::default();
    // The first call of each kind only warms up.
    for draw in 0..=calls {
        let auditor = auditor.fresh().await.expect("a session");
        let request = search(draw, entries);
        let (took, page) = timed(auditor, request.clone()).await;
        let mut token = page.next_page_token.clone();
        times.found = times.found.max(page.entries.len());
        if draw > 0 {
            times.first.push(millis(took));
        }
        for depth in 1..=DEEP {
            if token.is_empty() {
                break;
            }
            let next = pb::ListEntriesRequest { page_token: token, ..request.clone() };
            let (took, page) = timed(auditor, next).await;
            if depth == DEEP && draw > 0 {
                times.deep.push(millis(took));
            }
            token = page.next_page_token;
        }
    }
    times
}

async fn timed(auditor: &Person, request: pb::ListEntriesRequest) -> (Duration, pb::ListEntriesResponse) {
    let clock = Clock::system();
    let began = clock.steady();
    let page = answer(auditor.audit().list_entries(request).await).expect("a page");
    (clock.steady().since(began), page)
}

/// Fills the tables, statement by statement, and does what autovacuum would have done by then.
async fn load(database: &DatabaseConnection, auditor: &Person, entries: u64) {
    let tenant = auditor.tenant_id.to_string();
    let real = pb::AuditEntry {
        entry_id: id(NOBODY, 1),
        subject_id: subject(1),
        session_id: id(NOBODY, 1),
        action: "customer.view".to_owned(),
        resource: "customer".to_owned(),
        resource_ids: vec![row(1, entries)],
        fields: vec!["contact_points".to_owned()],
        outcome: pb::AuditOutcome::Done.into(),
        witness: "role:00000000-0000-0000-0000-000000000000#0".to_owned(),
        revision: 100,
        time_micros: END,
        trace_id: "0af7651916cd43dd8448eb211c80319c".to_owned(),
        caller_address: "192.0.2.17".to_owned(),
        ..Default::default()
    };
    let bytes: String = real.encode_to_vec().iter().map(|byte| format!("{byte:02x}")).collect();
    let mut from = 0;
    while from < entries {
        let until = (from + LOAD).min(entries);
        for statement in statements(&tenant, &bytes, (from, until, entries)) {
            database.execute_unprepared(&statement).await.expect("the server does it");
        }
        from = until;
    }
    tidy(database).await;
    let size = texts(database, "SELECT pg_size_pretty(pg_database_size(current_database()))").await;
    say(&format!("loaded {entries} entries: {}\n", size.join("")));
}

/// Entries, rows and fields of a stretch of numbers. What is drawn follows from the number.
fn statements(tenant: &str, bytes: &str, (from, until, entries): (u64, u64, u64)) -> [String; 3] {
    let uuid = |kind: u8, number: &str| format!("('{kind:02x}' || lpad(to_hex({number}), 30, '0'))::uuid");
    let drawn = "abs(hashint8(i * 31 + 7)::bigint)";
    let subject = format!("CASE WHEN i % 10 = 0 THEN 0 ELSE {drawn} % {SUBJECTS} END");
    let rows = (entries / ENTRIES_PER_ROW).max(1);
    let row = format!("CASE WHEN i % 100 = 0 THEN 0 ELSE abs(hashint8(i * 17 + 3)::bigint) % {rows} END");
    let begin = END - SPAN_MICROS;
    let step = SPAN_MICROS / i64::try_from(entries).unwrap_or(1);
    let time = format!("{begin} + i * {step}");
    let series = format!("FROM generate_series({from}::bigint, {}::bigint) AS i", until - 1);
    let (subject_id, row_id) = (uuid(PERSON, &subject), uuid(ROW, &row));
    [
        format!(
            "INSERT INTO audit_entry SELECT '{tenant}', {NUMBERS} + i, \
             (ARRAY['customer', 'followup', 'identity', 'notification'])[1 + {drawn} % 4], '{tenant}', i % 64, i / 64, \
             {subject_id}, 'action.' || (abs(hashint8(i * 13 + 5)::bigint) % {ACTIONS}), \
             CASE WHEN i % 100 = 1 THEN 2 WHEN i % 200 = 3 THEN 3 ELSE 1 END, {time}, '\\x{bytes}', \
             sha256(int8send(i)), sha256(int8send(i)) || sha256(int8send(i + 1)) {series}"
        ),
        format!("INSERT INTO audit_row SELECT '{tenant}', {row_id}, {time}, {NUMBERS} + i {series}"),
        format!(
            "INSERT INTO audit_field SELECT '{tenant}', 'field_' || (abs(hashint8(i * 11 + 9)::bigint) % {FIELDS}), {time}, \
             {NUMBERS} + i, {subject_id} {series} WHERE i % 2 = 0"
        ),
    ]
}
