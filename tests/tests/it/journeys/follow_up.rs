//! From a plan to a reminder in the right person's hands, and to the manager when nobody acts.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Kind;
use revisit_proto::{
    customer::v1 as customer, followup::v1 as pb, identity::v1 as identity, notification::v1 as notification,
};
use revisit_standalone::client::Person;
use revisit_tests::world::{World, in_each_world};

const HOUR: Duration = Duration::from_hours(1);

/// A store with its manager and one representative, who owns one customer; the conversion track runs for it.
pub async fn store(world: &World) -> (Person, Person) {
    let store = world.department("上海徐汇店", &world.root).await;
    let manager = world.hire("hui", "sales_manager", &store).await;
    world.appoint(&manager, &store).await;
    let rep = world.hire("mei", "sales_rep", &store).await;
    world.customer(&rep, "王芳", "13800001001").await;
    world.plan("grade_c_conversion").await;
    (manager, rep)
}

async fn kinds(who: &Person) -> Vec<notification::MessageKind> {
    let request = notification::ListMessagesRequest { page_size: 1_000, ..Default::default() };
    let who = who.fresh().await.expect("a session");
    let messages = answer(who.inbox().list_messages(request).await).expect("an inbox").messages;
    messages.iter().rev().map(notification::Message::kind).filter(|kind| is_reminder(*kind)).collect()
}

fn is_reminder(kind: notification::MessageKind) -> bool {
    use notification::MessageKind as M;
    [M::TaskOpened, M::TaskBefore, M::TaskDue, M::TaskOverdue, M::TaskEscalated].contains(&kind)
}

pub async fn complete(who: &Person, task: &pb::Task) {
    let request = pb::CompleteTaskRequest {
        task_id: task.task_id.clone(),
        result: "reached".to_owned(),
        channel: pb::Channel::Phone as i32,
        satisfaction: Some(5),
        ..Default::default()
    };
    let who = who.fresh().await.expect("a session");
    answer(who.tasks().complete_task(request).await).expect("it is done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_opens_a_task_in_working_hours_and_reminds_its_owner_in_the_inbox_and_by_mail_once() {
    use notification::MessageKind as M;
    in_each_world(async |world: &World| {
        let (_, rep) = store(world).await;
        assert!(world.tasks(&rep, pb::TaskState::Open).await.is_empty(), "it is before nine");
        world.advance(2 * HOUR).await;
        let open = world.tasks(&rep, pb::TaskState::Open).await;
        assert_eq!(open.iter().map(|task| task.step_key.as_str()).collect::<Vec<_>>(), ["first_contact"]);
        assert_eq!(kinds(&rep).await, [M::TaskOpened]);
        world.advance_to(revisit_standalone::client::instant(open[0].due_time.expect("a due time")) + HOUR / 60).await;
        assert_eq!(kinds(&rep).await, [M::TaskOpened, M::TaskBefore, M::TaskDue]);
        let mails = world.sink.mails();
        let to_her = mails.iter().filter(|mail| mail.to == ["mei@haitang.example"]);
        let ids: std::collections::BTreeSet<_> = to_her.clone().map(|mail| mail.message_id.clone()).collect();
        assert_eq!(ids.len(), to_her.count(), "no mail came twice");
        assert!(ids.len() >= 2, "before and at due");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_nobody_does_is_escalated_to_the_manager_who_can_do_it() {
    use notification::MessageKind as M;
    in_each_world(async |world: &World| {
        let (manager, rep) = store(world).await;
        world.advance(48 * HOUR + 10 * HOUR).await;
        let told = kinds(&rep).await;
        assert_eq!(told[..4], [M::TaskOpened, M::TaskBefore, M::TaskDue, M::TaskOverdue]);
        assert_eq!(kinds(&manager).await, [M::TaskEscalated]);
        let task = world.tasks(&manager, pb::TaskState::Open).await.remove(0);
        assert!(task.overdue);
        complete(&manager, &task).await;
        world.settle().await;
        let figures = pb::GetFiguresRequest {
            start_time: Some(revisit_bootstrap::wire::time(world.now() - 240 * HOUR)),
            end_time: Some(revisit_bootstrap::wire::time(world.now())),
            ..Default::default()
        };
        let figures = answer(manager.metrics().get_figures(figures).await).expect("figures").figures;
        assert_eq!((figures[0].due_count, figures[0].on_time_count, figures[0].late_count), (1, 0, 1));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_done_before_it_is_due_is_never_reminded_of_again() {
    use notification::MessageKind as M;
    in_each_world(async |world: &World| {
        let (manager, rep) = store(world).await;
        world.advance(2 * HOUR).await;
        let open = world.tasks(&rep, pb::TaskState::Open).await;
        complete(&rep, &open[0]).await;
        world.advance(50 * HOUR).await;
        assert_eq!(kinds(&rep).await, [M::TaskOpened]);
        assert!(kinds(&manager).await.is_empty());
        assert_eq!(world.tasks(&rep, pb::TaskState::Done).await.len(), 1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_task_lends_is_over_for_whoever_has_completed_it() {
    in_each_world(async |world: &World| {
        let (manager, rep) = store(world).await;
        let department = manager.directory().get_own_profile(identity::GetOwnProfileRequest {}).await;
        let department = answer(department).expect("a profile").department_id;
        let colleague = world.hire("lan", "sales_rep", &department).await;
        world.advance(2 * HOUR).await;
        let task = world.tasks(&rep, pb::TaskState::Open).await.remove(0);
        let hidden = world.ask(&colleague, &task.customer_id).await.expect_err("not theirs");
        assert_eq!(hidden.kind, Kind::NotFound);
        let given = pb::ReassignTaskRequest {
            task_id: task.task_id.clone(),
            assignee_id: colleague.id.to_string(),
            ..Default::default()
        };
        answer(manager.fresh().await.expect("a session").tasks().reassign_task(given).await).expect("it is given");
        world.settle().await;
        let lent = world.ask(&colleague, &task.customer_id).await.expect("it is lent");
        assert_eq!(lent.contact_points[0].normal_form, "+8613800001001");
        complete(&colleague, &task).await;
        world.settle().await;
        let over = world.ask(&colleague, &task.customer_id).await.expect_err("it is over");
        assert_eq!(over.kind, Kind::NotFound);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_stands_in_the_customers_timeline_with_its_channel_once() {
    in_each_world(async |world: &World| {
        let (_, rep) = store(world).await;
        world.advance(2 * HOUR).await;
        let task = world.tasks(&rep, pb::TaskState::Open).await.remove(0);
        complete(&rep, &task).await;
        world.settle().await;
        let request = customer::ListTimelineRequest { customer_id: task.customer_id.clone(), ..Default::default() };
        let timeline = rep.fresh().await.expect("a session").timeline().list_timeline(request).await;
        let entries = answer(timeline).expect("a timeline").entries;
        let told: Vec<_> = entries
            .iter()
            .filter(|entry| entry.kind() == customer::EntryKind::FollowUp)
            .map(|entry| {
                (entry.to.as_str(), entry.channel.as_str(), entry.actor_id.as_str(), entry.reference_id.as_str())
            })
            .collect();
        assert_eq!(told, [("reached", "phone", &*rep.id, task.task_id.as_str())]);
    })
    .await;
}
