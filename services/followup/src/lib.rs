//! The follow-up service: plans, tasks, and the engine that never forgets one.

mod config;
mod continuity;
mod domain;
mod engine;
mod fire;
mod grpc;
mod measures;
mod operations;
mod schedule;
mod sealed;
mod show;
mod store;
mod versions;

use std::{sync::Arc, time::Duration};

use revisit_bootstrap::{
    Consumer, Database, Peers, Rest, Runtime, Service, Started, Tx, Work, consumer::Freshness, database::fault,
};
use revisit_core::{Clock, Failure, Ids, Timestamp};
use revisit_event::Envelope;
use revisit_permission::Worker;
use revisit_proto::{followup::v1 as pb, identity::v1 as identity};
use tokio::sync::Notify;

pub use config::{Config, DEFAULTS};
use continuity::Monitor;
use measures::Measures;
use sealed::Sealed;
use versions::Versions;

/// Name of the service: its section of the configuration and the source of its events.
pub const NAME: &str = "followup";

/// What every operation works with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct App {
    pub database: Database,
    pub clock: Clock,
    pub ids: Ids,
    pub peers: Peers,
    pub config: Arc<Config>,
    pub sealed: Sealed,
    pub versions: Versions,
    pub freshness: Freshness,
    pub continuity: Monitor,
    pub measures: Measures,
    /// Wakes the engine: a timer may have been planted that is due before the one it waits for.
    pub wake: Arc<Notify>,
}

impl App {
    /// The time by which a transaction decides.
    pub async fn now(&self, tx: &Tx) -> Result<Timestamp, Failure> {
        tx.now().await.map_err(fault)
    }
}

/// The service as a process runs it.
#[must_use]
pub fn service() -> Service {
    Service::new(NAME, DEFAULTS, start, migrate)
}

/// Applies the migrations that are missing.
pub async fn migrate(_: Config, runtime: Runtime) -> Result<(), Failure> {
    runtime.migrate::<store::Migrator>().await
}

/// Starts the service.
pub async fn start(config: Config, runtime: Runtime) -> Result<Started, Failure> {
    config.check()?;
    let database = runtime.database::<store::Migrator>().await?.planning(store::timers::PLANNED);
    let consumer = Consumer::new(&runtime, &database).from("identity").from("customer");
    let app = App {
        database: database.clone(),
        clock: runtime.clock.clone(),
        ids: runtime.ids.clone(),
        peers: runtime.peers.clone(),
        config: Arc::new(config),
        sealed: Sealed::new(runtime.sealer()?),
        versions: Versions::default(),
        freshness: consumer.freshness(),
        continuity: Monitor::default(),
        measures: Measures::default(),
        wake: Arc::default(),
    };
    // The workers of this service, all of them.
    let (consume, fire) = (Worker::declare("consume"), Worker::declare("fire"));
    let (rest, answers) = (Worker::declare("rest"), Worker::declare("internal answers"));
    let rebuild = Worker::declare("rebuild");
    let (consuming, rebuilding) = (app.clone(), app.clone());
    let applying = consumer
        .rebuilt_by(move |source| {
            let app = rebuilding.clone();
            async move { operations::rebuild::from_source(&app, &rebuild, source).await }
        })
        .run(consume, async move |tx: &Tx, event: &Envelope| operations::consume::apply(&consuming, tx, event).await);
    let firing = engine::run(app.clone(), fire, runtime.shutdown.clone());
    let watching = continuity::run(app.clone(), Worker::declare("continuity"), runtime.shutdown.clone());
    let served = grpc::Served { app: app.clone(), worker: answers };
    Ok(Started::new()
        .serve(pb::plans_server::PlansServer::new(served.clone()))
        .serve(pb::tasks_server::TasksServer::new(served.clone()))
        .serve(pb::calendars_server::CalendarsServer::new(served.clone()))
        .serve(pb::metrics_server::MetricsServer::new(served.clone()))
        .serve(pb::today_server::TodayServer::new(served.clone()))
        .serve(pb::projections_server::ProjectionsServer::new(served.clone()))
        .serve(identity::task_hand_over_server::TaskHandOverServer::new(served))
        .of_modules(&grpc::OF_MODULES)
        .outbox(&database, &runtime)
        .work(Work::new("consume", applying))
        .work(Work::new("fire", firing))
        .work(Work::new("continuity", watching))
        .rest(resting(app, rest)))
}

/// At rest: nothing is due, swept or handed over.
fn resting(app: App, worker: Worker) -> Rest {
    let asked = app.clone();
    Rest::new(
        NAME,
        move || {
            let app = asked.clone();
            async move { engine::settled(&app, &worker).await.unwrap_or(false) }
        },
        move || {
            let app = app.clone();
            async move { next_due(&app, &worker).await }
        },
    )
}

/// Tries of a question whose answer must not be "nothing" only because the database was busy.
const ASK_MAX: usize = 100;
const ASK_AGAIN: Duration = Duration::from_millis(50);

async fn next_due(app: &App, worker: &Worker) -> Option<Timestamp> {
    for _ in 0..ASK_MAX {
        match engine::next_due(app, worker).await {
            Ok(due) => return due,
            Err(failure) => tracing::debug!(%failure, "the next due instant is asked for again"),
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
    tracing::warn!("the next due instant cannot be found out");
    None
}
