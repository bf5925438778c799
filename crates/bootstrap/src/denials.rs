//! Denials by enforcement in the audit log: what a caller tried who may not, written by the service that refused it.
//!
//! Every refusal of a call that a user or service account makes leaves with the code PERMISSION_DENIED, or with one of a few
//! reasons that say the same, so it is caught here, in front of all handlers, and none of them can forget it. An answer that
//! refuses only in part names what ([`Refusals`]). The first of equal ones in a minute is committed to
//! the outbox before the answer leaves; those after it are counted, and a count is written within half a second, so that
//! an alert does not wait for the minute. Who had many counts in a minute waits for its end. What was to be handed to
//! another, or was another right, is not equal.
//!
//! Not written: questions (`Access.Check` answers, it does not refuse), and rows that a caller may not read. Those are
//! looked up within the caller's scope, where a hidden row and a missing one are the same NOT_FOUND.

use std::{collections::BTreeMap, error::Error as _, future::Future, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderValue, Request, Response};
use revisit_core::{Clock, Failure, Ids, Steady, Timestamp, Tried};
use revisit_permission::{Caller, Denial, Worker};
use revisit_proto::identity::v1::AuditOutcome;
use tokio::sync::Notify;
use tonic::{Code, Status, body::Body};

use crate::{
    address,
    audit::{self, Entry},
    auth::Principal,
    database::{Database, Tx},
    front::{Inner, Step, pass},
    limits::refuse,
    runtime::Rest,
    server::Gate,
    shutdown::Shutdown,
    status,
};

mod minutes;
mod trailers;

use minutes::{Count, Key, Minute, Minutes};

/// Says on an answer that its refusal is in the audit log: a service that passes it on does not write it again.
pub(crate) const AUDITED_HEADER: &str = "x-revisit-audited";
/// Counts of one transaction.
const FLUSH_MAX: usize = 500;
/// Transactions of one writing: more than all counts that are remembered take. What comes meanwhile is for the next one.
const FLUSHES_MAX: usize = 32;
/// How long a count grows before it is written: half of the half second within which it is in the outbox.
const EARLY: Duration = Duration::from_millis(250);

/// Reasons of another code that refuse what is more than the caller may.
const BEYOND_RIGHTS: [&str; 3] = ["APPROVAL_REQUIRED", "EXPORT_CAP", "DUPLICATE_BUDGET"];

/// What an answer to several questions refuses of them: an extension of the response, for the layer before all handlers.
#[derive(Clone, Debug)]
pub struct Refusals(Vec<Failure>);

impl Refusals {
    /// The failures among the answers.
    pub fn among<'a, T: 'a>(answers: impl IntoIterator<Item = &'a Result<T, Failure>>) -> Self {
        Self(answers.into_iter().filter_map(|answer| answer.as_ref().err().cloned()).collect())
    }

    /// The answer that refuses them.
    #[must_use]
    pub fn on<T>(self, answer: T) -> tonic::Response<T> {
        let mut answer = tonic::Response::new(answer);
        answer.extensions_mut().insert(self);
        answer
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Failure> {
        self.0.iter()
    }
}

/// The denials of one service. Cheap to clone.
#[derive(Clone)]
pub struct Denials(Arc<Parts>);

struct Parts {
    database: Database,
    clock: Clock,
    ids: Ids,
    worker: Worker,
    minutes: Minutes,
    /// Something was counted.
    counted: Notify,
}

/// Where the denials of each gRPC service of the process go.
pub(crate) type ByService = BTreeMap<&'static str, Denials>;

impl Denials {
    /// With the outbox of `database`.
    pub(crate) fn new(database: Database, clock: Clock, ids: Ids) -> Self {
        let worker = Worker::declare("denials");
        Self(Arc::new(Parts { database, clock, ids, worker, minutes: Minutes::default(), counted: Notify::new() }))
    }

