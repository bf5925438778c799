//! What other services ask of followup, what it reports to them, the words that it proposes, and the monitor that looks
//! by itself.

use std::time::Duration;

use revisit_core::id::SegmentId;
use revisit_proto::{
    followup::v1::{self as pb, today_client::TodayClient},
    identity::v1::{self as identity, task_hand_over_client::TaskHandOverClient},
};
use tonic::Code;

use super::support::{Company, in_each_company, instant, reason, shanghai, wire};

/// An open weekly task of the rep, due on 10 March at six, and a to-do of theirs, due that morning.
async fn with_work(company: &Company) -> [String; 2] {
    let segment: SegmentId = company.new_id();
    company.publish("grade_a_weekly", segment).await;
    company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
    company.advance_to_local("2026-03-09T09:00").await;
    let weekly = company.list("rep", &[pb::TaskState::Open]).await.remove(0);
    let to_do = pb::CreateTaskRequest {
        kind: pb::TaskKind::Todo.into(),
        title: "order samples".into(),
        due_time: wire(shanghai("2026-03-10T09:00")),
        ..Default::default()
    };
    let to_do = company.tasks().create_task(company.by("rep", to_do)).await.expect("a to-do").into_inner();
    company.settle().await;
    [weekly.task_id, to_do.task_id]
}

#[tokio::test]
async fn the_digest_counts_what_is_due_on_somebodys_day_and_what_is_overdue_before_it() {
    in_each_company(async |company: &Company| {
        with_work(company).await;
        let day = |who: &str, day: &str| {
            let from = shanghai(&format!("2026-03-{day}T00:00"));
            pb::TodayQuestion {
                assignee_id: company.who(who).to_string(),
                from_micros: from.micros(),
                until_micros: (from + Duration::from_hours(24)).micros(),
            }
        };
        let questions = vec![day("rep", "09"), day("rep", "10"), day("rep", "11"), day("colleague", "10")];
        let ask = pb::CountTodayRequest { tenant_id: company.identity.tenant.to_string(), questions };
        let mut today = TodayClient::new(company.line());
        let told = today.count_today(company.as_service("notification", ask.clone())).await.expect("counts");
        let counts: Vec<_> =
            told.into_inner().counts.iter().map(|count| (count.due_count, count.overdue_count)).collect();
        assert_eq!(counts, [(0, 0), (2, 0), (0, 2), (0, 0)]);
        let elsewhere = pb::CountTodayRequest {
            tenant_id: company.new_id::<revisit_core::id::kind::Tenant>().to_string(),
            ..ask.clone()
        };
        let elsewhere = today.count_today(company.as_service("notification", elsewhere)).await.expect("counts");
        assert!(elsewhere.into_inner().counts.iter().all(|count| count.due_count == 0 && count.overdue_count == 0));
        let denied = today.count_today(company.as_service("identity", ask.clone())).await.expect_err("not for them");
        assert_eq!(denied.code(), Code::PermissionDenied);
        let user = today.count_today(company.by("boss", ask)).await.expect_err("not for people");
        assert!([Code::PermissionDenied, Code::Unauthenticated].contains(&user.code()), "{user:?}");
    })
    .await;
}

#[tokio::test]
async fn a_preview_of_a_hand_over_names_the_tasks_that_would_move_and_moves_none() {
    in_each_company(async |company: &Company| {
        let mut wanted = with_work(company).await;
        wanted.sort();
        let mut client = TaskHandOverClient::new(company.line());
        let ask = identity::PreviewHandOverRequest {
            tenant_id: company.identity.tenant.to_string(),
            user_id: company.who("rep").to_string(),
            from_department_id: company.store.to_string(),
        };
        let told = client.preview_task_hand_over(company.as_service("identity", ask.clone())).await.expect("a look");
        let mut told = told.into_inner();
        told.row_ids.sort();
        assert_eq!((told.count, told.row_ids.as_slice()), (2, wanted.as_slice()));
        let other = company.new_id::<revisit_core::id::kind::Department>().to_string();
        let other = identity::PreviewHandOverRequest { from_department_id: other, ..ask.clone() };
        let other = client.preview_task_hand_over(company.as_service("identity", other)).await.expect("a look");
        assert_eq!(other.into_inner().count, 0, "in another department the rep has no work");
        let denied = client.preview_task_hand_over(company.as_service("notification", ask)).await;
        assert_eq!(denied.expect_err("not for them").code(), Code::PermissionDenied);
        assert_eq!(company.list("colleague", &[pb::TaskState::Open]).await, [], "nothing has moved");
    })
    .await;
}

