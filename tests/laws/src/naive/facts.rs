//! What the oracle knows: plain numbers and texts, so that a failing case prints small.

/// Ids are small numbers: shrinking makes them smaller.
pub type Id = u8;
/// Instants are small numbers too; [`NEVER`] is without end.
pub type Time = i64;
/// Without end.
pub const NEVER: Time = i64::MAX;
/// A level for basic, sensitive, history, financial, review: 0 hidden, 1 masked, 2 read, 3 write.
pub type Levels = [u8; 5];
/// Everything that is known about one tenant.
#[derive(Clone, Debug, Default)]
pub struct World {
    pub tenant: Id,
    pub revision: i64,
    pub administrator: Option<Id>,
    pub modules_off: Vec<&'static str>,
    /// Registered types of rows of other systems.
    pub types: Vec<&'static str>,
    pub departments: Vec<Department>,
    pub subjects: Vec<Subject>,
    pub positions: Vec<Position>,
    pub roles: Vec<Role>,
    pub assignments: Vec<Assignment>,
    pub teams: Vec<Team>,
    pub grants: Vec<Grant>,
    pub guards: Vec<Guard>,
}

#[derive(Clone, Debug)]
pub struct Department {
    pub id: Id,
    pub parent: Option<Id>,
    pub head: Option<Id>,
    /// Whether it was merged into its parent, and is another name of it.
    pub merged: bool,
    pub modules_off: Vec<&'static str>,
}

#[derive(Clone, Debug)]
pub struct Subject {
    pub id: Id,
    pub active: bool,
    /// The first is the primary one.
    pub departments: Vec<Id>,
    pub positions: Vec<Id>,
    pub manager: Option<Id>,
    /// The account of which this is a sub-account.
    pub account: Option<Id>,
}

#[derive(Clone, Debug)]
pub struct Position {
    pub id: Id,
    pub department: Id,
    pub roles: Vec<Id>,
}

#[derive(Clone, Debug)]
pub struct Role {
    pub id: Id,
    pub rights: Vec<Right>,
}

/// A role beside those of the positions (`Some(window)`) or a role of theirs that is withheld (`None`).
#[derive(Clone, Debug)]
pub struct Assignment {
    pub subject: Id,
    pub role: Id,
    pub added: Option<(Time, Time)>,
}

#[derive(Clone, Debug)]
pub struct Team {
    pub id: Id,
    pub members: Vec<Id>,
    pub cap: Levels,
    pub window: (Time, Time),
}

#[derive(Clone, Debug)]
pub struct Right {
    pub actions: Vec<&'static str>,
    pub extent: Extent,
    pub stages: Option<Vec<&'static str>>,
    pub grades: Option<Vec<&'static str>>,
    /// On which registered types.
    pub types: Option<Vec<&'static str>>,
    pub levels: Levels,
}

/// `None` as a place is "mine".
#[derive(Clone, Debug)]
pub enum Extent {
    Own,
    Task,
    Department(Option<Id>),
    Subtree(Option<Id>),
    Team(Id),
    Ids(Vec<Id>),
    Tenant,
    Pooled(Option<Id>),
    PooledSubtree(Option<Id>),
}

#[derive(Clone, Debug)]
pub struct Grant {
    pub id: Id,
    pub holder: Id,
    pub right: Right,
    pub window: (Time, Time),
    pub origin: Origin,
}

impl Grant {
    /// Who delegated it, if it is a delegation.
    pub fn giver(&self) -> Option<Id> {
        match self.origin {
            Origin::Delegation(giver) => Some(giver),
            Origin::Direct | Origin::Share | Origin::Temporary | Origin::Team | Origin::BreakGlass => None,
        }
    }
}

/// Where a grant comes from; it matters for a delegation only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Origin {
    Direct,
    Share,
    Temporary,
    Team,
    BreakGlass,
    /// On behalf of this one.
    Delegation(Id),
}

#[derive(Clone, Debug)]
pub enum Whom {
    Everyone,
    Subject(Id),
    Role(Id),
    Department(Id),
}

#[derive(Clone, Debug)]
pub struct Guard {
    pub id: Id,
    pub whom: Whom,
    pub except_owner: bool,
    pub except_managers: bool,
    pub except: Vec<Id>,
    pub actions: Vec<&'static str>,
    pub vip: bool,
    pub pooled: bool,
    pub stages: Option<Vec<&'static str>>,
    pub grades: Option<Vec<&'static str>>,
    pub department: Option<Id>,
    pub ids: Option<Vec<Id>>,
    pub types: Option<Vec<&'static str>>,
    /// Denies when there is no ceiling.
    pub cap: Option<Levels>,
    pub window: (Time, Time),
}

#[derive(Clone, Debug)]
pub struct Row {
    pub tenant: Id,
    pub id: Id,
    /// Of which type, when another system keeps it.
    pub external: Option<&'static str>,
    pub owner: Option<Id>,
    pub department: Option<Id>,
    pub teams: Vec<Id>,
    pub stage: Option<&'static str>,
    pub grade: Option<&'static str>,
    pub vip: bool,
    pub pooled: bool,
    pub holders: Vec<Holder>,
    pub written_under: i64,
}

#[derive(Clone, Debug)]
pub struct Holder {
    pub subject: Option<Id>,
    pub layers: Levels,
    pub until: Time,
}
