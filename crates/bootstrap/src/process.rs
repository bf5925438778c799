//! One process: some services, one listener, one shutdown. A service alone and all four together start by the same
//! code, so that what holds for one holds for the other.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use revisit_core::{Clock, Failure, Ids, Timestamp};
use revisit_event::{Bus, Relay};
use revisit_permission::Leases;
use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tracing::Instrument;

use crate::{
    auth::{Auth, Callers, Keys, Verifier},
    checkpoint,
    client::Peers,
    config::{self, Layers},
    consumer::Consumers,
    database::{Database, fault},
    events,
    lease::LeaseClient,
    runtime::{Rest, Runtime, Started, Work},
    server::{self, MEMORY_BACKLOG, Ready, Serving},
    service::{Prepared, Service},
    settings::{BusKind, Settings},
    shutdown::Shutdown,
};

/// Time for workers to end by themselves after the last call has ended.
const WORKERS_END_MAX: Duration = Duration::from_secs(5);

/// Time for our connections to ourselves to close.
const MEMORY_END_MAX: Duration = Duration::from_secs(1);

/// A configured process that has not started.
pub struct Process {
    /// Its name, for logs and leases.
    pub name: &'static str,
    /// What all services of the process share.
    pub settings: Arc<Settings>,
    /// The services with their own sections.
    pub services: Vec<Prepared>,
}

/// Where a process takes time and ids from.
#[derive(Clone)]
pub struct Sources {
    /// Time.
    pub clock: Clock,
    /// Ids.
    pub ids: Ids,
}

impl Default for Sources {
    fn default() -> Self {
        Self { clock: Clock::system(), ids: Ids::random() }
    }
}

impl Process {
    /// Types what the layers say; every key must be known and every rule kept.
    pub fn new(name: &'static str, services: &[Service], mut layers: Layers) -> Result<Self, Failure> {
        let prepared = services.iter().map(|service| service.prepare(&mut layers)).collect::<Result<_, _>>()?;
        let settings: Settings = layers.finish()?;
        settings.check()?;
        Ok(Self { name, settings: Arc::new(settings), services: prepared })
    }

    /// The layers of a process with these services before file and environment: the manuals.
    pub fn manuals(services: &[Service], own: &[&str]) -> Result<Layers, Failure> {
        let mut manuals = vec![config::DEFAULTS];
        manuals.extend(services.iter().map(|service| service.defaults));
        manuals.extend_from_slice(own);
        Layers::defaults(&manuals)
    }

    /// Binds, starts every service and opens the gate; answers when it is ready to serve.
    pub async fn start(self, sources: Sources, shutdown: Shutdown) -> Result<Running, Failure> {
        let here: Vec<&'static str> = self.services.iter().map(|service| service.name).collect();
        let (memory_in, memory_out) = mpsc::channel(MEMORY_BACKLOG);
        let bound = server::bind(&self.settings, memory_out).await?;
        let address = bound.address;
        let callers = Callers::new(&self.settings, &here, &Ids::random())?;
        let peers = Peers::new(&self.settings, &here, &memory_in, callers.clone())?;
        let runtime = self.runtime(&here, peers, &sources, &shutdown);
        let auth = Auth::new(runtime.verifier.clone(), callers, self.settings.server.trusted_header()?);
        let serving = server::serve(bound, &self.settings, auth, &shutdown).await?;
        tracing::info!(%address, "bound");
        let starting = runtime.ready.latch();
        let mut started = Started::new();
        for service in self.services {
            let name = service.name;
            let one = (service.start)(runtime.of(name)).await.inspect_err(|failure| {
                tracing::error!(service = name, %failure, "a service did not start");
            });
            match one {
                Ok(mut one) => {
                    one.own_denials();
                    started = started.and(one);
                }
                Err(failure) => {
                    serving.cancel();
                    shutdown.cancel();
                    return Err(failure);
                }
            }
        }
        // One for all outboxes: each process has one place where their consumers call.
        let outboxes = started.outboxes.clone();
        started = started.serve(events::service(outboxes.clone())).serve(checkpoint::service(outboxes));
        serving.gate.open(&mut started);
        let lease = Work::new("lease", runtime.lease.clone().run(shutdown.clone()));
        started.workers.push(lease);
        drop(starting);
        let drain = Duration::from_secs(self.settings.server.drain_seconds_max);
        let notice = Duration::from_secs(self.settings.server.notice_seconds);
        Running::launch(runtime, address, started, serving, (notice, drain)).await
    }

    /// Migrates the database of every service.
    pub async fn migrate(self) -> Result<(), Failure> {
        let here: Vec<&'static str> = self.services.iter().map(|service| service.name).collect();
        let callers = Callers::new(&self.settings, &here, &Ids::random())?;
        // Nobody listens: a migration calls no peer.
        let (memory_in, _) = mpsc::channel(1);
        let peers = Peers::new(&self.settings, &here, &memory_in, callers)?;
        let runtime = self.runtime(&here, peers, &Sources::default(), &Shutdown::new());
        for service in self.services {
            (service.migrate)(runtime.of(service.name)).await?;
            tracing::info!(service = service.name, "migrated");
        }
        Ok(())
    }