    /// The same for a call on another listener than that of gRPC: a denial is in the outbox when this returns, or counted.
    /// What is no denial is passed over. `call` tells what was tried where no action of the registry does.
    pub async fn refused(
        &self,
        caller: &Caller,
        call: &str,
        address: Option<IpAddr>,
        failure: &Failure,
    ) -> Result<(), Failure> {
        let address = address.map(|address| address.to_string()).unwrap_or_default();
        let attempt = Attempt { denials: self.clone(), caller: caller.clone(), call: call.to_owned(), address };
        attempt.answer(&status::status(failure.clone())).await.map(drop)
    }

    /// Writes the entry, or counts it when its minute has an equal one.
    async fn note(&self, key: Key, entry: Entry) -> Result<(), Failure> {
        let minute = Minute::of(self.0.clock.wall());
        let key = self.0.minutes.counted_as(minute, key);
        if self.0.minutes.count(minute, &key) {
            self.0.counted.notify_one();
            return Ok(());
        }
        self.write(vec![entry.clone()]).await?;
        // Only now: what was not written must not make the next one a counted one.
        self.0.minutes.written(minute, key, entry);
        Ok(())
    }

    async fn write(&self, entries: Vec<Entry>) -> Result<(), Failure> {
        let Parts { database, ids, worker, .. } = &*self.0;
        let append = async |tx: &Tx| {
            for entry in entries {
                audit::record(tx, ids, entry).await?;
            }
            Ok(())
        };
        database.write(worker, append).await
    }

    /// Writes what the minutes that are over have left; answers whether it could.
    async fn flush_ended(&self) -> bool {
        let now = Minute::of(self.0.clock.wall());
        self.flush(|minutes| minutes.ended(Some(now), FLUSH_MAX)).await
    }

    /// Writes all counts that are due; answers whether it could.
    async fn flush(&self, due: impl Fn(&Minutes) -> Vec<Count>) -> bool {
        for _ in 0..FLUSHES_MAX {
            let counts = due(&self.0.minutes);
            if counts.is_empty() {
                return true;
            }
            if let Err(failure) = self.write(counts.iter().map(Count::entry).collect()).await {
                tracing::warn!(%failure, entries = counts.len(), "counted denials could not be written");
                return false;
            }
            self.0.minutes.told(&counts);
        }
        false
    }

    /// Writes counts soon after they began, the others when their minute ends, and what is left when no call runs any more.
    /// One task writes all of them, so none is written twice.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        let Parts { clock, counted, .. } = &*self.0;
        // Since when something may be counted that is not written.
        let mut since: Option<Steady> = None;
        loop {
            let now = Minute::of(clock.wall());
            let pause = since.map(|since| EARLY.saturating_sub(clock.steady().since(since)));
            tokio::select! {
                () = clock.sleep_until(now.end()) => {
                    if !self.flush_ended().await {
                        since = Some(clock.steady());
                    }
                }
                () = counted.notified(), if since.is_none() => since = Some(clock.steady()),
                () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {
                    let written = self.flush_ended().await && self.flush(|minutes| minutes.early(FLUSH_MAX)).await;
                    // What could not be written is tried again after the same pause.
                    since = if written { None } else { Some(clock.steady()) };
                }
                () = shutdown.cancelled() => {
                    self.flush(|minutes| minutes.ended(None, FLUSH_MAX)).await;
                    return;
                }
            }
        }
    }

    /// At rest when no count is due before its minute ends, and none of a minute that is over; the others are due at its end.
    pub(crate) fn rest(&self, name: &'static str) -> Rest {
        let (one, other) = (self.clone(), self.clone());
        let settled = move || {
            let overdue = one.next_due().is_some_and(|due| due <= one.0.clock.wall());
            let settled = !overdue && one.0.minutes.early(1).is_empty();
            async move { settled }
        };
        let next_due = move || {
            let due = other.next_due();
            async move { due }
        };
        Rest::new(name, settled, next_due)
    }

    fn next_due(&self) -> Option<Timestamp> {
        self.0.minutes.oldest().map(Minute::end)
    }
}

/// The layer before all handlers that sees every refusal.
#[derive(Clone)]
pub struct Enforced {
    gate: Gate,
}

