//! The service's database: PostgreSQL by one pool, or SQLite by one writer connection and a pool of readers.
//!
//! A store reads and writes protected rows only inside `read` and `write`, which take the permit that allows it and
//! ask it again after the last await. What a transaction emits is appended to the outbox as its last statements.

use std::{
    ops::Deref,
    sync::{Arc, Mutex, PoisonError},
};

use revisit_core::{Clock, Failure, Timestamp};
use revisit_event::{Draft, Outbox, relay::Pools};
use revisit_permission::Permit;
use sea_orm::{
    AccessMode, ConnectionTrait, DatabaseConnection, DatabaseTransaction, DbBackend, SqliteTransactionMode, Statement,
    TransactionOptions, TransactionTrait, Value,
};
use sea_orm_migration::MigratorTrait;

use crate::{seal::RequestKeys, settings::DatabaseConfig};

mod among;
mod append_only;
mod fault;
mod isolate;
mod listen;
mod migration;
mod open;
mod store;

pub use append_only::append_only;
pub use fault::{fault, is_unique};
pub use isolate::isolate;
pub use listen::Heard;
pub use migration::{migrations, run};
pub use store::{Store, insert, now};

/// Tries of [`Database::write_again`] in all.
const TRIES_MAX: u32 = 4;
/// Advisory lock under which one replica migrates while the others wait.
const MIGRATION_LOCK: i64 = 0x5265_7669_7369_7401;

/// What was decided in the course of a transaction: see [`Database::write_decided`].
pub type Standing = Box<dyn Permit + Send + Sync>;

/// A service's database. Cheap to clone.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    reader: DatabaseConnection,
    writer: DatabaseConnection,
    clock: Clock,
    outbox: Option<Outbox>,
    request_keys: Option<RequestKeys>,
}

impl Database {
    /// Opens the database; on SQLite the file and its folder are made when they are missing.
    pub async fn open(config: &DatabaseConfig, clock: Clock) -> Result<Self, Failure> {
        let (reader, writer) = open::open(config).await?;
        Ok(Self(Arc::new(Inner { reader, writer, clock, outbox: None, request_keys: None })))
    }

    /// Connects to a database that others have made; one that is not there stays away.
    pub async fn open_existing(config: &DatabaseConfig, clock: Clock) -> Result<Self, Failure> {
        open::require(config)?;
        Self::open(config, clock).await
    }

    /// The same database with the outbox to which its transactions append.
    #[must_use]
    pub fn with_outbox(&self, outbox: Outbox) -> Self {
        Self(Arc::new(Inner { outbox: Some(outbox), ..Inner::clone(&self.0) }))
    }

    /// The same database, with the keys for what its transactions keep of requests that may be repeated.
    #[must_use]
    pub fn with_request_keys(&self, request_keys: RequestKeys) -> Self {
        Self(Arc::new(Inner { request_keys: Some(request_keys), ..Inner::clone(&self.0) }))
    }

    /// The same database, whose relay also looks for what the service has planned: see [`Outbox::planning`].
    #[must_use]
    pub fn planning(&self, planned: &'static str) -> Self {
        match &self.0.outbox {
            Some(outbox) => self.with_outbox(outbox.clone().planning(planned)),
            None => self.clone(),
        }
    }

    /// Applies the migrations that are missing.
    pub async fn migrate<M: MigratorTrait>(&self) -> Result<(), Failure> {
        if !self.is_postgres() {
            return M::up(&self.0.writer, None).await.map_err(fault);
        }
        // Two replicas that start together must not migrate together: who waits for the lock finds it all done. On the
        // connection that holds the lock, because a pool of one has no other.
        let tx = self.begin(&self.0.writer, AccessMode::ReadWrite).await?;
        tx.lock(MIGRATION_LOCK).await.map_err(fault)?;
        M::up(&tx.inner, None).await.map_err(fault)?;
        tx.inner.commit().await.map_err(fault)
    }

    /// Refuses when a migration is missing.
    pub async fn require_migrated<M: MigratorTrait>(&self) -> Result<(), Failure> {
        let missing = M::get_pending_migrations(&self.0.writer).await.map_err(fault)?;
        if missing.is_empty() {
            return Ok(());
        }
        let message = format!("the database lacks {} migrations; run `migrate` first", missing.len());
        Err(Failure::new(revisit_core::Kind::Precondition, "MIGRATIONS_MISSING", message))
    }

