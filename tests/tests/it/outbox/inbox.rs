//! A consumer applies each event once, knows how far it is, and tells the producer no more than that.

use revisit_core::Timestamp;
use revisit_event::{
    Envelope, Stream, inbox,
    inbox::parked::{self, Standing, Verdict},
    outbox::Refused,
};
use revisit_tests::databases::on_each_backend;
use uuid::Uuid;

use super::{Tables, World};

/// The entries 1 to `count` of shard 5, as a consumer gets them.
async fn arrived(world: &World<'_>, count: i64) -> Vec<Envelope> {
    world.make_effects().await;
    world.append_many(5, count).await;
    world.relay().pass().await.expect("passed");
    let member = world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
    member.take(100).await.expect("taken")
}

/// How many rows the inbox has.
async fn inbox_rows(world: &World<'_>) -> i64 {
    world.rows("SELECT count(*) AS value FROM inbox WHERE $1 = $1", 0).await[0].expect("one row")
}

#[tokio::test]
async fn a_consumer_that_dies_between_effect_and_acknowledgement_sees_the_event_again_and_applies_it_once() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let first = arrived(&world, 1).await;
        assert!(world.apply("followup", &first[0]).await);
        // It dies here: nothing was acknowledged.
        world.time.advance_steady(revisit_event::bus::OFFER_AGAIN);
        let member = world.bus.subscribe("followup", &["customer"]).await.expect("subscribed");
        let again = member.take(100).await.expect("taken");
        assert_eq!(again, first);
        assert!(!world.apply("followup", &again[0]).await);
        assert_eq!(world.effects().await, (1, 1));
        assert!(world.apply("notification", &again[0]).await, "each consumer has its own inbox");
    })
    .await;
}

#[tokio::test]
async fn an_effect_that_is_rolled_back_is_tried_again() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let entries = arrived(&world, 1).await;
        let tx = database.begin().await;
        assert!(inbox::first_time(&tx, "followup", &entries[0]).await.expect("asked"));
        tx.rollback().await.expect("rolled back");
        assert!(world.apply("followup", &entries[0]).await);
    })
    .await;
}

#[tokio::test]
async fn progress_stops_before_the_first_gap_and_removes_what_it_has_passed() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let entries = arrived(&world, 5).await;
        assert_eq!(world.advance("followup", 5).await, 0);
        for at in [1, 0, 3] {
            assert!(world.apply("followup", &entries[at]).await);
        }
        assert_eq!(world.advance("followup", 5).await, 2);
        assert_eq!(inbox_rows(&world).await, 1);
        assert!(!world.apply("followup", &entries[0]).await, "passed and removed, and still applied once");
        assert_eq!(inbox_rows(&world).await, 1, "a repeat leaves no row behind");
        assert!(world.apply("followup", &entries[2]).await);
        assert_eq!(world.advance("followup", 5).await, 4);
        assert_eq!(inbox_rows(&world).await, 0);
        let all = inbox::all_progress(&database.reader, "followup", "customer").await.expect("read");
        assert_eq!(all, [(world.stream(5).await, 4)]);
        assert_eq!(inbox::progress(&database.reader, "notification", &world.stream(5).await).await.expect("read"), 0);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn replicas_that_get_the_same_events_at_once_apply_each_once() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let entries = arrived(&world, 30).await;
        let replica = async || {
            for entry in &entries {
                world.apply("followup", entry).await;
                // Else it would take what it knows for old until the next event of the shard.
                let reached = world.advance("followup", 5).await;
                assert!(reached >= entry.position, "who has seen {} learns {reached}", entry.position);
            }
        };
        tokio::join!(replica(), replica(), replica());
        assert_eq!(world.effects().await, (30, 30));
        assert_eq!(world.advance("followup", 5).await, 30);
        assert_eq!(inbox_rows(&world).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_restored_producer_that_offers_old_events_at_new_places_leaves_no_hole_in_the_progress() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let mut entries = arrived(&world, 2).await;
        for entry in &entries {
            assert!(world.apply("followup", entry).await);
        }
        let restored = Stream { incarnation: Uuid::from_u128(99), ..world.stream(5).await };
        for entry in &mut entries {
            entry.incarnation = restored.incarnation.to_string();
            assert!(!world.apply("followup", entry).await);
        }
        let tx = database.begin().await;
        assert_eq!(inbox::advance(&tx, "followup", &restored).await.expect("advanced"), 2);
        tx.commit().await.expect("committed");
        assert_eq!(world.effects().await, (2, 2));
    })
    .await;
}

