//! The listener: bound first, ready last, and drained in order.
//!
//! The port is bound before anything else starts, so that a second process fails at once. Until a service opens its
//! gate its calls answer UNAVAILABLE and health says NOT_SERVING; both, and reflection, answer from the first moment.

use std::{
    collections::{HashMap, HashSet},
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use http::{Request, Response};
use revisit_core::Failure;
use revisit_permission::Action;
use tokio::{io::DuplexStream, net::TcpListener, sync::mpsc, sync::watch, task::JoinHandle};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::{
    body::Body,
    service::Routes,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower::Service;

use crate::{
    auth::Auth,
    denials::{self, Denials, Enforced},
    ending::Endings,
    front::Front,
    limits::{Deadlines, Messages, Shed, refuse},
    modules::Modules,
    panics::Panics,
    runtime::Started,
    settings::Settings,
    shares::Shares,
    shutdown::Shutdown,
    telemetry::Traces,
};

/// How often an idle connection is asked whether its peer still lives, and how long the answer may take.
const KEEPALIVE: Duration = Duration::from_secs(30);
const KEEPALIVE_ANSWER: Duration = Duration::from_secs(10);
/// Streams of one connection: a client that wants more opens another.
const STREAMS_MAX: u32 = 1_024;
/// Connections to ourselves that wait to be accepted.
pub(crate) const MEMORY_BACKLOG: usize = 64;

/// What stands behind the layers: what answers at once, and from some moment on the services.
#[derive(Clone)]
pub struct Gate {
    about_server: Routes,
    open: Arc<OnceLock<Open>>,
}

struct Open {
    routes: Routes,
    public: HashSet<&'static str>,
    long: HashSet<&'static str>,
    endless: HashSet<&'static str>,
    actions: HashMap<&'static str, Action>,
    denials_of: denials::ByService,
}

impl Gate {
    fn new(about_server: Routes) -> Self {
        Self { about_server, open: Arc::new(OnceLock::new()) }
    }

    /// Lets calls through to what was started. Once only; a repeat changes nothing.
    pub fn open(&self, started: &mut Started) {
        let _ = self.open.set(Open {
            routes: started.routes.take().unwrap_or_default().prepare(),
            public: started.public.iter().copied().collect(),
            long: started.long.iter().copied().collect(),
            endless: started.endless.iter().copied().collect(),
            actions: started.actions.iter().copied().collect(),
            denials_of: started.denials_of.clone(),
        });
    }

    /// Whether calls are let through; until then the gate itself answers all of them.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.open.get().is_some()
    }

    /// Whether a call needs no token.
    #[must_use]
    pub fn is_public(&self, path: &str) -> bool {
        self.open.get().is_some_and(|open| open.public.contains(path))
    }

    /// Whether the answer of a call never ends by itself.
    #[must_use]
    pub fn is_endless(&self, path: &str) -> bool {
        self.open.get().is_some_and(|open| open.endless.contains(path))
    }

    /// What a call of a module is for; nothing for a call of no module.
    #[must_use]
    pub(crate) fn action(&self, path: &str) -> Option<Action> {
        self.open.get()?.actions.get(path).copied()
    }

    /// Where the denials of a call are written; nowhere for a service without an outbox.
    #[must_use]
    pub(crate) fn denials(&self, path: &str) -> Option<Denials> {
        let service = path.trim_start_matches('/').split('/').next()?;
        self.open.get()?.denials_of.get(service).cloned()
    }

    /// Whether a call takes a whole upload before it answers.
    #[must_use]
    pub fn is_long(&self, path: &str) -> bool {
        self.open.get().is_some_and(|open| open.long.contains(path))
    }
}

impl Service<Request<Body>> for Gate {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let mut routes = match self.open.get() {
            _ if crate::front::is_about_server(request.uri().path()) => self.about_server.clone(),
            Some(open) => open.routes.clone(),
            None => {
                let failure = Failure::unavailable("STARTING", "the server is starting");
                return Box::pin(std::future::ready(Ok(refuse(failure))));
            }
        };
        Box::pin(async move { routes.call(request).await })
    }
}

/// Latches that hold readiness back: the process is ready when all are dropped. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Ready(Arc<watch::Sender<usize>>);

/// Holds readiness back until it is dropped.
#[derive(Debug)]
pub struct Latch(Ready);

impl Default for Ready {
    fn default() -> Self {
        Self(Arc::new(watch::channel(0).0))
    }
}

impl Ready {
    /// Holds readiness back.
    #[must_use]
    pub fn latch(&self) -> Latch {
        self.0.send_modify(|held| *held += 1);
        Latch(self.clone())
    }

    /// Waits until every latch is dropped.
    pub async fn reached(&self) {
        // The sender lives in `self`, so this can only end by reaching zero.
        let _ = self.0.subscribe().wait_for(|held| *held == 0).await;
    }
}

