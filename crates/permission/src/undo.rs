//! No lock-out: after a change somebody who is active can undo it.
//!
//! What administers is handed out only by who holds it, and nobody lifts a guard that binds oneself. So what the last
//! holder loses nobody could give back, and a guard on everybody who may lift guards nobody could lift.

use revisit_core::{
    Timestamp,
    id::{GuardId, SubjectId},
};

use crate::{
    action::{Action, ActionSet},
    escalation::administers,
    level::{Layer, Levels},
    model::{Change, Removed, SubjectKind},
    predicate::Predicate,
    row::Row,
    snapshot::Snapshot,
    validate::Refusal,
};

/// What whoever gives rights back has to see of a company.
const LOOKING: ActionSet =
    ActionSet::of(&[Action::DepartmentView, Action::UserView, Action::RoleView, Action::GrantView]);

impl Snapshot {
    /// Whether what this state makes possible is still possible in `after`: where one person could give every right to
    /// administer back, one still can, and each such right that somebody held is held. `author` is only asked sooner
    /// than others.
    pub fn stays_governed(&self, after: &Self, author: Option<SubjectId>, now: Timestamp) -> Result<(), Refusal> {
        let governing: ActionSet =
            Action::ALL.iter().copied().filter(|action| administers(*action) || LOOKING.contains(*action)).collect();
        let held = |state: &Self, actions| state.people(author).any(|id| state.holds_for_good(id, actions, now));
        if held(after, governing) {
            return Ok(());
        }
        if held(self, governing) {
            return Err(Refusal::NobodyCouldUndo);
        }
        // Where several people share them, none of the rights may be lost.
        let lost = |action: &Action| {
            let alone = ActionSet::of(&[*action]);
            !held(after, alone) && held(self, alone)
        };
        if governing.iter().any(|action| lost(&action)) { Err(Refusal::NobodyCouldUndo) } else { Ok(()) }
    }

    /// Whether somebody may lift a guard of this state, and gains nothing by that: else it would take a second person, and
    /// there is none.
    pub fn can_lift(&self, guard: GuardId, author: Option<SubjectId>, now: Timestamp) -> Result<(), Refusal> {
        let mut facts = self.facts().clone();
        facts.apply(&Change::Removed(Removed::Guard(guard)));
        let lifted = Self::compile(&facts, self.revision);
        let lifts = ActionSet::of(&[Action::GuardManage]);
        let may = |id: &SubjectId| self.holds_for_good(*id, lifts, now) && !self.widened_in(&lifted, *id);
        if self.people(author).any(|id| may(&id)) { Ok(()) } else { Err(Refusal::NobodyCouldLift(guard)) }
    }

    /// The people of the company, those first who most likely administer it.
    fn people(&self, author: Option<SubjectId>) -> impl Iterator<Item = SubjectId> {
        let likely = self.facts().settings().administrator.into_iter().chain(author);
        let all = std::iter::once_with(|| self.subjects()).flatten();
        likely.chain(all).filter(|id| self.facts().subject(*id).is_some_and(|it| it.kind == SubjectKind::User))
    }

    /// Whether somebody may do all of this in the whole company, now and at every later time.
    fn holds_for_good(&self, id: SubjectId, actions: ActionSet, now: Timestamp) -> bool {
        // Most people hold none of it, which is seen without compiling anything.
        let named = self.held(id);
        actions.iter().all(|action| named.contains(action))
            && actions.iter().all(|action| self.predicate_once(id, action).lasts(now))
    }
}

impl Predicate {
    /// Whether it allows what concerns the whole company, now and at every later time.
    fn lasts(&self, now: Timestamp) -> bool {
        let company = Row::of_tenant(self.policy.base.tenant);
        // Between two edges nothing starts or ends.
        let edges = self.policy.windows(self.bit()).into_iter().flat_map(|(from, until)| [from, until]);
        let later = edges.filter(|edge| now < *edge && *edge < Timestamp::MAX);
        std::iter::once(now).chain(later).all(|at| self.check(&company, at).is_some_and(|them| self.suffices(them)))
    }

    /// Whether these levels are enough to give rights back: who grants with less could give less.
    fn suffices(&self, levels: Levels) -> bool {
        if self.action() == Action::GrantManage {
            return Levels::WRITE.within(levels);
        }
        !self.action().writes() || levels.writes(Layer::Basic)
    }
}

#[cfg(test)]
mod tests;
