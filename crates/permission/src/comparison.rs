//! What one state of a tenant gives that another does not: right by right, guard by guard, for each subject and action.
//!
//! Both sides are read from the predicates that decide, so what is told as gained or lost is what a decision would say.

use std::{
    cell::{OnceCell, RefCell},
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use revisit_core::{
    Timestamp,
    id::{DepartmentId, SubjectId},
};

use crate::{
    action::{Action, ActionSet},
    external::{About, Asked},
    filter::{Filter, FilterClause, FilterGuard},
    policy::Policy,
    predicate::Predicate,
    registry::Resource,
    row::Name,
    snapshot::Snapshot,
};

/// Two states of one tenant.
#[derive(Debug)]
pub struct Comparison {
    /// What holds.
    pub before: Snapshot,
    /// What would hold.
    pub after: Snapshot,
    /// Everybody's rights may differ.
    everywhere: bool,
    /// Everybody's rights to rows of other systems may differ.
    types: bool,
    /// Actions whose guards differ.
    guarded: ActionSet,
}

/// A right that is gained, lost or altered.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RightChange {
    /// Whose rights follow from it.
    pub subject: SubjectId,
    /// To do what.
    pub action: Action,
    /// On rows of which registered type.
    pub external: Option<Name>,
    /// By which name of the type, when what changes is the verb that it names.
    pub named: Option<String>,
    /// Who holds it: the subject, or an account above it, which bounds what the subject may do.
    pub account: SubjectId,
    /// As it is; nothing when it is gained.
    pub before: Option<FilterClause>,
    /// As it would be; nothing when it is lost.
    pub after: Option<FilterClause>,
}

/// A guard that binds a subject from then on, no more, or otherwise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GuardChange {
    /// Whom it binds.
    pub subject: SubjectId,
    /// On which action.
    pub action: Action,
    /// On rows of which registered type.
    pub external: Option<Name>,
    /// By which name of the type, when what changes is the verb that it names.
    pub named: Option<String>,
    /// As it is.
    pub before: Option<FilterGuard>,
    /// As it would be.
    pub after: Option<FilterGuard>,
}

impl Comparison {
    /// Looks at what the two states share, so that subjects whom nothing can have touched cost nothing.
    #[must_use]
    pub fn new(before: Snapshot, after: Snapshot) -> Self {
        let (one, two) = (before.facts(), after.facts());
        let alike = Arc::ptr_eq(&one.departments, &two.departments)
            && Arc::ptr_eq(&one.settings, &two.settings)
            && Arc::ptr_eq(&one.teams, &two.teams);
        let types = !Arc::ptr_eq(&one.external, &two.external);
        // A guard may except managers, and a delegation ends with its giver: both look at other subjects.
        let same_people = Arc::ptr_eq(&one.subjects, &two.subjects)
            || (before.shared_lines() == after.shared_lines() && same_states(&before, &after));
        let left = one.guards.iter().filter(|(id, guard)| two.guards.get(id) != Some(*guard));
        let right = two.guards.iter().filter(|(id, guard)| one.guards.get(id) != Some(*guard));
        let guarded = left.chain(right).fold(ActionSet::EMPTY, |all, (_, guard)| all.union(guard.actions));
        let everywhere = !alike || !same_people;
        Self { before, after, everywhere, types, guarded }
    }

    /// What they say of one subject.
    #[must_use]
    pub fn of(&self, subject: SubjectId) -> Compared<'_> {
        let side = |snapshot| Side {
            snapshot,
            policies: [const { OnceCell::new() }; Resource::ALL.len()],
            external: RefCell::default(),
        };
        Compared { comparison: self, subject, before: side(&self.before), after: side(&self.after) }
    }

    /// Whether a subject and the accounts above it hold the same roles and grants in both.
    fn same_rights(&self, subject: SubjectId) -> bool {
        let mut line = vec![subject];
        for state in [&self.before, &self.after] {
            let facts = state.subject(subject).filter(|facts| facts.active);
            line.extend(facts.into_iter().flat_map(|facts| state.above(facts)).map(|above| above.subject.id));
        }
        // What was delegated stands on its giver's rights, and on those of the accounts above the giver.
        for state in [&self.before, &self.after] {
            let grants = line.clone().into_iter().flat_map(|account| state.facts().grants_of(account));
            for giver in grants.filter_map(|grant| grant.giver()) {
                line.push(giver);
                let facts = state.subject(giver).filter(|facts| facts.active);
                line.extend(facts.into_iter().flat_map(|facts| state.above(facts)).map(|above| above.subject.id));
            }
        }
        line.into_iter().all(|account| {
            let (one, two) = (self.before.facts(), self.after.facts());
            let role = |facts: &crate::Facts, id| facts.roles.get(&id).cloned();
            self.before.subject(account) == self.after.subject(account)
                && one.grants.same(&two.grants, account)
                && self
                    .before
                    .subject(account)
                    .is_none_or(|facts| facts.roles.iter().all(|held| role(one, held.role) == role(two, held.role)))
        })
    }
}

