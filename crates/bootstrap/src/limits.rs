//! Bounds of every call: how long it may take, how many run at once, how large a message may be.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame};
use revisit_core::{Failure, Kind};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, Sleep, sleep},
};
use tonic::{Status, body::Body};

use crate::{
    auth::CALLER_HEADER,
    front::{Inner, Step, is_about_server, pass},
    server::Gate,
    settings::Limits,
    shutdown::Shutdown,
    status,
};

/// When the answer of the call at hand must have begun. Found in the request's extensions.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(pub Instant);

impl Deadline {
    /// What is left of it.
    #[must_use]
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }
}

/// The caller's own deadline is met a little early, so that the caller still hears why.
const MARGIN: Duration = Duration::from_millis(2);

/// Bounds the time until the answer begins, by the deadline and by the end of a drain; a stream that has begun is
/// bounded by its own rules.
#[derive(Clone)]
pub struct Deadlines {
    gate: Gate,
    shutdown: Shutdown,
    max: Duration,
    long_max: Duration,
}

impl Deadlines {
    /// With the bounds of the configuration.
    #[must_use]
    pub fn new(gate: Gate, shutdown: Shutdown, limits: &Limits) -> Self {
        Self { gate, shutdown, max: limits.deadline_max(), long_max: limits.long_deadline_max() }
    }
}

impl Step for Deadlines {
    async fn step<S: Inner>(self, mut request: Request<Body>, next: S) -> Response<Body> {
        let max = if self.gate.is_long(request.uri().path()) { self.long_max } else { self.max };
        let asked = request.headers().get("grpc-timeout").and_then(|value| grpc_timeout(value.to_str().ok()?));
        let allowed = asked.map_or(max, |asked| max.min(asked.saturating_sub(MARGIN)));
        let at = Instant::now() + allowed;
        request.extensions_mut().insert(Deadline(at));
        tokio::select! {
            response = pass(next, request) => response,
            () = tokio::time::sleep_until(at) => {
                refuse(Failure::new(Kind::Deadline, "DEADLINE_EXCEEDED", "the time allowed for the call is over"))
            }
            // The drain is over and was not long enough.
            () = self.shutdown.cancelled() => refuse(Failure::unavailable("SHUTTING_DOWN", "the server ends")),
        }
    }
}

/// Bounds how many calls are worked on at once. What is too much is refused at once: a queue would only make every
/// caller wait for answers that come too late.
#[derive(Clone)]
pub struct Shed {
    gate: Gate,
    outside: Arc<Semaphore>,
    services: Arc<Semaphore>,
    public: Arc<Semaphore>,
}

/// A call's place among those that are worked on. Found in the request's extensions.
#[derive(Clone)]
pub(crate) struct Room(Arc<Mutex<Option<OwnedSemaphorePermit>>>);

