//! The outcome call and what follows from it: the next task, issues, review of sensitive results, figures.

use revisit_core::id::SegmentId;
use revisit_permission::{Action, Effect, Layer, Level, Levels};
use revisit_proto::followup::v1 as pb;
use tonic::Code;

use super::support::{Company, fields, in_each_company, instant, reason, shanghai, wire};

async fn open_task(company: &Company) -> pb::Task {
    let segment: SegmentId = company.new_id();
    company.publish("grade_a_weekly", segment).await;
    company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
    company.advance_to_local("2026-03-09T09:00").await;
    company.list("rep", &[pb::TaskState::Open]).await.remove(0)
}

fn record(task: &pb::Task, result: &str) -> pb::CompleteTaskRequest {
    pb::CompleteTaskRequest {
        task_id: task.task_id.clone(),
        result: result.into(),
        channel: pb::Channel::Wechat.into(),
        satisfaction: Some(4),
        notes: vec![pb::Note { layer: "history".into(), text: "likes the blue one".into(), ..Default::default() }],
        ..Default::default()
    }
}

#[tokio::test]
async fn one_call_closes_the_task_plants_the_next_and_tells_the_others() {
    in_each_company(async |company: &Company| {
        let task = open_task(company).await;
        let request_id = company.new_id::<revisit_core::id::kind::Event>().to_string();
        let request = pb::CompleteTaskRequest { etag: task.etag.clone(), request_id, ..record(&task, "reached") };
        let other =
            company.tasks().complete_task(company.by("colleague", request.clone())).await.expect_err("not theirs");
        assert_eq!((other.code(), reason(&other)), (Code::NotFound, "TASK_NOT_FOUND"));
        let answer =
            company.tasks().complete_task(company.by("rep", request.clone())).await.expect("done").into_inner();
        let done = answer.task.clone().expect("the task");
        assert_eq!(done.state(), pb::TaskState::Done);
        assert!(done.close_time.is_some());
        let outcome = answer.outcome.clone().expect("the outcome");
        assert_eq!((outcome.result.as_str(), outcome.notes[0].text.as_str()), ("reached", "likes the blue one"));
        let next = answer.next_task.clone().expect("the next occurrence");
        assert_eq!(instant(next.open_time), shanghai("2026-03-16T09:00"));
        let again = company.tasks().complete_task(company.by("rep", request)).await.expect("a repeat").into_inner();
        assert_eq!(again, answer, "a repeat answers the first outcome");
        let twice =
            company.tasks().complete_task(company.by("rep", record(&task, "reached"))).await.expect_err("it is over");
        assert_eq!((twice.code(), reason(&twice)), (Code::FailedPrecondition, "TASK_CLOSED"));
        let (closed, recorded) =
            (company.heard::<pb::TaskClosed>().await, company.heard::<pb::OutcomeRecorded>().await);
        assert_eq!((closed.len(), closed[0].done, recorded.len()), (1, true, 1));
        assert_eq!((recorded[0].result.as_str(), recorded[0].channel.as_str()), ("reached", "wechat"));
        company.advance_to_local("2026-03-13T09:00").await;
        assert_eq!(company.heard::<pb::ReminderDue>().await.len(), 1, "no reminder leaves after the completion");
        let notes = company.rows("SELECT sealed FROM outcome_note").await;
        let bytes: Vec<u8> = notes[0].try_get("", "sealed").expect("bytes");
        assert!(!bytes.windows(4).any(|window| window == b"blue"), "notes lie sealed");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn what_was_said_goes_with_the_customer_to_who_may_view_it_now() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        company.tasks().complete_task(company.by("rep", record(&task, "reached"))).await.expect("done");
        let list = async |who: &str| {
            let request = pb::ListOutcomesRequest { customer_id: id.to_string(), ..Default::default() };
            company.tasks().list_outcomes(company.by(who, request)).await.map(|page| page.into_inner().outcomes)
        };
        let get = async |who: &str| {
            let request = pb::GetOutcomeRequest { task_id: task.task_id.clone(), ..Default::default() };
            company.tasks().get_outcome(company.by(who, request)).await.map(tonic::Response::into_inner)
        };
        assert_eq!(list("rep").await.expect("her customer")[0].notes[0].text, "likes the blue one");
        assert_eq!(get("rep").await.expect("her task").notes[0].text, "likes the blue one");
        company.change_owner(id, 2, "colleague").await;
        let gone = list("rep").await.expect_err("it is hers no longer");
        assert_eq!((gone.code(), reason(&gone)), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
        let gone = get("rep").await.expect_err("the task was hers, what was said is not");
        assert_eq!((gone.code(), reason(&gone)), (Code::NotFound, "OUTCOME_NOT_FOUND"));
        let theirs = list("colleague").await.expect("the successor's");
        assert_eq!((theirs.len(), theirs[0].notes[0].text.as_str()), (1, "likes the blue one"));
    })
    .await;
}

#[tokio::test]
async fn a_sensitive_result_is_seen_and_approved_by_supervisors_only() {
    in_each_company(async |company: &Company| {
        let task = open_task(company).await;
        let answer = company.tasks().complete_task(company.by("rep", record(&task, "complaint"))).await.expect("done");
        let shown = answer.into_inner().outcome.expect("the outcome");
        assert!(shown.sensitive && shown.withheld, "the plan marks a complaint as sensitive");
        assert_eq!((shown.result.as_str(), shown.satisfaction, shown.notes.len()), ("", None, 0));
        assert_eq!(company.heard::<pb::OutcomeRecorded>().await[0].result, "");
        let get = |who: &str| company.by(who, pb::GetOutcomeRequest { task_id: task.task_id.clone(), read_mask: None });
        let seen = company.tasks().get_outcome(get("manager")).await.expect("a supervisor").into_inner();
        assert_eq!((seen.result.as_str(), seen.notes[0].text.as_str()), ("complaint", "likes the blue one"));
        assert_eq!(seen.review(), pb::ReviewState::Pending);
        let review = pb::ReviewOutcomeRequest { task_id: task.task_id.clone(), approved: true, ..Default::default() };
        let denied =
            company.tasks().review_outcome(company.by("rep", review.clone())).await.expect_err("no supervisor");
        assert_eq!(denied.code(), Code::PermissionDenied);
        let reviewed =
            company.tasks().review_outcome(company.by("manager", review)).await.expect("approved").into_inner();
        assert_eq!(
            (reviewed.review(), reviewed.reviewed_by_id),
            (pb::ReviewState::Approved, company.who("manager").to_string())
        );
    })
    .await;
}

#[tokio::test]
async fn who_reviews_an_outcome_reads_its_notes_at_the_levels_of_the_customer() {
    in_each_company(async |company: &Company| {
        let task = open_task(company).await;
        company.tasks().complete_task(company.by("rep", record(&task, "complaint"))).await.expect("done");
        let ceiling = Levels::WRITE.with(Layer::History, Level::Hidden);
        company.guard("manager", Action::CustomerView, Effect::Cap(ceiling)).await;
        let review = pb::ReviewOutcomeRequest { task_id: task.task_id.clone(), approved: true, ..Default::default() };
        let reviewed = company.tasks().review_outcome(company.by("manager", review)).await.expect("approved");
        let reviewed = reviewed.into_inner();
        assert_eq!((reviewed.result.as_str(), reviewed.notes.as_slice()), ("complaint", &[][..]));
        let get = pb::GetOutcomeRequest { task_id: task.task_id, read_mask: None };
        let read = company.tasks().get_outcome(company.by("manager", get)).await.expect("seen").into_inner();
        assert_eq!((read.result, read.notes), (reviewed.result, reviewed.notes), "and so it is read");
    })
    .await;
}

#[tokio::test]
async fn a_follow_up_is_closed_when_its_issues_are() {
    in_each_company(async |company: &Company| {
        let task = open_task(company).await;
        let issue = pb::Issue {
            title: "a door is crooked".into(),
            assignee_id: company.who("colleague").to_string(),
            due_within_minutes: 120,
            ..Default::default()
        };
        let request = pb::CompleteTaskRequest { issues: vec![issue], ..record(&task, "reached") };
        let done = company
            .tasks()
            .complete_task(company.by("rep", request))
            .await
            .expect("done")
            .into_inner()
            .task
            .expect("it");
        assert_eq!((done.state(), done.open_issue_count, done.close_time), (pb::TaskState::Done, 1, None));
        let issues = company.list("colleague", &[pb::TaskState::Open]).await;
        assert_eq!((issues[0].kind(), issues[0].title.as_str()), (pb::TaskKind::Issue, "a door is crooked"));
        assert_eq!(instant(issues[0].due_time), shanghai("2026-03-09T11:00"), "its own time limit, in working hours");
        let outcome = async || {
            let get = pb::GetOutcomeRequest { task_id: task.task_id.clone(), ..Default::default() };
            company.tasks().get_outcome(company.by("manager", get)).await.expect("it").into_inner()
        };
        let [raised] = &outcome().await.issues[..] else { panic!("it raised one issue") };
        assert_eq!((&raised.task_id, raised.title.as_str()), (&issues[0].task_id, "a door is crooked"));
        assert_eq!((raised.due_time, raised.state()), (issues[0].due_time, pb::TaskState::Open));
        assert_eq!(raised.assignee_id, company.who("colleague").to_string());
        let waiting = pb::ListTasksRequest { waiting_for_issues: true, ..Default::default() };
        let waiting = company.tasks().list_tasks(company.by("rep", waiting)).await.expect("a list").into_inner();
        assert_eq!(waiting.tasks.len(), 1);
        let settle = pb::CompleteTaskRequest {
            task_id: issues[0].task_id.clone(),
            result: "done".into(),
            channel: pb::Channel::Phone.into(),
            ..Default::default()
        };
        company.tasks().complete_task(company.by("colleague", settle)).await.expect("settled");
        assert_eq!(outcome().await.issues[0].state(), pb::TaskState::Done);
        let get = pb::GetTaskRequest { task_id: task.task_id, read_mask: None };
        let closed = company.tasks().get_task(company.by("rep", get)).await.expect("it").into_inner();
        assert_eq!(closed.open_issue_count, 0);
        assert!(closed.close_time.is_some());
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn what_an_outcome_plants_reminds_as_the_plan_says_and_still_does_when_it_is_put_off() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let only_due = pb::Reminders { at_due: true, ..Default::default() };
        company
            .publish_changed("grade_a_weekly", segment, |plan| {
                plan.steps.iter_mut().for_each(|step| step.reminders = None);
                plan.follow_on_reminders = Some(only_due.clone());
            })
            .await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.advance_to_local("2026-03-09T09:00").await;
        let task = company.list("rep", &[pb::TaskState::Open]).await.remove(0);
        let issue = pb::Issue { title: "a door is crooked".into(), due_within_minutes: 60, ..Default::default() };
        let request = pb::CompleteTaskRequest {
            issues: vec![issue],
            next_contact_time: wire(shanghai("2026-03-11T16:30")),
            ..record(&task, "interested")
        };
        let answer = company.tasks().complete_task(company.by("rep", request)).await.expect("done").into_inner();
        let next = answer.next_task.expect("a next contact");
        let later = shanghai("2026-03-12T10:00");
        let snooze = pb::SnoozeTaskRequest { task_id: next.task_id, due_time: wire(later), ..Default::default() };
        company.tasks().snooze_task(company.by("rep", snooze)).await.expect("it moves");
        // Two days on, the shipped reminders would long have told of overdue tasks and called the manager.
        company.advance_to_local("2026-03-13T18:00").await;
        let told = company.heard::<pb::ReminderDue>().await;
        let kinds: Vec<_> = told.iter().map(pb::ReminderDue::kind).collect();
        assert_eq!(kinds, [pb::ReminderKind::Due, pb::ReminderKind::Due], "the issue's and the contact's");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_result_may_plan_the_next_contact_or_end_the_run() {
    in_each_company(async |company: &Company| {
        let task = open_task(company).await;
        let when = shanghai("2026-03-11T16:30");
        let request = pb::CompleteTaskRequest { next_contact_time: wire(when), ..record(&task, "interested") };
        let next =
            company.tasks().complete_task(company.by("rep", request)).await.expect("done").into_inner().next_task;
        let next = next.expect("a next contact");
        assert_eq!((next.kind(), instant(next.due_time)), (pb::TaskKind::NextContact, when));
        assert_eq!(next.parent_task_id, task.task_id);
        company.advance_to_local("2026-03-16T09:00").await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        let weekly = open.iter().find(|task| task.kind() == pb::TaskKind::Plan).expect("the next weekly contact");
        company.tasks().complete_task(company.by("rep", record(weekly, "refused"))).await.expect("done");
        company.settle().await;
        let scheduled = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!(scheduled, [], "a refusal ends the run");
    })
    .await;
}

#[tokio::test]
async fn bad_outcomes_are_refused_with_every_field_at_fault() {
    in_each_company(async |company: &Company| {
        let task = open_task(company).await;
        let request = pb::CompleteTaskRequest {
            satisfaction: Some(6),
            channel: 99,
            notes: vec![pb::Note { layer: "secret".into(), ..Default::default() }],
            issues: vec![pb::Issue::default()],
            etag: "newest".into(),
            ..record(&task, "")
        };
        let refused = company.tasks().complete_task(company.by("rep", request)).await.expect_err("it is bad");
        let found = fields(&refused);
        for field in [
            "satisfaction",
            "channel",
            "notes[0].layer",
            "notes[0].text",
            "issues[0].title",
            "issues[0].due_within_minutes",
            "etag",
            "result",
        ] {
            assert!(found.iter().any(|one| one == field), "{field} is missing among {found:?}");
        }
        let unknown =
            company.tasks().complete_task(company.by("rep", record(&task, "maybe"))).await.expect_err("no such result");
        assert_eq!((unknown.code(), fields(&unknown)), (Code::InvalidArgument, vec!["result".to_owned()]));
        let mut above = record(&task, "reached");
        above.notes[0].layer = "review".into();
        let above = company.tasks().complete_task(company.by("rep", above)).await.expect_err("not theirs to write");
        assert_eq!((above.code(), reason(&above)), (Code::PermissionDenied, "LAYER_NOT_WRITABLE"));
        let stale = pb::CompleteTaskRequest { etag: "77".into(), ..record(&task, "reached") };
        let stale = company.tasks().complete_task(company.by("rep", stale)).await.expect_err("it is stale");
        assert_eq!(stale.code(), Code::Aborted);
    })
    .await;
}

#[tokio::test]
async fn figures_are_what_the_tasks_say() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        let plan = company.publish("grade_a_weekly", segment).await;
        for _ in 0..4 {
            company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        }
        company.enter(segment, company.facts(company.new_id(), 1, "colleague"), 1).await;
        company.advance_to_local("2026-03-09T10:00").await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        company.tasks().complete_task(company.by("rep", record(&open[0], "reached"))).await.expect("in time");
        company.tasks().complete_task(company.by("rep", record(&open[1], "no_answer"))).await.expect("in time");
        company.advance_to_local("2026-03-11T10:00").await;
        company.tasks().complete_task(company.by("rep", record(&open[2], "reached"))).await.expect("late");
        let request = pb::GetFiguresRequest {
            start_time: wire(shanghai("2026-03-09T00:00")),
            end_time: wire(shanghai("2026-03-11T00:00")),
            group_by: pb::FigureGroup::Person.into(),
            plan_id: plan.plan_id,
            ..Default::default()
        };
        let told =
            company.metrics().get_figures(company.by("boss", request.clone())).await.expect("figures").into_inner();
        let of = |who: &str| {
            told.figures.iter().find(|row| row.group == company.who(who).to_string()).expect("a row").clone()
        };
        let rep = of("rep");
        assert_eq!((rep.due_count, rep.on_time_count, rep.late_count, rep.overdue_count), (4, 2, 1, 1));
        assert_eq!((rep.done_count, rep.success_count, rep.satisfaction_sum), (3, 2, 12));
        assert!((rep.on_time_rate - 0.5).abs() < 1e-9 && (rep.satisfaction_mean - 4.0).abs() < 1e-9);
        assert_eq!(of("colleague").overdue_count, 1);
        let own =
            company.metrics().get_figures(company.by("rep", request.clone())).await.expect("figures").into_inner();
        assert_eq!(own.figures.len(), 1, "a rep sees their own figures only");
        for group in
            [pb::FigureGroup::Team, pb::FigureGroup::Grade, pb::FigureGroup::Plan, pb::FigureGroup::Unspecified]
        {
            let request = pb::GetFiguresRequest { group_by: group.into(), ..request.clone() };
            let told = company.metrics().get_figures(company.by("boss", request)).await.expect("figures").into_inner();
            assert_eq!(told.figures.iter().map(|row| row.due_count).sum::<i64>(), 5, "{group:?}");
        }
        let continuity = pb::CheckContinuityRequest::default();
        let found =
            company.metrics().check_continuity(company.by("boss", continuity)).await.expect("a look").into_inner();
        assert_eq!(
            (found.customer_count, found.ownerless_count, found.taskless_count, found.orphan_task_count),
            (5, 0, 0, 0)
        );
        let backwards = pb::GetFiguresRequest { end_time: request.start_time, ..request };
        let backwards = company.metrics().get_figures(company.by("boss", backwards)).await.expect_err("no period");
        assert_eq!(fields(&backwards), ["end_time"]);
    })
    .await;
}

#[tokio::test]
async fn a_calendar_of_ones_own_decides_when_tasks_open() {
    in_each_company(async |company: &Company| {
        let interval = |weekday| pb::WorkingInterval { weekday, start_time: "10:00".into(), end_time: "19:00".into() };
        let calendar = pb::Calendar {
            name: "shop".into(),
            base: "CN".into(),
            intervals: (1..=6).map(interval).collect(),
            days: vec![pb::SpecialDay { date: "2026-03-09".into(), working: false, name: "stocktaking".into() }],
            is_default: true,
            ..Default::default()
        };
        let request = pb::CreateCalendarRequest { calendar: Some(calendar.clone()), ..Default::default() };
        let denied =
            company.calendars().create_calendar(company.by("rep", request.clone())).await.expect_err("not theirs");
        assert_eq!(denied.code(), Code::PermissionDenied);
        company.calendars().create_calendar(company.by("admin", request)).await.expect("a calendar");
        let segment: SegmentId = company.new_id();
        company.publish("grade_a_weekly", segment).await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.settle().await;
        let planned = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!(
            instant(planned[0].open_time),
            shanghai("2026-03-10T10:00"),
            "past the stocktaking, when the shop opens"
        );
        assert_eq!(planned[0].nominal_local_time, "2026-03-09T09:00");
        let days = pb::ListCalendarDaysRequest {
            start_date: "2026-05-08".into(),
            end_date: "2026-05-10".into(),
            ..Default::default()
        };
        let days =
            company.calendars().list_calendar_days(company.by("rep", days)).await.expect("days").into_inner().days;
        assert_eq!(days.iter().map(|day| day.working).collect::<Vec<_>>(), [true, true, false]);
        assert_eq!(days[1].name, "劳动节补班");
        let overlapping = pb::Calendar { intervals: vec![interval(1), interval(1)], days: vec![], ..calendar };
        let request = pb::CreateCalendarRequest { calendar: Some(overlapping), ..Default::default() };
        let refused =
            company.calendars().create_calendar(company.by("admin", request)).await.expect_err("they overlap");
        assert_eq!(fields(&refused), ["calendar.intervals"]);
    })
    .await;
}
