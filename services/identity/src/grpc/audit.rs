//! The calls of Audit.

use prost::Message;
use revisit_bootstrap::{Reply, authenticated, reply, wire::read_time};
use revisit_core::{Failure, Input, id::kind, page::Page};
use revisit_proto::identity::v1::{self as pb, audit_server::Audit};
use tonic::{Request, async_trait};

use super::Served;
use crate::{
    domain::{Error, chain::Link},
    keys::hex,
    operations::audit,
    store::audit::Wanted,
};

fn read(message: pb::ListEntriesRequest) -> Result<(Page, Wanted), Failure> {
    let mut input = Input::default();
    let shape = format!(
        "{}/{}/{}/{:?}/{:?}",
        message.subject_id, message.action, message.resource_id, message.start_time, message.end_time
    );
    let page = Page::read(&mut input, message.page_size, &message.page_token, &["audit", &shape]);
    let before = page.after.as_deref().map(|key| key.try_into().map(i64::from_be_bytes)).transpose();
    let wanted = Wanted {
        subject: input.id_optional::<kind::Subject>("subject_id", &message.subject_id).map(|id| id.uuid()),
        action: Some(input.text("action", &message.action, 0..=64)).filter(|action| !action.is_empty()),
        resource: input.id_optional::<kind::Customer>("resource_id", &message.resource_id).map(|id| id.uuid()),
        from: read_time(&mut input, "start_time", message.start_time),
        until: read_time(&mut input, "end_time", message.end_time),
        before: before.map_err(|_| Page::unreadable())?,
        limit: u64::from(page.size),
    };
    input.finish()?;
    Ok((page, wanted))
}

fn show(link: &Link) -> Result<pb::ChainedEntry, Failure> {
    Ok(pb::ChainedEntry {
        number: link.number,
        source: link.source.clone(),
        entry: Some(pb::AuditEntry::decode(link.entry.as_slice()).map_err(Failure::internal)?),
        hash: hex(&link.hash),
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
                let next_page_token = listed.next.map(|key| page.token(&key.to_be_bytes())).unwrap_or_default();
                Ok::<_, Error>(pb::ListEntriesResponse { entries, next_page_token })
            }
            .await,
        )
    }
}
