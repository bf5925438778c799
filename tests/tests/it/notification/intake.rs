//! From an event to its messages: to whom, once, and not to whom.

use std::{sync::atomic::Ordering, time::Duration};

use revisit_bootstrap::answer;
use revisit_core::{Timestamp, id::SubjectId};
use revisit_permission::{Action, ActionSet, Change, Extent, Grant, Layer, Level, Levels, Origin, Team, Template};
use revisit_proto::{
    customer::v1 as customer, followup::v1 as followup, identity::v1 as identity, notification::v1 as pb,
};
use revisit_tests::fake_identity::unknown_id;
use uuid::Uuid;

use super::desk::{Desk, at_each_desk, subjects};

fn facts(id: Uuid, owner: &str, version: i64) -> customer::CustomerFacts {
    customer::CustomerFacts { customer_id: id.to_string(), owner_id: owner.to_owned(), version, ..Default::default() }
}

fn titles(messages: &[pb::Message]) -> Vec<&str> {
    messages.iter().map(|message| message.title.as_str()).collect()
}

#[tokio::test]
async fn a_new_user_is_welcomed_once_whatever_happens_to_the_account_afterwards() {
    at_each_desk(async |desk: &Desk| {
        let name = "lin";
        let lin = desk.colleague(name).await;
        desk.person(lin, name, |user| user.state = identity::SubjectState::Suspended.into()).await;
        desk.person(lin, name, |user| user.time_zone = "Europe/Berlin".to_owned()).await;
        assert_eq!(titles(&desk.messages_of(lin).await), ["Welcome to Revisit"]);
        let mails = desk.sink.mails();
        let to_lin = mails.iter().filter(|mail| mail.to == ["lin@example.com"]).count();
        assert_eq!(to_lin, 1);
    })
    .await;
}

#[tokio::test]
async fn a_reminder_reaches_inbox_and_mail_once_and_names_the_customer_as_the_recipient_may_see_it() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = desk.remind(followup::ReminderKind::Due).await;
        desk.settle().await;
        let messages = desk.messages().await;
        assert_eq!(messages[0].title, "Follow-up due: Blue Tea");
        assert!(messages[0].body.contains("2027-01-04 11:00"), "{}", messages[0].body);
        assert!(subjects(desk).contains(&"Follow-up due: Blue Tea".to_owned()), "{:?}", subjects(desk));
        let sent = desk.of_task(task).await;
        assert_eq!(sent[&pb::Channel::Inbox].state(), pb::DeliveryState::Delivered);
        assert_eq!(sent[&pb::Channel::Email].state(), pb::DeliveryState::Accepted);
        assert_eq!((sent.len(), sent[&pb::Channel::Email].tries), (2, 1));
    })
    .await;
}

#[tokio::test]
async fn who_may_not_see_the_customer_is_reminded_without_its_name() {
    at_each_desk(async |desk: &Desk| {
        let (task, hidden) = (unknown_id::<()>().uuid(), unknown_id::<()>().uuid());
        let reminder = desk.reminder(task, hidden, followup::ReminderKind::Overdue);
        desk.emit("followup", task, &reminder).await;
        assert_eq!(desk.messages().await[0].title, "Follow-up overdue: a customer");
    })
    .await;
}

#[tokio::test]
async fn an_escalation_goes_to_the_manager_and_says_whose_task_it_is() {
    at_each_desk(async |desk: &Desk| {
        let boss = desk.colleague("boss").await;
        let mei = desk.identity.user;
        desk.person(mei, "mei", |user| user.manager_id = boss.to_string()).await;
        let (task, tea) = (unknown_id::<()>().uuid(), unknown_id::<()>().uuid());
        desk.show(boss, tea, "Blue Tea");
        desk.emit("followup", task, &desk.reminder(task, tea, followup::ReminderKind::Escalated)).await;
        assert_eq!(desk.messages_of(boss).await[0].title, "Overdue: mei and Blue Tea");
        assert_eq!(titles(&desk.messages().await), ["Welcome to Revisit"]);
    })
    .await;
}

