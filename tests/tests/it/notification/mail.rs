//! Mail: tries, refusals, lost answers, quiet hours, preferences, dead letters and their replay.

use std::{sync::atomic::Ordering, time::Duration};

use revisit_bootstrap::answer;
use revisit_permission::Action;
use revisit_proto::{followup::v1::ReminderKind, notification::v1 as pb};
use revisit_standalone::mail_sink::Trouble;
use revisit_tests::{fake_identity::unknown_id, meter::Meter};
use uuid::Uuid;

use super::desk::{Desk, PATIENCE, at_each_desk, fresh};

/// How many different letters about tasks were handed to the mail server.
const DIFFERENT_MAILS: &str = "SELECT count(DISTINCT request_hash) AS n FROM attempt WHERE delivery_id IN \
                               (SELECT delivery_id FROM delivery WHERE channel = 'email' AND task_id IS NOT NULL)";

async fn mail(desk: &Desk, task: Uuid) -> pb::Delivery {
    let request =
        pb::GetDeliveryRequest { delivery_id: desk.of_task(task).await[&pb::Channel::Email].delivery_id.clone() };
    answer(desk.deliveries().get_delivery(desk.as_user(request)).await).expect("a delivery")
}

async fn reminded(desk: &Desk, troubles: &[Trouble]) -> Uuid {
    desk.settle().await;
    desk.sink.expect_trouble(troubles);
    let task = desk.remind(ReminderKind::Due).await;
    desk.settle().await;
    task
}

fn outcomes(delivery: &pb::Delivery) -> Vec<pb::AttemptOutcome> {
    delivery.attempts.iter().map(pb::Attempt::outcome).collect()
}

fn ids_of_mails(desk: &Desk) -> Vec<String> {
    let mails = desk.sink.mails();
    let reminders =
        mails.iter().filter(|mail| mail.header("Subject").is_some_and(|text| text.starts_with("Follow-up")));
    reminders.map(|mail| mail.message_id.clone()).collect()
}

#[tokio::test]
async fn a_mail_that_is_refused_for_now_is_tried_again_and_arrives() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Later]).await;
        let waiting = mail(desk, task).await;
        assert_eq!((waiting.state(), waiting.reason.as_str()), (pb::DeliveryState::Ready, "transient"));
        assert_eq!(waiting.last_code, "451");
        desk.advance(Duration::from_secs(5)).await;
        let sent = mail(desk, task).await;
        assert_eq!((sent.state(), sent.tries), (pb::DeliveryState::Accepted, 2));
        assert_eq!(outcomes(&sent), [pb::AttemptOutcome::Transient, pb::AttemptOutcome::Accepted]);
        assert_eq!(ids_of_mails(desk), std::slice::from_ref(&sent.token));
        let walk: Vec<_> = sent.history.iter().map(|change| (change.from(), change.to())).collect();
        assert!(walk.windows(2).all(|two| two[0].1 == two[1].0), "the history has a gap: {walk:?}");
        assert_eq!(walk.last().expect("a change").1, pb::DeliveryState::Accepted);
    })
    .await;
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_not_tried_again() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Never]).await;
        let refused = mail(desk, task).await;
        assert_eq!((refused.state(), refused.last_code.as_str()), (pb::DeliveryState::Rejected, "550"));
        assert_eq!(refused.next_time, None);
    })
    .await;
}

#[tokio::test]
async fn a_lost_answer_is_repeated_once_under_the_same_id_and_then_left_unknown() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Silence, Trouble::Silence, Trouble::Silence]).await;
        assert_eq!(mail(desk, task).await.state(), pb::DeliveryState::Unknown);
        desk.advance(Duration::from_secs(5)).await;
        desk.advance(Duration::from_secs(3_600)).await;
        let left = mail(desk, task).await;
        assert_eq!((left.state(), left.tries, left.next_time), (pb::DeliveryState::Unknown, 2, None));
        assert_eq!(ids_of_mails(desk), [left.token.clone(), left.token]);
    })
    .await;
}