/// One subject in both states. What is asked of it is compiled once for each type of rows, and kept no longer than this.
#[derive(Debug)]
pub struct Compared<'a> {
    comparison: &'a Comparison,
    subject: SubjectId,
    before: Side<'a>,
    after: Side<'a>,
}

#[derive(Debug)]
struct Side<'a> {
    snapshot: &'a Snapshot,
    policies: [OnceCell<Arc<Policy>>; Resource::ALL.len()],
    external: RefCell<BTreeMap<Name, Arc<Policy>>>,
}

impl Side<'_> {
    fn predicate(&self, subject: SubjectId, asked: Asked<'_>) -> Predicate {
        let compile = || self.snapshot.predicate_once(subject, asked).policy;
        let policy = match asked.about() {
            About::Ours(resource) => Arc::clone(self.policies[resource as usize].get_or_init(compile)),
            About::External(name) => Arc::clone(self.external.borrow_mut().entry(name.clone()).or_insert_with(compile)),
            About::AnyExternal | About::Nothing => compile(),
        };
        Predicate::new(policy, asked)
    }

    fn filter(&self, subject: SubjectId, asked: Asked<'_>, now: Timestamp) -> Filter {
        self.snapshot.filter_from(&self.predicate(subject, asked), now)
    }

    fn compiled(&self) -> usize {
        self.policies.iter().filter(|policy| policy.get().is_some()).count() + self.external.borrow().len()
    }
}

impl Compared<'_> {
    /// Actions about which the two states may say something else.
    #[must_use]
    pub fn differing(&self) -> ActionSet {
        let Comparison { before, after, everywhere, types, guarded } = self.comparison;
        let held = before.held(self.subject).union(after.held(self.subject));
        if *everywhere || !self.comparison.same_rights(self.subject) {
            return held;
        }
        let touched =
            |action: &Action| guarded.contains(*action) || (*types && action.resource() == Resource::External);
        held.iter().filter(touched).collect()
    }

    /// How many policies were compiled for it so far: what it costs.
    #[must_use]
    pub fn compiled(&self) -> usize {
        self.before.compiled() + self.after.compiled()
    }

    /// What decides about an action, as it is and as it would be.
    #[must_use]
    pub fn predicates<'a>(&self, asked: impl Into<Asked<'a>>) -> (Predicate, Predicate) {
        let asked = asked.into();
        (self.before.predicate(self.subject, asked), self.after.predicate(self.subject, asked))
    }

    /// What differs about an action, for every window that is not over; on rows of other systems type by type.
    #[must_use]
    pub fn changes(&self, action: Action, now: Timestamp) -> (Vec<RightChange>, Vec<GuardChange>) {
        if action.resource() != Resource::External {
            return self.changes_on(action.into(), now);
        }
        let types = [&self.before, &self.after].into_iter().flat_map(|side| side.snapshot.facts().external.keys());
        let (mut rights, mut guards) = (Vec::new(), Vec::new());
        for external in types.collect::<BTreeSet<_>>() {
            let (right, guard) = self.changes_on(Asked::on(action, Some(external)), now);
            rights.extend(right);
            guards.extend(guard);
        }
        (rights, guards)
    }

    fn changes_on(&self, asked: Asked<'_>, now: Timestamp) -> (Vec<RightChange>, Vec<GuardChange>) {
        let (before, after) =
            (self.before.filter(self.subject, asked, now), self.after.filter(self.subject, asked, now));
        differences((Some(&before), Some(&after)), (asked, None))
    }

    /// What differs because types call other verbs by their names: who holds a verb does it by each of its names.
    #[must_use]
    pub fn renamed(&self, now: Timestamp) -> (Vec<RightChange>, Vec<GuardChange>) {
        let (mut rights, mut guards) = (Vec::new(), Vec::new());
        // The names of a type that is new, or is gone, say no more than its verbs.
        let (one, two) = (self.comparison.before.facts(), self.comparison.after.facts());
        let both = two.external_types().filter_map(|new| Some((one.external_type(&new.name)?, new)));
        for (old, new) in both {
            let names: BTreeSet<&String> = old.actions.keys().chain(new.actions.keys()).collect();
            for own in names {
                let (was, is) = (old.actions.get(own).copied(), new.actions.get(own).copied());
                let Some(verb) = is.or(was).filter(|_| was != is) else { continue };
                let asked = |verb| Asked::on(verb, Some(&new.name));
                let before = was.map(|verb| self.before.filter(self.subject, asked(verb), now));
                let after = is.map(|verb| self.after.filter(self.subject, asked(verb), now));
                let (right, guard) = differences((before.as_ref(), after.as_ref()), (asked(verb), Some(own)));
                rights.extend(right);
                guards.extend(guard);
            }
        }
        (rights, guards)
    }
}

