//! What identity does for its callers, one file per group.

pub mod asking;
pub mod attempts;
pub mod audit;
pub mod book;
pub mod chain;
pub mod decisions;
pub mod departments;
pub mod facts;
pub mod grants;
pub mod hand_overs;
pub mod history;
pub mod leases;
pub mod log_in;
pub mod merge;
pub mod modules;
pub mod previews;
pub mod profiles;
pub mod roles;
pub mod searches;
pub mod service_accounts;
pub mod sessions;
pub mod subjects;
pub mod telling;
pub mod tenants;
pub mod users;
pub mod verify;
