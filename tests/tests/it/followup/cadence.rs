//! When the next task comes: after leaving and entering again, over free days, and at night.

use revisit_core::id::{CustomerId, SegmentId};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb};

use super::support::{Company, in_each_company, instant, shanghai};

const LIVE: [pb::TaskState; 2] = [pb::TaskState::Scheduled, pb::TaskState::Open];

/// Tells when a customer was born.
async fn born(company: &Company, id: CustomerId, day: &str) {
    let (customer_id, field, value) = (id.to_string(), "birthday".into(), day.into());
    let born = customer::FactChanged { customer_id, field, value, version: 1 };
    company.event("customer", id.uuid(), &born).await;
}

/// Pauses the only enrolment of a plan and resumes it, which plans its future anew.
async fn plan_anew(company: &Company, plan: pb::Plan) {
    let request = pb::ListEnrolmentsRequest { plan_id: plan.plan_id, ..Default::default() };
    let listed = company.plans().list_enrolments(company.by("manager", request)).await.expect("a page");
    let enrolment_id = listed.into_inner().enrolments[0].enrolment_id.clone();
    let pause = pb::PauseEnrolmentRequest { enrolment_id: enrolment_id.clone(), ..Default::default() };
    company.plans().pause_enrolment(company.by("manager", pause)).await.expect("it pauses");
    let resume = pb::ResumeEnrolmentRequest { enrolment_id, ..Default::default() };
    company.plans().resume_enrolment(company.by("manager", resume)).await.expect("it resumes");
}

#[tokio::test]
async fn a_customer_who_leaves_with_an_open_task_and_enters_again_keeps_one_cadence() {
    in_each_company(async |company: &Company| {
        let (id, task, segment) = company.with_open_task_in_segment().await;
        let left = customer::SegmentLeft { segment_id: segment.to_string(), customer_id: id.to_string(), crossing: 1 };
        company.event("customer", id.uuid(), &left).await;
        company.enter(segment, company.facts(id, 1, "rep"), 2).await;
        company.settle().await;
        let live = company.list("rep", &LIVE).await;
        assert_eq!((live.len(), &live[0].task_id), (1, &task.task_id), "it is worked on; the next comes after it");
        let done = pb::CompleteTaskRequest {
            task_id: task.task_id,
            result: "reached".into(),
            channel: pb::Channel::Phone.into(),
            ..Default::default()
        };
        company.tasks().complete_task(company.by("rep", done)).await.expect("done");
        let live = company.list("rep", &LIVE).await;
        assert_eq!((live.len(), instant(live[0].open_time)), (1, shanghai("2026-03-16T09:00")));
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_date_on_a_free_day_survives_a_new_plan_before_the_next_working_day() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let forward = |plan: &mut pb::PlanDefinition| plan.steps[0].roll = pb::Roll::Forward.into();
        let plan = company.publish_changed("birthday", segment, forward).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        born(company, id, "1992-03-07").await;
        // The birthday is a Saturday; its task waits for Monday.
        company.advance_to_local("2026-03-08T12:00").await;
        plan_anew(company, plan).await;
        let planned = company.list("rep", &LIVE).await;
        assert_eq!((planned.len(), instant(planned[0].open_time)), (1, shanghai("2026-03-09T09:00")), "this year's");
        company.advance_to_local("2026-03-09T09:00").await;
        let live = company.list("rep", &LIVE).await;
        let opens: Vec<_> = live.iter().map(|task| (task.state(), instant(task.open_time))).collect();
        let next_year = (pb::TaskState::Scheduled, shanghai("2027-03-08T09:00"));
        assert_eq!(opens, [(pb::TaskState::Open, shanghai("2026-03-09T09:00")), next_year]);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_date_that_was_settled_before_it_came_is_not_planned_again() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("birthday", segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        born(company, id, "1992-03-05").await;
        company.settle().await;
        let task_id = company.list("rep", &LIVE).await.remove(0).task_id;
        let skip = pb::SkipTaskRequest { task_id, reason: "greeted in person".into(), ..Default::default() };
        company.tasks().skip_task(company.by("rep", skip)).await.expect("it is left out");
        plan_anew(company, plan).await;
        let planned = company.list("rep", &LIVE).await;
        assert_eq!((planned.len(), instant(planned[0].open_time)), (1, shanghai("2027-03-05T09:00")));
    })
    .await;
}

#[tokio::test]
async fn what_happens_at_night_opens_its_task_when_work_begins_again() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let at_once = |plan: &mut pb::PlanDefinition| {
            let Some(pb::trigger::Kind::Event(event)) =
                plan.steps[0].trigger.as_mut().and_then(|trigger| trigger.kind.as_mut())
            else {
                panic!("the first step waits for an event")
            };
            event.delay_days = 0;
        };
        company.publish_changed("after_sales", segment, at_once).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.advance_to_local("2026-03-03T22:30").await;
        let won = customer::CustomerFacts { stage: "won".into(), ..company.facts(id, 2, "rep") };
        let changed = customer::CustomerChanged { facts: Some(won), former_stage: "lead".into(), ..Default::default() };
        company.event("customer", id.uuid(), &changed).await;
        company.settle().await;
        assert_eq!(company.heard::<pb::ReminderDue>().await, [], "nobody is reminded at night");
        let planned = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!(instant(planned[0].open_time), shanghai("2026-03-04T09:00"));
        company.advance_to_local("2026-03-04T09:00").await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        assert_eq!((open.len(), instant(open[0].open_time)), (1, shanghai("2026-03-04T09:00")));
        company.assert_timers_fit().await;
    })
    .await;
}
