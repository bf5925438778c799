//! What a service is given at its start and what it gives back.

use std::{future::Future, ops::Add, pin::Pin, sync::Arc, time::Duration};

use revisit_core::{Clock, Failure, Ids, Kind, Timestamp};
use revisit_event::{Bus, Outbox, Relay};
use revisit_permission::{Action, Leases};
use tonic::{
    body::Body,
    codegen::{Service, http},
    server::NamedService,
    service::Routes,
};

use sea_orm_migration::MigratorTrait;

use crate::{
    auth::Verifier,
    client::Peers,
    consumer::Consumers,
    database::Database,
    denials::{ByService, Denials},
    lease::LeaseClient,
    seal::{RequestKeys, Sealer},
    server::Ready,
    settings::Settings,
    shutdown::Shutdown,
};

/// Pause before a database that is away is tried again at the start; it doubles up to the maximum.
const PAUSE: Duration = Duration::from_millis(250);
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// What a service needs from the process that it runs in. Cheap to clone.
#[derive(Clone)]
pub struct Runtime {
    /// Which service this is.
    pub service: &'static str,
    /// Where time comes from.
    pub clock: Clock,
    /// Where ids come from.
    pub ids: Ids,
    /// Where events go to and come from.
    pub bus: Bus,
    /// The other services.
    pub peers: Peers,
    /// The read side of the lease.
    pub leases: Leases,
    /// The side of the lease that renews it.
    pub lease: LeaseClient,
    /// Verifies tokens that did not come with a call.
    pub verifier: Verifier,
    /// How far the end of the process has come.
    pub shutdown: Shutdown,
    /// Latches that hold readiness back.
    pub ready: Ready,
    /// What the process was told.
    pub settings: Arc<Settings>,
    /// Who consumes events here.
    pub(crate) consumers: Consumers,
}

impl Runtime {
    /// The same for one of the services of the process.
    #[must_use]
    pub fn of(&self, service: &'static str) -> Self {
        Self { service, peers: self.peers.of(service), ..self.clone() }
    }

    /// Opens the service's database with its outbox. Migrates it when the configuration says so, else refuses to go on
    /// while a migration is missing.
    pub async fn database<M: MigratorTrait>(&self) -> Result<Database, Failure> {
        let config = self.settings.database.of(self.service);
        let database = self.open_patiently().await?;
        if config.migrates() {
            database.migrate::<M>().await?;
        } else {
            database.require_migrated::<M>().await?;
        }
        Ok(database)
    }

    /// Applies the service's migrations, whatever the configuration says: what `migrate` does.
    pub async fn migrate<M: MigratorTrait>(&self) -> Result<(), Failure> {
        self.open().await?.migrate::<M>().await
    }

    /// What seals and opens sensitive values; fails when the configuration has no key ring.
    pub fn sealer(&self) -> Result<Sealer, Failure> {
        Sealer::new(&self.settings.seal)
    }

    /// The keys for what is kept of requests that may be repeated; fails when the configuration has no index keys. Its
    /// databases have them already.
    pub fn request_keys(&self) -> Result<RequestKeys, Failure> {
        RequestKeys::new(&self.settings.seal)
    }

    /// Waits for a server that is away, bound and not ready: to end would only be to be started again. A file that
    /// cannot be opened will not come by itself.
    async fn open_patiently(&self) -> Result<Database, Failure> {
        let mut pause = PAUSE;
        loop {
            match self.open().await {
                Err(failure) if failure.kind == Kind::Unavailable && self.settings.database.is_postgres() => {
                    let cause = std::error::Error::source(&failure).map(ToString::to_string);
                    tracing::warn!(service = self.service, %failure, cause, "waiting for the database");
                    if self.shutdown.or_draining(tokio::time::sleep(pause)).await.is_none() {
                        return Err(failure);
                    }
                    pause = (pause * 2).min(PAUSE_MAX);
                }
                result => return result,
            }
        }
    }

    async fn open(&self) -> Result<Database, Failure> {
        let config = self.settings.database.of(self.service);
        let consumers = self.settings.consumers_of(self.service);
        let outbox = Outbox::new(self.service, self.clock.clone(), self.ids.clone()).consumed_by(consumers);
        let database = Database::open(&config, self.clock.clone()).await?.with_outbox(outbox);
        // A migration needs no keys; who serves asks for them at the start.
        Ok(match self.settings.seal.index_keys.is_empty() {
            true => database,
            false => database.with_request_keys(self.request_keys()?),
        })
    }
}

type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A task that runs as long as the service: it ends when draining begins. Another end is a fault that stops the process.
pub struct Work {
    /// Its name, for the log.
    pub name: &'static str,
    pub(crate) future: Boxed<()>,
}

impl Work {
    /// Names a task.
    pub fn new(name: &'static str, future: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { name, future: Box::pin(future) }
    }
}

/// Whether a service is at rest and when it has work again; the demo and journeys step time with it.
#[derive(Clone)]
pub struct Rest {
    /// Whose.
    pub name: &'static str,
    settled: Arc<dyn Fn() -> Boxed<bool> + Send + Sync>,
    next_due: Arc<dyn Fn() -> Boxed<Option<Timestamp>> + Send + Sync>,
}

