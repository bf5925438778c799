//! customer: one profile each, owned, found once, told apart, sealed.

mod config;
mod domain;
mod grpc;
mod operations;
mod store;

use std::sync::Arc;

use revisit_bootstrap::{Peers, Runtime, Sealer, Service, Started, command::Program};
use revisit_core::{Clock, Failure, Ids};
use revisit_permission::{Leases, Worker};

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
    pub config: Config,
    pub workers: Workers,
}

/// The workers of this service; each moves rows inside its own database and answers no caller with them.
pub(crate) struct Workers {
    /// Matching looks at the whole tenant; what the caller learns of it is decided in `operations::matching`.
    pub matching: Worker,
}

impl Workers {
    const fn declare() -> Self {
        Self { matching: Worker::declare("matching") }
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
    let database = runtime.database::<Migrator>().await?;
    let sealer = Sealer::new(&runtime.settings.seal)?;
    let app = Arc::new(App {
        store: Store { database: database.clone(), sealer },
        clock: runtime.clock.clone(),
        ids: runtime.ids.clone(),
        leases: runtime.leases.clone(),
        peers: runtime.peers.clone(),
        config,
        workers: Workers::declare(),
    });
    Ok(grpc::serve(Started::new(), &app).outbox(&database, &runtime))
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
