//! Who may lend a customer by a task: to others what they read themselves, to themselves nothing.

use std::time::Duration;

use revisit_permission::{Action, Effect, Layer, Level, Levels};
use revisit_proto::{followup::v1 as pb, identity::v1 as identity};

use super::{
    lending::{done, give, issue, to_do},
    support::{Company, in_each_company, instant, shanghai, wire},
};

/// What was told last of what a task lends.
async fn told(company: &Company, task_id: &str) -> pb::TaskOpened {
    let opened = company.heard::<pb::TaskOpened>().await.into_iter().filter(|one| one.task_id == task_id);
    opened.max_by_key(|one| one.generation).expect("it is told")
}

/// Until when a task lends, of what was told last.
async fn lent(company: &Company, task_id: &str) -> i64 {
    told(company, task_id).await.until_micros
}

async fn snooze(company: &Company, who: &str, task_id: &str, due: &str) {
    let request =
        pb::SnoozeTaskRequest { task_id: task_id.to_owned(), due_time: wire(shanghai(due)), ..Default::default() };
    company.tasks().snooze_task(company.by(who, request)).await.expect("it is put off");
}

async fn reassign(company: &Company, who: &str, task_id: &str, assignee_id: String) {
    let request = pb::ReassignTaskRequest { task_id: task_id.to_owned(), assignee_id, ..Default::default() };
    company.tasks().reassign_task(company.by(who, request)).await.expect("it is given");
}

fn basic_only() -> Effect {
    Effect::Cap(Levels::HIDDEN.with(Layer::Basic, Level::Read))
}

#[tokio::test]
async fn who_answers_for_a_customer_is_oneself_though_nobody_is_named() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        let first_end = instant(task.due_time).micros();
        snooze(company, "rep", &task.task_id, "2027-03-01T18:00").await;
        let to_do = to_do(&id.to_string(), String::new(), "2027-03-01T18:00");
        let made = company.tasks().create_task(company.by("rep", to_do)).await.expect("made").into_inner();
        company.advance_to_local("2026-03-09T20:00").await;
        assert!(lent(company, &task.task_id).await <= first_end, "it is the owner's own, as it was given by the plan");
        assert!(lent(company, &made.task_id).await <= company.now().micros());
        let issue = pb::Issue { due_within_minutes: 43_200, ..issue(String::new()) };
        let soon = wire(company.now() + Duration::from_hours(24 * 30));
        let request = pb::CompleteTaskRequest { issues: vec![issue], next_contact_time: soon, ..done(&task) };
        let next = company.tasks().complete_task(company.by("rep", request)).await.expect("done").into_inner();
        let next = next.next_task.expect("a next contact");
        company.advance_to(instant(next.open_time) + Duration::from_secs(60)).await;
        let open = company.list("rep", &[pb::TaskState::Open]).await;
        for kind in [pb::TaskKind::Issue, pb::TaskKind::NextContact] {
            let own = open.iter().find(|task| task.kind() == kind).expect("it is open");
            let until = lent(company, &own.task_id).await;
            assert!(until <= first_end.max(instant(own.open_time).micros()), "{kind:?}: {until}, {first_end}");
        }
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn nobody_keeps_a_customer_who_goes_by_taking_the_task_by_name_before() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        reassign(company, "rep", &task.task_id, company.who("rep").to_string()).await;
        assert!(lent(company, &task.task_id).await <= company.now().micros(), "the plan's loan goes with the customer");

        // A task for whoever has the customer, made by who has the customer for a while.
        let to_do = to_do(&id.to_string(), String::new(), "2027-03-01T18:00");
        let made = company.tasks().create_task(company.by("manager", to_do)).await.expect("made").into_inner();
        assert!(lent(company, &made.task_id).await > company.now().micros(), "it is the rep's");
        company.change_owner(id, 2, "manager").await;
        assert!(lent(company, &made.task_id).await <= company.now().micros(), "it is its maker's own now");
        reassign(company, "manager", &made.task_id, company.who("manager").to_string()).await;
        company.change_owner(id, 3, "rep").await;
        assert!(lent(company, &made.task_id).await <= company.now().micros(), "and stays as it was");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn who_reads_nothing_takes_nothing_by_taking_a_task() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        company.guard("manager", Action::CustomerView, Effect::Deny).await;
        let me = company.who("manager").to_string();
        reassign(company, "manager", &task.task_id, me.clone()).await;
        assert!(lent(company, &task.task_id).await <= company.now().micros());
        let request = pb::CompleteTaskRequest { issues: vec![issue(me)], ..done(&task) };
        company.tasks().complete_task(company.by("manager", request)).await.expect("done");
        let open = company.list("manager", &[pb::TaskState::Open]).await;
        let raised = open.iter().find(|task| task.kind() == pb::TaskKind::Issue).expect("the issue");
        assert!(lent(company, &raised.task_id).await <= company.now().micros());
    })
    .await;
}

