//! A small company for unit tests: head office with sales, service and finance, and two regions of which one has two
//! stores.

use revisit_core::{
    Id, Timestamp,
    id::{DepartmentId, GrantId, RoleId, SubjectId, TenantId},
};
use uuid::Uuid;

use crate::{
    ActionSet, Assigned, Change, Department, Facts, Position, Role, RoleAssignment, Row, Shipped, Snapshot, Subject,
    SubjectState, Tenant, shipped_roles,
};

pub(crate) const NOW: Timestamp = Timestamp::from_seconds(1_000_000);
pub(crate) const ALWAYS: (Timestamp, Timestamp) = (Timestamp::MIN, Timestamp::MAX);

/// An id of anything.
pub(crate) fn id<K>(number: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(number))
}

pub(crate) fn tenant() -> TenantId {
    id(1)
}

pub(crate) const HEAD_OFFICE: u128 = 10;
pub(crate) const NORTH: u128 = 11;
pub(crate) const SOUTH: u128 = 12;
pub(crate) const STORE_ONE: u128 = 13;
pub(crate) const STORE_TWO: u128 = 14;

pub(crate) const BOSS: u128 = 100;
pub(crate) const ADMIN: u128 = 101;
pub(crate) const NORTH_MANAGER: u128 = 102;
pub(crate) const REP_ONE: u128 = 103;
pub(crate) const REP_TWO: u128 = 104;
pub(crate) const SOUTH_REP: u128 = 105;
pub(crate) const SERVICE_ONE: u128 = 106;
pub(crate) const FINANCE: u128 = 107;
pub(crate) const MARKETING: u128 = 108;
pub(crate) const NEWCOMER: u128 = 109;
pub(crate) const AUDITOR: u128 = 110;
pub(crate) const SALES_LEAD: u128 = 111;

pub(crate) fn department(number: u128, parent: Option<u128>, head: Option<u128>) -> Change {
    Change::Department(Department {
        id: id(number),
        parent: parent.map(id),
        name: format!("department {number}"),
        head: head.map(id),
        disabled: false,
        merged_into: None,
        modules_off: Vec::new(),
    })
}

pub(crate) fn user(number: u128, department: u128) -> Subject {
    Subject {
        department: Some(id(department)),
        ..Subject::user(id(number), format!("subject {number}"), SubjectState::Active)
    }
}

/// The id of a shipped role in this company.
pub(crate) fn role(key: &str) -> RoleId {
    Id::derived("test role", &[key.as_bytes()])
}

pub(crate) fn shipped() -> impl Iterator<Item = Change> {
    shipped_roles().iter().map(|shipped| {
        Change::Role(Role {
            id: role(shipped.key),
            key: shipped.key.to_owned(),
            name: shipped.name.to_owned(),
            shipped: Some(Shipped { key: shipped.key.to_owned(), version: shipped.version }),
            templates: shipped.templates.clone(),
        })
    })
}

pub(crate) fn assign(subject: u128, key: &str) -> Change {
    let assigned = Assigned::Added { from: ALWAYS.0, until: ALWAYS.1 };
    Change::RoleAssignment(RoleAssignment { subject: id(subject), role: role(key), assigned })
}

pub(crate) fn position(number: u128, at: u128, keys: &[&str]) -> Change {
    let roles = keys.iter().map(|key| role(key)).collect();
    Change::Position(Position { id: id(number), department: id(at), name: format!("position {number}"), roles })
}

/// The company.
pub(crate) fn company() -> Facts {
    let mut changes = vec![
        Change::Tenant(Tenant { administrator: Some(id(ADMIN)), modules_off: Vec::new(), region: None }),
        department(HEAD_OFFICE, None, Some(BOSS)),
        department(NORTH, Some(HEAD_OFFICE), Some(NORTH_MANAGER)),
        department(SOUTH, Some(HEAD_OFFICE), None),
        department(STORE_ONE, Some(NORTH), None),
        department(STORE_TWO, Some(NORTH), None),
    ];
    changes.extend(shipped());
    let people = [
        (BOSS, HEAD_OFFICE, "executive"),
        (ADMIN, HEAD_OFFICE, "admin"),
        (NORTH_MANAGER, NORTH, "regional_manager"),
        (SALES_LEAD, STORE_ONE, "sales_manager"),
        (REP_ONE, STORE_ONE, "sales_rep"),
        (REP_TWO, STORE_TWO, "sales_rep"),
        (SOUTH_REP, SOUTH, "sales_rep"),
        (SERVICE_ONE, STORE_ONE, "service"),
        (FINANCE, HEAD_OFFICE, "finance"),
        (MARKETING, HEAD_OFFICE, "marketing"),
        (AUDITOR, HEAD_OFFICE, "auditor"),
    ];
    for (number, place, key) in people {
        changes.push(Change::Subject(user(number, place)));
        changes.push(assign(number, key));
    }
    changes.push(Change::Subject(user(NEWCOMER, STORE_ONE)));
    Facts::of(tenant(), &changes)
}

/// The company after some more changes.
pub(crate) fn company_with(changes: &[Change]) -> Snapshot {
    let mut facts = company();
    changes.iter().for_each(|change| facts.apply(change));
    Snapshot::compile(&facts, 7)
}

/// A customer of a store, in its first stage.
pub(crate) fn customer(owner: u128, at: u128) -> Row {
    Row::new(tenant(), Uuid::from_u128(5_000 + owner))
        .with_owner(SubjectId::from_uuid(Uuid::from_u128(owner)))
        .with_department(DepartmentId::from_uuid(Uuid::from_u128(at)))
        .with_stage(Some("lead".into()))
}

pub(crate) fn grant_id(number: u128) -> GrantId {
    id(number)
}

pub(crate) fn actions(names: &[crate::Action]) -> ActionSet {
    names.iter().copied().collect()
}

/// Leases under which a snapshot may be read, and the clock that they run on.
pub(crate) fn leased(snapshot: Snapshot) -> (crate::Leases, revisit_core::ManualClock) {
    let clock = revisit_core::ManualClock::frozen(NOW);
    let leases = crate::Leases::new(clock.clock());
    let (tenant, revision) = (snapshot.tenant, snapshot.revision);
    leases.load(tenant, std::sync::Arc::new(snapshot));
    let sent = clock.clock().steady();
    leases.renewed(tenant, sent + std::time::Duration::from_secs(2), revision, (NOW, sent));
    (leases, clock)
}
