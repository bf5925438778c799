//! The graph of states, walked at random, and the rules that stand out.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Step {
    Go(State),
    Call,
    Settle(Outcome, Call),
    Reap,
    Wait(u32),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let outcome = prop_oneof![
        Just(Outcome::Accepted),
        Just(Outcome::NotCalled),
        Just(Outcome::Transient),
        (0..100_000_i64).prop_map(|at| Outcome::Throttled(Timestamp::from_seconds(at))),
        Just(Outcome::Credential),
        Just(Outcome::Permanent),
        Just(Outcome::Ambiguous),
    ];
    let step = prop_oneof![
        4 => proptest::sample::select(State::ALL.to_vec()).prop_map(Step::Go),
        2 => Just(Step::Call),
        4 => (outcome, proptest::sample::select(vec![Call::First, Call::Repeat]))
            .prop_map(|(outcome, call)| Step::Settle(outcome, call)),
        1 => Just(Step::Reap),
        1 => (1..10_000_u32).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..200)
}

fn walk(channel: Channel, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let terms = Terms { id: Uuid::from_u128(7), channel, expires_at: Timestamp::from_seconds(50_000) };
    let mut now = Timestamp::from_seconds(0);
    let mut at = Progress::planned();
    for step in steps {
        let next = match step {
            Step::Wait(seconds) => {
                now = now + Duration::from_secs(u64::from(seconds));
                continue;
            }
            // Outcomes and lost claims have their own moves; everything else is a plain edge.
            Step::Go(State::Calling) | Step::Call => at.call(now + CLAIM_MARGIN),
            Step::Go(state) => at.to(state, "", (!state.is_settled()).then_some(now)),
            Step::Settle(outcome, call) => at.settle(terms, call, outcome, now),
            Step::Reap => at.reap(terms, now),
        };
        let Ok(next) = next else { continue };
        if next == at {
            prop_assert_eq!(at.state, State::Unknown, "only a late answer changes nothing");
            continue;
        }
        prop_assert!(at.state.next().contains(&next.state), "{:?} to {:?}", at.state, next.state);
        prop_assert_eq!(next.version, at.version + 1);
        if next.state == State::Ready && matches!(step, Step::Reap) {
            prop_assert_eq!(at.state, State::Claimed, "a lost call must not look as if nothing had been sent");
        }
        if matches!(step, Step::Settle(_, Call::Repeat)) && channel == Channel::Email {
            let may_follow = [State::Unknown, State::Accepted, State::Rejected];
            prop_assert!(may_follow.contains(&next.state), "{:?} forgets that the first mail may be there", next.state);
        }
        if next.state.is_settled() && next.state != State::Unknown {
            prop_assert_eq!(next.due_at, None, "nobody looks at {:?} again", next.state);
        }
        if !next.state.is_settled() && next.state != State::Planned {
            prop_assert!(next.due_at.is_some(), "{:?} would be forgotten", next.state);
        }
        if matches!(step, Step::Settle(..)) && next.state == State::Ready && next.reason != "not_called" {
            prop_assert!(next.due_at.is_some_and(|due| due < terms.expires_at), "tried after its expiry");
        }
        at = next;
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_walk_stays_on_the_graph_and_forgets_nothing(
        channel in proptest::sample::select(Channel::ALL.to_vec()),
        steps in steps(),
    ) {
        walk(channel, steps)?;
    }
}

#[test]
fn every_state_but_the_first_can_be_reached() {
    let mut seen = vec![State::Planned];
    let mut look = 0;
    while look < seen.len() {
        for next in seen[look].next() {
            if !seen.contains(next) {
                seen.push(*next);
            }
        }
        look += 1;
    }
    assert_eq!(seen.len(), State::ALL.len());
}

fn calling(channel: Channel) -> (Terms, Progress) {
    let terms = Terms { id: Uuid::from_u128(1), channel, expires_at: Timestamp::MAX };
    let now = Timestamp::from_seconds(1);
    let ready = Progress::planned().to(State::Ready, "", Some(now)).expect("an edge");
    let claimed = ready.to(State::Claimed, "", Some(now)).expect("an edge");
    (terms, claimed.call(now).expect("an edge"))
}

#[test]
fn mail_without_an_answer_is_repeated_once_and_then_left() {
    let now = Timestamp::from_seconds(1);
    let (terms, call) = calling(Channel::Email);
    let unknown = call.settle(terms, Call::First, Outcome::Ambiguous, now).expect("an edge");
    assert!(unknown.due_at.is_some(), "one repeat");
    let again = unknown.to(State::Claimed, "", Some(now)).and_then(|claimed| claimed.call(now)).expect("edges");
    let unknown = again.settle(terms, Call::First, Outcome::Ambiguous, now).expect("an edge");
    assert_eq!((unknown.state, unknown.due_at), (State::Unknown, None));
}

#[test]
fn a_webhook_without_an_answer_is_repeated_by_its_schedule() {
    let now = Timestamp::from_seconds(1);
    let (terms, mut call) = calling(Channel::Webhook);
    let mut repeats = 0;
    loop {
        let unknown = call.settle(terms, Call::First, Outcome::Ambiguous, now).expect("an edge");
        if unknown.due_at.is_none() {
            break;
        }
        repeats += 1;
        call = unknown.to(State::Claimed, "", Some(now)).and_then(|claimed| claimed.call(now)).expect("edges");
    }
    assert_eq!(repeats, retry::schedule(Channel::Webhook).len());
}

#[test]
fn a_late_acceptance_settles_what_was_unknown() {
    let now = Timestamp::from_seconds(1);
    let (terms, call) = calling(Channel::Email);
    let unknown = call.reap(terms, now).expect("an edge");
    assert_eq!(unknown.state, State::Unknown);
    assert_eq!(unknown.settle(terms, Call::First, Outcome::Accepted, now).expect("an edge").state, State::Accepted);
    assert_eq!(unknown.settle(terms, Call::First, Outcome::Transient, now).expect("stays"), unknown);
}
