//! The registry: which types of rows exist, what can be done to them, and which module each action belongs to.
//!
//! It is closed. A service cannot invent an action, and a name that is not here is denied everywhere.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::level::Layer;

/// Declares an enum with a stable name for each variant.
macro_rules! named {
    ($(#[$doc:meta])* $kind:ident { $($(#[$vdoc:meta])* $variant:ident = $name:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[repr(u8)]
        pub enum $kind { $($(#[$vdoc])* $variant,)* }

        impl $kind {
            /// All of them, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The stable name, as stored, sent and written in policies.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The one with this name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }

        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let name = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
                Self::parse(&name).ok_or_else(|| de::Error::custom(format_args!("{name} is not known")))
            }
        }
    };
}
pub(crate) use named;

named! {
    /// A type of rows.
    Resource {
        /// A person or company that is followed up.
        Customer = "customer",
        /// A follow-up task.
        Task = "task",
        /// A follow-up plan, with its enrolments.
        Plan = "plan",
        /// A work calendar.
        Calendar = "calendar",
        /// A message template.
        Template = "template",
        /// A planned or made delivery of a message.
        Delivery = "delivery",
        /// A receiver of webhooks.
        Endpoint = "endpoint",
        /// A node of the organisation tree.
        Department = "department",
        /// A user or service account.
        User = "user",
        /// A role.
        Role = "role",
        /// A grant or guard.
        Grant = "grant",
        /// The audit log.
        Audit = "audit",
        /// The company itself.
        Tenant = "tenant",
        /// An import job.
        Import = "import",
        /// A saved customer filter.
        Segment = "segment",
        /// A custom field, stage or grade rule.
        Field = "field",
        /// Follow-up figures.
        Metrics = "metrics",
        /// Rows of systems outside that ask through `Access.Check`.
        External = "external",
    }
}

named! {
    /// What can be done. Flat and closed; the discriminant is the bit in an [`ActionSet`].
    Action {
        /// See a customer in lists and by id.
        CustomerView = "customer.view",
        /// Add a customer.
        CustomerCreate = "customer.create",
        /// Change a customer's fields.
        CustomerUpdate = "customer.update",
        /// Delete a customer, restorable.
        CustomerDelete = "customer.delete",
        /// Bring a deleted customer back.
        CustomerRestore = "customer.restore",
        /// Give a customer to another owner.
        CustomerTransfer = "customer.transfer",
        /// Give an unowned customer an owner.
        CustomerAssign = "customer.assign",
        /// Add customers from a file.
        CustomerImport = "customer.import",
        /// Take customers out as a file.
        CustomerExport = "customer.export",
        /// Count and sum over customers.
        CustomerAggregate = "customer.aggregate",
        /// Write on a customer's timeline.
        CustomerNote = "customer.note",
        /// Take a customer from the pool.
        CustomerClaim = "customer.claim",
        /// Make one customer of two.
        CustomerMerge = "customer.merge",
        /// Move a customer to another stage.
        CustomerStage = "customer.stage",
        /// Set a customer's grade by hand.
        CustomerGrade = "customer.grade",
        /// Put tags on a customer and take them off.
        CustomerTag = "customer.tag",
        /// See a customer's orders.
        CustomerOrderView = "customer.order_view",
        /// Record a customer's order.
        CustomerOrderRecord = "customer.order_record",
        /// Ask more often than others whether a customer exists.
        CustomerProbe = "customer.probe",
        /// Declare and retire custom fields.
        FieldManage = "field.manage",
        /// Declare stages and their transitions.
        StageManage = "field.stage_manage",
        /// Declare grade rules.
        GradeManage = "field.grade_manage",
        /// Save, change and delete segments.
        SegmentManage = "segment.manage",
        /// See imports and their results.
        ImportView = "import.view",
        /// See a task.
        TaskView = "task.view",
        /// Plan a task by hand.
        TaskCreate = "task.create",
        /// Complete a task with its outcome.
        TaskComplete = "task.complete",
        /// Snooze, edit or assign a task.
        TaskUpdate = "task.update",
        /// Call a task off.
        TaskCancel = "task.cancel",
        /// See sensitive results of a task.
        TaskReview = "task.review",
        /// See plans.
        PlanView = "plan.view",
        /// Draft plans.
        PlanManage = "plan.manage",
        /// Publish a plan's version.
        PlanPublish = "plan.publish",
        /// Enrol customers, pause, resume and end enrolments.
        EnrolmentManage = "plan.enrolment_manage",
        /// See work calendars.
        CalendarView = "calendar.view",
        /// Change work calendars.
        CalendarManage = "calendar.manage",
        /// See follow-up figures.
        MetricsView = "metrics.view",
        /// See message templates.
        TemplateView = "template.view",
        /// Change message templates.
        TemplateManage = "template.manage",
        /// Register webhook receivers.
        EndpointManage = "endpoint.manage",
        /// See deliveries.
        DeliveryView = "delivery.view",
        /// Send a failed delivery again.
        DeliveryReplay = "delivery.replay",
        /// See the organisation tree.
        DepartmentView = "department.view",
        /// Change the organisation tree and its positions.
        DepartmentManage = "department.manage",
        /// See users.
        UserView = "user.view",
        /// Add, change, suspend users.
        UserManage = "user.manage",
        /// Use service accounts.
        ServiceAccountManage = "user.service_account_manage",
        /// Start a hand-over.
        HandOverManage = "user.hand_over_manage",
        /// See roles.
        RoleView = "role.view",
        /// Change roles.
        RoleManage = "role.manage",
        /// See grants and guards.
        GrantView = "grant.view",
        /// Grant and revoke; the grant's levels are the most that may be handed out.
        GrantManage = "grant.manage",
        /// Declare and remove guards.
        GuardManage = "grant.guard_manage",
        /// Ask why somebody may or may not do something.
        AccessExplain = "grant.explain",
        /// Read the audit log.
        AuditView = "audit.view",
        /// Change the company's settings and modules.
        TenantManage = "tenant.manage",
    }
}

const _: () = assert!(Action::ALL.len() <= 128, "an action is a bit of a u128");

impl Action {
    /// The type of rows that it is done to.
    #[must_use]
    pub fn resource(self) -> Resource {
        // Every name is `resource.verb`; a test holds the two lists together.
        self.name().split_once('.').and_then(|(resource, _)| Resource::parse(resource)).unwrap_or(Resource::External)
    }

    /// The module that switches it, if it can be switched off.
    #[must_use]
    pub fn module(self) -> Option<Module> {
        Module::ALL.iter().copied().find(|module| module.actions().contains(self))
    }

    /// Whether it changes something; the others only look.
    #[must_use]
    pub fn writes(self) -> bool {
        !READING.contains(self)
    }
}

const READING: ActionSet = ActionSet::of(&[
    Action::CustomerView,
    Action::CustomerExport,
    Action::CustomerAggregate,
    Action::CustomerOrderView,
    Action::CustomerProbe,
    Action::ImportView,
    Action::TaskView,
    Action::TaskReview,
    Action::PlanView,
    Action::CalendarView,
    Action::MetricsView,
    Action::TemplateView,
    Action::DeliveryView,
    Action::DepartmentView,
    Action::UserView,
    Action::RoleView,
    Action::GrantView,
    Action::AccessExplain,
    Action::AuditView,
]);

named! {
    /// What a tenant or a department switches on and off as a whole (销售/营销/客服). Actions of no module stay on.
    Module {
        /// 销售: winning customers.
        Sales = "sales",
        /// 营销: reaching many customers at once.
        Marketing = "marketing",
        /// 客服: following customers up.
        Service = "service",
    }
}

impl Module {
    /// Its actions. No action is in two modules.
    #[must_use]
    pub const fn actions(self) -> ActionSet {
        match self {
            Self::Sales => ActionSet::of(&[
                Action::CustomerTransfer,
                Action::CustomerAssign,
                Action::CustomerClaim,
                Action::CustomerStage,
                Action::CustomerOrderView,
                Action::CustomerOrderRecord,
            ]),
            Self::Marketing => ActionSet::of(&[
                Action::SegmentManage,
                Action::CustomerTag,
                Action::CustomerAggregate,
                Action::TemplateManage,
            ]),
            Self::Service => ActionSet::of(&[
                Action::TaskView,
                Action::TaskCreate,
                Action::TaskComplete,
                Action::TaskUpdate,
                Action::TaskCancel,
                Action::TaskReview,
                Action::PlanView,
                Action::PlanManage,
                Action::PlanPublish,
                Action::EnrolmentManage,
                Action::CalendarManage,
                Action::MetricsView,
            ]),
        }
    }
}

/// What policy may look at on a row, and nothing else.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Attribute {
    /// Who owns it.
    Owner,
    /// The department of record.
    Department,
    /// The teams that share it.
    Teams,
    /// Its stage.
    Stage,
    /// Its grade.
    Grade,
    /// Whether it lies in the pool, and whether it is a VIP.
    Flags,
    /// Who holds an open task on it.
    TaskHolders,
}

impl Resource {
    /// The attributes that rows of this type have; a rule that reads another one would never match and is refused.
    #[must_use]
    pub const fn attributes(self) -> &'static [Attribute] {
        use Attribute::{Department, Flags, Grade, Owner, Stage, TaskHolders, Teams};
        match self {
            Self::Customer | Self::Task | Self::External => {
                &[Owner, Department, Teams, Stage, Grade, Flags, TaskHolders]
            }
            Self::Plan | Self::Delivery | Self::User | Self::Import | Self::Segment | Self::Metrics => {
                &[Owner, Department]
            }
            // A grant is reached like its holder.
            Self::Department | Self::Calendar | Self::Endpoint | Self::Grant => &[Department],
            Self::Template | Self::Role | Self::Audit | Self::Tenant | Self::Field => &[],
        }
    }

    /// The layer of a built-in field. A field that nobody classified is sensitive.
    #[must_use]
    pub fn layer_of(self, field: &str) -> Layer {
        let listed: &[(&str, Layer)] = match self {
            Self::Customer => CUSTOMER_FIELDS,
            Self::Task => TASK_FIELDS,
            Self::User => USER_FIELDS,
            Self::Plan
            | Self::Calendar
            | Self::Template
            | Self::Delivery
            | Self::Endpoint
            | Self::Department
            | Self::Role
            | Self::Grant
            | Self::Audit
            | Self::Tenant
            | Self::Import
            | Self::Segment
            | Self::Field
            | Self::Metrics
            | Self::External => &[],
        };
        listed.iter().find(|(name, _)| *name == field).map_or(Layer::Sensitive, |(_, layer)| *layer)
    }
}

const CUSTOMER_FIELDS: &[(&str, Layer)] = &[
    ("display_name", Layer::Basic),
    ("kind", Layer::Basic),
    ("city", Layer::Basic),
    ("owner_id", Layer::Basic),
    ("department_id", Layer::Basic),
    ("stage", Layer::Basic),
    ("grade", Layer::Basic),
    ("vip", Layer::Basic),
    ("pooled", Layer::Basic),
    ("tags", Layer::Basic),
    ("birthday", Layer::Basic),
    ("contract_end", Layer::Basic),
    ("contact_points", Layer::Sensitive),
    ("notes", Layer::History),
    ("timeline", Layer::History),
    ("orders", Layer::Basic),
    ("order_amount", Layer::Financial),
];

const TASK_FIELDS: &[(&str, Layer)] = &[
    ("title", Layer::Basic),
    ("due_time", Layer::Basic),
    ("state", Layer::Basic),
    ("assignee_id", Layer::Basic),
    ("satisfaction", Layer::Basic),
    ("next_contact_time", Layer::Basic),
    ("outcome", Layer::History),
    ("note", Layer::History),
    ("sensitive_result", Layer::Review),
];

const USER_FIELDS: &[(&str, Layer)] =
    &[("username", Layer::Basic), ("display_name", Layer::Basic), ("state", Layer::Basic)];

/// A set of actions: one bit each.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ActionSet(u128);

impl ActionSet {
    /// No action.
    pub const EMPTY: Self = Self(0);
    /// Every action that exists.
    pub const ALL: Self = Self::of(Action::ALL);

    /// The set of these.
    #[must_use]
    pub const fn of(actions: &[Action]) -> Self {
        let mut bits = 0;
        let mut index = 0;
        while index < actions.len() {
            bits |= 1 << actions[index] as u8;
            index += 1;
        }
        Self(bits)
    }

    /// Whether `action` is in it.
    #[must_use]
    pub const fn contains(self, action: Action) -> bool {
        self.0 & (1 << action as u8) != 0
    }

    /// Those in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those of this one that are not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The members, in order.
    pub fn iter(self) -> impl Iterator<Item = Action> {
        Action::ALL.iter().copied().filter(move |action| self.contains(*action))
    }

    /// The one type that all members belong to; nothing when empty or mixed.
    #[must_use]
    pub fn resource(self) -> Option<Resource> {
        let mut members = self.iter();
        let first = members.next()?.resource();
        members.all(|action| action.resource() == first).then_some(first)
    }
}

impl fmt::Debug for ActionSet {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.iter().map(Action::name)).finish()
    }
}

