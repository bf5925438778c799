//! Identity alone, on both databases: who belongs to a company, who may do what, and who is calling.

mod access;
mod directory;
mod log_in;
mod saga;
mod support;
