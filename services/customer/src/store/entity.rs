//! Rows as the database has them: raw ids, microseconds, bytes. Nobody outside the store sees them.

mod catalogue;
mod history;
mod past;
mod record;
mod work;

pub use catalogue::*;
pub use history::*;
pub use past::*;
pub use record::*;
pub use work::*;
