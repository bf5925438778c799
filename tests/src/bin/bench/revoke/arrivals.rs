//! When each revision was committed, as PostgreSQL tells its listeners, and when each replica had loaded it.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use revisit_core::{Clock, Steady, id::TenantId};
use revisit_tests::{databases::connect_to, replica::Replica};
use sea_orm::sqlx::postgres::PgListener;

/// Channel on which identity tells of revisions.
const CHANNEL: &str = "revision";

/// Instants by revision.
type Instants = Arc<Mutex<BTreeMap<i64, Steady>>>;

/// What happens to the revisions of one company.
pub struct Arrivals {
    committed: Instants,
    /// The latest of all replicas, of those that load each.
    loaded: Vec<Instants>,
}

impl Arrivals {
    /// Notes from now on.
    pub async fn of(database: &str, tenant: TenantId, replicas: &[Arc<Replica>]) -> Self {
        let connection = connect_to(database).await;
        let mut listener =
            PgListener::connect_with(connection.get_postgres_connection_pool()).await.expect("it answers");
        listener.listen(CHANNEL).await.expect("it may be listened to");
        let arrivals =
            Self { committed: Instants::default(), loaded: replicas.iter().map(|_| Instants::default()).collect() };
        let committed = Arc::clone(&arrivals.committed);
        let whose = tenant.to_string();
        tokio::spawn(async move {
            let clock = Clock::system();
            while let Ok(told) = listener.recv().await {
                let revision = told.payload().strip_prefix(&whose).and_then(|rest| rest.trim().parse().ok());
                note(&committed, revision, clock.steady());
            }
            drop(connection);
        });
        for (replica, loaded) in replicas.iter().zip(&arrivals.loaded) {
            let (mut revision, loaded) = (replica.revision(tenant), Arc::clone(loaded));
            tokio::spawn(async move {
                let clock = Clock::system();
                while revision.changed().await.is_ok() {
                    let now = clock.steady();
                    note(&loaded, Some(*revision.borrow_and_update()), now);
                }
            });
        }
        arrivals
    }

    /// From each commit until the last replica had loaded it; a revision that some replica passed over is left out.
    pub fn spans(&self) -> Vec<Duration> {
        let committed = self.committed.lock().unwrap_or_else(PoisonError::into_inner);
        let loaded: Vec<_> = self.loaded.iter().map(|it| it.lock().unwrap_or_else(PoisonError::into_inner)).collect();
        let last = |revision: &i64| {
            let all: Option<Vec<Steady>> = loaded.iter().map(|it| it.get(revision).copied()).collect();
            all?.into_iter().max()
        };
        committed.iter().filter_map(|(revision, at)| Some(last(revision)?.since(*at))).collect()
    }
}

fn note(instants: &Instants, revision: Option<i64>, at: Steady) {
    if let Some(revision) = revision {
        instants.lock().unwrap_or_else(PoisonError::into_inner).entry(revision).or_insert(at);
    }
}
