//! The chain of timers: one at a time, in order, and none after the last.

use proptest::prelude::*;
use revisit_core::Id;

use super::*;

const HOUR: i64 = 3_600_000_000;

fn at(hours: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + hours * HOUR)
}

fn task(due_in_hours: i64, reminders: &[(i64, TimerKind)]) -> Task {
    let mut task = Task {
        tenant: Id::from_uuid(Uuid::from_u128(1)),
        id: Id::from_uuid(Uuid::from_u128(2)),
        version: 1,
        kind: TaskKind::Todo,
        state: TaskState::Scheduled,
        customer: Some(Id::from_uuid(Uuid::from_u128(3))),
        origin: None,
        occurrence: String::new(),
        nominal: None,
        zone: "UTC".into(),
        named: None,
        assignee: None,
        department: None,
        stage: None,
        grade: None,
        channel: None,
        open_at: at(0),
        due_at: at(due_in_hours),
        agenda: Agenda::of(reminders.iter().map(|(hours, kind)| Moment { at: at(*hours), kind: *kind }).collect()),
        remind_open: true,
        before_minutes: Vec::new(),
        timer: None,
        lent: Vec::new(),
        lent_until: at(due_in_hours),
        title: Vec::new(),
        reason: Reason::None,
        reason_text: Vec::new(),
        parent: None,
        open_issues: 0,
        asks_satisfaction: false,
        success: None,
        satisfaction: None,
        done_at: None,
        closed_at: None,
        created_at: at(0),
        created_by: None,
    };
    task.timer = task.timer_from(at(0));
    task
}

fn chain(task: &Task) -> Vec<Moment> {
    let mut fired = Vec::new();
    let mut next = task.timer;
    while let Some(moment) = next {
        fired.push(moment);
        assert!(fired.len() < 1_000, "the chain ends");
        next = task.next_timer(moment);
    }
    fired
}

#[test]
fn timers_follow_one_another_in_order_and_end_after_the_last_kind() {
    let task =
        task(8, &[(8, TimerKind::Due), (7, TimerKind::Before(0)), (9, TimerKind::Overdue), (9, TimerKind::Escalate)]);
    let kinds: Vec<_> = chain(&task).iter().map(|moment| moment.kind).collect();
    assert_eq!(kinds, [TimerKind::Open, TimerKind::Before(0), TimerKind::Due, TimerKind::Overdue, TimerKind::Escalate]);
}

#[test]
fn a_window_longer_than_a_day_is_extended_before_the_access_ends() {
    let task = task(72, &[(72, TimerKind::Due)]);
    let mut until = task.lend_until(task.open_at);
    for moment in chain(&task) {
        if moment.kind == TimerKind::Extend {
            assert!(moment.at < until, "asked for in time");
            until = task.lend_until(moment.at);
        }
    }
    assert_eq!(until, task.due_at);
    assert!(chain(&super::tests::task(24, &[(24, TimerKind::Due)])).iter().all(|m| m.kind != TimerKind::Extend));
}

#[test]
fn a_snoozed_task_does_not_repeat_what_lies_behind() {
    let open = task(8, &[(7, TimerKind::Before(0)), (8, TimerKind::Due)]).opened(None, None);
    let agenda =
        Agenda::of(vec![Moment { at: at(4), kind: TimerKind::Before(0) }, Moment { at: at(12), kind: TimerKind::Due }]);
    let snoozed = open.clone().snoozed(at(12), Lending::Window, agenda, at(5)).expect("a future time");
    assert_eq!(snoozed.timer, Some(Moment { at: at(12), kind: TimerKind::Due }));
    assert!(snoozed.version > open.version);
    assert!(matches!(open.snoozed(at(5), Lending::Window, Agenda::default(), at(5)), Err(Error::DueInPast)));
}

#[test]
fn a_closed_task_has_no_timer_and_cannot_be_closed_again() {
    let done = Done { success: true, satisfaction: None, issues: 1 };
    let closed = task(8, &[(8, TimerKind::Due)]).opened(None, None).done(done, at(1)).expect("open");
    assert_eq!((closed.timer, closed.closed_at), (None, None));
    assert!(matches!(closed.clone().cancelled(Reason::Left, at(2)), Err(Error::TaskClosed)));
    assert_eq!(closed.issue_closed(at(3)).closed_at, Some(at(3)));
}

#[test]
fn an_agenda_survives_being_stored() {
    let agenda = task(8, &[(8, TimerKind::Due), (7, TimerKind::Before(200)), (-3, TimerKind::Overdue)]).agenda;
    assert_eq!(Agenda::parse(&agenda.text()), Some(agenda));
    assert_eq!(Agenda::parse(""), Some(Agenda::default()));
    assert_eq!(Agenda::parse("9@x"), None);
}

proptest! {
    #[test]
    fn every_reminder_of_an_agenda_fires_exactly_once_whatever_the_window(
        due in 1_i64..300,
        hours in proptest::collection::vec(1_i64..400, 0..8),
    ) {
        let reminders: Vec<_> =
            hours.iter().enumerate().map(|(n, hours)| (*hours, TimerKind::Before(u8::try_from(n).expect("few")))).collect();
        let task = task(due, &reminders);
        let fired = chain(&task);
        prop_assert!(fired.windows(2).all(|pair| pair[0] < pair[1]));
        let reminded = fired.iter().filter(|moment| matches!(moment.kind, TimerKind::Before(_))).count();
        prop_assert_eq!(reminded, reminders.len());
    }
}
