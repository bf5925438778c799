//! Positions are gapless, in commit order, and given back by a rollback.

use revisit_core::{Clock, Ids};
use revisit_event::{Outbox, SHARDS, outbox::DATA_BYTES_MAX};
use revisit_tests::databases::on_each_backend;

use super::{Tables, World, draft};

const WRITERS: i64 = 8;
const ROUNDS: i64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_reader_ever_sees_a_gap_while_eight_writers_append_to_one_shard() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let writers = futures_of((0..WRITERS).map(|writer| {
            let world = &world;
            async move {
                for round in 0..ROUNDS {
                    let tx = world.database.begin().await;
                    world.outbox.append(&tx, vec![draft(5, writer), draft(5, round)]).await.expect("appended");
                    // Others get time to run between the append and its end, which is where a gap would open.
                    tokio::task::yield_now().await;
                    if (writer + round) % 3 == 0 {
                        tx.rollback().await.expect("rolled back");
                    } else {
                        tx.commit().await.expect("committed");
                    }
                }
            }
        }));
        let mut seen = 0;
        let watcher = async {
            loop {
                let positions = world.positions(5).await;
                assert!(positions.iter().copied().eq(1..=positions.len() as i64), "a gap: {positions:?}");
                assert!(positions.len() >= seen, "what was committed stays");
                seen = positions.len();
                tokio::task::yield_now().await;
            }
        };
        tokio::select! { () = writers => {}, () = watcher => {} }
        let committed = (0..WRITERS * ROUNDS).filter(|at| (at / ROUNDS + at % ROUNDS) % 3 != 0).count() as i64;
        assert_eq!(world.positions(5).await, (1..=2 * committed).collect::<Vec<_>>());
    })
    .await;
}

/// Awaits all of them at once on this task, without a crate for it.
async fn futures_of<F: Future<Output = ()>>(futures: impl Iterator<Item = F>) {
    let mut futures: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    std::future::poll_fn(|context| {
        for slot in &mut futures {
            if slot.as_mut().is_some_and(|future| future.as_mut().poll(context).is_ready()) {
                *slot = None;
            }
        }
        if futures.iter().all(Option::is_none) { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

#[tokio::test]
async fn a_rollback_gives_its_positions_back() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 2).await;
        let tx = database.begin().await;
        world.outbox.append(&tx, vec![draft(5, 3), draft(6, 1)]).await.expect("appended");
        tx.rollback().await.expect("rolled back");
        let appended = world.append(vec![draft(5, 4)]).await;
        assert_eq!((appended[0].shard, appended[0].position), (5, 3));
        assert_eq!((world.head(5).await.newest, world.head(6).await.newest), (3, 0));
    })
    .await;
}

#[tokio::test]
async fn a_thousand_events_of_one_transaction_keep_their_order_in_each_shard() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(0, 1).await;
        let shards = i64::from(SHARDS);
        let drafts = (0..1_200).map(|at| draft(u32::try_from(at * 7 % shards).expect("small"), at)).collect();
        let appended = world.append(drafts).await;
        for (at, appended) in (0_i64..).zip(&appended) {
            let before = i64::from(appended.shard == 0);
            assert_eq!(i64::from(appended.shard), at * 7 % shards);
            assert_eq!(appended.position, at / shards + 1 + before);
        }
        let text = "SELECT sequence AS value FROM outbox WHERE shard = $1 ORDER BY position";
        let sequences: Vec<i64> = world.rows(text, 3).await.into_iter().flatten().collect();
        assert_eq!(sequences.len(), 18 + usize::from(1_200 % 64 > 29));
        assert!(sequences.is_sorted());
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn appends_that_name_the_same_shards_in_opposite_orders_never_deadlock() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        futures_of((0..4_u32).map(|writer| {
            let world = &world;
            async move {
                for _ in 0..20 {
                    let mut shards = [1, 9, 17, 33];
                    shards.rotate_left(writer as usize);
                    world.append(shards.map(|shard| draft(shard, 1)).to_vec()).await;
                }
            }
        }))
        .await;
        assert_eq!(world.head(33).await.newest, 80);
    })
    .await;
}

#[tokio::test]
async fn an_event_beyond_its_size_and_an_empty_append_write_nothing() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let mut huge = draft(5, 1);
        huge.data = vec![0; DATA_BYTES_MAX + 1];
        let tx = database.begin().await;
        assert!(world.outbox.append(&tx, vec![draft(5, 1), huge]).await.is_err());
        assert_eq!(world.outbox.append(&tx, Vec::new()).await.expect("nothing to do"), []);
        tx.commit().await.expect("committed");
        assert!(world.positions(5).await.is_empty());
    })
    .await;
}

#[tokio::test]
async fn an_incarnation_is_drawn_once_whoever_asks_first() {
    on_each_backend::<Tables>(async |database| {
        let replica = |seed| Outbox::new("customer", Clock::system(), Ids::seeded(seed));
        let (one, other) = (replica(1), replica(2));
        let drawn = tokio::join!(one.incarnation(&database.writer), other.incarnation(&database.writer));
        let first = drawn.0.expect("drawn");
        assert_eq!(drawn.1.expect("drawn"), first);
        assert_eq!(replica(3).incarnation(&database.writer).await.expect("read"), first);
    })
    .await;
}

#[tokio::test]
async fn after_a_restore_positions_start_anew_and_nothing_counts_as_acknowledged() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 4).await;
        for consumer in ["followup", "notification"] {
            world.acknowledge(consumer, &[(5, 2)]).await;
        }
        world.trim().await;
        assert_eq!(world.positions(5).await, [3, 4]);
        let before = world.incarnation().await;
        let tx = database.begin().await;
        let after = world.outbox.reincarnate(&tx).await.expect("a new life");
        tx.commit().await.expect("committed");
        assert_ne!(before, after);
        assert_eq!(world.incarnation().await, after);
        assert_eq!(world.positions(5).await, [1, 2]);
        assert_eq!(world.head(5).await.acknowledged, 0);
        let text = "SELECT sequence AS value FROM outbox WHERE shard = $1 ORDER BY position";
        assert_eq!(world.rows(text, 5).await, [Some(3), Some(4)]);
    })
    .await;
}
