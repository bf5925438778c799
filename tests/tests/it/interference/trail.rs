//! What stands in the log of who did what, of all services: who reads it sees no customer, and no address of a user.

use revisit_proto::identity::v1 as pb;
use serde_json::Value;

use super::{
    book::Book,
    company::Company,
    told::{each, is_note},
};

const ALL: i32 = 1_000;
/// Pieces of an exported log at the most.
const PIECES_MAX: usize = 10_000;
/// What an exported entry says of its place in the log, of the trace of its call, and what is drawn.
const PLACED: [&str; 7] = ["number", "incarnation", "shard", "position", "trace_id", "entry_id", "hash"];

pub async fn audit(book: &mut Book, company: &Company) {
    book.opened_for("auditor");
    // Which entries have arrived is nothing to compare.
    company.world.settle().await;
    entries(book, company).await;
    readers(book, company).await;
    company.world.settle().await;
    exported(book, company).await;
    let who = company.auditor.fresh().await.expect("a session");
    let alerts = who.audit().list_alerts(pb::ListAlertsRequest { page_size: ALL, ..Default::default() }).await;
    let alerts = alerts.expect("the alerts").into_inner().alerts;
    let texts = alerts.into_iter().map(|alert| pb::Alert { raised: alert.raised.map(placeless), ..alert });
    book.sorted("identity.v1.Audit/ListAlerts", "", texts.map(|alert| format!("{alert:?}")).collect());
}

/// An alert without the place in the log of the entry that raised it.
pub fn placeless(alert: pb::AlertRaised) -> pb::AlertRaised {
    pb::AlertRaised { entry_number: 0, ..alert }
}

async fn entries(book: &mut Book, company: &Company) {
    let who = company.auditor.fresh().await.expect("a session");
    let (mut texts, mut page_token) = (Vec::new(), String::new());
    loop {
        let request = pb::ListEntriesRequest { page_size: ALL, page_token, ..Default::default() };
        let page = who.audit().list_entries(request).await.expect("the log").into_inner();
        let entries = page.entries.into_iter().filter(|entry| !entry.entry.as_ref().is_some_and(is_note));
        texts.extend(entries.flat_map(logged));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    assert!(texts.len() > company.viewers().len(), "something was done");
    book.sorted("identity.v1.Audit/ListEntries", "", texts);
}

/// An entry without its place in the log.
fn logged(entry: pb::ChainedEntry) -> impl Iterator<Item = String> {
    let alike = each(entry.entry.unwrap_or_default()).map(placed_alike);
    alike.map(move |it| format!("{} {it:?}", entry.source))
}

/// Exports say how many entries they took, those about notes too (see [`is_note`]), and the first positions of a company are
/// made in the order of roles with drawn ids.
const COUNTING: &str = "audit.export";
const DRAWN: &str = "position";
/// How an exported refusal has ended.
const DENIED: &str = "DENIED";

/// An entry without the trace of its call, and without what depends on the order of others.
pub fn placed_alike(entry: pb::AuditEntry) -> pb::AuditEntry {
    let count = if entry.action == COUNTING { 0 } else { entry.count };
    let revision = if entry.resource == DRAWN { 0 } else { entry.revision };
    pb::AuditEntry { trace_id: String::new(), count, revision, ..entry }
}

/// Who has read each customer and each user.
async fn readers(book: &mut Book, company: &Company) {
    let who = company.auditor.fresh().await.expect("a session");
    for viewer in company.viewers() {
        for resource_id in viewer.colleagues.iter().chain(&viewer.customers) {
            let asked = book.named(resource_id);
            let request = pb::ListReadersRequest { resource_id: resource_id.clone(), ..Default::default() };
            let readers = who.audit().list_readers(request).await.expect("the log").into_inner();
            let texts = readers.readers.iter().map(|reader| format!("{reader:?}")).collect();
            book.sorted("identity.v1.Audit/ListReaders", &asked, texts);
        }
    }
}

async fn exported(book: &mut Book, company: &Company) {
    let who = company.auditor.fresh().await.expect("a session");
    let request = pb::ExportEntriesRequest {
        format: pb::ExportFormat::JsonLines.into(),
        reason: "to compare".to_owned(),
        ..Default::default()
    };
    let mut stream = who.audit().export_entries(request).await.expect("the log").into_inner();
    let mut bytes = Vec::new();
    for _ in 0..PIECES_MAX {
        let Some(piece) = stream.message().await.expect("it goes on") else { break };
        bytes.extend(piece.data);
    }
    let text = String::from_utf8(bytes).expect("UTF-8");
    let lines = text.lines().flat_map(|line| {
        let mut entry: Value = serde_json::from_str(line).expect("each line is JSON");
        let fields = entry.as_object_mut().expect("with its columns");
        PLACED.iter().for_each(|name| assert!(fields.remove(*name).is_some(), "{name} is a column"));
        // See placed_alike.
        if fields["action"] == COUNTING {
            fields.remove("count");
        }
        if fields["resource"] == DRAWN {
            fields.remove("revision");
        }
        // Into how many counts refusals fall is a matter of time.
        let refused = fields["outcome"] == DENIED;
        let counted = refused.then(|| fields.insert("count".to_owned(), Value::from("1"))).flatten();
        let times = counted.and_then(|count| count.as_str()?.parse().ok());
        let times = if fields["action"] == "customer.note" { 0 } else { times.unwrap_or(1_usize).max(1) };
        std::iter::repeat_n(entry.to_string(), times)
    });
    book.sorted("identity.v1.Audit/ExportEntries", "", lines.collect());
}
