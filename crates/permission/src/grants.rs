//! The grants of one tenant as they are kept: by holder, and what many of them have in common only once. A company has
//! a million grants and says only a few thousand different things in them.

use std::{collections::HashSet, sync::Arc};

use revisit_core::{
    Timestamp,
    id::{GrantId, SubjectId},
};

use crate::{
    org::IdMap,
    rule::{Extent, Grant, Origin, Template},
};

/// What many grants have in common.
#[derive(PartialEq, Eq, Hash, Debug)]
struct Terms {
    right: Template,
    origin: Origin,
}

/// A grant without its holder.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Kept {
    id: GrantId,
    from: Timestamp,
    until: Timestamp,
    terms: Arc<Terms>,
}

/// A grant of a holder, read where it is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HeldGrant<'a> {
    /// Its id.
    pub id: GrantId,
    /// Whose.
    pub holder: SubjectId,
    /// What it gives.
    pub right: &'a Template,
    /// From when.
    pub from: Timestamp,
    /// Until when, that instant not included.
    pub until: Timestamp,
    /// Where it comes from.
    pub origin: Origin,
}

impl HeldGrant<'_> {
    /// The grant by itself.
    #[must_use]
    pub fn to_grant(self) -> Grant {
        Grant::of(self.id, self.holder, self.right.clone(), (self.from, self.until), self.origin)
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
        let kept = Kept { id: new.id, from: new.from, until: new.until, terms: self.pool.terms(new) };
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
    pub(crate) fn of(&self, holder: SubjectId) -> impl Iterator<Item = HeldGrant<'_>> {
        let held = move |grant| held(holder, grant);
        self.by_holder.get(&holder).into_iter().flat_map(|grants| grants.iter()).map(held)
    }

    /// All, in the order of holders and ids.
    pub(crate) fn all(&self) -> impl Iterator<Item = HeldGrant<'_>> {
        let mut holders: Vec<_> = self.by_holder.iter().collect();
        holders.sort_by_key(|(holder, _)| *holder);
        holders.into_iter().flat_map(|(holder, grants)| grants.iter().map(|grant| held(*holder, grant)))
    }

    /// Whether a holder has the same here and there.
    pub(crate) fn same(&self, other: &Self, holder: SubjectId) -> bool {
        self.by_holder.get(&holder) == other.by_holder.get(&holder)
    }
}

fn held(holder: SubjectId, grant: &Kept) -> HeldGrant<'_> {
    let Kept { id, from, until, ref terms } = *grant;
    HeldGrant { id, holder, right: &terms.right, from, until, origin: terms.origin }
}

/// Terms that are in use. It only spares memory, so a copy of the facts begins with none.
#[derive(Debug, Default)]
struct Pool {
    known: HashSet<Arc<Terms>>,
    /// At how many it is next looked for those that nobody uses any more.
    sweep_at: usize,
}

/// Below so many terms nothing is looked for.
const SWEEP_MIN: usize = 1_024;

impl Clone for Pool {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Pool {
    fn terms(&mut self, grant: &Grant) -> Arc<Terms> {
        let Grant { actions, extent, stages, grades, external, levels, origin, .. } = grant.clone();
        let terms = Terms { right: Template { actions, extent, stages, grades, external, levels }, origin };
        // Named rows differ from grant to grant.
        if matches!(terms.right.extent, Extent::Ids(_)) {
            return Arc::new(terms);
        }
        if let Some(known) = self.known.get(&terms) {
            return Arc::clone(known);
        }
        if self.known.len() >= self.sweep_at.max(SWEEP_MIN) {
            self.known.retain(|terms| Arc::strong_count(terms) > 1);
            self.sweep_at = self.known.len() * 2;
        }
        let terms = Arc::new(terms);
        self.known.insert(Arc::clone(&terms));
        terms
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::id::DepartmentId;
    use uuid::Uuid;

    use super::*;
    use crate::{
        Action, ActionSet, Layer, Level, Levels, Place,
        fixture::{ALWAYS, grant_id, id},
    };

    fn grant(number: u128, holder: u128, department: u128) -> Grant {
        let at = DepartmentId::from_uuid(Uuid::from_u128(department));
        let right = Template {
            actions: ActionSet::of(&[Action::CustomerView]),
            extent: Extent::Subtree(Place::At(at)),
            stages: Some(["lead"].into_iter().collect()),
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
        let read: Vec<_> = grants.of(id(7)).map(HeldGrant::to_grant).collect();
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
            grants.put(&grant(number, number, 5));
        }
        assert_eq!(grants.pool.known.len(), 1);
        let terms = |number| grants.by_holder.get(&id(number)).map(|held| Arc::clone(&held[0].terms));
        assert!(terms(0).zip(terms(99)).is_some_and(|(one, other)| Arc::ptr_eq(&one, &other)));
        for number in 0..10 * SWEEP_MIN as u128 {
            grants.put(&grant(1, 1, 10 + number));
        }
        assert!(grants.pool.known.len() <= SWEEP_MIN + 1, "{} are kept", grants.pool.known.len());
    }
}
