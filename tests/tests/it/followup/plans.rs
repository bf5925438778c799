//! Plans and enrolments: drafting, publishing, entering, leaving, regrading, pausing.

use revisit_core::id::SegmentId;
use revisit_permission::{Action, Effect, Layer, Level, Levels};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb};
use tonic::Code;

use super::support::{Company, fields, in_each_company, instant, reason, shanghai};

fn scheduled() -> [pb::TaskState; 1] {
    [pb::TaskState::Scheduled]
}

#[tokio::test]
async fn a_customer_who_enters_the_segment_is_enrolled_and_one_who_leaves_is_released() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("grade_a_weekly", segment).await;
        let id = company.customer("rep").await;
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.settle().await;
        let tasks = company.list("rep", &scheduled()).await;
        assert_eq!(tasks.len(), 1);
        assert_eq!(instant(tasks[0].open_time), shanghai("2026-03-09T09:00"));
        assert_eq!(
            (tasks[0].title.as_str(), tasks[0].nominal_local_time.as_str()),
            ("Regular follow-up", "2026-03-09T09:00")
        );
        // The same crossing once more changes nothing.
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.settle().await;
        assert_eq!(company.list("rep", &scheduled()).await.len(), 1);
        let left = customer::SegmentLeft { segment_id: segment.to_string(), customer_id: id.to_string(), crossing: 1 };
        company.event("customer", id.uuid(), &left).await;
        company.settle().await;
        assert_eq!(company.list("rep", &scheduled()).await, []);
        let cancelled = company.list("rep", &[pb::TaskState::Cancelled]).await;
        assert_eq!(cancelled[0].reason, "the customer left the plan's audience");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn present_members_are_enrolled_when_a_plan_is_published() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        for _ in 0..120 {
            let id = company.new_id();
            company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        }
        company.settle().await;
        let plan = company.publish("grade_a_weekly", segment).await;
        assert_eq!(company.list("rep", &scheduled()).await.len(), 120);
        let request = pb::ListEnrolmentsRequest { plan_id: plan.plan_id, page_size: 50, ..Default::default() };
        let first =
            company.plans().list_enrolments(company.by("manager", request.clone())).await.expect("a page").into_inner();
        assert_eq!(first.enrolments.len(), 50);
        let next = pb::ListEnrolmentsRequest { page_token: first.next_page_token, ..request };
        let second = company.plans().list_enrolments(company.by("manager", next)).await.expect("a page").into_inner();
        assert!(first.enrolments.iter().all(|one| second.enrolments.iter().all(|other| one != other)));
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_regrade_plans_future_tasks_anew_and_leaves_open_ones_alone() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = by_grade(company, segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.advance_to_local("2026-03-09T09:00").await;
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await.len(), 1, "the weekly contact is open");
        let facts = customer::CustomerFacts { grade: "B".into(), ..company.facts(id, 2, "rep") };
        let changed = customer::CustomerChanged { facts: Some(facts), former_grade: "A".into(), ..Default::default() };
        company.event("customer", id.uuid(), &changed).await;
        company.settle().await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        assert_eq!((open.len(), open[0].step_key.as_str()), (1, "weekly"));
        let next = company.list("rep", &scheduled()).await;
        assert_eq!((next.len(), next[0].step_key.as_str()), (1, "monthly"));
        let request = pb::ListEnrolmentsRequest { plan_id: plan.plan_id, ..Default::default() };
        let enrolments =
            company.plans().list_enrolments(company.by("manager", request)).await.expect("a page").into_inner();
        assert_eq!(enrolments.enrolments[0].generation, 2);
        assert_eq!(enrolments.enrolments[0].reason, "the customer's stage or grade changed");
        company.assert_timers_fit().await;
    })
    .await;
}

/// One plan with a weekly step for A and a monthly one for B.
async fn by_grade(company: &Company, segment: SegmentId) -> pb::Plan {
    let shipped = company.plans().list_plan_templates(company.by("admin", pb::ListPlanTemplatesRequest {})).await;
    let shipped = shipped.expect("templates").into_inner().templates;
    let step = |key: &str| {
        let template = shipped.iter().find(|template| template.key == key).expect("it ships");
        template.definition.clone().expect("a definition").steps.remove(0)
    };
    let mut definition = shipped[0].definition.clone().expect("a definition");
    definition.segment_id = segment.to_string();
    definition.steps = vec![
        pb::Step { key: "weekly".into(), grades: vec!["A".into()], ..step("grade_a_weekly") },
        pb::Step { key: "monthly".into(), grades: vec!["B".into()], ..step("grade_b_monthly") },
    ];
    let request = pb::CreatePlanRequest { name: "by grade".into(), definition: Some(definition), ..Default::default() };
    let plan = company.plans().create_plan(company.by("admin", request)).await.expect("a draft").into_inner();
    let request = pb::PublishPlanRequest { plan_id: plan.plan_id, ..Default::default() };
    company.plans().publish_plan(company.by("admin", request)).await.expect("a version").into_inner()
}

