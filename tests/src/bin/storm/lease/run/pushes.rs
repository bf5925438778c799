//! What happens to a push on its way: it is lost, comes twice, comes late, says nothing but its number, or is one of a
//! database that was set back.

use rand::RngExt;
use revisit_permission::{Load, Missing, Push};

use super::{
    super::{
        model::TENANT,
        node::{At, MILLI},
    },
    Run,
    event::Event,
};

/// How late a push can be: as long as renewals and other loads overtake it.
const LATE_MAX: At = 700 * MILLI;

impl Run {
    /// Pushes the newest revision to a holder.
    pub(super) fn push(&mut self, holder: usize) {
        let push = self.database.push();
        match self.dice.random_range(0..8) {
            0 => self.seen.lost += 1,
            1 => {
                self.seen.doubled += 1;
                self.send_push(holder, push.clone());
                self.send_push(holder, push);
            }
            2 => {
                let late = self.dice.random_range(0..LATE_MAX);
                let life = self.holders[holder].life;
                self.after(late, Event::Pushed { holder, life, push });
            }
            3 => {
                let look = self.database.look();
                self.send_push(holder, look);
            }
            4 => {
                let former = self.database.former();
                self.send_push(holder, former);
                self.send_push(holder, push);
            }
            _ => self.send_push(holder, push),
        }
    }

    fn send_push(&mut self, holder: usize, push: Push) {
        let life = self.holders[holder].life;
        self.send(holder, Event::Pushed { holder, life, push });
    }

    pub(super) fn pushed(&mut self, holder: usize, push: Push) {
        match self.holders[holder].keeper.pushed(TENANT, push) {
            Some(load) => self.load_pushed(holder, load),
            None => self.seen.left_alone += 1,
        }
    }

    /// Begins a load of what was pushed.
    pub(super) fn load_pushed(&mut self, holder: usize, load: Load) {
        match self.load(holder, load) {
            Missing::Nothing => self.seen.applied += 1,
            Missing::Changes | Missing::Everything => self.seen.asked += 1,
        }
    }
}
