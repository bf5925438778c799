//! What policy may look at on a row, and nothing else: so every rule can be evaluated in memory, in SQL and in reverse.

use std::{fmt, sync::Arc};

use revisit_core::{
    Timestamp,
    id::{DepartmentId, SubjectId, TaskId, TeamId, TenantId},
};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::level::Levels;

/// The name of a stage or grade. Cheap to clone, and cheap to tell from another one.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct Name {
    /// Follows from the text and differs for most that differ, so that a comparison seldom has to look at the text.
    tag: u32,
    text: Arc<str>,
}

impl Name {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Ord for Name {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.text.cmp(&other.text)
    }
}
impl PartialOrd for Name {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl From<&str> for Name {
    fn from(name: &str) -> Self {
        // FNV-1a: short texts, and a clash costs one comparison.
        let tag = name.bytes().fold(0x811c_9dc5, |tag: u32, byte| (tag ^ u32::from(byte)).wrapping_mul(0x0100_0193));
        Self { tag, text: Arc::from(name) }
    }
}
impl From<String> for Name {
    fn from(name: String) -> Self {
        Self::from(name.as_str())
    }
}
impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.as_str().to_owned()
    }
}
impl PartialEq<str> for Name {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == other
    }
}
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}
impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, formatter)
    }
}

/// A set of stage or grade names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize)]
#[serde(transparent)]
pub struct NameSet(Arc<[Name]>);

impl NameSet {
    /// Whether `name` is in it; a missing name never is.
    #[must_use]
    pub fn contains(&self, name: Option<&Name>) -> bool {
        // Sets are small: a scan beats a search.
        name.is_some_and(|name| self.0.contains(name))
    }

    /// The names, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Name> {
        self.0.iter()
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all names are also in `other`.
    #[must_use]
    pub fn within(&self, other: &Self) -> bool {
        self.0.iter().all(|name| other.0.contains(name))
    }
}

impl<N: Into<Name>> FromIterator<N> for NameSet {
    fn from_iter<I: IntoIterator<Item = N>>(names: I) -> Self {
        let mut names: Vec<Name> = names.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        Self(Arc::from(names))
    }
}

impl<'de> Deserialize<'de> for NameSet {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Vec::<Name>::deserialize(deserializer)?.into_iter().collect())
    }
}

/// Marks of a row. Stores keep them as columns that are never null.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Flags {
    /// An important customer.
    pub vip: bool,
    /// In the pool: unowned, to be claimed.
    pub pooled: bool,
}

/// What one open follow-up task lends to its assignee on the customer's row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TaskHolder {
    /// The task.
    pub task: TaskId,
    /// The task's version; a lower one never overwrites.
    pub generation: i64,
    /// The assignee; nobody once the task is closed.
    pub subject: Option<SubjectId>,
    /// What is lent: read on the layers that the plan's version names, and always on the basic one: who sees a row
    /// sees that.
    pub layers: Levels,
    /// When it ends by itself.
    pub until: Timestamp,
}

/// The attributes of a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Row {
    /// The company.
    pub tenant: TenantId,
    /// The row's id.
    pub id: Uuid,
    /// Who owns it.
    pub owner: Option<SubjectId>,
    /// The department of record.
    pub department: Option<DepartmentId>,
    /// The teams that share it.
    pub teams: Box<[TeamId]>,
    /// Its stage.
    pub stage: Option<Name>,
    /// Its grade.
    pub grade: Option<Name>,
    /// Its marks.
    pub flags: Flags,
    /// Who holds an open task on it.
    pub task_holders: Box<[TaskHolder]>,
    /// The revision under which it was written; it is never decided on an older one.
    pub auth_rev: i64,
    /// Of which registered type, when it is a row of another system.
    pub external: Option<Name>,
}

impl Row {
    /// A row of which nothing but its id is known.
    #[must_use]
    pub fn new(tenant: TenantId, id: impl Into<Uuid>) -> Self {
        Self {
            tenant,
            id: id.into(),
            owner: None,
            department: None,
            teams: Box::default(),
            stage: None,
            grade: None,
            flags: Flags::default(),
            task_holders: Box::default(),
            auth_rev: 0,
            external: None,
        }
    }

    /// The row that stands for the whole company: only a grant over the tenant reaches it.
    #[must_use]
    pub fn of_tenant(tenant: TenantId) -> Self {
        Self::new(tenant, tenant)
    }

    /// With an owner.
    #[must_use]
    pub fn with_owner(mut self, owner: impl Into<Option<SubjectId>>) -> Self {
        self.owner = owner.into();
        self
    }

    /// With a department of record.
    #[must_use]
    pub fn with_department(mut self, department: impl Into<Option<DepartmentId>>) -> Self {
        self.department = department.into();
        self
    }

    /// Shared by these teams.
    #[must_use]
    pub fn with_teams(mut self, teams: impl IntoIterator<Item = TeamId>) -> Self {
        self.teams = teams.into_iter().collect();
        self
    }

    /// In a stage.
    #[must_use]
    pub fn with_stage(mut self, stage: Option<Name>) -> Self {
        self.stage = stage;
        self
    }

    /// Of a grade.
    #[must_use]
    pub fn with_grade(mut self, grade: Option<Name>) -> Self {
        self.grade = grade;
        self
    }

    /// With marks.
    #[must_use]
    pub fn with_flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// With open tasks.
    #[must_use]
    pub fn with_task_holders(mut self, holders: impl IntoIterator<Item = TaskHolder>) -> Self {
        self.task_holders = holders.into_iter().collect();
        self
    }

    /// Of a registered type.
    #[must_use]
    pub fn with_external(mut self, external: Option<Name>) -> Self {
        self.external = external;
        self
    }

    /// Written under a revision.
    #[must_use]
    pub fn with_auth_rev(mut self, revision: i64) -> Self {
        self.auth_rev = revision;
        self
    }
}
