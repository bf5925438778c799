//! notification: the right words to the right person, once.

mod channel;
mod config;
mod domain;
mod grpc;
mod operations;
mod store;
mod worker;

use std::sync::{Arc, atomic::AtomicUsize};

use revisit_bootstrap::{Peers, Runtime, Sealer, Service, Started};
use revisit_core::{
    Clock, Failure, Ids,
    id::{SubjectId, TenantId},
};
use revisit_permission::{Leases, Worker};
use tokio::sync::{Notify, broadcast};

pub use config::{Config, DEFAULTS};
pub use store::migration::Migrator;

use channel::{email::Mail, resolve::Resolver, webhook::Webhooks};
use operations::words::Texts;
use store::Store;

/// Name of the service: its section of the configuration and the source of its events.
pub const NAME: &str = "notification";

/// Arrivals that a slow stream may lag behind before it looks into the database by itself.
const ARRIVALS_MAX: usize = 1_024;

/// What every operation needs. One per process.
pub(crate) struct App {
    pub store: Store,
    pub clock: Clock,
    pub ids: Ids,
    /// Secrets never come from a source that repeats, whatever `ids` is.
    pub secrets: Ids,
    pub config: Config,
    pub sealer: Sealer,
    pub leases: Leases,
    pub peers: Peers,
    pub mail: Mail,
    pub webhooks: Webhooks,
    pub resolver: Resolver,
    pub texts: Texts,
    /// Something was planned: the dispatcher looks at once. Only a hint; it looks by itself, too.
    pub planned: Notify,
    /// A digest or a replay is waiting: the clockwork looks at once. Only a hint, too.
    pub ticked: Notify,
    /// Whose inbox has a new message. Only a hint, and only on this replica.
    pub arrivals: broadcast::Sender<(TenantId, SubjectId)>,
    /// Batches that are being worked off on this replica.
    pub under_way: AtomicUsize,
    pub workers: Workers,
}

/// The workers of this service; each moves rows inside its own database. What leaves is decided when it leaves.
pub(crate) struct Workers {
    pub consume: Worker,
    pub claim: Worker,
    pub deliver: Worker,
    pub digest: Worker,
    pub rebuild: Worker,
    pub replay: Worker,
    pub rest: Worker,
    pub sweep: Worker,
}

impl Workers {
    const fn declare() -> Self {
        Self {
            consume: Worker::declare("consume"),
            claim: Worker::declare("claim"),
            deliver: Worker::declare("deliver"),
            digest: Worker::declare("digest"),
            rebuild: Worker::declare("rebuild"),
            replay: Worker::declare("replay"),
            rest: Worker::declare("rest"),
            sweep: Worker::declare("sweep"),
        }
    }
}

impl App {
    fn open(config: Config, runtime: &Runtime, store: Store) -> Result<Self, Failure> {
        let resolver = Resolver::new(Arc::new(config.outbound()));
        Ok(Self {
            store,
            clock: runtime.clock.clone(),
            ids: runtime.ids.clone(),
            secrets: Ids::random(),
            sealer: runtime.sealer()?,
            leases: runtime.leases.clone(),
            peers: runtime.peers.clone(),
            mail: Mail::new(&config.mail, resolver.clone())?,
            webhooks: Webhooks::new(&config.webhook, resolver.clone(), runtime.clock.clone())?,
            resolver,
            texts: Texts::default(),
            planned: Notify::new(),
            ticked: Notify::new(),
            arrivals: broadcast::channel(ARRIVALS_MAX).0,
            under_way: AtomicUsize::new(0),
            workers: Workers::declare(),
            config,
        })
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
    // reqwest is built without a provider of its own; one that is installed already is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let database = runtime.database::<Migrator>().await?;
    let app = Arc::new(App::open(config, &runtime, Store::new(database.clone()))?);
    let started = grpc::serve(Started::new(), &app).outbox(&database, &runtime);
    Ok(worker::run(started, &app, &database, &runtime))
}

/// Applies the migrations that are missing.
pub async fn migrate(_: Config, runtime: Runtime) -> Result<(), Failure> {
    runtime.migrate::<Migrator>().await
}
