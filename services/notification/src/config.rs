//! What notification can be told; `default.toml` is the manual.

use std::time::Duration;

use chrono::NaiveTime;
use lettre::message::Mailbox;
use revisit_bootstrap::{Secret, config::check};
use revisit_core::Failure;
use serde::{Deserialize, Serialize};

use crate::domain::{
    QuietHours,
    outbound::{Network, Outbound},
    state::CLAIM_MARGIN,
};

/// The manual of this service's keys.
pub const DEFAULTS: &str = include_str!("default.toml");

/// `[notification]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub claim_seconds: u64,
    pub digest_time: String,
    pub quiet_start: String,
    pub quiet_end: String,
    pub history_days: u64,
    pub sweep_seconds: u64,
    pub mail: Mail,
    pub webhook: Webhook,
    pub outbound: Allowed,
}

/// `[notification.mail]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Mail {
    pub host: String,
    pub port: u16,
    pub tls: Tls,
    pub user: String,
    pub password: Secret,
    pub from: String,
    pub ca_file: String,
    pub timeout_seconds: u64,
    pub connections_max: usize,
}

/// How the way to the relay is protected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
pub enum Tls {
    /// Clear at first, then protected; a relay that does not offer it is not used.
    #[serde(rename = "starttls")]
    Upgraded,
    /// Protected from the first byte.
    #[serde(rename = "tls")]
    Immediate,
    #[serde(rename = "none")]
    None,
}

/// `[notification.webhook]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub timeout_seconds: u64,
    pub calls_max: usize,
    pub endpoints_max: usize,
}

/// `[notification.outbound]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Allowed {
    pub allow: Vec<String>,
}

impl Config {
    /// Checks every rule of the manual.
    pub fn check(&self) -> Result<(), Failure> {
        check(|input| {
            input.number("notification.claim_seconds", self.claim_seconds, 10..=600);
            input.number("notification.mail.timeout_seconds", self.mail.timeout_seconds, 1..=300);
            input.number("notification.mail.connections_max", self.mail.connections_max, 1..=64);
            input.number("notification.webhook.timeout_seconds", self.webhook.timeout_seconds, 1..=300);
            input.number("notification.webhook.calls_max", self.webhook.calls_max, 1..=64);
            input.number("notification.webhook.endpoints_max", self.webhook.endpoints_max, 1..=1_000);
            input.number("notification.history_days", self.history_days, 1..=3_650);
            input.number("notification.sweep_seconds", self.sweep_seconds, 1..=3_600);
            let longest = self.mail.timeout().max(self.webhook.timeout()) + CLAIM_MARGIN;
            let rule = "must be at least 5 s longer than every provider's time-out";
            input.require(self.claim() >= longest, "notification.claim_seconds", rule);
            let known = self.digest_time().is_some();
            input.require(known, "notification.digest_time", "must be a time as HH:MM");
            let none = self.quiet_start.is_empty() && self.quiet_end.is_empty();
            let rule = "must be two different times as HH:MM, or both empty";
            input.require(none || self.quiet().is_some(), "notification.quiet_start", rule);
            let from = self.mail.from.parse::<Mailbox>().is_ok();
            input.require(from, "notification.mail.from", "must be a mail address, with or without a name");
            for (index, network) in self.outbound.allow.iter().enumerate() {
                let field = format!("notification.outbound.allow[{index}]");
                input.require(Network::parse(network).is_some(), &field, "must be a network like 10.0.0.0/8");
            }
        })
    }

    pub const fn claim(&self) -> Duration {
        Duration::from_secs(self.claim_seconds)
    }

    /// How long what has ended is kept.
    pub const fn history(&self) -> Duration {
        Duration::from_hours(24 * self.history_days)
    }

    pub fn digest_time(&self) -> Option<NaiveTime> {
        NaiveTime::parse_from_str(&self.digest_time, "%H:%M").ok()
    }

    pub fn quiet(&self) -> Option<QuietHours> {
        QuietHours::parse(&self.quiet_start, &self.quiet_end)
    }

    pub fn outbound(&self) -> Outbound {
        Outbound::new(self.outbound.allow.iter().filter_map(|network| Network::parse(network)).collect())
    }
}

impl Mail {
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }

    /// Whether mail is sent at all.
    pub const fn is_on(&self) -> bool {
        !self.host.is_empty()
    }
}

impl Webhook {
    pub const fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_seconds)
    }
}

#[cfg(test)]
mod tests {
    use revisit_bootstrap::config::Layers;

    use super::*;

    fn config() -> Config {
        Layers::defaults(&[DEFAULTS])
            .and_then(|mut layers| layers.take("notification"))
            .expect("the manual is complete")
    }

    #[test]
    fn the_manual_keeps_its_own_rules() {
        config().check().expect("the defaults are valid");
    }

    #[test]
    fn a_claim_shorter_than_a_call_is_refused_at_start_up() {
        let mut short = config();
        short.claim_seconds = short.mail.timeout_seconds + 4;
        let failure = short.check().expect_err("a slow call could be made twice");
        assert_eq!(failure.violations[0].field, "notification.claim_seconds");
    }
}
