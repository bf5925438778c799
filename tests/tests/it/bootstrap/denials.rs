//! Refusals on their way out: in the audit before the answer, equal ones of a minute counted.

use std::time::Duration;

use prost::Message;
use revisit_bootstrap::{
    Database, Process, Reply, Running, Runtime, Service, Shutdown, Sources, Started, Streamed, Tx, authenticated,
    database::fault, reply_stream,
};
use revisit_core::{Clock, Failure, Ids, Kind, ManualClock, Timestamp, Tried};
use revisit_permission::{Action, Row};
use revisit_proto::{
    customer::v1::{
        ExportCustomersRequest, FileChunk,
        export_client::ExportClient,
        export_server::{Export, ExportServer},
    },
    identity::v1::{AuditEntry, AuditOutcome, leases_server::LeasesServer},
};
use revisit_tests::fake_identity::FakeIdentity;
use sea_orm::{ConnectionTrait, Statement};
use tonic::{Code, Request, Status, transport::Endpoint};
use uuid::Uuid;

use super::{
    database::{Migrator, WORKER},
    support::{Config, layers, with_token},
};

/// How long a test waits for what takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(10);

/// To whom somebody tries to give something.
const ONE: Uuid = Uuid::from_u128(1);
const ANOTHER: Uuid = Uuid::from_u128(2);

/// A service that refuses everything: at once, or in the middle of its answer.
struct Refusing;

#[tonic::async_trait]
impl Export for Refusing {
    type ExportCustomersStream = Streamed<FileChunk>;

    async fn export_customers(&self, request: Request<ExportCustomersRequest>) -> Reply<Streamed<FileChunk>> {
        let (who, message) = authenticated(request)?;
        let customer = Row::new(who.tenant(), who.subject());
        let denied = |action| who.decide(action, &customer).expect_err("nobody may do anything here");
        reply_stream(match message.reason.as_str() {
            "at once" => Err(denied(Action::CustomerExport)),
            "field" => {
                let message = "the field phone may not be changed";
                Err(Failure::new(Kind::Denied, "FIELD_NOT_WRITABLE", message).with("field", "phone"))
            }
            "to one" | "to another" => {
                let ids = vec![if message.reason == "to one" { ONE } else { ANOTHER }];
                let tried = Tried { resource: "user", ids, fields: vec!["customer.view".to_owned()] };
                Err(Failure::new(Kind::Denied, "GRANT_EXCEEDS_GRANTOR", "nobody may give so much").caused_by(tried))
            }
            "missing" => Err(Failure::new(Kind::NotFound, "CUSTOMER_NOT_FOUND", "there is no such customer")),
            how => {
                let panics = how == "panic";
                let second = denied(Action::CustomerExport);
                let chunks = [Ok(FileChunk::default()), Err(second)].into_iter().enumerate();
                Ok(tokio_stream::iter(chunks.map(move |(place, chunk)| {
                    assert!(!panics || place == 0, "this panic is on purpose");
                    chunk
                })))
            }
        })
    }
}

/// The refusing service, which runs as `customer` on a clock that stands still.
struct World {
    running: Running,
    clock: ManualClock,
    identity: FakeIdentity,
    database: Database,
    _folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Self {
        let (identity, folder) = (FakeIdentity::new(), tempfile::tempdir().expect("a folder"));
        let (give, take) = std::sync::mpsc::channel();
        let services = services(&identity, give);
        let mut layers = layers(&services, "consumers.customer = []");
        let url = format!("sqlite:{}/{{service}}.db", folder.path().display());
        layers.add("test", &format!("database.url = '{url}'\ndatabase.durable = false")).expect("TOML");
        let process = Process::new("test", &services, layers).expect("valid");
        // A whole minute lies ahead.
        let clock = ManualClock::at(Timestamp::from_seconds(Clock::system().wall().seconds() / 60 * 60));
        let sources = Sources { clock: clock.clock(), ids: Ids::random() };
        let running = process.start(sources, Shutdown::new()).await.expect("it starts");
        let database = take.recv().expect("it has started");
        Self { running, clock, identity, database, _folder: folder }
    }

