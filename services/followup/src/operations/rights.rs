//! By what rights somebody makes one change: decided on the rows as they are held, and all asked again when the change is
//! committed. What was decided before, on rows that others could still change, decides nothing but who may try.

use revisit_bootstrap::{Principal, database::Standing};
use revisit_permission::{Action, Decided, Denial, DenialKind, Levels, Permits, Row};

use super::sight::Sight;
use crate::domain::Error;

/// The rights of one change, in the order in which they were needed: the first is what the log names.
pub struct Rights {
    who: Principal,
    decided: Vec<Decided>,
    sight: Option<Sight>,
}

impl Rights {
    /// None so far.
    #[must_use]
    pub fn of(who: &Principal) -> Self {
        Self { who: who.clone(), decided: Vec::new(), sight: None }
    }

    /// Whose.
    #[must_use]
    pub const fn who(&self) -> &Principal {
        &self.who
    }

    /// Needs a right over a row that is held. Who had it when the row was read and has it no longer has lost a race, and
    /// learns by reading again what is true for them.
    pub fn decide(&mut self, action: Action, row: &Row) -> Result<Levels, Error> {
        self.allowed(action, row)?.ok_or(Error::Stale)
    }

    /// Asks for a right on which something depends; nothing when it is denied.
    pub fn allowed(&mut self, action: Action, row: &Row) -> Result<Option<Levels>, Error> {
        match self.who.caller.decide(&self.who.leases, action, row) {
            Ok(decided) => Ok(Some(self.keep(decided))),
            Err(Denial { kind: DenialKind::Denied, .. }) => Ok(None),
            Err(denial) => Err(denial.into()),
        }
    }

    /// Needs a right over a row as it was and as it will be: nobody pushes anything to where they may not.
    pub fn decide_change(&mut self, action: Action, before: &Row, after: &Row) -> Result<Levels, Error> {
        let decided = self.who.caller.decide_change(&self.who.leases, action, before, after)?;
        Ok(self.keep(decided))
    }

    /// By what else the answer was made.
    pub fn looked(&mut self, sight: Sight) {
        self.sight = Some(sight);
    }

    /// What the log names.
    #[must_use]
    pub fn first(&self) -> Option<&Decided> {
        self.decided.first()
    }

    /// All of them, to be asked again. What the answer shows comes first: whose sight has changed reads again, which tells
    /// them more than a refusal.
    #[must_use]
    pub fn standing(self) -> Standing {
        let decided = Permits(self.decided);
        match self.sight {
            Some(sight) => Box::new((sight.permit(), decided)),
            None => Box::new(decided),
        }
    }

    fn keep(&mut self, decided: Decided) -> Levels {
        let levels = decided.levels();
        self.decided.push(decided);
        levels
    }
}
