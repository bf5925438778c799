//! Tasks: opening, reminders, snoozing, moving, ending, and who sees what.

use std::time::Duration;

use revisit_core::id::SegmentId;
use revisit_proto::{customer::v1 as customer, followup::v1 as pb, identity::v1 as identity};
use tonic::Code;

use super::support::{Company, fields, in_each_company, instant, reason, shanghai, wire};

async fn reminders(company: &Company) -> Vec<(pb::ReminderKind, i32)> {
    company.heard::<pb::ReminderDue>().await.iter().map(|one| (one.kind(), one.ordinal)).collect()
}

#[tokio::test]
async fn a_task_opens_lends_access_reminds_and_escalates_each_once_and_in_order() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        // Nine hundred working minutes from Monday nine: the end of Tuesday.
        assert_eq!(instant(task.due_time), shanghai("2026-03-10T18:00"));
        let opened = company.heard::<pb::TaskOpened>().await;
        assert_eq!((opened.len(), opened[0].assignee_id.clone()), (1, company.who("rep").to_string()));
        assert_eq!(opened[0].customer_id, id.to_string());
        assert_eq!(opened[0].until_micros, shanghai("2026-03-10T09:00").micros(), "at most a day ahead");
        company.advance_to_local("2026-03-20T09:00").await;
        let kinds: Vec<_> = reminders(company).await.into_iter().map(|(kind, _)| kind).collect();
        assert_eq!(
            kinds,
            [
                pb::ReminderKind::Opened,
                pb::ReminderKind::Before,
                pb::ReminderKind::Before,
                pb::ReminderKind::Due,
                pb::ReminderKind::Overdue,
                pb::ReminderKind::Escalated,
            ]
        );
        let opened = company.heard::<pb::TaskOpened>().await;
        assert_eq!(opened.len(), 2, "a window longer than a day is extended");
        assert_eq!(opened[0].generation, opened[1].generation);
        assert_eq!(opened[1].until_micros, instant(task.due_time).micros());
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn today_shows_what_is_due_or_begins_on_the_persons_own_day() {
    in_each_company(async |company: &Company| {
        company.with_open_task().await;
        let today = async |who: &str, zone: &str| {
            let request = pb::ListTodayTasksRequest { time_zone: zone.into(), ..Default::default() };
            company.tasks().list_today_tasks(company.by(who, request)).await.expect("a day").into_inner()
        };
        let day = today("rep", "").await;
        assert_eq!((day.date.as_str(), day.tasks.len()), ("2026-03-09", 1));
        assert_eq!(today("rep", "Pacific/Kiritimati").await.date, "2026-03-09");
        assert_eq!(today("rep", "America/Los_Angeles").await.date, "2026-03-08");
        assert_eq!(today("colleague", "").await.tasks, [], "it is not theirs");
        let of_rep = pb::ListTodayTasksRequest { assignee_id: company.who("rep").to_string(), ..Default::default() };
        let seen =
            company.tasks().list_today_tasks(company.by("manager", of_rep.clone())).await.expect("a day").into_inner();
        assert_eq!(seen.tasks.len(), 1, "the manager sees the team");
        let seen = company.tasks().list_today_tasks(company.by("colleague", of_rep)).await.expect("a day").into_inner();
        assert_eq!(seen.tasks, []);
    })
    .await;
}

