//! Generated worlds in the engine's words.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use revisit_core::{
    Id, ManualClock, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_permission::{
    Action, ActionSet, Assigned, Change, Department, Effect, Exceptions, Extent, ExternalType, Facts, Flags, Grant,
    Guard, Keeping, Layer, Leases, Level, Levels, Module, Name, NameSet, Origin, Place, Position, Resource, Role,
    RoleAssignment, Row, RowCondition, Snapshot, Subject, SubjectState, TaskHolder, Team, Template, Tenant, Whom,
};
use uuid::Uuid;

use crate::{naive, world::Case};

/// The same number names different things in different places, as the laws want it.
pub fn uuid(number: naive::Id) -> Uuid {
    Uuid::from_u128(u128::from(number))
}

fn id<K>(number: naive::Id) -> Id<K> {
    Id::from_uuid(uuid(number))
}

pub fn subject(number: naive::Id) -> SubjectId {
    id(number)
}

pub fn tenant(number: naive::Id) -> TenantId {
    id(number)
}

/// The number that became an id.
pub fn number<K>(id: Id<K>) -> naive::Id {
    u8::try_from(id.uuid().as_u128()).expect("ids of generated worlds are small")
}

pub fn time(at: naive::Time) -> Timestamp {
    // Never and always have the same values on both sides.
    Timestamp::from_micros(at)
}

pub fn action(name: &str) -> Action {
    Action::parse(name).expect("the generated actions exist")
}

fn actions(names: &[&str]) -> ActionSet {
    names.iter().map(|name| action(name)).collect()
}

pub fn levels(plain: naive::Levels) -> Levels {
    let listed = Layer::ALL.iter().zip(plain);
    listed.fold(Levels::HIDDEN, |levels, (layer, level)| levels.with(*layer, Level::ALL[usize::from(level)]))
}

pub fn plain_levels(levels: Levels) -> naive::Levels {
    std::array::from_fn(|layer| levels.get(Layer::ALL[layer]) as u8)
}

fn names(names: Option<&Vec<&'static str>>) -> Option<NameSet> {
    names.map(|names| names.iter().copied().collect())
}

fn modules(names: &[&str]) -> Vec<Module> {
    names.iter().filter_map(|name| Module::parse(name)).collect()
}

fn ids(numbers: &[naive::Id]) -> Arc<[Uuid]> {
    numbers.iter().map(|number| uuid(*number)).collect()
}

fn template(right: &naive::Right) -> Template {
    let place = |at: &Option<naive::Id>| at.map_or(Place::Mine, |at| Place::At(id(at)));
    let extent = match &right.extent {
        naive::Extent::Own => Extent::Own,
        naive::Extent::Task => Extent::Task,
        naive::Extent::Department(at) => Extent::Department(place(at)),
        naive::Extent::Subtree(at) => Extent::Subtree(place(at)),
        naive::Extent::Team(team) => Extent::Team(id(*team)),
        naive::Extent::Ids(rows) => Extent::Ids(ids(rows)),
        naive::Extent::Tenant => Extent::Tenant,
        naive::Extent::Pooled(at) => Extent::Pooled(place(at), false),
        naive::Extent::PooledSubtree(at) => Extent::Pooled(place(at), true),
    };
    Template {
        actions: actions(&right.actions),
        extent,
        stages: names(right.stages.as_ref()),
        grades: names(right.grades.as_ref()),
        external: names(right.types.as_ref()),
        levels: levels(right.levels),
    }
}

pub fn grant(grant: &naive::Grant) -> Change {
    let origin = match grant.origin {
        naive::Origin::Direct => Origin::Direct,
        naive::Origin::Share => Origin::Share,
        naive::Origin::Temporary => Origin::Temporary,
        naive::Origin::Team => Origin::Team,
        naive::Origin::BreakGlass => Origin::BreakGlass,
        naive::Origin::Delegation(giver) => Origin::Delegation(id(giver)),
    };
    let window = (time(grant.window.0), time(grant.window.1));
    Change::Grant(Grant::of(id(grant.id), id(grant.holder), template(&grant.right), window, origin))
}

pub fn guard(guard: &naive::Guard) -> Change {
    Change::Guard(Guard {
        id: id(guard.id),
        whom: match guard.whom {
            naive::Whom::Everyone => Whom::Everyone,
            naive::Whom::Subject(subject) => Whom::Subject(id(subject)),
            naive::Whom::Role(role) => Whom::Role(id(role)),
            naive::Whom::Department(department) => Whom::Department(id(department)),
        },
        except: Exceptions {
            owner: guard.except_owner,
            managers: guard.except_managers,
            subjects: guard.except.iter().map(|subject| id(*subject)).collect(),
        },
        actions: actions(&guard.actions),
        condition: RowCondition {
            vip: guard.vip,
            pooled: guard.pooled,
            stages: names(guard.stages.as_ref()),
            grades: names(guard.grades.as_ref()),
            department: guard.department.map(id),
            ids: guard.ids.as_deref().map(ids),
            external: names(guard.types.as_ref()),
        },
        effect: guard.cap.map_or(Effect::Deny, |cap| Effect::Cap(levels(cap))),
        from: time(guard.window.0),
        until: time(guard.window.1),
        reason: "a generated guard".to_owned(),
    })
}

