//! One schedule: what happens when, and what everybody says.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use revisit_core::Steady;
use revisit_permission::{Effective, Holder as Row, Load, Renewal, Snapshot, Telling};

use super::{
    fault::Fault,
    model::{Answer, Database, RIGHTS, TENANT, ask, life},
    node::{At, Holder, MILLI, Machine, SECOND, Teller},
};

const HOLDERS: usize = 3;
const TELLERS: usize = 2;
/// Until then there are faults; afterwards everything becomes whole.
const STORMY: At = 20 * SECOND;
/// Time to become whole: the longest fault, and a life of a lease.
const CALM: At = 15 * SECOND;
/// As the lease client and identity do.
const RENEWAL_MAX: At = 2 * SECOND;
const LOAD_MAX: At = 5 * SECOND;
const RETRY: At = 200 * MILLI;
const LOOK: At = 25 * MILLI;
const SWEEP: At = SECOND;
/// Somebody asks a holder for the tenant within this time of its start.
const UNASKED: At = 4 * SECOND;

/// A renewal on its way.
struct Asked {
    holder: usize,
    life: u64,
    number: u64,
    sent: Steady,
    row: Row,
}

enum Event {
    Renew { holder: usize, life: u64, due: u64 },
    Arrives { teller: usize, asked: Asked },
    Committed { teller: usize, life: u64, asked: Asked },
    Answered { asked: Asked, renewal: Renewal },
    GivesUp { holder: usize, life: u64, number: u64 },
    Fetch { teller: usize, holder: usize, life: u64, number: u64, load: Load },
    Fetched { holder: usize, life: u64, number: u64, load: Load },
    GivesUpLoad { holder: usize, life: u64, number: u64, generation: u64 },
    Hint { holder: usize, life: u64 },
    Ask { holder: usize },
    Revoke { right: usize },
    Look { teller: usize, life: u64, right: usize, telling: Telling },
    Sweep { teller: usize, life: u64 },
    Delete { teller: usize, life: u64, row: Row },
    Fault,
}

/// What one schedule has shown, or all of them.
#[derive(Default)]
pub struct Seen {
    pub allowed: u64,
    pub denied: u64,
    pub unavailable: u64,
    pub revocations: u64,
    pub acknowledged: u64,
    pub run_out: u64,
    pub deleted: u64,
    /// The longest time from a commit until it was told effective.
    pub effective_max: At,
    pub faults: [u64; Fault::ALL.len()],
    /// Allowed by what had been told revoked.
    pub stale: Vec<String>,
    /// Not answered anew although everything was whole.
    pub stuck: Vec<String>,
}

