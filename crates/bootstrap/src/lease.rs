//! The lease: this process's right to answer from the permission state that it has loaded, renewed with identity.
//!
//! A tenant is named by a renewal first and loaded after it, so that a revocation committed in between finds this
//! holder's row. A deadline counts from the instant at which the renewal was sent, less the drift, and moves only once
//! the revision that came back is loaded. The stream of changes is a hint: whatever it misses, the next renewal finds.
//! When identity is away, deadlines pass and every decision answers UNAVAILABLE.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use revisit_core::{Clock, Failure, Ids, Kind, Steady, Timestamp, id, id::TenantId};
use revisit_permission::{Facts, Leases};
use revisit_proto::identity::v1 as pb;
use tokio::sync::{Notify, watch};

use crate::{client::Peers, settings, shutdown::Shutdown, status};

mod load;

/// Pause after a renewal that failed.
const RETRY: Duration = Duration::from_millis(200);
/// Pause after the stream of changes broke.
const WATCH_RETRY: Duration = Duration::from_secs(1);
/// Time allowed for one renewal: past it the next one is worth more.
const RENEW_MAX: Duration = Duration::from_secs(2);

/// The side of the lease that renews it. Cheap to clone.
#[derive(Clone)]
pub struct LeaseClient(Arc<Inner>);

struct Inner {
    leases: Leases,
    clock: Clock,
    peers: Peers,
    holder: String,
    epoch: String,
    drift: Duration,
    wait_max: Duration,
    state: Mutex<State>,
    /// Two renewals at once could acknowledge backwards.
    renewing: tokio::sync::Mutex<()>,
    wake: Notify,
    changed: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    tenants: HashMap<TenantId, Held>,
    /// Tenants that the newest renewal named and identity does not know.
    unknown: HashSet<TenantId>,
    incarnation: Option<String>,
    /// Database time of the newest renewal, when it was sent, and until when it may be told.
    time: Option<(Timestamp, Steady, Steady)>,
}

/// What is loaded of a tenant, apart from the snapshot that was compiled of it.
struct Held {
    /// Nothing while a load has them.
    facts: Option<Facts>,
    revision: i64,
    /// The revision that the newest renewal brought.
    granted: i64,
}

impl Held {
    fn nothing(tenant: TenantId) -> Self {
        Self { facts: Some(Facts::new(tenant)), revision: 0, granted: 0 }
    }
}

impl LeaseClient {
    pub(crate) fn new(
        leases: Leases,
        peers: Peers,
        holder: &str,
        settings: &settings::Lease,
        source: (Clock, Ids),
    ) -> Self {
        let (clock, ids) = source;
        let draw = || ids.next::<id::kind::Session>(clock.wall());
        Self(Arc::new(Inner {
            holder: format!("{holder}/{}", draw()),
            epoch: draw().to_string(),
            drift: Duration::from_millis(settings.drift_millis),
            wait_max: Duration::from_millis(settings.wait_millis_max),
            state: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            changed: watch::channel(()).0,
            leases,
            clock,
            peers,
        }))
    }

    /// The read side.
    #[must_use]
    pub fn leases(&self) -> &Leases {
        &self.0.leases
    }

    /// Makes sure that `tenant` is named and loaded; waits for it a bounded time.
    pub async fn hold(&self, tenant: TenantId) -> Result<(), Failure> {
        if self.0.leases.read(tenant).is_ok() {
            return Ok(());
        }
        self.name(tenant);
        self.wait(tenant, |client| client.0.leases.read(tenant).is_ok()).await
    }

    /// Waits a bounded time until `tenant` is loaded at `revision` or past it.
    pub async fn reach(&self, tenant: TenantId, revision: i64) -> Result<(), Failure> {
        let reached =
            |client: &Self| client.0.leases.read(tenant).is_ok_and(|reading| reading.snapshot.revision >= revision);
        if reached(self) {
            return Ok(());
        }
        self.name(tenant);
        self.wait(tenant, reached).await
    }

    /// Renews now and waits until everything that came back is loaded: ends a step of the demo's clock.
    pub async fn force_renew(&self) -> Result<(), Failure> {
        let mut changed = self.0.changed.subscribe();
        self.renew().await?;
        let settled = async {
            while self.state().tenants.values().any(|held| held.revision < held.granted) {
                if changed.changed().await.is_err() {
                    return;
                }
            }
        };
        tokio::time::timeout(self.0.wait_max.max(RENEW_MAX), settled).await.map_err(|_| stale())
    }

    /// The lease time: database time of the lease plus what the boot-time clock has counted since; none past the
    /// deadline. What a producer's watermark says.
    #[must_use]
    pub fn time(&self) -> Option<Timestamp> {
        let (time, sent, until) = self.state().time?;
        let now = self.0.clock.steady();
        (now < until).then(|| time + now.since(sent))
    }

    /// Incarnation of identity's database, once it has answered.
    #[must_use]
    pub fn incarnation(&self) -> Option<String> {
        self.state().incarnation.clone()
    }

