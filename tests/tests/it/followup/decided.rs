//! What decides a change is the row as it is held: the log names that right, and it stands when the change is committed, or
//! nothing is done. On PostgreSQL alone, where a lock makes the wait.

use std::{fmt::Debug, future::Future, time::Duration};

use futures::{FutureExt, future::LocalBoxFuture};
use revisit_core::id::kind::Event;
use revisit_permission::{Action, Effect, Levels};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb, identity::v1::AuditEntry};
use revisit_tests::{databases::Backend, held::while_held};
use tonic::{Code, Status};

use super::{
    lending::{done, give},
    support::{Company, reason, wire},
    taken::{MASKING, changed, company, refused},
};

/// A company in which the rep has an open task.
async fn with_task() -> (Company, pb::Task) {
    let company = Company::start(Backend::Postgres, 1).await;
    let (_, task) = company.with_open_task().await;
    (company, task)
}

/// Something happens while a call waits for a table.
fn held<'a, T: 'a>(
    company: &'a Company,
    table: &'a str,
    call: impl Future<Output = T> + 'a,
    happening: impl Future<Output = ()> + 'a,
) -> LocalBoxFuture<'a, T> {
    while_held((&company.database.writer, &company.database.reader), table, call, happening).boxed_local()
}

/// The call was refused because policy says no by now.
fn denied<T: Debug>(told: Result<T, Status>) {
    let refused = told.expect_err("it was done all the same");
    assert_eq!((refused.code(), reason(&refused)), (Code::PermissionDenied, "PERMISSION_DENIED"), "{refused:?}");
}

fn put_off(company: &Company, task: &pb::Task, said: &str) -> pb::SnoozeTaskRequest {
    pb::SnoozeTaskRequest {
        task_id: task.task_id.clone(),
        due_time: wire(company.now() + Duration::from_hours(48)),
        reason: said.to_owned(),
        // With it, the call waits for what was done under its key, after it has read the task and before it holds it.
        request_id: company.new_id::<Event>().to_string(),
        ..Default::default()
    }
}

/// What the log says allowed somebody's changes of tasks, in no order.
async fn witnesses(company: &Company, who: &str) -> Vec<String> {
    let mut entries = company.heard::<AuditEntry>().await;
    entries.retain(|entry| entry.subject_id == company.who(who).to_string() && entry.action == "task.update");
    entries.into_iter().map(|entry| entry.witness).collect()
}

async fn version(company: &Company, task: &pb::Task) -> i64 {
    company.number(&format!("SELECT version AS n FROM task WHERE task_id = '{}'", task.task_id)).await
}

#[tokio::test]
async fn the_log_names_the_right_that_decided_on_the_task_as_it_was_held() {
    let (company, task) = with_task().await;
    let mut tasks = company.tasks();
    tasks.snooze_task(company.by("rep", put_off(&company, &task, ""))).await.expect("it is the rep's");
    let own = witnesses(&company, "rep").await;
    assert!(own.len() == 1 && own[0].starts_with("role:"), "{own:?}");
    let grant = company.grant("rep", &[Action::TaskView, Action::TaskUpdate], Levels::WRITE).await;
    let snooze = tasks.snooze_task(company.by("rep", put_off(&company, &task, "")));
    held(&company, "request", snooze, give(&company, &task)).await.expect("who may in the whole company may here");
    let mut said = witnesses(&company, "rep").await;
    said.retain(|witness| *witness != own[0]);
    assert_eq!(said, [format!("grant:{grant}")], "the task was somebody else's by then");
    company.stop().await;
}

#[tokio::test]
async fn a_task_is_not_given_to_where_the_right_to_give_it_ended_meanwhile() {
    let (company, task) = with_task().await;
    // It gives nothing that the rep does not have on own tasks: it is needed for the colleague's alone.
    let grant = company.grant("rep", &[Action::TaskUpdate], Levels::HIDDEN).await;
    let before = version(&company, &task).await;
    let request = pb::ReassignTaskRequest {
        task_id: task.task_id.clone(),
        assignee_id: company.who("colleague").to_string(),
        reason: "on leave".into(),
        ..Default::default()
    };
    let mut tasks = company.tasks();
    let reassign = tasks.reassign_task(company.by("rep", request));
    denied(held(&company, "sealing_key", reassign, company.revoke("rep", grant)).await);
    assert_eq!(version(&company, &task).await, before);
    company.stop().await;
}

#[tokio::test]
async fn what_a_task_lends_does_not_outlive_the_right_that_let_it_move() {
    let (company, task) = with_task().await;
    let before = version(&company, &task).await;
    let mut tasks = company.tasks();
    let snooze = tasks.snooze_task(company.by("manager", put_off(&company, &task, "on leave")));
    let gone = company.guard("manager", Action::CustomerView, Effect::Deny);
    changed(held(&company, "sealing_key", snooze, gone).await);
    assert_eq!(version(&company, &task).await, before);
    company.stop().await;
}

