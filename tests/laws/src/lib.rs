//! What the laws of the permission model are proven with: generated worlds, the same worlds in the engine's words, an
//! oracle that shares no code with the engine, and how large a run is.
#![expect(clippy::expect_used, clippy::panic, reason = "this crate only serves tests, where a panic is the report")]

pub mod engine;
pub mod law;
pub mod naive;
pub mod world;
