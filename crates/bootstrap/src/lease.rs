//! The lease: this process's right to answer from the permission state that it has loaded, renewed with identity.
//!
//! What a message changes is the keeper's to say ([`Keeper`]); here they are sent, received and waited for. The stream of
//! changes makes loads earlier: whatever it misses, the next renewal finds. When identity is away, deadlines pass and every
//! decision answers UNAVAILABLE.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use revisit_core::{Clock, Failure, Ids, Kind, Timestamp, id, id::TenantId};
use revisit_permission::{Keeper, Leases, Renewal};
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
    /// Renewals sent so far.
    sent: AtomicI64,
    wait_max: Duration,
    keeper: Mutex<Keeper>,
    /// Two renewals at once could acknowledge backwards.
    renewing: tokio::sync::Mutex<()>,
    wake: Notify,
    changed: watch::Sender<()>,
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
            sent: AtomicI64::new(0),
            wait_max: Duration::from_millis(settings.wait_millis_max),
            keeper: Mutex::new(Keeper::new(leases.clone(), Duration::from_millis(settings.drift_millis))),
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
            while !self.keeper().is_settled() {
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
        self.keeper().time(self.0.clock.steady())
    }

    /// Incarnation of identity's database, once it has answered.
    #[must_use]
    pub fn incarnation(&self) -> Option<String> {
        self.keeper().incarnation().map(str::to_owned)
    }

    /// Renews and listens until the drain has ended: the calls that it waits for need the lease.
    pub(crate) async fn run(self, shutdown: Shutdown) {
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = async { tokio::join!(self.renew_always(), self.watch_always()) } => {}
        }
    }

    fn keeper(&self) -> MutexGuard<'_, Keeper> {
        // Nothing in it panics between two assignments: a panic elsewhere leaves it whole.
        self.0.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn name(&self, tenant: TenantId) {
        self.keeper().name(tenant);
        self.0.wake.notify_one();
    }

    async fn wait(&self, tenant: TenantId, until: impl Fn(&Self) -> bool) -> Result<(), Failure> {
        let mut changed = self.0.changed.subscribe();
        let waiting = async {
            loop {
                // Asked first, because to read a tenant is to name it.
                if self.keeper().is_unknown(tenant) {
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
        let mut ttl = self.renew_once().await?;
        if self.keeper().take_renamed() {
            ttl = self.renew_once().await?;
        }
        self.0.changed.send_replace(());
        Ok(ttl)
    }

    async fn renew_once(&self) -> Result<Duration, Failure> {
        let (named, incarnation) = {
            let keeper = self.keeper();
            (keeper.named(), keeper.incarnation().unwrap_or_default().to_owned())
        };
        let request = pb::RenewLeaseRequest {
            holder: self.0.holder.clone(),
            epoch: self.0.epoch.clone(),
            tenants: named.iter().map(|(tenant, revision)| load::tenant_revision(*tenant, *revision)).collect(),
            number: self.0.sent.fetch_add(1, Ordering::SeqCst) + 1,
            incarnation,
        };
        // Before the request leaves: identity's reading is later than this in every case.
        let sent = self.0.clock.steady();
        let answer = status::answer(load::client(&self.0.peers, RENEW_MAX).renew_lease(request).await)?;
        let granted = answer.tenants.iter().filter_map(|found| Some((found.tenant_id.parse().ok()?, found.revision)));
        let renewal = Renewal {
            ttl: Duration::from_millis(u64::try_from(answer.ttl_millis).unwrap_or(0)),
            database_time: Timestamp::from_micros(answer.database_time_micros),
            granted: granted.collect(),
            incarnation: answer.incarnation,
        };
        let behind = {
            let mut keeper = self.keeper();
            let former = keeper.incarnation().is_some_and(|former| former != renewal.incarnation);
            if former {
                tracing::warn!("identity's database was restored; all permission state is loaded anew");
            }
            keeper.renewed(sent, &named, &renewal)
        };
        behind.into_iter().for_each(|load| self.load_soon(load));
        Ok(renewal.ttl)
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
        while let Some(push) = changes.message().await.map_err(|status| status::failure(&status))? {
            if let Ok(tenant) = push.tenant_id.parse() {
                // Read before the lock is taken: renewals wait for it.
                let push = load::pushed(push);
                let load = self.keeper().pushed(tenant, push);
                load.into_iter().for_each(|load| self.load_soon(load));
            }
        }
        Ok(())
    }
}

/// The state that a call needs could not be had in time.
pub(crate) fn stale() -> Failure {
    Failure::unavailable("LEASE_EXPIRED", "the permission state is not fresh enough; try again")
}