#[tokio::test]
async fn an_event_makes_its_tasks_once_however_often_it_arrives() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("after_sales", segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.settle().await;
        assert_eq!(company.list("rep", &scheduled()).await, []);
        let won = customer::CustomerFacts { stage: "won".into(), ..company.facts(id, 2, "rep") };
        let changed = customer::CustomerChanged { facts: Some(won), former_stage: "lead".into(), ..Default::default() };
        company.event("customer", id.uuid(), &changed).await;
        company.event("customer", id.uuid(), &changed).await;
        company.settle().await;
        let tasks = company.list("rep", &scheduled()).await;
        let steps: Vec<_> = tasks.iter().map(|task| task.step_key.as_str()).collect();
        assert_eq!(steps, ["thanks", "use"]);
    })
    .await;
}

#[tokio::test]
async fn a_reply_cancels_the_nudge_and_the_silence_is_counted_anew() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("silence_nudge", segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.advance_to_local("2026-03-16T10:00").await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        assert_eq!(open.len(), 1, "two weeks without a word");
        let time_micros = company.now().micros();
        let reply = customer::InboundReceived { customer_id: id.to_string(), entry_id: String::new(), time_micros };
        company.event("customer", id.uuid(), &reply).await;
        company.settle().await;
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await, []);
        assert_eq!(company.heard::<pb::TaskClosed>().await.len(), 1, "its access is over");
        let next = company.list("rep", &scheduled()).await;
        assert_eq!(instant(next[0].open_time), shanghai("2026-03-30T09:00"));
    })
    .await;
}

#[tokio::test]
async fn a_birthday_comes_every_year_and_a_changed_date_moves_it() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("birthday", segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        let born = async |value: &str, version: i64| {
            let fact = customer::FactChanged {
                customer_id: id.to_string(),
                field: "birthday".into(),
                value: value.into(),
                version,
            };
            company.event("customer", id.uuid(), &fact).await;
            company.settle().await;
        };
        born("1992-02-29", 1).await;
        let planned = company.list("rep", &scheduled()).await;
        assert_eq!(instant(planned[0].open_time), shanghai("2027-02-28T09:00"), "28 February in a common year");
        born("1992-03-05", 2).await;
        let planned = company.list("rep", &scheduled()).await;
        assert_eq!((planned.len(), instant(planned[0].open_time)), (1, shanghai("2026-03-05T09:00")));
        company.advance_to_local("2026-03-05T09:00").await;
        let planned = company.list("rep", &scheduled()).await;
        assert_eq!(
            instant(planned[0].open_time),
            shanghai("2027-03-05T09:00"),
            "next year's is planted when this one opens"
        );
    })
    .await;
}

#[tokio::test]
async fn who_may_not_see_a_customer_neither_finds_nor_pauses_its_enrolment() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("grade_a_weekly", segment).await;
        let (own, other) = (company.new_id(), company.new_id());
        company.enter(segment, company.facts(own, 1, "rep"), 1).await;
        let elsewhere = company.new_id::<revisit_core::id::kind::Department>().to_string();
        let facts = customer::CustomerFacts { department_id: elsewhere, ..company.facts(other, 1, "boss") };
        company.enter(segment, facts, 1).await;
        company.settle().await;
        let of_plan = pb::ListEnrolmentsRequest { plan_id: plan.plan_id, ..Default::default() };
        let list = async |who: &str| {
            let listed = company.plans().list_enrolments(company.by(who, of_plan.clone())).await.expect("a page");
            listed.into_inner().enrolments
        };
        let seen: Vec<_> = list("manager").await.into_iter().map(|one| one.customer_id).collect();
        assert_eq!(seen, [own.to_string()], "the list says what the check says");
        let all = list("boss").await;
        assert_eq!(all.len(), 2);
        let hidden = all.into_iter().find(|one| one.customer_id == other.to_string()).expect("it is enrolled");
        let pause = pb::PauseEnrolmentRequest { enrolment_id: hidden.enrolment_id.clone(), ..Default::default() };
        let refused = company.plans().pause_enrolment(company.by("manager", pause)).await.expect_err("out of sight");
        assert_eq!((refused.code(), reason(&refused)), (Code::NotFound, "ENROLMENT_NOT_FOUND"));
        let resume = pb::ResumeEnrolmentRequest { enrolment_id: hidden.enrolment_id, ..Default::default() };
        let refused = company.plans().resume_enrolment(company.by("manager", resume)).await.expect_err("out of sight");
        assert_eq!(reason(&refused), "ENROLMENT_NOT_FOUND");
    })
    .await;
}

