//! What goes wrong, how often, and for how long.

use rand::{RngExt, rngs::StdRng};

use super::node::{At, MILLI, SECOND};

/// One kind of fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A holder and all replicas of identity do not hear each other.
    Partition,
    /// A holder stands still, its boot-time clock does not.
    PauseHolder,
    /// A holder is killed and started anew, under another name.
    KillHolder,
    /// A replica of identity stands still in the midst of what it does.
    PauseTeller,
    /// A replica of identity is killed and started anew; what it had under way is lost, or has been committed.
    KillTeller,
    /// A replica of identity does not reach its database.
    CutOff,
    /// Half a second forward or back on one machine's wall clock.
    StepSmall,
    /// An hour forward or back.
    StepLarge,
    /// Messages take long, and overtake each other.
    Slow,
    /// One message in five is lost.
    Lossy,
}

impl Fault {
    pub const ALL: [Self; 10] = [
        Self::Partition,
        Self::PauseHolder,
        Self::KillHolder,
        Self::PauseTeller,
        Self::KillTeller,
        Self::CutOff,
        Self::StepSmall,
        Self::StepLarge,
        Self::Slow,
        Self::Lossy,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Partition => "holder cut off from identity",
            Self::PauseHolder => "holder paused",
            Self::KillHolder => "holder killed",
            Self::PauseTeller => "identity paused",
            Self::KillTeller => "identity killed",
            Self::CutOff => "identity cut off from its database",
            Self::StepSmall => "wall clock stepped 500 ms",
            Self::StepLarge => "wall clock stepped 1 h",
            Self::Slow => "network slow and out of order",
            Self::Lossy => "network losing messages",
        }
    }

    pub fn draw(dice: &mut StdRng) -> Self {
        Self::ALL[dice.random_range(0..Self::ALL.len())]
    }

    /// How long it lasts: shorter, about as long, and longer than a lease.
    pub fn lasting(dice: &mut StdRng) -> At {
        match dice.random_range(0..3) {
            0 => dice.random_range(5 * MILLI..500 * MILLI),
            1 => dice.random_range(500 * MILLI..3 * SECOND),
            _ => dice.random_range(3 * SECOND..6 * SECOND),
        }
    }
}
