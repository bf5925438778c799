//! identity: who belongs to a company, who may do what, who is calling, and what was done.

mod audit;
mod config;
mod domain;
mod grpc;
mod http;
mod init;
mod keys;
mod operations;
mod passwords;
mod store;
mod work;

use std::{sync::Arc, time::Duration};

use revisit_bootstrap::{LeaseClient, Peers, Runtime, Service, Started};
use revisit_core::{Clock, Failure, Ids, id::TenantId};
use revisit_permission::{Leases, Worker};
use tokio::sync::Notify;

pub use audit::{Beside, Findings, tell as tell_findings, verify_audit};
pub use config::{Config, DEFAULTS};
pub use domain::alert;
pub use init::{First, FirstLink, Initialised, OPERATOR, OPERATORS, init, is_initialised, new_first_links};
pub use operations::tenants::Founded;
pub use store::migration::Migrator;

use domain::Error;
use keys::Keys;
use operations::{alerts::Watch, history::Histories, ledgers::Ledgers, pushes::Pushes};
use passwords::Passwords;
use store::{Store, keys::Authority};

/// Name of the service: its section of the configuration and the source of its events.
pub const NAME: &str = "identity";

/// What every operation needs. One per process.
pub(crate) struct App {
    pub store: Store,
    pub clock: Clock,
    pub ids: Ids,
    /// Secrets never come from a source that repeats, whatever `ids` is.
    pub secrets: Ids,
    pub config: Config,
    pub authority: Authority,
    pub keys: Keys,
    pub passwords: Passwords,
    pub leases: Leases,
    pub lease: LeaseClient,
    pub peers: Peers,
    pub ledgers: Ledgers,
    pub histories: Histories,
    pub pushes: Pushes,
    /// A replica has renewed here.
    pub renewed: Notify,
    /// A hand-over was ordered here.
    pub hand_overs: Notify,
    pub workers: Workers,
    /// What people did lately.
    pub watch: Watch,
    drift: Duration,
}

/// The workers of this service; each moves rows inside its own database and answers no caller with them.
pub(crate) struct Workers {
    /// Before anybody is known, nobody can be decided about.
    pub log_in: Worker,
    pub lease: Worker,
    pub sweep: Worker,
    pub found: Worker,
    pub project: Worker,
    pub consume: Worker,
    pub hand_over: Worker,
    pub freeze: Worker,
    /// Looks up what a question is about.
    pub ask: Worker,
}

impl Workers {
    const fn declare() -> Self {
        Self {
            log_in: Worker::declare("log_in"),
            lease: Worker::declare("lease"),
            sweep: Worker::declare("sweep"),
            found: Worker::declare("found"),
            project: Worker::declare("project"),
            consume: Worker::declare("consume"),
            hand_over: Worker::declare("hand_over"),
            freeze: Worker::declare("freeze"),
            ask: Worker::declare("ask"),
        }
    }
}

impl App {
    async fn open(config: Config, runtime: &Runtime, store: Store) -> Result<Self, Failure> {
        let workers = Workers::declare();
        let (authority, known) = store
            .read(&workers.lease, async |tx| {
                let authority = store::keys::authority(tx).await?.ok_or(Error::NotInitialised)?;
                Ok((authority, store::keys::all(tx).await?))
            })
            .await?;
        Ok(Self {
            keys: Keys::read(&config.keys_folder, &known)?,
            passwords: Passwords::new(config.passwords_at_once)?,
            store,
            clock: runtime.clock.clone(),
            ids: runtime.ids.clone(),
            secrets: Ids::random(),
            authority,
            leases: runtime.leases.clone(),
            lease: runtime.lease.clone(),
            peers: runtime.peers.clone(),
            ledgers: Ledgers::default(),
            histories: Histories::default(),
            pushes: Pushes::default(),
            renewed: Notify::new(),
            hand_overs: Notify::new(),
            workers,
            watch: Watch::new(config.alerts.limits()),
            drift: Duration::from_millis(runtime.settings.lease.drift_millis),
            config,
        })
    }

    /// The token of a committed revision.
    pub fn token(&self, tenant: TenantId, revision: i64) -> Result<String, Error> {
        Ok(self.keys.revision_token(tenant, revision, self.authority.incarnation)?)
    }

    /// No lease lives longer than this after it was last renewed.
    pub fn lease_life(&self) -> Duration {
        self.config.lease_ttl() + self.drift
    }
}

/// The service as a process sees it.
#[must_use]
pub fn service() -> Service {
    Service::new(NAME, DEFAULTS, start, migrate)
}

/// Starts the service on an initialised database.
pub async fn start(config: Config, runtime: Runtime) -> Result<Started, Failure> {
    config.check()?;
    // Without them nobody could repeat a request; better told now than then.
    runtime.request_keys()?;
    let database = runtime.database::<Migrator>().await?;
    let app = Arc::new(App::open(config, &runtime, Store::new(database.clone())).await?);
    let started = grpc::serve(Started::new(), &app).outbox(&database, &runtime);
    let started = http::serve(started, &app, &runtime).await?;
    Ok(work::run(started, &app, &database, &runtime))
}

/// Applies the migrations that are missing.
pub async fn migrate(_: Config, runtime: Runtime) -> Result<(), Failure> {
    runtime.migrate::<Migrator>().await
}

/// The binary: the service alone, with `init` and `audit verify`.
#[must_use]
pub fn program() -> revisit_bootstrap::command::Program {
    revisit_bootstrap::command::Program::new(NAME, vec![service()])
        .command("init", "makes operators, first company, administrator and keys, once", init::command)
        .command("audit", "`audit verify` follows every audit chain", audit::command)
}
