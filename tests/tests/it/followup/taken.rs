//! Rights that go while an answer is being made: each right that has decided what is shown is asked again before it
//! leaves. On PostgreSQL alone, where a lock makes the wait.

use std::{fmt::Debug, future::Future};

use revisit_permission::{Action, Effect, Layer, Level, Levels};
use revisit_proto::followup::v1 as pb;
use revisit_tests::{databases::Backend, held::while_held};
use tonic::{Code, Status};

use super::{
    support::{Company, reason},
    texts::{WRITTEN, disclosures, mask},
};

/// The guards that come while a call waits.
pub const MASKING: Effect = Effect::Cap(Levels::WRITE.with(Layer::Sensitive, Level::Masked));

/// The call was broken off because less is to be shown or done by now: who asks again learns what.
pub fn changed<T: Debug>(told: Result<T, Status>) {
    let refused = told.expect_err("it was done all the same");
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "LEASE_EXPIRED"), "{refused:?}");
}

/// Asks, and asks again while a guard takes something from what somebody may do and the call waits for a table.
pub async fn refused<T: Debug, F: Future<Output = Result<T, Status>>>(
    company: &Company,
    table: &str,
    (who, action, effect): (&str, Action, Effect),
    ask: impl Fn() -> F,
) {
    ask().await.expect("they may so far");
    let connections = (&company.database.writer, &company.database.reader);
    changed(while_held(connections, table, ask(), company.guard(who, action, effect)).await);
}

/// A company in which the rep has done a task with a sensitive result and a number in its note; its customer and the task.
pub async fn company() -> (Company, String, String) {
    let company = Company::start(Backend::Postgres, 1).await;
    let (customer, task) = company.with_open_task().await;
    let note = pb::Note { layer: "history".into(), text: WRITTEN.into(), ..Default::default() };
    let record = pb::CompleteTaskRequest {
        task_id: task.task_id.clone(),
        result: "complaint".into(),
        channel: pb::Channel::Phone.into(),
        notes: vec![note],
        ..Default::default()
    };
    company.tasks().complete_task(company.by("rep", record)).await.expect("done");
    company.settle().await;
    (company, customer.to_string(), task.task_id)
}

#[tokio::test]
async fn a_clear_title_does_not_outlive_the_right_to_the_customers_contact_values() {
    let (company, customer_id, _) = company().await;
    let request = pb::CreateTaskRequest {
        kind: pb::TaskKind::NextContact.into(),
        title: WRITTEN.into(),
        customer_id,
        due_time: super::support::wire(company.now() + std::time::Duration::from_hours(2)),
        channel: pb::Channel::Phone.into(),
        ..Default::default()
    };
    let made = company.tasks().create_task(company.by("rep", request)).await.expect("made").into_inner();
    let request = pb::GetTaskRequest { task_id: made.task_id, read_mask: mask(&["title"]) };
    let get = || async { company.tasks().get_task(company.by("rep", request.clone())).await };
    refused(&company, "sealing_key", ("rep", Action::CustomerView, MASKING), get).await;
    assert_eq!(disclosures(&company).await.len(), 1, "what did not leave was not read");
    company.stop().await;
}

#[tokio::test]
async fn clear_notes_do_not_outlive_the_right_to_the_customers_contact_values() {
    let (company, _, task_id) = company().await;
    let request = pb::GetOutcomeRequest { task_id, read_mask: mask(&["notes"]) };
    let get = || async { company.tasks().get_outcome(company.by("manager", request.clone())).await };
    refused(&company, "outcome_note", ("manager", Action::CustomerView, MASKING), get).await;
    assert_eq!(disclosures(&company).await.len(), 1, "what did not leave was not read");
    company.stop().await;
}

#[tokio::test]
async fn a_reviewed_outcome_does_not_outlive_the_right_to_review_it_or_to_see_its_customer() {
    for action in [Action::TaskReview, Action::CustomerView, Action::TaskView] {
        let (company, customer_id, task_id) = company().await;
        let request = pb::GetOutcomeRequest { task_id, read_mask: None };
        let get = || async { company.tasks().get_outcome(company.by("manager", request.clone())).await };
        refused(&company, "outcome_note", ("manager", action, Effect::Deny), get).await;
        let request = pb::ListOutcomesRequest { customer_id, ..Default::default() };
        let list = || async { company.tasks().list_outcomes(company.by("boss", request.clone())).await };
        refused(&company, "outcome_note", ("boss", action, Effect::Deny), list).await;
        company.stop().await;
    }
}

#[tokio::test]
async fn enrolments_do_not_outlive_the_right_to_the_plan_or_to_the_customers() {
    for action in [Action::PlanView, Action::CustomerView] {
        let (company, ..) = company().await;
        let plans = company.plans().list_plans(company.by("manager", pb::ListPlansRequest::default())).await;
        let plan_id = plans.expect("a page").into_inner().plans.remove(0).plan_id;
        let request = pb::ListEnrolmentsRequest { plan_id, ..Default::default() };
        let list = || async { company.plans().list_enrolments(company.by("manager", request.clone())).await };
        refused(&company, "enrolment", ("manager", action, Effect::Deny), list).await;
        company.stop().await;
    }
}

#[tokio::test]
async fn a_plan_is_not_published_when_the_right_to_grant_what_it_lends_goes_meanwhile() {
    let company = Company::start(Backend::Postgres, 1).await;
    let segment_id = company.new_id::<revisit_core::id::kind::Segment>().to_string();
    let request = pb::CreatePlanRequest {
        name: "weekly".into(),
        template_key: "grade_a_weekly".into(),
        definition: Some(pb::PlanDefinition { segment_id, ..Default::default() }),
        ..Default::default()
    };
    let draft = company.plans().create_plan(company.by("admin", request)).await.expect("a draft").into_inner();
    let request = pb::PublishPlanRequest { plan_id: draft.plan_id.clone(), ..Default::default() };
    let mut plans = company.plans();
    let publish = plans.publish_plan(company.by("admin", request));
    let gone = company.guard("admin", Action::GrantManage, Effect::Deny);
    let connections = (&company.database.writer, &company.database.reader);
    changed(while_held(connections, "plan_version", publish, gone).await);
    let request = pb::GetPlanRequest { plan_id: draft.plan_id };
    let plan = company.plans().get_plan(company.by("admin", request)).await.expect("seen").into_inner();
    assert_eq!(plan.state(), pb::PlanState::Draft);
    company.stop().await;
}

#[tokio::test]
async fn no_task_is_made_about_a_customer_who_is_taken_from_sight_meanwhile() {
    let (company, customer_id, _) = company().await;
    let request = pb::CreateTaskRequest {
        kind: pb::TaskKind::NextContact.into(),
        title: "call again".into(),
        customer_id,
        due_time: super::support::wire(company.now() + std::time::Duration::from_hours(2)),
        channel: pb::Channel::Phone.into(),
        ..Default::default()
    };
    let list = pb::ListTasksRequest::default();
    let count =
        async || company.tasks().list_tasks(company.by("manager", list.clone())).await.map(|it| it.into_inner());
    let before = count().await.expect("a list").tasks.len();
    let mut tasks = company.tasks();
    let create = tasks.create_task(company.by("rep", request));
    let gone = company.guard("rep", Action::CustomerView, Effect::Deny);
    let connections = (&company.database.writer, &company.database.reader);
    // Its title is sealed after all was decided.
    changed(while_held(connections, "sealing_key", create, gone).await);
    assert_eq!(count().await.expect("a list").tasks.len(), before);
    company.stop().await;
}
