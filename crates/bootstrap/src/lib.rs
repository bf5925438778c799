//! What every service is built on: configuration, telemetry, server, authentication, lease, database, events, status.
//!
//! A service's `start(config, runtime)` gives a [`Started`]; a [`Process`] runs one or several of them behind one
//! listener and one shutdown.

pub mod address;
pub mod audit;
pub mod auth;
pub mod checkpoint;
pub mod client;
pub mod command;
pub mod config;
pub mod consumer;
pub mod database;
mod denials;
mod ending;
pub mod events;
mod front;
pub mod idempotency;
pub mod lease;
pub mod limits;
mod modules;
mod panics;
mod parked;
mod pieces;
pub mod process;
pub mod runtime;
pub mod seal;
pub mod server;
pub mod service;
pub mod settings;
pub mod shares;
pub mod shutdown;
pub mod snapshots;
pub mod status;
pub mod telemetry;
pub mod wire;

pub use auth::{Principal, RevisionToken, ServiceCaller, authenticated, internal};
pub use client::{Peer, Peers};
pub use config::Secret;
pub use consumer::Consumer;
pub use database::{Database, Tx, fault, is_unique};
pub use denials::{Denials, Refusals};
pub use lease::LeaseClient;
pub use pieces::in_pieces;
pub use process::{Process, Running, Sources};
pub use runtime::{Rest, Runtime, Started, Work};
pub use seal::Sealer;
pub use service::Service;
pub use settings::Settings;
pub use shutdown::Shutdown;
pub use status::{Reply, Streamed, answer, failure, reply, reply_stream, status as to_status, unreadable};
