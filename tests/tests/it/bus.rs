//! What every bus must keep, as one suite; a new variant of `Bus` runs it with one more test at the end.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Wake, Waker},
    time::Duration,
};

use revisit_core::{Clock, ManualClock, Timestamp};
use revisit_event::{
    Bus, BusError, Envelope, MemoryBus, Published, Stream, Subscription, Watermark,
    bus::{OFFER_AGAIN, PUBLISH_MAX},
};
use uuid::Uuid;

/// One bus under test, and the hands of its clock.
struct Bench {
    bus: Bus,
    time: ManualClock,
}

async fn bus_contract(make_bus: impl AsyncFn(Clock) -> Bus) {
    let bench = async || {
        let time = ManualClock::frozen(Timestamp::from_seconds(1_000));
        Bench { bus: make_bus(time.clock()).await, time }
    };
    entries_come_in_order_and_once_while_they_are_being_applied(bench().await).await;
    an_entry_is_added_only_after_the_last_that_was_seen(bench().await).await;
    a_run_that_is_none_is_refused(bench().await).await;
    each_group_gets_every_entry_and_its_members_share_them(bench().await).await;
    what_nobody_acknowledged_for_thirty_seconds_is_offered_again(bench().await).await;
    a_group_that_comes_late_starts_at_the_first_entry_held(bench().await).await;
    trimmed_entries_go_and_the_last_position_stays(bench().await).await;
    a_restored_source_begins_new_streams(bench().await).await;
    only_the_sources_asked_for_are_offered(bench().await).await;
    a_waiting_member_wakes_when_an_entry_arrives(bench().await).await;
    a_busy_shard_does_not_starve_the_others(bench().await).await;
    a_watermark_only_moves_forward_inside_one_incarnation(bench().await).await;
}

fn stream(shard: u32) -> Stream {
    Stream { source: "customer".into(), incarnation: Uuid::from_u128(1), shard }
}

fn entries(stream: &Stream, positions: impl IntoIterator<Item = i64>) -> Vec<Envelope> {
    let entry = |position| Envelope {
        id: Uuid::from_u128(u128::try_from(position).unwrap_or(0)).to_string(),
        source: stream.source.to_string(),
        incarnation: stream.incarnation.to_string(),
        shard: stream.shard,
        position,
        ..Envelope::default()
    };
    positions.into_iter().map(entry).collect()
}

impl Bench {
    async fn add(&self, stream: &Stream, positions: std::ops::RangeInclusive<i64>) {
        let seen = positions.start() - 1;
        let added = self.bus.publish(stream, seen, entries(stream, positions)).await.expect("published");
        assert_eq!(added, Published::Added);
    }

    async fn join(&self, consumer: &str) -> Subscription {
        self.bus.subscribe(consumer, &["customer"]).await.expect("subscribed")
    }
}

async fn taken(member: &Subscription, max: usize) -> Vec<(u32, i64)> {
    member.take(max).await.expect("taken").iter().map(|entry| (entry.shard, entry.position)).collect()
}

async fn entries_come_in_order_and_once_while_they_are_being_applied(bench: Bench) {
    bench.add(&stream(3), 1..=5).await;
    let member = bench.join("followup").await;
    assert_eq!(taken(&member, 2).await, [(3, 1), (3, 2)]);
    assert_eq!(taken(&member, 100).await, [(3, 3), (3, 4), (3, 5)]);
    assert_eq!(taken(&member, 100).await, []);
}