    /// Reads under a permit: a transaction that cannot write. The permit is asked again before the answer is given.
    pub async fn read<T, E: From<Failure>>(
        &self,
        permit: &impl Permit,
        work: impl AsyncFnOnce(&Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let tx = self.begin(&self.0.reader, AccessMode::ReadOnly).await?;
        tx.name_tenant(permit).await?;
        let value = work(&tx).await?;
        // Nothing is to be kept, so a lost connection at this point changes nothing.
        let _ = tx.inner.rollback().await;
        permit.confirm().map_err(Failure::from)?;
        Ok(value)
    }

    /// Writes under a permit. Appends what was emitted, asks the permit again, commits, wakes the relay.
    ///
    /// PostgreSQL runs READ COMMITTED; SQLite takes the write lock at the beginning. A lost race or deadlock answers
    /// ABORTED; see [`Database::write_again`].
    pub async fn write<T, E: From<Failure>>(
        &self,
        permit: &impl Permit,
        work: impl AsyncFnOnce(&Tx) -> Result<T, E>,
    ) -> Result<T, E> {
        let (tx, value) = self.worked(permit, work).await?;
        self.commit(tx, permit).await?;
        Ok(value)
    }

    /// The same for work that decides by itself, on rows that it holds: what it hands back is asked again in place of the
    /// permit, which was decided on rows that may have changed since. Where it hands back nothing the permit stands.
    pub async fn write_decided<T, E: From<Failure>>(
        &self,
        permit: &impl Permit,
        work: impl AsyncFnOnce(&Tx) -> Result<(T, Option<Standing>), E>,
    ) -> Result<T, E> {
        let (tx, (value, decided)) = self.worked(permit, work).await?;
        match decided {
            Some(decided) => self.commit(tx, &*decided).await?,
            None => self.commit(tx, permit).await?,
        }
        Ok(value)
    }

    async fn worked<T, E: From<Failure>>(
        &self,
        permit: &impl Permit,
        work: impl AsyncFnOnce(&Tx) -> Result<T, E>,
    ) -> Result<(Tx, T), E> {
        let tx = self.begin(&self.0.writer, AccessMode::ReadWrite).await?;
        tx.name_tenant(permit).await?;
        match work(&tx).await {
            Ok(value) => Ok((tx, value)),
            Err(error) => {
                // An explicit end frees SQLite's only writer at once. If it fails, the connection is gone, and with
                // it the transaction.
                let _ = tx.inner.rollback().await;
                Err(error)
            }
        }
    }

    async fn commit<P: Permit + ?Sized>(&self, tx: Tx, permit: &P) -> Result<(), Failure> {
        let emitted = self.append(&tx).await?;
        permit.confirm().map_err(Failure::from)?;
        tx.inner.commit().await.map_err(fault)?;
        if emitted && let Some(outbox) = &self.0.outbox {
            outbox.committed();
        }
        Ok(())
    }

    /// The same for work that can be done again: a lost race or deadlock is repeated at most three times.
    pub async fn write_again<T>(
        &self,
        permit: &impl Permit,
        work: impl AsyncFn(&Tx) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut tries = 1;
        loop {
            match self.write(permit, &work).await {
                Err(failure) if failure.reason == fault::LOST_RACE && tries < TRIES_MAX => tries += 1,
                result => return result,
            }
        }
    }

    /// Whether it is PostgreSQL; else it is SQLite.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.0.writer.get_database_backend() == DbBackend::Postgres
    }

    /// Where the relay reads and writes.
    #[must_use]
    pub fn pools(&self) -> Pools {
        Pools { reader: self.0.reader.clone(), writer: self.0.writer.clone() }
    }

    /// The outbox to which transactions append.
    #[must_use]
    pub fn outbox(&self) -> Option<&Outbox> {
        self.0.outbox.as_ref()
    }

    async fn begin(&self, connection: &DatabaseConnection, access: AccessMode) -> Result<Tx, Failure> {
        let mut options = TransactionOptions::default();
        if self.is_postgres() {
            options.access_mode = Some(access);
        } else {
            options.sqlite_transaction_mode = Some(match access {
                AccessMode::ReadOnly => SqliteTransactionMode::Deferred,
                AccessMode::ReadWrite => SqliteTransactionMode::Immediate,
            });
        }
        let inner = connection.begin_with_options(options).await.map_err(fault)?;
        let (clock, request_keys) = (self.0.clock.clone(), self.0.request_keys.clone());
        Ok(Tx { inner, access, clock, request_keys, drafts: Mutex::default() })
    }

