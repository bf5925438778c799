//! Companies, departments, positions and accounts as identity keeps them, and what permission is told of them.

use revisit_core::{
    Timestamp,
    id::{DepartmentId, GrantId, PositionId, RoleId, SessionId, SubjectId, TenantId},
};
use revisit_permission::{
    self as permission, Address, Grant, Mask, Maskable, Module, Row, SubjectKind, SubjectState, Template, Veiled,
};

use super::Error;

/// A company.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tenant {
    pub id: TenantId,
    pub key: String,
    pub display_name: String,
    pub region: String,
    pub root: DepartmentId,
    pub administrator: SubjectId,
    pub revision: i64,
    pub created_at: Timestamp,
}

/// A node of the tree.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Department {
    pub id: DepartmentId,
    pub parent: Option<DepartmentId>,
    pub name: String,
    pub head: Option<SubjectId>,
    pub disabled: bool,
    pub merged_into: Option<DepartmentId>,
    pub modules_off: Vec<Module>,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Department {
    pub fn facts(&self) -> permission::Department {
        permission::Department {
            id: self.id,
            parent: self.parent,
            name: self.name.clone(),
            head: self.head,
            disabled: self.disabled,
            merged_into: self.merged_into,
            modules_off: self.modules_off.clone(),
        }
    }

    /// What policy sees of it: a department is in itself.
    pub fn row(&self, tenant: TenantId) -> Row {
        department_row(tenant, self.id)
    }
}

/// What policy sees of a department, a position in it or a calendar of it.
pub fn department_row(tenant: TenantId, id: DepartmentId) -> Row {
    Row { department: Some(id), ..Row::new(tenant, id.uuid()) }
}

/// A named job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Position {
    pub id: PositionId,
    pub department: DepartmentId,
    pub name: String,
    pub roles: Vec<RoleId>,
    pub version: i64,
}

impl Position {
    pub fn facts(&self) -> permission::Position {
        permission::Position {
            id: self.id,
            department: self.department,
            name: self.name.clone(),
            roles: self.roles.clone(),
        }
    }
}

/// A user or a service account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Account {
    pub id: SubjectId,
    pub kind: SubjectKind,
    pub state: SubjectState,
    pub username: String,
    pub display_name: String,
    pub email: Option<Veiled<Address>>,
    pub phone: Option<Veiled<Address>>,
    pub department: DepartmentId,
    pub further: Vec<DepartmentId>,
    pub positions: Vec<PositionId>,
    pub added_roles: Vec<RoleId>,
    pub removed_roles: Vec<RoleId>,
    pub manager: Option<SubjectId>,
    pub parent: Option<SubjectId>,
    pub time_zone: String,
    pub locale: String,
    pub version: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

impl Maskable for Account {
    /// The masked name: of the other basic facts nothing is left.
    type Masked = String;

    fn masked(&self) -> String {
        Mask::Text.apply(&self.display_name)
    }
}

impl Account {
    pub fn facts(&self) -> permission::Subject {
        permission::Subject {
            id: self.id,
            kind: self.kind,
            state: self.state,
            name: self.display_name.clone(),
            department: Some(self.department),
            further: self.further.clone(),
            positions: self.positions.clone(),
            manager: self.manager,
            parent: self.parent,
        }
    }

    /// What policy sees of it: everybody owns the own record.
    pub fn row(&self, tenant: TenantId) -> Row {
        Row { owner: Some(self.id), department: Some(self.department), ..Row::new(tenant, self.id.uuid()) }
    }

    /// Suspends or reactivates.
    pub fn turn(&mut self, from: SubjectState, to: SubjectState) -> Result<(), Error> {
        if self.state != from {
            return Err(Error::UserState);
        }
        self.state = to;
        Ok(())
    }

    /// Whether it can hold work: an inactive one cannot.
    pub fn is_active(&self) -> bool {
        self.state == SubjectState::Active
    }
}

/// The stored word of a state.
pub const fn state_name(state: SubjectState) -> &'static str {
    match state {
        SubjectState::Invited => "invited",
        SubjectState::Active => "active",
        SubjectState::Suspended => "suspended",
        SubjectState::Left => "left",
    }
}

/// The state of a stored word.
pub fn parse_state(name: &str) -> Option<SubjectState> {
    [SubjectState::Invited, SubjectState::Active, SubjectState::Suspended, SubjectState::Left]
        .into_iter()
        .find(|state| state_name(*state) == name)
}

/// A role.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Role {
    pub id: RoleId,
    pub key: String,
    pub display_name: String,
    pub templates: Vec<Template>,
    pub shipped: bool,
    pub catalogue_version: i32,
    pub version: i64,
}

impl Role {
    pub fn facts(&self) -> permission::Role {
        permission::Role {
            id: self.id,
            key: self.key.clone(),
            name: self.display_name.clone(),
            shipped: self.shipped.then(|| permission::Shipped {
                key: self.key.clone(),
                version: u32::try_from(self.catalogue_version).unwrap_or(0),
            }),
            templates: self.templates.clone(),
        }
    }
}

/// A grant that stands beside the roles, with who gave it and why.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldGrant {
    pub grant: Grant,
    pub grantor: Option<SubjectId>,
    pub reason: String,
    pub created_at: Timestamp,
}

impl HeldGrant {
    pub const fn id(&self) -> GrantId {
        self.grant.id
    }
}

/// A log-in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Session {
    pub id: SessionId,
    pub subject: SubjectId,
    pub device: String,
    pub family_hash: Vec<u8>,
    pub refresh_hash: Vec<u8>,
    pub created_at: Timestamp,
    pub refreshed_at: Timestamp,
    pub expires_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
}

impl Session {
    pub fn is_live(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && now < self.expires_at
    }
}

/// Refuses a stale version. An empty one was not given.
pub fn check_etag(etag: &str, version: i64) -> Result<(), Error> {
    if etag.is_empty() || etag == version.to_string() { Ok(()) } else { Err(Error::StaleEtag) }
}
