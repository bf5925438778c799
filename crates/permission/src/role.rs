//! The shipped roles: named, versioned lists of grant templates, and the pairs of duties that nobody holds together.
//!
//! Extents are relative, so a role means the same in every branch. Sales roles are bound to the stages before
//! service: a sale that moves a customer on ends the seller's rights at that commit, without touching a grant.

use std::{fmt, sync::LazyLock};

use crate::{
    action::{Action, ActionSet},
    level::{
        Layer::{Basic, Financial, History, Review, Sensitive},
        Level::{Masked, Read, Write},
        Levels,
    },
    model::Role,
    registry::Resource,
    row::NameSet,
    rule::{Extent, Place::Mine, Template},
};

/// The stages that customer declares for a new company, in order; the only ones that shipped roles name.
pub const STAGES: [&str; 7] = ["lead", "contacted", "qualified", "negotiating", "won", "service", "churned"];
/// Stages in which sales works. A won customer is on its way to service: both see it.
pub const PRE_SERVICE_STAGES: [&str; 5] = ["lead", "contacted", "qualified", "negotiating", "won"];
/// Stages into which sales moves customers that it no longer works on.
const AFTER_SALES_STAGES: [&str; 2] = ["service", "churned"];
/// Stages in which service works.
pub const SERVICE_STAGES: [&str; 3] = ["won", "service", "churned"];
/// The grades that customer declares for a new company.
pub const GRADES: [&str; 3] = ["A", "B", "C"];

/// A role as it ships.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ShippedRole {
    /// Its key.
    pub key: &'static str,
    /// Name that people see.
    pub name: &'static str,
    /// Rises with each change of its templates.
    pub version: u32,
    /// What it is made of.
    pub templates: Vec<Template>,
}

/// The catalogue.
#[must_use]
pub fn shipped_roles() -> &'static [ShippedRole] {
    static ROLES: LazyLock<Vec<ShippedRole>> = LazyLock::new(|| {
        let role = |key, name, templates| ShippedRole { key, name, version: 1, templates };
        vec![
            role("sales_rep", "Sales representative", sales_rep()),
            role("sales_manager", "Sales manager", sales_manager()),
            role("regional_manager", "Regional manager", regional_manager()),
            role("marketing", "Marketing", marketing()),
            role("service", "Customer service", service()),
            role("finance", "Finance", finance()),
            role("executive", "Executive", executive()),
            role("admin", "Administrator", admin()),
            role("auditor", "Auditor", auditor()),
        ]
    });
    &ROLES
}

/// What must not meet in one hand.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Duty {
    /// Changing amounts.
    FinanceWrite,
    /// Winning, handing out and taking customers.
    SalesWrite,
}

/// The pairs that nobody holds together.
const CONFLICTS: [(Duty, Duty); 1] = [(Duty::FinanceWrite, Duty::SalesWrite)];

impl fmt::Display for Duty {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::FinanceWrite => "changing amounts of customers (write on the layer financial)",
            Self::SalesWrite => "selling (customer.create, transfer, assign or claim)",
        })
    }
}

impl Duty {
    /// Whether a right is part of it.
    pub(crate) fn includes(self, actions: ActionSet, levels: Levels) -> bool {
        match self {
            Self::FinanceWrite => {
                levels.writes(Financial)
                    && actions.resource() == Some(Resource::Customer)
                    && actions.iter().any(Action::writes)
            }
            Self::SalesWrite => levels.writes(Basic) && actions.iter().any(|it| SELLING.contains(it)),
        }
    }

    /// Whether any template of a role is part of it.
    #[must_use]
    pub fn held_by(self, templates: &[Template]) -> bool {
        templates.iter().any(|template| self.includes(template.actions, template.levels))
    }
}

/// What only sales does.
const SELLING: ActionSet =
    ActionSet::of(&[Action::CustomerCreate, Action::CustomerTransfer, Action::CustomerAssign, Action::CustomerClaim]);

/// The first pair of duties that these roles hold together, if any.
pub fn conflict<'a>(roles: impl IntoIterator<Item = &'a Role> + Clone) -> Option<(Duty, Duty)> {
    clash(|duty| roles.clone().into_iter().any(|role| duty.held_by(&role.templates)))
}

/// The first pair of duties of which both are held, if any.
pub(crate) fn clash(held: impl Fn(Duty) -> bool) -> Option<(Duty, Duty)> {
    CONFLICTS.into_iter().find(|(one, other)| held(*one) && held(*other))
}

fn right(actions: &[Action], extent: Extent, levels: Levels) -> Template {
    Template { actions: ActionSet::of(actions), extent, stages: None, grades: None, external: None, levels }
}

impl Template {
    /// The same, in these stages only.
    fn during(mut self, stages: &[&str]) -> Self {
        self.stages = Some(stages.iter().copied().collect::<NameSet>());
        self
    }
}

/// Basic, sensitive and history: what a customer's own people work with.
const WORKING: Levels = Levels::of(&[(Basic, Write), (Sensitive, Write), (History, Write)]);
/// The same for who leads them, with amounts to read and supervisors' results.
const LEADING: Levels = WORKING.with(Financial, Read).with(Review, Write);
/// What everybody of the company may know: names.
const NAMES: Levels = Levels::of(&[(Basic, Read)]);

