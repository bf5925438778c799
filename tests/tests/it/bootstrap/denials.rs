//! Refusals on their way out: in the audit before the answer, equal ones of a minute counted and told soon after.

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

/// How long something that cannot happen is waited for: twice the half second within which a count is written.
const LONGER: Duration = Duration::from_secs(1);
/// Things that are told apart of what one tries in a minute, and counts of one that do not wait for its end.
const TOLD_APART: i64 = 32;
const EARLY_MAX: i64 = 64;

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
            how if how.starts_with("give ") => Err(not_to_give("GRANT_EXCEEDS_GRANTOR", how)),
            how if how.starts_with("lend ") => Err(not_to_give("NOT_YOURS_TO_LEND", how)),
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

/// A refusal to hand something to the person of that number.
fn not_to_give(reason: &'static str, how: &str) -> Failure {
    let number = how.split(' ').next_back().and_then(|number| number.parse().ok()).expect("a number");
    let (ids, fields) = (vec![Uuid::from_u128(number)], vec!["customer.view".to_owned()]);
    Failure::new(Kind::Denied, reason, "nobody may").caused_by(Tried { resource: "user", ids, fields })
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

    /// Waits until no count is due at the instant of now; the clock stands still.
    async fn rest(&self) {
        let resting = async {
            for rest in &self.running.rest {
                while !rest.settled().await {
                    tokio::task::yield_now().await;
                }
            }
        };
        tokio::time::timeout(PATIENCE, resting).await.expect("it comes to rest");
    }

    /// Ends the minute and waits for what is written then.
    async fn end_minute(&self) {
        self.clock.set_wall(self.clock.clock().wall() + Duration::from_mins(1));
        self.rest().await;
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

/// How many are in full, and how many the others count: into how many entries these fall is a matter of time.
fn told(entries: &[AuditEntry]) -> (usize, i64) {
    let full = entries.iter().filter(|entry| entry.count == 0).count();
    (full, entries.iter().map(|entry| entry.count).sum())
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
async fn equal_refusals_are_counted_and_written_while_their_minute_runs() {
    let world = World::start().await;
    let began = world.clock.clock().wall();
    for _ in 0..30 {
        world.export("at once").await;
    }
    world.export("field").await;
    world.rest().await;
    let entries = world.entries().await;
    assert_eq!(told(&entries), (2, 29), "one of each in full, and nobody had to ask again");
    let counted = entries.iter().filter(|entry| entry.count > 0);
    for entry in counted {
        assert_eq!((entry.action.as_str(), entry.outcome()), ("customer.export", AuditOutcome::Denied));
        assert!(entry.resource_ids.is_empty(), "it may be about any row: {entry:?}");
    }
    assert_eq!(world.clock.clock().wall(), began, "no minute has ended");
    assert_eq!(world.running.next_due().await, None, "and nothing waits for its end");
    world.end_minute().await;
    world.export("at once").await;
    assert_eq!(told(&world.entries().await), (3, 29), "the next minute begins anew");
}

#[tokio::test]
async fn who_has_many_counts_in_a_minute_waits_for_its_end_with_the_rest() {
    let world = World::start().await;
    // The one beyond those that are told apart stands for all that are beyond.
    let kinds = 2 * (TOLD_APART + 1);
    for _ in 0..2 {
        for number in 0..=TOLD_APART {
            world.export(&format!("give {number}")).await;
            world.export(&format!("lend {number}")).await;
        }
    }
    world.rest().await;
    let full = usize::try_from(kinds).expect("a few");
    assert_eq!(told(&world.entries().await), (full, EARLY_MAX), "each counts one");
    assert!(world.running.next_due().await.is_some(), "the others wait");
    world.end_minute().await;
    let entries = world.entries().await;
    assert_eq!(told(&entries), (full, kinds), "none is lost");
    let nobody = entries.iter().filter(|entry| entry.count > 0 && entry.resource_ids.is_empty());
    assert!(nobody.clone().all(|entry| entry.fields.is_empty()));
    assert_eq!(nobody.count(), 2, "what is counted together names nobody");
}

#[tokio::test]
async fn a_count_that_cannot_be_written_is_written_when_the_database_obeys_again() {
    let world = World::start().await;
    world.export("at once").await;
    world.change("ALTER TABLE outbox RENAME TO elsewhere").await;
    world.export("at once").await;
    world.export("at once").await;
    assert!(tokio::time::timeout(LONGER, world.rest()).await.is_err(), "it stays due");
    world.change("ALTER TABLE elsewhere RENAME TO outbox").await;
    world.rest().await;
    assert_eq!(told(&world.entries().await), (1, 2));
}

#[tokio::test]
async fn for_whom_somebody_tried_second_is_in_the_audit_too() {
    let world = World::start().await;
    for how in ["give 1", "give 2", "give 1"] {
        world.export(how).await;
    }
    world.running.stop().await.expect("it stops");
    let written = entries(&world.database).await;
    let mut named: Vec<_> = written.iter().map(|entry| (entry.resource_ids.clone(), entry.count)).collect();
    named.sort_unstable();
    let id = |number| vec![Uuid::from_u128(number).to_string()];
    assert_eq!(named, [(id(1), 0), (id(1), 1), (id(2), 0)], "the third was the first again");
}

#[tokio::test]
async fn what_was_counted_is_written_when_the_process_stops() {
    let world = World::start().await;
    for _ in 0..3 {
        world.export("at once").await;
    }
    world.running.stop().await.expect("it stops");
    assert_eq!(told(&entries(&world.database).await), (1, 2));
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
    assert_eq!(told(&world.entries().await), (1, 0), "what was not written counts as nothing");
}

#[tokio::test]
async fn a_panic_in_the_middle_of_an_answer_is_told_as_a_fault() {
    let world = World::start().await;
    let (_, status) = world.export("panic").await;
    assert_eq!((status.code(), status.message()), (Code::Internal, "internal error"));
    assert_eq!(world.export("at once").await.1.code(), Code::PermissionDenied, "the process lives");
}