impl Drop for Latch {
    fn drop(&mut self) {
        self.0.0.send_modify(|held| *held -= 1);
    }
}

/// A bound port and the way into the process by memory.
pub struct Bound {
    listener: TcpListener,
    memory: mpsc::Receiver<DuplexStream>,
    /// The address that was bound.
    pub address: SocketAddr,
}

/// Binds the port of the configuration.
pub async fn bind(settings: &Settings, memory: mpsc::Receiver<DuplexStream>) -> Result<Bound, Failure> {
    let listen = settings.server.listen;
    let refused = |error: std::io::Error| {
        Failure::unavailable("PORT_NOT_BOUND", format!("server.listen: {listen} cannot be bound: {error}"))
    };
    let listener = TcpListener::bind(listen).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    Ok(Bound { listener, memory, address })
}

/// A server that accepts calls.
pub struct Serving {
    /// Lets calls through when the services have started.
    pub gate: Gate,
    health: HealthReporter,
    tcp: JoinHandle<Result<(), tonic::transport::Error>>,
    memory: JoinHandle<Result<(), tonic::transport::Error>>,
    memory_ends: Shutdown,
}

/// Starts to accept: by TCP until draining begins, by memory until the services have ended.
pub async fn serve(bound: Bound, settings: &Settings, auth: Auth, shutdown: &Shutdown) -> Result<Serving, Failure> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health.set_service_status("", ServingStatus::NotServing).await;
    let described = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(revisit_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    // Both: many clients still ask in the words of the draft and do not try the others.
    let reflection = described().build_v1().map_err(Failure::internal)?;
    let reflection_draft = described().build_v1alpha().map_err(Failure::internal)?;
    let gate = Gate::new(Routes::new(health_service).add_service(reflection).add_service(reflection_draft));
    let layers = tower::ServiceBuilder::new()
        // Outermost, so that refused calls are seen too and everything below logs inside the call's span.
        .layer(Front(Traces::new()))
        // Around everything that could: a panic below must not take the connection with it, on which others call.
        .layer(Front(Panics::new()))
        // Before whatever can wait: the lease, the database, a peer. The bound covers all of them together.
        .layer(Front(Deadlines::new(gate.clone(), shutdown.clone(), &settings.limits)))
        // Around everything that answers by a stream.
        .layer(Front(Endings::new(gate.clone(), shutdown.clone())))
        // Before the token is looked at: checking signatures is what an overload would be made of.
        .layer(Front(Shed::new(gate.clone(), &settings.limits)))
        // Before anything reads the body; it looks at announced lengths only.
        .layer(Front(Messages::new(gate.clone(), &settings.limits)))
        // What lies behind knows who calls.
        .layer(Front(auth.behind(gate.clone())))
        // It counts by who calls.
        .layer(Front(Shares::new(gate.clone(), &settings.limits)))
        // It sees who calls, and how every call that was let so far ends.
        .layer(Front(Enforced::new(gate.clone())))
        // Innermost, so that what it refuses is audited like the refusal of a handler.
        .layer(Front(Modules::new(gate.clone())));
    let router = Server::builder()
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_ANSWER))
        .max_concurrent_streams(STREAMS_MAX);
    let memory_ends = Shutdown::new();
    let incoming = TcpIncoming::from(bound.listener).with_nodelay(Some(true));
    let draining = shutdown.clone();
    let tcp = tokio::spawn(router.clone().serve_with_incoming_shutdown(
        layers.clone().service(gate.clone()),
        incoming,
        async move { draining.draining().await },
    ));
    let ends = memory_ends.clone();
    let memory = tokio::spawn(router.serve_with_incoming_shutdown(
        layers.service(gate.clone()),
        ReceiverStream::new(bound.memory).map(Ok::<_, Infallible>),
        async move { ends.draining().await },
    ));
    Ok(Serving { gate, health, tcp, memory, memory_ends })
}

impl Serving {
    /// Tells health whether the named services serve.
    pub async fn tell(&self, names: &[&'static str], serving: bool) {
        let status = if serving { ServingStatus::Serving } else { ServingStatus::NotServing };
        for name in names.iter().chain(&[""]) {
            self.health.set_service_status(*name, status).await;
        }
    }

    /// Waits until the calls that came by TCP have ended.
    pub async fn drained(&mut self) {
        end(&mut self.tcp).await;
    }

    /// Closes the way by memory; to be called when nothing of ours calls any more.
    pub async fn close(mut self) {
        self.memory_ends.drain();
        end(&mut self.memory).await;
    }

    /// Drops every call that still runs.
    pub fn cancel(&self) {
        self.tcp.abort();
        self.memory.abort();
    }
}

async fn end(server: &mut JoinHandle<Result<(), tonic::transport::Error>>) {
    match server.await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::error!(%error, "a listener ended with a fault"),
        Err(cancelled) => tracing::debug!(%cancelled, "a listener was cancelled"),
    }
}
