//! customer: one profile each, owned, found once, told apart, sealed.

mod config;
mod domain;
mod grpc;
mod operations;
mod store;
mod work;

use std::sync::Arc;

use revisit_bootstrap::{Peers, Runtime, Service, Started, auth::Verifier, command::Program};
use revisit_core::{Clock, Failure, Ids};
use revisit_permission::{Leases, Worker};
use tokio::sync::{Notify, Semaphore};

pub use config::{Config, DEFAULTS};
pub use store::Migrator;
use store::Store;

/// Name of the service: its section of the configuration and the source of its events.
pub const NAME: &str = "customer";

/// What every operation needs. One per process.
pub(crate) struct App {
    pub store: Store,
    pub clock: Clock,
    pub ids: Ids,
    pub leases: Leases,
    pub peers: Peers,
    pub verifier: Verifier,
    /// Rings when a job was written down.
    pub wake: Notify,
    /// Whoever unpacks a workbook holds it.
    pub unpacking: Arc<Semaphore>,
    pub config: Config,
    pub workers: Workers,
}

/// The workers of this service; each moves rows inside its own database and answers no caller with them.
pub(crate) struct Workers {
    /// Matching looks at the whole tenant; what the caller learns of it is decided in `operations::matching`.
    pub matching: Worker,
    pub consume: Worker,
    pub hand_over: Worker,
    pub import: Worker,
    /// Answers the other services.
    pub project: Worker,
    pub sweep: Worker,
    pub transfer: Worker,
}

impl Workers {
    const fn declare() -> Self {
        Self {
            matching: Worker::declare("matching"),
            consume: Worker::declare("consume"),
            hand_over: Worker::declare("hand_over"),
            import: Worker::declare("import"),
            project: Worker::declare("project"),
            sweep: Worker::declare("sweep"),
            transfer: Worker::declare("transfer"),
        }
    }
}

/// The service as a process sees it.
#[must_use]
pub fn service() -> Service {
    Service::new(NAME, DEFAULTS, start, migrate)
}

/// Starts the service.
pub async fn start(config: Config, runtime: Runtime) -> Result<Started, Failure> {
    config.check()?;
    // Beside the database, and before anybody calls.
    let warm = tokio::task::spawn_blocking(domain::normal::warm);
    let database = runtime.database::<Migrator>().await?;
    warm.await.map_err(Failure::internal)?;
    let sealer = runtime.sealer()?;
    let app = Arc::new(App {
        store: Store { database: database.clone(), sealer },
        clock: runtime.clock.clone(),
        ids: runtime.ids.clone(),
        leases: runtime.leases.clone(),
        peers: runtime.peers.clone(),
        verifier: runtime.verifier.clone(),
        wake: Notify::new(),
        unpacking: Arc::new(Semaphore::new(1)),
        config,
        workers: Workers::declare(),
    });
    let started = grpc::serve(Started::new(), &app).outbox(&database, &runtime);
    Ok(work::run(started, &app, &database, &runtime))
}

/// Applies the migrations that are missing.
pub async fn migrate(_: Config, runtime: Runtime) -> Result<(), Failure> {
    runtime.migrate::<Migrator>().await
}

/// The binary: the service alone.
#[must_use]
pub fn program() -> Program {
    Program::new(NAME, vec![service()])
}
