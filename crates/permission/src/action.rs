//! What can be done: a closed list of actions, and sets of them.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{
    named::named,
    registry::{Module, Resource},
};

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
        /// Register, change and remove types of rows that other systems keep.
        ExternalTypeManage = "tenant.external_type_manage",
        /// See a row of a registered type.
        ExternalView = "external.view",
        /// Add one.
        ExternalCreate = "external.create",
        /// Change one.
        ExternalUpdate = "external.update",
        /// Delete one.
        ExternalDelete = "external.delete",
        /// Approve, sign or release one.
        ExternalApprove = "external.approve",
        /// Take rows out as a file.
        ExternalExport = "external.export",
        /// Decide what identity keeps of one: its owner, department, teams, stage, grade and marks.
        ExternalManage = "external.manage",
    }
}

const _: () = assert!(Action::ALL.len() <= 128, "an action is a bit of a u128");

/// The type of every action and its place among those of the type: worked out once, because every decision asks.
const PLACES: [(Resource, u8); Action::ALL.len()] = {
    let mut places = [(Resource::External, 0); Action::ALL.len()];
    let mut index = 0;
    while index < places.len() {
        let resource = named_resource(Action::ALL[index].name());
        let (mut place, mut before) = (0, 0);
        while before < index {
            place += (places[before].0 as u8 == resource as u8) as u8;
            before += 1;
        }
        assert!(place < 32, "the actions of a type are bits of a u32");
        places[index] = (resource, place);
        index += 1;
    }
    places
};

/// Every name is `resource.verb`; a test holds the two lists together.
const fn named_resource(name: &str) -> Resource {
    let mut index = 0;
    while index < Resource::ALL.len() {
        let resource = Resource::ALL[index];
        if begins_with(name.as_bytes(), resource.name().as_bytes()) {
            return resource;
        }
        index += 1;
    }
    Resource::External
}

const fn begins_with(name: &[u8], resource: &[u8]) -> bool {
    if name.len() <= resource.len() || name[resource.len()] != b'.' {
        return false;
    }
    let mut index = 0;
    while index < resource.len() {
        if name[index] != resource[index] {
            return false;
        }
        index += 1;
    }
    true
}

impl Action {
    /// The type of rows that it is done to.
    #[must_use]
    pub const fn resource(self) -> Resource {
        PLACES[self as usize].0
    }

    /// Its bit among the actions of its type.
    pub(crate) const fn bit(self) -> u32 {
        1 << PLACES[self as usize].1
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
    Action::ExternalView,
    Action::ExternalExport,
]);

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

    /// The members that are done to one type, as [`Action::bit`]s.
    pub(crate) fn bits(self, resource: Resource) -> u32 {
        let members = self.iter().filter(|action| action.resource() == resource);
        members.fold(0, |bits, action| bits | action.bit())
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
