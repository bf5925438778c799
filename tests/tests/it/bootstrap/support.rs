//! A process with a fake identity and a service of three calls, for tests of what lies in front of them.

use std::sync::{Arc, Mutex};

use revisit_bootstrap::{
    Process, Reply, Running, Runtime, Service, Shutdown, Sources, Started, authenticated, config::Layers, internal,
    reply, runtime::Work, server::Latch,
};
use revisit_core::{Failure, Kind, Violation};
use revisit_proto::{
    customer::v1::{
        AddNoteRequest, ListTimelineRequest, ListTimelineResponse, RecordTouchRequest, TimelineEntry,
        timeline_client::TimelineClient,
        timeline_server::{Timeline, TimelineServer},
    },
    identity::v1::leases_server::LeasesServer,
};
use revisit_tests::fake_identity::FakeIdentity;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// What a test service can be told.
#[derive(Clone, Serialize, Deserialize)]
pub struct Config {
    /// Whether it holds readiness back until a test drops its latch.
    #[serde(default)]
    latched: bool,
}

/// The calls that everybody may make.
pub const PUBLIC: [&str; 1] = ["/revisit.customer.v1.Timeline/ListTimeline"];

/// A service whose note decides what happens to the call that brings it.
#[derive(Clone)]
pub struct Notes {
    /// Calls that wait have begun: one permit each.
    pub waiting: Arc<Semaphore>,
    /// Calls that wait may end: one permit each.
    pub release: Arc<Semaphore>,
    /// Holds readiness back, if it was told to.
    pub latch: Arc<Mutex<Option<Latch>>>,
}

#[tonic::async_trait]
impl Timeline for Notes {
    async fn add_note(&self, request: Request<AddNoteRequest>) -> Reply<TimelineEntry> {
        let (who, message) = authenticated(request)?;
        reply(self.act(&message.text).await.map(|()| TimelineEntry {
            entry_id: who.subject().to_string(),
            customer_id: who.tenant().to_string(),
            ..TimelineEntry::default()
        }))
    }

    async fn record_touch(&self, request: Request<RecordTouchRequest>) -> Reply<TimelineEntry> {
        let (caller, _) = internal(request, &["identity"])?;
        reply(Ok::<_, Failure>(TimelineEntry { entry_id: caller.service.to_owned(), ..TimelineEntry::default() }))
    }

    async fn list_timeline(&self, _: Request<ListTimelineRequest>) -> Reply<ListTimelineResponse> {
        reply(Ok::<_, Failure>(ListTimelineResponse::default()))
    }
}

impl Notes {
    async fn act(&self, text: &str) -> Result<(), Failure> {
        match text {
            "wait" => {
                self.waiting.add_permits(1);
                self.release.acquire().await.expect("it is never closed").forget();
                Ok(())
            }
            "missing" => Err(Failure::new(Kind::NotFound, "NOTE_NOT_FOUND", "there is no such note").with("note", "7")),
            "wrong" => Err(Failure::invalid(vec![
                Violation { field: "text".to_owned(), rule: "is required".to_owned() },
                Violation { field: "customer_id".to_owned(), rule: "must be a UUID".to_owned() },
            ])),
            "panic" => unreachable!("this panic is on purpose"),
            "fault" => Err(Failure::internal("relation \"note\" does not exist")),
            _ => Ok(()),
        }
    }
}

/// The service of notes, which runs as `customer`, and the fake identity.
pub struct World {
    /// The process.
    pub running: Running,
    /// What it was given, and what holds its calls.
    pub notes: Notes,
    /// Who knows tenants, users and keys.
    pub identity: FakeIdentity,
}

impl World {
    /// A running process.
    pub async fn start() -> Self {
        Self::with("").await
    }

    /// A running process with more configuration.
    pub async fn with(toml: &str) -> Self {
        let identity = FakeIdentity::new();
        let (sender, receiver) = std::sync::mpsc::channel();
        let services = services(&identity, sender);
        let process = Process::new("test", &services, layers(&services, toml)).expect("the configuration is valid");
        let running = process.start(Sources::default(), Shutdown::new()).await.expect("it starts");
        let notes = receiver.recv().expect("the service has started");
        Self { running, notes, identity }
    }

    /// A connection by TCP, as the outside has it.
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.running.address)).expect("an address").connect_lazy()
    }

    /// Waits until a call that waits has begun.
    pub async fn begun(&self) {
        let begun = tokio::time::timeout(std::time::Duration::from_secs(10), self.notes.waiting.acquire()).await;
        begun.expect("the call arrives").expect("it is never closed").forget();
    }

    /// Adds a note as the user of the fake identity.
    pub async fn note(&self, text: &str) -> Result<TimelineEntry, Status> {
        self.note_as(&self.identity.token(), text).await
    }

    /// Adds a note with this token.
    pub async fn note_as(&self, token: &str, text: &str) -> Result<TimelineEntry, Status> {
        let answer = TimelineClient::new(self.channel()).add_note(with_token(note(text), token)).await;
        answer.map(tonic::Response::into_inner)
    }
}

/// The two services of the test process.
pub fn services(identity: &FakeIdentity, started: std::sync::mpsc::Sender<Notes>) -> Vec<Service> {
    let fake = identity.clone();
    let leases = Service::new(
        "identity",
        "[identity]",
        move |_: Config, _: Runtime| {
            let fake = fake.clone();
            async move {
                Ok(Started::new()
                    .serve(LeasesServer::new(fake))
                    .public(&["/revisit.identity.v1.Leases/ListKeys"])
                    .endless(&["/revisit.identity.v1.Leases/WatchChanges"]))
            }
        },
        |_: Config, _: Runtime| async { Ok(()) },
    );
    let notes = Service::new(
        "customer",
        "[customer]",
        move |config: Config, runtime: Runtime| {
            let shutdown = runtime.shutdown.clone();
            let notes = Notes {
                waiting: Arc::new(Semaphore::new(0)),
                release: Arc::new(Semaphore::new(0)),
                latch: Arc::new(Mutex::new(config.latched.then(|| runtime.ready.latch()))),
            };
            // A test that only starts and stops does not listen.
            let _ = started.send(notes.clone());
            let idle = Work::new("idle", async move { shutdown.draining().await });
            async move { Ok(Started::new().serve(TimelineServer::new(notes)).public(&PUBLIC).work(idle)) }
        },
        |_: Config, _: Runtime| async { Ok(()) },
    );
    vec![leases, notes]
}

/// Manuals, a free port, and what the test says.
pub fn layers(services: &[Service], toml: &str) -> Layers {
    let mut layers = Process::manuals(services, &[]).expect("the manuals are TOML");
    layers.add("test", "server.listen = '127.0.0.1:0'\nserver.drain_seconds_max = 5").expect("TOML");
    layers.add("test", toml).expect("the test's configuration is TOML");
    layers
}

/// The request that adds a note.
pub fn note(text: &str) -> Request<AddNoteRequest> {
    Request::new(AddNoteRequest { text: text.to_owned(), ..AddNoteRequest::default() })
}

/// The same request with an access token.
pub fn with_token<T>(mut request: Request<T>, token: &str) -> Request<T> {
    let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
    request.metadata_mut().insert("authorization", value);
    request
}

/// The stable reason that a status carries.
pub fn reason(status: &Status) -> &'static str {
    revisit_bootstrap::failure(status).reason
}
