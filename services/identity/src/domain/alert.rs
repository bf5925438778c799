//! Alerts: when what somebody does looks like a leak or a misuse. Each rule weighs every entry of the audit log for
//! somebody, and tells once in a window in which the weights reach what is allowed; where an alert ends sessions, counting
//! begins anew with it, so that who comes back is stopped again.
//!
//! Time is the entries' own, and what was told is read where it is kept: so the same log gives the same alerts however it
//! is cut into reads and whichever replica chains it, as long as an entry comes no later than the longest window. What a
//! reader of the log adds is one thing, because the log has no other time: a time ahead of its clock counts as now.

mod engine;

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, Datelike, Timelike};
use chrono_tz::Tz;
use revisit_core::Timestamp;
use uuid::Uuid;

pub use engine::Engine;

/// What may be alarming. The number is the one of the contract.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Rule {
    /// Many rows whose values were read clear, on screens or in exports.
    BurstReads = 1,
    /// Many rows exported.
    BulkExport = 2,
    /// Clear reads, exports and changes of rights outside of the working hours.
    OffHours = 3,
    /// Somebody gave a right to themselves, or to an account whose secret they drew.
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
    /// Whether what it names is no row but stands for a name that nobody has.
    pub names_nobody: bool,
    /// Whether fields were read clear or changed.
    pub names_fields: bool,
    /// Whom it gives rights.
    pub gives_to: BTreeSet<Uuid>,
    /// Those among them who are the subject itself under another name.
    pub own_accounts: BTreeSet<Uuid>,
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

    /// How far back the log is read to know what was counted: four times the longest window. An entry that is late by one
    /// finds another one in its window; what made somebody forgotten then was late by a third; and a part of a window
    /// begins before what it holds.
    pub fn reach(&self) -> Duration {
        self.of.iter().map(|limit| limit.window).max().unwrap_or_default() * 4
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
    // An export is told once with its number of rows, and beside it those of them whose values leave clear, chunk by
    // chunk: these were read like any, whatever became of the file.
    let (exports, takes_clear) = match done && seen.action.ends_with(".export") {
        true => (!seen.names_fields, seen.names_fields),
        false => (false, false),
    };
    let rows = u64::try_from(seen.rows.len()).unwrap_or(u64::MAX).max(1);
    let gives = done && !seen.gives_to.is_empty();
    let weight = match rule {
        Rule::BurstReads => (reads || takes_clear).then_some(rows),
        Rule::BulkExport => exports.then_some(seen.count),
        Rule::OffHours => ((reads || exports || gives) && !hours.cover(seen.time)).then_some(1),
        Rule::SelfGrant => {
            let to_itself = seen.subject.is_some_and(|it| seen.gives_to.contains(&it));
            (gives && (to_itself || !seen.own_accounts.is_empty())).then_some(1)
        }
        Rule::MassGrant => gives.then_some(u64::try_from(seen.gives_to.len()).unwrap_or(u64::MAX)),
        Rule::DeniedBurst => (seen.outcome == Outcome::Denied).then_some(seen.count.max(1)),
        Rule::FailedLogIns => {
            let fails = seen.outcome == Outcome::Failed && seen.action.starts_with("auth.");
            // Whoever tried is not known; whose account it was is.
            return fails.then(|| Some((*seen.rows.first()?, seen.count.max(1)))).flatten();
        }
        Rule::DuplicateBudget => (seen.reason == "DUPLICATE_BUDGET").then_some(seen.count.max(1)),
    };
    Some((seen.subject?, weight?))
}

#[cfg(test)]
mod tests;
