//! From one service's outbox to the other's inbox, inside one process: each event once, and acknowledged.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use revisit_bootstrap::{
    Consumer, Database, Process, Reply, Running, Runtime, Service, Shutdown, Sources, Started, Tx, Work,
    consumer::Freshness, database::fault, reply,
};
use revisit_core::{Failure, Kind};
use revisit_event::{Draft, Envelope, EnvelopeExt, inbox::parked};
use revisit_permission::Worker;
use revisit_proto::{
    customer::v1::{
        AddNoteRequest, ListTimelineRequest, ListTimelineResponse, OwnerChanged, RecordTouchRequest, TimelineEntry,
        timeline_server::{Timeline, TimelineServer},
    },
    event::v1::{AcknowledgeRequest, events_client::EventsClient},
    identity::v1::leases_server::LeasesServer,
};
use revisit_tests::fake_identity::{FakeIdentity, unknown_id};
use sea_orm::{ConnectionTrait, Statement};
use tonic::Request;

use super::{
    beside::{self, Beside},
    database::{Migrator, WORKER, insert},
    support::{Config, PUBLIC, layers},
};

/// How long a test waits for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A producer (`customer`) and a consumer (`followup`) that writes one note for each event.
pub struct Pair {
    /// The process.
    pub running: Running,
    /// Its producer's database.
    pub producer: Database,
    /// Its consumer's database.
    pub consumer: Database,
    /// How old what the consumer knows is.
    pub freshness: Freshness,
    /// Whether events with the sequence 13 fail.
    pub unlucky: Arc<AtomicBool>,
    /// How often an effect was tried.
    pub tried: Arc<AtomicU32>,
    /// What the consumer counts in memory.
    pub beside: Arc<Mutex<Beside>>,
    /// How often a snapshot was read.
    rebuilt: Arc<AtomicU32>,
    folder: tempfile::TempDir,
}

/// A service whose only call emits an event.
struct Emitter(Database);

#[tonic::async_trait]
impl Timeline for Emitter {
    async fn list_timeline(&self, _: Request<ListTimelineRequest>) -> Reply<ListTimelineResponse> {
        let emitted = self.0.write(&WORKER, async |tx: &Tx| {
            tx.emit(Draft::new(unknown_id(), unknown_id::<()>().uuid(), 1, &OwnerChanged::default()));
            Ok::<_, Failure>(ListTimelineResponse::default())
        });
        reply(emitted.await)
    }

    async fn add_note(&self, _: Request<AddNoteRequest>) -> Reply<TimelineEntry> {
        reply(Ok::<_, Failure>(TimelineEntry::default()))
    }

    async fn record_touch(&self, _: Request<RecordTouchRequest>) -> Reply<TimelineEntry> {
        reply(Ok::<_, Failure>(TimelineEntry::default()))
    }
}

impl Pair {
    pub async fn start() -> Self {
        Self::start_on(tempfile::tempdir().expect("a folder")).await
    }

    /// On databases that may be there from an earlier run.
    async fn start_on(folder: tempfile::TempDir) -> Self {
        Self::start_with(folder, "", Arc::default()).await
    }

    /// With settings of one's own.
    pub async fn start_with(folder: tempfile::TempDir, told: &str, unlucky: Arc<AtomicBool>) -> Self {
        let (tried, rebuilt) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
        let beside = Arc::default();
        let (give, take) = std::sync::mpsc::channel();
        let services = services(unlucky.clone(), (tried.clone(), rebuilt.clone(), Arc::clone(&beside)), give);
        let mut layers = layers(&services, "");
        let toml =
            format!("database.url = 'sqlite:{}/{{service}}.db'\ndatabase.durable = false", folder.path().display());
        layers.add("test", &toml).expect("TOML");
        layers.add("test", told).expect("TOML");
        layers.add("test", "consumers.customer = ['followup']\nconsumers.followup = []").expect("TOML");
        let process = Process::new("test", &services, layers).expect("valid");
        let running = process.start(Sources::default(), Shutdown::new()).await.expect("it starts");
        let (mut producer, mut consumer) = (None, None);
        for _ in 0..2 {
            match take.recv().expect("both have started") {
                (database, None) => producer = Some(database),
                (database, Some(freshness)) => consumer = Some((database, freshness)),
            }
        }
        let ((consumer, freshness), producer) = (consumer.expect("followup"), producer.expect("customer"));
        Self { running, producer, consumer, freshness, unlucky, tried, beside, rebuilt, folder }
    }

