//! Identity alone, on both databases: who belongs to a company, who may do what, and who is calling.

mod access;
mod audit;
mod auditors;
mod authzen;
mod directory;
mod escalation;
mod external;
mod first_links;
mod found;
mod leases;
mod lists;
mod lock_out;
mod log_in;
mod narrowing;
mod posts;
mod previews;
mod pushes;
mod questions;
mod saga;
mod strangers;
mod sub_accounts;
mod support;
mod tampering;
