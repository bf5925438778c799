//! Behaviour tests of the whole product, through its public interfaces.
#![expect(clippy::expect_used, reason = "this crate only serves tests, where a panic is the report")]

pub mod databases;
pub mod fake_identity;
pub mod heard;
pub mod held;
pub mod meter;
pub mod replica;
pub mod rights;
pub mod speaker;
pub mod world;
pub mod written;

pub use revisit_measure as measure;