    /// Emits an event for each sequence.
    pub async fn emit(&self, sequences: std::ops::Range<i64>) {
        let emitted = self.producer.write(&WORKER, async |tx: &Tx| {
            for sequence in sequences {
                let customer = unknown_id::<()>().uuid();
                tx.emit(Draft::new(unknown_id(), customer, sequence, &OwnerChanged::default()));
            }
            Ok::<_, Failure>(())
        });
        emitted.await.expect("they are emitted");
    }

    pub async fn notes(&self) -> i64 {
        let counted = self.consumer.read(&WORKER, async |tx: &Tx| {
            let text = Statement::from_string(tx.get_database_backend(), "SELECT count(*) AS notes FROM note");
            let row = tx.query_one_raw(text).await.map_err(fault)?.expect("a count");
            row.try_get::<i64>("", "notes").map_err(fault)
        });
        counted.await.expect("they are counted")
    }

    /// Waits until every event is applied and acknowledged.
    pub async fn settled(&self) {
        let settled = async {
            while !self.running.settled().await.expect("the databases answer") {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("everything is applied and acknowledged");
    }
}

fn services(
    unlucky: Arc<AtomicBool>,
    (tried, rebuilt, beside): (Arc<AtomicU32>, Arc<AtomicU32>, Arc<Mutex<Beside>>),
    give: std::sync::mpsc::Sender<(Database, Option<Freshness>)>,
) -> Vec<Service> {
    let identity = FakeIdentity::new();
    let migrate = |_: Config, runtime: Runtime| async move { runtime.migrate::<Migrator>().await };
    let identity = Service::new(
        "identity",
        "[identity]",
        move |_: Config, _: Runtime| {
            let identity = identity.clone();
            async move { Ok(Started::new().serve(LeasesServer::new(identity))) }
        },
        migrate,
    );
    let given = give.clone();
    let producer = Service::new(
        "customer",
        "[customer]",
        move |_: Config, runtime: Runtime| {
            let given = given.clone();
            async move {
                let database = runtime.database::<Migrator>().await?;
                given.send((database.clone(), None)).map_err(Failure::internal)?;
                let emitter = TimelineServer::new(Emitter(database.clone()));
                Ok(Started::new().serve(emitter).public(&PUBLIC).outbox(&database, &runtime))
            }
        },
        migrate,
    );
    let consumer = Service::new(
        "followup",
        "[followup]",
        move |_: Config, runtime: Runtime| {
            let (give, unlucky, tried) = (give.clone(), unlucky.clone(), tried.clone());
            let (rebuilt, beside) = (rebuilt.clone(), Arc::clone(&beside));
            async move {
                let database = runtime.database::<Migrator>().await?;
                let snapshot = move |source| {
                    assert_eq!(source, "customer");
                    rebuilt.fetch_add(1, Ordering::SeqCst);
                    async { Ok(()) }
                };
                let consumer = Consumer::new(&runtime, &database).from("customer").rebuilt_by(snapshot);
                let consumer = consumer.within(beside::around(&beside));
                give.send((database.clone(), Some(consumer.freshness()))).map_err(Failure::internal)?;
                let apply = async move |tx: &Tx, event: &Envelope| {
                    tried.fetch_add(1, Ordering::SeqCst);
                    assert!(beside.lock().expect("not poisoned").count(event), "it was not prepared");
                    if event.sequence == 13 && unlucky.load(Ordering::SeqCst) {
                        return Err(Failure::new(Kind::Precondition, "UNLUCKY", "not yet"));
                    }
                    insert(tx, event.tenant()?, &event.id).await.map_err(fault)
                };
                let work = Work::new("consumer", consumer.run(Worker::declare("consume"), apply));
                Ok(Started::new().outbox(&database, &runtime).work(work))
            }
        },
        migrate,
    );
    vec![identity, producer, consumer]
}

#[tokio::test]
async fn every_event_is_applied_once_and_acknowledged() {
    let pair = Pair::start().await;
    pair.emit(0..200).await;
    pair.settled().await;
    assert_eq!(pair.notes().await, 200);
    pair.running.stop().await.expect("it stops");
}

#[tokio::test]
async fn an_event_that_cannot_be_applied_yet_holds_up_no_other_and_is_not_lost() {
    let pair = Pair::start().await;
    pair.unlucky.store(true, Ordering::SeqCst);
    pair.emit(0..40).await;
    let others = async {
        while pair.notes().await < 39 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, others).await.expect("the others are applied");
    assert!(!pair.running.settled().await.expect("the databases answer"));
    pair.unlucky.store(false, Ordering::SeqCst);
    pair.settled().await;
    assert_eq!(pair.notes().await, 40);
    assert!(pair.tried.load(Ordering::SeqCst) > 40);
}

#[tokio::test]
async fn events_that_come_again_after_a_restart_change_nothing() {
    let pair = Pair::start().await;
    pair.unlucky.store(true, Ordering::SeqCst);
    let (tenant, customer) = (unknown_id(), unknown_id::<()>().uuid());
    // One shard, whose first event fails: what lies behind it is applied and cannot be acknowledged.
    let emitted = pair.producer.write(&WORKER, async |tx: &Tx| {
        for sequence in [13, 1, 2, 3, 4] {
            tx.emit(Draft::new(tenant, customer, sequence, &OwnerChanged::default()));
        }
        Ok::<_, Failure>(())
    });
    emitted.await.expect("they are emitted");
    let others = async {
        while pair.notes().await < 4 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, others).await.expect("the others are applied");
    let Pair { running, folder, .. } = pair;
    running.stop().await.expect("it stops");

    let pair = Pair::start_on(folder).await;
    pair.settled().await;
    assert_eq!(pair.notes().await, 5);
    assert_eq!(pair.tried.load(Ordering::SeqCst), 1, "only the one that had failed");
}

#[tokio::test]
async fn a_consumer_that_has_lost_its_database_reads_a_snapshot_and_is_fresh_again() {
    let pair = Pair::start().await;
    pair.emit(0..40).await;
    pair.settled().await;
    assert_eq!(pair.rebuilt.load(Ordering::SeqCst), 0, "with nothing lost there is nothing to read anew");
    let Pair { running, folder, .. } = pair;
    running.stop().await.expect("it stops");
    for file in ["followup.db", "followup.db-wal", "followup.db-shm"] {
        // The last two may have gone with the last connection.
        let _ = std::fs::remove_file(folder.path().join(file));
    }

    let pair = Pair::start_on(folder).await;
    pair.emit(100..140).await;
    pair.settled().await;
    pair.until(async || pair.running.renew().await.is_ok() && pair.freshness.require("customer").is_ok()).await;
    assert_eq!((pair.rebuilt.load(Ordering::SeqCst), pair.notes().await), (1, 40), "old events do not come again");
    pair.running.stop().await.expect("it stops");
}

#[tokio::test]
async fn what_a_consumer_knows_is_fresh_after_a_forced_renewal() {
    let pair = Pair::start().await;
    pair.emit(0..10).await;
    pair.settled().await;
    pair.running.renew().await.expect("renewed");
    pair.freshness.require("customer").expect("it is fresh");
    let unheard = pair.freshness.require("notification").expect_err("it hears nobody there");
    assert_eq!(
        (unheard.reason, unheard.details.get("source").map(String::as_str)),
        ("PROJECTION_STALE", Some("notification"))
    );
}

#[tokio::test]
async fn only_the_consumer_itself_may_acknowledge() {
    let pair = Pair::start().await;
    let call = async |from: &'static str, consumer: &str, incarnation: &str| {
        let peer = pair.running.runtime.of(from).peers.channel("customer");
        let request = AcknowledgeRequest {
            consumer: consumer.to_owned(),
            incarnation: incarnation.to_owned(),
            positions: Vec::new(),
        };
        let answer = EventsClient::new(peer).acknowledge(request).await;
        answer.map(drop).map_err(|status| revisit_bootstrap::failure(&status).reason)
    };
    let outbox = pair.producer.outbox().expect("it has one").clone();
    let ours = outbox.incarnation(&pair.producer.pools().writer).await.expect("it is drawn").to_string();
    assert_eq!(call("followup", "followup", &ours).await, Ok(()));
    assert_eq!(call("identity", "followup", &ours).await, Err("CONSUMER_UNKNOWN"));
    assert_eq!(call("identity", "identity", &ours).await, Err("CONSUMER_UNKNOWN"));
    let other = unknown_id::<()>().to_string();
    assert_eq!(call("followup", "followup", &other).await, Err("INCARNATION_CHANGED"));
    assert_eq!(call("followup", "followup", "nonsense").await, Err("INVALID_ARGUMENT"));
}

#[tokio::test]
async fn a_start_waits_for_a_database_that_is_away_and_gives_up_when_told_to_end() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|probe| probe.local_addr()).expect("a free port");
    let (give, _take) = std::sync::mpsc::channel();
    let services = services(Arc::default(), Default::default(), give);
    let mut layers = layers(&services, &format!("server.listen = '{port}'"));
    layers.add("test", "database.url = 'postgres://revisit@127.0.0.1:1/none'").expect("TOML");
    layers.add("test", "database.acquire_millis_max = 100").expect("TOML");
    let process = Process::new("test", &services, layers).expect("valid");
    let shutdown = Shutdown::new();
    let starting = tokio::spawn(process.start(Sources::default(), shutdown.clone()));
    let channel = tonic::transport::Endpoint::from_shared(format!("http://{port}")).expect("an address").connect_lazy();
    let request = AcknowledgeRequest::default();
    let status = EventsClient::new(channel).acknowledge(request).await.expect_err("it has not started");
    assert_eq!(revisit_bootstrap::failure(&status).kind, Kind::Unavailable);
    assert!(!starting.is_finished());
    shutdown.drain();
    let ended = tokio::time::timeout(PATIENCE, starting).await.expect("it ends").expect("no panic");
    assert_eq!(ended.err().map(|failure| failure.reason), Some("DATABASE_UNAVAILABLE"));
}