    /// Renews and listens until the drain has ended: the calls that it waits for need the lease.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = async { tokio::join!(self.renew_always(), self.watch_always()) } => {}
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is one assignment: a panic elsewhere leaves it whole.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, tenant: TenantId) {
        // It may have come into being since it was last asked for.
        self.state().unknown.remove(&tenant);
        self.0.leases.name(tenant);
        self.0.wake.notify_one();
    }

    async fn wait(&self, tenant: TenantId, until: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let mut changed = self.0.changed.subscribe();
        let waiting = async {
            loop {
                // Asked first, because to read a tenant is to name it.
                if self.state().unknown.contains(&tenant) {
                    return Err(Failure::new(Kind::NotFound, "TENANT_NOT_FOUND", "there is no such tenant"));
                }
                if until(self) {
                    return Ok(());
                }
                if changed.changed().await.is_err() {
                    return Err(stale());
                }
            }
        };
        tokio::time::timeout(self.0.wait_max, waiting).await.unwrap_or_else(|_| Err(stale()))
    }

    async fn renew_always(&self) {
        let mut away = false;
        loop {
            let pause = match self.renew().await {
                Ok(ttl) => {
                    if std::mem::take(&mut away) {
                        tracing::info!("the permission lease is renewed again");
                    }
                    ttl / 4
                }
                Err(failure) => {
                    if !std::mem::replace(&mut away, true) {
                        tracing::warn!(%failure, "the permission lease cannot be renewed");
                    }
                    RETRY
                }
            };
            tokio::select! {
                () = self.0.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn renew(&self) -> Result<Duration, Failure> {
        let _one = self.0.renewing.lock().await;
        let named = self.0.leases.tenants();
        let request = pb::RenewLeaseRequest {
            holder: self.0.holder.clone(),
            epoch: self.0.epoch.clone(),
            tenants: named.iter().map(|(tenant, revision)| load::tenant_revision(*tenant, *revision)).collect(),
        };
        // Before the request leaves: identity's reading is later than this in every case.
        let sent = self.0.clock.steady();
        let answer = status::answer(load::client(&self.0.peers, RENEW_MAX).renew_lease(request).await)?;
        let ttl = Duration::from_millis(u64::try_from(answer.ttl_millis).unwrap_or(0));
        let deadline = sent + ttl.saturating_sub(self.0.drift);
        let database_time = Timestamp::from_micros(answer.database_time_micros);
        self.enter(&answer.incarnation);
        self.state().time = Some((database_time, sent, deadline));
        let granted: HashMap<TenantId, i64> =
            answer.tenants.iter().filter_map(|found| Some((found.tenant_id.parse().ok()?, found.revision))).collect();
        self.state().unknown.clear();
        for (tenant, _) in named {
            match granted.get(&tenant) {
                Some(revision) => {
                    // The read side moves the deadline once that revision is loaded.
                    self.0.leases.renewed(tenant, deadline, *revision, (database_time, sent));
                    self.granted(tenant, *revision);
                }
                None => self.unknown(tenant),
            }
        }
        self.0.changed.send_replace(());
        Ok(ttl)
    }

    /// Another incarnation makes everything that was loaded worthless.
    fn enter(&self, incarnation: &str) {
        let mut state = self.state();
        if state.incarnation.as_deref() == Some(incarnation) {
            return;
        }
        if state.incarnation.replace(incarnation.to_owned()).is_some() {
            tracing::warn!("identity's database was restored; all permission state is loaded anew");
            for (tenant, _) in self.0.leases.tenants() {
                self.0.leases.forget(tenant);
                // Whoever waits for it has named it again; a load under way finds another incarnation and gives up.
                state.tenants.remove(&tenant);
                self.0.leases.name(tenant);
            }
        }
    }

    fn granted(&self, tenant: TenantId, revision: i64) {
        let behind = {
            let mut state = self.state();
            let held = state.tenants.entry(tenant).or_insert_with(|| Held::nothing(tenant));
            held.granted = revision;
            held.revision < revision
        };
        if behind {
            self.load_soon(tenant);
        }
    }

    /// A tenant that identity does not know is not held, or made-up ids would fill the table.
    fn unknown(&self, tenant: TenantId) {
        let mut state = self.state();
        state.tenants.remove(&tenant);
        state.unknown.insert(tenant);
        self.0.leases.forget(tenant);
    }

    /// A change was committed. A tenant is first loaded after a renewal that named it, never by a hint.
    fn hinted(&self, tenant: TenantId) {
        if self.state().tenants.get(&tenant).is_some_and(|held| held.revision > 0) {
            self.load_soon(tenant);
        }
    }

    /// Listens for changes of the tenants held; starts anew when that set changes.
    async fn watch_always(&self) {
        let mut named = self.0.leases.named();
        loop {
            let tenants: Vec<TenantId> = self.0.leases.tenants().into_iter().map(|(tenant, _)| tenant).collect();
            let listen = async {
                if tenants.is_empty() {
                    std::future::pending::<()>().await;
                }
                if let Err(failure) = self.listen(&tenants).await {
                    tracing::debug!(%failure, "the stream of permission changes broke");
                }
                tokio::time::sleep(WATCH_RETRY).await;
            };
            tokio::select! {
                _ = named.changed() => {}
                () = listen => {}
            }
        }
    }

    async fn listen(&self, tenants: &[TenantId]) -> Result<(), Failure> {
        let request = pb::WatchChangesRequest { tenant_ids: tenants.iter().map(TenantId::to_string).collect() };
        let mut changes = status::answer(load::client(&self.0.peers, RENEW_MAX).watch_changes(request).await)?;
        while let Some(change) = changes.message().await.map_err(|status| status::failure(&status))? {
            if let Ok(tenant) = change.tenant_id.parse() {
                self.hinted(tenant);
            }
        }
        Ok(())
    }
}

/// The state that a call needs could not be had in time.
pub(crate) fn stale() -> Failure {
    Failure::unavailable("LEASE_EXPIRED", "the permission state is not fresh enough; try again")
}
