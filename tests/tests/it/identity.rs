//! Identity alone, on both databases: who belongs to a company, who may do what, and who is calling.

mod access;
mod audit;
mod auditors;
mod directory;
mod escalation;
mod first_links;
mod log_in;
mod posts;
mod saga;
mod sub_accounts;
mod support;
mod tampering;
