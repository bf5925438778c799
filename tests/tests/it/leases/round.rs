//! A round: everybody has the right, something happens to a process, the right is taken back, and what was answered is
//! held against when that was told.

use std::time::Duration;

use futures::future::join_all;
use revisit_core::{Clock, Ids};
use revisit_tests::replica::Open;
use tokio::sync::Notify;

use super::{
    fleet::{Fleet, LEASE, REPLICAS, Signal},
    people::{Loss, People},
    watch::{Right, Span, Watch},
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
    lasts: Lasts,
}

/// How long a fault lasts.
#[derive(Debug)]
enum Lasts {
    For(Duration),
    /// Until the rights were told to be taken back, so that what waited meanwhile is decided after that.
    UntilTold,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    /// Revocations that were told effective.
    pub told: usize,
    /// Of these, because every replica had acknowledged.
    pub acknowledged: usize,
    /// Calls that waited in a stopped holder while a revocation of what they ask for was told.
    pub queued: usize,
}

impl Round {
    /// The fault and the turn follow from the number.
    pub fn draw(number: usize, dice: &Ids) -> Self {
        let (fault, turn) = (Fault::ALL[number % Fault::ALL.len()], number / Fault::ALL.len());
        let draw = |below: Duration| {
            let micros = u64::try_from(below.as_micros()).unwrap_or(u64::MAX);
            Duration::from_micros(u64::from_le_bytes(dice.bytes()) % micros.max(1))
        };
        let lasts = if (fault, turn) == (Fault::HolderStopped, 0) {
            Lasts::UntilTold
        } else {
            // Some less than a lease, most longer.
            Lasts::For(LEASE / 2 + draw(LEASE * 2))
        };
        Self { fault, place: usize::from(dice.bytes::<1>()[0]) % REPLICAS, before: draw(LEASE / 2), lasts }
    }

    /// Plays it.
    pub async fn play(&self, fleet: &mut Fleet, people: &mut People) -> Report {
        let healthy = fleet.identities[(self.place + 1) % REPLICAS].channel();
        let admin = people.give(&healthy).await;
        self.begin(fleet);
        let clock = Clock::system();
        let begin = clock.steady();
        let are_told = Notify::new();
        let revoking = async {
            tokio::time::sleep(self.before).await;
            let told = people.revoke(&admin).await;
            are_told.notify_one();
            told
        };
        let ending = async {
            match self.lasts {
                Lasts::For(span) => tokio::time::sleep(span).await,
                Lasts::UntilTold => are_told.notified().await,
            }
            // Before it goes on: nothing that it decides then was decided earlier.
            let end = clock.steady();
            self.end(fleet).await;
            Span { begin, end }
        };
        let asking = async {
            let at_place = people.holders.iter().map(|holder| &holder.watches[self.place]);
            join_all(at_place.map(Watch::ask_while_stopped)).await;
        };
        let (told, stop, ()) = match self.fault {
            Fault::HolderStopped => tokio::join!(revoking, ending, asking),
            Fault::IdentityStopped | Fault::HolderCutOff | Fault::HolderKilled | Fault::IdentityKilled => {
                tokio::join!(revoking, ending, async {})
            }
        };
        // Everything comes back by itself.
        people.until(Right::There, |loss| loss == Loss::Never).await;
        people.until(Right::Gone, |loss| loss != Loss::Never).await;
        let mut queued = 0;
        for holder in &people.holders {
            let in_time = told.iter().any(|told| told.loss == holder.loss && told.at < stop.end);
            for (place, watch) in holder.watches.iter().enumerate() {
                let _quiet = watch.quiet().await;
                if in_time && (self.fault, self.place) == (Fault::HolderStopped, place) {
                    let (waited, allowed) = watch.queued(stop);
                    queued += waited;
                    assert_eq!(
                        allowed, 0,
                        "{self:?}: {allowed} of {waited} calls that {} had queued were allowed",
                        watch.name
                    );
                }
                let stale = told.iter().find(|told| told.loss == holder.loss && watch.is_stale(told.at));
                assert!(stale.is_none(), "{self:?}: {} was allowed after it was told that it never is", watch.name);
                assert_eq!(watch.heard().fault, None, "{self:?}: {}", watch.name);
            }
        }
        Report { queued, told: told.len(), acknowledged: told.iter().filter(|told| told.acknowledged).count() }
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
