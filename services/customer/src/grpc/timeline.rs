//! `revisit.customer.v1.Timeline`.

use std::sync::Arc;

use revisit_bootstrap::{Principal, Reply, authenticated, idempotency::Repeatable, reply, wire};
use revisit_core::{Input, Timestamp, page::Page};
use revisit_permission::{Clarity, Levels, Shown};
use revisit_proto::customer::v1::{self as pb, timeline_server::Timeline};
use tonic::Request;

use crate::{
    App,
    domain::{
        Error,
        timeline::{CHANNELS, Direction, Entry, EntryKind, NOTE_MAX, Words},
    },
    operations::timeline,
    store::timeline::{place_bytes, read_place},
};

pub struct Served(pub Arc<App>);

#[tonic::async_trait]
impl Timeline for Served {
    async fn add_note(&self, request: Request<pb::AddNoteRequest>) -> Reply<pb::TimelineEntry> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "AddNote", &message);
                let entry = self.entry(&who, &mut input, EntryKind::Note, (&message.customer_id, None));
                let entry = entry.text(Some(input.lines("text", &message.text, 1..=NOTE_MAX)));
                input.finish()?;
                timeline::add(&self.0, &who, entry, repeat)
                    .await
                    .map(|(entry, levels)| show(&entry, &levels, Clarity::Usual))
            }
            .await,
        )
    }

    async fn record_touch(&self, request: Request<pb::RecordTouchRequest>) -> Reply<pb::TimelineEntry> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = Repeatable::read(&mut input, &message.request_id, "RecordTouch", &message);
                let at = wire::read_time(&mut input, "event_time", message.event_time);
                let mut entry = self.entry(&who, &mut input, EntryKind::Touch, (&message.customer_id, at));
                input.require(entry.happened_at <= self.0.clock.wall(), "event_time", "must not lie in the future");
                let known = CHANNELS.contains(&message.channel.as_str());
                input.require(known, "channel", "must be phone, wechat, email, sms, meeting, visit or other");
                entry.channel = Some(message.channel);
                entry.direction = i16::try_from(message.direction).ok().and_then(Direction::from_stored);
                input.require(entry.direction.is_some(), "direction", "must be inbound or outbound");
                let text = input.lines("text", &message.text, 0..=NOTE_MAX);
                let entry = entry.text((!text.is_empty()).then_some(text));
                input.finish()?;
                timeline::add(&self.0, &who, entry, repeat)
                    .await
                    .map(|(entry, levels)| show(&entry, &levels, Clarity::Usual))
            }
            .await,
        )
    }

    async fn list_timeline(&self, request: Request<pb::ListTimelineRequest>) -> Reply<pb::ListTimelineResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let customer = input.id("customer_id", &message.customer_id);
                let shape = [message.customer_id.as_str()];
                let page = Page::read(&mut input, message.page_size, &message.page_token, &shape);
                let after = page.after.as_deref().map(read_place);
                input.require(after != Some(None), "page_token", "was not made by this list");
                let paths = message.read_mask.map(|mask| mask.paths).unwrap_or_default();
                input.require(paths.iter().all(|path| path == "text"), "read_mask", "may name text alone");
                let clarity = if paths.is_empty() { Clarity::Usual } else { Clarity::Clear };
                input.finish()?;
                let size = page.size as usize;
                let (entries, levels, next) =
                    timeline::list(&self.0, &who, customer, (after.flatten(), size), clarity).await?;
                Ok::<_, Error>(pb::ListTimelineResponse {
                    entries: entries.iter().map(|entry| show(entry, &levels, clarity)).collect(),
                    next_page_token: next.map(|next| page.token(&place_bytes(next))).unwrap_or_default(),
                })
            }
            .await,
        )
    }
}

impl Served {
    fn entry(
        &self,
        who: &Principal,
        input: &mut Input,
        kind: EntryKind,
        (customer, at): (&str, Option<Timestamp>),
    ) -> Entry {
        let at = at.unwrap_or_else(|| self.0.clock.wall());
        let id = self.0.ids.next(self.0.clock.wall());
        Entry::new(kind, who.tenant(), input.id("customer_id", customer), id, at).by(who.subject())
    }
}

/// An entry of a layer that is hidden from its reader is not read at all.
fn show(entry: &Entry, levels: &Levels, clarity: Clarity) -> pb::TimelineEntry {
    let words = match levels.show(&entry.words, Clarity::Usual) {
        Shown::Hidden => Words::default(),
        Shown::Masked(masked) => masked,
        Shown::Clear(words) => words.within(levels, clarity),
    };
    pb::TimelineEntry {
        entry_id: entry.id.to_string(),
        customer_id: entry.customer.to_string(),
        kind: i32::from(entry.kind as i16),
        layer: entry.words.layer().name().to_owned(),
        event_time: Some(wire::time(entry.happened_at)),
        actor_id: entry.actor.map(|actor| actor.to_string()).unwrap_or_default(),
        channel: entry.channel.clone().unwrap_or_default(),
        direction: entry.direction.map_or(0, |direction| i32::from(direction as i16)),
        text: words.text.unwrap_or_default(),
        from: words.from.unwrap_or_default(),
        to: words.to.unwrap_or_default(),
        reference_id: entry.reference.map(|reference| reference.to_string()).unwrap_or_default(),
        sensitive_kinds: entry.sensitive_kinds(levels).into_iter().map(|kind| kind as i32).collect(),
    }
}
