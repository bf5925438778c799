//! The calls of Audit.

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use prost::Message;
use revisit_bootstrap::{
    Reply, Streamed, authenticated, in_pieces, reply, reply_stream,
    settings::SERVICES,
    wire::{read_window, time as show_time},
};
use revisit_core::{Failure, Input, Timestamp, id::kind, page::Page};
use revisit_proto::identity::v1::{self as pb, AuditOutcome, ExportFormat, audit_server::Audit};
use tonic::{Request, async_trait};
use uuid::Uuid;

use super::{Served, audit_file};
use crate::{
    domain::Error,
    keys::hex,
    operations::{self, audit, audit_reading},
    store::{
        alerts,
        audit_search::{Found, Place, Wanted},
    },
};

/// Letters of an action's or a field's name.
const NAME_MAX: usize = 64;

fn read(message: pb::ListEntriesRequest) -> Result<(Page, Wanted), Failure> {
    let mut input = Input::default();
    let shape = pb::ListEntriesRequest { page_size: 0, page_token: String::new(), ..message.clone() };
    let shape = hex(&shape.encode_to_vec());
    let page = Page::read(&mut input, message.page_size, &message.page_token, &["audit", &shape]);
    let after = page.after.as_deref().map(|key| place(key).ok_or_else(Page::unreadable)).transpose();
    let wanted = filter(&mut input, &message);
    input.finish()?;
    let wanted = Wanted { after: after?, limit: u64::from(page.size), ..wanted };
    Ok((page, wanted))
}

fn filter(input: &mut Input, message: &pb::ListEntriesRequest) -> Wanted {
    let mut name = |field: &str, text: &str| Some(input.text(field, text, 0..=NAME_MAX)).filter(|it| !it.is_empty());
    let (action, field) = (name("action", &message.action), name("field", &message.field));
    let source = name("source", &message.source);
    let known = source.as_deref().is_none_or(|source| SERVICES.contains(&source));
    input.require(known, "source", "must be empty, identity, customer, followup or notification");
    let outcome = AuditOutcome::try_from(message.outcome);
    input.require(outcome.is_ok(), "outcome", "must be one of the enum");
    let (from, until) = read_window(input, ("start_time", message.start_time), ("end_time", message.end_time));
    Wanted {
        subject: input.id_optional::<kind::Subject>("subject_id", &message.subject_id).map(|id| id.uuid()),
        action,
        resource: input.id_optional::<kind::Customer>("resource_id", &message.resource_id).map(|id| id.uuid()),
        field,
        source,
        outcome: outcome.ok().filter(|it| *it != AuditOutcome::Unspecified).map(i32::from),
        from,
        until,
        ..Wanted::default()
    }
}

fn place(key: &[u8]) -> Option<Place> {
    let (time, number) = key.split_first_chunk()?;
    let (time, number) = (i64::from_be_bytes(*time), i64::from_be_bytes(number.try_into().ok()?));
    Some(Place { time: Timestamp::from_micros(time), number })
}

fn key(place: Place) -> Vec<u8> {
    [place.time.micros().to_be_bytes(), place.number.to_be_bytes()].concat()
}

fn show(found: &Found) -> Result<pb::ChainedEntry, Failure> {
    Ok(pb::ChainedEntry {
        number: found.place.number,
        source: found.origin.source.clone(),
        entry: Some(pb::AuditEntry::decode(found.entry.as_slice()).map_err(Failure::internal)?),
        hash: hex(&found.hash),
        incarnation: found.origin.incarnation.to_string(),
        shard: found.origin.shard,
        position: found.position,
    })
}

fn read_export(message: &pb::ExportEntriesRequest) -> Result<(Wanted, ExportFormat, String), Failure> {
    let mut input = Input::default();
    let mut inner = Input::default();
    let wanted = filter(&mut inner, &message.filter.clone().unwrap_or_default());
    input.nest("filter", inner);
    let format = ExportFormat::try_from(message.format).unwrap_or(ExportFormat::Unspecified);
    input.require(format != ExportFormat::Unspecified, "format", "must be one of the enum");
    let reason = input.text("reason", &message.reason, 1..=500);
    input.finish()?;
    Ok((wanted, format, reason))
}

