//! The chain of timers: one at a time, in order, and none after the last.

use proptest::prelude::*;
use revisit_core::Id;
use revisit_permission::{Level, Levels};

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
        lent_by: None,
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
    let snoozed = open.clone().snoozed(at(12), agenda, at(5)).expect("a future time");
    assert_eq!(snoozed.timer, Some(Moment { at: at(12), kind: TimerKind::Due }));
    assert!(snoozed.version > open.version);
    assert!(matches!(open.snoozed(at(5), Agenda::default(), at(5)), Err(Error::DueInPast)));
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

/// Who lends, and whom they lend to.
const BY: u128 = 7;
const TO: u128 = 8;

fn somebody(number: u128) -> Option<SubjectId> {
    Some(Id::from_uuid(Uuid::from_u128(number)))
}

/// Layers and end of what somebody gets with a task that is due after ten hours.
fn given(share: &lending::Share) -> (Vec<Layer>, Timestamp) {
    share.over(at(10))
}

/// What is given to others, to oneself with what goes with the customer, and to oneself by name.
fn all_given(loan: &Loan) -> [(Vec<Layer>, Timestamp); 3] {
    let (by, to) = (somebody(BY), somebody(TO));
    assert_eq!(loan.share(None, None), loan.share(to, to), "nobody yet is somebody else");
    [loan.share(to, to), loan.share(by, None), loan.share(by, by)].map(given)
}

fn lent_by(own: Option<Levels>, held: &Task) -> Loan {
    Loan::of_task(Id::from_uuid(Uuid::from_u128(BY)), own, held, at(1))
}

/// A task of somebody's that lends the history until its end after four hours.
fn held_by(assignee: u128, named: bool) -> Task {
    let held = Task { lent: vec![Layer::Basic, Layer::History], ..task(4, &[]).opened(somebody(assignee), None) };
    Task { named: somebody(assignee).filter(|_| named), ..held }
}

#[test]
fn a_loan_is_for_others_what_its_giver_reads_and_for_oneself_what_one_holds() {
    let (both, basic) = (vec![Layer::Basic, Layer::History], Levels::HIDDEN.with(Layer::Basic, Level::Read));
    let others = [(both.clone(), at(10)), (vec![Layer::Basic], at(10)), (both.clone(), at(4))];
    for (own, others) in [Some(Levels::READ), Some(basic), None].into_iter().zip(others) {
        for (held, own_ends) in [(held_by(BY, false), [4, 1]), (held_by(BY, true), [4, 4]), (held_by(TO, true), [1, 1])]
        {
            let own_shares = own_ends.map(|end| (both.clone(), at(end)));
            let expected = [others.clone(), own_shares[0].clone(), own_shares[1].clone()];
            assert_eq!(all_given(&lent_by(own, &held)), expected, "{own:?}, {:?}", held.named);
        }
    }
    let made = Loan::of_maker(Id::from_uuid(Uuid::from_u128(BY)), basic, at(1));
    assert_eq!(all_given(&made).map(|(_, end)| end), [at(10), at(1), at(1)]);
}

#[test]
fn a_loan_that_was_pulled_forward_before_it_began_is_no_longer_than_its_window() {
    let later = Task { named: somebody(TO), open_at: at(276), ..task(300, &[]) };
    let pulled = later.clone().snoozed(at(24), Agenda::default(), at(0)).expect("it is to open");
    let back = pulled.clone().snoozed(at(300), Agenda::default(), at(0)).expect("it is to open");
    assert_eq!((back.open_at, back.lend_end()), (at(276), at(300)), "nothing was lent meanwhile");
    let open = pulled.opened(somebody(TO), None);
    assert_eq!((open.open_at, open.lend_end()), (at(0), at(24)));
    let loan = Loan::of_task(Id::from_uuid(Uuid::from_u128(TO)), None, &open, at(1));
    let (_, end) = loan.share(somebody(TO), somebody(TO)).put_off(&open, at(300));
    assert_eq!(end, at(24));
}

#[test]
fn who_opens_a_task_for_whom_it_names_is_not_named_and_who_passes_one_on_to_oneself_is_lent_nothing() {
    let made = Task { created_by: somebody(BY), named: somebody(TO), ..task(72, &[]) };
    let kept = made.clone().opened(somebody(TO), None);
    assert_eq!((kept.named, kept.lend_end()), (somebody(TO), at(72)));
    let (by, to) = (Id::from_uuid(Uuid::from_u128(BY)), Id::from_uuid(Uuid::from_u128(TO)));
    let passed = [to, by].map(|heir| kept.clone().passed_on(by, heir, at(1)));
    assert_eq!(passed.map(|task| (task.lent_by, task.lend_end())), [(Some(by), at(72)), (Some(by), at(1))]);
    let theirs = Task { lent_by: somebody(TO), ..kept };
    let other = Id::from_uuid(Uuid::from_u128(99));
    let passed = [to, by, other].map(|heir| theirs.clone().passed_on(by, heir, at(1)));
    let expected = [at(1), at(1), at(72)].map(|end| (Some(to), end));
    assert_eq!(passed.map(|task| (task.lent_by, task.lend_end())), expected, "nor does it come back to who lends it");
    let stood_in = made.opened(somebody(BY), None);
    assert_eq!((stood_in.named, stood_in.lend_end()), (None, stood_in.open_at));
}