async fn an_entry_is_added_only_after_the_last_that_was_seen(bench: Bench) {
    let stream = stream(0);
    bench.add(&stream, 1..=3).await;
    // A second relay that saw the empty stream, and one that was away for long.
    for (seen, run) in [(0, 1..=3), (2, 3..=4), (9, 10..=11)] {
        let published = bench.bus.publish(&stream, seen, entries(&stream, run)).await.expect("answered");
        assert_eq!(published, Published::Moved { last: 3 });
    }
    assert_eq!(bench.bus.last(&[stream.clone(), self::stream(1)]).await.expect("answered"), [3, 0]);
    let member = bench.join("followup").await;
    assert_eq!(taken(&member, 100).await, [(0, 1), (0, 2), (0, 3)]);
    // A gap after the last is the relay's right: what lies in it was acknowledged before the bus lost its memory.
    let after_a_gap = bench.bus.publish(&stream, 3, entries(&stream, 7..=8)).await.expect("answered");
    assert_eq!(after_a_gap, Published::Added);
    assert_eq!(taken(&member, 100).await, [(0, 7), (0, 8)]);
}

async fn a_run_that_is_none_is_refused(bench: Bench) {
    let stream = stream(0);
    let too_long = 1..=i64::try_from(PUBLISH_MAX).expect("small") + 1;
    for (seen, run) in [(0, vec![]), (0, vec![2, 1]), (0, vec![1, 1]), (5, vec![5]), (0, too_long.collect())] {
        let published = bench.bus.publish(&stream, seen, entries(&stream, run)).await;
        assert!(matches!(published, Err(BusError::BadRun)), "{published:?}");
    }
    assert_eq!(bench.bus.last(&[stream]).await.expect("answered"), [0]);
}

async fn each_group_gets_every_entry_and_its_members_share_them(bench: Bench) {
    bench.add(&stream(0), 1..=4).await;
    let (one, other) = (bench.join("followup").await, bench.join("followup").await);
    let another_group = bench.join("notification").await;
    assert_eq!(taken(&one, 2).await, [(0, 1), (0, 2)]);
    assert_eq!(taken(&other, 100).await, [(0, 3), (0, 4)]);
    assert_eq!(taken(&another_group, 100).await, [(0, 1), (0, 2), (0, 3), (0, 4)]);
}

async fn what_nobody_acknowledged_for_thirty_seconds_is_offered_again(bench: Bench) {
    bench.add(&stream(0), 1..=3).await;
    let died = bench.join("followup").await;
    let first = died.take(2).await.expect("taken");
    died.acknowledge(&first[0]).await.expect("acknowledged");
    drop(died);
    let member = bench.join("followup").await;
    bench.time.advance_steady(OFFER_AGAIN - Duration::from_micros(1));
    assert_eq!(taken(&member, 100).await, [(0, 3)], "position 2 is still with the one that died");
    bench.time.advance_steady(Duration::from_micros(1));
    assert_eq!(taken(&member, 100).await, [(0, 2)]);
    assert_eq!(taken(&member, 100).await, []);
    bench.time.advance_steady(OFFER_AGAIN);
    assert_eq!(taken(&member, 100).await, [(0, 3), (0, 2)], "again and again until somebody acknowledges");
}

async fn a_group_that_comes_late_starts_at_the_first_entry_held(bench: Bench) {
    bench.add(&stream(0), 1..=4).await;
    bench.bus.trim(&[(stream(0), 2)]).await.expect("trimmed");
    let late = bench.join("followup").await;
    assert_eq!(taken(&late, 100).await, [(0, 3), (0, 4)]);
}

async fn trimmed_entries_go_and_the_last_position_stays(bench: Bench) {
    bench.add(&stream(0), 1..=4).await;
    let member = bench.join("followup").await;
    assert_eq!(taken(&member, 2).await, [(0, 1), (0, 2)]);
    bench.bus.trim(&[(stream(0), 3), (stream(1), 9)]).await.expect("trimmed");
    bench.time.advance_steady(OFFER_AGAIN);
    assert_eq!(taken(&member, 100).await, [(0, 4)], "what is trimmed is not offered, neither again nor first");
    bench.bus.trim(&[(stream(0), 4)]).await.expect("trimmed");
    assert_eq!(bench.bus.last(&[stream(0), stream(1)]).await.expect("answered"), [4, 0]);
    bench.add(&stream(0), 5..=5).await;
}

