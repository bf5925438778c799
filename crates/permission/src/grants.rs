//! The grants of one tenant as they are kept: by holder, and what many of them have in common only once. A company has
//! a million grants and says only a few thousand different things in them.

use std::{collections::HashSet, sync::Arc};

use revisit_core::{
    Timestamp,
    id::{GrantId, SubjectId},
};

use crate::{
    action::ActionSet,
    level::Levels,
    org::IdMap,
    row::NameSet,
    rule::{Extent, Grant, Origin},
};

/// What many grants have in common: all but whose they are, where and when.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Terms {
    actions: ActionSet,
    stages: Option<NameSet>,
    grades: Option<NameSet>,
    external: Option<NameSet>,
    levels: Levels,
    origin: Origin,
}

/// A grant without its holder.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Kept {
    id: GrantId,
    extent: Extent,
    from: Timestamp,
    until: Timestamp,
    terms: Arc<Terms>,
}

/// A grant of a holder, read where it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GrantView<'a> {
    /// Its id.
    pub id: GrantId,
    /// Whose.
    pub holder: SubjectId,
    /// What may be done.
    pub actions: ActionSet,
    /// To which rows.
    pub extent: &'a Extent,
    /// In which stages; all when none is named.
    pub stages: Option<&'a NameSet>,
    /// For which grades; all when none is named.
    pub grades: Option<&'a NameSet>,
    /// Of which registered types; all when none is named.
    pub external: Option<&'a NameSet>,
    /// How much of each layer.
    pub levels: Levels,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
}

impl GrantView<'_> {
    /// The grant by itself.
    #[must_use]
    pub fn to_grant(self) -> Grant {
        let Self { id, holder, actions, levels, from, until, origin, .. } = self;
        let (extent, external) = (self.extent.clone(), self.external.cloned());
        let (stages, grades) = (self.stages.cloned(), self.grades.cloned());
        Grant { id, holder, actions, extent, stages, grades, external, levels, from, until, origin }
    }

    /// Who delegated it.
    #[must_use]
    pub const fn giver(&self) -> Option<SubjectId> {
        self.origin.giver()
    }
}

/// See the module. The lists are shared with the snapshots made of them and copied only when they change.
#[derive(Clone, Debug, Default)]
pub(crate) struct Grants {
    /// Each list in the order of ids.
    by_holder: Arc<IdMap<SubjectId, Arc<Vec<Kept>>>>,
    pool: Pool,
}

impl Grants {
    pub(crate) fn put(&mut self, new: &Grant) {
        let Grant { id, from, until, .. } = *new;
        let kept = Kept { id, extent: new.extent.clone(), from, until, terms: self.pool.terms(new) };
        let held = Arc::make_mut(Arc::make_mut(&mut self.by_holder).entry(new.holder).or_default());
        match held.binary_search_by_key(&new.id, |grant| grant.id) {
            Ok(place) => held[place] = kept,
            Err(place) => held.insert(place, kept),
        }
    }

    pub(crate) fn remove(&mut self, holder: SubjectId, id: GrantId) {
        if let Some(held) = Arc::make_mut(&mut self.by_holder).get_mut(&holder) {
            Arc::make_mut(held).retain(|grant| grant.id != id);
        }
    }

    /// A holder's, in the order of ids.
    pub(crate) fn of(&self, holder: SubjectId) -> impl Iterator<Item = GrantView<'_>> {
        let held = move |grant| held(holder, grant);
        self.by_holder.get(&holder).into_iter().flat_map(|grants| grants.iter()).map(held)
    }

    /// All, in the order of holders and ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = GrantView<'_>> {
        let mut holders: Vec<_> = self.by_holder.iter().collect();
        holders.sort_by_key(|(holder, _)| *holder);
        holders.into_iter().flat_map(|(holder, grants)| grants.iter().map(|grant| held(*holder, grant)))
    }

    /// Whether a holder has the same here and there.
    pub(crate) fn same(&self, other: &Self, holder: SubjectId) -> bool {
        self.by_holder.get(&holder) == other.by_holder.get(&holder)
    }
}

