//! The follow-up service alone, between a fake identity and events as customer would send them, on both databases.

mod asked;
mod engine;
mod outcomes;
mod plans;
mod skips;
mod support;
mod tasks;