impl RightChange {
    /// Departments that only `of` reaches.
    fn only(of: Option<&FilterClause>, beside: Option<&FilterClause>) -> Vec<DepartmentId> {
        let other = beside.map_or(&[][..], |clause| &clause.departments);
        let mut known: Vec<_> = other.to_vec();
        known.sort_unstable();
        let of = of.map_or(&[][..], |clause| &clause.departments);
        of.iter().copied().filter(|department| known.binary_search(department).is_err()).collect()
    }

    /// Departments that it reaches from then on.
    #[must_use]
    pub fn gained(&self) -> Vec<DepartmentId> {
        Self::only(self.after.as_ref(), self.before.as_ref())
    }

    /// Departments that it reaches no more.
    #[must_use]
    pub fn lost(&self) -> Vec<DepartmentId> {
        Self::only(self.before.as_ref(), self.after.as_ref())
    }

    /// Ids that both sides name: what bounds its size.
    #[must_use]
    pub fn ids(&self) -> usize {
        [&self.before, &self.after].into_iter().flatten().map(FilterClause::ids).sum()
    }
}

impl GuardChange {
    /// Ids that both sides name: what bounds its size.
    #[must_use]
    pub fn ids(&self) -> usize {
        [&self.before, &self.after].into_iter().flatten().map(FilterGuard::ids).sum()
    }
}

fn same_states(before: &Snapshot, after: &Snapshot) -> bool {
    let (one, two) = (&before.facts().subjects, &after.facts().subjects);
    one.len() == two.len()
        && one.iter().all(|(id, subject)| two.get(id).is_some_and(|other| other.state == subject.state))
}

/// What stands on one side, on the other, or on both in two ways.
type Pair<T> = (Option<T>, Option<T>);

/// What somebody may do on one side and not, or otherwise, on the other, and what binds them there; `named` when that is
/// asked by a name of a type.
fn differences(
    (before, after): (Option<&Filter>, Option<&Filter>),
    (asked, named): (Asked<'_>, Option<&String>),
) -> (Vec<RightChange>, Vec<GuardChange>) {
    let Some(subject) = before.or(after).map(|filter| filter.subject) else { return Default::default() };
    let (action, external, named) = (asked.action, asked.external.cloned(), named.cloned());
    let right = |(before, after): Pair<(SubjectId, FilterClause)>| {
        let account = before.as_ref().or(after.as_ref()).map_or(subject, |(account, _)| *account);
        let (before, after) = (before.map(|it| it.1), after.map(|it| it.1));
        let (external, named) = (external.clone(), named.clone());
        RightChange { subject, action, external, named, account, before, after }
    };
    let guard = |(before, after): Pair<FilterGuard>| {
        let (external, named) = (external.clone(), named.clone());
        GuardChange { subject, action, external, named, before, after }
    };
    let by = |(account, clause): &(SubjectId, FilterClause)| (*account, clause.grant);
    let rights = pairs(clauses(before), clauses(after), by).into_iter().map(right).collect();
    // A guard over what somebody does not hold takes nothing away.
    let own = |filter: &Filter| filter.accounts.first().is_some_and(|own| !own.clauses.is_empty());
    let held = before.is_some_and(own) || after.is_some_and(own);
    let bars = |filter: Option<&Filter>| filter.filter(|_| held).map_or_else(Vec::new, |it| it.guards.clone());
    let guards = pairs(bars(before), bars(after), |guard| guard.guard).into_iter().map(guard).collect();
    (rights, guards)
}

/// The clauses of a filter, each with the account that holds it.
fn clauses(filter: Option<&Filter>) -> Vec<(SubjectId, FilterClause)> {
    let accounts = filter.into_iter().flat_map(|filter| &filter.accounts);
    let accounts = accounts.filter_map(|account| Some((*account.who.last()?, account)));
    accounts.flat_map(|(who, account)| account.clauses.iter().map(move |clause| (who, clause.clone()))).collect()
}

/// What is on one side only; what has the same key on the other stands beside it.
fn pairs<T: PartialEq, K: PartialEq>(old: Vec<T>, mut new: Vec<T>, key: impl Fn(&T) -> K) -> Vec<Pair<T>> {
    let mut gone = Vec::new();
    for it in old {
        match new.iter().position(|other| *other == it) {
            Some(place) => drop(new.remove(place)),
            None => gone.push(it),
        }
    }
    let mut found = Vec::new();
    for it in gone {
        let successor = new.iter().position(|other| key(other) == key(&it));
        let successor = successor.map(|place| new.remove(place));
        found.push((Some(it), successor));
    }
    found.extend(new.into_iter().map(|it| (None, Some(it))));
    found
}

impl Snapshot {
    /// Actions of every right that a subject holds, whenever and wherever.
    pub(crate) fn held(&self, subject: SubjectId) -> ActionSet {
        let mut held = ActionSet::EMPTY;
        if let Some(facts) = self.subject(subject) {
            self.rights(facts, |right, _| held = held.union(right.actions));
        }
        held
    }
}

#[cfg(test)]
mod tests;
