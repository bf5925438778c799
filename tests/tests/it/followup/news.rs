//! What other services tell, in whatever order it comes, and what this one tells of the end of a task.

use std::time::Duration;

use revisit_core::id::{CustomerId, SegmentId};
use revisit_proto::{
    customer::v1 as customer,
    followup::v1::{self as pb, today_client::TodayClient},
};
use tonic::Code;

use super::support::{Company, fields, in_each_company, instant, shanghai, wire};

const SCHEDULED: [pb::TaskState; 1] = [pb::TaskState::Scheduled];

async fn born(company: &Company, id: CustomerId, (day, version): (&str, i64)) {
    let fact = customer::FactChanged {
        customer_id: id.to_string(),
        field: "birthday".into(),
        value: format!("1992-03-{day}"),
        version,
    };
    company.event("customer", id.uuid(), &fact).await;
    company.settle().await;
}

#[tokio::test]
async fn an_order_that_overtakes_its_customer_waits_for_it() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("after_sales", segment).await;
        let id: CustomerId = company.new_id();
        let order = customer::OrderRecorded { customer_id: id.to_string(), ..Default::default() };
        company.event("customer", id.uuid(), &order).await;
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        let ordered = async || company.list("rep", &SCHEDULED).await.into_iter().next();
        let task = company.until(ordered).await;
        assert_eq!(task.nominal_local_time, "2026-05-01T09:00", "sixty days after the order");
    })
    .await;
}

#[tokio::test]
async fn an_older_date_changes_nothing_after_a_newer_event_that_said_the_same() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("birthday", segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        born(company, id, ("05", 1)).await;
        born(company, id, ("05", 3)).await;
        born(company, id, ("09", 2)).await;
        let planned = company.list("rep", &SCHEDULED).await;
        assert_eq!((planned.len(), instant(planned[0].open_time)), (1, shanghai("2026-03-05T09:00")));
    })
    .await;
}

#[tokio::test]
async fn the_morning_counts_what_opens_and_is_due_in_the_course_of_the_day() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish_changed("grade_a_weekly", segment, |plan| plan.steps[0].due_within_minutes = 60).await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.advance_to_local("2026-03-09T08:30").await;
        let question = pb::TodayQuestion {
            assignee_id: company.who("rep").to_string(),
            from_micros: shanghai("2026-03-09T00:00").micros(),
            until_micros: shanghai("2026-03-10T00:00").micros(),
        };
        let ask = pb::CountTodayRequest { tenant_id: company.identity.tenant.to_string(), questions: vec![question] };
        let told = TodayClient::new(company.line()).count_today(company.as_service("notification", ask)).await;
        let count = told.expect("counts").into_inner().counts[0];
        assert_eq!((count.due_count, count.overdue_count), (1, 0));
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_to_do_is_told_and_its_answer_is_forgotten_in_time() {
    in_each_company(async |company: &Company| {
        let to_do = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "order samples".into(),
            due_time: wire(company.now() + Duration::from_hours(24)),
            request_id: company.new_id::<revisit_core::id::kind::Event>().to_string(),
            ..Default::default()
        };
        let to_do = company.tasks().create_task(company.by("rep", to_do)).await.expect("a to-do").into_inner();
        assert_eq!(company.number("SELECT count(*) AS n FROM request").await, 1);
        let done =
            pb::CompleteTaskRequest { task_id: to_do.task_id.clone(), result: "done".into(), ..Default::default() };
        company.tasks().complete_task(company.by("rep", done)).await.expect("done");
        let closed = company.heard::<pb::TaskClosed>().await;
        assert_eq!((closed.len(), &closed[0].task_id, closed[0].customer_id.as_str()), (1, &to_do.task_id, ""));
        company.advance_to(company.now() + Duration::from_hours(30)).await;
        assert_eq!(company.number("SELECT count(*) AS n FROM request").await, 0);
    })
    .await;
}

#[tokio::test]
async fn another_audience_releases_the_former_one() {
    in_each_company(async |company: &Company| {
        let (former, both, next): (SegmentId, CustomerId, SegmentId) =
            (company.new_id(), company.new_id(), company.new_id());
        let plan = company.publish("grade_a_weekly", former).await;
        company.enter(former, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.enter(former, company.facts(both, 1, "colleague"), 1).await;
        company.enter(next, company.facts(both, 1, "colleague"), 1).await;
        company.settle().await;
        let mut definition = plan.definition.clone().expect("a definition");
        definition.segment_id = next.to_string();
        let changed = pb::Plan {
            plan_id: plan.plan_id.clone(),
            definition: Some(definition),
            etag: plan.etag,
            ..Default::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["definition".into()] });
        let update = pb::UpdatePlanRequest { plan: Some(changed), update_mask, ..Default::default() };
        company.plans().update_plan(company.by("admin", update)).await.expect("a draft");
        let publish = pb::PublishPlanRequest { plan_id: plan.plan_id, ..Default::default() };
        company.plans().publish_plan(company.by("admin", publish)).await.expect("a version");
        company.settle().await;
        assert_eq!(company.list("rep", &SCHEDULED).await, [], "no member of the new audience");
        assert_eq!(company.list("colleague", &SCHEDULED).await.len(), 1, "a member of both goes on");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_local_time_at_the_ends_of_the_calendar_is_a_violation_and_no_panic() {
    in_each_company(async |company: &Company| {
        for local_time in ["+262142-12-31T23:59", "-262143-01-01T00:00", "12026-03-02T09:00"] {
            let request = pb::ResolveTimeRequest {
                local_time: local_time.into(),
                time_zone: "Asia/Shanghai".into(),
                add_working_minutes: 43_200,
                ..Default::default()
            };
            let refused = company.calendars().resolve_time(company.by("rep", request)).await.expect_err("no such year");
            assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["local_time".to_owned()]));
        }
    })
    .await;
}
