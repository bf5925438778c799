//! What an open task lends, to whom, and for how long.

use std::time::Duration;

use revisit_permission::{Action, Effect};
use revisit_proto::{followup::v1 as pb, identity::v1 as identity};
use tonic::Code;

use super::support::{Company, in_each_company, instant, reason, shanghai, wire};

/// What ends a task well.
pub fn done(task: &pb::Task) -> pb::CompleteTaskRequest {
    pb::CompleteTaskRequest {
        task_id: task.task_id.clone(),
        result: "reached".into(),
        channel: pb::Channel::Phone.into(),
        ..Default::default()
    }
}

/// The manager gives the task to the colleague.
pub async fn give(company: &Company, task: &pb::Task) {
    let request = pb::ReassignTaskRequest {
        task_id: task.task_id.clone(),
        assignee_id: company.who("colleague").to_string(),
        ..Default::default()
    };
    company.tasks().reassign_task(company.by("manager", request)).await.expect("it is given");
}

/// Raises something that is to be settled within two working hours.
pub fn issue(assignee_id: String) -> pb::Issue {
    pb::Issue { title: "a door is crooked".into(), assignee_id, due_within_minutes: 120, ..Default::default() }
}

#[tokio::test]
async fn who_was_lent_access_does_not_prolong_it_by_putting_the_task_off() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        let first_end = instant(task.due_time);
        give(company, &task).await;
        let snooze = |due: &str| pb::SnoozeTaskRequest {
            task_id: task.task_id.clone(),
            due_time: wire(shanghai(due)),
            ..Default::default()
        };
        let later = company
            .tasks()
            .snooze_task(company.by("colleague", snooze("2026-03-25T18:00")))
            .await
            .expect("it is put off");
        assert_eq!(instant(later.into_inner().due_time), shanghai("2026-03-25T18:00"));
        company.advance_to_local("2026-03-16T09:00").await;
        let lent = async || company.heard::<pb::TaskOpened>().await.iter().map(|one| one.until_micros).max();
        assert_eq!(lent().await, Some(first_end.micros()), "the access ended when it was to");
        assert_eq!(company.list("colleague", &[pb::TaskState::Open]).await.len(), 1, "the task is theirs still");
        company
            .tasks()
            .snooze_task(company.by("manager", snooze("2026-03-26T18:00")))
            .await
            .expect("a supervisor may give more time");
        let now = company.now();
        assert_eq!(lent().await, Some((now + Duration::from_hours(24)).micros()), "and the access with it");
        company.change_owner(id, 2, "colleague").await;
        company
            .tasks()
            .snooze_task(company.by("colleague", snooze("2026-03-30T18:00")))
            .await
            .expect("the task is the owner's to put off");
        company.advance_to_local("2026-03-30T18:00").await;
        let by_manager = shanghai("2026-03-26T18:00").micros();
        assert_eq!(
            lent().await,
            Some(by_manager),
            "to themselves an owner lends nothing: it would outlive the ownership"
        );
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn what_an_outcome_plants_prolongs_nothing_for_whoever_was_lent_access() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let first_end = instant(task.due_time).micros();
        let colleague = company.who("colleague").to_string();
        give(company, &task).await;
        let long = |assignee| pb::Issue { due_within_minutes: 43_200, ..issue(assignee) };
        let request = pb::CompleteTaskRequest {
            issues: vec![long(colleague.clone()), long(String::new())],
            next_contact_time: wire(shanghai("2026-05-25T18:00")),
            ..done(&task)
        };
        company.tasks().complete_task(company.by("colleague", request)).await.expect("done");
        company.advance_to_local("2026-05-25T09:00").await;
        let theirs = company.list("colleague", &[pb::TaskState::Open]).await;
        assert_eq!((theirs.len(), theirs[0].kind()), (1, pb::TaskKind::Issue));
        assert_eq!(theirs[0].lent_layers, [] as [&str; 0], "what is over is not told as if it were lent");
        let owners = company.list("rep", &[pb::TaskState::Open]).await;
        let issue = owners.iter().find(|task| task.kind() == pb::TaskKind::Issue).expect("the owner's issue");
        let next = owners.iter().filter(|task| task.kind() == pb::TaskKind::NextContact).count();
        assert_eq!(next, 1, "the next contact is whose the customer is: the colleague would not see it any more");
        let told = company.heard::<pb::TaskOpened>().await;
        let lent: Vec<_> = told
            .iter()
            .filter(|opened| opened.assignee_id == colleague || opened.task_id == issue.task_id)
            .map(|opened| opened.until_micros)
            .collect();
        assert!(lent.len() >= 3 && lent.iter().all(|until| *until <= first_end), "{lent:?}, {first_end}");
        company.assert_timers_fit().await;
    })
    .await;
}

