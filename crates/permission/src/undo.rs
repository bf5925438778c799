//! No lock-out: after a change somebody who is active can undo it.
//!
//! What administers is handed out only by who holds it, and nobody lifts a guard that binds oneself. So what the last
//! holder loses nobody could give back, and a guard on everybody who may lift guards nobody could lift.

use std::collections::{BTreeSet, HashSet};

use revisit_core::{
    Timestamp,
    id::{GuardId, RoleId, SubjectId},
};

use crate::{
    action::{Action, ActionSet},
    escalation::administers,
    level::{Layer, Levels},
    model::{Change, Removed, SubjectKind},
    predicate::Predicate,
    row::Row,
    rule::Whom,
    snapshot::{Snapshot, SubjectFacts},
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
        let (before, after) = (Search::new(self, author, now), Search::new(after, author, now));
        if after.finds(governing) {
            return Ok(());
        }
        if before.finds(governing) {
            return Err(Refusal::NobodyCouldUndo);
        }
        // Where several people share them, none of the rights may be lost.
        let lost = |action: Action| {
            let alone = ActionSet::of(&[action]);
            !after.finds(alone) && before.finds(alone)
        };
        if governing.iter().any(lost) { Err(Refusal::NobodyCouldUndo) } else { Ok(()) }
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
        let named = self.held(id);
        actions.iter().all(|action| named.contains(action))
            && actions.iter().all(|action| self.predicate_once(id, action).lasts(now))
    }
}

/// Looks for somebody who may do something for good. Of people who are alike only the first is asked: what a company of ten
/// thousand is made of is a few kinds of people.
struct Search<'a> {
    state: &'a Snapshot,
    author: Option<SubjectId>,
    now: Timestamp,
    /// Whom a guard binds or leaves out by name.
    named: BTreeSet<SubjectId>,
}

/// All that says what somebody may do to what concerns the whole company: two of a kind may do the same. No place does,
/// because such a row lies nowhere.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    roles: Vec<(RoleId, Timestamp, Timestamp)>,
    actions: ActionSet,
    /// Guards on departments that bind its members.
    bound: Vec<GuardId>,
    above: Option<SubjectId>,
}

impl<'a> Search<'a> {
    fn new(state: &'a Snapshot, author: Option<SubjectId>, now: Timestamp) -> Self {
        let by_name = state.facts().guards.values().flat_map(|guard| {
            let whom = if let Whom::Subject(id) = guard.whom { Some(id) } else { None };
            whom.into_iter().chain(guard.except.subjects.iter().copied())
        });
        Self { state, author, now, named: by_name.collect() }
    }

    fn finds(&self, actions: ActionSet) -> bool {
        self.finds_one(actions, |id| self.state.holds_for_good(id, actions, self.now))
    }

    /// Whether somebody may, of those who hold the actions; to ask takes compiled policies.
    fn finds_one(&self, actions: ActionSet, mut may: impl FnMut(SubjectId) -> bool) -> bool {
        let mut lacking = HashSet::new();
        for id in self.state.people(self.author) {
            let Some(facts) = self.state.subject(id).filter(|it| it.active) else { continue };
            // Most people hold none of it, which is seen without compiling anything.
            let held = self.state.held(id);
            if !actions.iter().all(|action| held.contains(action)) {
                continue;
            }
            let kind = self.kind(facts);
            if kind.as_ref().is_some_and(|kind| lacking.contains(kind)) {
                continue;
            }
            if may(id) {
                return true;
            }
            lacking.extend(kind);
        }
        false
    }

    /// Nothing for who is like nobody else.
    fn kind(&self, facts: &SubjectFacts) -> Option<Kind> {
        let subject = &facts.subject;
        if self.named.contains(&subject.id) || self.state.facts().grants_of(subject.id).next().is_some() {
            return None;
        }
        let binds = |top| subject.departments().any(|at| self.state.org().within(at, top));
        let bound = self.state.facts().guards.values().filter_map(|guard| match guard.whom {
            Whom::Department(top) => binds(top).then_some(guard.id),
            Whom::Everyone | Whom::Subject(_) | Whom::Role(_) => None,
        });
        Some(Kind {
            roles: facts.roles.iter().map(|held| (held.role, held.from, held.until)).collect(),
            actions: facts.actions,
            bound: bound.collect(),
            above: subject.parent,
        })
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
