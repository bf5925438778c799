//! The follow-up service alone, between a fake identity and events as customer would send them, on both databases.

mod arrivals;
mod asked;
mod cadence;
mod decided;
mod differences;
mod engine;
mod entries;
mod figures;
mod lending;
mod limits;
mod loans;
mod news;
mod outcomes;
mod plans;
mod repeats;
mod responsible;
mod skips;
mod support;
mod taken;
mod tasks;
mod texts;
mod today;
mod versions;