impl Room {
    /// Leaves it to another call.
    pub(crate) fn leave(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Shed {
    /// With the bounds of the configuration.
    #[must_use]
    pub fn new(gate: Gate, limits: &Limits) -> Self {
        let room = |places| Arc::new(Semaphore::new(places));
        let (outside, services) = (room(limits.concurrency_max), room(limits.concurrency_max));
        Self { gate, outside, services, public: room(limits.public_concurrency_max) }
    }
}

impl Step for Shed {
    async fn step<S: Inner>(self, mut request: Request<Body>, next: S) -> Response<Body> {
        // An overloaded server must still be able to say that it lives.
        if is_about_server(request.uri().path()) {
            return pass(next, request).await;
        }
        // Services have room of their own: users' calls wait for theirs (a lease, say), so that sharing it could leave
        // both without. A false service token takes room only until it is looked at. Calls that anybody may make have a
        // small one: who sends a log-in and withholds its body keeps nobody out who is logged in.
        let room = if request.headers().contains_key(CALLER_HEADER) {
            &self.services
        } else if self.gate.is_public(request.uri().path()) {
            &self.public
        } else {
            &self.outside
        };
        match Arc::clone(room).try_acquire_owned() {
            Ok(permit) => {
                let room = Room(Arc::new(Mutex::new(Some(permit))));
                request.extensions_mut().insert(room.clone());
                let response = pass(next, request).await;
                room.leave();
                response
            }
            Err(_) => refuse(Failure::new(Kind::Exhausted, "OVERLOADED", "too many calls at once; try again later")),
        }
    }
}

/// Time for the whole request of a call that needs no token: its room is small, and nobody answers for who withholds it.
const PUBLIC_REQUEST_MAX: Duration = Duration::from_secs(1);

/// Bounds each request message by the length that its frame announces, before a byte of it is kept, and the time that
/// strangers may take over theirs.
#[derive(Clone)]
pub struct Messages {
    gate: Gate,
    bytes_max: usize,
}

impl Messages {
    /// With the bound of the configuration.
    #[must_use]
    pub const fn new(gate: Gate, limits: &Limits) -> Self {
        Self { gate, bytes_max: limits.message_bytes_max }
    }
}

impl Step for Messages {
    async fn step<S: Inner>(self, request: Request<Body>, next: S) -> Response<Body> {
        let late = self.gate.is_public(request.uri().path()).then(|| Box::pin(sleep(PUBLIC_REQUEST_MAX)));
        let bounded = request.map(|body| Body::new(Bounded { late, ..Bounded::new(body, self.bytes_max) }));
        pass(next, bounded).await
    }
}

/// A failure as a whole HTTP response.
pub(crate) fn refuse(failure: Failure) -> Response<Body> {
    status::status(failure).into_http()
}

/// Bytes before each gRPC message: one flag, four of length.
const FRAME_HEADER: usize = 5;

struct Bounded {
    body: Body,
    bytes_max: usize,
    header: Vec<u8>,
    left: usize,
    /// When the rest of it comes too late, if ever.
    late: Option<Pin<Box<Sleep>>>,
}

impl Bounded {
    const fn new(body: Body, bytes_max: usize) -> Self {
        Self { body, bytes_max, header: Vec::new(), left: 0, late: None }
    }

    /// Reads over the announced lengths in a piece of the body.
    fn check(&mut self, mut piece: &[u8]) -> Result<(), Status> {
        while !piece.is_empty() {
            let skipped = self.left.min(piece.len());
            piece.advance(skipped);
            self.left -= skipped;
            while self.left == 0 && self.header.len() < FRAME_HEADER && !piece.is_empty() {
                self.header.push(piece.get_u8());
            }
            if let [_, a, b, c, d] = self.header[..] {
                self.left = u32::from_be_bytes([a, b, c, d]) as usize;
                self.header.clear();
                if self.left > self.bytes_max {
                    let message = format!("a message must have at most {} bytes", self.bytes_max);
                    return Err(status::status(Failure::new(Kind::Exhausted, "MESSAGE_TOO_LARGE", message)));
                }
            }
        }
        Ok(())
    }
}

impl HttpBody for Bounded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) else {
            if let Some(late) = &mut self.late {
                ready!(late.as_mut().poll(context));
                let failure = Failure::new(Kind::Deadline, "REQUEST_LATE", "the request did not come whole in time");
                return Poll::Ready(Some(Err(status::status(failure))));
            }
            return Poll::Pending;
        };
        if let Some(Ok(frame)) = &frame
            && let Some(piece) = frame.data_ref()
            && let Err(too_large) = self.check(&piece.clone())
        {
            return Poll::Ready(Some(Err(too_large)));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// Reads `grpc-timeout`: up to eight digits and a unit.
fn grpc_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3_600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_announces_too_many_bytes_is_refused_however_the_pieces_are_cut() {
        let mut stream = vec![0, 0, 0, 0, 3, 1, 2, 3];
        stream.extend([0, 0, 0, 0, 9]);
        for cut in 1..stream.len() {
            let mut bounded = Bounded::new(Body::empty(), 8);
            let results: Vec<_> = stream.chunks(cut).map(|piece| bounded.check(piece).is_ok()).collect();
            assert_eq!(results.iter().filter(|ok| !**ok).count(), 1, "cut at {cut}");
            assert_eq!(results.last(), Some(&false));
        }
    }

    #[test]
    fn a_malformed_timeout_is_none() {
        for text in ["", "5", "S", "-1S", "123456789S", "5x", "五"] {
            assert_eq!(grpc_timeout(text), None, "{text}");
        }
        assert_eq!(grpc_timeout("250m"), Some(Duration::from_millis(250)));
    }
}