#[test]
fn what_has_not_begun_leaves_nothing_to_what_follows_from_it() {
    let (basic, both) = (Levels::HIDDEN.with(Layer::Basic, Level::Read), vec![Layer::Basic, Layer::History]);
    let by = Id::from_uuid(Uuid::from_u128(BY));
    let begun = held_by(TO, true);
    let ahead = Task { state: TaskState::Scheduled, assignee: None, ..begun.clone() };
    for (own, held, others, reached) in [
        (None, &begun, (both.clone(), at(4)), true),
        (None, &ahead, (both.clone(), at(1)), false),
        (Some(basic), &ahead, (vec![Layer::Basic], at(10)), true),
        (Some(Levels::READ), &ahead, (both.clone(), at(10)), true),
    ] {
        let loan = Loan::of_outcome(by, own, held, at(1));
        assert_eq!(given(loan.share(somebody(TO), somebody(TO))), others, "{own:?}, {:?}", held.state);
        assert_eq!(loan.reaches(Id::from_uuid(Uuid::from_u128(TO)), at(3)), reached, "{own:?}, {:?}", held.state);
    }
}

#[test]
fn what_goes_back_to_who_lent_it_is_lent_by_who_sees_alone_however_often_it_was_passed_on() {
    let basic = Levels::HIDDEN.with(Layer::Basic, Level::Read);
    let lent = Task { lent_by: somebody(TO), ..held_by(BY, true) };
    let own = task(4, &[]).lending(&lent_by(None, &lent), (somebody(BY), somebody(BY)), at(1));
    assert_eq!((own.lent_by, own.lend_end()), (somebody(TO), at(4)), "to oneself it is lent by whoever lent it before");
    let made = Task { named: somebody(BY), ..own.opened(somebody(BY), None) };
    let (to, another) = (somebody(TO), somebody(TO + 1));
    for (own, back) in [(None, at(1)), (Some(basic), at(10)), (Some(Levels::READ), at(10))] {
        let loan = lent_by(own, &made).of_issue(true, &[]);
        assert_eq!(given(loan.share(to, to)).1, back, "{own:?}");
        assert!(given(loan.share(another, another)).1 >= at(4), "{own:?}");
    }
}

#[test]
fn who_sees_and_does_not_read_all_lends_the_basic_facts_to_whom_a_task_is_put_off() {
    let (basic, both) = (Levels::HIDDEN.with(Layer::Basic, Level::Read), vec![Layer::Basic, Layer::History]);
    let (held, to) = (held_by(TO, true), somebody(TO));
    for (own, put_off, expected) in [
        (Some(Levels::READ), 10, (both.clone(), at(10))),
        (Some(basic), 10, (vec![Layer::Basic], at(10))),
        (Some(basic), 3, (both.clone(), at(4))),
        (None, 10, (both.clone(), at(4))),
    ] {
        assert_eq!(lent_by(own, &held).share(to, to).put_off(&held, at(put_off)), expected, "{own:?}, {put_off}");
    }
}

#[test]
fn what_follows_the_customer_lends_its_maker_nothing_and_whoever_it_comes_to_all_of_it() {
    let made = Task { created_by: somebody(BY), ..task(72, &[]) };
    let own = made.clone().opened(somebody(BY), None);
    assert_eq!((own.lend_end(), own.timer), (own.open_at, None));
    let moved = own.reassigned(None, somebody(TO), at(1)).expect("it is open");
    assert_eq!(moved.lend_end(), at(72));
    assert_eq!(moved.timer.map(|timer| timer.kind), Some(TimerKind::Extend), "a day is lent at once, the rest in time");
    assert_eq!(made.opened(somebody(TO), None).lend_end(), at(72));
}

#[test]
fn an_issue_lends_what_the_plan_has_granted_to_others_alone_and_nothing_that_is_only_left_beside_it() {
    let (basic, both) = (vec![Layer::Basic], vec![Layer::Basic, Layer::History]);
    let all = [both.as_slice(), &[Layer::Sensitive]].concat();
    let (granted, masked) = (vec![Layer::Basic, Layer::Sensitive], Levels::HIDDEN.with(Layer::Basic, Level::Read));
    for (own, gives, plan, others, oneself) in [
        (Some(Levels::READ), true, &[][..], (&both, 10), &both),
        (Some(Levels::READ), true, &[Layer::Sensitive][..], (&all, 10), &both),
        (Some(Levels::READ), false, &[Layer::Sensitive][..], (&granted, 10), &basic),
        (Some(Levels::READ), false, &[][..], (&basic, 10), &basic),
        (Some(masked), true, &[][..], (&basic, 10), &both),
        (Some(masked), false, &[][..], (&basic, 10), &basic),
        (None, true, &[][..], (&both, 4), &both),
        (None, false, &[][..], (&basic, 4), &basic),
        (None, true, &[Layer::Sensitive][..], (&granted, 10), &both),
        (None, false, &[Layer::Sensitive][..], (&granted, 10), &basic),
    ] {
        let loan = lent_by(own, &held_by(BY, true)).of_issue(gives, plan);
        let given = all_given(&loan);
        let own_share = (oneself.clone(), at(4));
        let expected = [(others.0.clone(), at(others.1)), own_share.clone(), own_share];
        assert_eq!(given, expected, "{own:?}, {gives}, {plan:?}");
    }
}
