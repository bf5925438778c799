//! One schedule: what is planned for when, what reaches whom, and when everything has to be whole again.

mod act;
mod breaks;
mod event;
mod pushes;
mod seen;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use rand::{RngExt, SeedableRng, rngs::StdRng};

use super::{
    model::{Answer, Database, RIGHTS},
    node::{At, Holder, MILLI, Machine, SECOND, Teller},
};
use act::SWEEP;
use event::Event;
pub use seen::Seen;

const HOLDERS: usize = 3;
const TELLERS: usize = 2;
/// Until then there are faults; afterwards everything becomes whole.
const STORMY: At = 20 * SECOND;
/// Time to become whole: the longest fault, and a life of a lease.
const CALM: At = 15 * SECOND;
/// Somebody asks a holder for the tenant within this time of its start.
const UNASKED: At = 4 * SECOND;

pub struct Run {
    dice: StdRng,
    now: At,
    /// By instant and order of planning.
    queue: BinaryHeap<Reverse<(At, u64)>>,
    events: BTreeMap<u64, Event>,
    planned: u64,
    database: Database,
    holders: Vec<Holder>,
    tellers: Vec<Teller>,
    slow: At,
    lossy: At,
    /// When each right was taken back, and since when it is told.
    revoked: [Option<At>; RIGHTS],
    told: [Option<At>; RIGHTS],
    seen: Seen,
}

impl Run {
    pub fn new(seed: u64) -> Self {
        let mut dice = StdRng::seed_from_u64(seed);
        let holders = (0..HOLDERS)
            .map(|number| {
                let machine = Machine::new(&mut dice);
                Holder::start(machine, number, 0, dice.random_range(0..UNASKED))
            })
            .collect();
        let tellers = (0..TELLERS).map(|_| Teller::start(Machine::new(&mut dice), 0)).collect();
        let mut run = Self {
            dice,
            now: 0,
            queue: BinaryHeap::new(),
            events: BTreeMap::new(),
            planned: 0,
            database: Database::new(),
            holders,
            tellers,
            slow: 0,
            lossy: 0,
            revoked: [None; RIGHTS],
            told: [None; RIGHTS],
            seen: Seen::default(),
        };
        for holder in 0..HOLDERS {
            run.renew_after(holder, 0);
            run.within(10 * MILLI, Event::Ask { holder });
        }
        (0..TELLERS).for_each(|teller| run.within(SWEEP, Event::Sweep { teller, life: 0 }));
        // Now and then several at once, so that their pushes can overtake each other.
        let mut at = SECOND;
        for right in 0..RIGHTS {
            let alone = right == 0 || run.dice.random_range(0..2) == 0;
            at = if alone { run.dice.random_range(SECOND..STORMY) } else { at + run.dice.random_range(0..20 * MILLI) };
            run.plan(at, Event::Revoke { right });
        }
        for _ in 0..run.dice.random_range(1..12) {
            let at = run.dice.random_range(0..STORMY);
            run.plan(at, Event::Fault);
        }
        run
    }

    pub fn until_all_is_whole(mut self) -> Seen {
        while let Some(Reverse((at, number))) = self.queue.pop() {
            if at > STORMY + CALM {
                break;
            }
            self.now = self.now.max(at);
            if let Some(event) = self.events.remove(&number) {
                self.happens(event);
            }
        }
        self.now = STORMY + CALM;
        for right in 0..RIGHTS {
            if self.told[right].is_none() {
                self.seen
                    .stuck
                    .push(format!("right {right} was taken back at {:?} and never told", self.revoked[right]));
            }
        }
        for holder in 0..HOLDERS {
            if self.answers(holder).contains(&Answer::Unavailable) {
                self.seen.stuck.push(format!("holder {holder} does not answer although everything is whole"));
            }
        }
        self.seen
    }

    fn plan(&mut self, at: At, event: Event) {
        self.planned += 1;
        self.queue.push(Reverse((at, self.planned)));
        self.events.insert(self.planned, event);
    }

    fn after(&mut self, span: At, event: Event) {
        self.plan(self.now + span, event);
    }

    /// At some instant within a span.
    fn within(&mut self, span: At, event: Event) {
        let span = self.dice.random_range(0..=span);
        self.after(span, event);
    }

    /// As long as a message takes; nothing when it is lost.
    fn travel(&mut self) -> Option<At> {
        if self.now < self.lossy && self.dice.random_range(0..5) == 0 {
            return None;
        }
        Some(if self.now < self.slow {
            self.dice.random_range(0..4 * SECOND)
        } else {
            self.dice.random_range(MILLI / 5..5 * MILLI)
        })
    }

    /// Sends between a holder and identity.
    fn send(&mut self, holder: usize, event: Event) {
        if self.now < self.holders[holder].machine.apart {
            return;
        }
        if let Some(span) = self.travel() {
            self.after(span, event);
        }
    }

    /// A machine that stands still does everything later; what was sent to a former life is not heard.
    fn happens(&mut self, event: Event) {
        let (paused, alive) = match &event {
            Event::Renew { holder, life, .. }
            | Event::GivesUp { holder, life, .. }
            | Event::Fetched { holder, life, .. }
            | Event::GivesUpLoad { holder, life, .. }
            | Event::Pushed { holder, life, .. } => self.holder(*holder, *life),
            Event::Answered { asked, .. } => self.holder(asked.holder, asked.life),
            Event::Ask { holder } => (self.holders[*holder].machine.paused, true),
            Event::Arrives { teller, .. } | Event::Fetch { teller, .. } => (self.tellers[*teller].machine.paused, true),
            Event::Committed { teller, life, .. }
            | Event::Look { teller, life, .. }
            | Event::Sweep { teller, life }
            | Event::Delete { teller, life, .. } => {
                (self.tellers[*teller].machine.paused, self.tellers[*teller].life == *life)
            }
            Event::Revoke { .. } | Event::Fault => (0, true),
        };
        if !alive {
            self.in_a_former_life(event);
        } else if self.now < paused {
            self.plan(paused, event);
        } else {
            self.act(event);
        }
    }

    fn holder(&self, holder: usize, life: u64) -> (At, bool) {
        (self.holders[holder].machine.paused, self.holders[holder].life == life)
    }

    /// Who tells of a revocation may be killed; another replica is asked then.
    fn in_a_former_life(&mut self, event: Event) {
        if let Event::Look { right, .. } = event {
            self.tell(right);
        }
    }
}
