//! How exported entries of the audit log are written: one line each, as CSV or as JSON.

use prost::Message;
use revisit_core::Failure;
use revisit_proto::identity::v1::{self as pb, ExportFormat};
use serde_json::json;

use crate::{keys::hex, operations::audit_reading::Piece, store::audit_search::Found};

/// Columns of the CSV, and keys of the JSON.
const COLUMNS: [&str; 22] = [
    "number",
    "time_micros",
    "source",
    "incarnation",
    "shard",
    "position",
    "subject_id",
    "session_id",
    "caller_address",
    "action",
    "resource",
    "resource_ids",
    "fields",
    "outcome",
    "reason_code",
    "count",
    "witness",
    "revision",
    "why",
    "trace_id",
    "entry_id",
    "hash",
];

/// The bytes of a piece.
pub fn write(piece: &Piece, format: ExportFormat) -> Result<Vec<u8>, Failure> {
    let mut text = String::new();
    if piece.first && format == ExportFormat::Csv {
        text.push_str(&line(COLUMNS.into_iter()));
    }
    for found in &piece.entries {
        let cells = cells(found)?;
        match format {
            ExportFormat::Csv => text.push_str(&line(cells.iter().map(String::as_str))),
            ExportFormat::JsonLines => {
                let pairs = COLUMNS.into_iter().zip(cells).map(|(key, cell)| (key.to_owned(), json!(cell)));
                text.push_str(&serde_json::Value::Object(pairs.collect()).to_string());
                text.push('\n');
            }
            ExportFormat::Unspecified => return Err(Failure::internal("an export has a format")),
        }
    }
    Ok(text.into_bytes())
}

fn cells(found: &Found) -> Result<[String; COLUMNS.len()], Failure> {
    let entry = pb::AuditEntry::decode(found.entry.as_slice()).map_err(Failure::internal)?;
    let outcome = entry.outcome().as_str_name().trim_start_matches("AUDIT_OUTCOME_").to_owned();
    Ok([
        found.place.number.to_string(),
        entry.time_micros.to_string(),
        found.origin.source.clone(),
        found.origin.incarnation.to_string(),
        found.origin.shard.to_string(),
        found.position.to_string(),
        entry.subject_id,
        entry.session_id,
        entry.caller_address,
        entry.action,
        entry.resource,
        entry.resource_ids.join(" "),
        entry.fields.join(" "),
        outcome,
        entry.reason_code,
        entry.count.to_string(),
        entry.witness,
        entry.revision.to_string(),
        entry.why,
        entry.trace_id,
        entry.entry_id,
        hex(&found.hash),
    ])
}

/// A line of CSV. What a spreadsheet program would take for a formula begins with an apostrophe.
fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let quoted = cells.map(|cell| {
        let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']) && cell.parse::<i64>().is_err();
        let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
        match cell.contains(['"', ',', '\n', '\r', '\'']) {
            true => format!("\"{}\"", cell.replace('"', "\"\"")),
            false => cell,
        }
    });
    quoted.collect::<Vec<_>>().join(",") + "\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_quoted_where_it_must_be_and_runs_no_formula() {
        let cells = ["plain", "a, b", "say \"so\"", "=1+1", "-5", "two\nlines"];
        assert_eq!(line(cells.into_iter()), "plain,\"a, b\",\"say \"\"so\"\"\",\"'=1+1\",-5,\"two\nlines\"\r\n");
    }
}