#[tokio::test]
async fn an_event_that_fails_every_try_is_parked_holds_up_nothing_and_is_applied_when_somebody_wants_it() {
    let unlucky = Arc::new(AtomicBool::new(true));
    let start = async |folder| Pair::start_with(folder, "inbox.tries_max = 2", unlucky.clone()).await;
    let pair = start(tempfile::tempdir().expect("a folder")).await;
    // All in one shard: what lies behind the event that fails can be acknowledged only past it.
    let (tenant, customer) = (unknown_id(), unknown_id::<()>().uuid());
    let emitted = pair.producer.write(&WORKER, async |tx: &Tx| {
        for sequence in [1, 13, 2, 3] {
            tx.emit(Draft::new(tenant, customer, sequence, &OwnerChanged::default()));
        }
        Ok::<_, Failure>(())
    });
    emitted.await.expect("they are emitted");
    pair.settled().await;
    assert_eq!(pair.notes().await, 3);
    let [one] = &pair.parked().await[..] else { panic!("one is parked") };
    assert_eq!((one.event.sequence, one.event.position, one.verdict.tries, one.wanted), (13, 2, 2, false));
    assert!(one.verdict.reason.starts_with("UNLUCKY"), "{}", one.verdict.reason);

    // Wanted while the reason stands, it fails again and stays; a consumer looks when it starts, too.
    let pair = start(pair.wanted().await).await;
    pair.until(async || pair.parked().await.first().is_some_and(|one| one.verdict.tries == 3)).await;
    assert!(!pair.parked().await[0].wanted);
    unlucky.store(false, Ordering::SeqCst);
    let pair = start(pair.wanted().await).await;
    pair.until(async || pair.parked().await.is_empty()).await;
    assert_eq!(pair.notes().await, 4);
    pair.running.stop().await.expect("it stops");
}

impl Pair {
    async fn parked(&self) -> Vec<parked::Parked> {
        parked::list(&self.consumer.pools().reader, "followup").await.expect("listed")
    }

    /// Wants what is parked to be tried again, and stops.
    async fn wanted(self) -> tempfile::TempDir {
        let wanted = parked::want(&self.consumer.pools().writer, "followup", None).await;
        assert_eq!(wanted.expect("wanted"), 1);
        self.running.stop().await.expect("it stops");
        self.folder
    }

    pub async fn until(&self, so: impl AsyncFn() -> bool) {
        let waiting = async {
            while !so().await {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.expect("it comes to be");
    }
}
