//! The rules of identity, without I/O: what may be, what follows from it, and everything that can go wrong.

pub mod alert;
pub mod chain;
pub mod checkpoint;
pub mod directory;
mod error;
pub mod external;
pub mod hand_over;
pub mod lease;
pub mod log_in;
mod naming;
pub mod profile;
pub mod verifier;

pub use directory::{Account, Department, HeldGrant, Position, Role, Session, Tenant};
pub use error::Error;
