//! What is committed reaches the bus once and in order, whatever is interrupted; what all have acknowledged goes.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use revisit_core::{Clock, Timestamp};
use revisit_event::{
    Bus, Envelope, MemoryBus, Published, Relay,
    bus::{OFFER_AGAIN, PUBLISH_MAX},
    relay::{Passed, Pools, RelayError},
};
use revisit_tests::databases::on_each_backend;
use sea_orm::ConnectionTrait;
use tokio::sync::{oneshot, watch};

use super::{Tables, World, draft};

#[tokio::test]
async fn committed_events_reach_the_bus_in_order_with_their_attributes() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let appended = world.append(vec![draft(5, 41), draft(5, 42), draft(9, 1)]).await;
        assert_eq!(world.relay().pass().await.expect("passed"), Passed::All);
        let member = world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
        let entries = member.take(10).await.expect("taken");
        let places: Vec<_> = entries.iter().map(|entry| (entry.shard, entry.position, entry.sequence)).collect();
        assert_eq!(places, [(5, 1, 41), (5, 2, 42), (9, 1, 1)]);
        let first = &entries[0];
        assert_eq!(first.id, appended[0].id.to_string());
        assert_eq!((&*first.source, &*first.r#type), ("customer", "revisit.customer.v1.segment_left"));
        assert_eq!(first.time_micros, Timestamp::from_seconds(1_000).micros());
        assert_eq!(first.incarnation, world.incarnation().await.to_string());
    })
    .await;
}

#[tokio::test]
async fn a_relay_that_starts_again_and_a_second_one_add_nothing_twice() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 700).await;
        let (one, other) = (world.relay(), world.relay());
        let passed = tokio::join!(one.pass(), other.pass());
        assert_eq!((passed.0.expect("passed"), passed.1.expect("passed")), (Passed::All, Passed::All));
        world.append_many(5, 5).await;
        world.relay().pass().await.expect("passed");
        assert_eq!(world.on_the_bus("followup").await, (1..=705).map(|at| (5, at)).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_bus_that_has_lost_everything_gets_what_is_not_acknowledged() {
    on_each_backend::<Tables>(async |database| {
        let mut world = World::new(database);
        world.append_many(5, 6).await;
        world.relay().pass().await.expect("passed");
        world.acknowledge("followup", &[(5, 4)]).await;
        world.acknowledge("notification", &[(5, 2)]).await;
        world.bus = Bus::memory(world.time.clock());
        world.relay().pass().await.expect("passed");
        assert_eq!(world.on_the_bus("followup").await, [(5, 3), (5, 4), (5, 5), (5, 6)]);
    })
    .await;
}

#[tokio::test]
async fn what_all_named_consumers_have_acknowledged_leaves_the_bus_and_the_outbox_but_never_the_newest_row() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 4).await;
        world.append_many(6, 1).await;
        let relay = world.relay();
        relay.pass().await.expect("passed");
        world.acknowledge("followup", &[(5, 4), (6, 1)]).await;
        assert_eq!(world.trim().await, 0, "notification has seen nothing");
        world.acknowledge("notification", &[(5, 3)]).await;
        assert_eq!(world.trim().await, 3);
        assert_eq!((world.positions(5).await, world.positions(6).await), (vec![4], vec![1]));
        world.acknowledge("notification", &[(5, 4), (6, 1)]).await;
        assert_eq!(world.trim().await, 0);
        assert_eq!((world.positions(5).await, world.positions(6).await), (vec![4], vec![1]));
        relay.pass().await.expect("passed");
        assert_eq!(world.on_the_bus("late").await, []);
        assert_eq!(world.append(vec![draft(5, 9)]).await[0].position, 5);
    })
    .await;
}