#[tokio::test]
async fn operators_see_how_many_mails_are_in_doubt() {
    let meter = Meter::set();
    at_each_desk(async |desk: &Desk| {
        reminded(desk, &[Trouble::Silence]).await;
        // The next look at the channels is a quarter of a minute away; the repeat comes before it.
        desk.sink.expect_trouble(&[Trouble::Silence]);
        desk.advance(Duration::from_secs(5)).await;
        desk.advance(Duration::from_secs(15)).await;
        let seen = async {
            while meter.value("notification.unknown{email}") != Some(1.0) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, seen).await.expect("it is seen");
        assert_eq!(meter.value("notification.oldest_due.millis{email}"), Some(0.0), "nothing waits");
    })
    .await;
}

#[tokio::test]
async fn a_lost_mail_is_not_repeated_to_who_may_no_longer_see_the_customer() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Silence]).await;
        desk.played.names.lock().expect("no panic").clear();
        desk.advance(Duration::from_secs(5)).await;
        desk.advance(Duration::from_secs(3_600)).await;
        let left = mail(desk, task).await;
        assert_eq!((left.state(), left.tries, left.next_time), (pb::DeliveryState::Unknown, 1, None));
        assert_eq!(ids_of_mails(desk), [left.token], "it was said once");
    })
    .await;
}

#[tokio::test]
async fn a_lost_mail_stays_what_it_is_while_nobody_can_decide_and_is_repeated_word_for_word() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Silence]).await;
        desk.played.customer_away.store(true, Ordering::SeqCst);
        desk.advance(Duration::from_secs(5)).await;
        assert_eq!(mail(desk, task).await.state(), pb::DeliveryState::Unknown, "it may have arrived");
        desk.played.customer_away.store(false, Ordering::SeqCst);
        desk.played.names.lock().expect("no panic").values_mut().for_each(|name| *name = "Green Tea".into());
        desk.advance(Duration::from_secs(60)).await;
        let sent = mail(desk, task).await;
        assert_eq!((sent.state(), sent.tries), (pb::DeliveryState::Accepted, 2));
        assert_eq!(desk.number(DIFFERENT_MAILS).await, 1, "the same bytes");
    })
    .await;
}

#[tokio::test]
async fn a_repeat_that_is_refused_for_now_is_repeated_in_the_same_words() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Silence, Trouble::Later]).await;
        desk.advance(Duration::from_secs(5)).await;
        let refused = mail(desk, task).await;
        let shown = (refused.state(), refused.reason.as_str(), refused.tries);
        assert_eq!(shown, (pb::DeliveryState::Unknown, "transient", 2), "the first may have arrived");
        desk.played.names.lock().expect("no panic").values_mut().for_each(|name| *name = "Green Tea".into());
        desk.advance(Duration::from_secs(60)).await;
        let sent = mail(desk, task).await;
        assert_eq!((sent.state(), sent.tries), (pb::DeliveryState::Accepted, 3));
        assert_eq!(desk.number(DIFFERENT_MAILS).await, 1, "the same bytes");
    })
    .await;
}

#[tokio::test]
async fn a_reminder_whose_task_is_over_when_its_time_comes_is_taken_back() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let task = reminded(desk, &[Trouble::Later]).await;
        // The end of the task came while this row was held by somebody else, and passed it over.
        let row = "INSERT INTO task (tenant_id, task_id, customer_id, assignee_id, generation, closed) \
                   SELECT tenant_id, task_id, NULL, recipient_id, 2, TRUE FROM delivery \
                   WHERE channel = 'email' AND task_id IS NOT NULL";
        assert_eq!(desk.change(row).await, 1);
        desk.advance(Duration::from_secs(5)).await;
        let over = mail(desk, task).await;
        assert_eq!((over.state(), over.reason.as_str()), (pb::DeliveryState::Cancelled, "task_closed"));
    })
    .await;
}