#[tokio::test]
async fn a_snoozed_task_is_reminded_at_the_new_time_only() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let due = shanghai("2026-03-12T15:00");
        let request =
            pb::SnoozeTaskRequest { task_id: task.task_id.clone(), due_time: wire(due), ..Default::default() };
        let past = pb::SnoozeTaskRequest { due_time: wire(shanghai("2026-03-08T09:00")), ..request.clone() };
        let past = company.tasks().snooze_task(company.by("rep", past)).await.expect_err("it lies in the past");
        assert_eq!((past.code(), fields(&past)), (Code::InvalidArgument, vec!["due_time".to_owned()]));
        let other =
            company.tasks().snooze_task(company.by("colleague", request.clone())).await.expect_err("not theirs");
        assert_eq!((other.code(), reason(&other)), (Code::NotFound, "TASK_NOT_FOUND"));
        let snoozed =
            company.tasks().snooze_task(company.by("rep", request.clone())).await.expect("it moves").into_inner();
        assert_ne!(snoozed.etag, task.etag);
        let stale = pb::SnoozeTaskRequest { etag: task.etag, ..request };
        let stale = company.tasks().snooze_task(company.by("rep", stale)).await.expect_err("it is stale");
        assert_eq!((stale.code(), reason(&stale)), (Code::Aborted, "ETAG_STALE"));
        company.advance_to_local("2026-03-12T14:59").await;
        assert!(reminders(company).await.iter().all(|(kind, _)| *kind != pb::ReminderKind::Due));
        company.advance_to_local("2026-03-12T15:00").await;
        let due: Vec<_> =
            reminders(company).await.into_iter().filter(|(kind, _)| *kind == pb::ReminderKind::Due).collect();
        assert_eq!(due.len(), 1);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn open_tasks_move_with_the_customer_and_scheduled_ones_open_for_the_owner_of_then() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        let facts = customer::CustomerFacts { ownership_epoch: 2, ..company.facts(id, 2, "colleague") };
        let changed = customer::OwnerChanged {
            facts: Some(facts),
            former_owner_id: company.who("rep").to_string(),
            ..Default::default()
        };
        company.event("customer", id.uuid(), &changed).await;
        company.settle().await;
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await, [], "it has left the former owner");
        let moved = company.list("colleague", &[pb::TaskState::Open]).await;
        assert_eq!((moved.len(), moved[0].task_id.clone()), (1, task.task_id));
        let opened = company.heard::<pb::TaskOpened>().await;
        assert!(opened[1].generation > opened[0].generation);
        assert_eq!(opened[1].assignee_id, company.who("colleague").to_string());
        company.advance_to_local("2026-03-10T18:00").await;
        let due: Vec<_> = company.heard::<pb::ReminderDue>().await;
        let due: Vec<_> = due.iter().filter(|one| one.kind() == pb::ReminderKind::Due).collect();
        assert_eq!((due.len(), due[0].recipient_id.clone()), (1, company.who("colleague").to_string()));
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_of_somebody_who_is_not_active_opens_for_the_head_of_the_department() {
    in_each_company(async |company: &Company| {
        let segment: SegmentId = company.new_id();
        company.publish("grade_a_weekly", segment).await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.person("rep", identity::SubjectState::Left, 2).await;
        company.advance_to_local("2026-03-09T09:00").await;
        let opened = company.heard::<pb::TaskOpened>().await;
        assert_eq!((opened.len(), opened[0].assignee_id.clone()), (1, company.who("manager").to_string()));
    })
    .await;
}

