//! The engine under interleavings: replicas fire while people complete, snooze, move and cancel, from a seed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use proptest::{
    prelude::Rng,
    test_runner::{RngAlgorithm, TestRng},
};
use revisit_core::{Timestamp, id::SegmentId};
use revisit_proto::{customer::v1 as customer, followup::v1 as pb};
use revisit_tests::databases::Backend;

use super::support::{Company, Told, reason, wire};

const CUSTOMERS: usize = 12;
const DAYS: u64 = 25;
const SEEDS: [u64; 3] = [1, 20_260_302, 77];

#[tokio::test(flavor = "multi_thread")]
async fn one_replica_on_sqlite_loses_and_doubles_nothing_whatever_people_do_meanwhile() {
    for seed in SEEDS {
        live_through(Backend::Sqlite, 1, seed).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_replicas_on_postgres_lose_and_double_nothing_whatever_people_do_meanwhile() {
    for seed in SEEDS {
        live_through(Backend::Postgres, 2, seed).await;
    }
}

#[expect(clippy::print_stdout, reason = "a failed test shows its seed")]
async fn live_through(backend: Backend, replicas: usize, seed: u64) {
    println!("{backend:?}, {replicas} replicas, seed {seed}");
    let company = Company::start(backend, replicas).await;
    let segment: SegmentId = company.new_id();
    company.publish("grade_a_weekly", segment).await;
    company.publish("silence_nudge", segment).await;
    let customers: Vec<_> = (0..CUSTOMERS).map(|_| company.new_id()).collect();
    for id in &customers {
        company.enter(segment, company.facts(*id, 1, "rep"), 1).await;
    }
    company.settle().await;
    let mut dice = Dice(TestRng::from_seed(RngAlgorithm::ChaCha, &[seed.to_le_bytes(); 4].concat()));
    let end = company.now() + Duration::from_hours(24 * DAYS);
    let mut version = 1;
    while let Some(due) = company.next_due().await.filter(|due| *due < end) {
        company.clock.set_wall(due.max(company.now()));
        // Not settled yet: what people do now races with what fires now.
        for _ in 0..dice.roll(3) {
            act(&company, &mut dice).await;
        }
        if dice.roll(10) == 0 {
            version += 1;
            let id = customers[dice.roll(CUSTOMERS)];
            let owner = if dice.roll(2) == 0 { "rep" } else { "colleague" };
            let facts = customer::CustomerFacts { ownership_epoch: version, ..company.facts(id, version, owner) };
            let changed = customer::OwnerChanged { facts: Some(facts), ..Default::default() };
            company.event("customer", id.uuid(), &changed).await;
        }
        company.settle().await;
        company.assert_timers_fit().await;
    }
    check(&company).await;
    company.stop().await;
}

/// Somebody does something to some open task. It may lose a race; then it is told so and nothing has happened.
async fn act(company: &Company, dice: &mut Dice) {
    let who = if dice.roll(2) == 0 { "rep" } else { "colleague" };
    let open = company.list(who, &[pb::TaskState::Open]).await;
    if open.is_empty() {
        return;
    }
    let task_id = open[dice.roll(open.len())].task_id.clone();
    let mut tasks = company.tasks_of(dice.roll(2));
    let answer = match dice.roll(5) {
        0 | 1 => {
            let request = pb::CompleteTaskRequest {
                task_id,
                result: if dice.roll(4) == 0 { "no_answer" } else { "reached" }.into(),
                channel: pb::Channel::Phone.into(),
                ..Default::default()
            };
            tasks.complete_task(company.by(who, request)).await.map(drop)
        }
        2 => {
            let minutes = 30 + 60 * dice.roll(40) as u64;
            let due_time = wire(company.now() + Duration::from_secs(minutes * 60));
            tasks
                .snooze_task(company.by(who, pb::SnoozeTaskRequest { task_id, due_time, ..Default::default() }))
                .await
                .map(drop)
        }
        3 => {
            let assignee_id = company.who(if dice.roll(2) == 0 { "rep" } else { "colleague" }).to_string();
            let request = pb::ReassignTaskRequest { task_id, assignee_id, ..Default::default() };
            tasks.reassign_task(company.by("manager", request)).await.map(drop)
        }
        _ => {
            let request = pb::CancelTaskRequest { task_id, reason: "seed".into(), ..Default::default() };
            tasks.cancel_task(company.by(who, request)).await.map(drop)
        }
    };
    if let Err(status) = answer {
        // Who owns what is changing under the call, too: it may no longer be theirs, or not be known well enough.
        let lost = [
            "ETAG_STALE",
            "TASK_CLOSED",
            "TASK_NOT_FOUND",
            "TRANSACTION_LOST",
            "PERMISSION_DENIED",
            "PROJECTION_STALE",
        ];
        assert!(lost.contains(&reason(&status)), "{status:?}");
    }
}

/// I1 to I3, and no reminder after a task was closed.
async fn check(company: &Company) {
    let told = company.told().await;
    let mut once = BTreeSet::new();
    let mut closed: BTreeMap<String, (i32, i64)> = BTreeMap::new();
    let mut reminders = 0;
    for event in &told {
        if let Some(over) = event.read::<pb::TaskClosed>() {
            closed.insert(over.task_id, (event.shard, event.position));
        }
        let Some(due) = event.read::<pb::ReminderDue>() else { continue };
        reminders += 1;
        let key = (due.task_id.clone(), due.kind, due.ordinal, due.generation);
        assert!(once.insert(key.clone()), "told twice: {key:?}");
    }
    for event in &told {
        let Some(due) = event.read::<pb::ReminderDue>() else { continue };
        if let Some((shard, position)) = closed.get(&due.task_id) {
            assert_eq!(event.shard, *shard, "a task's events lie in one shard");
            assert!(event.position < *position, "{:?} of {} left after its end", due.kind(), due.task_id);
        }
    }
    assert!(reminders > CUSTOMERS, "the run reminded of something");
    gapless(&told);
    let doubled = "SELECT count(*) AS n FROM (SELECT enrolment_id, step, generation, occurrence FROM task \
                   WHERE enrolment_id IS NOT NULL GROUP BY 1, 2, 3, 4 HAVING count(*) > 1) AS doubled";
    assert_eq!(company.number(doubled).await, 0, "an occurrence has two tasks");
    // Every customer goes on being followed up: each weekly enrolment has exactly one live occurrence.
    let forgotten = "SELECT count(*) AS n FROM enrolment e WHERE e.state = 'active' AND (SELECT count(*) FROM task t \
                     WHERE t.enrolment_id = e.enrolment_id AND t.state IN ('scheduled', 'open')) <> 1";
    assert_eq!(company.number(forgotten).await, 0, "an active enrolment has no live task, or two");
    let late: i64 = company.number(&format!("SELECT count(*) AS n FROM timer WHERE fire_at < {}", past(company))).await;
    assert_eq!(late, 0, "a due timer was left behind");
}

fn past(company: &Company) -> i64 {
    Timestamp::micros(company.now())
}

fn gapless(told: &[Told]) {
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    for event in told {
        let expected = next.entry(event.shard).or_insert(event.position);
        assert_eq!(event.position, *expected, "shard {} has a gap", event.shard);
        *expected += 1;
    }
}

struct Dice(TestRng);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        (self.0.next_u64() % sides as u64) as usize
    }
}