async fn a_restored_source_begins_new_streams(bench: Bench) {
    let restored = Stream { incarnation: Uuid::from_u128(2), ..stream(0) };
    bench.add(&stream(0), 1..=2).await;
    let member = bench.join("followup").await;
    assert_eq!(taken(&member, 100).await.len(), 2);
    bench.add(&restored, 1..=1).await;
    let entry = member.take(100).await.expect("taken");
    assert_eq!(
        entry.iter().map(|entry| entry.incarnation.clone()).collect::<Vec<_>>(),
        [Uuid::from_u128(2).to_string()]
    );
}

async fn only_the_sources_asked_for_are_offered(bench: Bench) {
    let identity = Stream { source: "identity".into(), ..stream(0) };
    bench.add(&identity, 1..=1).await;
    let member = bench.join("followup").await;
    assert_eq!(taken(&member, 100).await, []);
    let both = bench.bus.subscribe("notification", &["customer", "identity"]).await.expect("subscribed");
    assert_eq!(taken(&both, 100).await, [(0, 1)]);
}

async fn a_waiting_member_wakes_when_an_entry_arrives(bench: Bench) {
    let member = bench.join("followup").await;
    let mut next = std::pin::pin!(member.next(100));
    // Polled by hand, because a member that only looks now and then would find the entry too, just later.
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    assert!(next.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
    bench.add(&stream(5), 1..=1).await;
    assert!(woken.0.load(Ordering::SeqCst));
    assert_eq!(next.await.expect("taken").len(), 1);
}

/// A waker that remembers.
#[derive(Default)]
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

async fn a_busy_shard_does_not_starve_the_others(bench: Bench) {
    for shard in 0..3 {
        bench.add(&stream(shard), 1..=4).await;
    }
    let member = bench.join("followup").await;
    let mut shards = Vec::new();
    for _ in 0..3 {
        shards.extend(taken(&member, 2).await.iter().map(|(shard, _)| *shard));
    }
    shards.sort_unstable();
    assert_eq!(shards, [0, 0, 1, 1, 2, 2]);
}

async fn a_watermark_only_moves_forward_inside_one_incarnation(bench: Bench) {
    let mark = |incarnation, seconds| Watermark {
        incarnation: Uuid::from_u128(incarnation),
        time: Timestamp::from_seconds(seconds),
        positions: vec![seconds; 64],
    };
    assert_eq!(bench.bus.watermark("customer").await.expect("answered"), None);
    for (set, expected) in [((1, 10), (1, 10)), ((1, 9), (1, 10)), ((1, 11), (1, 11)), ((2, 5), (2, 5))] {
        bench.bus.set_watermark("customer", mark(set.0, set.1)).await.expect("set");
        let held = bench.bus.watermark("customer").await.expect("answered");
        assert_eq!(held, Some(mark(expected.0, expected.1)));
    }
    assert_eq!(bench.bus.watermark("identity").await.expect("answered"), None);
}

#[tokio::test]
async fn the_memory_bus_keeps_the_contract() {
    bus_contract(async |clock| Bus::memory(clock)).await;
}

#[tokio::test]
async fn a_full_memory_bus_refuses_until_entries_are_trimmed() {
    let time = ManualClock::frozen(Timestamp::from_seconds(1_000));
    let bench = Bench { bus: Bus::Memory(MemoryBus::holding(time.clock(), PUBLISH_MAX)), time };
    let full = i64::try_from(PUBLISH_MAX).expect("small");
    bench.add(&stream(0), 1..=full).await;
    let refused = bench.bus.publish(&stream(1), 0, entries(&stream(1), 1..=1)).await;
    assert!(matches!(refused, Err(BusError::Full)), "{refused:?}");
    let identity = Stream { source: "identity".into(), ..stream(0) };
    bench.add(&identity, 1..=1).await;
    bench.bus.trim(&[(stream(0), 1)]).await.expect("trimmed");
    bench.add(&stream(1), 1..=1).await;
}