fn held(holder: SubjectId, grant: &Kept) -> GrantView<'_> {
    let Kept { id, from, until, ref extent, ref terms } = *grant;
    let Terms { actions, levels, origin, .. } = **terms;
    let (stages, grades, external) = (terms.stages.as_ref(), terms.grades.as_ref(), terms.external.as_ref());
    GrantView { id, holder, actions, extent, stages, grades, external, levels, from, until, origin }
}

/// Terms that are in use. A copy of the facts shares them until it meets others.
#[derive(Clone, Debug, Default)]
struct Pool {
    known: Arc<HashSet<Arc<Terms>>>,
    /// At how many it is next looked for those that nobody uses any more.
    sweep_at: usize,
}

/// Below so many terms nothing is looked for.
const SWEEP_MIN: usize = 1_024;

impl Pool {
    fn terms(&mut self, grant: &Grant) -> Arc<Terms> {
        let Grant { actions, levels, origin, .. } = *grant;
        let (stages, grades, external) = (grant.stages.clone(), grant.grades.clone(), grant.external.clone());
        let terms = Terms { actions, stages, grades, external, levels, origin };
        if let Some(known) = self.known.get(&terms) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at.max(SWEEP_MIN) {
            Arc::make_mut(&mut self.known).retain(|terms| Arc::strong_count(terms) > 1);
            self.sweep_at = self.known.len() * 2;
        }
        let terms = Arc::new(terms);
        Arc::make_mut(&mut self.known).insert(Arc::clone(&terms));
        terms
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::id::DepartmentId;
    use uuid::Uuid;

    use super::*;
    use crate::{
        Action, Layer, Level, Place, Template,
        fixture::{ALWAYS, grant_id, id},
    };

    fn grant(number: u128, holder: u128, department: u128) -> Grant {
        at_stage(number, holder, department, "lead")
    }

    fn at_stage(number: u128, holder: u128, department: u128, stage: &str) -> Grant {
        let at = DepartmentId::from_uuid(Uuid::from_u128(department));
        let right = Template {
            actions: ActionSet::of(&[Action::CustomerView]),
            extent: Extent::Subtree(Place::At(at)),
            stages: Some([stage].into_iter().collect()),
            grades: None,
            external: None,
            levels: Levels::of(&[(Layer::Basic, Level::Read)]),
        };
        Grant::of(grant_id(number), id(holder), right, ALWAYS, Origin::Direct)
    }

    #[test]
    fn a_grant_is_read_as_it_was_put_in_and_its_newest_form_counts() {
        let mut grants = Grants::default();
        for number in [3, 1, 2] {
            grants.put(&grant(number, 7, number));
        }
        grants.put(&grant(2, 7, 9));
        let read: Vec<_> = grants.of(id(7)).map(GrantView::to_grant).collect();
        assert_eq!(read, [grant(1, 7, 1), grant(2, 7, 9), grant(3, 7, 3)]);
        let before = grants.clone();
        grants.remove(id(7), grant_id(1));
        assert_eq!(grants.of(id(7)).count(), 2);
        assert_eq!(before.of(id(7)).count(), 3, "a copy stays as it was");
        assert!(!grants.same(&before, id(7)) && grants.same(&before, id(8)));
    }

    #[test]
    fn what_grants_have_in_common_is_kept_once_and_forgotten_with_the_last_of_them() {
        let mut grants = Grants::default();
        for number in 0..100 {
            grants.put(&grant(number, number, number));
        }
        assert_eq!(grants.pool.known.len(), 1);
        let terms = |number| grants.by_holder.get(&id(number)).map(|held| Arc::clone(&held[0].terms));
        assert!(terms(0).zip(terms(99)).is_some_and(|(one, other)| Arc::ptr_eq(&one, &other)));
        for number in 0..10 * SWEEP_MIN as u128 {
            grants.put(&at_stage(1, 1, 5, &number.to_string()));
        }
        assert!(grants.pool.known.len() <= SWEEP_MIN + 1, "{} are kept", grants.pool.known.len());
    }
}
