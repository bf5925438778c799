//! Moving enrolments to another version of their plan.

use revisit_core::id::SegmentId;
use revisit_proto::followup::v1 as pb;

use super::support::{Company, in_each_company, instant, shanghai};

async fn enrolments(company: &Company, plan: &pb::Plan) -> Vec<pb::Enrolment> {
    let request = pb::ListEnrolmentsRequest { plan_id: plan.plan_id.clone(), ..Default::default() };
    company.plans().list_enrolments(company.by("manager", request)).await.expect("a page").into_inner().enrolments
}

#[tokio::test]
async fn who_moves_to_a_version_lives_in_its_zone_and_a_paused_enrolment_shows_that_it_has_moved() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("grade_a_weekly", segment).await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.enter(segment, company.facts(company.new_id(), 1, "colleague"), 1).await;
        company.settle().await;
        let pause = enrolments(company, &plan).await.remove(0).enrolment_id;
        let pause = pb::PauseEnrolmentRequest { enrolment_id: pause, ..Default::default() };
        let paused =
            company.plans().pause_enrolment(company.by("manager", pause)).await.expect("it pauses").into_inner();

        let definition = pb::PlanDefinition { time_zone: "Asia/Tokyo".into(), ..plan.definition.clone().expect("one") };
        let changed = pb::Plan { plan_id: plan.plan_id.clone(), definition: Some(definition), ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["definition".into()] });
        let update = pb::UpdatePlanRequest { plan: Some(changed), update_mask, ..Default::default() };
        company.plans().update_plan(company.by("admin", update)).await.expect("a draft");
        let publish = pb::PublishPlanRequest {
            plan_id: plan.plan_id.clone(),
            enrolments: pb::EnrolmentPolicy::Migrate.into(),
            ..Default::default()
        };
        company.plans().publish_plan(company.by("admin", publish)).await.expect("version 2");
        company.settle().await;

        let moved = enrolments(company, &plan).await;
        let stand: Vec<_> = moved.iter().map(|one| (one.plan_version, one.time_zone.as_str())).collect();
        assert_eq!(stand, [(2, "Asia/Tokyo"); 2]);
        assert_ne!(moved[0].etag, paused.etag, "whoever read it before it moved is told");
        let planned = company.list("manager", &[pb::TaskState::Scheduled]).await;
        assert_eq!(instant(planned[0].open_time), shanghai("2026-03-09T08:00"), "nine in Tokyo");
    })
    .await;
}
