//! What identity can be told; `default.toml` is the manual.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use chrono_tz::Tz;
use revisit_bootstrap::config::check;
use revisit_core::{Failure, Input};
use serde::{Deserialize, Serialize};

use crate::domain::alert::{Hours, Limit, Limits, Reaction, Rule};

/// The manual of this service's keys.
pub const DEFAULTS: &str = include_str!("default.toml");

/// `[identity]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub keys_folder: PathBuf,
    pub lease_ttl_millis: u64,
    pub access_token_seconds: u64,
    pub refresh_token_hours: u64,
    pub password_link_hours: u64,
    pub passwords_at_once: usize,
    pub sessions_max: u64,
    pub users_told_max: usize,
    pub preview_policies_max: usize,
    pub audit_checkpoint_seconds: u64,
    pub authzen: Authzen,
    pub alerts: Alerts,
}

/// With which the URL of the standard's listener begins.
const SCHEME: &str = "https://";

/// `[identity.authzen]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Authzen {
    pub listen: String,
    pub url: String,
    pub body_kibibytes_max: usize,
    pub bodies_mebibytes_max: usize,
    pub seconds_max: u64,
    pub concurrency_max: usize,
    pub calls_per_subject_max: usize,
}

impl Authzen {
    /// Where it listens; nowhere when it is off.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    /// What follows the host in the URL: empty, or a path.
    pub fn path(&self) -> &str {
        let host = self.url.strip_prefix(SCHEME).unwrap_or_default();
        host.find('/').map_or("", |at| &host[at..])
    }

    pub const fn time_max(&self) -> Duration {
        Duration::from_secs(self.seconds_max)
    }

    fn check(&self, input: &mut Input) {
        let on = !self.listen.is_empty();
        input.require(!on || self.address().is_some(), "identity.authzen.listen", "must be an address and a port");
        let url = self.url.strip_prefix(SCHEME).is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#']));
        let rule = "must be an https URL without query and fragment when it listens";
        input.require(!on || (url && !self.url.ends_with('/')), "identity.authzen.url", rule);
        input.number("identity.authzen.body_kibibytes_max", self.body_kibibytes_max, 1..=16_384);
        input.number("identity.authzen.bodies_mebibytes_max", self.bodies_mebibytes_max, 1..=65_536);
        let fits = self.body_kibibytes_max <= self.bodies_mebibytes_max.saturating_mul(1_024);
        input.require(fits, "identity.authzen.bodies_mebibytes_max", "must have room for one whole body");
        input.number("identity.authzen.seconds_max", self.seconds_max, 1..=60);
        input.number("identity.authzen.concurrency_max", self.concurrency_max, 1..=10_000);
        input.number("identity.authzen.calls_per_subject_max", self.calls_per_subject_max, 1..=10_000);
    }
}

/// `[identity.alerts]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Alerts {
    pub time_zone: String,
    pub working_hours: [u32; 2],
    pub working_days: Vec<u32>,
    pub burst_reads: AlertLimit,
    pub bulk_export: AlertLimit,
    pub off_hours: AlertLimit,
    pub self_grant: AlertLimit,
    pub mass_grant: AlertLimit,
    pub denied_burst: AlertLimit,
    pub failed_log_ins: AlertLimit,
    pub duplicate_budget: AlertLimit,
}

/// One rule's section.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct AlertLimit {
    pub count: u64,
    pub window_seconds: u64,
    pub freeze: bool,
}

impl AlertLimit {
    const fn limit(self) -> Limit {
        let reaction = if self.freeze { Reaction::Freeze } else { Reaction::Tell };
        Limit { count: self.count, window: Duration::from_secs(self.window_seconds), reaction }
    }
}

impl Alerts {
    /// In the order of the rules.
    const fn sections(&self) -> [AlertLimit; Rule::ALL.len()] {
        [
            self.burst_reads,
            self.bulk_export,
            self.off_hours,
            self.self_grant,
            self.mass_grant,
            self.denied_burst,
            self.failed_log_ins,
            self.duplicate_budget,
        ]
    }

    fn check(&self, input: &mut Input) {
        for (rule, section) in Rule::ALL.into_iter().zip(self.sections()) {
            let field = format!("identity.alerts.{}.window_seconds", rule.name());
            input.number(&field, section.window_seconds, 60..=86_400);
        }
        let rule = "must be false: whoever fails in somebody's name would end that one's sessions";
        input.require(!self.failed_log_ins.freeze, "identity.alerts.failed_log_ins.freeze", rule);
        let zone = self.time_zone.parse::<Tz>().is_ok();
        input.require(zone, "identity.alerts.time_zone", "must be the name of a time zone, like Asia/Shanghai");
        let [begin, end] = self.working_hours;
        let hours = begin < end && end <= 24;
        input.require(hours, "identity.alerts.working_hours", "must be two hours of a day, the earlier one first");
        let days = self.working_days.iter().all(|day| (1..=7).contains(day));
        input.require(days, "identity.alerts.working_days", "must be days of the week, 1 (Monday) to 7");
    }

    /// What the rules go by; the configuration was checked.
    pub fn limits(&self) -> Limits {
        let zone = self.time_zone.parse().unwrap_or(Tz::UTC);
        let [begin, end] = self.working_hours;
        let hours = Hours { zone, begin, end, days: self.working_days.clone() };
        Limits { of: self.sections().map(AlertLimit::limit), hours }
    }
}

impl Config {
    /// Checks every rule of the manual.
    pub fn check(&self) -> Result<(), Failure> {
        check(|input| {
            let folder = !self.keys_folder.as_os_str().is_empty();
            input.require(folder, "identity.keys_folder", "is required");
            input.number("identity.lease_ttl_millis", self.lease_ttl_millis, 500..=10_000);
            input.number("identity.access_token_seconds", self.access_token_seconds, 30..=300);
            input.number("identity.refresh_token_hours", self.refresh_token_hours, 1..=2_160);
            input.number("identity.password_link_hours", self.password_link_hours, 1..=720);
            input.number("identity.passwords_at_once", self.passwords_at_once, 1..=64);
            input.number("identity.sessions_max", self.sessions_max, 1..=1_000);
            input.number("identity.users_told_max", self.users_told_max, 1..=5_000);
            input.number("identity.preview_policies_max", self.preview_policies_max, 100..=1_000_000);
            input.number("identity.audit_checkpoint_seconds", self.audit_checkpoint_seconds, 1..=3_600);
            self.authzen.check(input);
            self.alerts.check(input);
        })
    }

    pub const fn lease_ttl(&self) -> Duration {
        Duration::from_millis(self.lease_ttl_millis)
    }

    pub const fn access_token(&self) -> Duration {
        Duration::from_secs(self.access_token_seconds)
    }

    pub const fn refresh_token(&self) -> Duration {
        Duration::from_secs(self.refresh_token_hours * 3600)
    }

    pub const fn password_link(&self) -> Duration {
        Duration::from_secs(self.password_link_hours * 3600)
    }
}