#[tokio::test]
async fn a_part_of_a_hand_over_is_reported_pass_by_pass_until_identity_says_that_it_has_ended() {
    in_each_company(async |company: &Company| {
        with_work(company).await;
        let effective = company.now();
        let rule = identity::successor_rule::Rule::UserId(company.who("colleague").to_string());
        let started = identity::HandOverStarted {
            hand_over_id: company.new_id::<revisit_core::id::kind::Job>().to_string(),
            user_id: company.who("rep").to_string(),
            successor: Some(identity::SuccessorRule { rule: Some(rule) }),
            effective_time_micros: effective.micros(),
            ..Default::default()
        };
        company.event("identity", company.who("rep").uuid(), &started).await;
        company.advance_to(effective + Duration::from_secs(60)).await;
        let reports = company.reports.told();
        let first = &reports[0];
        assert_eq!(
            (first.hand_over_id.as_str(), first.part()),
            (&*started.hand_over_id, identity::HandOverPart::Tasks)
        );
        assert_eq!((first.pass, first.moved, first.refused, first.remaining), (1, 2, 0, 0));
        let last = reports.last().expect("a report");
        assert_eq!((last.pass, last.moved, last.remaining), (2, 2, 0), "{reports:?}");
        assert!(instant(last.pass_start_time) >= effective + Duration::from_secs(5), "late writes are looked for");
        assert_eq!(company.number("SELECT count(*) AS n FROM hand_over WHERE NOT done").await, 0);
        // Told again, as a bus may, nothing begins anew.
        company.event("identity", company.who("rep").uuid(), &started).await;
        company.advance_to(effective + Duration::from_secs(120)).await;
        assert_eq!(company.reports.told().len(), reports.len());
    })
    .await;
}

#[tokio::test]
async fn the_script_of_the_most_specific_tag_is_proposed_and_what_may_not_be_read_stays_a_dash() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let script = |tags: &[&str], text: &str| pb::Script {
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            text: text.into(),
        };
        company
            .publish_changed("grade_a_weekly", segment, |definition| {
                definition.steps[0].scripts =
                    vec![script(&[], "hello {{name}}"), script(&["vip"], "welcome back, {{name}} of {{city}}")];
            })
            .await;
        let plain = company.facts(company.new_id(), 1, "rep");
        let tagged = revisit_proto::customer::v1::CustomerFacts {
            tags: vec!["vip".into()],
            ..company.facts(company.new_id(), 1, "rep")
        };
        let vip = tagged.customer_id.clone();
        company.enter(segment, plain, 1).await;
        company.enter(segment, tagged, 1).await;
        company.advance_to_local("2026-03-09T09:00").await;
        for task in company.list("rep", &[pb::TaskState::Open]).await {
            let request = pb::GetScriptRequest { task_id: task.task_id.clone() };
            let told = company.tasks().get_script(company.by("rep", request)).await.expect("words").into_inner();
            // Nobody answers for customer here: then every value is withheld, and the words still come.
            if task.customer_id == vip {
                assert_eq!((told.text.as_str(), told.tags), ("welcome back, — of —", vec!["vip".to_owned()]));
                assert_eq!(told.withheld_variables, ["name", "city"]);
            } else {
                assert_eq!((told.text.as_str(), told.tags.len()), ("hello —", 0));
            }
            let request = pb::GetScriptRequest { task_id: task.task_id };
            let hidden = company.tasks().get_script(company.by("colleague", request)).await.expect_err("not theirs");
            assert_eq!((hidden.code(), reason(&hidden)), (Code::NotFound, "TASK_NOT_FOUND"));
        }
    })
    .await;
}

#[tokio::test]
async fn the_monitor_finds_by_itself_who_is_without_a_next_task_or_a_person_responsible() {
    in_each_company(async |company: &Company| {
        with_work(company).await;
        let looked = async || {
            let request = company.by("boss", pb::CheckContinuityRequest::default());
            company.metrics().check_continuity(request).await.expect("a look").into_inner()
        };
        let whole = company.until(async || Some(looked().await).filter(|seen| seen.monitor_time.is_some())).await;
        assert_eq!(whole.monitor_gap_count, 0, "{whole:?}");
        // A customer of grade A in no plan, and one whose owner is gone.
        company.customer("rep").await;
        company.customer("colleague").await;
        company.person("colleague", identity::SubjectState::Left, 2).await;
        company.settle().await;
        let found = company.until(async || Some(looked().await).filter(|seen| seen.monitor_gap_count == 3)).await;
        assert_eq!((found.ownerless_count, found.taskless_count, found.orphan_task_count), (1, 2, 0));
    })
    .await;
}
