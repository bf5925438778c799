//! Whatever is interrupted, in whatever order: every committed event has its effect exactly once.

use std::collections::BTreeSet;

use revisit_core::Ids;
use revisit_event::{Bus, Envelope, Relay, Subscription, bus::OFFER_AGAIN};
use revisit_tests::databases::on_each_backend;

use super::{Tables, World, draft};

const SEEDS: u64 = 4;
const STEPS: usize = 250;
const SHARDS: [u32; 3] = [5, 9, 33];

/// Repeatable dice.
struct Dice(Ids);

impl Dice {
    fn below(&self, bound: u8) -> u8 {
        self.0.bytes::<1>()[0] % bound
    }
}

/// One storm: what runs, and how many events were committed.
struct Storm<'a> {
    world: World<'a>,
    dice: Dice,
    relays: [Relay; 2],
    members: [Subscription; 2],
    /// Taken and applied, but not acknowledged yet.
    open: Vec<Envelope>,
    committed: i64,
}

impl Storm<'_> {
    async fn step(&mut self) {
        match self.dice.below(12) {
            0..3 => self.append().await,
            3..5 => drop(self.relays[usize::from(self.dice.below(2))].pass().await.expect("passed")),
            5 => drop(tokio::join!(self.relays[0].pass(), self.relays[1].pass())),
            6..9 => self.consume().await,
            9 => self.tell_the_producer().await,
            10 => drop(self.world.trim().await),
            _ => self.interrupt().await,
        }
    }

    async fn append(&mut self) {
        let count = 1 + self.dice.below(5);
        let drafts = (0..count).map(|at| draft(SHARDS[usize::from(self.dice.below(3))], i64::from(at))).collect();
        let tx = self.world.database.begin().await;
        self.world.outbox.append(&tx, drafts).await.expect("appended");
        if self.dice.below(4) == 0 {
            tx.rollback().await.expect("rolled back");
        } else {
            tx.commit().await.expect("committed");
            self.committed += i64::from(count);
        }
    }

    async fn consume(&mut self) {
        let member = usize::from(self.dice.below(2));
        for entry in self.members[member].take(1 + usize::from(self.dice.below(8))).await.expect("taken") {
            match self.dice.below(6) {
                // It dies before the effect, or after it and before the acknowledgement.
                0 => {}
                1 => drop(self.world.apply("followup", &entry).await),
                _ => {
                    self.world.apply("followup", &entry).await;
                    self.open.push(entry);
                }
            }
        }
        if self.dice.below(2) == 0 {
            for entry in self.open.drain(..) {
                self.members[member].acknowledge(&entry).await.expect("acknowledged");
            }
        }
    }

    async fn tell_the_producer(&self) {
        let shards: BTreeSet<u32> = SHARDS.into_iter().collect();
        for shard in shards {
            let reached = self.world.advance("followup", shard).await;
            for consumer in ["followup", "notification"] {
                self.world.acknowledge(consumer, &[(shard, reached)]).await;
            }
        }
    }

    async fn interrupt(&mut self) {
        match self.dice.below(3) {
            0 => self.world.time.advance_steady(OFFER_AGAIN),
            1 => self.relays[usize::from(self.dice.below(2))] = self.world.relay(),
            _ => {
                // The bus loses everything, with everybody's place in it.
                self.world.bus = Bus::memory(self.world.time.clock());
                self.relays = [self.world.relay(), self.world.relay()];
                self.members = members(&self.world).await;
            }
        }
    }

    /// Calm: a few rounds in which nothing is interrupted.
    async fn settle(&mut self) {
        for _ in 0..3 {
            self.world.time.advance_steady(OFFER_AGAIN);
            self.relays[0].pass().await.expect("passed");
            loop {
                let entries = self.members[0].take(100).await.expect("taken");
                if entries.is_empty() {
                    break;
                }
                for entry in &entries {
                    self.world.apply("followup", entry).await;
                    self.members[0].acknowledge(entry).await.expect("acknowledged");
                }
            }
            self.tell_the_producer().await;
        }
    }
}

async fn members(world: &World<'_>) -> [Subscription; 2] {
    let join = async || world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
    [join().await, join().await]
}

#[tokio::test]
async fn every_committed_event_has_its_effect_exactly_once_whatever_is_interrupted() {
    for seed in 0..SEEDS {
        on_each_backend::<Tables>(async |database| {
            println!("seed {seed}");
            let world = World::new(database);
            world.make_effects().await;
            let relays = [world.relay(), world.relay()];
            let members = members(&world).await;
            let dice = Dice(Ids::seeded(seed));
            let mut storm = Storm { world, dice, relays, members, open: Vec::new(), committed: 0 };
            for _ in 0..STEPS {
                storm.step().await;
            }
            storm.settle().await;
            assert!(storm.committed > 100, "the storm is one");
            assert_eq!(storm.world.effects().await, (storm.committed, storm.committed));
            assert!(storm.world.outbox.settled(&database.reader).await.expect("asked"));
            storm.world.trim().await;
            for shard in SHARDS {
                assert_eq!(storm.world.positions(shard).await.len(), 1, "only the newest row of a shard stays");
            }
        })
        .await;
    }
}