#[tokio::test]
async fn a_paused_enrolment_plans_nothing_until_it_is_resumed() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("grade_a_weekly", segment).await;
        let id = company.new_id();
        company.enter(segment, company.facts(id, 1, "rep"), 1).await;
        company.settle().await;
        let request = pb::ListEnrolmentsRequest { plan_id: plan.plan_id, ..Default::default() };
        let listed =
            company.plans().list_enrolments(company.by("manager", request)).await.expect("a page").into_inner();
        let enrolment_id = listed.enrolments[0].enrolment_id.clone();
        let request = pb::PauseEnrolmentRequest { enrolment_id: enrolment_id.clone(), ..Default::default() };
        let denied =
            company.plans().pause_enrolment(company.by("rep", request.clone())).await.expect_err("a rep may not");
        assert_eq!(denied.code(), Code::PermissionDenied);
        let stale = pb::PauseEnrolmentRequest { etag: "99".into(), ..request.clone() };
        let stale = company.plans().pause_enrolment(company.by("manager", stale)).await.expect_err("it is stale");
        assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "ETAG_STALE"));
        company.plans().pause_enrolment(company.by("manager", request.clone())).await.expect("it pauses");
        company.plans().pause_enrolment(company.by("manager", request)).await.expect("twice changes nothing");
        assert_eq!(company.list("rep", &scheduled()).await, []);
        company.advance_to_local("2026-03-20T10:00").await;
        let request = pb::ResumeEnrolmentRequest { enrolment_id, ..Default::default() };
        company.plans().resume_enrolment(company.by("manager", request)).await.expect("it resumes");
        company.settle().await;
        let live = company.list("rep", &[pb::TaskState::Scheduled, pb::TaskState::Open]).await;
        assert_eq!(live.len(), 1);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn publishing_needs_the_right_to_grant_what_is_lent_and_shows_the_difference() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let request = pb::CreatePlanRequest {
            name: "weekly".into(),
            template_key: "grade_a_weekly".into(),
            definition: Some(pb::PlanDefinition { segment_id: segment.to_string(), ..Default::default() }),
            request_id: company.new_id::<revisit_core::id::kind::Event>().to_string(),
        };
        let plan =
            company.plans().create_plan(company.by("admin", request.clone())).await.expect("a draft").into_inner();
        let again =
            company.plans().create_plan(company.by("admin", request.clone())).await.expect("the same").into_inner();
        assert_eq!(plan, again, "a repeat answers the first plan");
        let other = pb::CreatePlanRequest { name: "other".into(), ..request };
        let reused = company.plans().create_plan(company.by("admin", other)).await.expect_err("another body");
        assert_eq!(reason(&reused), "REQUEST_ID_REUSED");
        let preview = pb::PreviewPlanRequest { plan_id: plan.plan_id.clone() };
        let by = |who: &str| company.by(who, preview.clone());
        let shown = company.plans().preview_plan(by("admin")).await.expect("a preview").into_inner();
        assert_eq!(shown.added_layers, ["basic", "sensitive", "history"]);
        assert_eq!(shown.refused_layers, Vec::<String>::new());
        let shown = company.plans().preview_plan(by("manager")).await.expect("a preview").into_inner();
        assert_eq!(shown.refused_layers, ["basic", "sensitive", "history"]);
        let publish = pb::PublishPlanRequest { plan_id: plan.plan_id.clone(), ..Default::default() };
        let denied = company.plans().publish_plan(company.by("manager", publish.clone())).await.expect_err("no right");
        assert_eq!(denied.code(), Code::PermissionDenied);
        let published =
            company.plans().publish_plan(company.by("admin", publish.clone())).await.expect("a version").into_inner();
        assert_eq!((published.published_version, published.has_draft), (1, false));
        let nothing = company.plans().publish_plan(company.by("admin", publish)).await.expect_err("nothing differs");
        assert_eq!(reason(&nothing), "PLAN_WITHOUT_DRAFT");
        assert_eq!(company.heard::<pb::PlanPublished>().await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn who_runs_in_a_plan_is_counted_for_who_may_count_them_alone() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("grade_a_weekly", segment).await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.settle().await;
        let counted = async |who: &str| {
            let preview = company.by(who, pb::PreviewPlanRequest { plan_id: plan.plan_id.clone() });
            company.plans().preview_plan(preview).await.expect("shown").into_inner().enrolment_count
        };
        assert_eq!((counted("manager").await, counted("colleague").await), (Some(1), Some(0)));
        company.grant("colleague", &[Action::CustomerAggregate], Levels::READ).await;
        assert_eq!(counted("colleague").await, Some(1));
        let masked = Effect::Cap(Levels::READ.with(Layer::Basic, Level::Masked));
        company.guard("colleague", Action::CustomerAggregate, masked).await;
        assert_eq!(counted("colleague").await, None, "a segment tells of what is masked");
        company.guard("manager", Action::CustomerAggregate, Effect::Deny).await;
        assert_eq!(counted("manager").await, Some(0));
    })
    .await;
}

