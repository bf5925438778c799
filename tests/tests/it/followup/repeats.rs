//! Every write of service followup, sent again: one effect, the first answer; and another request under its key.

use std::{collections::BTreeSet, fmt::Debug, time::Duration};

use revisit_core::{
    Timestamp,
    id::{SegmentId, kind::Event},
};
use revisit_permission::{Action, Effect, Levels};
use revisit_proto::followup::v1 as pb;
use revisit_tests::world::mask;
use tonic::{Code, Response, Status};

use super::support::{Company, in_each_company, reason, wire};
use crate::bad_input::keys::keyed;

/// All of them, each before what would be in its way.
pub const CALLS: [&str; 16] = [
    "Calendars/CreateCalendar",
    "Calendars/UpdateCalendar",
    "Plans/CreatePlan",
    "Plans/UpdatePlan",
    "Plans/PublishPlan",
    "Plans/RetirePlan",
    "Plans/PauseEnrolment",
    "Plans/ResumeEnrolment",
    "Plans/MigrateEnrolments",
    "Tasks/CreateTask",
    "Tasks/SnoozeTask",
    "Tasks/ReassignTask",
    "Tasks/CancelTask",
    "Tasks/SkipTask",
    "Tasks/CompleteTask",
    "Tasks/ReviewOutcome",
];
/// An etag that nothing has.
const STALE: &str = "99";

/// What a repeat might have done twice: every row that a write makes or moves, and every event.
const DONE: &str = "SELECT (SELECT count(*) FROM task) + (SELECT CAST(sum(version) AS bigint) FROM task)
    + (SELECT CAST(sum(version) AS bigint) FROM enrolment) + (SELECT CAST(sum(version) AS bigint) FROM plan)
    + (SELECT count(*) FROM plan_version) + (SELECT CAST(sum(version) AS bigint) FROM calendar)
    + (SELECT count(*) FROM outcome) + (SELECT count(*) FROM outbox) AS n";

/// What the writes are about; made without keys.
pub struct Things {
    pub calendar: pb::Calendar,
    pub drawn: pb::Plan,
    pub draft: pb::Plan,
    pub running: pb::Plan,
    pub enrolment: pb::Enrolment,
    pub tasks: Vec<pb::Task>,
    segment: SegmentId,
    due: Timestamp,
}

/// Under which key, and whether it says something else than the first one did.
pub struct Sent {
    pub request_id: String,
    pub other: bool,
}

impl Sent {
    fn of(&self, first: &str, other: &str) -> String {
        if self.other { other } else { first }.to_owned()
    }
}

fn calendar(name: &str) -> pb::Calendar {
    let monday = pb::WorkingInterval { weekday: 1, start_time: "10:00".into(), end_time: "18:00".into() };
    pb::Calendar { name: name.into(), intervals: vec![monday], ..Default::default() }
}

fn weekly(name: &str, segment: SegmentId) -> pb::CreatePlanRequest {
    pb::CreatePlanRequest {
        name: name.into(),
        template_key: "grade_a_weekly".into(),
        definition: Some(pb::PlanDefinition { segment_id: segment.to_string(), ..Default::default() }),
        ..Default::default()
    }
}

impl Things {
    pub async fn make(company: &Company) -> Self {
        let segment: SegmentId = company.new_id();
        let running = company.publish("grade_a_weekly", segment).await;
        for _ in 0..5 {
            company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        }
        company.advance_to_local("2026-03-09T09:00").await;
        let tasks = company.list("rep", &[pb::TaskState::Open]).await;
        let of_plan = pb::ListEnrolmentsRequest { plan_id: running.plan_id.clone(), ..Default::default() };
        let list = async || company.plans().list_enrolments(company.by("manager", of_plan.clone())).await;
        let enrolments = company.freshly(list).await.expect("a page").enrolments;
        // Of nobody whose task is used.
        let enrolment = enrolments.into_iter().find(|one| one.customer_id == tasks[4].customer_id);
        let draft = async |name: &str| {
            let request = company.by("admin", weekly(name, company.new_id()));
            company.plans().create_plan(request).await.expect("a draft").into_inner()
        };
        let request = pb::CreateCalendarRequest { calendar: Some(calendar("shop")), ..Default::default() };
        let made = company.calendars().create_calendar(company.by("admin", request)).await;
        Self {
            calendar: made.expect("a calendar").into_inner(),
            drawn: draft("drawn").await,
            draft: draft("draft").await,
            running,
            enrolment: enrolment.expect("it is enrolled"),
            tasks,
            segment,
            due: company.now() + Duration::from_hours(48),
        }
    }
}

/// Everything of an answer.
fn told<M: Debug>(answer: Result<Response<M>, Status>) -> Result<Response<String>, Status> {
    answer.map(|answer| Response::new(format!("{:?}", answer.into_inner())))
}