    fn runtime(&self, here: &[&'static str], peers: Peers, sources: &Sources, shutdown: &Shutdown) -> Runtime {
        let Sources { clock, ids } = sources.clone();
        let leases = Leases::new(clock.clone());
        // The lease belongs to the process: its calls go out under the name of its first service.
        let first = here.first().copied().unwrap_or(self.name);
        let source = (clock.clone(), Ids::random());
        let lease = LeaseClient::new(leases.clone(), peers.of(first), self.name, &self.settings.lease, source);
        let verifier = Verifier::new(Keys::new(peers.of(first), clock.clone()), lease.clone());
        let bus = match self.settings.bus.kind {
            BusKind::Memory => Bus::memory(clock.clone()),
        };
        Runtime {
            service: first,
            clock,
            ids,
            bus,
            peers,
            leases,
            lease,
            verifier,
            shutdown: shutdown.clone(),
            ready: Ready::default(),
            settings: Arc::clone(&self.settings),
            consumers: Consumers::default(),
        }
    }
}

/// A process that serves.
pub struct Running {
    /// What its services were given; its `service` is the first one's.
    pub runtime: Runtime,
    /// Where it listens.
    pub address: SocketAddr,
    /// See [`Rest`].
    pub rest: Vec<Rest>,
    outboxes: Vec<Database>,
    relays: Vec<Relay>,
    ended: tokio::task::JoinHandle<Result<(), Failure>>,
}

impl Running {
    async fn launch(
        runtime: Runtime,
        address: SocketAddr,
        started: Started,
        serving: Serving,
        bounds: (Duration, Duration),
    ) -> Result<Self, Failure> {
        let (rest, outboxes, relays) = (started.rest.clone(), started.outboxes.clone(), started.relays.clone());
        let (ready_in, ready_out) = oneshot::channel();
        // Workers run before the process is ready: they may be what drops the last latch.
        let supervised = supervise(runtime.clone(), serving, started, ready_in, bounds);
        let ended = tokio::spawn(supervised.in_current_span());
        if ready_out.await.is_ok() {
            tracing::info!(%address, "ready");
        }
        Ok(Self { runtime, address, rest, outboxes, relays, ended })
    }

    /// Whether everything is at rest: all outboxes relayed and applied, and every service says so.
    pub async fn settled(&self) -> Result<bool, Failure> {
        for database in &self.outboxes {
            let Some(outbox) = database.outbox() else { continue };
            if !outbox.settled(&database.pools().reader).await.map_err(fault)? {
                return Ok(false);
            }
        }
        for rest in &self.rest {
            if !rest.settled().await {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// The earliest wall instant at which any service has work.
    pub async fn next_due(&self) -> Option<Timestamp> {
        let mut earliest = None;
        for rest in &self.rest {
            let due = rest.next_due().await;
            earliest = [earliest, due].into_iter().flatten().min();
        }
        earliest
    }

    /// Ends a step of the wall: renews the lease and publishes every watermark, so that nothing decides by old time.
    pub async fn renew(&self) -> Result<(), Failure> {
        self.runtime.lease.force_renew().await?;
        for relay in &self.relays {
            relay.pass().await?;
        }
        self.runtime.consumers.look(&self.runtime.bus).await
    }

    /// Waits until the process has ended; a worker's fault is an error.
    pub async fn ended(self) -> Result<(), Failure> {
        self.ended.await.map_err(Failure::internal)?
    }

    /// Drains and waits for the end.
    pub async fn stop(self) -> Result<(), Failure> {
        self.runtime.shutdown.drain();
        self.ended().await
    }
}

/// Runs the workers until draining begins; then: not serving → drain → cancel, each bounded.
async fn supervise(
    runtime: Runtime,
    mut serving: Serving,
    started: Started,
    ready: oneshot::Sender<()>,
    (notice, drain): (Duration, Duration),
) -> Result<(), Failure> {
    let shutdown = runtime.shutdown.clone();
    let names = started.names;
    let mut workers = JoinSet::new();
    for work in started.workers {
        workers.spawn(async move {
            // A task of its own, so that a panic is seen together with its name.
            (work.name, tokio::spawn(work.future).await)
        });
    }
    let mut fault = None;
    let become_ready = async {
        runtime.ready.reached().await;
        serving.tell(&names, true).await;
        // Nobody waits any more when the starter was dropped.
        let _ = ready.send(());
        std::future::pending::<()>().await;
    };
    tokio::select! {
        biased;
        () = shutdown.draining() => {}
        Some(ended) = workers.join_next() => {
            if !shutdown.is_draining() {
                fault = Some(early_end(ended));
            }
            shutdown.drain();
        }
        () = become_ready => {}
    }
    serving.tell(&names, false).await;
    tokio::time::sleep(notice).await;
    if tokio::time::timeout(drain, serving.drained()).await.is_err() {
        tracing::warn!("calls still run at the end of the drain; they are cancelled");
    }
    // Ends what still runs, and the lease, which the running calls needed until here.
    shutdown.cancel();
    let ending = async { while workers.join_next().await.is_some() {} };
    if tokio::time::timeout(WORKERS_END_MAX, ending).await.is_err() {
        tracing::warn!("workers still run after the drain; they are cancelled");
    }
    workers.abort_all();
    if tokio::time::timeout(MEMORY_END_MAX, serving.close()).await.is_err() {
        tracing::debug!("connections by memory did not close in time");
    }
    fault.map_or(Ok(()), Err)
}

type Ended = Result<(&'static str, Result<(), tokio::task::JoinError>), tokio::task::JoinError>;

fn early_end(ended: Ended) -> Failure {
    let (name, why) = match ended {
        Ok((name, Ok(()))) => (name, "ended early".to_owned()),
        Ok((name, Err(panic))) => (name, panic.to_string()),
        Err(panic) => ("", panic.to_string()),
    };
    tracing::error!(worker = name, why, "a worker ended early; the process stops");
    Failure::internal(format!("worker {name}: {why}"))
}
