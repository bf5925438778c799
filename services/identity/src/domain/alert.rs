//! Alerts: when what somebody does looks like a leak or a misuse. Each rule weighs every entry of the audit log for
//! somebody, and tells once in a window in which the weights reach what is allowed; where an alert ends sessions, counting
//! begins anew with it, so that who comes back is stopped again.
//!
//! Time is the entries' own, so the same log gives the same alerts whenever it is read again.

use std::{
    collections::{BTreeSet, HashMap, VecDeque},
    time::Duration,
};

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use revisit_core::Timestamp;
use uuid::Uuid;

/// Parts that a window is counted in: what leaves it leaves it a part at a time.
const PARTS: u32 = 16;
/// People and rules of one company that are counted at once; of more, those that did nothing for longest are forgotten.
const WINDOWS_MAX: usize = 20_000;

/// What may be alarming. The number is the one of the contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Many rows whose values were read clear.
    BurstReads = 1,
    /// Many rows exported.
    BulkExport = 2,
    /// Clear reads, exports and changes of rights outside of the working hours.
    OffHours = 3,
    /// Somebody gave a right to themselves.
    SelfGrant = 4,
    /// Rights given to many.
    MassGrant = 5,
    /// Many refusals.
    DeniedBurst = 6,
    /// Many failed log-ins to one account.
    FailedLogIns = 7,
    /// Somebody spent the questions of an hour about customers of others.
    DuplicateBudget = 8,
}

impl Rule {
    pub const ALL: [Self; 8] = [
        Self::BurstReads,
        Self::BulkExport,
        Self::OffHours,
        Self::SelfGrant,
        Self::MassGrant,
        Self::DeniedBurst,
        Self::FailedLogIns,
        Self::DuplicateBudget,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::BurstReads => "burst_reads",
            Self::BulkExport => "bulk_export",
            Self::OffHours => "off_hours",
            Self::SelfGrant => "self_grant",
            Self::MassGrant => "mass_grant",
            Self::DeniedBurst => "denied_burst",
            Self::FailedLogIns => "failed_log_ins",
            Self::DuplicateBudget => "duplicate_budget",
        }
    }

    pub fn numbered(number: i32) -> Option<Self> {
        Self::ALL.into_iter().find(|rule| *rule as i32 == number)
    }
}

/// How an audited act ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    Done,
    Denied,
    Failed,
}

/// An entry as the rules see it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    pub time: Timestamp,
    pub subject: Option<Uuid>,
    pub action: String,
    pub outcome: Outcome,
    pub reason: String,
    /// What the entry counts itself.
    pub count: u64,
    /// Rows that it names.
    pub rows: Vec<Uuid>,
    /// Whether fields were read clear or changed.
    pub names_fields: bool,
    /// Whom it gives rights.
    pub gives_to: BTreeSet<Uuid>,
}

/// How much of something is allowed in which time, and what follows beyond.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// At which weight it is told; 0 switches the rule off.
    pub count: u64,
    pub window: Duration,
    pub reaction: Reaction,
}

/// What follows from an alert.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reaction {
    /// Auditors and the administrator are told.
    Tell,
    /// And the sessions of whom it is about end.
    Freeze,
}

/// Hours of the week in which people work. identity knows no calendar: holidays are working days here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Hours {
    pub zone: Tz,
    /// From this hour of the local day to before that one.
    pub begin: u32,
    pub end: u32,
    /// Days of the week, Monday is 1.
    pub days: Vec<u32>,
}

impl Hours {
    fn cover(&self, at: Timestamp) -> bool {
        let local = DateTime::from_timestamp_micros(at.micros()).map(|utc| utc.with_timezone(&self.zone));
        local.is_none_or(|local| {
            let works = self.days.contains(&local.weekday().number_from_monday());
            works && (self.begin..self.end).contains(&local.hour())
        })
    }
}

/// All limits.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    pub of: [Limit; Rule::ALL.len()],
    pub hours: Hours,
}

impl Limits {
    pub fn of(&self, rule: Rule) -> Limit {
        // The numbers of the rules begin at 1 and have no gap.
        self.of[rule as usize - 1]
    }

    /// The longest time that any rule looks back.
    pub fn horizon(&self) -> Duration {
        self.of.iter().map(|limit| limit.window).max().unwrap_or_default()
    }
}

/// Somebody reached a limit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Alert {
    pub rule: Rule,
    /// Who did it; of failed log-ins whose account it is, or what stands for a name that nobody has.
    pub about: Uuid,
    pub time: Timestamp,
    pub counted: u64,
    pub limit: Limit,
}