#[tokio::test]
async fn an_undecided_customer_holds_the_message_and_never_sends_it() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        desk.played.customer_away.store(true, Ordering::SeqCst);
        let before = desk.sink.mails().len();
        let task = desk.remind(followup::ReminderKind::Due).await;
        desk.settle().await;
        for delivery in desk.of_task(task).await.values() {
            assert_eq!((delivery.state(), delivery.reason.as_str()), (pb::DeliveryState::Held, "decision"));
        }
        assert_eq!(desk.sink.mails().len(), before);
        desk.played.customer_away.store(false, Ordering::SeqCst);
        desk.advance(Duration::from_secs(20)).await;
        assert_eq!(desk.messages().await[0].title, "Follow-up due: Blue Tea");
        assert_eq!(desk.sink.mails().len(), before + 1);
    })
    .await;
}

#[tokio::test]
async fn related_people_hear_of_a_follow_up_and_its_author_and_strangers_do_not() {
    at_each_desk(async |desk: &Desk| {
        let (owner, stranger) = (desk.colleague("owner").await, desk.colleague("stranger").await);
        let tea = unknown_id::<()>().uuid();
        let created = customer::CustomerCreated { facts: Some(facts(tea, &owner.to_string(), 1)) };
        desk.emit("customer", tea, &created).await;
        let outcome = |sensitive| followup::OutcomeRecorded {
            task_id: unknown_id::<()>().to_string(),
            customer_id: tea.to_string(),
            recorded_by_id: desk.identity.user.to_string(),
            result: if sensitive { String::new() } else { "interested".to_owned() },
            channel: "wechat".to_owned(),
            sensitive,
            ..Default::default()
        };
        desk.show(owner, tea, "Blue Tea");
        desk.emit("followup", tea, &outcome(false)).await;
        let told = desk.messages_of(owner).await;
        assert_eq!(told[0].body, "mei contacted Blue Tea (on WeChat). Result: interested.");
        desk.emit("followup", tea, &outcome(true)).await;
        assert_eq!(desk.messages_of(owner).await[0].body, "mei contacted Blue Tea (on WeChat). Result: recorded.");
        // Who may know the name and nothing of what was said is told no more than of a sensitive result.
        desk.played.names_alone.store(true, Ordering::SeqCst);
        desk.emit("followup", tea, &outcome(false)).await;
        let told = desk.messages_of(owner).await;
        assert_eq!(told[0].body, "mei contacted Blue Tea (on WeChat). Result: recorded.");
        for other in [desk.identity.user, stranger] {
            assert_eq!(titles(&desk.messages_of(other).await), ["Welcome to Revisit"]);
        }
        // Without the right to see the customer there is nothing to hear.
        desk.played.names.lock().expect("no panic").clear();
        desk.emit("followup", tea, &outcome(false)).await;
        assert_eq!(desk.messages_of(owner).await.len(), told.len());
    })
    .await;
}

