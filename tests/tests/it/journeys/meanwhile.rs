//! Changes that were decided on where something lay, and reach it after somebody else has moved it.

use revisit_bootstrap::status::answer;
use revisit_core::Failure;
use revisit_proto::identity::v1 as identity;
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::{Backend, connect_to},
    world::{World, mask},
};
use sea_orm::{ConnectionTrait, DatabaseConnection, TransactionTrait};

/// How long a test waits for what takes milliseconds.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// Waits until so many wait for a lock of the database. PostgreSQL tells nobody: each look is a question to it.
async fn waiting(look: &DatabaseConnection, many: i64) {
    let count = "SELECT count(*) AS n FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock'";
    let waits = async {
        while look
            .query_one_raw(sea_orm::Statement::from_string(sea_orm::DbBackend::Postgres, count))
            .await
            .expect("it is counted")
            .is_none_or(|row| row.try_get::<i64>("", "n").expect("a number") < many)
        {}
    };
    tokio::time::timeout(PATIENCE, waits).await.expect("they wait for the company");
}

/// What two calls answer when both were decided before either was made, and the first is made first: they wait for the
/// company's row, one behind the other.
async fn one_behind_the_other<A, B>(
    world: &World,
    first: impl Future<Output = A>,
    second: impl Future<Output = B>,
) -> (A, B) {
    let name = world.database(revisit_identity::NAME);
    let (lock, look) = (connect_to(&name).await, connect_to(&name).await);
    let held = lock.begin().await.expect("a transaction");
    held.execute_unprepared("SELECT tenant_id FROM tenant FOR UPDATE").await.expect("it is locked");
    let behind = async {
        waiting(&look, 1).await;
        second.await
    };
    let meanwhile = async {
        waiting(&look, 2).await;
        held.commit().await.expect("it is unlocked");
    };
    let (first, second, ()) = futures::join!(first, behind, meanwhile);
    (first, second)
}

async fn move_below(admin: &Person, department_id: &str, parent_id: &str) -> Result<identity::Department, Failure> {
    let (department_id, parent_id) = (department_id.to_owned(), parent_id.to_owned());
    let request = identity::MoveDepartmentRequest { department_id, parent_id, ..Default::default() };
    answer(admin.directory().move_department(request).await)
}

async fn merge(admin: &Person, ends: &str, into: &str) -> Result<identity::Department, Failure> {
    let (department_id, into_department_id) = (ends.to_owned(), into.to_owned());
    let request = identity::MergeDepartmentRequest { department_id, into_department_id, ..Default::default() };
    answer(admin.directory().merge_department(request).await)
}

/// What a call answers that comes to a store after the store was merged into another one, and was decided before.
async fn after_the_merger<T>(
    world: &World,
    call: impl AsyncFnOnce(&Person, &Person, String) -> Result<T, Failure>,
) -> &'static str {
    let admin = world.admin.fresh().await.expect("a session");
    let ends = world.department("ends", &world.root).await;
    let into = world.department("into", &world.root).await;
    let clerk = world.hire(&format!("clerk-{}", &ends[ends.len() - 8..]), "sales_rep", &ends).await;
    let position =
        identity::CreatePositionRequest { department_id: ends.clone(), name: "clerk".to_owned(), ..Default::default() };
    let position = answer(admin.directory().create_position(position).await).expect("a position").position_id;
    world.settle().await;
    let (merged, told) =
        Box::pin(one_behind_the_other(world, merge(admin, &ends, &into), Box::pin(call(admin, &clerk, position))))
            .await;
    merged.expect("it is merged");
    told.err().expect("it was decided on what is no more").reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_department_is_not_taken_from_where_nobody_was_asked() {
    let world = World::start(Backend::Postgres).await;
    let admin = world.admin.fresh().await.expect("a session");
    let north = world.department("north", &world.root).await;
    let south = world.department("south", &world.root).await;
    let east = world.department("east", &world.root).await;
    let [moved, merged] = [world.department("one", &north).await, world.department("other", &north).await];
    world.settle().await;
    let to = |store: &str, parent: &str| {
        let (store, parent) = (store.to_owned(), parent.to_owned());
        async move { move_below(admin, &store, &parent).await }
    };
    let (first, second) = one_behind_the_other(&world, to(&moved, &south), to(&moved, &east)).await;
    assert_eq!(first.expect("it is moved").parent_id, south);
    assert_eq!(second.expect_err("south was not asked").reason, "ETAG_STALE");
    let (first, second) = one_behind_the_other(&world, to(&merged, &south), merge(admin, &merged, &east)).await;
    assert_eq!(first.expect("it is moved").parent_id, south);
    assert_eq!(second.expect_err("south was not asked").reason, "ETAG_STALE");
    // Whoever reads again asks the right ones.
    assert_eq!(to(&moved, &east).await.expect("it is moved").parent_id, east);
    world.running.stop().await.expect("it stops without a fault");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_and_what_was_merged_meanwhile_is_not_changed_by_a_right_over_where_it_was() {
    let world = World::start(Backend::Postgres).await;
    let renamed = async |admin: &Person, clerk: &Person, _| {
        let (user_id, display_name) = (clerk.id.to_string(), "梅".to_owned());
        let user = Some(identity::User { user_id, display_name, ..Default::default() });
        let update_mask = mask(&["display_name"]);
        let request = identity::UpdateUserRequest { user, update_mask, ..Default::default() };
        answer(admin.directory().update_user(request).await)
    };
    assert_eq!(after_the_merger(&world, renamed).await, "ETAG_STALE");
    let suspended = async |admin: &Person, clerk: &Person, _| {
        let request = identity::SuspendUserRequest { user_id: clerk.id.to_string(), ..Default::default() };
        answer(admin.directory().suspend_user(request).await)
    };
    assert_eq!(after_the_merger(&world, suspended).await, "ETAG_STALE");
    let position_renamed = async |admin: &Person, _: &Person, position_id| {
        let position = Some(identity::Position { position_id, name: "teller".to_owned(), ..Default::default() });
        let request = identity::UpdatePositionRequest { position, update_mask: mask(&["name"]), ..Default::default() };
        answer(admin.directory().update_position(request).await)
    };
    assert_eq!(after_the_merger(&world, position_renamed).await, "ETAG_STALE");
    let removed = async |admin: &Person, _: &Person, position_id| {
        let request = identity::DeletePositionRequest { position_id, ..Default::default() };
        answer(admin.directory().delete_position(request).await)
    };
    assert_eq!(after_the_merger(&world, removed).await, "ETAG_STALE");
    world.running.stop().await.expect("it stops without a fault");
}
