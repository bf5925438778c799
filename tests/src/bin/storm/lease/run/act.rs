//! What each event does: the lease client's, identity's and the callers' part of the protocol, and how answers are held
//! against what was told.

use std::time::Duration;

use rand::RngExt;
use revisit_permission::{Effective, Holder as Row, Load, Missing, Renewal, Snapshot, Telling};

use super::{
    super::{
        model::{Answer, RIGHTS, TENANT, ask, life},
        node::{At, MILLI, SECOND},
    },
    HOLDERS, Run, TELLERS,
    event::{Asked, Event},
};

/// As the lease client and identity do.
const RENEWAL_MAX: At = 2 * SECOND;
const LOAD_MAX: At = 5 * SECOND;
const RETRY: At = 200 * MILLI;
const LOOK: At = 25 * MILLI;
pub const SWEEP: At = SECOND;

impl Run {
    pub(super) fn act(&mut self, event: Event) {
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
            Event::Pushed { holder, push, .. } => self.pushed(holder, push),
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
        for load in loads {
            self.load(holder, load);
        }
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

    pub(super) fn renew_after(&mut self, holder: usize, pause: At) {
        let (due, it) = (self.planned, &mut self.holders[holder]);
        it.due = due;
        let life = it.life;
        self.after(pause, Event::Renew { holder, life, due });
    }

    /// Begins a load; answers what it has to ask for.
    pub(super) fn load(&mut self, holder: usize, mut load: Load) -> Missing {
        let (teller, number) = (self.dice.random_range(0..TELLERS), self.planned);
        self.holders[holder].loading = Some(number);
        let life = self.holders[holder].life;
        let generation = load.generation();
        self.after(LOAD_MAX, Event::GivesUpLoad { holder, life, number, generation });
        let missing = load.begin();
        match missing {
            // To compile it takes a while, and nothing that can be lost.
            Missing::Nothing => self.within(2 * MILLI, Event::Fetched { holder, life, number, load }),
            Missing::Changes | Missing::Everything => {
                self.send(holder, Event::Fetch { teller, holder, life, number, load });
            }
        }
        missing
    }

    fn fetched(&mut self, holder: usize, load: Load) {
        let it = &mut self.holders[holder];
        it.loading = None;
        it.machine.steady(self.now);
        let snapshot = Snapshot::compile(&load.facts, load.revision);
        let counts = it.keeper.loaded(load, snapshot);
        let next = it.keeper.take_pushed(TENANT);
        if counts {
            // To acknowledge it at once.
            if it.renewing.is_some() { it.woken = true } else { self.renew_after(holder, 0) }
        }
        next.into_iter().for_each(|load| self.load_pushed(holder, load));
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
    pub(super) fn answers(&mut self, holder: usize) -> [Answer; RIGHTS] {
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
        (0..HOLDERS).for_each(|holder| self.push(holder));
        self.tell(right);
    }

    /// Any replica of identity can tell.
    pub(super) fn tell(&mut self, right: usize) {
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
}

fn micros(span: Duration) -> At {
    At::try_from(span.as_micros()).unwrap_or(At::MAX)
}