/// Sends one of the calls.
pub async fn send(company: &Company, things: &Things, call: &str, sent: &Sent) -> Result<String, Status> {
    let send = async || match call.split_once('/').expect("a service and a method") {
        ("Calendars", method) => calendars(company, things, method, sent).await,
        ("Plans", method) => plans(company, things, method, sent).await,
        (_, method) => tasks(company, things, method, sent).await,
    };
    company.freshly(send).await
}

async fn calendars(company: &Company, things: &Things, method: &str, sent: &Sent) -> Result<Response<String>, Status> {
    let request_id = sent.request_id.clone();
    let name = sent.of("甲", "乙");
    if method == "CreateCalendar" {
        let request = pb::CreateCalendarRequest { calendar: Some(calendar(&name)), request_id };
        return told(company.calendars().create_calendar(company.by("admin", request)).await);
    }
    let calendar = Some(pb::Calendar { name, ..things.calendar.clone() });
    let request = pb::UpdateCalendarRequest { calendar, request_id };
    told(company.calendars().update_calendar(company.by("admin", request)).await)
}

async fn plans(company: &Company, things: &Things, method: &str, sent: &Sent) -> Result<Response<String>, Status> {
    let mut plans = company.plans();
    let request_id = sent.request_id.clone();
    let enrolment_id = things.enrolment.enrolment_id.clone();
    match method {
        "CreatePlan" => {
            let name = sent.of("甲", "乙");
            let request = pb::CreatePlanRequest { name, request_id, ..weekly("", things.segment) };
            told(plans.create_plan(company.by("admin", request)).await)
        }
        "UpdatePlan" => {
            let plan = Some(pb::Plan { name: sent.of("甲", "乙"), ..things.drawn.clone() });
            let request = pb::UpdatePlanRequest { plan, update_mask: mask(&["name"]), request_id };
            told(plans.update_plan(company.by("admin", request)).await)
        }
        "PublishPlan" => {
            let (plan_id, etag) = (things.draft.plan_id.clone(), sent.of(&things.draft.etag, STALE));
            let request = pb::PublishPlanRequest { plan_id, etag, request_id, ..Default::default() };
            told(plans.publish_plan(company.by("admin", request)).await)
        }
        "RetirePlan" => {
            let (plan_id, etag) = (things.draft.plan_id.clone(), sent.of("", STALE));
            told(plans.retire_plan(company.by("admin", pb::RetirePlanRequest { plan_id, etag, request_id })).await)
        }
        "PauseEnrolment" => {
            let (etag, reason) = (things.enrolment.etag.clone(), sent.of("甲", "乙"));
            let request = pb::PauseEnrolmentRequest { enrolment_id, etag, reason, request_id };
            told(plans.pause_enrolment(company.by("manager", request)).await)
        }
        "ResumeEnrolment" => {
            let request = pb::ResumeEnrolmentRequest { enrolment_id, etag: sent.of("", STALE), request_id };
            told(plans.resume_enrolment(company.by("manager", request)).await)
        }
        _ => {
            let plan_id = sent.of(&things.running.plan_id, &things.drawn.plan_id);
            let request = pb::MigrateEnrolmentsRequest { plan_id, request_id };
            told(plans.migrate_enrolments(company.by("manager", request)).await)
        }
    }
}

async fn tasks(company: &Company, things: &Things, method: &str, sent: &Sent) -> Result<Response<String>, Status> {
    let mut tasks = company.tasks();
    let (request_id, reason) = (sent.request_id.clone(), sent.of("甲", "乙"));
    let of = |number: usize| (things.tasks[number].task_id.clone(), things.tasks[number].etag.clone());
    let ((first, first_etag), (second, second_etag)) = (of(0), of(1));
    match method {
        "CreateTask" => {
            let (kind, due_time) = (pb::TaskKind::Todo.into(), wire(things.due));
            let request = pb::CreateTaskRequest { kind, title: reason, due_time, request_id, ..Default::default() };
            told(tasks.create_task(company.by("rep", request)).await)
        }
        "SnoozeTask" => {
            let (task_id, etag, due_time) = (first, first_etag, wire(things.due));
            let request = pb::SnoozeTaskRequest { task_id, due_time, reason, etag, request_id };
            told(tasks.snooze_task(company.by("rep", request)).await)
        }
        "ReassignTask" => {
            let (task_id, etag, assignee_id) = (second, second_etag, company.who("colleague").to_string());
            let request = pb::ReassignTaskRequest { task_id, assignee_id, reason, etag, request_id };
            told(tasks.reassign_task(company.by("manager", request)).await)
        }
        "CancelTask" => {
            let (task_id, etag) = of(2);
            let request = pb::CancelTaskRequest { task_id, reason, etag, request_id };
            told(tasks.cancel_task(company.by("manager", request)).await)
        }
        "SkipTask" => {
            let (task_id, etag) = of(3);
            let request = pb::SkipTaskRequest { task_id, reason, etag, request_id };
            told(tasks.skip_task(company.by("manager", request)).await)
        }
        "CompleteTask" => {
            let request = pb::CompleteTaskRequest {
                task_id: first,
                // Its plan has it reviewed.
                result: "complaint".into(),
                channel: pb::Channel::Wechat.into(),
                satisfaction: Some(if sent.other { 2 } else { 1 }),
                request_id,
                ..Default::default()
            };
            told(tasks.complete_task(company.by("rep", request)).await)
        }
        _ => {
            let request = pb::ReviewOutcomeRequest { task_id: first, approved: !sent.other, request_id };
            told(tasks.review_outcome(company.by("manager", request)).await)
        }
    }
}