#[tokio::test]
async fn who_sees_no_more_than_the_basic_facts_lends_no_more_of_a_longer_window() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        let first_end = instant(task.due_time).micros();
        company.guard("manager", Action::CustomerView, basic_only()).await;
        give(company, &task).await;
        let left = told(company, &task.task_id).await;
        assert!(left.until_micros > company.now().micros(), "what is left goes with the task");
        assert_eq!(left.layers, ["basic", "sensitive", "history"]);
        snooze(company, "manager", &task.task_id, "2026-04-09T18:00").await;
        company.advance_to_local("2026-03-12T09:00").await;
        let longer = told(company, &task.task_id).await;
        assert!(longer.until_micros > first_end);
        assert_eq!(longer.layers, ["basic"], "phones and history are not theirs to lend");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_loan_is_as_long_as_it_was_after_its_task_was_pulled_forward_and_back() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        give(company, &task).await;
        snooze(company, "manager", &task.task_id, "2026-03-13T18:00").await;
        snooze(company, "colleague", &task.task_id, "2026-03-11T18:00").await;
        snooze(company, "colleague", &task.task_id, "2026-03-13T18:00").await;
        company.advance_to_local("2026-03-13T09:00").await;
        assert_eq!(lent(company, &task.task_id).await, shanghai("2026-03-13T18:00").micros());
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_that_is_to_open_for_the_owner_of_that_day_keeps_its_window_when_it_is_put_off() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        company.tasks().complete_task(company.by("rep", done(&task))).await.expect("done");
        let next = company.list("rep", &[pb::TaskState::Scheduled]).await.remove(0);
        company.guard("rep", Action::CustomerView, basic_only()).await;
        snooze(company, "rep", &next.task_id, "2026-03-18T18:00").await;
        company.advance_to_local("2026-03-18T12:00").await;
        let until = lent(company, &next.task_id).await;
        assert_eq!(until, shanghai("2026-03-18T18:00").micros(), "the plan lends it, whoever moves it");
        company.assert_timers_fit().await;
    })
    .await;
}

/// Somebody leaves, and who orders it names a successor.
async fn leave(company: &Company, who: &'static str, ordered_by: &str, successor: &str) {
    company.person(who, identity::SubjectState::Left, 2).await;
    let rule = identity::successor_rule::Rule::UserId(company.who(successor).to_string());
    let started = identity::HandOverStarted {
        hand_over_id: company.new_id::<revisit_core::id::kind::Job>().to_string(),
        user_id: company.who(who).to_string(),
        successor: Some(identity::SuccessorRule { rule: Some(rule) }),
        ordered_by_id: company.who(ordered_by).to_string(),
        effective_time_micros: company.now().micros(),
        ..Default::default()
    };
    company.event("identity", company.who(who).uuid(), &started).await;
    company.advance_to(company.now() + Duration::from_secs(1)).await;
}

#[tokio::test]
async fn what_a_leaver_was_lent_goes_to_the_successor_and_not_to_who_ordered_it() {
    // The manager is who lends it.
    for (ordered_by, successor, lends) in
        [("admin", "boss", true), ("admin", "manager", false), ("boss", "boss", false)]
    {
        in_each_company(async |company: &Company| {
            let (_, task) = company.with_open_task().await;
            give(company, &task).await;
            leave(company, "colleague", ordered_by, successor).await;
            let given = told(company, &task.task_id).await;
            assert_eq!(given.assignee_id, company.who(successor).to_string());
            assert_eq!(given.until_micros > company.now().micros(), lends, "to {successor}, ordered by {ordered_by}");
        })
        .await;
    }
}

