//! Reading and writing under a permit, on SQLite and on PostgreSQL.

use base64::{Engine, engine::general_purpose::STANDARD};
use revisit_bootstrap::{
    Database, Secret, Tx,
    database::{self, fault},
    idempotency::Repeatable,
    is_unique,
    seal::RequestKeys,
    settings::{DatabaseConfig, SealConfig, Settings},
};
use revisit_core::{
    Clock, Failure, Ids, Input, Kind, ManualClock, Timestamp,
    id::{SubjectId, TenantId},
};
use revisit_event::{Draft, Outbox};
use revisit_permission::{Caller, Leases, Worker};
use revisit_proto::customer::v1::{AddNoteRequest, OwnerChanged};
use revisit_tests::{
    databases::{Backend, TestDatabase},
    fake_identity::unknown_id,
};
use sea_orm::{ConnectionTrait, DbErr, Statement};
use sea_orm_migration::{MigrationName, MigrationTrait, MigratorTrait, SchemaManager, async_trait::async_trait};

/// The tables of a tiny service.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        let mut all = database::migrations();
        all.push(Box::new(Notes));
        all
    }
}

struct Notes;

impl MigrationName for Notes {
    fn name(&self) -> &str {
        "test_0001_note"
    }
}

#[async_trait]
#[expect(elided_lifetimes_in_paths, reason = "the trait's signature elides it, and async_trait wants the same")]
impl MigrationTrait for Notes {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let table = "CREATE TABLE note (tenant_id {uuid} NOT NULL, text {text} NOT NULL, sealed {bytes},
            PRIMARY KEY (tenant_id, text))";
        database::run(manager, &[table]).await?;
        database::isolate(manager, "note").await
    }
}

#[tokio::test]
async fn a_pool_of_one_connection_is_enough_to_migrate() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let test = TestDatabase::new(backend).await;
        let one = DatabaseConfig { connections_max: 1, ..config(&test.url) };
        let database = Database::open(&one, Clock::system()).await.expect("it opens");
        database.migrate::<Migrator>().await.expect("it migrates");
        database.require_migrated::<Migrator>().await.expect("nothing is missing");
        drop(database);
        test.close().await;
    }
}

pub const WORKER: Worker = Worker::declare("test");

/// The configuration of a database.
pub fn config(url: &str) -> DatabaseConfig {
    let layers = revisit_bootstrap::config::Layers::defaults(&[revisit_bootstrap::config::DEFAULTS]);
    let settings: Settings = layers.and_then(revisit_bootstrap::config::Layers::finish).expect("the manual");
    DatabaseConfig { url: url.to_owned(), durable: false, ..settings.database }
}

/// Keys for what is kept of requests; the last one is current.
fn request_keys(keys: &[u8]) -> RequestKeys {
    let name = |key: &u8| format!("k{key}");
    let config = SealConfig {
        index_current: keys.last().map(name).unwrap_or_default(),
        index_keys: keys.iter().map(|key| (name(key), Secret::new(STANDARD.encode([*key; 32])))).collect(),
        ..SealConfig::default()
    };
    RequestKeys::new(&config).expect("the ring is whole")
}

/// Runs a test on a migrated database of each kind.
pub async fn on_each(test: impl AsyncFn(Database)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let home = TestDatabase::new(backend).await;
        let database = Database::open(&config(&home.url), Clock::system()).await.expect("it opens");
        database.migrate::<Migrator>().await.expect("it migrates");
        let outbox = Outbox::new("customer", Clock::system(), Ids::random()).consumed_by(["followup"]);
        test(database.with_outbox(outbox).with_request_keys(request_keys(&[7]))).await;
        home.close().await;
    }
}

pub async fn insert(tx: &Tx, tenant: TenantId, text: &str) -> Result<(), DbErr> {
    let statement = "INSERT INTO note (tenant_id, text) VALUES ($1, $2)";
    let values = [tenant.uuid().into(), text.into()];
    tx.execute_raw(Statement::from_sql_and_values(tx.get_database_backend(), statement, values)).await?;
    Ok(())
}

async fn count(database: &Database, table: &str) -> i64 {
    let counted = database.read(&WORKER, async |tx: &Tx| {
        let text = format!("SELECT count(*) AS rows FROM {table}");
        let row = tx.query_one_raw(Statement::from_string(tx.get_database_backend(), text)).await.map_err(fault)?;
        row.expect("a count").try_get("", "rows").map_err(fault)
    });
    counted.await.expect("it can be read")
}

fn event(tenant: TenantId) -> Draft {
    Draft::new(tenant, tenant.uuid(), 1, &OwnerChanged::default())
}

#[tokio::test]
async fn state_and_event_are_committed_together_or_not_at_all() {
    on_each(async |database| {
        let tenant = unknown_id();
        let failed = database.write(&WORKER, async |tx: &Tx| {
            insert(tx, tenant, "a").await.map_err(fault)?;
            tx.emit(event(tenant));
            Err::<(), _>(Failure::new(Kind::Precondition, "NO", "changed its mind"))
        });
        assert_eq!(failed.await.expect_err("it fails").reason, "NO");
        assert_eq!((count(&database, "note").await, count(&database, "outbox").await), (0, 0));
        let written = database.write(&WORKER, async |tx: &Tx| {
            insert(tx, tenant, "a").await.map_err(fault)?;
            tx.emit(event(tenant));
            Ok::<_, Failure>(())
        });
        written.await.expect("it is written");
        assert_eq!((count(&database, "note").await, count(&database, "outbox").await), (1, 1));
    })
    .await;
}

