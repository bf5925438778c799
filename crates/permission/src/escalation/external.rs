//! No escalation by way of a registered type: who holds rights to rows of other systems gets no more by what the type is
//! called, maps or has.

use std::sync::Arc;

use revisit_core::id::SubjectId;

use crate::{
    action::Action,
    clause::{Clause, Reach},
    compile::Delegated,
    external::{About, Asked, ExternalType},
    level::Layer,
    policy::{Bar, Policy},
    registry::Attribute,
    snapshot::Snapshot,
};

impl Snapshot {
    /// The same for a verb on the rows of one registered type. A name that the type did not have, or had for another verb,
    /// gives what it did not give before, and so does a field in another layer, or an attribute that a right was waiting for.
    pub(super) fn widened_on(&self, verb: Action, it: &ExternalType, (after, subject): (&Self, SubjectId)) -> bool {
        let old = self.facts().external_type(&it.name);
        let may = |state: &Self, verb| state.predicate(subject, Asked::on(verb, Some(&it.name)));
        let before = |verb| match old {
            Some(_) => may(self, verb),
            // Of a type that is new there are no rows yet, and what is about every type is about it too.
            None => {
                let asked = Asked::on(verb, Some(&it.name));
                self.predicate_about(subject, About::External(&it.name), asked, Delegated::Counts)
            }
        };
        let new: Vec<Attribute> =
            it.attributes.iter().copied().filter(|attribute| !old.is_some_and(|old| old.has(*attribute))).collect();
        let now = may(after, verb);
        let awaited = now.clauses().next().is_some() && reads_any(&now.policy, verb.bit(), (&new, it));
        let renamed = |(own, _): (&String, &Action)| match old.and_then(|old| old.actions.get(own)) {
            Some(was) => *was != verb && self.is_wider(&before(*was), &now),
            None => now.clauses().next().is_some(),
        };
        let moved = |field: &String| {
            let (was, is) = (old.map_or(Layer::Sensitive, |old| old.layer_of(field)), it.layer_of(field));
            let more = |clause: &Clause| clause.levels.get(is) > clause.levels.get(was);
            was != is && now.clauses().any(more)
        };
        awaited
            || self.is_wider(&before(verb), &now)
            || it.actions.iter().filter(|(_, named)| **named == verb).any(renamed)
            || old.into_iter().flat_map(|old| old.fields.keys()).chain(it.fields.keys()).any(moved)
    }
}

/// Whether a right of a policy, or what a guard leaves out, comes to something on rows of a type by one of its new
/// attributes.
fn reads_any(policy: &Policy, action: u32, (new, it): (&[Attribute], &ExternalType)) -> bool {
    let gains = |clause: &Clause| {
        let read = clause.attributes();
        read.iter().any(|attribute| new.contains(attribute)) && read.iter().all(|attribute| it.has(*attribute))
    };
    let given = |giver: &Arc<Policy>| reads_any(giver, action, (new, it));
    let clauses = policy
        .sides()
        .any(|side| side.about(action).any(|(place, clause)| gains(clause) || side.giver(place).is_some_and(given)));
    let excepts = |bar: &Bar| bar.except_owner || bar.except_led.is_some();
    clauses || (new.contains(&Attribute::Owner) && policy.bars_on(action).any(excepts))
}

impl Clause {
    /// What it reads of a row: without one of these it reaches nothing.
    fn attributes(&self) -> Vec<Attribute> {
        let place: &[Attribute] = match self.reach {
            Reach::Own => &[Attribute::Owner],
            Reach::Task => &[Attribute::TaskHolders],
            Reach::Department(_) | Reach::Subtree(_) => &[Attribute::Department],
            Reach::Team(_) => &[Attribute::Teams],
            Reach::Pooled(_) | Reach::PooledSubtree(_) => &[Attribute::Department, Attribute::Flags],
            Reach::Ids(_) | Reach::Tenant => &[],
        };
        let stage = self.limits().stages.is_some().then_some(Attribute::Stage);
        let grade = self.limits().grades.is_some().then_some(Attribute::Grade);
        place.iter().copied().chain(stage).chain(grade).collect()
    }
}