impl FromIterator<Action> for ActionSet {
    fn from_iter<I: IntoIterator<Item = Action>>(actions: I) -> Self {
        actions.into_iter().fold(Self::EMPTY, |set, action| set.union(Self::of(&[action])))
    }
}

impl Serialize for ActionSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.iter())
    }
}

impl<'de> Deserialize<'de> for ActionSet {
    /// Names that this version does not know are dropped: nothing here can do them, so a grant of them gives nothing
    /// and a guard over them guards nothing.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let names = Vec::<std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        Ok(names.iter().filter_map(|name| Action::parse(name)).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_is_named_after_its_resource_and_found_by_its_name() {
        for action in Action::ALL.iter().copied() {
            let (resource, _) = action.name().split_once('.').expect("a resource and a verb");
            assert_eq!(Resource::parse(resource), Some(action.resource()), "{action}");
            assert_eq!(Action::parse(action.name()), Some(action));
        }
    }

    #[test]
    fn no_action_is_in_two_modules() {
        for action in Action::ALL.iter().copied() {
            assert!(Module::ALL.iter().filter(|module| module.actions().contains(action)).count() <= 1, "{action}");
        }
    }

    #[test]
    fn an_unclassified_field_is_sensitive() {
        assert_eq!(Resource::Customer.layer_of("display_name"), Layer::Basic);
        assert_eq!(Resource::Customer.layer_of("never_heard_of"), Layer::Sensitive);
        assert_eq!(Resource::Segment.layer_of("display_name"), Layer::Sensitive);
    }

    #[test]
    fn a_set_keeps_its_members_through_json_and_drops_unknown_names() {
        let set = ActionSet::of(&[Action::CustomerView, Action::TenantManage]);
        let json = serde_json::to_string(&set).expect("a set is a list of names");
        assert_eq!(json, r#"["customer.view","tenant.manage"]"#);
        let read: ActionSet =
            serde_json::from_str(r#"["customer.view","customer.teleport","tenant.manage"]"#).expect("reads");
        assert_eq!(read, set);
    }
}
