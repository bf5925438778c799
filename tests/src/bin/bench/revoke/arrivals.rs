//! When each revision was committed, as PostgreSQL has noted it, and when each replica had loaded it, by the machine's one
//! wall clock.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use revisit_core::{Clock, Timestamp, id::TenantId};
use revisit_tests::{databases::connect_to, replica::Replica};
use sea_orm::{ConnectionTrait, DatabaseConnection, DbBackend, Statement};

/// The instant of each commit since the beginning.
const COMMITTED: &str = "SELECT revision,
        (extract(epoch FROM pg_xact_commit_timestamp(xmin)) * 1000000)::bigint AS micros
    FROM revision WHERE tenant_id = $1 AND revision > $2";

/// Instants by revision.
type Instants = Arc<Mutex<BTreeMap<i64, Timestamp>>>;

/// What happens to the revisions of one company.
pub struct Arrivals {
    identity: DatabaseConnection,
    tenant: TenantId,
    /// The newest revision at the beginning.
    begin: i64,
    /// Of each replica the revisions that it loads.
    loaded: Vec<Instants>,
}

impl Arrivals {
    /// Notes from now on.
    pub async fn of(database: &str, tenant: TenantId, replicas: &[Arc<Replica>]) -> Self {
        let identity = connect_to(database).await;
        let begin = replicas.iter().map(|replica| *replica.revision(tenant).borrow()).max().unwrap_or_default();
        let loaded: Vec<Instants> = replicas.iter().map(|_| Instants::default()).collect();
        for (replica, loaded) in replicas.iter().zip(&loaded) {
            let (mut revision, loaded) = (replica.revision(tenant), Arc::clone(loaded));
            tokio::spawn(async move {
                let clock = Clock::system();
                while revision.changed().await.is_ok() {
                    let now = clock.wall();
                    let mut loaded = loaded.lock().unwrap_or_else(PoisonError::into_inner);
                    loaded.entry(*revision.borrow_and_update()).or_insert(now);
                }
            });
        }
        Self { identity, tenant, begin, loaded }
    }

    /// From each commit until the last replica had loaded it; a revision that some replica passed over is left out.
    pub async fn spans(&self) -> Vec<Duration> {
        let values = [self.tenant.uuid().into(), self.begin.into()];
        let statement = Statement::from_sql_and_values(DbBackend::Postgres, COMMITTED, values);
        let committed = self.identity.query_all_raw(statement).await.expect("the instants of commits are kept");
        let loaded: Vec<_> = self.loaded.iter().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        let last = |revision: i64| {
            let all: Option<Vec<Timestamp>> = loaded.iter().map(|it| it.get(&revision).copied()).collect();
            all?.into_iter().max()
        };
        let span = |row: &sea_orm::QueryResult| {
            let revision = row.try_get("", "revision").expect("a revision");
            let committed: i64 = row.try_get("", "micros").expect("an instant");
            let micros = last(revision)?.micros() - committed;
            Some(Duration::from_micros(u64::try_from(micros).unwrap_or_default()))
        };
        committed.iter().filter_map(span).collect()
    }
}
