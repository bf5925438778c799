//! `revisit.customer.v1.Segments`.

use std::sync::Arc;

use revisit_bootstrap::{Reply, authenticated, idempotency::Repeatable, reply, wire};
use revisit_core::{Input, page::Page};
use revisit_proto::customer::v1::{self as pb, segments_server::Segments};
use tonic::Request;
use uuid::Uuid;

use super::read;
use crate::{
    App,
    domain::{Error, filter},
    operations::{customers, segments},
};

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Segments for Served {
    async fn create_segment(&self, request: Request<pb::CreateSegmentRequest>) -> Reply<pb::Segment> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "CreateSegment", &message);
                let sent = input.required("segment", message.segment).unwrap_or_default();
                let named = named(&mut input, &sent);
                input.finish()?;
                segments::create(&self.0, &who, named, repeat).await.map(show)
            }
            .await,
        )
    }

    async fn get_segment(&self, request: Request<pb::GetSegmentRequest>) -> Reply<pb::Segment> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id("segment_id", &message.segment_id);
                input.finish()?;
                segments::get(&self.0, &who, id).await.map(show)
            }
            .await,
        )
    }

    async fn list_segments(&self, request: Request<pb::ListSegmentsRequest>) -> Reply<pb::ListSegmentsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let page = Page::read(&mut input, message.page_size, &message.page_token, &["segments"]);
                let after = page.after.as_deref().map(|bytes| Uuid::from_slice(bytes).ok());
                input.require(after != Some(None), "page_token", "was not made by this list");
                input.finish()?;
                let (found, more) = segments::list(&self.0, &who, after.flatten(), page.size as usize).await?;
                let next = found.last().filter(|_| more).map(|(segment, _)| page.token(segment.id.uuid().as_bytes()));
                Ok::<_, Error>(pb::ListSegmentsResponse {
                    segments: found.into_iter().map(show).collect(),
                    next_page_token: next.unwrap_or_default(),
                })
            }
            .await,
        )
    }

    async fn update_segment(&self, request: Request<pb::UpdateSegmentRequest>) -> Reply<pb::Segment> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "UpdateSegment", &message);
                let etag = read::etag_required(&mut input, &message.etag).unwrap_or_default();
                let sent = input.required("segment", message.segment).unwrap_or_default();
                let id = input.id("segment.segment_id", &sent.segment_id);
                let named = named(&mut input, &sent);
                input.finish()?;
                segments::update(&self.0, &who, (id, etag), named, repeat).await.map(show)
            }
            .await,
        )
    }

    async fn delete_segment(&self, request: Request<pb::DeleteSegmentRequest>) -> Reply<pb::Segment> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "DeleteSegment", &message);
                let id = input.id("segment_id", &message.segment_id);
                input.finish()?;
                segments::delete(&self.0, &who, id, repeat).await.map(show)
            }
            .await,
        )
    }

    async fn preview_segment(&self, request: Request<pb::PreviewSegmentRequest>) -> Reply<pb::PreviewSegmentResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                input.require(!message.filter.trim().is_empty(), "filter", "is required");
                input.finish()?;
                let count = customers::count(&self.0, &who, &message.filter).await?;
                Ok::<_, Error>(pb::PreviewSegmentResponse { count })
            }
            .await,
        )
    }
}

fn named(input: &mut Input, sent: &pb::Segment) -> (String, String) {
    let name = input.text("segment.name", &sent.name, 1..=100);
    (name, input.lines("segment.filter", sent.filter.trim(), 1..=filter::LENGTH_MAX))
}

fn show((segment, member_count): segments::Counted) -> pb::Segment {
    pb::Segment {
        segment_id: segment.id.to_string(),
        name: segment.name,
        filter: segment.filter,
        member_count,
        update_time: Some(wire::time(segment.updated_at)),
        etag: segment.version.to_string(),
    }
}