fn show_reader(it: audit_reading::Reader) -> pb::Reader {
    pb::Reader {
        subject_id: it.subject.to_string(),
        first_time: Some(show_time(it.first)),
        last_time: Some(show_time(it.last)),
        count: it.count,
        fields: it.fields.into_iter().collect(),
        actions: it.actions.into_iter().collect(),
    }
}

fn read_alerts(message: &pb::ListAlertsRequest) -> Result<(Page, alerts::Wanted), Failure> {
    let mut input = Input::default();
    let shape = ["alerts", &message.rule.to_string(), &message.user_id];
    let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
    let after = page.after.as_deref().map(|key| alert_place(key).ok_or_else(Page::unreadable)).transpose();
    let rule = pb::AlertRule::try_from(message.rule);
    input.require(rule.is_ok(), "rule", "must be one of the enum");
    let about = input.id_optional::<kind::Subject>("user_id", &message.user_id).map(|id| id.uuid());
    input.finish()?;
    let rule = rule.ok().filter(|it| *it != pb::AlertRule::Unspecified).map(i32::from);
    Ok((page.clone(), alerts::Wanted { rule, about, after: after?, limit: u64::from(page.size) }))
}

fn alert_place(key: &[u8]) -> Option<(Timestamp, Uuid)> {
    let (time, id) = key.split_first_chunk()?;
    Some((Timestamp::from_micros(i64::from_be_bytes(*time)), Uuid::from_slice(id).ok()?))
}

#[async_trait]
impl Audit for Served {
    type ExportEntriesStream = Streamed<pb::ExportEntriesResponse>;

    async fn export_entries(&self, request: Request<pb::ExportEntriesRequest>) -> Reply<Self::ExportEntriesStream> {
        let (who, message) = authenticated(request)?;
        let app = Arc::clone(&self.0);
        reply_stream(
            async {
                let (wanted, format, reason) = read_export(&message)?;
                let pieces = audit_reading::export(app, who, wanted, reason).await?;
                let chunks = pieces.map(move |piece| {
                    let piece = piece?;
                    let bytes = audit_file::write(&piece, format)?;
                    Ok((piece.permit, bytes))
                });
                Ok::<_, Error>(in_pieces(chunks).map_ok(|data| pb::ExportEntriesResponse { data }))
            }
            .await,
        )
    }

    async fn list_readers(&self, request: Request<pb::ListReadersRequest>) -> Reply<pb::ListReadersResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let row = input.id::<kind::Customer>("resource_id", &message.resource_id).uuid();
                let ends = (("start_time", message.start_time), ("end_time", message.end_time));
                let (from, until) = read_window(&mut input, ends.0, ends.1);
                input.finish()?;
                let (readers, truncated) = audit_reading::readers(&self.0, &who, (row, from, until)).await?;
                let readers = readers.into_iter().map(show_reader).collect();
                Ok::<_, Error>(pb::ListReadersResponse { readers, truncated })
            }
            .await,
        )
    }

    async fn list_alerts(&self, request: Request<pb::ListAlertsRequest>) -> Reply<pb::ListAlertsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (page, wanted) = read_alerts(&message)?;
                let listed = operations::alerts::list(&self.0, &who, wanted).await?;
                let key = |(time, id): (Timestamp, Uuid)| [&time.micros().to_be_bytes()[..], id.as_bytes()].concat();
                let next_page_token = listed.next.map(|place| page.token(&key(place))).unwrap_or_default();
                Ok::<_, Error>(pb::ListAlertsResponse { alerts: listed.alerts, next_page_token })
            }
            .await,
        )
    }

    async fn list_entries(&self, request: Request<pb::ListEntriesRequest>) -> Reply<pb::ListEntriesResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let (page, wanted) = read(message)?;
                let listed = audit::list(&self.0, &who, wanted).await?;
                let entries = listed.entries.iter().map(show).collect::<Result<_, _>>()?;
                let next_page_token = listed.next.map(|place| page.token(&key(place))).unwrap_or_default();
                Ok::<_, Error>(pb::ListEntriesResponse { entries, next_page_token })
            }
            .await,
        )
    }
}
