//! What each subject may have at once: calls, and the few that last (uploads, answers that go on until the caller ends
//! them). One that is stuck, or means harm, leaves room for all others.

use std::{
    collections::{HashMap, hash_map::Entry},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use revisit_core::{
    Failure, Kind,
    id::{SubjectId, TenantId},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::{Status, body::Body};

use crate::{
    auth::Principal,
    front::{Inner, Step, pass},
    limits::{Room, refuse},
    server::Gate,
    settings::Limits,
};

pub type Subject = (TenantId, SubjectId);

/// Counts the calls of each subject, and gives what lasts a place, which it has until it ends.
#[derive(Clone)]
pub struct Shares {
    gate: Gate,
    users: Arc<Semaphore>,
    services: Arc<Semaphore>,
    streams: Arc<Counts>,
    streams_max: usize,
    calls: Arc<Counts>,
    calls_max: usize,
}

impl Shares {
    /// With the bounds of the configuration.
    #[must_use]
    pub fn new(gate: Gate, limits: &Limits) -> Self {
        let room = || Arc::new(Semaphore::new(limits.streams_max));
        let (users, services) = (room(), room());
        Self {
            gate,
            users,
            services,
            streams: Arc::default(),
            streams_max: limits.streams_per_subject_max,
            calls: Arc::default(),
            calls_max: limits.calls_per_subject_max,
        }
    }

    fn place(&self, subject: Option<Subject>) -> Option<Place> {
        let room = if subject.is_some() { &self.users } else { &self.services };
        let permit = Arc::clone(room).try_acquire_owned().ok()?;
        let counted = match subject {
            Some(subject) => Some(self.streams.add(subject, self.streams_max)?),
            None => None,
        };
        Some(Place { _permit: permit, _counted: counted })
    }
}

impl Step for Shares {
    async fn step<S: Inner>(self, mut request: Request<Body>, next: S) -> Response<Body> {
        let subject = request.extensions().get::<Principal>().map(|who| (who.tenant(), who.subject()));
        let (endless, long) = (self.gate.is_endless(request.uri().path()), self.gate.is_long(request.uri().path()));
        if !endless && !long {
            let running = subject.map(|subject| self.calls.add(subject, self.calls_max));
            let Some(_running) = running.map_or(Some(None), |counted| counted.map(Some)) else {
                let message = "too many calls of one subject at once; try again when some have ended";
                return refuse(Failure::new(Kind::Exhausted, "CALLS_TOO_MANY", message));
            };
            return pass(next, request).await;
        }
        let Some(place) = self.place(subject) else {
            let message = "too many streams at once; end one or try again later";
            return refuse(Failure::new(Kind::Exhausted, "STREAMS_TOO_MANY", message));
        };
        // Its sender may take minutes over it. Who waits for an answer to begin keeps the room until then.
        if let Some(room) = request.extensions_mut().remove::<Room>().filter(|_| long) {
            room.leave();
        }
        pass(next, request).await.map(|body| Body::new(Placed { body, _place: place }))
    }
}

/// How many each subject has, of those that have some.
#[derive(Debug, Default)]
pub struct Counts(Mutex<HashMap<Subject, usize>>);

impl Counts {
    /// One more, unless the subject has `max` already.
    pub fn add(self: &Arc<Self>, subject: Subject, max: usize) -> Option<Counted> {
        let mut counts = self.lock();
        let count = counts.entry(subject).or_default();
        if *count >= max {
            return None;
        }
        *count += 1;
        Some(Counted { counts: Arc::clone(self), subject })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Subject, usize>> {
        // Each change is one number: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One of a subject's calls or streams, until it is dropped.
#[derive(Debug)]
pub struct Counted {
    counts: Arc<Counts>,
    subject: Subject,
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Entry::Occupied(mut count) = self.counts.lock().entry(self.subject) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

/// What a call that lasts takes up.
struct Place {
    _permit: OwnedSemaphorePermit,
    _counted: Option<Counted>,
}

/// An answer in its place.
struct Placed {
    body: Body,
    _place: Place,
}

impl HttpBody for Placed {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
