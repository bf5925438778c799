//! `revisit.followup.v1.Calendars`.

use revisit_bootstrap::{Reply, authenticated, reply};
use revisit_core::{Failure, Input, page::Page};
use revisit_proto::followup::v1::{self as pb, calendars_server::Calendars};
use tonic::Request;

use super::{Served, after, etag, plans::repeatable, read, read_calendar, token};
use crate::operations::calendars;

#[tonic::async_trait]
impl Calendars for Served {
    async fn create_calendar(&self, request: Request<pb::CreateCalendarRequest>) -> Reply<pb::Calendar> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = repeatable(&mut input, &message.request_id, "CreateCalendar", &message);
                let write = read_calendar::calendar(&mut input, message.calendar.as_ref());
                input.finish()?;
                calendars::create(&self.app, &who, write, repeat).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn get_calendar(&self, request: Request<pb::GetCalendarRequest>) -> Reply<pb::Calendar> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let id = read::id("calendar_id", &message.calendar_id)?;
                calendars::get(&self.app, &who, id).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn list_calendars(&self, request: Request<pb::ListCalendarsRequest>) -> Reply<pb::ListCalendarsResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let page = Page::read(&mut input, message.page_size, &message.page_token, &["calendars"]);
                input.finish()?;
                let (calendars, next) = calendars::list(&self.app, &who, (after(&page)?, page.size)).await?;
                Ok::<_, Failure>(pb::ListCalendarsResponse { calendars, next_page_token: token(&page, next) })
            }
            .await,
        )
    }

    async fn update_calendar(&self, request: Request<pb::UpdateCalendarRequest>) -> Reply<pb::Calendar> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let repeat = repeatable(&mut input, &message.request_id, "UpdateCalendar", &message);
                let named = message.calendar.clone().unwrap_or_default();
                let id = input.id("calendar.calendar_id", &named.calendar_id);
                let etag = etag(&mut input, "calendar.etag", &named.etag);
                let write = read_calendar::calendar(&mut input, message.calendar.as_ref());
                input.finish()?;
                calendars::update(&self.app, &who, (id, etag), write, repeat).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn list_calendar_days(
        &self,
        request: Request<pb::ListCalendarDaysRequest>,
    ) -> Reply<pb::ListCalendarDaysResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id_optional("calendar_id", &message.calendar_id);
                let start = read::date(&mut input, "start_date", &message.start_date);
                let end = read::date(&mut input, "end_date", &message.end_date);
                let days = (end - start).num_days();
                input.require((0..=366).contains(&days), "end_date", "must lie 0 to 366 days after start_date");
                input.finish()?;
                calendars::days(&self.app, &who, id, (start, end)).await.map_err(Failure::from)
            }
            .await,
        )
    }

    async fn resolve_time(&self, request: Request<pb::ResolveTimeRequest>) -> Reply<pb::ResolveTimeResponse> {
        let (who, message) = authenticated(request)?;
        reply(
            async {
                let mut input = Input::default();
                let id = input.id_optional("calendar_id", &message.calendar_id);
                let local = read::local_time(&mut input, "local_time", &message.local_time);
                let zone = read::zone(&mut input, "time_zone", &message.time_zone);
                let minutes = read::minutes(&mut input, "add_working_minutes", message.add_working_minutes, 0..=43_200);
                input.finish()?;
                calendars::resolve(&self.app, &who, (id, minutes), (local, zone)).await.map_err(Failure::from)
            }
            .await,
        )
    }
}
