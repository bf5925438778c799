//! What can happen in a schedule, and what travels between the machines.

use revisit_core::Steady;
use revisit_permission::{Holder as Row, Load, Push, Renewal, Telling};

/// A renewal on its way.
pub struct Asked {
    pub holder: usize,
    pub life: u64,
    pub number: u64,
    pub sent: Steady,
    pub row: Row,
}

pub enum Event {
    Renew { holder: usize, life: u64, due: u64 },
    Arrives { teller: usize, asked: Asked },
    Committed { teller: usize, life: u64, asked: Asked },
    Answered { asked: Asked, renewal: Renewal },
    GivesUp { holder: usize, life: u64, number: u64 },
    Fetch { teller: usize, holder: usize, life: u64, number: u64, load: Load },
    Fetched { holder: usize, life: u64, number: u64, load: Load },
    GivesUpLoad { holder: usize, life: u64, number: u64, generation: u64 },
    Pushed { holder: usize, life: u64, push: Push },
    Ask { holder: usize },
    Revoke { right: usize },
    Look { teller: usize, life: u64, right: usize, telling: Telling },
    Sweep { teller: usize, life: u64 },
    Delete { teller: usize, life: u64, row: Row },
    Fault,
}
