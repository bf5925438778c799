//! Calls to the other services: by memory inside the process, by TCP otherwise, always with a deadline, our service
//! token, the user's own token when we act for one, and the trace.

use std::{
    collections::HashMap,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use hyper_util::rt::TokioIo;
use revisit_core::{Failure, Ids, Kind};
use tokio::{
    io::DuplexStream,
    sync::mpsc,
    time::{Instant, timeout_at},
};
use tonic::{
    Status,
    body::Body,
    transport::{Channel, Endpoint},
};
use tower::{Service, ServiceExt, service_fn};

use crate::{
    address,
    auth::{CALLER_HEADER, Callers, Principal},
    settings::{SERVICES, Settings},
    status, telemetry,
};

/// Time allowed for a call that has no deadline of its own.
const DEADLINE_DEFAULT: Duration = Duration::from_secs(5);
/// Time allowed for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(2);
/// Bytes on their way through memory per direction.
const MEMORY_BUFFER: usize = 256 << 10;
/// Tries of an idempotent call in all.
const TRIES_MAX: u32 = 3;
/// Pause before the second try; it doubles.
const PAUSE: Duration = Duration::from_millis(50);

/// A channel, and whether the last call on it found nobody.
#[derive(Clone)]
struct Line {
    channel: Channel,
    away: Arc<AtomicBool>,
}

impl Line {
    fn new(channel: Channel) -> Self {
        Self { channel, away: Arc::default() }
    }

    /// One log line when an outage begins and one when it ends, however many calls find it.
    fn answered(&self, to: &str, error: Option<&tonic::transport::Error>) {
        match (self.away.swap(error.is_some(), Ordering::Relaxed), error) {
            (false, Some(error)) => tracing::warn!(peer = to, %error, "a peer cannot be reached"),
            (true, None) => tracing::info!(peer = to, "a peer can be reached again"),
            (true, Some(_)) | (false, None) => {}
        }
    }
}

/// The other services. Cheap to clone; connections are made when first used.
#[derive(Clone)]
pub struct Peers {
    channels: Arc<HashMap<&'static str, Line>>,
    callers: Callers,
    service: &'static str,
}

impl Peers {
    /// Channels to every service: by memory to those that run here, else to the configured address.
    pub(crate) fn new(
        settings: &Settings,
        here: &[&'static str],
        memory: &mpsc::Sender<DuplexStream>,
        callers: Callers,
    ) -> Result<Self, Failure> {
        let mut channels = HashMap::new();
        for service in SERVICES {
            let address = settings.peers.get(service).map(String::as_str).unwrap_or_default();
            if here.contains(&service) {
                channels.insert(service, Line::new(by_memory(memory.clone())));
            } else if !address.is_empty() {
                let endpoint = Endpoint::from_shared(address.to_owned())
                    .map_err(|error| Failure::invalid_field(format!("peers.{service}"), error.to_string()))?
                    .connect_timeout(CONNECT_MAX)
                    .tcp_nodelay(true)
                    .http2_keep_alive_interval(Duration::from_secs(15))
                    .keep_alive_timeout(Duration::from_secs(5));
                channels.insert(service, Line::new(endpoint.connect_lazy()));
            }
        }
        Ok(Self { channels: Arc::new(channels), callers, service: "" })
    }

    /// Channels to the configured addresses for a command that serves nothing itself, calling as `service`.
    pub fn from_outside(settings: &Settings, service: &'static str) -> Result<Self, Failure> {
        let callers = Callers::new(settings, &[service], &Ids::random())?;
        // Nobody listens: there is no way by memory.
        let (memory, _) = mpsc::channel(1);
        Ok(Self::new(settings, &[], &memory, callers)?.of(service))
    }

    /// Whether there is a way to a service.
    #[must_use]
    pub fn knows(&self, service: &str) -> bool {
        self.channels.contains_key(service)
    }

    /// The same, calling as `service`.
    #[must_use]
    pub fn of(&self, service: &'static str) -> Self {
        Self { service, ..self.clone() }
    }

    /// A channel to `to` on which we call as ourselves: for internal calls.
    #[must_use]
    pub fn channel(&self, to: &'static str) -> Peer {
        let caller = self.callers.token_of(self.service);
        Peer { to, line: self.channels.get(to).cloned(), caller, authorization: None, deadline: None }
    }

    /// A channel to `to` on which we act for a caller: its token goes along, and its deadline holds.
    #[must_use]
    pub fn acting(&self, to: &'static str, who: &Principal) -> Peer {
        Peer { authorization: who.authorization.clone(), deadline: who.deadline, ..self.channel(to) }
    }
}

fn by_memory(memory: mpsc::Sender<DuplexStream>) -> Channel {
    Endpoint::from_static("http://in-process").connect_with_connector_lazy(service_fn(move |_: http::Uri| {
        let memory = memory.clone();
        async move {
            let (ours, theirs) = tokio::io::duplex(MEMORY_BUFFER);
            memory.send(theirs).await.map_err(|_| std::io::Error::from(std::io::ErrorKind::ConnectionRefused))?;
            Ok::<_, std::io::Error>(TokioIo::new(ours))
        }
    }))
}

/// A channel to one service; generated clients take it. Cheap to clone.
#[derive(Clone)]
pub struct Peer {
    to: &'static str,
    line: Option<Line>,
    caller: Option<HeaderValue>,
    authorization: Option<HeaderValue>,
    deadline: Option<Instant>,
}

impl Peer {
    /// With another time allowed from now on, if it is shorter than the caller's.
    #[must_use]
    pub fn within(self, span: Duration) -> Self {
        let at = Instant::now() + span;
        Self { deadline: Some(self.deadline.map_or(at, |deadline| deadline.min(at))), ..self }
    }

    fn prepare(&self, request: &mut Request<Body>, left: Duration) {
        let headers = request.headers_mut();
        if let Some(caller) = &self.caller {
            headers.insert(CALLER_HEADER, caller.clone());
        }
        if let Some(authorization) = &self.authorization {
            headers.insert(http::header::AUTHORIZATION, authorization.clone());
        }
        if let Some(address) = address::forwarded() {
            headers.insert(address::FORWARDED_HEADER, address);
        }
        // Eight digits at most, as the protocol demands; a day in milliseconds has them.
        if let Ok(value) = HeaderValue::try_from(format!("{}m", left.as_millis().min(86_400_000))) {
            headers.insert("grpc-timeout", value);
        }
        telemetry::inject(headers);
    }
}

impl Service<Request<Body>> for Peer {
    type Response = Response<Body>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        // Readiness is awaited inside the call, where the deadline covers it.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let to = self.to;
        let Some(line) = self.line.clone() else {
            return Box::pin(async move { Err(away(to)) });
        };
        let at = self.deadline.unwrap_or_else(|| Instant::now() + DEADLINE_DEFAULT);
        self.prepare(&mut request, at.saturating_duration_since(Instant::now()));
        Box::pin(async move {
            let answer = timeout_at(at, line.channel.clone().oneshot(request)).await;
            let Ok(answer) = answer else {
                let message = format!("{to} did not answer in time");
                return Err(status::status(Failure::new(Kind::Deadline, "DEADLINE_EXCEEDED", message)));
            };
            line.answered(to, answer.as_ref().err());
            answer.map_err(|_| away(to))
        })
    }
}

fn away(to: &str) -> Status {
    status::status(Failure::unavailable("PEER_UNAVAILABLE", format!("{to} cannot be reached")).with("peer", to))
}

/// Repeats an idempotent call that failed because its callee was away: at most three tries, inside the deadline that
/// the channel has.
pub async fn repeat<T>(call: impl AsyncFn() -> Result<tonic::Response<T>, Status>) -> Result<T, Failure> {
    let mut tries = 1;
    loop {
        match status::answer(call().await) {
            Err(failure) if failure.kind == Kind::Unavailable && tries < TRIES_MAX => {
                tokio::time::sleep(PAUSE * 2_u32.pow(tries - 1)).await;
                tries += 1;
            }
            result => return result,
        }
    }
}