/// How much was done, and what customers said to it, in numbers.
const FIGURES: Levels = NAMES.with(History, Read);

/// What every role that works in the product sees of it: the tree, colleagues' names, plans, templates, calendars.
fn surroundings() -> Vec<Template> {
    let see = |action| right(&[action], Extent::Tenant, NAMES);
    vec![
        see(Action::DepartmentView),
        see(Action::UserView),
        see(Action::PlanView),
        see(Action::TemplateView),
        see(Action::CalendarView),
    ]
}

/// Own customers, to edit and not to delete; what an open task lends; the department's pool.
fn sales_rep() -> Vec<Template> {
    use Action::{
        CustomerAggregate, CustomerClaim, CustomerCreate, CustomerNote, CustomerOrderView, CustomerStage, CustomerTag,
        CustomerUpdate, CustomerView,
    };
    let own = [
        CustomerView,
        CustomerCreate,
        CustomerUpdate,
        CustomerNote,
        CustomerStage,
        CustomerTag,
        CustomerOrderView,
        CustomerAggregate,
        CustomerClaim,
    ];
    let mut templates = vec![
        right(&own, Extent::Own, WORKING).during(&PRE_SERVICE_STAGES),
        // A change is decided before and after it, so to hand over to service, or to give up, needs this. It reads only,
        // so nothing can be moved out of these stages by it, and it does not let the customer be seen there.
        right(&[CustomerStage], Extent::Own, NAMES).during(&AFTER_SALES_STAGES),
        right(&[CustomerView], Extent::Pooled(Mine, false), NAMES),
        right(&[CustomerClaim], Extent::Pooled(Mine, false), Levels::of(&[(Basic, Write)])),
    ];
    templates.extend(visits());
    templates.extend(surroundings());
    templates
}

/// Follow-up work of one's own, and the customers that it lends.
fn visits() -> Vec<Template> {
    use Action::{MetricsView, TaskCancel, TaskComplete, TaskCreate, TaskUpdate, TaskView};
    vec![
        right(&[Action::CustomerView], Extent::Task, Levels::READ.with(Review, crate::level::Level::Hidden)),
        right(&[TaskView, TaskCreate, TaskComplete, TaskUpdate, TaskCancel], Extent::Own, WORKING),
        right(&[MetricsView], Extent::Own, FIGURES),
    ]
}

/// What a leader does with the customers below, in the stages that the role is bound to.
const LEADER_ACTIONS: [Action; 17] = [
    Action::CustomerView,
    Action::CustomerCreate,
    Action::CustomerUpdate,
    Action::CustomerDelete,
    Action::CustomerRestore,
    Action::CustomerTransfer,
    Action::CustomerAssign,
    Action::CustomerNote,
    Action::CustomerClaim,
    Action::CustomerMerge,
    Action::CustomerStage,
    Action::CustomerGrade,
    Action::CustomerTag,
    Action::CustomerOrderView,
    Action::CustomerAggregate,
    Action::CustomerImport,
    Action::CustomerExport,
];

/// What leaders do beside customers: tasks and people below them, the pools, the plans.
fn leading() -> Vec<Template> {
    use Action::{
        CustomerAssign, CustomerClaim, CustomerView, EnrolmentManage, HandOverManage, ImportView, MetricsView,
        SegmentManage, TaskCancel, TaskComplete, TaskCreate, TaskReview, TaskUpdate, TaskView, UserView,
    };
    let below = || Extent::Subtree(Mine);
    let tasks = [TaskView, TaskCreate, TaskComplete, TaskUpdate, TaskCancel, TaskReview];
    let mut templates = vec![
        right(&tasks, below(), LEADING),
        right(&[MetricsView], below(), FIGURES.with(Review, Read)),
        right(&[EnrolmentManage], Extent::Tenant, WORKING),
        right(&[SegmentManage], Extent::Tenant, WORKING),
        right(&[ImportView], below(), WORKING),
        right(&[UserView, HandOverManage], below(), WORKING),
        right(&[CustomerView], Extent::Pooled(Mine, true), NAMES),
        right(&[CustomerAssign, CustomerClaim], Extent::Pooled(Mine, true), Levels::of(&[(Basic, Write)])),
    ];
    templates.extend(visits());
    templates.extend(surroundings());
    templates
}

fn sales_manager() -> Vec<Template> {
    let mut templates = vec![
        right(&LEADER_ACTIONS, Extent::Subtree(Mine), LEADING).during(&PRE_SERVICE_STAGES),
        // See sales_rep.
        right(&[Action::CustomerStage], Extent::Subtree(Mine), NAMES).during(&AFTER_SALES_STAGES),
    ];
    templates.extend(leading());
    templates
}

/// Leads sales and service of a region: all stages, all stores below, nothing of another region.
fn regional_manager() -> Vec<Template> {
    let mut templates = vec![right(&LEADER_ACTIONS, Extent::Subtree(Mine), LEADING)];
    templates.extend(leading());
    templates
}

