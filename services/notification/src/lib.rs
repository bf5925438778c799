//! The notification service.

pub mod domain;
