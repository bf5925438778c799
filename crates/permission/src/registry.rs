//! The registry: which types of rows exist, what can be done to them, and which module each action belongs to.
//!
//! It is closed. A service cannot invent an action, and a name that is not here is denied everywhere.

use crate::{
    action::{Action, ActionSet},
    level::Layer,
    named::named,
};

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
        /// Rows of other systems, of types that a company registers.
        External = "external",
    }
}

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

named! {
    /// What policy may look at on a row, and nothing else.
    Attribute {
        /// Who owns it.
        Owner = "owner",
        /// The department of record.
        Department = "department",
        /// The teams that share it.
        Teams = "teams",
        /// Its stage.
        Stage = "stage",
        /// Its grade.
        Grade = "grade",
        /// Whether it lies in the pool, and whether it is a VIP.
        Flags = "flags",
        /// Who holds an open task on it.
        TaskHolders = "task_holders",
    }
}

impl Resource {
    /// The attributes that rows of this type have; a rule that reads another one would never match and is refused.
    #[must_use]
    pub const fn attributes(self) -> &'static [Attribute] {
        use Attribute::{Department, Flags, Grade, Owner, Stage, TaskHolders, Teams};
        match self {
            Self::Customer | Self::Task => &[Owner, Department, Teams, Stage, Grade, Flags, TaskHolders],
            // Of these a registered type has what it says. A follow-up task lends customers only.
            Self::External => &[Owner, Department, Teams, Stage, Grade, Flags],
            Self::Plan | Self::Delivery | Self::User | Self::Import | Self::Segment | Self::Metrics => {
                &[Owner, Department]
            }
            // A grant is reached like its holder.
            Self::Department | Self::Calendar | Self::Endpoint | Self::Grant => &[Department],
            Self::Template | Self::Role | Self::Audit | Self::Tenant | Self::Field => &[],
        }
    }

    /// The layer of a field of the type's public message. A field that nobody classified is sensitive.
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
            // A registered type classifies its own.
            | Self::External => &[],
        };
        listed.iter().find(|(name, _)| *name == field).map_or(Layer::Sensitive, |(_, layer)| *layer)
    }
}

const CUSTOMER_FIELDS: &[(&str, Layer)] = &[
    ("customer_id", Layer::Basic),
    ("kind", Layer::Basic),
    ("name", Layer::Basic),
    ("display_name", Layer::Basic),
    ("contact_points", Layer::Sensitive),
    ("owner_id", Layer::Basic),
    ("department_id", Layer::Basic),
    ("ownership_epoch", Layer::Basic),
    ("stage", Layer::Basic),
    ("grade", Layer::Basic),
    ("grade_reason", Layer::Financial),
    ("vip", Layer::Basic),
    ("pooled", Layer::Basic),
    ("tags", Layer::Basic),
    // Each custom field has a layer of its own, which only customer knows.
    ("fields", Layer::Sensitive),
    ("city", Layer::Basic),
    ("birthday", Layer::Basic),
    ("contract_end", Layer::Basic),
    ("external_id", Layer::Basic),
    ("source", Layer::Basic),
    ("team_ids", Layer::Basic),
    ("create_time", Layer::Basic),
    ("update_time", Layer::Basic),
    ("delete_time", Layer::Basic),
    ("etag", Layer::Basic),
    ("levels", Layer::Basic),
    ("notes", Layer::History),
    ("timeline", Layer::History),
    ("orders", Layer::Basic),
    ("order_amount", Layer::Financial),
];

const TASK_FIELDS: &[(&str, Layer)] = &[
    ("task_id", Layer::Basic),
    ("kind", Layer::Basic),
    ("state", Layer::Basic),
    ("title", Layer::Basic),
    ("customer_id", Layer::Basic),
    ("assignee_id", Layer::Basic),
    ("channel", Layer::Basic),
    ("open_time", Layer::Basic),
    ("due_time", Layer::Basic),
    ("overdue", Layer::Basic),
    ("done_time", Layer::Basic),
    ("close_time", Layer::Basic),
    ("create_time", Layer::Basic),
    ("nominal_local_time", Layer::Basic),
    ("time_zone", Layer::Basic),
    ("assigned_by_name", Layer::Basic),
    ("plan_id", Layer::Basic),
    ("plan_version", Layer::Basic),
    ("step_key", Layer::Basic),
    ("enrolment_id", Layer::Basic),
    ("parent_task_id", Layer::Basic),
    ("open_issue_count", Layer::Basic),
    ("reason", Layer::Basic),
    ("lent_layers", Layer::Basic),
    ("etag", Layer::Basic),
    ("satisfaction", Layer::History),
    ("next_contact_time", Layer::Basic),
    ("outcome", Layer::History),
    ("note", Layer::History),
    ("sensitive_result", Layer::Review),
];

const USER_FIELDS: &[(&str, Layer)] = &[
    ("user_id", Layer::Basic),
    ("username", Layer::Basic),
    ("display_name", Layer::Basic),
    ("department_id", Layer::Basic),
    ("further_department_ids", Layer::Basic),
    ("position_ids", Layer::Basic),
    ("manager_id", Layer::Basic),
    ("resolved_manager_id", Layer::Basic),
    ("parent_user_id", Layer::Basic),
    ("state", Layer::Basic),
    ("time_zone", Layer::Basic),
    ("locale", Layer::Basic),
    ("create_time", Layer::Basic),
    ("update_time", Layer::Basic),
    ("etag", Layer::Basic),
    ("revision_token", Layer::Basic),
];

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
