//! Behaviour tests of the whole product, through its public interfaces.
#![expect(clippy::expect_used, reason = "a test's panic is its report, also in the functions that tests share")]

mod bad_input;
mod bootstrap;
mod bus;
mod customer;
mod followup;
mod identity;
mod interference;
mod journeys;
mod kill;
mod laws;
mod leases;
mod notification;
mod outbox;
mod program;
mod python;