    async fn append(&self, tx: &Tx) -> Result<bool, Failure> {
        // A poisoned lock only means that another thread panicked while it added a draft.
        let drafts = std::mem::take(&mut *tx.drafts.lock().unwrap_or_else(PoisonError::into_inner));
        if drafts.is_empty() {
            return Ok(false);
        }
        let outbox = self.0.outbox.as_ref().ok_or_else(|| Failure::internal("this database has no outbox"))?;
        outbox.append(&tx.inner, drafts).await.map_err(fault)?;
        Ok(true)
    }
}

/// A transaction. Queries run on what it dereferences to.
pub struct Tx {
    inner: DatabaseTransaction,
    access: AccessMode,
    clock: Clock,
    request_keys: Option<RequestKeys>,
    drafts: Mutex<Vec<Draft>>,
}

impl Deref for Tx {
    type Target = DatabaseTransaction;

    fn deref(&self) -> &DatabaseTransaction {
        &self.inner
    }
}

impl Tx {
    /// Emits an event: it is appended to the outbox right before the commit.
    pub fn emit(&self, draft: Draft) {
        self.drafts.lock().unwrap_or_else(PoisonError::into_inner).push(draft);
    }

    /// The keys for what is kept of requests that may be repeated.
    pub(crate) fn request_keys(&self) -> Result<&RequestKeys, Failure> {
        self.request_keys.as_ref().ok_or_else(|| Failure::internal("this database has no keys for requests"))
    }

    /// Whether it may write, so that what it sees may never be committed.
    #[must_use]
    pub const fn may_write(&self) -> bool {
        matches!(self.access, AccessMode::ReadWrite)
    }

    /// The time of the database under the system clock, else the wall. The only time that SQL may name.
    pub async fn now(&self) -> Result<Timestamp, sea_orm::DbErr> {
        if !(self.is_postgres() && self.clock.is_system()) {
            return Ok(self.clock.wall());
        }
        let text = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS micros";
        let row = self.inner.query_one_raw(Statement::from_string(DbBackend::Postgres, text)).await?;
        let row = row.ok_or_else(|| sea_orm::DbErr::RecordNotFound("clock_timestamp".to_owned()))?;
        Ok(Timestamp::from_micros(row.try_get("", "micros")?))
    }

    /// Whether it is PostgreSQL; else it is SQLite.
    #[must_use]
    pub fn is_postgres(&self) -> bool {
        self.inner.get_database_backend() == DbBackend::Postgres
    }

    /// Has PostgreSQL plan each statement of the rest of this transaction for the tables as they are now: for work on
    /// hundreds of rows. A plan that a connection has kept was made when the table was young, say, and reads all of it.
    pub async fn plan_anew(&self) -> Result<(), sea_orm::DbErr> {
        if self.is_postgres() {
            self.inner.execute_unprepared("SET LOCAL plan_cache_mode = force_custom_plan").await?;
        }
        Ok(())
    }

    /// Waits for an advisory lock that ends with the transaction. SQLite's one writer has every lock already.
    pub async fn lock(&self, key: i64) -> Result<(), sea_orm::DbErr> {
        if self.is_postgres() {
            self.inner.execute_raw(advisory("SELECT pg_advisory_xact_lock($1)", key)).await?;
        }
        Ok(())
    }

    /// Takes an advisory lock if nobody has it. SQLite's one writer has every lock already.
    pub async fn try_lock(&self, key: i64) -> Result<bool, sea_orm::DbErr> {
        if !self.is_postgres() {
            return Ok(true);
        }
        let row = self.inner.query_one_raw(advisory("SELECT pg_try_advisory_xact_lock($1) AS taken", key)).await?;
        row.map_or(Ok(false), |row| row.try_get("", "taken"))
    }

    /// Names the tenant to row security, which refuses every row of another; a worker spans tenants.
    async fn name_tenant(&self, permit: &impl Permit) -> Result<(), Failure> {
        if !self.is_postgres() {
            return Ok(());
        }
        let tenant = permit.tenant().map_or_else(|| isolate::ALL.to_owned(), |tenant| tenant.to_string());
        let text = "SELECT set_config('revisit.tenant', $1, true)";
        let name = Statement::from_sql_and_values(DbBackend::Postgres, text, [Value::from(tenant)]);
        self.inner.execute_raw(name).await.map_err(fault)?;
        Ok(())
    }
}

fn advisory(text: &str, key: i64) -> Statement {
    Statement::from_sql_and_values(DbBackend::Postgres, text, [Value::from(key)])
}
