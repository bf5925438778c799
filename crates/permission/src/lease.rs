//! The read side of the lease: which snapshot may be answered from, until when, and what time it is.
//!
//! No I/O. The lease client feeds it with what identity answered; everybody else reads. Past the deadline of a tenant
//! nobody gets a snapshot, whatever the reason: the answer is "not now", never an old one.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arc_swap::ArcSwap;
use revisit_core::{Clock, Steady, Timestamp, id::TenantId};
use tokio::sync::watch;

use crate::snapshot::Snapshot;

mod keeper;
mod load;
mod teller;

pub use keeper::{Keeper, Renewal};
pub use load::{Load, Missing, Push};
pub use teller::{Effective, Holder, Silence, Telling};

/// Tenants that one process holds at the most; those beyond are never answered.
pub const TENANTS_MAX: usize = 10_000;

/// The leases of one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Leases(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clock: Clock,
    /// Replaced as a whole when a tenant is named first: rare, while every decision reads it.
    tenants: ArcSwap<HashMap<TenantId, Arc<Held>>>,
    naming: Mutex<()>,
    /// Counts tenants named, so that the lease client may wait for the next one.
    named: watch::Sender<usize>,
}

/// What is held of one tenant.
#[derive(Debug)]
struct Held {
    state: ArcSwap<State>,
    changing: Mutex<()>,
    /// The revision loaded; 0 for none.
    loaded: watch::Sender<i64>,
}

#[derive(Clone, Debug, Default)]
struct State {
    snapshot: Option<Arc<Snapshot>>,
    /// Until when the snapshot may be answered from.
    deadline: Steady,
    time: Option<Time>,
    /// A renewal whose revision is not loaded yet; it counts once it is.
    pending: Option<(i64, Steady)>,
}

/// The database's time at an instant of the boot-time clock.
#[derive(Clone, Copy, Debug)]
struct Time {
    database: Timestamp,
    at: Steady,
}

/// What a decision is made on.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The newest loaded state.
    pub snapshot: Arc<Snapshot>,
    /// Database time that came with the lease, and the boot-time clock since.
    pub now: Timestamp,
    /// When the lease ends, in the same time.
    pub until: Timestamp,
}

/// There is no snapshot to answer from: none is loaded, or the lease has run out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stale;

impl Leases {
    /// No lease on any tenant yet.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        let named = watch::Sender::new(0);
        Self(Arc::new(Inner { clock, tenants: ArcSwap::default(), naming: Mutex::new(()), named }))
    }

    /// What may be decided on now. A tenant that nobody asked for before is named here, so that the next renewal
    /// brings it.
    pub fn read(&self, tenant: TenantId) -> Result<Reading, Stale> {
        let held = match self.0.tenants.load().get(&tenant) {
            Some(held) => Arc::clone(held),
            None => {
                self.name(tenant);
                return Err(Stale);
            }
        };
        let state = held.state.load();
        let steady = self.0.clock.steady();
        let (Some(snapshot), Some(time)) = (&state.snapshot, state.time) else { return Err(Stale) };
        if steady >= state.deadline {
            return Err(Stale);
        }
        let now = time.database + steady.since(time.at);
        Ok(Reading { snapshot: Arc::clone(snapshot), now, until: now + state.deadline.since(steady) })
    }

    /// The tenants to name in the next renewal, each with the revision loaded (0 for none), in the order of ids.
    #[must_use]
    pub fn tenants(&self) -> Vec<(TenantId, i64)> {
        let tenants = self.0.tenants.load();
        let mut tenants: Vec<_> = tenants.iter().map(|(tenant, held)| (*tenant, *held.loaded.borrow())).collect();
        tenants.sort_unstable();
        tenants
    }

    /// Names a tenant for the next renewal.
    pub fn name(&self, tenant: TenantId) {
        let _ = self.held(tenant);
    }

    /// Changes when another tenant is named.
    #[must_use]
    pub fn named(&self) -> watch::Receiver<usize> {
        self.0.named.subscribe()
    }

    /// The revision loaded of a tenant; who waits for `at_least` watches it.
    #[must_use]
    pub fn revision(&self, tenant: TenantId) -> watch::Receiver<i64> {
        // Beyond the bound there is nothing that will ever change: the sender is gone at once.
        self.held(tenant).map_or_else(|| watch::channel(0).1, |held| held.loaded.subscribe())
    }

    /// A renewal was answered: `revision` may be answered from until `deadline`, and between its sending at `sent` and
    /// now it was `database`. Time is counted from the sending, so that nothing is held to last longer than it does. If
    /// that revision is not loaded yet the deadline stays where it is until it is.
    pub fn renewed(&self, tenant: TenantId, deadline: Steady, revision: i64, (database, sent): (Timestamp, Steady)) {
        let Some(held) = self.held(tenant) else { return };
        let time = Time { database, at: sent };
        held.change(|state| {
            state.time = Some(time);
            state.pending = Some((revision, deadline));
        });
    }

    /// A snapshot was compiled. An older one than that which is loaded changes nothing.
    pub fn load(&self, tenant: TenantId, snapshot: Arc<Snapshot>) {
        let Some(held) = self.held(tenant) else { return };
        debug_assert_eq!(snapshot.tenant, tenant, "a snapshot is loaded for its own tenant");
        held.change(|state| {
            if state.snapshot.as_ref().is_none_or(|old| old.revision <= snapshot.revision) {
                state.snapshot = Some(snapshot);
            }
        });
    }

    /// Forgets a tenant, or everything of it after identity's database was restored: its revisions start anew.
    pub fn forget(&self, tenant: TenantId) {
        let _naming = lock(&self.0.naming);
        let mut tenants = (**self.0.tenants.load()).clone();
        tenants.remove(&tenant);
        self.0.tenants.store(Arc::new(tenants));
    }

    fn held(&self, tenant: TenantId) -> Option<Arc<Held>> {
        if let Some(held) = self.0.tenants.load().get(&tenant) {
            return Some(Arc::clone(held));
        }
        let _naming = lock(&self.0.naming);
        let mut tenants = (**self.0.tenants.load()).clone();
        if tenants.len() >= TENANTS_MAX && !tenants.contains_key(&tenant) {
            return None;
        }
        let held = tenants.entry(tenant).or_insert_with(|| Arc::new(Held::new()));
        let held = Arc::clone(held);
        let count = tenants.len();
        self.0.tenants.store(Arc::new(tenants));
        self.0.named.send_replace(count);
        Some(held)
    }
}

impl Held {
    fn new() -> Self {
        Self { state: ArcSwap::default(), changing: Mutex::new(()), loaded: watch::Sender::new(0) }
    }

    /// Changes the state as a whole, so that a reader sees a deadline only beside the snapshot that it is for.
    fn change(&self, change: impl FnOnce(&mut State)) {
        let _changing = lock(&self.changing);
        let mut state = State::clone(&self.state.load());
        change(&mut state);
        let loaded = state.snapshot.as_ref().map_or(0, |snapshot| snapshot.revision);
        if let Some((_, deadline)) = state.pending.take_if(|(revision, _)| *revision <= loaded) {
            state.deadline = state.deadline.max(deadline);
        }
        self.state.store(Arc::new(state));
        self.loaded.send_if_modified(|revision| std::mem::replace(revision, loaded) != loaded);
    }
}

/// A poisoned lock only means that another thread panicked: what it guards is replaced as a whole and stays valid.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
