//! A generated world as Cedar entities: who and what there is, and the facts of the organisation that policies read.

use std::collections::{HashMap, HashSet};

use cedar_policy::{Entity, EntityUid, RestrictedExpression as Value};
use revisit_laws::naive::{Department, Id, Row, Subject, World};

/// Accounts above a sub-account at the most.
const ACCOUNTS_MAX: usize = 8;

/// The entity of a kind with this number.
pub fn uid(kind: &str, id: impl std::fmt::Display) -> EntityUid {
    format!("{kind}::\"{id}\"").parse().expect("a plain name and a number are an entity")
}

fn entity(kind: &str, id: Id, attributes: Vec<(&str, Value)>, parents: impl IntoIterator<Item = EntityUid>) -> Entity {
    let attributes = attributes.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Entity::new(uid(kind, id), attributes, parents.into_iter().collect()).expect("the attributes are plain values")
}

fn reference(kind: &str, id: Id) -> Value {
    Value::new_entity_uid(uid(kind, id))
}

fn texts(texts: impl IntoIterator<Item = &'static str>) -> Value {
    Value::new_set(texts.into_iter().map(|text| Value::new_string(text.to_owned())))
}

/// What follows from the organisation. Cedar has no words for the nearest head or for the modules of a tree, so they are
/// attributes, as an application would keep them.
pub struct Organisation<'a> {
    pub world: &'a World,
}

impl Organisation<'_> {
    fn department(&self, id: Id) -> Option<&Department> {
        self.world.departments.iter().find(|it| it.id == id)
    }

    pub fn subject(&self, id: Id) -> Option<&Subject> {
        self.world.subjects.iter().find(|it| it.id == id)
    }

    /// The one department that all names of it stand for; nothing when nobody knows it.
    pub fn place(&self, id: Id) -> Option<Id> {
        let found = self.department(id)?;
        Some(if found.merged { found.parent.unwrap_or(id) } else { id })
    }

    /// A department and those above it.
    fn path(&self, id: Id) -> Vec<&Department> {
        let mut path = Vec::new();
        let mut next = self.department(id);
        while let Some(at) = next {
            path.push(at);
            next = at.parent.and_then(|above| self.department(above));
        }
        path
    }

    pub fn lies_below(&self, id: Id, top: Id) -> bool {
        self.place(top).is_some_and(|top| self.path(id).iter().any(|it| it.id == top))
    }

    /// The subject's accounts, itself first; nothing when somebody in the line may not act or it has no end.
    pub fn accounts(&self, id: Id) -> Option<Vec<Id>> {
        let mut line = Vec::new();
        let mut next = Some(id);
        while let Some(at) = next {
            let account = self.subject(at).filter(|it| it.active && line.len() <= ACCOUNTS_MAX)?;
            line.push(at);
            next = account.account;
        }
        Some(line)
    }

    fn manager(&self, it: &Subject) -> Option<Id> {
        let mut candidates: Vec<Id> = it.manager.into_iter().collect();
        candidates.extend(it.departments.iter().take(1).flat_map(|id| self.path(*id)).filter_map(|it| it.head));
        let active = candidates.into_iter().find(|id| *id != it.id && self.subject(*id).is_some_and(|it| it.active));
        active.or(self.world.administrator.filter(|id| *id != it.id))
    }

    /// Whether nobody stands above himself. Cedar's hierarchies have no circles, and ours may.
    pub fn is_led_in_lines(&self) -> bool {
        self.world.subjects.iter().all(|it| {
            let mut seen = HashSet::from([it.id]);
            let mut next = self.manager(it);
            while let Some(id) = next {
                if !seen.insert(id) {
                    return false;
                }
                next = self.subject(id).and_then(|it| self.manager(it));
            }
            true
        })
    }

    /// Modules that are off in every department of a subject, or for the company.
    fn modules_off(&self, it: &Subject) -> Vec<&'static str> {
        let off = |module: &&'static str| {
            let here = |id: &Id| self.path(*id).iter().any(|it| it.modules_off.contains(module));
            self.world.modules_off.contains(module) || (!it.departments.is_empty() && it.departments.iter().all(here))
        };
        ["sales", "marketing", "service"].into_iter().filter(off).collect()
    }

    /// Departments, people and lines of managers; rows are added for each case.
    pub fn entities(&self) -> Vec<Entity> {
        let mut entities = Vec::new();
        for it in self.world.departments.iter().filter(|it| !it.merged) {
            let above = it.parent.and_then(|above| self.place(above)).map(|above| uid("Department", above));
            entities.push(entity("Department", it.id, Vec::new(), above));
        }
        for it in &self.world.subjects {
            let attributes = vec![
                ("tenant", Value::new_long(i64::from(self.world.tenant))),
                ("active", Value::new_bool(self.accounts(it.id).is_some())),
                ("off", texts(self.modules_off(it))),
                ("line", reference("Line", it.id)),
            ];
            let places = it.departments.iter().filter_map(|id| self.place(*id)).map(|id| uid("Department", id));
            let teams = self.world.teams.iter().filter(|team| team.members.contains(&it.id));
            let parents = places.chain(teams.map(|team| uid("Team", team.id)));
            entities.push(entity("User", it.id, attributes, parents.collect::<HashSet<_>>()));
            entities.push(entity("Line", it.id, Vec::new(), self.manager(it).map(|id| uid("Line", id))));
        }
        entities
    }

    /// A row. What it lacks, or what nobody knows, is no attribute.
    pub fn row(&self, it: &Row) -> Entity {
        let mut attributes = vec![
            ("tenant", Value::new_long(i64::from(it.tenant))),
            ("written_under", Value::new_long(it.written_under)),
            ("vip", Value::new_bool(it.vip)),
            ("pooled", Value::new_bool(it.pooled)),
            ("teams", Value::new_set(it.teams.iter().map(|id| reference("Team", *id)))),
        ];
        attributes.extend(it.owner.map(|id| ("owner", reference("User", id))));
        attributes.extend(it.owner.map(|id| ("owner_line", reference("Line", id))));
        attributes
            .extend(it.department.and_then(|id| self.place(id)).map(|id| ("department", reference("Department", id))));
        attributes.extend(it.stage.map(|name| ("stage", Value::new_string(name.to_owned()))));
        attributes.extend(it.grade.map(|name| ("grade", Value::new_string(name.to_owned()))));
        entity("Row", it.id, attributes, None)
    }
}

/// A context: who asks in the end, when, on which revision, and for which level of which layer.
pub fn context(world: &World, subject: Id, now: i64, (layer, level): (usize, u8)) -> HashMap<String, Value> {
    HashMap::from([
        ("subject".to_owned(), reference("User", subject)),
        ("line".to_owned(), reference("Line", subject)),
        ("now".to_owned(), Value::new_long(now)),
        ("revision".to_owned(), Value::new_long(world.revision)),
        ("layer".to_owned(), Value::new_long(i64::try_from(layer).unwrap_or(i64::MAX))),
        ("level".to_owned(), Value::new_long(i64::from(level))),
    ])
}
