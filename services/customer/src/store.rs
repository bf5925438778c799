//! Everything that touches the database. A query over protected rows takes a permit.

mod entity;
mod events;
pub use events::facts;
mod filter;
mod migration;
mod reach;
mod rows;
mod sealed;

pub mod catalogue;
pub mod duty;
pub mod hand_overs;
pub mod imports;
pub mod keys;
pub mod load;
pub mod orders;
pub mod past;
pub mod save;
pub mod segment_rows;
pub mod segments;
pub mod timeline;
pub mod transfers;

pub use migration::Migrator;
use revisit_bootstrap::{Database, Sealer, database::fault};
use sea_orm::DbErr;

use crate::domain::Error;

/// The database and what seals its secrets. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub database: Database,
    pub sealer: Sealer,
}

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self::Told(fault(error))
    }
}