impl Rest {
    /// From two questions.
    pub fn new<S, N>(
        name: &'static str,
        settled: impl Fn() -> S + Send + Sync + 'static,
        next_due: impl Fn() -> N + Send + Sync + 'static,
    ) -> Self
    where
        S: Future<Output = bool> + Send + 'static,
        N: Future<Output = Option<Timestamp>> + Send + 'static,
    {
        Self { name, settled: Arc::new(move || Box::pin(settled())), next_due: Arc::new(move || Box::pin(next_due())) }
    }

    /// Whether its outbox is relayed and applied and nothing is claimed or calling.
    pub async fn settled(&self) -> bool {
        (self.settled)().await
    }

    /// The earliest wall instant at which it has work.
    pub async fn next_due(&self) -> Option<Timestamp> {
        (self.next_due)().await
    }
}

/// What a started service serves and runs. Values add up.
#[derive(Default)]
pub struct Started {
    pub(crate) routes: Option<Routes>,
    pub(crate) names: Vec<&'static str>,
    pub(crate) public: Vec<&'static str>,
    pub(crate) long: Vec<&'static str>,
    pub(crate) endless: Vec<&'static str>,
    pub(crate) actions: Vec<(&'static str, Action)>,
    pub(crate) workers: Vec<Work>,
    pub(crate) outboxes: Vec<Database>,
    pub(crate) relays: Vec<Relay>,
    /// Where the denials of what is served here go.
    pub(crate) denials: Option<Denials>,
    /// The same for each gRPC service, once the process knows all of them.
    pub(crate) denials_of: ByService,
    /// See [`Rest`].
    pub rest: Vec<Rest>,
}

impl Started {
    /// Nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Serves a gRPC service; its health is told under its name.
    #[must_use]
    pub fn serve<S>(mut self, service: S) -> Self
    where
        S: Service<http::Request<Body>, Response = http::Response<Body>, Error = std::convert::Infallible>
            + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        self.names.push(S::NAME);
        self.routes = Some(self.routes.take().unwrap_or_default().add_service(service));
        self
    }

    /// Names calls that need no token, as `/package.Service/Method`.
    #[must_use]
    pub fn public(mut self, calls: &[&'static str]) -> Self {
        self.public.extend_from_slice(calls);
        self
    }

    /// Names calls that take a whole upload before they answer, as `/package.Service/Method`.
    #[must_use]
    pub fn long(mut self, calls: &[&'static str]) -> Self {
        self.long.extend_from_slice(calls);
        self
    }

    /// Names calls whose answer never ends by itself, as `/package.Service/Method`: it ends when draining begins.
    #[must_use]
    pub fn endless(mut self, calls: &[&'static str]) -> Self {
        self.endless.extend_from_slice(calls);
        self
    }

    /// Names calls that belong to a module, as `/package.Service/Method`, each with the action that it is for: it is
    /// refused to whom the module of that action is switched off.
    #[must_use]
    pub fn of_modules(mut self, calls: &[(&'static str, Action)]) -> Self {
        self.actions.extend_from_slice(calls);
        self
    }

    /// Relays the outbox of `database` to the bus, takes its consumers' acknowledgements, and counts it as at rest
    /// when everything in it was applied by all of them. Denials of what is served are written into it.
    #[must_use]
    pub fn outbox(mut self, database: &Database, runtime: &Runtime) -> Self {
        let Some(outbox) = database.outbox().cloned() else { return self };
        let lease = runtime.lease.clone();
        let relay = Relay::new(outbox, database.pools(), runtime.bus.clone(), Arc::new(move || lease.time()));
        let shutdown = runtime.shutdown.clone();
        self.workers.push(Work::new("relay", relay.clone().run(async move { shutdown.draining().await })));
        self.relays.push(relay);
        self.outboxes.push(database.clone());
        let denials = Denials::new(database.clone(), runtime.clock.clone(), runtime.ids.clone());
        self.workers.push(Work::new("denials", denials.clone().run(runtime.shutdown.clone())));
        self.rest.push(denials.rest("denials"));
        self.denials = Some(denials);
        self
    }

    /// Where denials of this service go, for a listener of its own; nowhere before it has an outbox.
    #[must_use]
    pub fn denials(&self) -> Option<Denials> {
        self.denials.clone()
    }

    /// Sends the denials of everything served so far to this service's own outbox.
    pub(crate) fn own_denials(&mut self) {
        if let Some(denials) = self.denials.take() {
            self.denials_of.extend(self.names.iter().map(|name| (*name, denials.clone())));
        }
    }

    /// Runs a task.
    #[must_use]
    pub fn work(mut self, work: Work) -> Self {
        self.workers.push(work);
        self
    }

    /// Tells when it is at rest.
    #[must_use]
    pub fn rest(mut self, rest: Rest) -> Self {
        self.rest.push(rest);
        self
    }

    /// Both.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.routes = match (self.routes, other.routes) {
            // Both answer UNIMPLEMENTED to what they do not know; only one may.
            (Some(one), Some(two)) => {
                let two = two.into_axum_router().reset_fallback();
                Some(Routes::from(one.into_axum_router().merge(two)))
            }
            (one, two) => one.or(two),
        };
        self.names.extend(other.names);
        self.public.extend(other.public);
        self.long.extend(other.long);
        self.endless.extend(other.endless);
        self.actions.extend(other.actions);
        self.workers.extend(other.workers);
        self.outboxes.extend(other.outboxes);
        self.relays.extend(other.relays);
        self.denials_of.extend(other.denials_of);
        self.rest.extend(other.rest);
        self
    }
}

impl Add for Started {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        self.and(other)
    }
}
