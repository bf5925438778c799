//! How much of a kind a company may have, and what a request may not say.

use revisit_proto::followup::v1 as pb;
use tonic::Code;

use super::support::{Company, fields, in_each_company, reason};

#[tokio::test]
async fn a_company_has_no_more_calendars_than_are_changed_together() {
    in_each_company(async |company: &Company| {
        let create = async |number: usize| {
            let monday = pb::WorkingInterval { weekday: 1, start_time: "10:00".into(), end_time: "18:00".into() };
            let name = format!("shop {number}");
            let calendar = pb::Calendar { name, intervals: vec![monday], ..Default::default() };
            let request = pb::CreateCalendarRequest { calendar: Some(calendar), ..Default::default() };
            company.calendars().create_calendar(company.by("admin", request)).await
        };
        for number in 0..100 {
            create(number).await.expect("one more");
        }
        let refused = create(100).await.expect_err("too many");
        assert_eq!((refused.code(), reason(&refused)), (Code::ResourceExhausted, "TOO_MANY_CALENDARS"));
    })
    .await;
}

#[tokio::test]
async fn what_a_template_says_itself_is_refused_beside_it() {
    in_each_company(async |company: &Company| {
        let segment_id = company.new_id::<revisit_core::id::kind::Segment>().to_string();
        let frame = pb::PlanDefinition { segment_id, time_zone: "Asia/Tokyo".into(), ..Default::default() };
        let create = async |definition: pb::PlanDefinition| {
            let request = pb::CreatePlanRequest {
                name: "weekly".into(),
                template_key: "grade_a_weekly".into(),
                definition: Some(definition),
                ..Default::default()
            };
            company.plans().create_plan(company.by("admin", request)).await
        };
        let quiet = pb::Reminders { at_due: true, ..Default::default() };
        for ignored in [
            pb::PlanDefinition { asks_satisfaction: true, ..frame.clone() },
            pb::PlanDefinition { follow_on_reminders: Some(quiet), ..frame.clone() },
        ] {
            let refused = create(ignored).await.expect_err("the template says it");
            assert_eq!((refused.code(), fields(&refused)), (Code::InvalidArgument, vec!["definition".to_owned()]));
        }
        create(frame).await.expect("a draft");
    })
    .await;
}