/// Makes a to-do about a customer.
pub fn to_do(customer_id: &str, assignee_id: String, due: &str) -> pb::CreateTaskRequest {
    pb::CreateTaskRequest {
        kind: pb::TaskKind::Todo.into(),
        title: "bring the samples".into(),
        customer_id: customer_id.to_owned(),
        assignee_id,
        due_time: wire(shanghai(due)),
        ..Default::default()
    }
}

#[tokio::test]
async fn nobody_lends_themselves_what_would_outlive_their_right() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        let (id, me) = (id.to_string(), company.who("rep").to_string());
        let mut tasks = company.tasks();
        let mine = to_do(&id, me.clone(), "2026-04-30T18:00");
        let mine = tasks.create_task(company.by("rep", mine)).await.expect("made").into_inner();
        let long = pb::Issue { due_within_minutes: 43_200, ..issue(me.clone()) };
        let request = pb::CompleteTaskRequest { issues: vec![long], ..done(&task) };
        tasks.complete_task(company.by("rep", request)).await.expect("done");
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        let raised = open.into_iter().find(|task| task.kind() == pb::TaskKind::Issue).expect("the issue");
        let put_off = pb::SnoozeTaskRequest {
            task_id: raised.task_id.clone(),
            due_time: wire(shanghai("2027-03-01T18:00")),
            ..Default::default()
        };
        tasks.snooze_task(company.by("rep", put_off)).await.expect("it is put off");
        let given = |to: &str| pb::ReassignTaskRequest {
            task_id: mine.task_id.clone(),
            assignee_id: to.to_owned(),
            ..Default::default()
        };
        let lent = async |task_id: &str| {
            let opened = company.heard::<pb::TaskOpened>().await.into_iter();
            opened.filter(|one| one.task_id == task_id).map(|one| one.until_micros).max().expect("it is told")
        };
        let now = company.now().micros();
        assert!(lent(&mine.task_id).await <= now, "the owner needs no loan, and who was one gets none");
        let left = instant(task.due_time).micros();
        assert!(lent(&raised.task_id).await <= left, "no more than is left of what the plan lends them");
        let colleague = company.who("colleague").to_string();
        tasks.reassign_task(company.by("manager", given(&colleague))).await.expect("it is given");
        assert!(lent(&mine.task_id).await > company.now().micros(), "whoever is given work sees what it is about");
        company.assert_timers_fit().await;
        let far = to_do(&id, me, "2027-04-30T18:00");
        let refused = tasks.create_task(company.by("rep", far)).await.expect_err("in more than a year");
        assert_eq!(refused.code(), Code::InvalidArgument, "{refused:?}");
    })
    .await;
}

#[tokio::test]
async fn who_was_lent_a_customer_hands_on_no_more_than_that() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let first_end = instant(task.due_time).micros();
        let boss = company.who("boss").to_string();
        give(company, &task).await;
        // The window has ended: the colleague does not see the customer any more.
        company.advance_to_local("2026-03-16T09:00").await;
        let long = pb::Issue { due_within_minutes: 43_200, ..issue(boss.clone()) };
        let request = pb::CompleteTaskRequest { issues: vec![long], ..done(&task) };
        company.tasks().complete_task(company.by("colleague", request)).await.expect("done");
        let told = company.heard::<pb::TaskOpened>().await;
        let lent: Vec<_> = told.iter().filter(|one| one.assignee_id == boss).map(|one| one.until_micros).collect();
        assert!(!lent.is_empty() && lent.iter().all(|until| *until <= first_end), "{lent:?}, {first_end}");
    })
    .await;
}