#[tokio::test]
async fn with_nothing_to_carry_or_trim_the_relay_leaves_the_only_writer_to_others() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 1).await;
        for consumer in ["followup", "notification"] {
            world.acknowledge(consumer, &[(5, 1)]).await;
        }
        let relay = world.relay();
        relay.pass().await.expect("passed");
        let somebody = database.begin().await;
        let idle = async { (relay.pass().await.expect("passed"), world.trim().await) };
        let idle = tokio::time::timeout(Duration::from_secs(10), idle).await;
        assert_eq!(idle.expect("it waited for the writer"), (Passed::All, 0));
        somebody.rollback().await.expect("rolled back");
    })
    .await;
}

#[tokio::test]
async fn a_relay_tells_the_earliest_instant_that_the_service_has_planned_in_any_shard() {
    on_each_backend::<Tables>(async |database| {
        let mut world = World::new(database);
        world.outbox = world.outbox.planning("(CASE WHEN s.shard = 7 THEN 42 WHEN s.shard = 9 THEN 41 ELSE NULL END)");
        let mut planned = world.outbox.planned();
        assert_eq!(*planned.borrow_and_update(), None);
        world.relay().pass().await.expect("passed");
        assert!(planned.has_changed().expect("the outbox lives"));
        assert_eq!(*planned.borrow_and_update(), Some(Timestamp::from_micros(41)));
        world.append_many(5, 1).await;
        world.relay().pass().await.expect("passed");
        assert_eq!(world.on_the_bus("followup").await, [(5, 1)], "it carries on beside it");
    })
    .await;
}

#[tokio::test]
async fn everything_is_settled_only_when_every_named_consumer_has_everything() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let settled = async || world.outbox.settled(&database.reader).await.expect("asked");
        assert!(settled().await);
        world.append(vec![draft(5, 1), draft(9, 1)]).await;
        assert!(!settled().await);
        world.acknowledge("followup", &[(5, 1), (9, 1)]).await;
        world.acknowledge("notification", &[(9, 1)]).await;
        assert!(!settled().await);
        world.acknowledge("notification", &[(5, 1)]).await;
        assert!(settled().await);
        let unheard = world.outbox.clone().consumed_by(Vec::<String>::new());
        world.append(vec![draft(5, 2)]).await;
        assert!(unheard.settled(&database.reader).await.expect("asked"), "nobody is owed anything");
    })
    .await;
}

#[tokio::test]
async fn a_watermark_tells_the_newest_positions_and_needs_a_live_lease() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let relay = world.relay();
        world.append(vec![draft(5, 1), draft(5, 2), draft(9, 1)]).await;
        relay.pass().await.expect("passed");
        assert_eq!(world.bus.watermark("customer").await.expect("answered"), None);
        world.lease.store(77, Ordering::SeqCst);
        relay.pass().await.expect("passed");
        let watermark = world.bus.watermark("customer").await.expect("answered").expect("set");
        assert_eq!((watermark.time.micros(), watermark.incarnation), (77, world.incarnation().await));
        assert_eq!(
            (watermark.positions[5], watermark.positions[9], watermark.positions.iter().sum::<i64>()),
            (2, 1, 3)
        );
    })
    .await;
}

#[tokio::test]
async fn a_full_bus_holds_the_relay_until_consumers_acknowledge_and_still_gets_its_watermark() {
    on_each_backend::<Tables>(async |database| {
        let mut world = World::new(database);
        world.bus = Bus::Memory(MemoryBus::holding(world.time.clock(), PUBLISH_MAX));
        world.lease.store(77, Ordering::SeqCst);
        let held = i64::try_from(PUBLISH_MAX).expect("small");
        world.append_many(5, held + 1).await;
        let relay = world.relay();
        let passed = relay.pass().await;
        assert!(matches!(passed, Err(RelayError::Bus(_))), "{passed:?}");
        let watermark = world.bus.watermark("customer").await.expect("answered").expect("set");
        assert_eq!(watermark.positions[5], held + 1);
        for consumer in ["followup", "notification"] {
            world.acknowledge(consumer, &[(5, 1)]).await;
        }
        assert_eq!(relay.pass().await.expect("passed"), Passed::All);
        assert_eq!(world.on_the_bus("followup").await.last(), Some(&(5, held + 1)));
    })
    .await;
}