/// What an entry weighs for a rule, and for whom.
fn weigh(rule: Rule, seen: &Seen, hours: &Hours) -> Option<(Uuid, u64)> {
    let done = seen.outcome == Outcome::Done;
    let reads = done && seen.names_fields && seen.action.ends_with(".view");
    // The rows of an export whose values are clear are told beside it, field by field.
    let exports = done && !seen.names_fields && seen.action.ends_with(".export");
    let rows = u64::try_from(seen.rows.len()).unwrap_or(u64::MAX).max(1);
    let gives = done && !seen.gives_to.is_empty();
    let weight = match rule {
        Rule::BurstReads => reads.then_some(rows),
        Rule::BulkExport => exports.then_some(seen.count),
        Rule::OffHours => ((reads || exports || gives) && !hours.cover(seen.time)).then_some(1),
        Rule::SelfGrant => (gives && seen.subject.is_some_and(|it| seen.gives_to.contains(&it))).then_some(1),
        Rule::MassGrant => gives.then_some(u64::try_from(seen.gives_to.len()).unwrap_or(u64::MAX)),
        Rule::DeniedBurst => (seen.outcome == Outcome::Denied).then_some(seen.count.max(1)),
        Rule::FailedLogIns => {
            let fails = seen.outcome == Outcome::Failed && seen.action.starts_with("auth.");
            // Whoever tried is not known; whose account it was is.
            return fails.then(|| Some((*seen.rows.first()?, seen.count.max(1)))).flatten();
        }
        Rule::DuplicateBudget => (seen.reason == "DUPLICATE_BUDGET").then_some(1),
    };
    Some((seen.subject?, weight?))
}

/// What somebody did lately, for one rule.
#[derive(Clone, Debug, Default)]
struct Window {
    /// Beginning and weight of each part, oldest first; never more than [`PARTS`] and one.
    parts: VecDeque<(i64, u64)>,
    told_at: Option<Timestamp>,
}

impl Window {
    /// Adds a weight; answers the sum when it is to be told.
    ///
    /// An entry that claims a time far ahead moves the window there; the caller clamps it.
    fn add(&mut self, at: Timestamp, weight: u64, limit: Limit) -> Option<u64> {
        let window = i64::try_from(limit.window.as_micros()).unwrap_or(i64::MAX);
        let part = (window / i64::from(PARTS)).max(1);
        let begin = at.micros().div_euclid(part) * part;
        match self.parts.iter_mut().find(|(known, _)| *known == begin) {
            Some((_, sum)) => *sum = sum.saturating_add(weight),
            None => {
                let place = self.parts.partition_point(|(known, _)| *known < begin);
                self.parts.insert(place, (begin, weight));
            }
        }
        let newest = self.parts.back().map_or(begin, |(newest, _)| *newest);
        while self.parts.front().is_some_and(|(oldest, _)| *oldest <= newest - window) {
            self.parts.pop_front();
        }
        let sum = self.parts.iter().fold(0_u64, |sum, (_, weight)| sum.saturating_add(*weight));
        let silent = self.told_at.is_some_and(|told| at < told + limit.window);
        if sum < limit.count || silent {
            return None;
        }
        match limit.reaction {
            Reaction::Tell => self.told_at = Some(at),
            // The sessions have ended: what comes now is another attempt.
            Reaction::Freeze => self.parts.clear(),
        }
        Some(sum)
    }

    fn newest(&self) -> i64 {
        self.parts.back().map_or(i64::MIN, |(newest, _)| *newest)
    }
}

/// What one company's people did lately.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// The last entry that was weighed.
    pub number: i64,
    /// Its hash: another replica may have chained another entry under the number.
    pub hash: Vec<u8>,
    windows: HashMap<(Rule, Uuid), Window>,
}

impl Engine {
    /// One that begins behind an entry.
    pub fn after(number: i64) -> Self {
        Self { number, hash: Vec::new(), windows: HashMap::new() }
    }

    /// Weighs the next entry; answers what is to be told.
    pub fn take(&mut self, number: i64, seen: &Seen, limits: &Limits) -> Vec<Alert> {
        self.number = number;
        let mut alerts = Vec::new();
        for rule in Rule::ALL {
            let limit = limits.of(rule);
            let Some((about, weight)) = weigh(rule, seen, &limits.hours).filter(|_| limit.count > 0) else { continue };
            self.make_room();
            let window = self.windows.entry((rule, about)).or_default();
            if let Some(counted) = window.add(seen.time, weight, limit) {
                alerts.push(Alert { rule, about, time: seen.time, counted, limit });
            }
        }
        alerts
    }

    fn make_room(&mut self) {
        if self.windows.len() < WINDOWS_MAX {
            return;
        }
        let mut oldest_first: Vec<_> = self.windows.iter().map(|(key, window)| (window.newest(), *key)).collect();
        oldest_first.sort_unstable();
        for (_, key) in oldest_first.iter().take(WINDOWS_MAX / 2) {
            self.windows.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
