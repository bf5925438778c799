//! How answers that have begun end when the process does: endless ones as soon as draining begins, so that they do not
//! hold up the drain, and every other at its end.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use revisit_core::Failure;
use tonic::{Status, body::Body};

use crate::{
    front::{Inner, Step, pass},
    server::Gate,
    shutdown::Shutdown,
    status,
};

/// Ends answers with the process.
#[derive(Clone)]
pub struct Endings {
    gate: Gate,
    shutdown: Shutdown,
}

impl Endings {
    /// With the process's shutdown.
    #[must_use]
    pub const fn new(gate: Gate, shutdown: Shutdown) -> Self {
        Self { gate, shutdown }
    }
}

impl Step for Endings {
    async fn step<S: Inner>(self, request: Request<Body>, next: S) -> Response<Body> {
        let endless = self.gate.is_endless(request.uri().path());
        let response = pass(next, request).await;
        // A refusal has no body, and nothing to end.
        if response.body().is_end_stream() {
            return response;
        }
        let shutdown = self.shutdown;
        let end: Pin<Box<dyn Future<Output = ()> + Send>> =
            Box::pin(async move { if endless { shutdown.draining().await } else { shutdown.cancelled().await } });
        response.map(|body| Body::new(Ending { body, end: Some(end) }))
    }
}

/// An answer that ends by itself or with the process.
struct Ending {
    body: Body,
    /// Nothing once it has ended.
    end: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
}

impl HttpBody for Ending {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Some(end) = self.end.as_mut() else { return Poll::Ready(None) };
        let ended = end.as_mut().poll(context).is_ready();
        // What is there is still sent: only waiting for more is cut off.
        match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Pending if ended => {
                self.end = None;
                Poll::Ready(Some(Ok(Frame::trailers(goodbye()))))
            }
            answer @ (Poll::Pending | Poll::Ready(_)) => answer,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.end.is_none() || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}

/// The trailers that say why there is no more.
fn goodbye() -> HeaderMap {
    let mut trailers = HeaderMap::new();
    let goodbye = status::status(Failure::unavailable("SHUTTING_DOWN", "the server ends; ask again"));
    if goodbye.add_header(&mut trailers).is_err() {
        tracing::debug!("a stream ends without its reason");
    }
    trailers
}
