//! What a plan says: audience, steps, triggers, reminders, results. A published version never changes.

mod template;

use std::collections::BTreeSet;

use chrono::{NaiveDate, NaiveTime};
use revisit_core::{
    Timestamp,
    id::{CalendarId, CustomerId, DepartmentId, EnrolmentId, PlanId, SegmentId, SubjectId, TenantId},
};
use revisit_permission::{Layer, Row};
use serde::{Deserialize, Serialize};

use super::task::Channel;
use crate::schedule::{Fold, Gap, Leap, Roll, Unit};

pub use template::{Shipped, shipped};

/// Where a plan stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlanState {
    Draft,
    Published,
    Retired,
}

impl PlanState {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Published => "published",
            Self::Retired => "retired",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Draft, Self::Published, Self::Retired].into_iter().find(|state| state.name() == name)
    }
}

/// A plan with its draft.
#[derive(Clone, Debug, PartialEq)]
pub struct Plan {
    pub tenant: TenantId,
    pub id: PlanId,
    pub name: String,
    pub state: PlanState,
    /// 0 when there is none.
    pub published: i32,
    /// The audience of the published version.
    pub segment: Option<SegmentId>,
    pub draft: Option<Definition>,
    pub owner: SubjectId,
    pub department: Option<DepartmentId>,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub version: i64,
}

impl Plan {
    /// What policy may look at.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::new(self.tenant, self.id).with_owner(self.owner).with_department(self.department)
    }
}

/// One published version.
#[derive(Clone, Debug, PartialEq)]
pub struct PlanVersion {
    pub tenant: TenantId,
    pub plan: PlanId,
    pub version: i32,
    pub name: String,
    pub definition: Definition,
    pub published_by: SubjectId,
    pub published_at: Timestamp,
}

/// All that a version says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Definition {
    pub segment: SegmentId,
    pub lent: Vec<Layer>,
    pub calendar: Option<CalendarId>,
    /// IANA name; none: the zone of the customer's owner.
    pub zone: Option<String>,
    pub steps: Vec<Step>,
    pub results: Vec<ResultRule>,
    pub asks_satisfaction: bool,
    /// Reminders of what an outcome plants; none: the shipped ones.
    pub follow_on: Option<Reminders>,
    /// What an issue lends to whom it is dispatched; never less than the name.
    pub issue_lent: Vec<Layer>,
}

impl Definition {
    /// All layers that its tasks may lend to somebody.
    #[must_use]
    pub fn lends(&self) -> Vec<Layer> {
        let further = self.issue_lent.iter().filter(|layer| !self.lent.contains(layer));
        self.lent.iter().chain(further).copied().collect()
    }

    /// The customer's date fields that its triggers read.
    #[must_use]
    pub fn watched_fields(&self) -> BTreeSet<&str> {
        let fields = self.steps.iter().filter_map(|step| match &step.trigger {
            Trigger::Date { field, .. } => Some(field.as_str()),
            Trigger::Cadence { .. } | Trigger::Event { .. } | Trigger::Silence { .. } => None,
        });
        fields.collect()
    }

    #[must_use]
    pub fn step(&self, key: &str) -> Option<&Step> {
        self.steps.iter().find(|step| step.key == key)
    }

    #[must_use]
    pub fn result(&self, key: &str) -> Option<&ResultRule> {
        self.results.iter().find(|result| result.key == key)
    }
}

/// One planned contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    pub key: String,
    pub name: String,
    /// Empty: every grade.
    pub grades: Vec<String>,
    /// Empty: every stage.
    pub stages: Vec<String>,
    pub trigger: Trigger,
    pub channel: Channel,
    pub time_of_day: NaiveTime,
    /// Working minutes from opening to due.
    pub due_within_minutes: u32,
    pub reminders: Reminders,
    pub scripts: Vec<Script>,
    pub roll: Roll,
    pub gap: Gap,
    pub fold: Fold,
}

impl Step {
    /// Whether it is for customers of this stage and grade.
    #[must_use]
    pub fn applies(&self, stage: Option<&str>, grade: Option<&str>) -> bool {
        let among = |names: &[String], name: Option<&str>| {
            names.is_empty() || name.is_some_and(|name| names.iter().any(|listed| listed == name))
        };
        among(&self.stages, stage) && among(&self.grades, grade)
    }

    /// The script with the most tags, all of which the customer has.
    #[must_use]
    pub fn script(&self, tags: &[String]) -> Option<&Script> {
        let fitting = self.scripts.iter().filter(|script| script.tags.iter().all(|tag| tags.contains(tag)));
        // The first of equals: the author's order decides.
        fitting.rev().max_by_key(|script| script.tags.len())
    }
}

/// What makes a task of a step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    Cadence { every: u32, unit: Unit, anchor: Anchor, first_after_days: Option<u32> },
    Event { event: TriggerEvent, delay_days: u32 },
    Silence { days: u32 },
    Date { field: String, offset_days: i32, yearly: bool, leap: Leap },
}

/// From where a cadence counts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Anchor {
    /// The last completed follow-up of the step, else the entry.
    LastCompleted,
    /// Fixed dates from this one, else from the day of the entry.
    FixedDates(Option<NaiveDate>),
}

/// What happened to a customer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TriggerEvent {
    Enrolled,
    StageEntered(String),
    OwnerChanged,
    TagAdded(String),
    OrderRecorded,
}