#[tokio::test]
async fn a_loan_never_comes_back_to_who_lent_it_by_those_who_do_not_see() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        let (rep, colleague) = (company.who("rep").to_string(), company.who("colleague").to_string());
        let raise = async |by: &str, task: &pb::Task, assignee: &String| {
            let long = pb::Issue { due_within_minutes: 43_200, ..issue(assignee.clone()) };
            let request = pb::CompleteTaskRequest { issues: vec![long], ..done(task) };
            company.tasks().complete_task(company.by(by, request)).await.expect("done");
            let opened = company.heard::<pb::TaskOpened>().await;
            let raised = opened.into_iter().rfind(|one| one.assignee_id == *assignee).expect("it is raised");
            (pb::Task { task_id: raised.task_id, ..Default::default() }, raised.until_micros)
        };
        let (first, until) = raise("rep", &task, &colleague).await;
        assert!(until > company.now().micros(), "the rep reads all of it");
        company.change_owner(id, 2, "manager").await;
        let (own, until) = raise("colleague", &first, &colleague).await;
        assert!(until > company.now().micros(), "the colleague has it still");
        let (_, until) = raise("colleague", &own, &rep).await;
        assert!(until <= company.now().micros(), "it would be a loan of the rep's to the rep");
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn what_somebody_suspended_was_to_have_opens_for_whose_the_customer_is_then() {
    in_each_company(async |company: &Company| {
        let (_, task) = company.with_open_task().await;
        give(company, &task).await;
        let soon = wire(company.now() + Duration::from_hours(24 * 10));
        let request = pb::CompleteTaskRequest { next_contact_time: soon, ..done(&task) };
        company.tasks().complete_task(company.by("manager", request)).await.expect("done");
        let next = async || {
            let planned = company.list("manager", &[pb::TaskState::Scheduled]).await;
            planned.into_iter().find(|task| task.kind() == pb::TaskKind::NextContact).expect("a next contact")
        };
        assert!(next().await.assigned_by_name);
        company.person("colleague", identity::SubjectState::Suspended, 2).await;
        company.advance_to(company.now() + Duration::from_secs(1)).await;
        assert!(!next().await.assigned_by_name);
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn what_somebody_suspended_was_given_by_name_goes_to_whose_the_customer_is_and_with_the_customer() {
    in_each_company(async |company: &Company| {
        let (id, task) = company.with_open_task().await;
        give(company, &task).await;
        company.person("colleague", identity::SubjectState::Suspended, 2).await;
        company.advance_to(company.now() + Duration::from_secs(1)).await;
        let stands_in = told(company, &task.task_id).await;
        assert_eq!(stands_in.assignee_id, company.who("rep").to_string());
        company.change_owner(id, 2, "manager").await;
        assert_eq!(told(company, &task.task_id).await.assignee_id, company.who("manager").to_string());
        company.assert_timers_fit().await;
    })
    .await;
}

#[tokio::test]
async fn a_task_about_a_customer_who_is_nobodys_is_its_makers() {
    in_each_company(async |company: &Company| {
        let (id, _) = company.with_open_task().await;
        let mut facts = company.facts(id, 2, "rep");
        (facts.owner_id, facts.ownership_epoch) = (String::new(), 2);
        company.owner_changed(id, facts).await;
        company.grant("boss", &[Action::TaskCreate], Levels::WRITE).await;
        let to_do = to_do(&id.to_string(), String::new(), "2026-03-20T18:00");
        let made = company.tasks().create_task(company.by("boss", to_do)).await.expect("made").into_inner();
        assert_eq!((made.assignee_id, made.assigned_by_name), (company.who("boss").to_string(), true));
        assert!(lent(company, &made.task_id).await <= company.now().micros());
    })
    .await;
}