    /// Exports until the end; answers the chunks before it.
    async fn export(&self, how: &str) -> (usize, Status) {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.running.address)).expect("an address");
        let request = ExportCustomersRequest { reason: how.to_owned(), ..ExportCustomersRequest::default() };
        let request = with_token(Request::new(request), &self.identity.token());
        let mut chunks = match ExportClient::new(endpoint.connect_lazy()).export_customers(request).await {
            Ok(answer) => answer.into_inner(),
            Err(status) => return (0, status),
        };
        let mut count = 0;
        loop {
            match chunks.message().await {
                Ok(Some(_)) => count += 1,
                Ok(None) => return (count, Status::ok("it was allowed")),
                Err(status) => return (count, status),
            }
        }
    }

    async fn entries(&self) -> Vec<AuditEntry> {
        entries(&self.database).await
    }

    /// Runs one statement.
    async fn change(&self, text: &str) {
        let changed = self.database.write(&WORKER, async |tx: &Tx| {
            tx.execute_unprepared(text).await.map_err(fault)?;
            Ok::<_, Failure>(())
        });
        changed.await.expect("the database obeys");
    }
}

/// The entries in the outbox.
async fn entries(database: &Database) -> Vec<AuditEntry> {
    let read = database.read(&WORKER, async |tx: &Tx| {
        let text = "SELECT data FROM outbox ORDER BY time, position";
        let rows = tx.query_all_raw(Statement::from_string(tx.get_database_backend(), text)).await;
        let data = |row: &sea_orm::QueryResult| row.try_get::<Vec<u8>>("", "data").map_err(fault);
        rows.map_err(fault)?.iter().map(data).collect::<Result<Vec<_>, Failure>>()
    });
    let rows = read.await.expect("the database answers");
    rows.iter().map(|data| AuditEntry::decode(data.as_slice()).expect("only entries are emitted")).collect()
}

fn services(identity: &FakeIdentity, give: std::sync::mpsc::Sender<Database>) -> Vec<Service> {
    let fake = identity.clone();
    let nothing = |_: Config, _: Runtime| async { Ok(()) };
    let identity = Service::new(
        "identity",
        "[identity]",
        move |_: Config, _: Runtime| {
            let leases = LeasesServer::new(fake.clone());
            async { Ok(Started::new().serve(leases).public(&["/revisit.identity.v1.Leases/ListKeys"])) }
        },
        nothing,
    );
    let refusing = Service::new(
        "customer",
        "[customer]",
        move |_: Config, runtime: Runtime| {
            let give = give.clone();
            async move {
                let database = runtime.database::<Migrator>().await?;
                give.send(database.clone()).map_err(Failure::internal)?;
                Ok(Started::new().serve(ExportServer::new(Refusing)).outbox(&database, &runtime))
            }
        },
        nothing,
    );
    vec![identity, refusing]
}

/// In the order of their size: entries of one instant lie in shards that have no order among each other.
fn counts(entries: &[AuditEntry]) -> Vec<i64> {
    let mut counts: Vec<_> = entries.iter().map(|entry| entry.count).collect();
    counts.sort_unstable();
    counts
}

#[tokio::test]
async fn a_refusal_is_in_the_audit_when_its_answer_arrives() {
    let world = World::start().await;
    let (_, status) = world.export("at once").await;
    assert_eq!(status.code(), Code::PermissionDenied);
    let entries = world.entries().await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry.subject_id, world.identity.user.to_string());
    assert_eq!(entry.session_id, world.identity.session.to_string());
    assert_eq!((entry.action.as_str(), entry.resource.as_str()), ("customer.export", "customer"));
    assert_eq!(entry.resource_ids, [world.identity.user.to_string()]);
    assert_eq!((entry.outcome(), entry.reason_code.as_str()), (AuditOutcome::Denied, "PERMISSION_DENIED"));
    assert_eq!((entry.witness.as_str(), entry.revision), ("no grant: role", 1));
}

