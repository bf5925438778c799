//! What identity can be told; `default.toml` is the manual.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use revisit_bootstrap::config::check;
use revisit_core::{Failure, Input};
use serde::{Deserialize, Serialize};

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
    pub audit_checkpoint_seconds: u64,
    pub authzen: Authzen,
}

/// `[identity.authzen]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Authzen {
    pub listen: String,
    pub url: String,
    pub body_kibibytes_max: usize,
    pub seconds_max: u64,
    pub concurrency_max: usize,
}

impl Authzen {
    /// Where it listens; nowhere when it is off.
    pub fn address(&self) -> Option<SocketAddr> {
        self.listen.parse().ok()
    }

    pub const fn time_max(&self) -> Duration {
        Duration::from_secs(self.seconds_max)
    }

    fn check(&self, input: &mut Input) {
        let on = !self.listen.is_empty();
        input.require(!on || self.address().is_some(), "identity.authzen.listen", "must be an address and a port");
        let url = self.url.strip_prefix("https://").is_some_and(|rest| !rest.is_empty() && !rest.contains(['?', '#']));
        let rule = "must be an https URL without query and fragment when it listens";
        input.require(!on || (url && !self.url.ends_with('/')), "identity.authzen.url", rule);
        input.number("identity.authzen.body_kibibytes_max", self.body_kibibytes_max, 1..=16_384);
        input.number("identity.authzen.seconds_max", self.seconds_max, 1..=60);
        input.number("identity.authzen.concurrency_max", self.concurrency_max, 1..=10_000);
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
            input.number("identity.audit_checkpoint_seconds", self.audit_checkpoint_seconds, 1..=3_600);
            self.authzen.check(input);
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