#[tokio::test]
async fn a_write_that_is_sent_again_answers_the_first_and_does_nothing_and_another_one_under_its_id_is_refused() {
    let tried: BTreeSet<_> = CALLS.iter().map(|call| format!("/revisit.followup.v1.{call}")).collect();
    let written: BTreeSet<_> = keyed().into_iter().filter(|path| path.starts_with("/revisit.followup.")).collect();
    assert_eq!(tried, written, "every write of the contract is tried");
    in_each_company(async |company: &Company| {
        let things = Things::make(company).await;
        for call in CALLS {
            let request_id = company.new_id::<Event>().to_string();
            let sent = Sent { request_id: request_id.clone(), other: false };
            let first = send(company, &things, call, &sent).await.expect(call);
            company.settle().await;
            let done = company.number(DONE).await;
            let again = send(company, &things, call, &sent).await.expect(call);
            company.settle().await;
            assert_eq!((again, company.number(DONE).await), (first, done), "{call}");
            let reused = send(company, &things, call, &Sent { request_id, other: true }).await.expect_err(call);
            assert_eq!((reused.code(), reason(&reused)), (Code::FailedPrecondition, "REQUEST_ID_REUSED"), "{call}");
        }
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn what_a_repeat_shows_is_what_who_sends_it_may_read_by_then() {
    const SAID: &str = "the door is crooked";
    in_each_company(async |company: &Company| {
        let (customer_id, open) = company.with_open_task().await;
        let (due, request_id) = (company.now() + Duration::from_hours(48), || company.new_id::<Event>().to_string());
        let make = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: SAID.to_owned(),
            customer_id: customer_id.to_string(),
            due_time: wire(due),
            request_id: request_id(),
            ..Default::default()
        };
        let made = company.tasks().create_task(company.by("rep", make.clone())).await.expect("made").into_inner();
        let (task_id, reason) = (made.task_id.clone(), SAID.to_owned());
        let put_off = pb::SnoozeTaskRequest {
            task_id,
            due_time: wire(due),
            reason,
            request_id: request_id(),
            etag: String::new(),
        };
        let note = pb::Note { layer: "history".to_owned(), text: SAID.to_owned(), ..Default::default() };
        let done = pb::CompleteTaskRequest {
            task_id: open.task_id,
            result: "reached".to_owned(),
            channel: pb::Channel::Phone.into(),
            notes: vec![note],
            request_id: request_id(),
            ..Default::default()
        };
        let answers = async || {
            let mut tasks = company.tasks();
            [
                told(tasks.create_task(company.by("rep", make.clone())).await),
                told(tasks.snooze_task(company.by("rep", put_off.clone())).await),
                told(tasks.complete_task(company.by("rep", done.clone())).await),
            ]
            .map(|told| told.expect("it was done").into_inner())
        };
        let first = answers().await;
        assert!(first.iter().all(|answer| answer.contains(SAID)), "{first:?}");
        company.guard("rep", Action::TaskView, Effect::Cap(Levels::HIDDEN)).await;
        let again = answers().await;
        assert!(!again.iter().any(|answer| answer.contains(SAID)), "{again:?}");
        company.guard("rep", Action::TaskView, Effect::Deny).await;
        let again = company.tasks().create_task(company.by("rep", make)).await.expect("it was made").into_inner();
        let (task_id, etag) = (made.task_id, again.etag.clone());
        assert_eq!(again, pb::Task { task_id, etag, ..Default::default() }, "it may have gone on without them");
    })
    .await;
}

#[tokio::test]
async fn a_repeat_tells_nothing_of_a_next_task_that_has_left_with_the_customer() {
    in_each_company(async |company: &Company| {
        let (customer_id, open) = company.with_open_task().await;
        let done = pb::CompleteTaskRequest {
            next_contact_time: wire(company.now() + Duration::from_hours(48)),
            request_id: company.new_id::<Event>().to_string(),
            ..super::lending::done(&open)
        };
        let complete = async || {
            let told = company.tasks().complete_task(company.by("rep", done.clone())).await;
            told.expect("it is done").into_inner().next_task.expect("a next contact")
        };
        let first = complete().await;
        assert!(first.due_time.is_some(), "{first:?}");
        company.change_owner(customer_id, 2, "colleague").await;
        let again = complete().await;
        let (task_id, etag) = (first.task_id, again.etag.clone());
        assert_eq!(again, pb::Task { task_id, etag, ..Default::default() }, "it is the colleague's by now");
    })
    .await;
}