#[tokio::test]
async fn an_issue_that_nobody_was_named_for_leaves_with_the_customer() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        let request = pb::CompleteTaskRequest { issues: vec![issue(String::new())], ..done(&task) };
        company.tasks().complete_task(company.by("rep", request)).await.expect("done");
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        assert_eq!((open.len(), open[0].assigned_by_name), (1, false));
        company.change_owner(id, 2, "colleague").await;
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await, [], "the sale is over, and so is the access");
        assert_eq!(company.list("colleague", &[pb::TaskState::Open]).await.len(), 1);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn an_issue_lends_more_than_the_name_only_to_whom_the_recorder_may_give_work() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let colleague = company.who("colleague").to_string();
        let request = pb::CompleteTaskRequest { issues: vec![issue(colleague.clone())], ..done(&task) };
        company.tasks().complete_task(company.by("rep", request)).await.expect("done");
        let lent = async || {
            let opened = company.heard::<pb::TaskOpened>().await;
            let theirs = opened.into_iter().filter(|one| one.assignee_id == colleague);
            theirs.map(|one| one.layers).collect::<Vec<_>>()
        };
        assert_eq!(lent().await, [vec!["basic".to_owned()]], "a rep leads nobody");
        company.advance_to_local("2026-03-16T09:00").await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        let request = pb::CompleteTaskRequest { issues: vec![issue(colleague.clone())], ..done(&open[0]) };
        company.tasks().complete_task(company.by("manager", request)).await.expect("done");
        let names = |layers: &[&str]| layers.iter().map(|layer| (*layer).to_owned()).collect::<Vec<_>>();
        let mut all = lent().await;
        all.sort();
        assert_eq!(all, [names(&["basic"]), names(&["basic", "sensitive", "history"])]);
    })
    .await;
}

#[tokio::test]
async fn an_issue_lends_to_whom_it_is_dispatched_what_the_publisher_of_the_plan_has_granted() {
    in_each_company(async |company: &Company| {
        let segment = company.new_id();
        let plan = company
            .publish_changed("grade_a_weekly", segment, |plan| {
                plan.lent_layers = vec!["basic".into()];
                plan.issue_layers = vec!["sensitive".into()];
            })
            .await;
        company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
        company.advance_to_local("2026-03-09T09:00").await;
        let task = company.list("rep", &[pb::TaskState::Open]).await.remove(0);
        let colleague = company.who("colleague").to_string();
        let request = pb::CompleteTaskRequest { issues: vec![issue(colleague.clone())], ..done(&task) };
        company.tasks().complete_task(company.by("rep", request)).await.expect("done");
        let opened = company.heard::<pb::TaskOpened>().await;
        let theirs = opened.into_iter().find(|one| one.assignee_id == colleague).expect("it was dispatched");
        assert_eq!(theirs.layers, ["basic", "sensitive"]);

        // What the plan grants is for others: whoever records an issue for themselves lends themselves nothing by it.
        company.advance_to_local("2026-03-16T09:00").await;
        let task = company.list("rep", &[pb::TaskState::Open]).await.remove(0);
        company.guard("rep", Action::TaskCreate, Effect::Deny).await;
        let me = company.who("rep").to_string();
        let request = pb::CompleteTaskRequest { issues: vec![issue(me.clone())], ..done(&task) };
        company.tasks().complete_task(company.by("rep", request)).await.expect("done");
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        let raised = open.iter().find(|task| task.kind() == pb::TaskKind::Issue).expect("the issue");
        let opened = company.heard::<pb::TaskOpened>().await;
        let opened = opened.iter().find(|one| one.task_id == raised.task_id).expect("it is told");
        let left = instant(task.due_time).micros();
        assert!(opened.layers == ["basic"] && opened.until_micros <= left, "{opened:?}, {left}");

        // Whoever may publish but not grant is refused for what only issues would lend.
        let definition = pb::PlanDefinition {
            issue_layers: vec!["sensitive".into(), "history".into()],
            ..plan.definition.clone().expect("one")
        };
        let changed = pb::Plan { plan_id: plan.plan_id.clone(), definition: Some(definition), ..Default::default() };
        let update_mask = Some(prost_types::FieldMask { paths: vec!["definition".into()] });
        let update = pb::UpdatePlanRequest { plan: Some(changed), update_mask, ..Default::default() };
        company.plans().update_plan(company.by("admin", update)).await.expect("a draft");
        let preview = pb::PreviewPlanRequest { plan_id: plan.plan_id };
        let shown = company.plans().preview_plan(company.by("manager", preview)).await.expect("shown").into_inner();
        assert_eq!((shown.added_layers, shown.added_issue_layers), (Vec::new(), vec!["history".to_owned()]));
        assert_eq!(shown.refused_layers, ["basic", "sensitive", "history"], "a manager grants nothing company-wide");
    })
    .await;
}