#[tokio::test]
async fn spent_tries_make_a_dead_letter_and_a_replay_brings_it_home_under_its_first_id() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView, Action::DeliveryReplay]).await;
        let task = reminded(desk, &[Trouble::Later; 6]).await;
        for wait in [5, 30, 120, 600, 1_800] {
            desk.advance(Duration::from_secs(wait)).await;
        }
        let dead = mail(desk, task).await;
        assert_eq!((dead.state(), dead.tries), (pb::DeliveryState::Dead, 6));
        let request = pb::ReplayDeliveriesRequest { request_id: fresh(), ..Default::default() };
        let first = answer(desk.deliveries().replay_deliveries(desk.as_user(request.clone())).await).expect("a job");
        let again = answer(desk.deliveries().replay_deliveries(desk.as_user(request)).await).expect("the same job");
        assert_eq!(first.replay_id, again.replay_id);
        desk.settle().await;
        let get = pb::GetReplayRequest { replay_id: first.replay_id };
        let done = answer(desk.deliveries().get_replay(desk.as_user(get)).await).expect("the job");
        assert_eq!((done.done, done.replayed_count), (true, 1));
        assert_eq!(mail(desk, task).await.state(), pb::DeliveryState::Accepted);
        assert_eq!(ids_of_mails(desk), [dead.token]);
    })
    .await;
}

#[tokio::test]
async fn tries_end_with_the_messages_worth() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        desk.settle().await;
        desk.sink.expect_trouble(&[Trouble::Later; 6]);
        let (task, tea) = (unknown_id::<()>().uuid(), unknown_id::<()>().uuid());
        let mut reminder = desk.reminder(task, tea, ReminderKind::Due);
        reminder.expire_time_micros = (desk.manual.clock().wall() + Duration::from_secs(20)).micros();
        desk.emit("followup", task, &reminder).await;
        desk.advance(Duration::from_secs(5)).await;
        desk.advance(Duration::from_secs(60)).await;
        assert_eq!(mail(desk, task).await.state(), pb::DeliveryState::Expired);
        assert_eq!(ids_of_mails(desk), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn mail_in_quiet_hours_waits_for_the_morning_and_a_late_opt_out_wins() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        desk.advance(Duration::from_secs(13 * 3_600)).await;
        let kept = desk.remind(ReminderKind::Due).await;
        let dropped = desk.remind(ReminderKind::Overdue).await;
        desk.settle().await;
        let until = mail(desk, kept).await.next_time.expect("it has an end").seconds;
        let morning = desk.manual.clock().wall().seconds() + 8 * 3_600;
        assert!((morning..=morning + 120).contains(&until), "{until} {morning}");
        let entry = pb::KindPreference { kind: pb::MessageKind::TaskOverdue.into(), channels: Vec::new() };
        let request = pb::UpdatePreferencesRequest {
            preferences: Some(pb::UserPreferences { kinds: vec![entry], ..Default::default() }),
            update_mask: Some(prost_types::FieldMask { paths: vec!["kinds".to_owned()] }),
        };
        answer(desk.preferences().update_preferences(desk.as_user(request)).await).expect("it is changed");
        desk.advance(Duration::from_secs(8 * 3_600 + 120)).await;
        assert_eq!(mail(desk, kept).await.state(), pb::DeliveryState::Accepted);
        let opted_out = mail(desk, dropped).await;
        assert_eq!((opted_out.state(), opted_out.reason.as_str()), (pb::DeliveryState::Suppressed, "preference"));
    })
    .await;
}

#[tokio::test]
async fn who_has_left_is_not_written_to() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&[Action::DeliveryView]).await;
        let lin = desk.colleague("lin").await;
        desk.advance(Duration::from_secs(13 * 3_600)).await;
        let (task, tea) = (unknown_id::<()>().uuid(), unknown_id::<()>().uuid());
        let mut reminder = desk.reminder(task, tea, ReminderKind::Due);
        reminder.recipient_id = lin.to_string();
        desk.emit("followup", task, &reminder).await;
        let gone = revisit_proto::identity::v1::SubjectState::Left;
        desk.person(lin, "lin", |user| user.state = gone.into()).await;
        desk.advance(Duration::from_secs(9 * 3_600)).await;
        let held = mail(desk, task).await;
        assert_eq!((held.state(), held.reason.as_str()), (pb::DeliveryState::Suppressed, "recipient_inactive"));
    })
    .await;
}