/// Every customer's basic facts, contact values masked, no talk.
fn marketing() -> Vec<Template> {
    use Action::{
        CustomerAggregate, CustomerTag, CustomerView, DeliveryView, EnrolmentManage, MetricsView, PlanManage,
        SegmentManage, TemplateManage,
    };
    let masked = Levels::of(&[(Basic, Read), (Sensitive, Masked)]);
    let mut templates = vec![
        right(&[CustomerView, CustomerAggregate], Extent::Tenant, masked),
        right(&[CustomerTag], Extent::Tenant, masked.with(Basic, Write)),
        right(&[SegmentManage], Extent::Tenant, WORKING),
        right(&[PlanManage, EnrolmentManage], Extent::Tenant, WORKING),
        right(&[TemplateManage], Extent::Tenant, WORKING),
        right(&[DeliveryView], Extent::Tenant, NAMES),
        right(&[MetricsView], Extent::Tenant, FIGURES),
    ];
    templates.extend(surroundings());
    templates
}

/// Customers that were won, of the own department and those below, their talk history included; records orders.
fn service() -> Vec<Template> {
    use Action::{
        CustomerAggregate, CustomerNote, CustomerOrderRecord, CustomerOrderView, CustomerStage, CustomerTag,
        CustomerUpdate, CustomerView,
    };
    let work = [CustomerView, CustomerUpdate, CustomerNote, CustomerStage, CustomerTag, CustomerAggregate];
    let orders = [CustomerOrderView, CustomerOrderRecord];
    let below = || Extent::Subtree(Mine);
    let mut templates = vec![
        right(&work, below(), WORKING.with(Financial, Read)).during(&SERVICE_STAGES),
        right(&orders, below(), Levels::of(&[(Basic, Write), (Financial, Write)])).during(&SERVICE_STAGES),
    ];
    templates.extend(visits());
    templates.extend(surroundings());
    templates
}

/// Order amounts and the customer's name: no contact, no follow-up, no note.
fn finance() -> Vec<Template> {
    use Action::{CustomerAggregate, CustomerOrderView, CustomerView};
    let amounts = Levels::of(&[(Basic, Read), (Financial, Read)]);
    vec![
        right(&[CustomerView, CustomerOrderView, CustomerAggregate], Extent::Tenant, amounts),
        right(&[Action::DepartmentView], Extent::Tenant, NAMES),
        right(&[Action::UserView], Extent::Tenant, NAMES),
    ]
}

/// Sees everything of the company and changes nothing.
fn executive() -> Vec<Template> {
    use Action::{CustomerAggregate, CustomerOrderView, CustomerView, DeliveryView, MetricsView, TaskReview, TaskView};
    let mut templates = vec![
        right(&[CustomerView, CustomerOrderView, CustomerAggregate], Extent::Tenant, Levels::READ),
        right(&[TaskView, TaskReview], Extent::Tenant, Levels::READ),
        right(&[MetricsView], Extent::Tenant, Levels::READ),
        right(&[DeliveryView], Extent::Tenant, NAMES),
        right(&[Action::ImportView], Extent::Tenant, NAMES),
    ];
    templates.extend(surroundings());
    templates
}

/// Organisation, roles, users, fields, plans, templates: no customer, and not the audit log either.
fn admin() -> Vec<Template> {
    use Action::{
        AccessExplain, CalendarManage, CalendarView, DeliveryReplay, DeliveryView, DepartmentManage, DepartmentView,
        EndpointManage, EnrolmentManage, ExternalTypeManage, FieldManage, GradeManage, GrantManage, GrantView,
        GuardManage, HandOverManage, ImportView, MetricsView, PlanManage, PlanPublish, PlanView, RoleManage, RoleView,
        SegmentManage, ServiceAccountManage, StageManage, TemplateManage, TemplateView, TenantManage, UserManage,
        UserView,
    };
    let whole: [&[Action]; 14] = [
        &[DepartmentView, DepartmentManage],
        &[UserView, UserManage, ServiceAccountManage, HandOverManage],
        &[RoleView, RoleManage],
        &[GrantView, GrantManage, GuardManage, AccessExplain],
        &[TenantManage, ExternalTypeManage],
        &[FieldManage, StageManage, GradeManage],
        &[SegmentManage],
        &[ImportView],
        &[PlanView, PlanManage, PlanPublish, EnrolmentManage],
        &[CalendarView, CalendarManage],
        &[MetricsView],
        &[TemplateView, TemplateManage],
        &[DeliveryView, DeliveryReplay],
        &[EndpointManage],
    ];
    whole.into_iter().map(|actions| right(actions, Extent::Tenant, Levels::WRITE)).collect()
}

/// Sees who may do what and who did what; no customer.
fn auditor() -> Vec<Template> {
    use Action::{AccessExplain, AuditView, DepartmentView, GrantView, RoleView, UserView};
    let see = |actions: &[Action]| right(actions, Extent::Tenant, Levels::READ);
    vec![
        see(&[AuditView]),
        see(&[GrantView, AccessExplain]),
        see(&[RoleView]),
        see(&[DepartmentView]),
        see(&[UserView]),
    ]
}

#[cfg(test)]
mod tests;
