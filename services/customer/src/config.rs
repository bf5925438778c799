//! What customer can be told; `default.toml` is the manual.

use std::time::Duration;

use revisit_bootstrap::config::check;
use revisit_core::Failure;
use serde::{Deserialize, Serialize};

/// The manual of this service's keys.
pub const DEFAULTS: &str = include_str!("default.toml");

/// `[customer]`
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub export_rows_max: u64,
    pub export_approval_rows: u64,
    pub batch_rows: usize,
    pub upload_mebibytes_max: u64,
    pub sweep_hours: u64,
    pub regrade_hours: u64,
    pub patrol_seconds: u64,
    pub past_days: u64,
}

impl Config {
    /// How far back it is known what a customer was when somebody could see it.
    pub const fn past(&self) -> Duration {
        Duration::from_hours(self.past_days * 24)
    }

    /// Checks every rule of the manual.
    pub fn check(&self) -> Result<(), Failure> {
        check(|input| {
            input.number("customer.export_rows_max", self.export_rows_max, 1..=1_000_000);
            input.number("customer.export_approval_rows", self.export_approval_rows, 1..=1_000_000);
            input.number("customer.batch_rows", self.batch_rows, 1..=1_000);
            input.number("customer.upload_mebibytes_max", self.upload_mebibytes_max, 1..=1_048_576);
            input.number("customer.sweep_hours", self.sweep_hours, 1..=8_760);
            input.number("customer.regrade_hours", self.regrade_hours, 1..=168);
            input.number("customer.patrol_seconds", self.patrol_seconds, 10..=86_400);
            input.number("customer.past_days", self.past_days, 2..=36_500);
        })
    }
}