#[tokio::test]
async fn the_relay_survives_an_outage_and_ends_on_shutdown() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let (begun, mut passes) = watch::channel(0_u32);
        // Every pass asks for the lease time first, which tells us that the loop is alive.
        let count = move || {
            begun.send_modify(|passes| *passes += 1);
            None
        };
        let pools = Pools { reader: database.reader.clone(), writer: database.writer.clone() };
        let relay = Relay::new(world.outbox.clone(), pools, world.bus.clone(), Arc::new(count));
        let (shutdown, ends) = oneshot::channel::<()>();
        let relay = tokio::spawn(relay.run(async {
            let _ = ends.await;
        }));
        let member = world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
        world.append_many(5, 1).await;
        assert_eq!(member.next(10).await.expect("arrived")[0].position, 1);

        database.writer.execute_unprepared("ALTER TABLE outbox RENAME TO away").await.expect("renamed");
        let before = *passes.borrow();
        // The first of these passes fails; the second shows that the loop went on.
        passes.wait_for(|now| *now >= before + 2).await.expect("the relay lives");
        database.writer.execute_unprepared("ALTER TABLE away RENAME TO outbox").await.expect("renamed");
        world.append_many(5, 1).await;
        assert_eq!(member.next(10).await.expect("arrived")[0].position, 2);

        shutdown.send(()).expect("the relay runs");
        tokio::time::timeout(Duration::from_secs(10), relay).await.expect("in time").expect("the relay ends");
    })
    .await;
}

#[tokio::test]
async fn a_commit_is_carried_at_once_and_not_at_the_next_half_second() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let relay = tokio::spawn(world.relay().run(std::future::pending()));
        let member = world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
        let clock = Clock::system();
        let begun = clock.steady();
        for _ in 0..10 {
            world.append_many(5, 1).await;
            assert_eq!(member.next(10).await.expect("arrived").len(), 1);
        }
        // Without hints each event but the first waits for the next half second: four and a half seconds.
        assert!(clock.steady().since(begun) < Duration::from_secs(4), "{:?}", clock.steady().since(begun));
        relay.abort();
    })
    .await;
}

#[tokio::test]
async fn a_long_backlog_is_carried_over_several_passes_in_order() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 4_200).await;
        let relay = world.relay();
        assert_eq!(relay.pass().await.expect("passed"), Passed::More);
        assert_eq!(relay.pass().await.expect("passed"), Passed::All);
        assert_eq!(world.on_the_bus("followup").await, (1..=4_200).map(|at| (5, at)).collect::<Vec<_>>());
    })
    .await;
}

#[tokio::test]
async fn a_pass_that_another_relay_overtakes_still_leaves_everything_on_the_bus() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let relay = world.relay();
        // Many rounds, because only in some the other one comes between the question and the append.
        for shard in 0..30 {
            world.append_many(shard, 6).await;
            let stream = world.stream(shard).await;
            let other = async {
                for position in 1..=4 {
                    world.head(shard).await;
                    let entry = Envelope { position, shard, ..Envelope::default() };
                    let _ = world.bus.publish(&stream, position - 1, vec![entry]).await.expect("answered");
                }
            };
            let (passed, ()) = tokio::join!(relay.pass(), other);
            assert_eq!(passed.expect("passed"), Passed::All);
            assert_eq!(world.bus.last(&[stream]).await.expect("answered"), [6]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_zombie_relay_that_read_long_ago_changes_nothing() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 3).await;
        world.relay().pass().await.expect("passed");
        let member = world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
        let old = member.take(10).await.expect("taken");
        let stream = world.stream(5).await;
        let published = world.bus.publish(&stream, 0, old).await.expect("answered");
        assert_eq!(published, Published::Moved { last: 3 });
        world.time.advance_steady(OFFER_AGAIN);
        assert_eq!(world.on_the_bus("followup").await.len(), 3);
    })
    .await;
}
