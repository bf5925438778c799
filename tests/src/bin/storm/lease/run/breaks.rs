//! What each fault does to the machines, the network and the clocks.

use rand::RngExt;

use super::{
    super::{
        fault::Fault,
        node::{Holder, Machine, SECOND, Teller},
    },
    HOLDERS, Run, TELLERS, UNASKED,
    act::SWEEP,
    event::Event,
};

impl Run {
    pub(super) fn breaks(&mut self) {
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