#[tokio::test]
async fn a_consumer_that_begins_from_a_snapshot_skips_what_the_snapshot_holds() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let entries = arrived(&world, 4).await;
        let stream = world.stream(5).await;
        for position in [3, 1] {
            let tx = database.begin().await;
            inbox::begin_at(&tx, "followup", &stream, position).await.expect("begun");
            tx.commit().await.expect("committed");
        }
        assert!(!world.apply("followup", &entries[2]).await);
        assert!(world.apply("followup", &entries[3]).await);
        assert_eq!(world.advance("followup", 5).await, 4);
    })
    .await;
}

#[tokio::test]
async fn an_acknowledgement_never_goes_back_and_only_a_named_consumer_of_this_incarnation_may_make_one() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append_many(5, 3).await;
        world.acknowledge("followup", &[(5, 3)]).await;
        world.acknowledge("notification", &[(5, 2), (5, 1)]).await;
        world.acknowledge("notification", &[(5, 1)]).await;
        assert_eq!(world.head(5).await.acknowledged, 2);
        let incarnation = world.incarnation().await;
        let refused = async |consumer: &str, incarnation, position| {
            let tx = database.begin().await;
            let refused = world.outbox.acknowledge(&tx, consumer, incarnation, &[position]).await.expect_err("refused");
            tx.rollback().await.expect("rolled back");
            refused
        };
        assert!(matches!(refused("stranger", incarnation, (5, 1)).await, Refused::UnknownConsumer));
        assert!(matches!(refused("followup", Uuid::from_u128(9), (5, 1)).await, Refused::IncarnationChanged));
        for position in [(5, 4), (5, -1), (6, 1), (64, 0)] {
            let refused = refused("followup", incarnation, position).await;
            assert!(matches!(refused, Refused::NoSuchPosition { .. }), "{position:?}: {refused:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_parked_event_is_passed_kept_whole_and_removed_once() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        let entries = arrived(&world, 3).await;
        let verdict = Verdict { reason: "x".repeat(5_000), tries: 8, at: Timestamp::from_seconds(7) };
        let tx = database.begin().await;
        assert!(inbox::first_time(&tx, "followup", &entries[0]).await.expect("asked"));
        parked::park(&tx, "followup", &entries[0], &verdict).await.expect("parked");
        tx.commit().await.expect("committed");
        for entry in &entries[1..] {
            assert!(world.apply("followup", entry).await);
        }
        assert_eq!(world.advance("followup", 5).await, 3, "progress passes what is parked");
        let held = parked::list(&database.reader, "followup").await.expect("listed");
        assert_eq!(held.len(), 1);
        assert_eq!((&held[0].event, held[0].verdict.tries, held[0].verdict.at), (&entries[0], 8, verdict.at));
        assert_eq!(held[0].verdict.reason.len(), 1_000);
        let standing = async || parked::standing(&database.reader, "followup").await.expect("counted");
        assert_eq!(standing().await, Standing { parked: 1, wanted: 0 });
        let id = entries[0].id.parse().expect("a UUID");
        assert_eq!(parked::want(&database.writer, "notification", None).await.expect("wanted"), 0);
        assert_eq!(parked::want(&database.writer, "followup", Some(id)).await.expect("wanted"), 1);
        assert_eq!(standing().await, Standing { parked: 1, wanted: 1 });
        let tx = database.begin().await;
        let next = parked::next_wanted(&tx, "followup").await.expect("asked").expect("it is wanted");
        assert_eq!(next.event, entries[0]);
        tx.rollback().await.expect("rolled back");
        assert!(parked::remove(&database.writer, "followup", id).await.expect("removed"));
        assert!(!parked::remove(&database.writer, "followup", id).await.expect("asked"));
        assert_eq!(standing().await, Standing::default());
    })
    .await;
}
