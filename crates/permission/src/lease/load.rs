//! One load of a tenant's state: what identity has pushed is taken as it is if it is the very next revision, and else
//! asked for. No I/O, so that a simulation can lose pushes, double them and send them late.

use revisit_core::id::TenantId;

use crate::{facts::Facts, model::Change};

/// A revision as identity pushes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Push {
    /// Its number.
    pub revision: i64,
    /// Incarnation of the database that it was committed to: another one has other revisions under the same numbers.
    pub incarnation: String,
    /// All that it changed; nothing when revisions may have been missed, or could not be read.
    pub changes: Vec<Change>,
}

/// The state of a tenant while it is brought up to date. There is one at a time for each tenant: who has it loads.
#[derive(Debug)]
pub struct Load {
    /// Whose.
    pub tenant: TenantId,
    /// What is held; of revision 0 nothing is.
    pub facts: Facts,
    /// Of which revision.
    pub revision: i64,
    pub(super) incarnation: Option<String>,
    pub(super) generation: u64,
    pub(super) push: Option<Push>,
}

/// What a load has to ask identity for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Missing {
    /// A snapshot, and the changes after it.
    Everything,
    /// The changes after what is held.
    Changes,
    /// What was pushed was all.
    Nothing,
}

impl Load {
    /// Takes what was pushed, if that is all that is missing; answers what has to be asked for.
    pub fn begin(&mut self) -> Missing {
        if self.revision == 0 {
            return Missing::Everything;
        }
        match self.push.take() {
            Some(push) if self.is_next(&push) => {
                push.changes.iter().for_each(|change| self.facts.apply(change));
                self.revision = push.revision;
                Missing::Nothing
            }
            Some(_) | None => Missing::Changes,
        }
    }

    /// Of which incarnation of identity's database it is.
    #[must_use]
    pub fn incarnation(&self) -> Option<&str> {
        self.incarnation.as_deref()
    }

    /// To say that it failed, when what was held of it is gone.
    #[must_use]
    pub const fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether a push brings all that is missing: the changes of the very next revision, of the same database. Behind a
    /// gap it would be acknowledged together with revisions that nobody has seen.
    fn is_next(&self, push: &Push) -> bool {
        let same_database = self.incarnation.as_deref() == Some(push.incarnation.as_str());
        same_database && self.revision + 1 == push.revision && !push.changes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::Timestamp;

    use super::*;
    use crate::fixture::{company, id, tenant};

    fn push(revision: i64) -> Push {
        let changes = vec![Change::SessionRevoked { session: id(900), until: Timestamp::MAX }];
        Push { revision, incarnation: "one".to_owned(), changes }
    }

    /// What a load at revision 3 makes of a push, and at which revision it is then.
    fn begun(push: Option<Push>) -> (Missing, i64, bool) {
        let (facts, incarnation) = (company(), Some("one".to_owned()));
        let mut load = Load { tenant: tenant(), facts, revision: 3, incarnation, generation: 0, push };
        let missing = load.begin();
        (missing, load.revision, load.facts.changes() != company().changes())
    }

    #[test]
    fn a_push_is_taken_when_it_is_the_very_next_revision_of_the_same_database_and_else_asked_for() {
        assert_eq!(begun(Some(push(4))), (Missing::Nothing, 4, true));
        let asked = (Missing::Changes, 3, false);
        assert_eq!(begun(None), asked);
        assert_eq!(begun(Some(push(5))), asked, "revision 4 was not seen");
        assert_eq!(begun(Some(push(3))), asked);
        assert_eq!(begun(Some(Push { changes: Vec::new(), ..push(4) })), asked, "that there is one is all it says");
        assert_eq!(begun(Some(Push { incarnation: "two".to_owned(), ..push(4) })), asked);
    }

    #[test]
    fn of_a_tenant_of_which_nothing_is_held_everything_is_asked_for() {
        let facts = Facts::new(tenant());
        let push = Some(push(1));
        let mut load =
            Load { tenant: tenant(), facts, revision: 0, incarnation: Some("one".to_owned()), generation: 0, push };
        assert_eq!((load.begin(), load.revision), (Missing::Everything, 0));
    }
}
