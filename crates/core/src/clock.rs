//! Time has two hands: `wall()`, an instant that people mean, and `steady()`, which only ever goes forward.
//!
//! Leases, claims and I/O time-outs run on `steady()`; plans, tokens and rows carry `wall()`. A test or the demo moves
//! only the wall; a simulation moves both.

use std::{
    fmt,
    ops::{Add, Sub},
    sync::{
        Arc,
        atomic::{AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

/// An instant: microseconds since 1970-01-01T00:00:00Z, as stored.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// Before every instant that is ever stored.
    pub const MIN: Self = Self(i64::MIN);
    /// After every instant that is ever stored: "without end".
    pub const MAX: Self = Self(i64::MAX);

    /// Wraps a stored value.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// From whole seconds since the epoch, saturating.
    #[must_use]
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000))
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}
impl Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(span.as_micros()).unwrap_or(i64::MAX)))
    }
}
impl fmt::Debug for Timestamp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}µs", self.0)
    }
}

/// An instant of the boot-time clock: it counts while the machine sleeps and no one can set it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Steady(Duration);

impl Steady {
    /// From the time since boot.
    #[must_use]
    pub const fn from_boot(span: Duration) -> Self {
        Self(span)
    }

    /// How long after `earlier` this is; zero when it is not after.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<Duration> for Steady {
    type Output = Self;
    fn add(self, span: Duration) -> Self {
        Self(self.0.saturating_add(span))
    }
}
impl Sub<Duration> for Steady {
    type Output = Self;
    fn sub(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(span))
    }
}

/// The only place where time comes from. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Clock(Hands);

#[derive(Clone, Debug)]
enum Hands {
    System,
    Manual(ManualClock),
}

impl Clock {
    /// The machine's clocks.
    #[must_use]
    pub const fn system() -> Self {
        Self(Hands::System)
    }

    /// The instant that people mean.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Hands::System => system_wall(),
            Hands::Manual(manual) => Timestamp(manual.0.wall.load(Ordering::SeqCst)),
        }
    }

    /// The boot-time clock.
    #[must_use]
    pub fn steady(&self) -> Steady {
        match &self.0 {
            Hands::System => system_steady(),
            Hands::Manual(manual) => match manual.0.steady.load(Ordering::SeqCst) {
                FOLLOWS_SYSTEM => system_steady(),
                micros => Steady(Duration::from_micros(micros)),
            },
        }
    }

    /// Whether the wall is the machine's own. If not, SQL must bind `wall()` instead of asking the database.
    #[must_use]
    pub const fn is_system(&self) -> bool {
        matches!(self.0, Hands::System)
    }

    /// Waits until the wall has reached `at`, also when a test moves it there.
    pub async fn sleep_until(&self, at: Timestamp) {
        match &self.0 {
            // The wall may be stepped while we sleep, so the wait is cut into pieces and looked at again.
            Hands::System => loop {
                let left = at.since(self.wall());
                if left.is_zero() {
                    return;
                }
                tokio::time::sleep(left.min(SLEEP_MAX)).await;
            },
            Hands::Manual(manual) => {
                let mut moved = manual.0.moved.subscribe();
                while self.wall() < at {
                    // The sender lives as long as the clock that we hold.
                    if moved.changed().await.is_err() {
                        return;
                    }
                }
            }
        }
    }
}

/// The longest single sleep while waiting for a wall instant: how late a step of the wall can be noticed.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// The stored value that says: `steady()` is the machine's.
const FOLLOWS_SYSTEM: u64 = u64::MAX;

/// A clock that stands still until it is moved.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<ManualHands>);

#[derive(Debug)]
struct ManualHands {
    wall: AtomicI64,
    steady: AtomicU64,
    moved: watch::Sender<()>,
}

impl ManualClock {
    /// A wall that stands at `wall`, beside the machine's boot-time clock: for the demo and for journeys.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self::with(wall, FOLLOWS_SYSTEM)
    }

    /// Both hands stand still: for simulations.
    #[must_use]
    pub fn frozen(wall: Timestamp) -> Self {
        Self::with(wall, 0)
    }

    fn with(wall: Timestamp, steady: u64) -> Self {
        let (moved, _) = watch::channel(());
        Self(Arc::new(ManualHands { wall: AtomicI64::new(wall.0), steady: AtomicU64::new(steady), moved }))
    }

    /// The clock to hand to what is tested.
    #[must_use]
    pub fn clock(&self) -> Clock {
        Clock(Hands::Manual(self.clone()))
    }

    /// Moves the wall, backwards too, and wakes who waits for it.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.wall.store(wall.0, Ordering::SeqCst);
        self.0.moved.send_replace(());
    }

    /// Moves the boot-time clock forward; it must have been made by [`ManualClock::frozen`].
    pub fn advance_steady(&self, span: Duration) {
        debug_assert_ne!(self.0.steady.load(Ordering::SeqCst), FOLLOWS_SYSTEM, "this clock follows the machine's");
        self.0.steady.fetch_add(u64::try_from(span.as_micros()).unwrap_or(0), Ordering::SeqCst);
        self.0.moved.send_replace(());
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the one place where the machine's clocks are read")]
fn system_wall() -> Timestamp {
    // A machine set before 1970 reads as 1970: nothing of ours is older.
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

fn system_steady() -> Steady {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Steady(Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn moving_a_manual_wall_wakes_a_sleeper() {
        let manual = ManualClock::at(Timestamp::from_seconds(100));
        let clock = manual.clock();
        let sleeper = tokio::spawn(async move { clock.sleep_until(Timestamp::from_seconds(200)).await });
        manual.set_wall(Timestamp::from_seconds(199));
        tokio::task::yield_now().await;
        assert!(!sleeper.is_finished());
        manual.set_wall(Timestamp::from_seconds(200));
        sleeper.await.expect("the sleeper ends");
    }

    #[test]
    fn the_steady_hand_does_not_follow_a_moved_wall() {
        let manual = ManualClock::frozen(Timestamp::from_seconds(100));
        let before = manual.clock().steady();
        manual.set_wall(Timestamp::from_seconds(10_000));
        assert_eq!(manual.clock().steady(), before);
    }
}
