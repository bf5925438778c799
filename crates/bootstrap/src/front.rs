//! The shape of our tower layers: each is one step that sees the request, may pass it on and answers.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

/// What lies behind a step.
pub trait Inner:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}
impl<S> Inner for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// One decision at the front of every call.
pub trait Step: Clone + Send + Sync + 'static {
    /// Answers the request, with the help of `next` or without.
    fn step<S: Inner>(self, request: Request<Body>, next: S) -> impl Future<Output = Response<Body>> + Send;
}

/// A step as a tower layer.
#[derive(Clone)]
pub struct Front<T>(pub T);

impl<T: Step, S: Inner> Layer<S> for Front<T> {
    type Service = Stepped<T, S>;

    fn layer(&self, inner: S) -> Self::Service {
        Stepped { step: self.0.clone(), inner }
    }
}

/// A step before a service.
#[derive(Clone)]
pub struct Stepped<T, S> {
    step: T,
    inner: S,
}

impl<T: Step, S: Inner> Service<Request<Body>> for Stepped<T, S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let clone = self.inner.clone();
        // The clone may not be ready; what was polled is.
        let ready = std::mem::replace(&mut self.inner, clone);
        let step = self.step.clone();
        Box::pin(async move { Ok(step.step(request, ready).await) })
    }
}

/// Passes a request on.
pub async fn pass<S: Inner>(mut next: S, request: Request<Body>) -> Response<Body> {
    match next.call(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The services that answer about the server itself: health and reflection. No limit and no token stands before them.
#[must_use]
pub fn is_about_server(path: &str) -> bool {
    path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.")
}
