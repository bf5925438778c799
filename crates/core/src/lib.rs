//! What every crate shares: typed ids, the clock, failures, input reading and page tokens. No I/O, no tonic.

pub mod clock;
pub mod failure;
pub mod id;
pub mod input;
pub mod page;

pub use clock::{Clock, ManualClock, Steady, Timestamp};
pub use failure::{Failure, Kind, Tried, Violation};
pub use id::{Id, Ids};
pub use input::Input;
