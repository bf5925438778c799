//! The machines: a clock of their own each, holders of leases, and replicas of identity.

use std::time::Duration;

use rand::{RngExt, rngs::StdRng};
use revisit_core::{Clock, ManualClock, Steady, Timestamp};
use revisit_permission::{Keeper, Leases, Silence};

/// An instant of the simulation, in microseconds.
pub type At = u64;
pub const MILLI: At = 1_000;
pub const SECOND: At = 1_000_000;

/// The life of a lease, and what is taken off it.
pub const TTL: Duration = Duration::from_secs(2);
pub const DRIFT: Duration = Duration::from_millis(50);
/// No clock runs faster or slower than this against another one: what the drift is for, and a little less.
const RATE_MAX: i64 = 24_000;

/// A machine's clocks: the boot-time clock runs at a rate of its own, the wall can be set.
pub struct Machine {
    hands: ManualClock,
    /// In millionths more than a second a second.
    rate: i64,
    shown: At,
    /// Until when the machine stands still.
    pub paused: At,
    /// Until when it does not hear the others.
    pub apart: At,
}

impl Machine {
    pub fn new(dice: &mut StdRng) -> Self {
        let hands = ManualClock::frozen(Timestamp::from_seconds(1_800_000_000));
        hands.advance_steady(Duration::from_micros(dice.random_range(0..10_000 * SECOND)));
        Self { hands, rate: dice.random_range(-RATE_MAX / 2..=RATE_MAX / 2), shown: 0, paused: 0, apart: 0 }
    }

    pub fn clock(&self) -> Clock {
        self.hands.clock()
    }

    /// Moves the boot-time clock to an instant.
    pub fn steady(&mut self, now: At) -> Steady {
        let target = i128::from(now) * i128::from(1_000_000 + self.rate) / 1_000_000;
        let target = At::try_from(target).unwrap_or(At::MAX);
        self.hands.advance_steady(Duration::from_micros(target.saturating_sub(self.shown)));
        self.shown = self.shown.max(target);
        self.clock().steady()
    }

    pub fn step_wall(&self, by: i64) {
        let wall = self.clock().wall().micros().saturating_add(by);
        self.hands.set_wall(Timestamp::from_micros(wall));
    }
}

/// A replica of a service that answers from its lease. One that was started anew is another one.
pub struct Holder {
    pub machine: Machine,
    pub leases: Leases,
    pub keeper: Keeper,
    pub name: String,
    /// Counts starts: what was sent to a former life is not heard.
    pub life: u64,
    /// The renewal under way, if there is one.
    pub renewing: Option<u64>,
    /// Somebody wants the next renewal at once.
    pub woken: bool,
    /// Which planned renewal counts.
    pub due: u64,
    /// The load under way.
    pub loading: Option<u64>,
    /// From when on somebody asks here for the tenant; until then renewals do not name it.
    pub asks_from: At,
    /// Renewals sent so far.
    pub sent: i64,
}

impl Holder {
    pub fn start(machine: Machine, number: usize, life: u64, asks_from: At) -> Self {
        let leases = Leases::new(machine.clock());
        let keeper = Keeper::new(leases.clone(), DRIFT);
        let name = format!("customer/{number}.{life}");
        Self {
            machine,
            leases,
            keeper,
            name,
            life,
            renewing: None,
            woken: false,
            due: 0,
            loading: None,
            asks_from,
            sent: 0,
        }
    }
}

/// A replica of identity.
pub struct Teller {
    pub machine: Machine,
    pub silence: Silence,
    pub life: u64,
    /// Until when it does not reach its database.
    pub cut_off: At,
}

impl Teller {
    pub fn start(machine: Machine, life: u64) -> Self {
        Self { machine, silence: Silence::default(), life, cut_off: 0 }
    }
}
