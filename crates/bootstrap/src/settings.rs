//! The keys of `default.toml`, typed, with the rules that they keep.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use http::HeaderName;
use revisit_core::{Failure, Input};
use serde::{Deserialize, Serialize};

use crate::config::{Secret, check};

/// The services of the product; the names under which they are configured and call each other.
pub const SERVICES: [&str; 4] = ["identity", "customer", "followup", "notification"];

/// What every process can be told. The manual is `default.toml`.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Settings {
    /// `[server]`
    pub server: Server,
    /// `[limits]`
    pub limits: Limits,
    /// `[database]`
    pub database: DatabaseConfig,
    /// `[telemetry]`
    pub telemetry: Telemetry,
    /// `[lease]`
    pub lease: Lease,
    /// `[bus]`
    pub bus: Bus,
    /// `[inbox]`
    pub inbox: Inbox,
    /// `[peers]`: service → address.
    pub peers: BTreeMap<String, String>,
    /// `[callers]`: service → token.
    pub callers: BTreeMap<String, Caller>,
    /// `[consumers]`: producer → consumers.
    pub consumers: BTreeMap<String, Vec<String>>,
    /// `[seal]`
    pub seal: SealConfig,
}

/// `[server]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Server {
    /// Address of the listener.
    pub listen: SocketAddr,
    /// Bound of the drain.
    pub drain_seconds_max: u64,
    /// Time between "not serving" and the drain.
    pub notice_seconds: u64,
    /// Header in which a balancer names the caller's address; empty for none.
    pub address_header: String,
}

/// `[limits]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Limits {
    /// Greatest request message.
    pub message_bytes_max: usize,
    /// Calls at once.
    pub concurrency_max: usize,
    /// The same of calls that need no token.
    pub public_concurrency_max: usize,
    /// Calls of one subject at once.
    pub calls_per_subject_max: usize,
    /// Endless answers at once.
    pub streams_max: usize,
    /// The same of one subject.
    pub streams_per_subject_max: usize,
    /// Greatest time of a call.
    pub deadline_millis_max: u64,
    /// Greatest time of an upload.
    pub long_deadline_millis_max: u64,
}

/// `[database]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct DatabaseConfig {
    /// Where it is.
    pub url: String,
    /// Its password.
    pub password: Secret,
    /// Whether `serve` migrates.
    pub migrate: Migrate,
    /// Size of the pool.
    pub connections_max: u32,
    /// Wait for a connection.
    pub acquire_millis_max: u64,
    /// Whether a commit waits for the disk.
    pub durable: bool,
}

/// Whether `serve` applies missing migrations.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Migrate {
    /// On SQLite only.
    Auto,
    /// Yes.
    Always,
    /// No: refuse to start when some are missing.
    Never,
}

/// `[telemetry]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Telemetry {
    /// Filter directives.
    pub log: String,
    /// Shape of log lines.
    pub format: Format,
    /// OTLP endpoint; empty for none.
    pub endpoint: String,
    /// Share of traces.
    pub sample_ratio: f64,
    /// Bound of the last flush.
    pub flush_millis_max: u64,
}

/// Shape of log lines.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For eyes.
    Human,
    /// For machines.
    Json,
}

/// `[lease]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Lease {
    /// What is taken off each lease.
    pub drift_millis: u64,
    /// Wait for a state or a revision.
    pub wait_millis_max: u64,
}

/// `[inbox]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Inbox {
    /// Tries of an event before it is parked.
    pub tries_max: u32,
}

/// `[bus]`
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Bus {
    /// Which bus.
    pub kind: BusKind,
}

/// Which bus carries the events.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum BusKind {
    /// Inside the process.
    Memory,
}

/// `[callers.<service>]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Caller {
    /// What the service shows.
    pub token: Secret,
}

/// `[seal]`
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct SealConfig {
    /// Name of the key that seals what is new.
    pub current: String,
    /// The key ring.
    pub keys: BTreeMap<String, Secret>,
    /// Name of the newest index key.
    pub index_current: String,
    /// The ring of index keys.
    pub index_keys: BTreeMap<String, Secret>,
}

impl Settings {
    /// Checks every rule of the manual and tells all that are broken.
    pub fn check(&self) -> Result<(), Failure> {
        check(|input| {
            self.check_server(input);
            input.require(database_url_is_known(&self.database.url), "database.url", DATABASE_URL_RULE);
            input.number("database.connections_max", self.database.connections_max, 1..=1_000);
            input.number("database.acquire_millis_max", self.database.acquire_millis_max, 10..=60_000);
            let ratio = self.telemetry.sample_ratio;
            input.require((0.0..=1.0).contains(&ratio), "telemetry.sample_ratio", "must lie between 0.0 and 1.0");
            input.number("telemetry.flush_millis_max", self.telemetry.flush_millis_max, 0..=60_000);
            input.number("lease.drift_millis", self.lease.drift_millis, 1..=1_000);
            input.number("lease.wait_millis_max", self.lease.wait_millis_max, 0..=5_000);
            input.number("inbox.tries_max", self.inbox.tries_max, 2..=20);
            self.check_names(input);
        })
    }

