//! Work calendars of a tenant.

use chrono::{NaiveDate, NaiveDateTime};
use revisit_bootstrap::{
    Principal,
    audit::Deed,
    database::Tx,
    idempotency::{Once, Repeatable},
};
use revisit_core::id::CalendarId;
use revisit_permission::{Action, Permits, Row, Scope};
use revisit_proto::followup::v1 as pb;

use super::{
    planner,
    rights::Rights,
    write::{self, Made},
};
use crate::{
    App,
    domain::{Error, calendar::Calendar},
    schedule::{self, Roll, WorkCalendar},
    show,
    store::calendars,
};

/// Calendars of one company: they are read whole and changed together.
const CALENDARS_MAX: usize = 100;

/// What replacing a calendar writes, in the words of the contract.
const FIELDS: [&str; 5] = ["name", "base", "intervals", "days", "is_default"];

/// What a caller writes of a calendar.
pub struct Write {
    pub name: String,
    pub hours: WorkCalendar,
    pub is_default: bool,
}

/// A calendar belongs to the whole company: only a right over all of it reaches it.
fn row(who: &Principal) -> Row {
    Row::of_tenant(who.tenant())
}

/// Creates a calendar.
pub async fn create(app: &App, who: &Principal, new: Write, repeat: Option<Repeatable>) -> Result<pb::Calendar, Error> {
    let permits = Permits(vec![who.decide(Action::CalendarManage, &row(who))?]);
    let work = async |tx: &Tx| {
        let mut rights = Rights::of(who);
        rights.decide(Action::CalendarManage, &row(who))?;
        let Write { name, hours, is_default } = new;
        let id = app.ids.next(app.now(tx).await?);
        let calendar = Calendar { tenant: who.tenant(), id, name, hours, is_default, version: 1 };
        let others = calendars::lock(tx, who.tenant()).await?;
        if others.len() >= CALENDARS_MAX {
            return Err(Error::TooManyCalendars(CALENDARS_MAX));
        }
        calendars::save(tx, &calendar, others).await?;
        Ok(Made::Changed(show::calendar(&calendar), Deed::on("calendar", [id.uuid()]), rights))
    };
    write::change(app, &permits, Once::new(who, repeat.as_ref()), work).await
}

async fn find(tx: &Tx, scope: &Scope, id: CalendarId) -> Result<Calendar, Error> {
    let found = calendars::find(tx, scope.tenant(), id).await?;
    let found = found.filter(|_| scope.levels(&Row::of_tenant(scope.tenant())).is_some());
    found.ok_or(Error::NoSuchCalendar)
}

/// One calendar.
pub async fn get(app: &App, who: &Principal, id: CalendarId) -> Result<pb::Calendar, Error> {
    let scope = who.scope(Action::CalendarView)?;
    let read = async |tx: &Tx| Ok(show::calendar(&find(tx, &scope, id).await?));
    app.database.read(&scope, read).await
}

/// A page of calendars.
pub async fn list(
    app: &App,
    who: &Principal,
    (after, limit): (Option<CalendarId>, u32),
) -> Result<(Vec<pb::Calendar>, Option<CalendarId>), Error> {
    let scope = who.scope(Action::CalendarView)?;
    app.database
        .read(&scope, async |tx: &Tx| {
            let mut rows = match scope.levels(&Row::of_tenant(scope.tenant())) {
                Some(_) => calendars::all(tx, scope.tenant()).await?,
                None => Vec::new(),
            };
            rows.retain(|calendar| after.is_none_or(|after| calendar.id > after));
            let more = rows.len() > limit as usize;
            rows.truncate(limit as usize);
            let next = rows.last().filter(|_| more).map(|row| row.id);
            Ok((rows.iter().map(show::calendar).collect(), next))
        })
        .await
}

/// Replaces a calendar. What is planned already stays where it is.
pub async fn update(
    app: &App,
    who: &Principal,
    (id, etag): (CalendarId, Option<i64>),
    new: Write,
    repeat: Option<Repeatable>,
) -> Result<pb::Calendar, Error> {
    get(app, who, id).await?;
    let permits = Permits(vec![who.decide(Action::CalendarManage, &row(who))?]);
    let work = async |tx: &Tx| {
        let mut rights = Rights::of(who);
        rights.decide(Action::CalendarManage, &row(who))?;
        let all = calendars::lock(tx, who.tenant()).await?;
        let known = all.iter().find(|calendar| calendar.id == id).cloned().ok_or(Error::NoSuchCalendar)?;
        if etag.is_some_and(|etag| etag != known.version) {
            return Err(Error::Stale);
        }
        let Write { name, hours, is_default } = new;
        let calendar = Calendar { name, hours, is_default, version: known.version + 1, ..known };
        calendars::save(tx, &calendar, all).await?;
        Ok(Made::Changed(show::calendar(&calendar), Deed::on("calendar", [id.uuid()]).fields(FIELDS), rights))
    };
    write::change(app, &permits, Once::new(who, repeat.as_ref()), work).await
}

/// The hours of a calendar, or of the tenant's default.
async fn hours(app: &App, who: &Principal, id: Option<CalendarId>) -> Result<WorkCalendar, Error> {
    let scope = who.scope(Action::CalendarView)?;
    app.database
        .read(&scope, async |tx: &Tx| match id {
            Some(id) => Ok(find(tx, &scope, id).await?.hours),
            None => Ok(planner::calendar(tx, scope.tenant(), None).await?),
        })
        .await
}

/// What each day of a stretch is.
pub async fn days(
    app: &App,
    who: &Principal,
    id: Option<CalendarId>,
    (start, end): (NaiveDate, NaiveDate),
) -> Result<pb::ListCalendarDaysResponse, Error> {
    let hours = hours(app, who, id).await?;
    let mut days = Vec::new();
    let mut date = start;
    while date <= end {
        let day = hours.day(date);
        let status = if day.announced { pb::YearStatus::Announced } else { pb::YearStatus::Provisional };
        days.push(pb::CalendarDay {
            date: date.to_string(),
            working: day.working,
            name: day.name,
            year_status: status.into(),
        });
        date = schedule::after_days(date, 1);
    }
    Ok(pb::ListCalendarDaysResponse { days })
}

/// Where a local time falls.
pub async fn resolve(
    app: &App,
    who: &Principal,
    (id, minutes): (Option<CalendarId>, u32),
    (local, zone): (NaiveDateTime, chrono_tz::Tz),
) -> Result<pb::ResolveTimeResponse, Error> {
    let hours = hours(app, who, id).await?;
    // A time that the zone's clock leaves out is told where it really falls.
    let local = schedule::local(schedule::instant(local, zone), zone);
    Ok(pb::ResolveTimeResponse {
        working: hours.is_working(local),
        forward: show::local(hours.roll(local, Roll::Forward)),
        back: show::local(hours.roll(local, Roll::Back)),
        later: show::local(hours.add_working(local, minutes)),
    })
}
