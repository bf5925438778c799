//! The calls: read, act, answer.

mod calendars;
mod internal;
mod metrics;
mod plans;
mod read;
mod read_calendar;
mod read_plan;
mod read_task;
mod tasks;

use revisit_core::{Failure, Input, id::Id, page::Page};
use revisit_permission::{Action, Worker};
use uuid::Uuid;

use crate::App;

/// The calls that belong to a module, by the action that each is for.
pub const OF_MODULES: [(&str, Action); 31] = [
    ("/revisit.followup.v1.Plans/CreatePlan", Action::PlanManage),
    ("/revisit.followup.v1.Plans/GetPlan", Action::PlanView),
    ("/revisit.followup.v1.Plans/ListPlans", Action::PlanView),
    ("/revisit.followup.v1.Plans/UpdatePlan", Action::PlanManage),
    ("/revisit.followup.v1.Plans/PreviewPlan", Action::PlanView),
    ("/revisit.followup.v1.Plans/PublishPlan", Action::PlanPublish),
    ("/revisit.followup.v1.Plans/RetirePlan", Action::PlanPublish),
    ("/revisit.followup.v1.Plans/GetPlanVersion", Action::PlanView),
    ("/revisit.followup.v1.Plans/ListPlanVersions", Action::PlanView),
    ("/revisit.followup.v1.Plans/ListPlanTemplates", Action::PlanView),
    ("/revisit.followup.v1.Plans/ListEnrolments", Action::PlanView),
    ("/revisit.followup.v1.Plans/PauseEnrolment", Action::EnrolmentManage),
    ("/revisit.followup.v1.Plans/ResumeEnrolment", Action::EnrolmentManage),
    ("/revisit.followup.v1.Plans/MigrateEnrolments", Action::EnrolmentManage),
    ("/revisit.followup.v1.Tasks/CreateTask", Action::TaskCreate),
    ("/revisit.followup.v1.Tasks/GetTask", Action::TaskView),
    ("/revisit.followup.v1.Tasks/ListTasks", Action::TaskView),
    ("/revisit.followup.v1.Tasks/ListTodayTasks", Action::TaskView),
    ("/revisit.followup.v1.Tasks/SnoozeTask", Action::TaskUpdate),
    ("/revisit.followup.v1.Tasks/ReassignTask", Action::TaskUpdate),
    ("/revisit.followup.v1.Tasks/CancelTask", Action::TaskCancel),
    ("/revisit.followup.v1.Tasks/SkipTask", Action::TaskUpdate),
    ("/revisit.followup.v1.Tasks/CompleteTask", Action::TaskComplete),
    ("/revisit.followup.v1.Tasks/GetOutcome", Action::TaskView),
    ("/revisit.followup.v1.Tasks/ListOutcomes", Action::TaskView),
    ("/revisit.followup.v1.Tasks/ReviewOutcome", Action::TaskReview),
    ("/revisit.followup.v1.Tasks/GetScript", Action::TaskView),
    ("/revisit.followup.v1.Calendars/CreateCalendar", Action::CalendarManage),
    ("/revisit.followup.v1.Calendars/UpdateCalendar", Action::CalendarManage),
    ("/revisit.followup.v1.Metrics/GetFigures", Action::MetricsView),
    ("/revisit.followup.v1.Metrics/CheckContinuity", Action::MetricsView),
];

/// What serves them all. Cheap to clone.
#[derive(Clone)]
pub struct Served {
    pub app: App,
    /// Answers counts to other services; it reads no row for anybody.
    pub worker: Worker,
}

/// The id after which a page begins.
fn after<K>(page: &Page) -> Result<Option<Id<K>>, Failure> {
    let id = |bytes: &Vec<u8>| Uuid::from_slice(bytes).map(Id::from_uuid).map_err(|_| Page::unreadable());
    page.after.as_ref().map(id).transpose()
}

/// The token of the page that follows an id; empty when there is none.
fn token<K>(page: &Page, next: Option<Id<K>>) -> String {
    next.map(|id| page.token(id.uuid().as_bytes())).unwrap_or_default()
}

/// An etag that may be left out.
fn etag(input: &mut Input, field: &str, text: &str) -> Option<i64> {
    if text.is_empty() {
        return None;
    }
    let read = text.parse().ok().filter(|version| *version > 0);
    if read.is_none() {
        input.refuse(field, "must be one that this service gave");
    }
    read
}
