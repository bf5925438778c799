//! The floor of a shard, which the follow-up engine scans from: never above a timer that exists.

use revisit_tests::databases::on_each_backend;

use super::{Tables, World, draft};

async fn floors(world: &World<'_>) -> Vec<Option<i64>> {
    world.rows("SELECT floor AS value FROM outbox WHERE shard = $1 ORDER BY position", 5).await
}

#[tokio::test]
async fn a_shard_has_no_floor_before_a_fire_transaction_found_one() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append(vec![draft(5, 1), draft(5, 2).planted(70)]).await;
        assert_eq!(floors(&world).await, [None, None]);
        world.append(vec![draft(5, 3).floor(100, 2)]).await;
        assert_eq!(floors(&world).await, [None, None, Some(100)]);
    })
    .await;
}

#[tokio::test]
async fn an_event_inherits_the_floor_and_lowers_it_to_what_it_planted() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append(vec![draft(5, 1).floor(100, 0)]).await;
        world.append(vec![draft(5, 2).planted(120)]).await;
        world.append(vec![draft(5, 3), draft(5, 4).planted(80), draft(6, 1)]).await;
        world.append(vec![draft(5, 5)]).await;
        assert_eq!(floors(&world).await, [100, 100, 80, 80, 80].map(Some));
    })
    .await;
}

#[tokio::test]
async fn a_fire_transaction_raises_the_floor_but_not_above_what_was_planted_since_it_looked() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append(vec![draft(5, 1).planted(5).floor(10, 0)]).await;
        // It reads at position 1; then two others plant before it commits.
        world.append(vec![draft(5, 2).planted(400)]).await;
        world.append(vec![draft(5, 3).planted(150)]).await;
        world.append(vec![draft(5, 4).floor(200, 1), draft(5, 5).planted(300)]).await;
        assert_eq!(floors(&world).await, [5, 5, 5, 150, 150].map(Some));
        world.append(vec![draft(5, 6).planted(160).floor(200, 5)]).await;
        assert_eq!(floors(&world).await.last(), Some(&Some(160)));
    })
    .await;
}

#[tokio::test]
async fn when_rows_were_trimmed_since_it_looked_the_floor_is_not_raised_beyond_the_newest_rows() {
    on_each_backend::<Tables>(async |database| {
        let world = World::new(database);
        world.append(vec![draft(5, 1).floor(10, 0)]).await;
        world.append(vec![draft(5, 2).planted(150)]).await;
        world.append(vec![draft(5, 3)]).await;
        for consumer in ["followup", "notification"] {
            world.acknowledge(consumer, &[(5, 3)]).await;
        }
        assert_eq!(world.trim().await, 2);
        world.append(vec![draft(5, 4).floor(200, 1)]).await;
        assert_eq!(floors(&world).await, [10, 10].map(Some));
    })
    .await;
}
