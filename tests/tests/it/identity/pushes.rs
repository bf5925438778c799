//! Pushes: who watches one replica hears of what another one has committed, and when something may have been missed.

use std::time::Duration;

use revisit_proto::identity::v1::{self as pb, leases_client::LeasesClient};
use revisit_tests::databases::{Backend, texts};
use sea_orm::ConnectionTrait;
use tonic::{Request, Streaming};

use super::support::{ADMINISTRATOR, COMPANY, CUSTOMER_TOKEN, World, channel, log_in};

/// How long a push may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections on which the replicas of a world listen.
const LISTENING: &str = "FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN%'";

/// A world with a second replica, and what somebody hears who watches that one.
struct Ground {
    world: World,
    second: revisit_bootstrap::Running,
    pushes: Streaming<pb::WatchChangesResponse>,
}

impl Ground {
    /// Both replicas listen.
    async fn prepare() -> Self {
        let world = World::start(Backend::Postgres).await;
        let second = world.replica().await;
        listening(&world, 2).await;
        let request = pb::WatchChangesRequest { tenant_ids: vec![world.tenant.tenant_id.clone()] };
        let mut request = Request::new(request);
        request.metadata_mut().insert("x-revisit-caller", CUSTOMER_TOKEN.parse().expect("ASCII"));
        let pushes = LeasesClient::new(channel(&second)).watch_changes(request).await.expect("it may").into_inner();
        Self { world, second, pushes }
    }

    /// A change that the first replica makes; the number of its revision follows from the push.
    async fn change(&self, name: &str) {
        self.world.department(&self.world.tenant.root_department_id, name).await;
    }

    async fn push(&mut self) -> pb::WatchChangesResponse {
        let push = tokio::time::timeout(PATIENCE, self.pushes.message()).await.expect("it is pushed");
        push.expect("the stream goes on").expect("the stream goes on")
    }

    async fn end(self) {
        drop(self.pushes);
        self.second.stop().await.expect("it ends in order");
        self.world.end().await;
    }
}

async fn listening(world: &World, count: usize) {
    let connections = format!("SELECT pid::text {LISTENING}");
    let ask = async || (texts(&world.database.reader, &connections).await.len() == count).then_some(());
    world.eventually("the replicas listen", ask).await;
}

fn says(push: &pb::WatchChangesResponse, name: &str) -> bool {
    push.changes.iter().any(|change| String::from_utf8_lossy(change).contains(name))
}

#[tokio::test]
async fn what_one_replica_commits_the_other_pushes_once_and_in_order() {
    let mut ground = Ground::prepare().await;
    ground.change("North").await;
    ground.change("South").await;
    let (first, then) = (ground.push().await, ground.push().await);
    assert!(says(&first, "North") && says(&then, "South"), "{first:?} {then:?}");
    assert_eq!(then.revision, first.revision + 1);
    // Made by the replica that is watched: told at once, and its own hint is no second push.
    let request = pb::CreateDepartmentRequest {
        parent_id: ground.world.tenant.root_department_id.clone(),
        name: "East".to_owned(),
        ..pb::CreateDepartmentRequest::default()
    };
    let channel = channel(&ground.second);
    let boss = log_in(&channel, COMPANY, ADMINISTRATOR).await.expect("the log-in is good");
    boss.directory().create_department(request).await.expect("it is made");
    ground.change("West").await;
    let (third, fourth) = (ground.push().await, ground.push().await);
    assert!(says(&third, "East") && says(&fourth, "West"), "{third:?} {fourth:?}");
    ground.end().await;
}

#[tokio::test]
async fn a_replica_that_could_not_hear_tells_its_watchers_to_look() {
    let mut ground = Ground::prepare().await;
    let cut = format!("SELECT pg_terminate_backend(pid)::text {LISTENING}");
    ground.world.database.writer.execute_unprepared(&cut).await.expect("the server ends them");
    let told = ground.push().await;
    assert!(told.changes.is_empty() && told.revision > 0, "{told:?}");
    listening(&ground.world, 2).await;
    ground.change("North").await;
    let push = ground.push().await;
    assert!(says(&push, "North") && push.revision > told.revision, "it hears again: {push:?}");
    ground.end().await;
}
