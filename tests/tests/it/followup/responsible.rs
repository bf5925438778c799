//! Who takes over: of somebody who was suspended, and in a transfer to another department.

use std::time::Duration;

use revisit_core::id::{DepartmentId, SegmentId};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb, identity::v1 as identity};

use super::support::{Company, in_each_company};

const OPEN: [pb::TaskState; 1] = [pb::TaskState::Open];

#[tokio::test]
async fn what_a_suspended_person_had_open_goes_to_who_is_responsible() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let to_do = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "order samples".into(),
            due_time: super::support::wire(company.now() + Duration::from_hours(24)),
            ..Default::default()
        };
        let to_do = company.tasks().create_task(company.by("rep", to_do)).await.expect("a to-do").into_inner();
        company.person("rep", identity::SubjectState::Suspended, 2).await;
        company.settle().await;
        let open = company.list("boss", &OPEN).await;
        let mut found: Vec<_> = open.iter().map(|task| task.task_id.clone()).collect();
        let mut wanted = vec![task.task_id, to_do.task_id];
        found.sort();
        wanted.sort();
        assert_eq!(found, wanted);
        let manager = company.who("manager").to_string();
        assert!(open.iter().all(|task| task.assignee_id == manager), "the head of the department answers");
        company.advance_to(company.now() + Duration::from_secs(10)).await;
        assert_eq!(company.reports.told(), [], "identity asked for nothing");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_transfer_ends_however_much_work_stays_in_the_other_departments() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("grade_a_weekly", segment).await;
        for _ in 0..201 {
            company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        }
        let branch: DepartmentId = company.new_id();
        let changed = identity::DepartmentChanged {
            department_id: branch.to_string(),
            version: 1,
            head_id: company.who("colleague").to_string(),
            ..Default::default()
        };
        company.event("identity", branch.uuid(), &changed).await;
        let here =
            customer::CustomerFacts { department_id: branch.to_string(), ..company.facts(company.new_id(), 1, "rep") };
        company.enter(segment, here, 1).await;
        company.advance_to_local("2026-03-09T09:00").await;
        let rule = identity::successor_rule::Rule::UserId(company.who("colleague").to_string());
        let started = identity::HandOverStarted {
            hand_over_id: company.new_id::<revisit_core::id::kind::Job>().to_string(),
            user_id: company.who("rep").to_string(),
            from_department_id: branch.to_string(),
            successor: Some(identity::SuccessorRule { rule: Some(rule) }),
            effective_time_micros: company.now().micros(),
            ..Default::default()
        };
        company.event("identity", company.who("rep").uuid(), &started).await;
        company.advance_to(company.now() + Duration::from_secs(10)).await;
        let told = company.reports.told();
        let last = told.last().expect("identity hears how far it is");
        assert_eq!((last.moved, last.remaining), (1, 0));
        assert_eq!(company.list("colleague", &OPEN).await.len(), 1, "only what lay in the department moved");
        assert_eq!(company.list("rep", &OPEN).await.len(), 201);
        company.assert_timers_fit().await;
    })
    .await;
}