#[tokio::test]
async fn a_permit_that_no_longer_holds_at_the_end_keeps_nothing() {
    on_each(async |database| {
        let (tenant, user): (TenantId, SubjectId) = (unknown_id(), unknown_id());
        let manual = ManualClock::frozen(Timestamp::from_seconds(1_000));
        let leases = leased(&manual, tenant, user);
        let caller = Caller::named(tenant, user);
        let permit = caller.own(&leases).expect("the lease holds");
        let late = database.write(&permit, async |tx: &Tx| {
            insert(tx, tenant, "late").await.map_err(fault)?;
            manual.advance_steady(std::time::Duration::from_secs(60));
            Ok::<_, Failure>(())
        });
        assert_eq!(late.await.expect_err("the lease has ended").reason, "LEASE_EXPIRED");
        let late = database.read(&permit, async |_: &Tx| Ok::<_, Failure>(7));
        assert_eq!(late.await.expect_err("the lease has ended").reason, "LEASE_EXPIRED");
        assert_eq!(count(&database, "note").await, 0);
    })
    .await;
}

pub fn leased(manual: &ManualClock, tenant: TenantId, user: SubjectId) -> Leases {
    use revisit_permission::{Change, Facts, Snapshot, Subject, SubjectState};
    let changes = [Change::Subject(Subject::user(user, "Mei", SubjectState::Active))];
    let leases = Leases::new(manual.clock());
    leases.load(tenant, std::sync::Arc::new(Snapshot::compile(&Facts::of(tenant, &changes), 1)));
    let now = manual.clock().steady();
    leases.renewed(tenant, now + std::time::Duration::from_secs(10), 1, (manual.clock().wall(), now));
    leases
}

#[tokio::test]
async fn a_read_cannot_write() {
    on_each(async |database| {
        let written = database.read(&WORKER, async |tx: &Tx| insert(tx, unknown_id(), "a").await.map_err(fault));
        assert_eq!(written.await.expect_err("it is refused").kind, Kind::Internal);
        assert_eq!(count(&database, "note").await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_row_that_exists_is_told_apart_from_other_faults() {
    on_each(async |database| {
        let tenant = unknown_id();
        let twice = database.write(&WORKER, async |tx: &Tx| {
            insert(tx, tenant, "a").await.map_err(fault)?;
            Ok::<_, Failure>(insert(tx, tenant, "a").await.expect_err("it exists"))
        });
        // PostgreSQL has given the transaction up by then, and says so at the commit or not at all.
        if let Ok(error) = twice.await {
            assert!(is_unique(&error), "{error}");
        }
        let unknown = database.write(&WORKER, async |tx: &Tx| {
            let error = tx.execute_unprepared("SELECT nothing FROM nowhere").await.expect_err("there is no such table");
            assert!(!is_unique(&error));
            Err::<(), _>(fault(error))
        });
        let failure = unknown.await.expect_err("a fault");
        assert_eq!((failure.kind, failure.message.as_str()), (Kind::Internal, "internal error"));
    })
    .await;
}

#[tokio::test]
async fn writers_wait_for_each_other_and_all_of_them_commit() {
    on_each(async |database| {
        let tenant = unknown_id();
        let writers: Vec<_> = (0..20)
            .map(|number| {
                let database = database.clone();
                tokio::spawn(async move {
                    let write = database.write(&WORKER, async |tx: &Tx| {
                        tx.lock(7).await.map_err(fault)?;
                        insert(tx, tenant, &number.to_string()).await.map_err(fault)
                    });
                    write.await
                })
            })
            .collect();
        for writer in writers {
            writer.await.expect("no panic").expect("it commits");
        }
        assert_eq!(count(&database, "note").await, 20);
    })
    .await;
}

#[tokio::test]
async fn the_time_of_a_transaction_is_the_databases_or_the_wall() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let home = TestDatabase::new(backend).await;
        let system = Database::open(&config(&home.url), Clock::system()).await.expect("it opens");
        let now = async |database: &Database| {
            let read = database.read(&WORKER, async |tx: &Tx| tx.now().await.map_err(fault));
            read.await.expect("it is told")
        };
        let (before, found) = (Clock::system().wall(), now(&system).await);
        let minute = std::time::Duration::from_secs(60);
        assert!(found + minute > before && before + minute > found, "{found:?}");
        let manual = ManualClock::at(Timestamp::from_seconds(77));
        let moved = Database::open(&config(&home.url), manual.clock()).await.expect("it opens");
        assert_eq!(now(&moved).await, Timestamp::from_seconds(77));
        drop((system, moved));
        home.close().await;
    }
}

#[tokio::test]
async fn a_database_that_lacks_a_migration_is_refused() {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let home = TestDatabase::new(backend).await;
        let database = Database::open(&config(&home.url), Clock::system()).await.expect("it opens");
        let refused = database.require_migrated::<Migrator>().await.expect_err("everything is missing");
        assert_eq!(refused.reason, "MIGRATIONS_MISSING");
        database.migrate::<Migrator>().await.expect("it migrates");
        database.require_migrated::<Migrator>().await.expect("nothing is missing");
        drop(database);
        home.close().await;
    }
}

#[tokio::test]
async fn a_database_that_is_away_is_unavailable_and_says_nothing_of_its_driver() {
    let away = DatabaseConfig { acquire_millis_max: 200, ..config("postgres://revisit@127.0.0.1:1/none") };
    let Err(failure) = Database::open(&away, Clock::system()).await else { panic!("nobody listens there") };
    assert_eq!((failure.kind, failure.reason), (Kind::Unavailable, "DATABASE_UNAVAILABLE"));
    assert_eq!(failure.message, "the database cannot be reached");
}

/// What a service's own error is to the closures: something that a driver's error becomes.
#[derive(Debug)]
pub struct Error(pub Failure);
impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        Self(fault(error))
    }
}
impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

