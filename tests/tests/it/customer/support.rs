//! A company around the real customer service alone: rights come from a fake identity, events from the test, and what
//! the service tells stays in its outbox to be read. It can be killed and started again on the same database.

mod people;

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Name;
use revisit_bootstrap::{Process, Running, Runtime, Service, Shutdown, Sources, Started};
use revisit_core::{Id, Ids, ManualClock, Timestamp, id::DepartmentId, id::SubjectId};
use revisit_event::kind_of;
use revisit_proto::identity::v1::{AuditEntry, AuditOutcome, leases_server::LeasesServer};
use revisit_tests::{
    databases::{Backend, TestDatabase},
    fake_identity::FakeIdentity,
    speaker::Speaker,
};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tonic::{
    Request,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

pub use people::Seat;
pub use revisit_tests::rights::everywhere;

/// Monday, 4 January 2027, 08:00 in Shanghai.
pub const BEGIN: Timestamp = Timestamp::from_micros(1_799_020_800_000_000);
/// What followup shows when a test speaks for it.
const FOLLOWUP_TOKEN: &str = "the service token of followup";
const IDENTITY_TOKEN: &str = "the service token of identity";
/// Bytes that the service may send ahead of who reads.
const WINDOW: u32 = 65_535;
/// How long anything may take to come to rest.
const REST_MAX: Duration = Duration::from_secs(60);

#[derive(Clone, Serialize, Deserialize)]
struct Nothing {}

/// Everything.
pub struct Office {
    pub database: TestDatabase,
    pub clock: ManualClock,
    pub identity: FakeIdentity,
    pub root: DepartmentId,
    pub store: DepartmentId,
    pub branch: DepartmentId,
    settings: Mutex<&'static str>,
    life: Mutex<Option<Life>>,
    people: BTreeMap<&'static str, SubjectId>,
    speaker: Speaker,
    ids: Ids,
}

/// One process: its tasks run apart from the test's, so that they can all end at once.
struct Life {
    running: Running,
    runtime: tokio::runtime::Runtime,
}

/// Runs a test on each database.
pub async fn in_each_office(test: impl AsyncFn(&Office)) {
    in_each_office_with("", test).await;
}

/// The same with settings laid over those of a test.
#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran")]
pub async fn in_each_office_with(settings: &'static str, test: impl AsyncFn(&Office)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let office = Office::start(backend, settings).await;
        test(&office).await;
        office.stop().await;
    }
}

impl Office {
    /// Starts the service on a fresh database.
    pub async fn start(backend: Backend, settings: &'static str) -> Self {
        let database = TestDatabase::new(backend).await;
        let clock = ManualClock::at(BEGIN);
        let identity = FakeIdentity::on(clock.clock());
        let ids = Ids::random();
        let office = Self {
            root: ids.next(BEGIN),
            store: ids.next(BEGIN),
            branch: ids.next(BEGIN),
            people: people::ROLES.iter().map(|(name, ..)| (*name, ids.next(BEGIN))).collect(),
            speaker: Speaker::new(identity.tenant, &clock),
            settings: Mutex::new(settings),
            life: Mutex::default(),
            database,
            clock,
            identity,
            ids,
        };
        office.found();
        office.open().await;
        office
    }

