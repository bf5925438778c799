//! Who is responsible: what this service knows of customers, people and departments, and the rule that nothing is ever
//! without somebody.

use std::collections::BTreeMap;

use revisit_core::{
    Timestamp,
    id::{CustomerId, DepartmentId, SubjectId, TeamId, TenantId},
};
use revisit_permission::{Flags, Row};

/// A customer as projected from customer's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Customer {
    pub tenant: TenantId,
    pub id: CustomerId,
    pub version: i64,
    pub owner: Option<SubjectId>,
    /// Rises with each change of owner.
    pub epoch: i64,
    pub department: Option<DepartmentId>,
    pub teams: Vec<TeamId>,
    pub stage: Option<String>,
    pub grade: Option<String>,
    pub vip: bool,
    pub pooled: bool,
    pub deleted: bool,
    pub tags: Vec<String>,
    pub auth_rev: i64,
    /// When the customer was last heard of; not part of the facts that events carry.
    pub last_inbound_at: Option<Timestamp>,
}

impl Customer {
    /// The row of the customer itself, as far as it is known here.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::new(self.tenant, self.id)
            .with_owner(self.owner)
            .with_department(self.department)
            .with_teams(self.teams.iter().copied())
            .with_stage(self.stage.as_deref().map(Into::into))
            .with_grade(self.grade.as_deref().map(Into::into))
            .with_flags(Flags { vip: self.vip, pooled: self.pooled })
            .with_auth_rev(self.auth_rev)
    }
}

/// A user as projected from identity's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Person {
    pub id: SubjectId,
    pub version: i64,
    pub active: bool,
    pub manager: Option<SubjectId>,
    pub department: Option<DepartmentId>,
    /// IANA name.
    pub zone: String,
}

/// A department as projected from identity's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Department {
    pub id: DepartmentId,
    pub version: i64,
    pub parent: Option<DepartmentId>,
    pub head: Option<SubjectId>,
}

/// The people of one tenant, as far as a decision about responsibility needs them.
#[derive(Clone, Debug, Default)]
pub struct People {
    pub persons: BTreeMap<SubjectId, Person>,
    pub departments: BTreeMap<DepartmentId, Department>,
}

/// Departments above one another at the most; the tree forbids cycles, a reordered projection may show one.
const DEPTH_MAX: usize = 64;

impl People {
    #[must_use]
    pub fn is_active(&self, id: SubjectId) -> bool {
        self.persons.get(&id).is_some_and(|person| person.active)
    }

    /// Who answers for a piece of work: the first active of the person named, the customer's owner, the heads of the
    /// department from below, the managers of the owner, and an administrator (who has no manager).
    #[must_use]
    pub fn responsible(
        &self,
        named: Option<SubjectId>,
        owner: Option<SubjectId>,
        department: Option<DepartmentId>,
    ) -> Option<SubjectId> {
        let named = named.filter(|id| self.is_active(*id));
        named
            .or_else(|| owner.filter(|id| self.is_active(*id)))
            .or_else(|| self.head(department))
            .or_else(|| self.manager(owner))
            .or_else(|| self.persons.values().find(|person| person.active && person.manager.is_none()).map(|p| p.id))
            .or_else(|| self.persons.values().find(|person| person.active).map(|person| person.id))
    }

    /// The nearest active head at or above a department.
    #[must_use]
    pub fn head(&self, department: Option<DepartmentId>) -> Option<SubjectId> {
        let mut next = department;
        for _ in 0..DEPTH_MAX {
            let department = self.departments.get(&next?)?;
            if let Some(head) = department.head.filter(|head| self.is_active(*head)) {
                return Some(head);
            }
            next = department.parent;
        }
        None
    }

    /// The nearest active manager above a person.
    #[must_use]
    pub fn manager(&self, of: Option<SubjectId>) -> Option<SubjectId> {
        let mut next = self.persons.get(&of?)?.manager;
        for _ in 0..DEPTH_MAX {
            let manager = self.persons.get(&next?)?;
            if manager.active {
                return Some(manager.id);
            }
            next = manager.manager;
        }
        None
    }

    /// A department and all that lie below it.
    #[must_use]
    pub fn below(&self, top: DepartmentId) -> Vec<DepartmentId> {
        let known = self.departments.keys().copied().filter(|id| *id != top);
        let mut below: Vec<_> = known.filter(|id| self.lies_below(Some(*id), top)).collect();
        below.push(top);
        below
    }

    /// Whether `department` is `top` or lies below it.
    fn lies_below(&self, department: Option<DepartmentId>, top: DepartmentId) -> bool {
        let mut next = department;
        for _ in 0..DEPTH_MAX {
            match next {
                Some(id) if id == top => return true,
                Some(id) => next = self.departments.get(&id).and_then(|department| department.parent),
                None => return false,
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::Id;
    use uuid::Uuid;

    use super::*;

    fn id<K>(n: u128) -> Id<K> {
        Id::from_uuid(Uuid::from_u128(n))
    }
    fn person(n: u128, active: bool, manager: Option<u128>) -> (SubjectId, Person) {
        let person =
            Person { id: id(n), version: 1, active, manager: manager.map(id), department: None, zone: "UTC".into() };
        (id(n), person)
    }
    fn department(n: u128, parent: Option<u128>, head: Option<u128>) -> (DepartmentId, Department) {
        (id(n), Department { id: id(n), version: 1, parent: parent.map(id), head: head.map(id) })
    }

    #[test]
    fn work_of_somebody_who_is_not_active_goes_to_the_nearest_active_head() {
        let people = People {
            persons: [
                person(1, false, Some(2)),
                person(2, true, Some(3)),
                person(3, true, None),
                person(4, false, Some(3)),
            ]
            .into(),
            departments: [department(10, Some(11), Some(4)), department(11, None, Some(2))].into(),
        };
        assert_eq!(people.responsible(None, Some(id(2)), Some(id(10))), Some(id(2)));
        assert_eq!(people.responsible(None, Some(id(1)), Some(id(10))), Some(id(2)), "head 4 is not active: climb");
        assert_eq!(people.responsible(Some(id(3)), Some(id(1)), Some(id(10))), Some(id(3)), "named comes first");
        assert_eq!(people.responsible(None, Some(id(1)), None), Some(id(2)), "no department: the manager");
        assert_eq!(people.responsible(None, None, None), Some(id(3)), "last the administrator");
    }
}