#[tokio::test]
async fn a_repeated_request_finds_its_first_answer_and_another_body_is_refused() {
    on_each(async |database| {
        let (tenant, subject): (TenantId, SubjectId) = (unknown_id(), unknown_id());
        let id = unknown_id::<()>().to_string();
        let read = |text: &str| {
            let message = AddNoteRequest { text: text.to_owned(), ..AddNoteRequest::default() };
            let mut input = Input::default();
            let read = Repeatable::read(&mut input, &id, "AddNote", &message);
            input.finish().expect("the id is good");
            read.expect("it has an id")
        };
        let answer = async |text: &str, new: &[u8]| {
            let request = read(text);
            let written = database.write(&WORKER, async |tx: &Tx| {
                if let Some(first) = request.first_answer(tx, tenant, subject).await? {
                    return Ok(first);
                }
                request.keep(tx, tenant, subject, new.to_vec()).await?;
                Ok::<_, Failure>(new.to_vec())
            });
            written.await
        };
        assert_eq!(answer("a", b"first").await.expect("it is new"), b"first");
        assert_eq!(answer("a", b"second").await.expect("it is a repeat"), b"first");
        assert_eq!(answer("b", b"third").await.expect_err("another body").reason, "REQUEST_ID_REUSED");
    })
    .await;
}

/// What lies in the table of a request that a subject has made: digest and answer.
async fn kept(database: &Database, tenant: TenantId, subject: SubjectId) -> (Vec<u8>, Vec<u8>) {
    let read = database.read(&WORKER, async |tx: &Tx| {
        let text = "SELECT body_digest, answer FROM request WHERE tenant_id = $1 AND subject = $2";
        let values = [tenant.uuid().into(), subject.uuid().into()];
        let row = tx.query_one_raw(Statement::from_sql_and_values(tx.get_database_backend(), text, values)).await;
        let row = row.map_err(fault)?.expect("it is kept");
        let column = |name: &str| row.try_get("", name).map_err(fault);
        Ok::<_, Failure>((column("body_digest")?, column("answer")?))
    });
    read.await.expect("it can be read")
}

#[tokio::test]
async fn of_a_request_nothing_is_kept_that_the_tables_alone_could_tell_and_a_new_key_forgets_none() {
    on_each(async |database| {
        let (tenant, subject): (TenantId, SubjectId) = (unknown_id(), unknown_id());
        let id = unknown_id::<()>().to_string();
        let message = AddNoteRequest { text: "13800001001".to_owned(), ..AddNoteRequest::default() };
        let request = Repeatable::read(&mut Input::default(), &id, "AddNote", &message).expect("it has an id");
        let secret = b"a link that is told once";
        let strange = database.with_request_keys(request_keys(&[9]));
        let others: [SubjectId; 2] = [unknown_id(), unknown_id()];
        for (database, subject) in [(&database, subject), (&database, others[0]), (&strange, others[1])] {
            let keep = async |tx: &Tx| request.keep(tx, tenant, subject, secret.to_vec()).await;
            database.write(&WORKER, keep).await.expect("it is new");
        }
        let (digest, answer) = kept(&database, tenant, subject).await;
        assert_eq!(digest, kept(&database, tenant, others[0]).await.0, "with the key it is compared");
        assert_ne!(digest, kept(&database, tenant, others[1]).await.0, "without it nothing can be tried out");
        assert!(!answer.windows(secret.len()).any(|part| part == secret), "an answer may hold a secret");
        let rotated = database.with_request_keys(request_keys(&[7, 8]));
        let again = async |tx: &Tx| request.first_answer(tx, tenant, subject).await;
        assert_eq!(rotated.read(&WORKER, again).await.expect("the old key is there").as_deref(), Some(&secret[..]));
        assert_eq!(strange.read(&WORKER, again).await.expect_err("another ring").reason, "REQUEST_ID_REUSED");
    })
    .await;
}
