//! The calls of Audit.

use prost::Message;
use revisit_bootstrap::{Reply, authenticated, reply, settings::SERVICES, wire::read_time};
use revisit_core::{Failure, Input, Timestamp, id::kind, page::Page};
use revisit_proto::identity::v1::{self as pb, AuditOutcome, audit_server::Audit};
use tonic::{Request, async_trait};

use super::Served;
use crate::{
    domain::Error,
    keys::hex,
    operations::audit,
    store::audit_search::{Found, Place, Wanted},
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
    Wanted {
        subject: input.id_optional::<kind::Subject>("subject_id", &message.subject_id).map(|id| id.uuid()),
        action,
        resource: input.id_optional::<kind::Customer>("resource_id", &message.resource_id).map(|id| id.uuid()),
        field,
        source,
        outcome: outcome.ok().filter(|it| *it != AuditOutcome::Unspecified).map(i32::from),
        from: read_time(input, "start_time", message.start_time),
        until: read_time(input, "end_time", message.end_time),
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

#[async_trait]
impl Audit for Served {
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