    fn check_server(&self, input: &mut Input) {
        input.number("server.drain_seconds_max", self.server.drain_seconds_max, 0..=600);
        input.number("server.notice_seconds", self.server.notice_seconds, 0..=60);
        input.require(self.server.trusted_header().is_ok(), "server.address_header", ADDRESS_HEADER_RULE);
        input.number("limits.message_bytes_max", self.limits.message_bytes_max, 1_024..=64 << 20);
        input.number("limits.concurrency_max", self.limits.concurrency_max, 1..=100_000);
        input.number("limits.public_concurrency_max", self.limits.public_concurrency_max, 1..=100_000);
        input.number("limits.calls_per_subject_max", self.limits.calls_per_subject_max, 1..=100_000);
        input.number("limits.streams_max", self.limits.streams_max, 1..=1_000_000);
        input.number("limits.streams_per_subject_max", self.limits.streams_per_subject_max, 1..=1_000);
        input.number("limits.deadline_millis_max", self.limits.deadline_millis_max, 10..=5_000);
        input.number("limits.long_deadline_millis_max", self.limits.long_deadline_millis_max, 1_000..=3_600_000);
    }

    fn check_names(&self, input: &mut Input) {
        const RULE: &str = "is not a service; they are identity, customer, followup and notification";
        let sections = [
            ("peers", self.peers.keys().collect::<Vec<_>>()),
            ("callers", self.callers.keys().collect()),
            ("consumers", self.consumers.keys().collect()),
        ];
        for (section, names) in sections {
            for name in names {
                input.require(SERVICES.contains(&name.as_str()), &format!("{section}.{name}"), RULE);
            }
        }
        for (producer, consumers) in &self.consumers {
            for (index, consumer) in consumers.iter().enumerate() {
                let field = format!("consumers.{producer}[{index}]");
                input.require(SERVICES.contains(&consumer.as_str()), &field, RULE);
            }
        }
        for (service, address) in &self.peers {
            let known = address.is_empty() || address.parse::<http::Uri>().is_ok_and(|uri| uri.authority().is_some());
            input.require(known, &format!("peers.{service}"), "must be empty or like http://host:port");
        }
    }

    /// Who consumes what `producer` emits.
    #[must_use]
    pub fn consumers_of(&self, producer: &str) -> Vec<String> {
        self.consumers.get(producer).cloned().unwrap_or_default()
    }
}

impl Server {
    /// The header in which a balancer names the caller's address.
    pub fn trusted_header(&self) -> Result<Option<HeaderName>, Failure> {
        if self.address_header.is_empty() {
            return Ok(None);
        }
        let refused = |_| Failure::invalid_field("server.address_header", ADDRESS_HEADER_RULE);
        HeaderName::try_from(&self.address_header).map(Some).map_err(refused)
    }
}

impl Limits {
    /// Greatest time of a call.
    #[must_use]
    pub const fn deadline_max(&self) -> Duration {
        Duration::from_millis(self.deadline_millis_max)
    }

    /// Greatest time of an upload.
    #[must_use]
    pub const fn long_deadline_max(&self) -> Duration {
        Duration::from_millis(self.long_deadline_millis_max)
    }
}

impl DatabaseConfig {
    /// The same for one service: the placeholder is filled in.
    #[must_use]
    pub fn of(&self, service: &str) -> Self {
        Self { url: self.url.replace("{service}", service), ..self.clone() }
    }

    /// Whether it is PostgreSQL; else it is SQLite.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.url.starts_with("postgres:") || self.url.starts_with("postgresql:")
    }

    /// Whether `serve` applies missing migrations.
    #[must_use]
    pub fn migrates(&self) -> bool {
        match self.migrate {
            Migrate::Auto => !self.is_postgres(),
            Migrate::Always => true,
            Migrate::Never => false,
        }
    }
}

const ADDRESS_HEADER_RULE: &str = "must be empty or the name of a header";
const DATABASE_URL_RULE: &str = "must be sqlite:<path> or postgres://user@host:port/name without a password";

fn database_url_is_known(url: &str) -> bool {
    let has_password = |rest: &str| rest.split_once('@').is_some_and(|(user, _)| user.contains(':'));
    match url.split_once(':') {
        Some(("sqlite", path)) => !path.is_empty(),
        Some(("postgres" | "postgresql", rest)) => rest.starts_with("//") && !has_password(rest),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DEFAULTS, Layers};

    #[test]
    fn the_manual_holds_every_key_and_keeps_its_own_rules() {
        let settings: Settings =
            Layers::defaults(&[DEFAULTS]).and_then(Layers::finish).expect("the manual is complete");
        settings.check().expect("the defaults are valid");
    }

    #[test]
    fn a_password_in_the_address_of_the_database_is_refused() {
        assert!(!database_url_is_known("postgres://revisit:secret@db/name"));
        assert!(database_url_is_known("postgres://revisit@db:5432/name"));
    }
}
