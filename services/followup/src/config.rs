//! What followup can be told; `default.toml` is the manual.

use revisit_bootstrap::config::check;
use revisit_core::Failure;
use serde::{Deserialize, Serialize};

use crate::schedule;

/// The manual of this service's keys.
pub const DEFAULTS: &str = include_str!("default.toml");

/// `[followup]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub time_zone: String,
    pub continuity_seconds: u64,
}

impl Config {
    /// Checks every rule of the manual.
    pub fn check(&self) -> Result<(), Failure> {
        check(|input| {
            let known = schedule::zone(&self.time_zone).is_some();
            input.require(known, "followup.time_zone", "must be a zone of the IANA database");
            input.number("followup.continuity_seconds", self.continuity_seconds, 1..=86_400);
        })
    }

    /// The zone; the check at start-up has seen that it is one.
    pub(crate) fn zone(&self) -> chrono_tz::Tz {
        schedule::zone(&self.time_zone).unwrap_or(chrono_tz::UTC)
    }
}
