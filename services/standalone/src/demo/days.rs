//! Ninety days: time goes from one due instant to the next, and people sit at their desks in between.

use std::collections::BTreeSet;

use chrono::{Days, NaiveDate};
use revisit_bootstrap::status::answer;
use revisit_core::{Failure, Timestamp};
use revisit_proto::followup::v1 as pb;

use super::{act::Desks, company::STAFF, local};
use crate::{Running, client::Person};

/// Days that are lived through.
pub const DAYS: u64 = 90;
/// Days behind the last one that are known too: tasks of the last days are due then, and remind before.
const BEYOND: u64 = 60;
/// Local times at which people sit down; at the first of a day they look at the own list, too.
const SITTINGS: [(u32, u32); 4] = [(9, 30), (11, 0), (14, 30), (17, 0)];
/// Roles that follow customers up.
const FOLLOWING: [&str; 4] = ["sales_rep", "service", "sales_manager", "regional_manager"];
/// A step that finds the same instant due again: after so many, time goes on all the same, and the demo says so.
const STUCK_MAX: u32 = 20;

/// The first day: a Monday, with Spring Festival and a 28 February that stands for the 29th ahead.
#[must_use]
pub fn first_day() -> NaiveDate {
    NaiveDate::from_ymd_opt(2027, 1, 4).unwrap_or_default()
}

/// The day after the last.
#[must_use]
pub fn end_day() -> NaiveDate {
    first_day() + Days::new(DAYS)
}

/// How time went.
#[derive(Clone, Copy, Default, Debug)]
pub struct Steps {
    /// Steps to a due instant of a service.
    pub due: u64,
    /// Steps to people at their desks.
    pub sittings: u64,
}

/// The days on which people work, as the company's calendar says.
pub async fn working_days(who: &Person, calendar_id: &str) -> Result<BTreeSet<NaiveDate>, Failure> {
    let request = pb::ListCalendarDaysRequest {
        calendar_id: calendar_id.to_owned(),
        start_date: first_day().to_string(),
        end_date: (end_day() + Days::new(BEYOND)).to_string(),
    };
    let days = answer(who.calendars().list_calendar_days(request).await)?.days;
    Ok(days.into_iter().filter(|day| day.working).filter_map(|day| day.date.parse().ok()).collect())
}

/// Time, and who sits where.
pub struct Life<'a> {
    /// The process that is lived with.
    pub running: &'a Running,
    /// The desks.
    pub desks: &'a Desks<'a>,
    /// Days on which people work.
    pub working: BTreeSet<NaiveDate>,
    /// Whether reminders are sent, so that there is something to heed.
    pub reminders: bool,
    /// Who has left.
    pub gone: BTreeSet<&'static str>,
    /// How time went.
    pub steps: Steps,
}

impl Life<'_> {
    /// Lives until an instant.
    pub async fn until(&mut self, end: Timestamp) -> Result<(), Failure> {
        let mut stuck = 0;
        while self.running.now() < end {
            let now = self.running.now();
            let sitting = self.next_sitting(now).filter(|sitting| *sitting < end);
            let due = self.running.next_due().await.filter(|due| *due < end);
            let next = [sitting, due].into_iter().flatten().min().unwrap_or(end);
            if next <= now {
                stuck += 1;
                if stuck > STUCK_MAX {
                    return Err(Failure::internal(format!("work of {} is never done", local::written(next))));
                }
                self.running.settle().await?;
                continue;
            }
            stuck = 0;
            self.running.advance_to(next).await?;
            if sitting == Some(next) {
                self.steps.sittings += 1;
                self.sit_down(next).await?;
            } else {
                self.steps.due += 1;
            }
        }
        Ok(())
    }

    fn next_sitting(&self, now: Timestamp) -> Option<Timestamp> {
        let sittings = if self.reminders { &SITTINGS[..] } else { &SITTINGS[..1] };
        let days = self.working.range(local::date(now)..);
        days.take(2)
            .flat_map(|day| sittings.iter().map(|(hour, minute)| local::at(*day, *hour, *minute)))
            .find(|at| *at > now)
    }

    async fn sit_down(&self, now: Timestamp) -> Result<(), Failure> {
        let day = local::date(now);
        let (hour, minute) = SITTINGS[0];
        let morning = now == local::at(day, hour, minute);
        let there = STAFF.iter().filter(|hire| FOLLOWING.contains(&hire.role) && !self.gone.contains(hire.username));
        let sitting = there.map(async |hire| {
            let who = self.desks.company.person(hire.username);
            if self.reminders {
                self.desks.heed(who, day).await?;
            }
            if morning { self.desks.look(who, day).await } else { Ok(()) }
        });
        futures::future::try_join_all(sitting).await?;
        self.desks.review(self.desks.company.person("zong")).await?;
        self.running.settle().await
    }
}
