//! The call protocol at its edges: a claim too old to call, an answer that comes after the claim, where calls may not
//! go, and how long what has ended is kept.

use std::time::Duration;

use revisit_core::ManualClock;
use revisit_permission::Action;
use revisit_proto::{followup::v1::ReminderKind, notification::v1 as pb};
use revisit_standalone::mail_sink::Trouble;
use uuid::Uuid;

use super::desk::{BEGIN, Desk, at_each_desk, at_each_desk_with};

const RIGHTS: [Action; 2] = [Action::EndpointManage, Action::DeliveryView];

async fn shown(desk: &Desk, task: Uuid, channel: pb::Channel) -> pb::Delivery {
    let delivery_id = desk.of_task(task).await[&channel].delivery_id.clone();
    let request = desk.as_user(pb::GetDeliveryRequest { delivery_id });
    desk.deliveries().get_delivery(request).await.expect("a delivery").into_inner()
}

#[tokio::test]
async fn a_claim_that_is_too_old_for_a_whole_call_makes_none_and_costs_no_try() {
    at_each_desk_with(
        "",
        || ManualClock::frozen(BEGIN),
        async |desk: &Desk| {
            desk.grant(&[Action::DeliveryView]).await;
            desk.settle().await;
            let before = desk.sink.mails().len();
            // While the customer's name is asked for, for the inbox and for the mail, a minute passes: the claim lasts one,
            // and a mail may take three seconds of it.
            desk.delay_names(2, Duration::from_secs(58));
            let task = desk.remind(ReminderKind::Due).await;
            desk.settle().await;
            let sent = shown(desk, task, pb::Channel::Email).await;
            let outcomes: Vec<_> = sent.attempts.iter().map(pb::Attempt::outcome).collect();
            // One claim or two, by which of them asks for which names first.
            let (last, earlier) = outcomes.split_last().expect("attempts");
            assert_eq!(*last, pb::AttemptOutcome::Accepted);
            assert!((1..=2).contains(&earlier.len()), "{outcomes:?}");
            assert!(earlier.iter().all(|outcome| *outcome == pb::AttemptOutcome::NotCalled), "{outcomes:?}");
            assert_eq!((sent.state(), sent.tries), (pb::DeliveryState::Accepted, 1));
            let back =
                sent.history.iter().find(|change| change.from() == pb::DeliveryState::Calling).expect("a change");
            assert_eq!((back.to(), back.reason.as_str()), (pb::DeliveryState::Ready, "not_called"));
            assert_eq!(desk.sink.mails().len(), before + 1);
        },
    )
    .await;
}

#[tokio::test]
async fn an_answer_that_comes_after_the_claim_settles_what_was_unknown_and_a_late_fault_settles_nothing() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        desk.endpoint(&[]).await;
        let answers = [(200, pb::DeliveryState::Accepted, 2), (500, pb::DeliveryState::Unknown, 4)];
        for (calls, (answer, state, outcome)) in (1..).zip(answers) {
            desk.receiver.expect_answers(&[answer]);
            desk.receiver.hold();
            let task = desk.remind(ReminderKind::Due).await;
            desk.receiver.reached(calls).await;
            // Another replica finds the claim at its end and takes the call for lost.
            let lost = "UPDATE delivery SET state = 'unknown', version = version + 1, due_at = NULL \
                        WHERE state = 'calling' AND channel = 'webhook'";
            assert_eq!(desk.change(lost).await, 1);
            desk.receiver.release();
            desk.settle().await;
            let late = shown(desk, task, pb::Channel::Webhook).await;
            assert_eq!((late.state(), late.tries), (state, 1));
            assert_eq!(late.attempts[0].outcome, outcome, "the call keeps its own outcome");
        }
    })
    .await;
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    at_each_desk(async |desk: &Desk| {
        desk.grant(&RIGHTS).await;
        desk.endpoint(&[]).await;
        desk.receiver.expect_answers(&[307]);
        let task = desk.remind(ReminderKind::Due).await;
        desk.settle().await;
        assert_eq!(desk.receiver.calls().len(), 1);
        let waiting = shown(desk, task, pb::Channel::Webhook).await;
        assert_eq!((waiting.state(), waiting.last_code.as_str()), (pb::DeliveryState::Ready, "307"));
    })
    .await;
}

#[tokio::test]
async fn what_has_ended_goes_after_its_time_and_what_has_not_stays_whole() {
    let settings = "notification.history_days = 1\nnotification.sweep_seconds = 1";
    at_each_desk_with(
        settings,
        || ManualClock::at(BEGIN),
        async |desk: &Desk| {
            desk.grant(&RIGHTS).await;
            desk.settle().await;
            desk.endpoint(&[]).await;
            desk.receiver.expect_answers(&[500; 40]);
            desk.sink.expect_trouble(&[Trouble::Never]);
            let task = desk.remind(ReminderKind::Due).await;
            desk.settle().await;
            assert_eq!(desk.of_task(task).await.len(), 3);
            assert_eq!(desk.messages().await.iter().filter(|one| one.task_id == task.to_string()).count(), 1);
            desk.advance(Duration::from_hours(25)).await;
            let swept = async {
                while desk.of_task(task).await.len() > 1 {
                    tokio::task::yield_now().await;
                }
            };
            tokio::time::timeout(super::desk::PATIENCE, swept).await.expect("what has ended goes");
            let left = desk.of_task(task).await;
            let hook = left.get(&pb::Channel::Webhook).expect("it is still tried");
            assert_eq!(hook.state(), pb::DeliveryState::Ready);
            assert_eq!(desk.messages().await.iter().filter(|one| one.task_id == task.to_string()).count(), 0);
            let alone = "SELECT count(*) AS n FROM attempt a WHERE NOT EXISTS (SELECT 1 FROM delivery d WHERE \
                     d.tenant_id = a.tenant_id AND d.delivery_id = a.delivery_id)";
            assert_eq!(desk.number(alone).await, 0);
            assert_eq!(
                desk.number("SELECT count(*) AS n FROM intent").await,
                1,
                "the one whose webhook is still tried"
            );
            desk.advance(Duration::from_secs(1)).await;
            assert!(shown(desk, task, pb::Channel::Webhook).await.tries > 1, "it goes on");
        },
    )
    .await;
}