    /// Starts the service on what lies in the database.
    pub async fn open(&self) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("threads");
        let process = self.process();
        let sources = Sources { clock: self.clock.clock(), ids: Ids::random() };
        let started = runtime.spawn(async move { process.start(sources, Shutdown::new()).await });
        let running = started.await.expect("it does not panic").expect("it starts");
        *self.life() = Some(Life { running, runtime });
    }

    /// The settings with which the next process starts.
    pub fn configure(&self, settings: &'static str) {
        *self.settings.lock().expect("no test panics while it holds the settings") = settings;
    }

    fn process(&self) -> Process {
        let fake = self.identity.clone();
        let leases = Service::new(
            "identity",
            "[identity]",
            move |_: Nothing, _: Runtime| {
                let fake = fake.clone();
                async move {
                    Ok(Started::new().serve(LeasesServer::new(fake)).public(&["/revisit.identity.v1.Leases/ListKeys"]))
                }
            },
            |_: Nothing, _: Runtime| async { Ok(()) },
        );
        let services = [leases, revisit_customer::service()];
        let mut layers = Process::manuals(&services, &[]).expect("the manuals are TOML");
        let url = self.database.url.replacen("sqlite://", "sqlite:", 1);
        let key = STANDARD.encode([7; 32]);
        // A consumer that never acknowledges: what was told stays in the outbox for the test to read.
        let text = format!(
            "server.listen = '127.0.0.1:0'\nserver.drain_seconds_max = 2\ntelemetry.log = 'warn'\n\
             [database]\nurl = '{url}'\nmigrate = 'always'\ndurable = false\n\
             [callers]\nfollowup.token = '{FOLLOWUP_TOKEN}'\nidentity.token = '{IDENTITY_TOKEN}'\n\
             [consumers]\nidentity = []\ncustomer = ['followup']\nfollowup = []\nnotification = []\n\
             [seal]\ncurrent = 'a'\nkeys.a = '{key}'\nindex_current = 'a'\nindex_keys.a = '{key}'\n"
        );
        layers.add("test", &text).expect("the test's configuration is TOML");
        let settings = *self.settings.lock().expect("no test panics while it holds the settings");
        layers.add("this test", settings).expect("the settings are TOML");
        Process::new("test", &services, layers).expect("the configuration is valid")
    }

    fn life(&self) -> MutexGuard<'_, Option<Life>> {
        self.life.lock().expect("no test panics while it holds the process")
    }

    /// Looks at the process.
    fn at<T>(&self, look: impl FnOnce(&Running) -> T) -> T {
        look(&self.life().as_ref().expect("it runs").running)
    }

    /// Ends the process where it stands: nothing is drained, whatever runs is dropped.
    pub fn kill(&self) {
        let life = self.life().take().expect("it runs");
        life.runtime.shutdown_background();
    }

    /// Ends the process in order, and the database with it.
    pub async fn stop(self) {
        let life = self.life().take();
        if let Some(Life { running, runtime }) = life {
            let stopped = runtime.spawn(running.stop());
            stopped.await.expect("it does not panic").expect("it stops without a fault");
            runtime.shutdown_background();
        }
        self.database.close().await;
    }

    pub fn now(&self) -> Timestamp {
        self.clock.clock().wall()
    }

    pub fn new_id<K>(&self) -> Id<K> {
        self.ids.next(self.now())
    }

    fn channel(&self) -> Channel {
        let address = self.at(|running| running.address);
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        // As little as the protocol allows: a stream goes on only as fast as the test reads it.
        let endpoint = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW);
        endpoint.connect_lazy()
    }

    /// A client of a call that only services make, and the request as one of them.
    pub fn inside(&self) -> Channel {
        self.channel()
    }

    /// A request of another service.
    pub fn by<T>(service: &str, message: T) -> Request<T> {
        let token = if service == "identity" { IDENTITY_TOKEN } else { FOLLOWUP_TOKEN };
        let mut request = Request::new(message);
        request.metadata_mut().insert("x-revisit-caller", token.parse().expect("a token is ASCII"));
        request
    }

    /// Puts an event on the bus as `source` would, and waits until it was applied.
    pub async fn event<M: Name>(&self, source: &'static str, key: Uuid, message: &M) {
        let bus = self.at(|running| running.runtime.bus.clone());
        self.speaker.say([bus], (source, key), message).await;
        self.settle().await;
    }

    /// Waits until every event was applied and no job has anything to do.
    pub async fn settle(&self) {
        let rests = self.at(|running| running.rest.clone());
        let quiet = async {
            let mut tick = tokio::time::interval(Duration::from_millis(2));
            loop {
                let mut settled = self.speaker.was_heard(&self.database.reader).await;
                for rest in &rests {
                    settled = settled && rest.settled().await;
                }
                if settled {
                    return;
                }
                tick.tick().await;
            }
        };
        tokio::time::timeout(REST_MAX, quiet).await.expect("it comes to rest");
    }

    /// Moves the clock, and every decision with it.
    pub async fn advance(&self, span: Duration) {
        self.clock.set_wall(self.now() + span);
        let lease = self.at(|running| running.runtime.lease.clone());
        lease.force_renew().await.expect("identity answers");
    }

    /// Waits until a question to the database answers this number.
    pub async fn until(&self, text: &str, number: i64) {
        let mut tick = tokio::time::interval(Duration::from_millis(5));
        let reached = async {
            while self.number(text).await != number {
                tick.tick().await;
            }
        };
        let reached = tokio::time::timeout(REST_MAX, reached).await;
        assert!(reached.is_ok(), "{text} never answers {number}");
    }

    /// Rows of a question to the service's own database.
    pub async fn rows(&self, text: &str) -> Vec<sea_orm::QueryResult> {
        let reader = &self.database.reader;
        let statement = Statement::from_string(reader.get_database_backend(), text);
        reader.query_all_raw(statement).await.expect("the question is well put")
    }

    /// Changes the service's own database behind its back.
    pub async fn write(&self, text: &str) {
        self.database.writer.execute_unprepared(text).await.expect("the statement is well put");
    }

    /// A number that a question answers.
    pub async fn number(&self, text: &str) -> i64 {
        self.rows(text).await[0].try_get("", "n").expect("a number")
    }

    /// All messages of one type that the service has told, in the order of each customer.
    pub async fn heard<M: Name + Default>(&self) -> Vec<M> {
        let kind = kind_of::<M>();
        let text = format!("SELECT data FROM outbox WHERE kind = '{kind}' ORDER BY shard, position");
        let read = |row: sea_orm::QueryResult| {
            let data: Vec<u8> = row.try_get("", "data").expect("data");
            M::decode(data.as_slice()).expect("it was encoded")
        };
        self.rows(&text).await.into_iter().map(read).collect()
    }

    /// The audit entries of one act that was done.
    pub async fn audited(&self, action: &str) -> Vec<AuditEntry> {
        self.entries(action, AuditOutcome::Done).await
    }

    /// The audit entries of one act that was refused.
    pub async fn refused(&self, action: &str) -> Vec<AuditEntry> {
        self.entries(action, AuditOutcome::Denied).await
    }

    async fn entries(&self, action: &str, outcome: AuditOutcome) -> Vec<AuditEntry> {
        let mut entries = self.heard::<AuditEntry>().await;
        entries.retain(|entry| entry.action == action && entry.outcome() == outcome);
        entries
    }
}
