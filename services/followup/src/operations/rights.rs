//! By what rights somebody makes one change: decided on the rows as they are held, and all asked again when the change is
//! committed. What was decided before, on rows that others could still change, decides nothing but who may try.

use revisit_bootstrap::{Principal, database::Standing};
use revisit_permission::{Action, Beside, Decided, Denial, DenialKind, Levels, Permits, Row};

use super::sight::Sight;
use crate::domain::Error;

/// The rights of one change, in the order in which they were asked for: the first that was needed is what the log names.
pub struct Rights {
    who: Principal,
    needed: Vec<Decided>,
    /// Those on which something depended.
    beside: Vec<Decided>,
    sight: Option<Sight>,
}

impl Rights {
    /// None so far.
    #[must_use]
    pub fn of(who: &Principal) -> Self {
        Self { who: who.clone(), needed: Vec::new(), beside: Vec::new(), sight: None }
    }

    /// Whose.
    #[must_use]
    pub const fn who(&self) -> &Principal {
        &self.who
    }

    /// Needs a right over a row that is held. Who had it when the row was read and has it no longer has lost a race, and
    /// learns by reading again what is true for them.
    pub fn decide(&mut self, action: Action, row: &Row) -> Result<Levels, Error> {
        let decided = self.ask(action, row)?.ok_or(Error::Stale)?;
        Ok(kept(&mut self.needed, decided))
    }

    /// Asks for a right on which something depends; nothing when it is denied.
    pub fn allowed(&mut self, action: Action, row: &Row) -> Result<Option<Levels>, Error> {
        let decided = self.ask(action, row)?;
        Ok(decided.map(|decided| kept(&mut self.beside, decided)))
    }

    /// Needs a right over a row as it was and as it will be: nobody pushes anything to where they may not.
    pub fn decide_change(&mut self, action: Action, before: &Row, after: &Row) -> Result<Levels, Error> {
        let decided = self.who.caller.decide_change(&self.who.leases, action, before, after)?;
        Ok(kept(&mut self.needed, decided))
    }

    /// By what else the answer was made.
    pub fn looked(&mut self, sight: Sight) {
        self.sight = Some(sight);
    }

    /// What the log names.
    #[must_use]
    pub fn first(&self) -> Option<&Decided> {
        self.needed.first()
    }

    /// All of them, to be asked again.
    #[must_use]
    pub fn standing(self) -> Standing {
        let beside = Some(Permits(self.beside)).filter(|beside| !beside.0.is_empty());
        Box::new(Beside(Beside(Permits(self.needed), beside), self.sight.map(|sight| sight.permit())))
    }

    fn ask(&self, action: Action, row: &Row) -> Result<Option<Decided>, Error> {
        match self.who.caller.decide(&self.who.leases, action, row) {
            Ok(decided) => Ok(Some(decided)),
            Err(Denial { kind: DenialKind::Denied, .. }) => Ok(None),
            Err(denial) => Err(denial.into()),
        }
    }
}

fn kept(rights: &mut Vec<Decided>, decided: Decided) -> Levels {
    let levels = decided.levels();
    rights.push(decided);
    levels
}
