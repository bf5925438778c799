//! The whole product in one process: four services, one listener, SQLite files and the in-process bus.

pub mod client;
pub mod mail_sink;
pub mod webhook_receiver;