impl Enforced {
    /// For what lies behind a gate.
    #[must_use]
    pub(crate) const fn new(gate: Gate) -> Self {
        Self { gate }
    }
}

impl Step for Enforced {
    async fn step<S: Inner>(self, request: Request<Body>, next: S) -> Response<Body> {
        let path = request.uri().path();
        let caller = request.extensions().get::<Principal>().map(|principal| principal.caller.clone());
        let (Some(denials), Some(caller)) = (self.gate.denials(path), caller) else { return pass(next, request).await };
        let attempt = Attempt { denials, caller, call: call(path), address: address::current() };
        let mut response = pass(next, request).await;
        let refusals = response.extensions_mut().remove::<Refusals>();
        for failure in refusals.iter().flat_map(Refusals::iter) {
            if let Err(failure) = attempt.answer(&status::status(failure.clone())).await {
                return refuse(failure);
            }
        }
        match response.extensions().get::<Status>().cloned() {
            Some(refused) => match attempt.answer(&refused).await {
                Ok(Some(header)) => {
                    response.headers_mut().insert(AUDITED_HEADER, header);
                    response
                }
                Ok(None) => response,
                Err(failure) => refuse(failure),
            },
            // The answer has begun; how it ends stands in its trailers.
            None => response.map(|body| trailers::watched(body, attempt)),
        }
    }
}

/// `Customers/UpdateCustomer` of `/revisit.customer.v1.Customers/UpdateCustomer`.
fn call(path: &str) -> String {
    let (service, method) = path.rsplit_once('/').unwrap_or(("", path));
    let service = service.rsplit_once('.').map_or(service, |(_, name)| name);
    format!("{service}/{method}")
}

/// A call of somebody.
struct Attempt {
    denials: Denials,
    caller: Caller,
    call: String,
    /// Known while the call is passed on; a stream ends later.
    address: String,
}

impl Attempt {
    /// Looks at how the call ends. A denial is in the outbox when this returns, or counted, or there is no answer.
    async fn answer(&self, ended: &Status) -> Result<Option<HeaderValue>, Failure> {
        let beyond = || BEYOND_RIGHTS.contains(&status::failure(ended).reason);
        if ended.code() != Code::PermissionDenied && (ended.code() == Code::Ok || !beyond()) {
            return Ok(None);
        }
        // A peer that refused what we asked for the caller has written it already.
        if !ended.source().is_some_and(|source| source.is::<status::Audited>()) {
            let (key, entry) = self.entry(ended);
            self.denials.note(key, entry).await?;
        }
        Ok(Some(HeaderValue::from_static("1")))
    }

    fn entry(&self, ended: &Status) -> (Key, Entry) {
        let told = status::failure(ended);
        let denial = ended.source().and_then(|source| source.downcast_ref::<Denial>());
        let told_of = ended.source().and_then(|source| source.downcast_ref::<Tried>());
        let tried = told_of.cloned().unwrap_or_default();
        let action = denial.and_then(|denial| denial.action);
        // What no action of the registry names is told by the call itself.
        let name = action.map_or(&*self.call, |action| action.name());
        let resource = action.map_or(tried.resource, |action| action.resource().name());
        let mut entry = Entry::new(&self.caller, name, resource)
            .about(denial.and_then(|denial| denial.row).into_iter().chain(tried.ids))
            .fields(told.details.get("field").cloned().into_iter().chain(tried.fields))
            .refused(AuditOutcome::Denied, told.reason)
            .with(|message| message.caller_address.clone_from(&self.address));
        if let Some(decision) = denial.and_then(|denial| denial.decision.as_ref()) {
            entry = entry.decided(decision);
        }
        let key = Key {
            tenant: self.caller.tenant,
            subject: self.caller.subject,
            action: name.to_owned(),
            reason: told.reason,
            tried: told_of.map(|tried| self.denials.0.minutes.fingerprint(tried)),
        };
        (key, entry)
    }
}

/// The end of an answer as a future: what its last frame carries.
type Ended = std::pin::Pin<Box<dyn Future<Output = http::HeaderMap> + Send>>;
