//! A round: everybody has the right, something happens to a process, the right is taken back, and what was answered is
//! held against when that was told.

use std::time::Duration;

use revisit_core::Ids;
use revisit_tests::replica::Open;

use super::{
    fleet::{Fleet, LEASE, REPLICAS, Signal},
    people::{Loss, People},
    watch::Right,
};

/// What happens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// A customer service is stopped, and goes on.
    HolderStopped,
    /// An identity is stopped, and goes on.
    IdentityStopped,
    /// A customer service is cut off from identity, and connected again.
    HolderCutOff,
    /// A customer service is killed, and started again.
    HolderKilled,
    /// An identity is killed, and started again.
    IdentityKilled,
}

impl Fault {
    pub const ALL: [Self; 5] =
        [Self::HolderStopped, Self::IdentityStopped, Self::HolderCutOff, Self::HolderKilled, Self::IdentityKilled];
}

/// What is drawn of a round.
#[derive(Debug)]
pub struct Round {
    fault: Fault,
    /// To which replica it happens.
    place: usize,
    /// From the fault until the rights are taken back.
    before: Duration,
    /// How long the fault lasts.
    lasts: Duration,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Revocations that were told effective.
    pub told: usize,
    /// Of these, because every replica had acknowledged.
    pub acknowledged: usize,
}

impl Round {
    pub fn draw(fault: Fault, dice: &Ids) -> Self {
        let draw = |below: Duration| {
            let micros = u64::try_from(below.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(u64::from_le_bytes(dice.bytes()) % micros.max(1))
        };
        // Some last less than a lease, most longer.
        let lasts = LEASE / 2 + draw(LEASE * 2);
        Self { fault, place: usize::from(dice.bytes::<1>()[0]) % REPLICAS, before: draw(LEASE / 2), lasts }
    }

    /// Plays it.
    pub async fn play(&self, fleet: &mut Fleet, people: &mut People) -> Report {
        let healthy = fleet.identities[(self.place + 1) % REPLICAS].channel();
        people.give(&healthy).await;
        self.begin(fleet);
        let revoking = async {
            tokio::time::sleep(self.before).await;
            people.revoke(&healthy).await
        };
        let ending = async {
            tokio::time::sleep(self.lasts).await;
            self.end(fleet).await;
        };
        let (told, ()) = tokio::join!(revoking, ending);
        // Everything comes back by itself.
        people.until(Right::There, |loss| loss == Loss::Never).await;
        people.until(Right::Gone, |loss| loss != Loss::Never).await;
        for holder in &people.holders {
            for watch in &holder.watches {
                let _quiet = watch.quiet().await;
                let stale = told.iter().find(|told| told.loss == holder.loss && watch.is_stale(told.at));
                assert!(stale.is_none(), "{self:?}: {} was allowed after it was told that it never is", watch.name);
                assert_eq!(watch.heard().fault, None, "{self:?}: {}", watch.name);
            }
        }
        Report { told: told.len(), acknowledged: told.iter().filter(|told| told.acknowledged).count() }
    }

    fn begin(&self, fleet: &mut Fleet) {
        match self.fault {
            Fault::HolderStopped => fleet.customers[self.place].signal(Signal::Stop),
            Fault::IdentityStopped => fleet.identities[self.place].signal(Signal::Stop),
            Fault::HolderCutOff => fleet.identities[self.place].set_link(Open::No),
            Fault::HolderKilled => fleet.customers[self.place].kill(),
            Fault::IdentityKilled => fleet.identities[self.place].kill(),
        }
    }

    async fn end(&self, fleet: &mut Fleet) {
        match self.fault {
            Fault::HolderStopped => fleet.customers[self.place].signal(Signal::Continue),
            Fault::IdentityStopped => fleet.identities[self.place].signal(Signal::Continue),
            Fault::HolderCutOff => fleet.identities[self.place].set_link(Open::Yes),
            Fault::HolderKilled => fleet.customers[self.place].start().await,
            Fault::IdentityKilled => fleet.identities[self.place].start().await,
        }
    }
}
