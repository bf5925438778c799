//! What every service is built on, tried with a fake identity and a tiny service behind the real front.

mod auth;
mod beside;
mod config;
mod database;
mod denials;
mod events;
mod lease;
mod process;
mod replicas;
mod row_security;
mod seal;
mod server;
mod support;
mod trace;