#[tokio::test]
async fn members_of_a_team_that_shares_the_customer_hear_of_a_follow_up_while_the_team_lasts() {
    at_each_desk(async |desk: &Desk| {
        let (lin, team) = (desk.colleague("lin").await, unknown_id());
        let through_team = Template {
            actions: ActionSet::of(&[Action::CustomerView]),
            extent: Extent::Team(team),
            stages: None,
            grades: None,
            external: None,
            levels: Levels::of(&[(Layer::Basic, Level::Masked)]),
        };
        let always = (Timestamp::MIN, Timestamp::MAX);
        let of_team = |until| {
            let cap = Levels::of(&[(Layer::Basic, Level::Masked)]);
            Change::Team(Team {
                id: team,
                name: "care".to_owned(),
                members: vec![lin],
                cap,
                from: Timestamp::MIN,
                until,
            })
        };
        let grant = Change::Grant(Grant::of(unknown_id(), lin, through_team, always, Origin::Team));
        let reach = async |changes| {
            let revision = desk.identity.commit(changes);
            let lease = &desk.running.runtime.lease;
            lease.reach(desk.identity.tenant, revision).await.expect("the team arrives");
        };
        reach(vec![of_team(Timestamp::MAX), grant]).await;
        let tea = unknown_id::<()>().uuid();
        let shared = customer::CustomerFacts { team_ids: vec![team.to_string()], ..facts(tea, "", 1) };
        desk.emit("customer", tea, &customer::CustomerChanged { facts: Some(shared), ..Default::default() }).await;
        desk.show(lin, tea, "B*** T**");
        let outcome = followup::OutcomeRecorded {
            customer_id: tea.to_string(),
            recorded_by_id: desk.identity.user.to_string(),
            result: "reached".to_owned(),
            channel: "phone".to_owned(),
            ..Default::default()
        };
        desk.emit("followup", tea, &outcome).await;
        assert_eq!(desk.messages_of(lin).await[0].title, "mei followed up B*** T**");
        // A decision counts in the lease's time, which is real here.
        reach(vec![of_team(Timestamp::from_seconds(0))]).await;
        desk.emit("followup", tea, &outcome).await;
        assert_eq!(desk.messages_of(lin).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_new_owner_hears_of_each_customer_and_of_a_whole_hand_over_once() {
    at_each_desk(async |desk: &Desk| {
        let mei = desk.identity.user.to_string();
        let changed = |id: Uuid, group: &str| customer::OwnerChanged {
            facts: Some(facts(id, &mei, 2)),
            audit_group_id: group.to_owned(),
            ..Default::default()
        };
        let tea = unknown_id::<()>().uuid();
        desk.show(desk.identity.user, tea, "Blue Tea");
        desk.emit("customer", tea, &changed(tea, "")).await;
        assert_eq!(desk.messages().await[0].title, "New customer: Blue Tea");
        let group = unknown_id::<()>().to_string();
        for _ in 0..5 {
            let one = unknown_id::<()>().uuid();
            desk.publish("customer", one, &changed(one, &group)).await;
        }
        desk.settle().await;
        assert_eq!(
            titles(&desk.messages().await),
            ["Customers were handed over to you", "New customer: Blue Tea", "Welcome to Revisit"]
        );
    })
    .await;
}

fn opened(task: Uuid, assignee: SubjectId, generation: i64) -> followup::TaskOpened {
    followup::TaskOpened {
        task_id: task.to_string(),
        customer_id: unknown_id::<()>().to_string(),
        assignee_id: assignee.to_string(),
        generation,
        ..Default::default()
    }
}

#[tokio::test]
async fn a_task_that_moves_is_told_to_its_new_assignee_and_a_longer_window_to_nobody() {
    at_each_desk(async |desk: &Desk| {
        let (mei, lin) = (desk.identity.user, desk.colleague("lin").await);
        let task = unknown_id::<()>().uuid();
        desk.emit("followup", task, &opened(task, mei, 1)).await;
        desk.emit("followup", task, &opened(task, mei, 1)).await;
        assert_eq!(titles(&desk.messages().await), ["Welcome to Revisit"]);
        desk.emit("followup", task, &opened(task, lin, 2)).await;
        // An older event that comes late changes nothing.
        desk.emit("followup", task, &opened(task, mei, 1)).await;
        assert_eq!(titles(&desk.messages_of(lin).await), ["Follow-up is now yours: a customer", "Welcome to Revisit"]);
        assert_eq!(titles(&desk.messages().await), ["Welcome to Revisit"]);
    })
    .await;
}

#[tokio::test]
async fn what_waits_for_the_morning_is_taken_back_when_its_task_is_done() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        // 23:00: mail waits, the inbox does not.
        desk.advance(Duration::from_secs(13 * 3_600)).await;
        let task = desk.remind(followup::ReminderKind::Due).await;
        desk.settle().await;
        let waiting = desk.of_task(task).await;
        assert_eq!(waiting[&pb::Channel::Email].state(), pb::DeliveryState::Held);
        assert_eq!(waiting[&pb::Channel::Email].reason, "quiet_hours");
        assert_eq!(waiting[&pb::Channel::Inbox].state(), pb::DeliveryState::Delivered);
        let closed =
            followup::TaskClosed { task_id: task.to_string(), generation: 2, done: true, ..Default::default() };
        desk.emit("followup", task, &closed).await;
        let after = desk.of_task(task).await;
        assert_eq!(after[&pb::Channel::Email].state(), pb::DeliveryState::Cancelled);
        // A reminder that comes after its task was closed is none.
        let late = desk.reminder(task, unknown_id::<()>().uuid(), followup::ReminderKind::Overdue);
        desk.emit("followup", task, &late).await;
        assert_eq!(desk.of_task(task).await.len(), 2);
    })
    .await;
}

#[tokio::test]
async fn the_digest_comes_in_the_morning_of_the_users_own_zone_once_and_not_for_an_empty_day() {
    at_each_desk(async |desk: &Desk| {
        let mei = desk.identity.user.to_string();
        desk.played.counts.lock().expect("no panic").insert(mei.clone(), (3, 1));
        // To 08:29 of the next day.
        desk.advance(Duration::from_secs(22 * 3_600 + 29 * 60)).await;
        assert_eq!(titles(&desk.messages().await), ["Welcome to Revisit"]);
        desk.advance(Duration::from_secs(60)).await;
        let digest = desk.messages().await.remove(0);
        assert_eq!(digest.title, "Follow-ups on 2027-01-05: 3");
        assert_eq!(digest.body, "3 follow-ups are due today, and one is overdue.");
        desk.advance(Duration::from_secs(3_600)).await;
        desk.played.counts.lock().expect("no panic").insert(mei, (0, 0));
        desk.advance(Duration::from_secs(23 * 3_600)).await;
        assert_eq!(desk.messages().await.len(), 2);
        assert!(desk.played.asked.load(Ordering::SeqCst) >= 2);
    })
    .await;
}

#[tokio::test]
async fn a_digest_waits_for_followup_and_gives_up_when_the_morning_is_over() {
    at_each_desk(async |desk: &Desk| {
        let mei = desk.identity.user.to_string();
        desk.played.counts.lock().expect("no panic").insert(mei, (2, 0));
        desk.played.followup_away.store(true, Ordering::SeqCst);
        desk.advance(Duration::from_secs(22 * 3_600 + 31 * 60)).await;
        let again = desk.next_due().await.expect("it tries again");
        assert!(again.since(desk.manual.clock().wall()) <= Duration::from_secs(60));
        desk.played.followup_away.store(false, Ordering::SeqCst);
        desk.advance(Duration::from_secs(60)).await;
        assert_eq!(desk.messages().await.len(), 2);
        desk.played.followup_away.store(true, Ordering::SeqCst);
        desk.advance(Duration::from_secs(30 * 3_600)).await;
        desk.played.followup_away.store(false, Ordering::SeqCst);
        desk.advance(Duration::from_secs(120)).await;
        assert_eq!(desk.messages().await.len(), 2, "a digest in the afternoon is none");
    })
    .await;
}

#[tokio::test]
async fn a_customer_is_greeted_once_when_the_tenant_wants_it() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::TemplateView, Action::TemplateManage]).await;
        let mei = desk.identity.user;
        let create = async |version| {
            let id = unknown_id::<()>().uuid();
            desk.show(mei, id, "Mr Wang");
            desk.played.addresses.lock().expect("no panic").insert(id.to_string(), "wang@customer.example".to_owned());
            let created = customer::CustomerCreated { facts: Some(facts(id, &mei.to_string(), version)) };
            desk.emit("customer", id, &created).await;
        };
        create(1).await;
        assert!(!subjects(desk).contains(&"Welcome, Mr Wang".to_owned()), "nobody asked for it");
        let request = pb::UpdatePolicyRequest {
            policy: Some(pb::Policy { customer_welcome: true, ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["customer_welcome".to_owned()] }),
        };
        answer(desk.preferences().update_policy(desk.as_user(request)).await).expect("the policy is changed");
        create(1).await;
        let greetings = desk.sink.mails().into_iter().filter(|mail| mail.to == ["wang@customer.example"]);
        assert_eq!(greetings.count(), 1);
    })
    .await;
}