#[tokio::test]
async fn equal_refusals_of_a_minute_are_counted_and_written_when_it_ends() {
    let world = World::start().await;
    for _ in 0..5 {
        world.export("at once").await;
    }
    world.export("field").await;
    assert_eq!(counts(&world.entries().await), [0, 0], "one of each in full");
    let ends = world.running.next_due().await.expect("a minute with counts ends");
    world.clock.set_wall(ends);
    let written = async {
        while world.entries().await.len() < 3 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("the minute is over");
    let entries = world.entries().await;
    assert_eq!(counts(&entries), [0, 0, 4]);
    assert_eq!(entries.last().map(|entry| entry.action.as_str()), Some("customer.export"));
    assert_eq!(world.running.next_due().await, None);
    world.export("at once").await;
    assert_eq!(counts(&world.entries().await), [0, 0, 0, 4], "the next minute begins anew");
}

#[tokio::test]
async fn for_whom_somebody_tried_second_is_in_the_audit_too() {
    let world = World::start().await;
    for how in ["to one", "to another", "to one"] {
        world.export(how).await;
    }
    let written = world.entries().await;
    let mut named: Vec<_> = written.iter().flat_map(|entry| entry.resource_ids.clone()).collect();
    named.sort_unstable();
    assert_eq!(named, [ONE.to_string(), ANOTHER.to_string()], "the third was the first again");
    assert_eq!(counts(&written), [0, 0]);
    world.running.stop().await.expect("it stops");
    assert_eq!(counts(&entries(&world.database).await), [0, 0, 1]);
}

#[tokio::test]
async fn a_burst_is_in_the_audit_while_its_minute_runs() {
    let world = World::start().await;
    for _ in 0..20 {
        world.export("at once").await;
    }
    assert_eq!(counts(&world.entries().await), [0, 8, 8], "one in full, two parts, and three that wait");
    world.running.stop().await.expect("it stops");
    assert_eq!(counts(&entries(&world.database).await), [0, 3, 8, 8], "none is lost");
}

#[tokio::test]
async fn what_was_counted_is_written_when_the_process_stops() {
    let world = World::start().await;
    for _ in 0..3 {
        world.export("at once").await;
    }
    world.running.stop().await.expect("it stops");
    assert_eq!(counts(&entries(&world.database).await), [0, 2]);
}

#[tokio::test]
async fn a_refused_field_is_named_and_a_row_that_is_not_there_is_no_entry() {
    let world = World::start().await;
    let (_, status) = world.export("missing").await;
    assert_eq!(status.code(), Code::NotFound);
    assert_eq!(world.entries().await, []);
    world.export("field").await;
    let entries = world.entries().await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!(entry.action, "Export/ExportCustomers");
    assert_eq!(
        (entry.reason_code.as_str(), entry.fields.as_slice()),
        ("FIELD_NOT_WRITABLE", &["phone".to_owned()][..])
    );
}

#[tokio::test]
async fn a_refusal_in_the_middle_of_an_answer_is_in_the_audit_too() {
    let world = World::start().await;
    let (chunks, status) = world.export("later").await;
    assert_eq!((chunks, status.code()), (1, Code::PermissionDenied));
    let entries = world.entries().await;
    let [entry] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((entry.action.as_str(), entry.outcome()), ("Export/ExportCustomers", AuditOutcome::Denied));
}

#[tokio::test]
async fn a_refusal_that_cannot_be_written_is_not_answered() {
    let world = World::start().await;
    world.change("ALTER TABLE outbox RENAME TO elsewhere").await;
    for how in ["at once", "later"] {
        let (_, status) = world.export(how).await;
        assert_eq!(status.code(), Code::Internal, "{how}: {status:?}");
    }
    world.change("ALTER TABLE elsewhere RENAME TO outbox").await;
    world.export("at once").await;
    assert_eq!(counts(&world.entries().await), [0], "what was not written counts as nothing");
}

#[tokio::test]
async fn a_panic_in_the_middle_of_an_answer_is_told_as_a_fault() {
    let world = World::start().await;
    let (_, status) = world.export("panic").await;
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert_eq!(world.export("at once").await.1.code(), Code::PermissionDenied, "the process lives");
}
