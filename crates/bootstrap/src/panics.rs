//! A handler that panics: its caller hears INTERNAL and nothing more, the log has the place, and the process lives.

use std::{
    panic::AssertUnwindSafe,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use opentelemetry::{KeyValue, global, metrics::Counter};
use tonic::{Status, body::Body};

use crate::{
    front::{Inner, Step, pass},
    status,
};

/// Logs each panic of the process where it happens: what catches it knows no longer where that was.
pub(crate) fn log_them() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        // Empty unless RUST_BACKTRACE asks for it.
        let trace = std::backtrace::Backtrace::capture();
        let trace = (trace.status() == std::backtrace::BacktraceStatus::Captured).then(|| trace.to_string());
        tracing::error!(place, trace, "a panic: {}", panic.payload_as_str().unwrap_or_default());
    }));
}

/// Catches and counts them. What a handler shares is behind locks that survive a panic, so what it left is whole.
#[derive(Clone)]
pub struct Panics {
    caught: Counter<u64>,
}

impl Panics {
    /// Counts with the process's meter.
    #[must_use]
    pub fn new() -> Self {
        Self { caught: global::meter("revisit").u64_counter("rpc.server.panics").build() }
    }

    fn count(&self, path: &str) {
        let (service, method) = path.trim_start_matches('/').split_once('/').unwrap_or((path, ""));
        let labels = [("rpc.service", service.to_owned()), ("rpc.method", method.to_owned())];
        self.caught.add(1, &labels.map(|(name, value)| KeyValue::new(name, value)));
    }
}

impl Default for Panics {
    fn default() -> Self {
        Self::new()
    }
}

impl Step for Panics {
    async fn step<S: Inner>(self, request: Request<Body>, next: S) -> Response<Body> {
        let path = request.uri().path().to_owned();
        match AssertUnwindSafe(pass(next, request)).catch_unwind().await {
            Ok(response) => response.map(|body| Body::new(Guarded { body: Some(body), panics: self, path })),
            Err(_) => {
                self.count(&path);
                status::panicked().into_http()
            }
        }
    }
}

/// An answer that is made while it is sent, by code that may panic.
struct Guarded {
    /// Nothing after a panic.
    body: Option<Body>,
    panics: Panics,
    path: String,
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(body) = self.body.as_mut() else { return Poll::Ready(None) };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(context)));
        polled.unwrap_or_else(|_| {
            self.body = None;
            self.panics.count(&self.path);
            let mut trailers = HeaderMap::new();
            if status::panicked().add_header(&mut trailers).is_err() {
                tracing::debug!("an answer ends without its reason");
            }
            Poll::Ready(Some(Ok(Frame::trailers(trailers))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(SizeHint::default, HttpBody::size_hint)
    }
}