/// Which reminders a task has.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reminders {
    pub at_open: bool,
    pub before_minutes: Vec<u32>,
    pub at_due: bool,
    /// Working minutes after due.
    pub overdue_after_minutes: Option<u32>,
    /// Working minutes after due.
    pub escalate_after_minutes: Option<u32>,
}

/// Words to say to customers with these tags.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Script {
    pub tags: Vec<String>,
    pub text: String,
}

/// What an answer means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ResultRule {
    pub key: String,
    pub name: String,
    pub success: bool,
    pub sensitive: bool,
    pub next_contact_days: Option<u32>,
    pub ends_enrolment: bool,
}

/// Where an enrolment stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum EnrolmentState {
    Active,
    Paused,
    Released,
}

impl EnrolmentState {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Released => "released",
        }
    }

    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Active, Self::Paused, Self::Released].into_iter().find(|state| state.name() == name)
    }
}

/// One customer in one plan.
#[derive(Clone, Debug, PartialEq)]
pub struct Enrolment {
    pub tenant: TenantId,
    pub id: EnrolmentId,
    pub plan: PlanId,
    pub plan_version: i32,
    pub customer: CustomerId,
    pub state: EnrolmentState,
    /// Rises with each entry, regrade and re-plan.
    pub generation: i64,
    /// IANA name of its local times.
    pub zone: String,
    /// Code of what was done to it last.
    pub reason: Reason,
    pub entered_at: Timestamp,
    pub last_completed_at: Option<Timestamp>,
    pub version: i64,
}

impl Enrolment {
    /// The one enrolment of a customer in a plan, whichever replica makes it.
    #[must_use]
    pub fn id_of(tenant: TenantId, plan: PlanId, customer: CustomerId) -> EnrolmentId {
        let parts = [tenant.uuid(), plan.uuid(), customer.uuid()];
        let [tenant, plan, customer] = parts.each_ref().map(|id| id.as_bytes().as_slice());
        EnrolmentId::derived("revisit followup enrolment v1", &[tenant, plan, customer])
    }
}

/// Why the service itself planned anew, moved or cancelled something. People see [`Reason::words`].
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reason {
    #[default]
    None,
    Entered,
    Left,
    StageOrGrade,
    DateChanged,
    Migrated,
    Paused,
    Resumed,
    PlanEnded,
    Ended,
    Replied,
    OwnerChanged,
    CustomerDeleted,
    HandedOver,
    /// The local time does not exist on that day, and the step leaves such days out.
    Gap,
    /// It was missed, and the next occurrence stands for it.
    Coalesced,
    /// In the caller's own words, which are kept sealed beside it.
    Caller,
}

impl Reason {
    const ALL: [(Self, &'static str, &'static str); 17] = [
        (Self::None, "", ""),
        (Self::Entered, "entered", "the customer entered the plan"),
        (Self::Left, "left", "the customer left the plan's audience"),
        (Self::StageOrGrade, "stage_or_grade", "the customer's stage or grade changed"),
        (Self::DateChanged, "date_changed", "the customer's date changed"),
        (Self::Migrated, "migrated", "the plan has a new version"),
        (Self::Paused, "paused", "the enrolment was paused"),
        (Self::Resumed, "resumed", "the enrolment was resumed"),
        (Self::PlanEnded, "plan_ended", "the plan was retired"),
        (Self::Ended, "ended", "an outcome ended the customer's run in the plan"),
        (Self::Replied, "replied", "the customer replied"),
        (Self::OwnerChanged, "owner_changed", "the customer has another owner"),
        (Self::CustomerDeleted, "customer_deleted", "the customer was deleted"),
        (Self::HandedOver, "handed_over", "the work was handed over"),
        (Self::Gap, "gap", "the local time does not exist on that day"),
        (Self::Coalesced, "coalesced", "it was missed and goes together with the next one"),
        (Self::Caller, "caller", ""),
    ];

    /// As stored.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("", |(_, name, _)| name)
    }

    /// For people.
    #[must_use]
    pub fn words(self) -> &'static str {
        Self::ALL.iter().find(|(reason, ..)| *reason == self).map_or("", |(.., words)| words)
    }

    #[must_use]
    pub fn parse(name: &str) -> Self {
        Self::ALL.iter().find(|(_, stored, _)| *stored == name).map_or(Self::None, |(reason, ..)| *reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_with_most_of_the_customers_tags_is_proposed() {
        let mut step = shipped()[0].definition.steps[0].clone();
        let script = |tags: &[&str], text: &str| Script {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            text: text.into(),
        };
        step.scripts = vec![script(&[], "all"), script(&["vip"], "vip"), script(&["vip", "new"], "both")];
        let proposed = |tags: &[&str]| {
            let tags: Vec<String> = tags.iter().map(|tag| (*tag).to_owned()).collect();
            step.script(&tags).map(|script| script.text.clone())
        };
        assert_eq!(proposed(&[]).as_deref(), Some("all"));
        assert_eq!(proposed(&["vip", "old"]).as_deref(), Some("vip"));
        assert_eq!(proposed(&["new", "vip"]).as_deref(), Some("both"));
    }

    #[test]
    fn a_step_for_a_grade_is_not_for_customers_without_one() {
        let mut step = shipped()[0].definition.steps[0].clone();
        step.grades = vec!["A".into()];
        assert!(step.applies(None, Some("A")));
        assert!(!step.applies(None, Some("B")));
        assert!(!step.applies(None, None));
    }
}