#[tokio::test]
async fn a_task_given_by_name_is_not_given_back_by_whom_it_was_given_to() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let to = |assignee_id: String| pb::ReassignTaskRequest {
            task_id: task.task_id.clone(),
            assignee_id,
            ..Default::default()
        };
        let named = to(company.who("colleague").to_string());
        company.tasks().reassign_task(company.by("manager", named)).await.expect("it is given");
        let back = company.tasks().reassign_task(company.by("colleague", to(String::new()))).await;
        assert_eq!(back.expect_err("it would be the rep's").code(), Code::PermissionDenied);
        company.tasks().reassign_task(company.by("manager", to(String::new()))).await.expect("a manager may");
        assert_eq!(company.list("rep", &[pb::TaskState::Open]).await.len(), 1);
    })
    .await;
}

#[tokio::test]
async fn nothing_is_decided_on_what_was_known_of_customers_too_long_ago() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        company.silence_customer().await;
        let get = pb::GetTaskRequest { task_id: task.task_id.clone(), read_mask: None };
        let skip =
            pb::SkipTaskRequest { task_id: task.task_id.clone(), reason: "on holiday".into(), ..Default::default() };
        let period = pb::GetFiguresRequest {
            start_time: wire(shanghai("2026-03-09T00:00")),
            end_time: wire(shanghai("2026-03-11T00:00")),
            ..Default::default()
        };
        let refused = [
            company.tasks().get_task(company.by("rep", get)).await.map(drop),
            company.tasks().complete_task(company.by("rep", done(&task))).await.map(drop),
            company.tasks().skip_task(company.by("rep", skip)).await.map(drop),
            company.metrics().get_figures(company.by("boss", period)).await.map(drop),
            company
                .metrics()
                .check_continuity(company.by("boss", pb::CheckContinuityRequest::default()))
                .await
                .map(drop),
        ];
        for answer in refused {
            let status = answer.expect_err("it is too old");
            assert_eq!((status.code(), reason(&status)), (Code::Unavailable, "PROJECTION_STALE"));
            let told = status.message();
            assert!(
                told.starts_with("the newest news of customer is ") && told.ends_with("call again in a moment"),
                "{told}"
            );
        }
    })
    .await;
}

#[tokio::test]
async fn what_follows_an_outcome_opens_for_nobody_who_has_left() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        give(company, &task).await;
        company.person("colleague", identity::SubjectState::Left, 2).await;
        company.settle().await;
        let soon = wire(company.now() + Duration::from_hours(3));
        let request = pb::CompleteTaskRequest { next_contact_time: soon, ..done(&task) };
        let next = company.tasks().complete_task(company.by("manager", request)).await.expect("done").into_inner();
        let next = next.next_task.expect("a next contact");
        assert_eq!((next.state(), next.assignee_id), (pb::TaskState::Open, company.who("rep").to_string()));
        assert!(!next.assigned_by_name, "who stands in has it as long as the customer is theirs");
    })
    .await;
}

#[tokio::test]
async fn customer_is_told_that_what_a_task_lent_is_over_before_its_completion_is_answered() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        assert_ne!(task.lent_layers, [] as [&str; 0]);
        let answer = company.tasks().complete_task(company.by("rep", done(&task))).await.expect("done").into_inner();
        assert_eq!(answer.task.expect("the task").lent_layers, [] as [&str; 0], "what has ended lends nothing");
        // The event says the same and comes when it comes; nobody here waits for it.
        let closed = company.heard::<pb::TaskClosed>().await.into_iter().find(|one| one.task_id == task.task_id);
        let told: Vec<_> = company.closings.told();
        let told: Vec<_> = told.iter().map(|one| (&*one.customer_id, &*one.task_id, one.generation)).collect();
        assert_eq!(told, [(&*id.to_string(), &*task.task_id, closed.expect("it is closed").generation)]);
    })
    .await;
}
