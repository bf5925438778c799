//! What a decision answers: whether, how much, why, for how long and on which revision.

use revisit_core::{
    Timestamp,
    id::{GrantId, GuardId, PositionId, RoleId},
};

use crate::level::Levels;

/// The answer to "may this subject do this to this row now".
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decision {
    /// Whether it may.
    pub allowed: bool,
    /// How much of each layer; all hidden when denied.
    pub levels: Levels,
    /// What decided.
    pub witness: Witness,
    /// The answer stays the same until then unless somebody changes the row or the policy.
    pub valid_until: Timestamp,
    /// The revision that it was decided on.
    pub revision: i64,
}

impl Decision {
    /// A denial that does not depend on the time.
    pub(crate) const fn denied(witness: Witness, revision: i64) -> Self {
        Self { allowed: false, levels: Levels::HIDDEN, witness, valid_until: Timestamp::MAX, revision }
    }
}

/// What decided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Witness {
    /// This grant allows it. When several do, the first in the order of [`GrantRef`].
    Grant(GrantRef),
    /// The subject acts on its own profile, which needs no grant.
    Own,
    /// This guard denies it.
    Guard(GuardId),
    /// No grant matches. The one that came nearest, if the subject has any for the action, failed on this axis.
    NearestMiss {
        /// The first axis on which it failed.
        axis: Axis,
        /// The grant.
        grant: Option<GrantRef>,
    },
    /// The subject is not active, or the account that it belongs to is not.
    Inactive,
    /// The subject is not known in this tenant.
    UnknownSubject,
    /// The row belongs to another tenant.
    OtherTenant,
    /// The row was written under a newer revision than this one.
    Behind,
}

impl Witness {
    /// The first axis that refused; none when allowed.
    #[must_use]
    pub const fn refused(&self) -> Option<Axis> {
        match self {
            Self::Grant(_) | Self::Own => None,
            Self::Guard(_) => Some(Axis::Guard),
            Self::NearestMiss { axis, .. } => Some(*axis),
            Self::Inactive | Self::UnknownSubject | Self::OtherTenant | Self::Behind => Some(Axis::Subject),
        }
    }
}

/// What a decision looks at, in this order. A row is refused on the first that no grant passes: department (as
/// [`Axis::Extent`]), role and operation are the three axes that an administrator thinks in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Axis {
    /// The subject: known, active, of the row's tenant.
    Subject,
    /// The module of the action is switched off for the subject's departments.
    Module,
    /// No role or grant of the subject is about this type of rows.
    Role,
    /// Some are, and none has this operation.
    Operation,
    /// The row lies outside the reach: department, ownership, task, team, pool.
    Extent,
    /// Within reach, and not in this stage.
    Stage,
    /// Within reach, and not for this grade.
    Grade,
    /// Matches, and does not hold now.
    Time,
    /// The account that this one belongs to, or who delegated the grant, may not do it.
    Parent,
    /// A guard denies it.
    Guard,
}

impl Axis {
    /// The stable name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Subject => "subject",
            Self::Module => "module",
            Self::Role => "role",
            Self::Operation => "operation",
            Self::Extent => "extent",
            Self::Stage => "stage",
            Self::Grade => "grade",
            Self::Time => "time",
            Self::Parent => "parent",
            Self::Guard => "guard",
        }
    }
}

/// Which grant: one that stands alone, or a template of a role.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GrantRef {
    /// A grant of its own.
    Grant(GrantId),
    /// A template of a role that the subject was given.
    Role {
        /// The role.
        role: RoleId,
        /// Which of its templates, counted from 0.
        template: u16,
    },
    /// A template of a role that the subject has through a position.
    Position {
        /// The position.
        position: PositionId,
        /// The role.
        role: RoleId,
        /// Which of its templates, counted from 0.
        template: u16,
    },
}