#[tokio::test]
async fn a_published_version_never_changes_and_running_enrolments_move_only_when_told_to() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("grade_a_weekly", segment).await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.settle().await;
        let mut definition = plan.definition.clone().expect("a definition");
        definition.steps[0].time_of_day = "14:00".into();
        let changed = pb::Plan {
            plan_id: plan.plan_id.clone(),
            definition: Some(definition),
            etag: plan.etag.clone(),
            ..Default::default()
        };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["definition".into()] });
        let request = pb::UpdatePlanRequest { plan: Some(changed), update_mask, ..Default::default() };
        company.plans().update_plan(company.by("admin", request.clone())).await.expect("a draft");
        let stale = company.plans().update_plan(company.by("admin", request)).await.expect_err("the etag is old");
        assert_eq!(stale.code(), Code::Aborted);
        let publish = pb::PublishPlanRequest { plan_id: plan.plan_id.clone(), ..Default::default() };
        company.plans().publish_plan(company.by("admin", publish)).await.expect("version 2");
        company.settle().await;
        let first = pb::GetPlanVersionRequest { plan_id: plan.plan_id.clone(), version: 1 };
        let first = company.plans().get_plan_version(company.by("rep", first)).await.expect("it stays").into_inner();
        assert_eq!(first.definition.expect("a definition").steps[0].time_of_day, "09:00");
        assert_eq!(company.list("rep", &scheduled()).await[0].plan_version, 1);
        let migrate = pb::MigrateEnrolmentsRequest { plan_id: plan.plan_id.clone(), ..Default::default() };
        let moved =
            company.plans().migrate_enrolments(company.by("manager", migrate)).await.expect("it begins").into_inner();
        assert_eq!(moved.enrolment_count, Some(1));
        company.settle().await;
        let tasks = company.list("rep", &scheduled()).await;
        assert_eq!((tasks.len(), tasks[0].plan_version), (1, 2));
        assert_eq!(instant(tasks[0].open_time), shanghai("2026-03-09T14:00"));
        let retire = pb::RetirePlanRequest { plan_id: plan.plan_id, ..Default::default() };
        company.plans().retire_plan(company.by("admin", retire)).await.expect("it ends");
        company.settle().await;
        assert_eq!(company.list("rep", &scheduled()).await, []);
    })
    .await;
}

#[tokio::test]
async fn bad_plans_are_refused_with_every_field_at_fault() {
    in_each_company(async |company: &Company| {
        let step = pb::Step {
            key: "Not Plain".into(),
            trigger: Some(pb::Trigger { kind: Some(pb::trigger::Kind::Silence(pb::SilenceTrigger { days: 0 })) }),
            channel: 99,
            time_of_day: "9 o'clock".into(),
            due_within_minutes: -1,
            ..Default::default()
        };
        let definition = pb::PlanDefinition {
            segment_id: "nonsense".into(),
            lent_layers: vec!["everything".into()],
            time_zone: "Mars/Olympus".into(),
            steps: vec![step],
            ..Default::default()
        };
        let request = pb::CreatePlanRequest { definition: Some(definition), ..Default::default() };
        let refused = company.plans().create_plan(company.by("admin", request)).await.expect_err("it is bad");
        assert_eq!(refused.code(), Code::InvalidArgument);
        let found = fields(&refused);
        for field in [
            "name",
            "definition.segment_id",
            "definition.lent_layers[0]",
            "definition.time_zone",
            "definition.results",
            "definition.steps[0].key",
            "definition.steps[0].name",
            "definition.steps[0].channel",
            "definition.steps[0].time_of_day",
            "definition.steps[0].due_within_minutes",
            "definition.steps[0].trigger.silence.days",
        ] {
            assert!(found.iter().any(|one| one == field), "{field} is missing among {found:?}");
        }
        let nobody = pb::GetPlanRequest { plan_id: company.new_id::<revisit_core::id::kind::Plan>().to_string() };
        let missing = company.plans().get_plan(company.by("rep", nobody)).await.expect_err("there is none");
        assert_eq!((missing.code(), reason(&missing)), (Code::NotFound, "PLAN_NOT_FOUND"));
    })
    .await;
}