#[tokio::test]
async fn skipping_plants_the_next_occurrence_and_cancelling_forgets_nobody() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let bare = pb::SkipTaskRequest { task_id: task.task_id.clone(), ..Default::default() };
        let bare = company.tasks().skip_task(company.by("rep", bare)).await.expect_err("no reason");
        assert_eq!(fields(&bare), ["reason"]);
        let skip =
            pb::SkipTaskRequest { task_id: task.task_id.clone(), reason: "on holiday".into(), ..Default::default() };
        let skipped =
            company.tasks().skip_task(company.by("rep", skip.clone())).await.expect("it is left out").into_inner();
        assert_eq!((skipped.state(), skipped.reason.as_str()), (pb::TaskState::Cancelled, "on holiday"));
        let again = company.tasks().skip_task(company.by("rep", skip)).await.expect_err("it is over");
        assert_eq!(reason(&again), "TASK_NOT_SKIPPABLE");
        let next = company.list("rep", &[pb::TaskState::Scheduled]).await;
        assert_eq!(instant(next[0].open_time), shanghai("2026-03-16T09:00"));
        let cancel = pb::CancelTaskRequest {
            task_id: next[0].task_id.clone(),
            reason: "asked us to".into(),
            ..Default::default()
        };
        company.tasks().cancel_task(company.by("rep", cancel)).await.expect("it is cancelled");
        assert_eq!(company.list("rep", &[pb::TaskState::Scheduled]).await.len(), 1, "the customer is not forgotten");
        let closed = company.heard::<pb::TaskClosed>().await;
        assert_eq!((closed.len(), closed[0].done), (1, false), "only the open one had access to end");
        // Reasons are free text: they lie sealed.
        let texts = company.rows("SELECT reason_text FROM task").await;
        let sealed = texts.iter().all(|row| {
            let bytes: Vec<u8> = row.try_get("", "reason_text").expect("bytes");
            !bytes.windows(7).any(|window| window == b"holiday")
        });
        assert!(sealed);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_goes_only_to_people_whom_the_caller_leads() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let to = |who: &str| pb::ReassignTaskRequest {
            task_id: task.task_id.clone(),
            assignee_id: company.who(who).to_string(),
            ..Default::default()
        };
        let denied =
            company.tasks().reassign_task(company.by("rep", to("colleague"))).await.expect_err("not theirs to give");
        assert_eq!(denied.code(), Code::PermissionDenied);
        company.person("colleague", identity::SubjectState::Suspended, 2).await;
        company.settle().await;
        let idle = company.tasks().reassign_task(company.by("manager", to("colleague"))).await.expect_err("not active");
        assert_eq!(reason(&idle), "ASSIGNEE_NOT_ACTIVE");
        company.person("colleague", identity::SubjectState::Active, 3).await;
        company.settle().await;
        let given =
            company.tasks().reassign_task(company.by("manager", to("colleague"))).await.expect("it moves").into_inner();
        assert_eq!((given.assignee_id.clone(), given.assigned_by_name), (company.who("colleague").to_string(), true));
        assert_eq!(company.list("colleague", &[pb::TaskState::Open]).await.len(), 1);
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await, []);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_next_contact_reminds_at_the_minute_that_was_set_and_a_to_do_needs_no_customer() {
    in_each_company(async |company: &Company| {
        let id = company.customer("rep").await;
        company.settle().await;
        let due = shanghai("2026-03-05T20:15");
        let request = pb::CreateTaskRequest {
            kind: pb::TaskKind::NextContact.into(),
            title: "ring about the offer".into(),
            customer_id: id.to_string(),
            due_time: wire(due),
            channel: pb::Channel::Phone.into(),
            request_id: company.new_id::<revisit_core::id::kind::Event>().to_string(),
            ..Default::default()
        };
        let create = async |who: &str| company.tasks().create_task(company.by(who, request.clone())).await;
        let made = company.freshly(async || create("rep").await).await.expect("a task");
        let again = company.freshly(async || create("rep").await).await.expect("the same task");
        assert_eq!(made, again);
        let hidden = company.freshly(async || create("colleague").await).await.expect_err("not their customer");
        assert_eq!((hidden.code(), reason(&hidden)), (Code::NotFound, "CUSTOMER_NOT_FOUND"));
        company.advance_to(due).await;
        let due_reminders: Vec<_> = company
            .heard::<pb::ReminderDue>()
            .await
            .into_iter()
            .filter(|one| one.kind() == pb::ReminderKind::Due)
            .collect();
        assert_eq!((due_reminders.len(), due_reminders[0].due_time_micros), (1, due.micros()));
        let to_do = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "tidy the desk".into(),
            due_time: wire(company.now() + Duration::from_secs(3_600)),
            ..Default::default()
        };
        let to_do = company.tasks().create_task(company.by("rep", to_do)).await.expect("a to-do").into_inner();
        assert_eq!((to_do.state(), to_do.title.as_str()), (pb::TaskState::Open, "tidy the desk"));
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn bad_tasks_are_refused_with_every_field_at_fault() {
    in_each_company(async |company: &Company| {
        let request = pb::CreateTaskRequest {
            kind: pb::TaskKind::NextContact.into(),
            title: "x".repeat(201),
            assignee_id: "nobody".into(),
            remind_before_minutes: vec![0],
            request_id: "again".into(),
            ..Default::default()
        };
        let refused = company.tasks().create_task(company.by("rep", request)).await.expect_err("it is bad");
        let found = fields(&refused);
        for field in
            ["title", "assignee_id", "remind_before_minutes[0]", "customer_id", "channel", "due_time", "request_id"]
        {
            assert!(found.iter().any(|one| one == field), "{field} is missing among {found:?}");
        }
        let states =
            pb::ListTasksRequest { states: vec![77], page_token: "???".into(), page_size: -1, ..Default::default() };
        let refused = company.tasks().list_tasks(company.by("rep", states)).await.expect_err("it is bad");
        let mut found = fields(&refused);
        found.sort();
        assert_eq!(found, ["page_size", "page_token", "states[0]"]);
    })
    .await;
}

#[tokio::test]
async fn a_leavers_work_goes_to_the_successor_and_nothing_stays_behind() {
    in_each_company(async |company: &Company| {
        let (_, open) = company.with_open_task().await;
        let to_do = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "order samples".into(),
            due_time: wire(company.now() + Duration::from_secs(86_400)),
            ..Default::default()
        };
        let to_do = company.tasks().create_task(company.by("rep", to_do)).await.expect("a to-do").into_inner();
        company.person("rep", identity::SubjectState::Left, 2).await;
        let rule = identity::successor_rule::Rule::UserId(company.who("colleague").to_string());
        let started = identity::HandOverStarted {
            hand_over_id: company.new_id::<revisit_core::id::kind::Job>().to_string(),
            user_id: company.who("rep").to_string(),
            successor: Some(identity::SuccessorRule { rule: Some(rule) }),
            effective_time_micros: company.now().micros(),
            ..Default::default()
        };
        company.event("identity", company.who("rep").uuid(), &started).await;
        company.advance_to(company.now() + Duration::from_secs(1)).await;
        let mut taken: Vec<_> =
            company.list("colleague", &[pb::TaskState::Open]).await.into_iter().map(|task| task.task_id).collect();
        taken.sort();
        let mut wanted = vec![open.task_id, to_do.task_id];
        wanted.sort();
        assert_eq!(taken, wanted);
        let boss = company.by("boss", pb::CheckContinuityRequest::default());
        let found = company.metrics().check_continuity(boss).await.expect("a look").into_inner();
        assert_eq!(found.orphan_task_count, 0);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_is_put_off_reminds_as_long_before_as_its_maker_wanted() {
    in_each_company(async |company: &Company| {
        // An hour before is no working time: the reminder is due when people go home on Friday.
        let request = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "prepare the offer".into(),
            due_time: wire(shanghai("2026-03-09T09:30")),
            remind_before_minutes: vec![60],
            ..Default::default()
        };
        let made = company.tasks().create_task(company.by("rep", request)).await.expect("a to-do").into_inner();
        let later = pb::SnoozeTaskRequest {
            task_id: made.task_id,
            due_time: wire(shanghai("2026-03-11T15:00")),
            ..Default::default()
        };
        company.tasks().snooze_task(company.by("rep", later)).await.expect("it waits");
        company.advance_to_local("2026-03-11T13:59").await;
        assert_eq!(reminders(company).await, []);
        company.advance_to_local("2026-03-11T14:00").await;
        assert_eq!(reminders(company).await, [(pb::ReminderKind::Before, 0)]);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_to_do_is_given_to_somebody_shown_beside_their_visits_and_done() {
    in_each_company(async |company: &Company| {
        company.with_open_task().await;
        let to_do = pb::CreateTaskRequest {
            kind: pb::TaskKind::Todo.into(),
            title: "send the catalogue".into(),
            assignee_id: company.who("rep").to_string(),
            due_time: wire(shanghai("2026-03-09T17:00")),
            ..Default::default()
        };
        let to_do = company.tasks().create_task(company.by("manager", to_do)).await.expect("a to-do").into_inner();
        let day = pb::ListTodayTasksRequest::default();
        let day = company.tasks().list_today_tasks(company.by("rep", day)).await.expect("a day").into_inner();
        let shown: Vec<_> = day.tasks.iter().map(|task| (task.kind(), task.assignee_id.clone())).collect();
        let rep = company.who("rep").to_string();
        assert_eq!(shown, [(pb::TaskKind::Todo, rep.clone()), (pb::TaskKind::Plan, rep)]);
        let done = pb::CompleteTaskRequest { task_id: to_do.task_id, result: "done".into(), ..Default::default() };
        let done = company.tasks().complete_task(company.by("rep", done)).await.expect("done").into_inner();
        assert_eq!(done.task.expect("the task").state(), pb::TaskState::Done);
        company.assert_timers_fit().await;
    })
    .await;
}
