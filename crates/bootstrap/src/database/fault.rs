//! What a driver's error means: the database is away, a race was lost, or something of ours is wrong.
//!
//! Codes decide, never texts, and no text of a driver leaves in a failure's message.

use revisit_core::{Failure, Kind};
use sea_orm::{DbErr, RuntimeErr, SqlErr, sqlx};

/// Reason of a failure that may be repeated as it is.
pub(super) const LOST_RACE: &str = "TRANSACTION_LOST";

/// What a driver's error tells the caller.
#[must_use]
pub fn fault(error: DbErr) -> Failure {
    match meaning(&error) {
        Meaning::Away => {
            Failure::unavailable("DATABASE_UNAVAILABLE", "the database cannot be reached").caused_by(error)
        }
        Meaning::LostRace => {
            Failure::new(Kind::Conflict, LOST_RACE, "another change came first; try again").caused_by(error)
        }
        Meaning::Fault => Failure::internal(error),
    }
}

/// Whether a row with that key exists already.
#[must_use]
pub fn is_unique(error: &DbErr) -> bool {
    matches!(error.sql_err(), Some(SqlErr::UniqueConstraintViolation(_)))
}

enum Meaning {
    Away,
    LostRace,
    Fault,
}

fn meaning(error: &DbErr) -> Meaning {
    #[expect(clippy::wildcard_enum_match_arm, reason = "sea-orm's errors are not ours to enumerate")]
    match error {
        DbErr::ConnectionAcquire(_) => Meaning::Away,
        DbErr::Conn(RuntimeErr::SqlxError(error))
        | DbErr::Exec(RuntimeErr::SqlxError(error))
        | DbErr::Query(RuntimeErr::SqlxError(error)) => driver(error),
        DbErr::Conn(_) => Meaning::Away,
        _ => Meaning::Fault,
    }
}

fn driver(error: &sqlx::Error) -> Meaning {
    #[expect(clippy::wildcard_enum_match_arm, reason = "sqlx's errors are not exhaustive")]
    match error {
        sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => {
            Meaning::Away
        }
        sqlx::Error::Database(error) => error.code().map_or(Meaning::Fault, |code| code_meaning(&code)),
        _ => Meaning::Fault,
    }
}

/// PostgreSQL: SQLSTATE. SQLite: extended result codes, of which the low byte is the class.
fn code_meaning(code: &str) -> Meaning {
    match code {
        // serialization_failure, deadlock_detected
        "40001" | "40P01" => Meaning::LostRace,
        // lock_not_available
        "55P03" => Meaning::LostRace,
        _ if code.len() == 5 && ["08", "53", "57"].contains(&&code[..2]) => Meaning::Away,
        _ => match code.parse::<u32>().map(|code| code & 0xff) {
            // SQLITE_BUSY, SQLITE_LOCKED; SQLITE_IOERR, SQLITE_FULL, SQLITE_CANTOPEN
            Ok(5 | 6) if code.len() < 5 => Meaning::LostRace,
            Ok(10 | 13 | 14) if code.len() < 5 => Meaning::Away,
            Ok(_) | Err(_) => Meaning::Fault,
        },
    }
}