impl Seen {
    pub fn add(&mut self, other: &Self) {
        self.allowed += other.allowed;
        self.denied += other.denied;
        self.unavailable += other.unavailable;
        self.revocations += other.revocations;
        self.acknowledged += other.acknowledged;
        self.run_out += other.run_out;
        self.deleted += other.deleted;
        self.effective_max = self.effective_max.max(other.effective_max);
        self.faults.iter_mut().zip(other.faults).for_each(|(sum, more)| *sum += more);
        self.stale.extend_from_slice(&other.stale);
        self.stuck.extend_from_slice(&other.stuck);
    }
}

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
        for right in 0..RIGHTS {
            let at = run.dice.random_range(SECOND..STORMY);
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
            | Event::Hint { holder, life } => self.holder(*holder, *life),
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

    fn act(&mut self, event: Event) {
        match event {
            Event::Renew { holder, due, .. } if self.holders[holder].due == due => self.renew(holder),
            // Another one was planned in its place.
            Event::Renew { .. } => (),
            Event::Arrives { teller, asked } => {
                // The row is written; whoever is cut off from the database does not renew.
                if self.reaches_database(teller) {
                    let life = self.tellers[teller].life;
                    if self.database.name(asked.row.clone()) {
                        self.within(3 * MILLI, Event::Committed { teller, life, asked });
                    }
                }
            }
            Event::Committed { teller, asked, .. } => {
                if self.reaches_database(teller) {
                    let renewal = self.database.read(self.now, &asked.row.tenants);
                    self.send(asked.holder, Event::Answered { asked, renewal });
                }
            }
            Event::Answered { asked, renewal } => self.answered(&asked, &renewal),
            Event::GivesUp { holder, number, .. } => {
                if self.holders[holder].renewing == Some(number) {
                    self.renewed(holder, RETRY);
                }
            }
            Event::Fetch { teller, holder, life, number, mut load } => {
                if self.reaches_database(teller) {
                    load.revision = self.database.catch_up(&mut load.facts, load.revision);
                    self.send(holder, Event::Fetched { holder, life, number, load });
                }
            }
            Event::Fetched { holder, number, load, .. } if self.holders[holder].loading == Some(number) => {
                self.fetched(holder, load);
            }
            Event::GivesUpLoad { holder, number, generation, .. } if self.holders[holder].loading == Some(number) => {
                let it = &mut self.holders[holder];
                it.loading = None;
                it.keeper.failed(TENANT, generation);
            }
            // It was given up, or has come in time.
            Event::Fetched { .. } | Event::GivesUpLoad { .. } => (),
            Event::Hint { holder, .. } => {
                let load = self.holders[holder].keeper.hinted(TENANT);
                load.into_iter().for_each(|load| self.load(holder, load));
            }
            Event::Ask { holder } => {
                self.asks(holder);
                let span = self.dice.random_range(5 * MILLI..80 * MILLI);
                self.after(span, Event::Ask { holder });
            }
            Event::Revoke { right } => self.revoke(right),
            Event::Look { teller, right, telling, .. } => self.look(teller, right, telling),
            Event::Sweep { teller, life } => self.sweep(teller, life),
            Event::Delete { row, .. } => self.seen.deleted += u64::from(self.database.remove(&row)),
            Event::Fault => self.breaks(),
        }
    }

    fn reaches_database(&self, teller: usize) -> bool {
        self.now >= self.tellers[teller].cut_off
    }

    fn renew(&mut self, holder: usize) {
        let number = self.planned;
        let teller = self.dice.random_range(0..TELLERS);
        let it = &mut self.holders[holder];
        it.renewing = Some(number);
        let sent = it.machine.steady(self.now);
        it.sent += 1;
        let (name, epoch, tenants) = (it.name.clone(), it.life.to_string(), it.keeper.named());
        let (life, row) = (it.life, Row { name, epoch, number: it.sent, tenants });
        let asked = Asked { holder, life, number, sent, row };
        self.after(RENEWAL_MAX, Event::GivesUp { holder, life, number });
        self.send(holder, Event::Arrives { teller, asked });
    }

    fn answered(&mut self, asked: &Asked, renewal: &Renewal) {
        let holder = asked.holder;
        if self.holders[holder].renewing != Some(asked.number) {
            return;
        }
        self.holders[holder].machine.steady(self.now);
        let loads = self.holders[holder].keeper.renewed(asked.sent, &asked.row.tenants, renewal);
        loads.into_iter().for_each(|load| self.load(holder, load));
        let renamed = self.holders[holder].keeper.take_renamed();
        self.renewed(holder, if renamed { 0 } else { micros(renewal.ttl) / 4 });
    }

    /// A renewal has ended; the next one comes after a pause, or at once when somebody wants it.
    fn renewed(&mut self, holder: usize, pause: At) {
        let it = &mut self.holders[holder];
        it.renewing = None;
        let pause = if std::mem::take(&mut it.woken) { 0 } else { pause };
        self.renew_after(holder, pause);
    }

    fn renew_after(&mut self, holder: usize, pause: At) {
        let (due, it) = (self.planned, &mut self.holders[holder]);
        it.due = due;
        let life = it.life;
        self.after(pause, Event::Renew { holder, life, due });
    }

    fn load(&mut self, holder: usize, load: Load) {
        let (teller, number) = (self.dice.random_range(0..TELLERS), self.planned);
        self.holders[holder].loading = Some(number);
        let life = self.holders[holder].life;
        let generation = load.generation();
        self.after(LOAD_MAX, Event::GivesUpLoad { holder, life, number, generation });
        self.send(holder, Event::Fetch { teller, holder, life, number, load });
    }

    fn fetched(&mut self, holder: usize, load: Load) {
        let it = &mut self.holders[holder];
        it.loading = None;
        it.machine.steady(self.now);
        let snapshot = Snapshot::compile(&load.facts, load.revision);
        if !it.keeper.loaded(load, snapshot) {
            return;
        }
        // To acknowledge it at once.
        if it.renewing.is_some() { it.woken = true } else { self.renew_after(holder, 0) }
    }

    /// Somebody uses every right at a holder. The first one makes it name the tenant at once.
    fn asks(&mut self, holder: usize) {
        let it = &mut self.holders[holder];
        if self.now < it.asks_from {
            return;
        }
        if it.keeper.named().is_empty() {
            it.keeper.name(TENANT);
            if it.renewing.is_some() { it.woken = true } else { self.renew_after(holder, 0) }
        }
        self.answers(holder);
    }

    /// Uses every right at a holder, and holds the answers against what was told.
    fn answers(&mut self, holder: usize) -> [Answer; RIGHTS] {
        self.holders[holder].machine.steady(self.now);
        let mut answers = [Answer::Denied; RIGHTS];
        for (right, answer) in answers.iter_mut().enumerate() {
            *answer = ask(&self.holders[holder].leases, right);
            match answer {
                Answer::Allowed => self.seen.allowed += 1,
                Answer::Denied => self.seen.denied += 1,
                Answer::Unavailable => self.seen.unavailable += 1,
            }
            if *answer == Answer::Allowed && self.told[right].is_some_and(|told| told <= self.now) {
                let (revoked, told) = (self.revoked[right], self.told[right]);
                self.seen.stale.push(format!(
                    "holder {holder} allows right {right} at {}, taken back at {revoked:?}, told at {told:?}",
                    self.now
                ));
            }
        }
        answers
    }

    fn revoke(&mut self, right: usize) {
        self.database.revoke(right);
        self.revoked[right] = Some(self.now);
        self.seen.revocations += 1;
        for holder in 0..HOLDERS {
            let life = self.holders[holder].life;
            self.send(holder, Event::Hint { holder, life });
        }
        self.tell(right);
    }

    /// Any replica of identity can tell.
    fn tell(&mut self, right: usize) {
        let teller = self.dice.random_range(0..TELLERS);
        let it = &mut self.tellers[teller];
        let telling = Telling::begin(TENANT, self.database.revision(), it.machine.steady(self.now), life());
        let life = it.life;
        self.within(2 * MILLI, Event::Look { teller, life, right, telling });
    }

    fn look(&mut self, teller: usize, right: usize, telling: Telling) {
        let life = self.tellers[teller].life;
        if self.reaches_database(teller) {
            let rows = self.database.rows();
            let steady = self.tellers[teller].machine.steady(self.now);
            if let Some(effective) = telling.look(&rows, steady) {
                match effective {
                    Effective::Acknowledged => self.seen.acknowledged += 1,
                    Effective::RunOut => self.seen.run_out += 1,
                }
                self.told[right] = Some(self.now);
                let took = self.now - self.revoked[right].unwrap_or(self.now);
                self.seen.effective_max = self.seen.effective_max.max(took);
                // The worst instant to ask is the next one.
                for holder in (0..HOLDERS).filter(|it| self.now >= self.holders[*it].machine.paused).collect::<Vec<_>>()
                {
                    self.asks(holder);
                }
                return;
            }
        }
        self.after(LOOK, Event::Look { teller, life, right, telling });
    }

    fn sweep(&mut self, teller: usize, life: u64) {
        self.after(SWEEP, Event::Sweep { teller, life });
        if !self.reaches_database(teller) {
            return;
        }
        let rows = self.database.rows();
        let steady = self.tellers[teller].machine.steady(self.now);
        let silent: Vec<Row> =
            self.tellers[teller].silence.look(&rows, steady, self::life()).into_iter().cloned().collect();
        for row in silent {
            self.within(SECOND, Event::Delete { teller, life, row });
        }
    }

    fn breaks(&mut self) {
        let fault = Fault::draw(&mut self.dice);
        let until = self.now + Fault::lasting(&mut self.dice);
        let (holder, teller) = (self.dice.random_range(0..HOLDERS), self.dice.random_range(0..TELLERS));
        let step: i64 = if self.dice.random_range(0..2) == 0 { 1 } else { -1 };
        if let Some(count) = Fault::ALL.iter().position(|it| *it == fault) {
            self.seen.faults[count] += 1;
        }
        match fault {
            Fault::Partition => self.holders[holder].machine.apart = until,
            Fault::PauseHolder => self.holders[holder].machine.paused = until,
            Fault::KillHolder => {
                let life = self.holders[holder].life + 1;
                let machine = Machine::new(&mut self.dice);
                let asks_from = self.now + self.dice.random_range(0..UNASKED);
                self.holders[holder] = Holder::start(machine, holder, life, asks_from);
                self.holders[holder].machine.paused = self.now + SECOND / 2;
                self.renew_after(holder, SECOND / 2);
            }
            Fault::PauseTeller => self.tellers[teller].machine.paused = until,
            Fault::KillTeller => {
                let life = self.tellers[teller].life + 1;
                self.tellers[teller] = Teller::start(Machine::new(&mut self.dice), life);
                self.tellers[teller].machine.paused = self.now + SECOND / 2;
                self.after(SWEEP, Event::Sweep { teller, life });
            }
            Fault::CutOff => self.tellers[teller].cut_off = until,
            Fault::StepSmall => self.step(step * 500_000),
            Fault::StepLarge => self.step(step * 3_600_000_000),
            Fault::Slow => self.slow = until,
            Fault::Lossy => self.lossy = until,
        }
    }

    /// Sets one machine's wall, or the database's.
    fn step(&mut self, by: i64) {
        match self.dice.random_range(0..=HOLDERS + TELLERS) {
            it if it < HOLDERS => self.holders[it].machine.step_wall(by),
            it if it < HOLDERS + TELLERS => self.tellers[it - HOLDERS].machine.step_wall(by),
            _ => self.database.stepped += by,
        }
    }
}

fn micros(span: Duration) -> At {
    At::try_from(span.as_micros()).unwrap_or(At::MAX)
}