pub fn changes(world: &naive::World) -> Vec<Change> {
    let mut changes = vec![Change::Tenant(Tenant {
        administrator: world.administrator.map(id),
        modules_off: modules(&world.modules_off),
        region: None,
    })];
    changes.extend(world.types.iter().map(|name| {
        Change::ExternalType(ExternalType {
            name: Name::from(*name),
            actions: BTreeMap::new(),
            fields: BTreeMap::new(),
            attributes: Resource::External.attributes().to_vec(),
            keeping: Keeping::Sent,
        })
    }));
    changes.extend(world.departments.iter().map(|it| {
        Change::Department(Department {
            id: id(it.id),
            parent: it.parent.map(id),
            name: format!("department {}", it.id),
            head: it.head.map(id),
            disabled: false,
            merged_into: it.parent.filter(|_| it.merged).map(id),
            modules_off: modules(&it.modules_off),
        })
    }));
    changes.extend(world.subjects.iter().map(|it| Change::Subject(stored_subject(it))));
    changes.extend(world.positions.iter().map(|it| {
        let roles = it.roles.iter().map(|role| id(*role)).collect();
        Change::Position(Position { id: id(it.id), department: id(it.department), name: String::new(), roles })
    }));
    changes.extend(world.roles.iter().map(|it| {
        let templates = it.rights.iter().map(template).collect();
        let key = format!("role_{}", it.id);
        Change::Role(Role { id: id(it.id), key, name: String::new(), shipped: None, templates })
    }));
    changes.extend(world.assignments.iter().map(|it| {
        let added = it.added.map(|(from, until)| Assigned::Added { from: time(from), until: time(until) });
        let assigned = added.unwrap_or(Assigned::Withheld);
        Change::RoleAssignment(RoleAssignment { subject: id(it.subject), role: id(it.role), assigned })
    }));
    changes.extend(world.teams.iter().map(|it| {
        Change::Team(Team {
            id: id(it.id),
            name: String::new(),
            members: it.members.iter().map(|member| id(*member)).collect(),
            cap: levels(it.cap),
            from: time(it.window.0),
            until: time(it.window.1),
        })
    }));
    changes.extend(world.grants.iter().map(grant));
    changes.extend(world.guards.iter().map(guard));
    changes
}

fn stored_subject(it: &naive::Subject) -> Subject {
    // Which of the other states it is must not matter.
    let state = match (it.active, it.id % 3) {
        (true, _) => SubjectState::Active,
        (false, 0) => SubjectState::Invited,
        (false, 1) => SubjectState::Suspended,
        (false, _) => SubjectState::Left,
    };
    let mut departments = it.departments.iter().map(|department| id(*department));
    Subject {
        department: departments.next(),
        further: departments.collect(),
        positions: it.positions.iter().map(|position| id(*position)).collect(),
        manager: it.manager.map(id),
        parent: it.account.map(id),
        ..Subject::user(id(it.id), format!("subject {}", it.id), state)
    }
}

pub fn facts(world: &naive::World) -> Facts {
    Facts::of(tenant(world.tenant), &changes(world))
}

pub fn snapshot(world: &naive::World) -> Snapshot {
    Snapshot::compile(&facts(world), world.revision)
}

pub fn row(row: &naive::Row) -> Row {
    let holders = row.holders.iter().zip(1..).map(|(holder, number)| TaskHolder {
        task: id(number),
        generation: 1,
        subject: holder.subject.map(id),
        layers: levels(holder.layers),
        until: time(holder.until),
    });
    Row::new(tenant(row.tenant), uuid(row.id))
        .with_owner(row.owner.map(id))
        .with_department(row.department.map(id))
        .with_teams(row.teams.iter().map(|team| id(*team)))
        .with_stage(row.stage.map(Name::from))
        .with_grade(row.grade.map(Name::from))
        .with_flags(Flags { vip: row.vip, pooled: row.pooled })
        .with_task_holders(holders)
        .with_auth_rev(row.written_under)
        .with_external(row.external.map(Name::from))
}

/// What one replica holds: a lease on the world of each case, and the instant of the first one as its time.
pub fn leased(cases: &[&Case]) -> Leases {
    let clock = ManualClock::frozen(time(0));
    let leases = Leases::new(clock.clock());
    let sent = clock.clock().steady();
    let deadline = sent + Duration::from_secs(1);
    let now = cases.first().map_or(0, |case| case.now);
    for case in cases {
        let tenant = tenant(case.world.tenant);
        leases.load(tenant, Arc::new(snapshot(&case.world)));
        leases.renewed(tenant, deadline, case.world.revision, (time(now), sent));
    }
    leases
}
