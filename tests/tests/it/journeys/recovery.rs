//! A notification service that has lost its memory, or has an old one, and learns anew what it must know.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_proto::{followup::v1 as pb, identity::v1 as identity, notification::v1 as notification};
use revisit_standalone::{
    client::{Person, instant},
    mail_sink::Trouble,
};
use revisit_tests::{
    databases::Backend,
    world::{Fate, TENANT, World, mask},
};

use super::follow_up::{complete, store};

const HOUR: Duration = Duration::from_hours(1);

/// Kinds of the messages in somebody's inbox, oldest first.
async fn kinds(who: &Person) -> Vec<notification::MessageKind> {
    let request = notification::ListMessagesRequest { page_size: 1_000, ..Default::default() };
    let who = who.fresh().await.expect("a session");
    let messages = answer(who.inbox().list_messages(request).await).expect("an inbox").messages;
    messages.iter().rev().map(notification::Message::kind).collect()
}

/// How many mails somebody has got.
fn mails(world: &World, username: &str) -> usize {
    let to = [format!("{username}@{TENANT}.example")];
    world.sink.mails().iter().filter(|mail| mail.to == to).count()
}

/// Two people log in again over the line of a world that has started again.
async fn back(world: &World, (one, other): (&Person, &Person)) -> (Person, Person) {
    let channel = world.running.channel();
    let one = one.over(channel.clone()).await.expect("they log in again");
    (one, other.over(channel).await.expect("they log in again"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_lost_all_memory_knows_people_customers_and_open_tasks_again_and_welcomes_nobody_twice() {
    use notification::MessageKind as M;
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::start(backend).await;
        let (manager, rep) = store(&world).await;
        world.advance(2 * HOUR).await;
        let task = world.tasks(&rep, pb::TaskState::Open).await.remove(0);
        let had = (mails(&world, "hui"), mails(&world, "mei"));
        assert!(had.0 > 0 && had.1 > 0, "both were welcomed");

        let world = world.restart("notification", Fate::Lost).await;
        let (manager, rep) = back(&world, (&manager, &rep)).await;
        world.settle().await;
        let user = identity::User { user_id: rep.id.to_string(), display_name: "梅".to_owned(), ..Default::default() };
        let rename = identity::UpdateUserRequest {
            user: Some(user),
            update_mask: mask(&["display_name"]),
            ..Default::default()
        };
        answer(world.admin.directory().update_user(rename).await).expect("another name");
        world.settle().await;
        assert_eq!((mails(&world, "hui"), mails(&world, "mei")), had, "nobody begins here again");
        assert_eq!(kinds(&rep).await, [], "messages come back from a backup only");
        world.hire("lin", "sales_rep", &world.root).await;
        assert_eq!(mails(&world, "lin"), 1, "who begins is welcomed");

        world.advance_to(instant(task.due_time.expect("a due time")) + HOUR / 60).await;
        assert_eq!(kinds(&rep).await, [M::TaskBefore, M::TaskDue], "her address and language are known");
        let given = pb::ReassignTaskRequest {
            task_id: task.task_id.clone(),
            assignee_id: manager.id.to_string(),
            ..Default::default()
        };
        answer(manager.fresh().await.expect("a session").tasks().reassign_task(given).await).expect("it is given");
        world.settle().await;
        assert_eq!(kinds(&manager).await, [M::TaskMoved], "whose it was is known");
        complete(&manager, &task).await;
        world.settle().await;
        assert_eq!(kinds(&rep).await.last(), Some(&M::OutcomeRecorded), "whose the customer is is known");
        world.running.stop().await.expect("it stops without a fault");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_learns_which_tasks_have_ended_since_and_reminds_of_none_of_them() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let world = World::start(backend).await;
        let (manager, rep) = store(&world).await;
        world.advance(2 * HOUR).await;
        let task = world.tasks(&rep, pb::TaskState::Open).await.remove(0);
        // The mail at due is refused for now: the backup is made while it waits for its next try.
        world.advance_to(instant(task.due_time.expect("a due time")) - HOUR / 60).await;
        world.sink.expect_trouble(&[Trouble::Later]);
        world.advance_to(instant(task.due_time.expect("a due time"))).await;
        let world = world.restart("notification", Fate::Kept).await;
        let (manager, rep) = back(&world, (&manager, &rep)).await;
        complete(&rep, &task).await;
        world.settle().await;

        let world = world.restart("notification", Fate::PutBack).await;
        back(&world, (&manager, &rep)).await;
        world.settle().await;
        let sent = world.sink.mails().len();
        world.advance(HOUR).await;
        assert_eq!(world.sink.mails().len(), sent, "what is done is not reminded of");
        world.running.stop().await.expect("it stops without a fault");
    }
}
