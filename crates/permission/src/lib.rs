//! Who may do what to which row, and how much of it they see: the one decision that every service shares.
//!
//! Facts (the tenant's organisation, roles, grants, guards) are compiled into a [`Snapshot`] of one revision. For a
//! subject and an action the snapshot yields one [`Predicate`]; a check evaluates it on a row, a list translates it
//! to SQL, and who-can-see asks it for every subject, so that the three cannot disagree. What a caller holds in its
//! hand after a decision is a permit: [`Scope`], [`Decided`] or [`Worker`]. Nothing else can make one.
//!
//! There is no I/O here, no cache of decisions, and no way around a guard.

mod account;
mod action;
mod address;
mod caller;
mod clause;
mod comparison;
mod compile;
mod decision;
pub mod detection;
mod escalation;
mod explain;
mod external;
mod facts;
mod filter;
#[cfg(test)]
mod fixture;
mod grants;
mod index;
mod lease;
mod level;
mod lines;
mod mask;
mod model;
mod named;
mod org;
mod permit;
mod policy;
mod predicate;
mod prose;
mod registry;
mod role;
mod row;
mod rule;
mod snapshot;
#[cfg(feature = "sql")]
mod sql;
mod undo;
mod validate;
mod veil;

pub use action::{Action, ActionSet};
pub use address::Address;
pub use caller::{Caller, Denial, DenialKind};
pub use clause::{Clause, Reach};
pub use comparison::{Compared, Comparison, GuardChange, RightChange};
pub use decision::{Axis, Decision, GrantRef, Witness};
pub use explain::{Considered, Explanation};
pub use external::{Asked, ExternalType, Keeping};
pub use facts::Facts;
pub use filter::{Filter, FilterAccount, FilterClause, FilterDelegation, FilterGuard};
pub use grants::GrantView;
pub use lease::{
    Effective, Holder, Keeper, Leases, Load, Missing, Push, Reading, Renewal, Silence, Stale, TENANTS_MAX, Telling,
};
pub use level::{Layer, Level, Levels};
pub use mask::Mask;
pub use model::{
    Assigned, Change, Department, Position, Removed, Role, RoleAssignment, Shipped, Subject, SubjectKind, SubjectState,
    Team, Tenant,
};
pub use org::Org;
pub use permit::{Beside, Decided, Ordered, Permit, Permits, Scope, Worker};
pub use predicate::{Predicate, merge_pages};
pub use prose::Prose;
pub use registry::{Attribute, Module, Resource};
pub use role::{Duty, GRADES, PRE_SERVICE_STAGES, SERVICE_STAGES, STAGES, ShippedRole, conflict, shipped_roles};
pub use row::{Flags, Name, NameSet, Row, TaskHolder};
pub use rule::{Effect, Exceptions, Extent, Grant, Guard, Origin, Place, RowCondition, Template, Whom};
pub use snapshot::{HeldRole, Snapshot, SubjectFacts};
#[cfg(feature = "sql")]
pub use sql::{Columns, HolderTable, SideTable};
pub use validate::Refusal;
pub use veil::{Clarity, Maskable, Purpose, Shown, Veiled};