#[tokio::test]
async fn an_issue_lends_nothing_by_a_right_that_ended_while_it_was_raised() {
    let (company, task) = with_task().await;
    let grant = company.grant("rep", &[Action::TaskCreate], Levels::WRITE).await;
    let issue = pb::Issue {
        title: "a door is crooked".into(),
        assignee_id: company.who("colleague").to_string(),
        due_within_minutes: 120,
        ..Default::default()
    };
    let request = pb::CompleteTaskRequest { issues: vec![issue], ..done(&task) };
    let mut tasks = company.tasks();
    let complete = tasks.complete_task(company.by("rep", request));
    changed(held(&company, "outcome_note", complete, company.revoke("rep", grant)).await);
    assert_eq!(company.number("SELECT count(*) AS n FROM task WHERE kind = 'issue'").await, 0);
    company.stop().await;
}

#[tokio::test]
async fn what_was_recorded_is_not_told_by_a_right_that_ended_meanwhile() {
    for (action, effect) in [(Action::TaskView, Effect::Deny), (Action::CustomerView, MASKING)] {
        let (company, task) = with_task().await;
        let mut tasks = company.tasks();
        let complete = tasks.complete_task(company.by("rep", done(&task)));
        let told = held(&company, "outcome_note", complete, company.guard("rep", action, effect)).await;
        changed(told);
        assert_eq!(company.number("SELECT count(*) AS n FROM outcome").await, 0, "what is not told is not done");
        company.stop().await;
    }
}

#[tokio::test]
async fn an_outcome_is_not_reviewed_by_who_lost_its_customer_meanwhile() {
    let (company, customer_id, task_id) = company().await;
    let request_id = company.new_id::<Event>().to_string();
    let request = pb::ReviewOutcomeRequest { task_id, approved: true, request_id };
    let review = || async { company.tasks().review_outcome(company.by("manager", request.clone())).await };
    // Another store's from now on.
    let moved = async {
        let id = customer_id.parse().expect("an id");
        let elsewhere = company.new_id::<revisit_core::id::kind::Department>().to_string();
        let facts = customer::CustomerFacts { department_id: elsewhere, ..company.facts(id, 2, "colleague") };
        let changed = customer::CustomerChanged { facts: Some(facts), ..Default::default() };
        company.event("customer", id.uuid(), &changed).await;
        let text = "SELECT count(*) AS n FROM customer WHERE version = 2";
        company.until(async || (company.number(text).await == 1).then_some(())).await;
    };
    let refused = held(&company, "request", review(), moved).await.expect_err("it was reviewed all the same");
    assert_eq!((refused.code(), reason(&refused)), (Code::Aborted, "ETAG_STALE"), "{refused:?}");
    let pending = "SELECT count(*) AS n FROM outcome WHERE review = 'pending'";
    assert_eq!(company.number(pending).await, 1);
    let gone = review().await.expect_err("it is not theirs to see");
    assert_eq!((gone.code(), reason(&gone)), (Code::NotFound, "TASK_NOT_FOUND"));
    company.stop().await;
}

#[tokio::test]
async fn a_review_that_is_sent_again_is_told_by_the_rights_of_then() {
    for (action, expected) in [
        (Action::TaskReview, (Code::PermissionDenied, "PERMISSION_DENIED")),
        (Action::CustomerView, (Code::NotFound, "OUTCOME_NOT_FOUND")),
        (Action::TaskView, (Code::NotFound, "TASK_NOT_FOUND")),
    ] {
        let (company, _, task_id) = company().await;
        let request_id = company.new_id::<Event>().to_string();
        let request = pb::ReviewOutcomeRequest { task_id, approved: true, request_id };
        let review = || async { company.tasks().review_outcome(company.by("manager", request.clone())).await };
        refused(&company, "outcome_note", ("manager", action, Effect::Deny), review).await;
        // And by another one no more than by the same.
        let anew = pb::ReviewOutcomeRequest { request_id: String::new(), ..request.clone() };
        for request in [request, anew] {
            let refused = company.tasks().review_outcome(company.by("manager", request)).await;
            let refused = refused.expect_err("it was told all the same");
            assert_eq!((refused.code(), reason(&refused)), expected, "{action:?}: {refused:?}");
        }
        company.stop().await;
    }
}

#[tokio::test]
async fn a_script_does_not_outlive_the_right_to_see_its_task() {
    let company = Company::start(Backend::Postgres, 1).await;
    let segment = company.new_id();
    company
        .publish_changed("grade_a_weekly", segment, |definition| {
            definition.steps[0].scripts = vec![pb::Script { tags: Vec::new(), text: "hello {{name}}".into() }];
        })
        .await;
    company.enter(segment, company.facts(company.new_id(), 1, "rep"), 1).await;
    company.advance_to_local("2026-03-09T09:00").await;
    let task_id = company.list("rep", &[pb::TaskState::Open]).await.remove(0).task_id;
    let mut tasks = company.tasks();
    let script = tasks.get_script(company.by("rep", pb::GetScriptRequest { task_id }));
    let told = company.door.while_shut(script, company.guard("rep", Action::TaskView, Effect::Deny)).await;
    let refused = told.expect_err("it was told all the same");
    assert_eq!((refused.code(), reason(&refused)), (Code::Unavailable, "LEASE_EXPIRED"), "{refused:?}");
    company.stop().await;
}
