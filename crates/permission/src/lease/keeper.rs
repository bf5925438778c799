//! The write side of the lease: what every message of identity changes. No I/O and no waiting, so that a simulation can
//! send the messages in any order.
//!
//! A tenant is named by a renewal first and loaded after it, so that a revocation committed in between finds this
//! holder's row. A deadline counts from the instant at which the renewal was sent, less the drift, and moves only once
//! the revision that came back is loaded. A push only makes a load earlier, and spares it a question.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use revisit_core::{Steady, Timestamp, id::TenantId};

use super::{
    Leases,
    load::{Load, Push},
};
use crate::{facts::Facts, snapshot::Snapshot};

/// What identity answered to a renewal.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Renewal {
    /// How long it holds, the drift not yet taken off.
    pub ttl: Duration,
    /// Time of identity's database, read after the holder's row was committed.
    pub database_time: Timestamp,
    /// Incarnation of that database.
    pub incarnation: String,
    /// The newest revision of each named tenant that exists, read after the holder's row was committed.
    pub granted: HashMap<TenantId, i64>,
}

/// Keeps the leases of one process.
#[derive(Debug)]
pub struct Keeper {
    leases: Leases,
    drift: Duration,
    tenants: HashMap<TenantId, Held>,
    /// Pushes that came while their tenant was loaded: one of each at the most.
    waiting: HashMap<TenantId, Push>,
    /// Tenants that the newest renewal named and identity does not know.
    unknown: HashSet<TenantId>,
    incarnation: Option<String>,
    /// Counts what was given up or begun anew: a load of before counts for nothing.
    generation: u64,
    /// Something was named anew by the newest renewal: it counts once the next one has named it.
    renamed: bool,
    /// Database time of the newest renewal, when it was sent, and until when it may be told.
    time: Option<(Timestamp, Steady, Steady)>,
}

/// What is loaded of a tenant, apart from the snapshot that was compiled of it.
#[derive(Debug)]
struct Held {
    /// Nothing while a load has them.
    facts: Option<Facts>,
    revision: i64,
    /// The revision that the newest renewal brought.
    granted: i64,
    /// Which beginning this is.
    generation: u64,
}

impl Held {
    fn nothing(tenant: TenantId, granted: i64, generation: u64) -> Self {
        Self { facts: Some(Facts::new(tenant)), revision: 0, granted, generation }
    }
}

impl Keeper {
    /// Nothing is held yet. `drift` is taken off every lease for clocks that do not run alike.
    #[must_use]
    pub fn new(leases: Leases, drift: Duration) -> Self {
        Self {
            leases,
            drift,
            tenants: HashMap::new(),
            waiting: HashMap::new(),
            unknown: HashSet::new(),
            incarnation: None,
            generation: 0,
            renamed: false,
            time: None,
        }
    }

    /// The tenants to name in the next renewal, each with the revision that is acknowledged by it.
    #[must_use]
    pub fn named(&self) -> Vec<(TenantId, i64)> {
        self.leases.tenants()
    }

    /// Somebody asks for a tenant: it may have come into being since it was last asked for.
    pub fn name(&mut self, tenant: TenantId) {
        self.unknown.remove(&tenant);
        self.leases.name(tenant);
    }

    /// A renewal that was sent at `sent` and named these tenants was answered; what it makes necessary to load.
    pub fn renewed(&mut self, sent: Steady, named: &[(TenantId, i64)], renewal: &Renewal) -> Vec<Load> {
        let deadline = sent + renewal.ttl.saturating_sub(self.drift);
        self.enter(&renewal.incarnation);
        self.time = Some((renewal.database_time, sent, deadline));
        self.unknown.clear();
        let mut behind = Vec::new();
        for (tenant, acknowledged) in named {
            let Some(revision) = renewal.granted.get(tenant).copied() else {
                self.forget(*tenant);
                continue;
            };
            // What was acknowledged when the request left had been committed. A database that knows less was set back:
            // its next revisions are others under the same numbers, and this row acknowledges some of them unseen.
            if revision < *acknowledged {
                self.anew(*tenant);
                continue;
            }
            // The read side moves the deadline once that revision is loaded.
            self.leases.renewed(*tenant, deadline, revision, (renewal.database_time, sent));
            let begun = || Held::nothing(*tenant, 0, self.generation);
            let held = self.tenants.entry(*tenant).or_insert_with(begun);
            held.granted = revision;
            if held.revision < revision {
                behind.extend(self.take(*tenant));
            }
        }
        behind
    }

    /// Whether the next renewal has to follow at once, because the newest one has named something anew.
    pub fn take_renamed(&mut self) -> bool {
        std::mem::take(&mut self.renamed)
    }

    /// A revision was pushed; the load that it begins. While another one is under way it waits, the newest of each
    /// tenant. A tenant is first loaded after a renewal that named it, never by a push.
    pub fn pushed(&mut self, tenant: TenantId, push: Push) -> Option<Load> {
        let is_older = |known: &Push| known.incarnation == push.incarnation && known.revision >= push.revision;
        // One of a tenant that is given up by now would wait for ever.
        if self.tenants.contains_key(&tenant) && !self.waiting.get(&tenant).is_some_and(is_older) {
            self.waiting.insert(tenant, push);
        }
        self.take_pushed(tenant)
    }

    /// The load that a waiting push begins, to be asked for when another one has ended.
    pub fn take_pushed(&mut self, tenant: TenantId) -> Option<Load> {
        let held = self.tenants.get(&tenant).filter(|held| held.revision > 0 && held.facts.is_some())?;
        let push = self.waiting.remove(&tenant).filter(|push| push.revision > held.revision)?;
        let load = self.take(tenant)?;
        Some(Load { push: Some(push), ..load })
    }

    /// A load has ended well. Answers whether it still counts: then it is to be acknowledged at once, because who revokes
    /// waits for it.
    pub fn loaded(&mut self, load: Load, snapshot: Snapshot) -> bool {
        let Some(held) = self.tenants.get_mut(&load.tenant).filter(|held| held.generation == load.generation) else {
            return false;
        };
        held.facts = Some(load.facts);
        held.revision = load.revision;
        self.leases.load(load.tenant, Arc::new(snapshot));
        true
    }

    /// A load has failed: half of a change may have been applied, so that only a whole snapshot is sound now. The next
    /// renewal tries again.
    pub fn failed(&mut self, tenant: TenantId, generation: u64) {
        if let Some(held) = self.tenants.get_mut(&tenant).filter(|held| held.generation == generation) {
            *held = Held::nothing(tenant, held.granted, generation);
        }
    }

    /// Whether identity does not know a tenant that was named.
    #[must_use]
    pub fn is_unknown(&self, tenant: TenantId) -> bool {
        self.unknown.contains(&tenant)
    }

    /// Whether everything that renewals have brought is loaded.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.tenants.values().all(|held| held.revision >= held.granted)
    }

    /// The lease time at `now`: database time of the lease plus what the boot-time clock has counted since; none past the
    /// deadline.
    #[must_use]
    pub fn time(&self, now: Steady) -> Option<Timestamp> {
        let (time, sent, until) = self.time?;
        (now < until).then(|| time + now.since(sent))
    }

    /// Incarnation of identity's database, once it has answered.
    #[must_use]
    pub fn incarnation(&self) -> Option<&str> {
        self.incarnation.as_deref()
    }

    fn take(&mut self, tenant: TenantId) -> Option<Load> {
        let held = self.tenants.get_mut(&tenant)?;
        let facts = held.facts.take()?;
        let (revision, generation, incarnation) = (held.revision, held.generation, self.incarnation.clone());
        Some(Load { tenant, facts, revision, incarnation, generation, push: None })
    }

    /// Another incarnation makes everything that was loaded worthless.
    fn enter(&mut self, incarnation: &str) {
        if self.incarnation.as_deref() == Some(incarnation) {
            return;
        }
        if self.incarnation.replace(incarnation.to_owned()).is_some() {
            for (tenant, _) in self.leases.tenants() {
                self.anew(tenant);
            }
        }
    }

    /// Begins with a tenant as if it had never been named; whoever waits for it has asked for it. A load under way finds
    /// that it is one of before.
    fn anew(&mut self, tenant: TenantId) {
        self.generation += 1;
        self.leases.forget(tenant);
        self.tenants.remove(&tenant);
        self.waiting.remove(&tenant);
        self.leases.name(tenant);
        self.renamed = true;
    }

    /// A tenant that identity does not know is not held, or made-up ids would fill the table.
    fn forget(&mut self, tenant: TenantId) {
        self.generation += 1;
        self.tenants.remove(&tenant);
        self.waiting.remove(&tenant);
        self.unknown.insert(tenant);
        self.leases.forget(tenant);
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::ManualClock;

    use super::*;
    use crate::fixture::{NOW, company, tenant};

    fn renewal(revision: i64) -> Renewal {
        Renewal {
            ttl: Duration::from_secs(2),
            database_time: NOW,
            incarnation: "one".to_owned(),
            granted: HashMap::from([(tenant(), revision)]),
        }
    }

    /// That there is a revision, and nothing of what it changed.
    fn push(revision: i64) -> Push {
        Push { revision, incarnation: "one".to_owned(), changes: Vec::new() }
    }

    /// Renews, and loads what that makes necessary at a revision.
    fn renew(keeper: &mut Keeper, clock: &ManualClock, revision: i64) -> usize {
        let named = keeper.named();
        let loads = keeper.renewed(clock.clock().steady(), &named, &renewal(revision));
        let count = loads.len();
        for mut load in loads {
            (load.facts, load.revision) = (company(), revision);
            let snapshot = Snapshot::compile(&load.facts, revision);
            assert!(keeper.loaded(load, snapshot));
        }
        count
    }

    #[test]
    fn a_database_that_knows_less_than_was_acknowledged_is_answered_from_once_it_was_named_anew() {
        let clock = ManualClock::frozen(NOW);
        let leases = Leases::new(clock.clock());
        let mut keeper = Keeper::new(leases.clone(), Duration::from_millis(50));
        keeper.name(tenant());
        let reads = || leases.read(tenant()).ok().map(|reading| reading.snapshot.revision);
        assert_eq!((renew(&mut keeper, &clock, 10), keeper.take_renamed()), (1, false));
        assert_eq!(reads(), Some(10));
        // Identity's database was set back to 7.
        assert_eq!((renew(&mut keeper, &clock, 7), keeper.take_renamed()), (0, true));
        assert_eq!(reads(), None, "what it held is another history's");
        assert_eq!(keeper.named(), [(tenant(), 0)], "nothing is acknowledged");
        assert_eq!((renew(&mut keeper, &clock, 8), keeper.take_renamed()), (1, false));
        assert_eq!(reads(), Some(8));
        // What was being loaded meanwhile is another history's too.
        let mut late = keeper.pushed(tenant(), push(9)).expect("it is held");
        late.revision = 9;
        assert_eq!((renew(&mut keeper, &clock, 6), keeper.take_renamed()), (0, true));
        let named = keeper.named();
        let begun = keeper.renewed(clock.clock().steady(), &named, &renewal(6));
        let snapshot = Snapshot::compile(&late.facts, late.revision);
        assert!(!keeper.loaded(late, snapshot) && begun.len() == 1);
        assert_eq!(reads(), None);
    }

    #[test]
    fn a_push_waits_for_the_load_that_is_under_way_and_the_newest_one_is_what_counts() {
        let clock = ManualClock::frozen(NOW);
        let mut keeper = Keeper::new(Leases::new(clock.clock()), Duration::from_millis(50));
        keeper.name(tenant());
        assert!(keeper.pushed(tenant(), push(2)).is_none(), "it is not loaded yet");
        assert_eq!(renew(&mut keeper, &clock, 3), 1);
        assert!(keeper.take_pushed(tenant()).is_none(), "it holds that by now");
        assert!(keeper.pushed(tenant(), push(3)).is_none(), "and again");
        let mut load = keeper.pushed(tenant(), push(4)).expect("nothing is under way");
        for revision in [6, 5] {
            assert!(keeper.pushed(tenant(), push(revision)).is_none(), "one load at a time");
        }
        load.revision = 4;
        let snapshot = Snapshot::compile(&load.facts, 4);
        assert!(keeper.loaded(load, snapshot));
        let next = keeper.take_pushed(tenant()).expect("it has waited");
        assert_eq!(next.push.as_ref().map(|push| push.revision), Some(6), "the later one was the older one");
        assert!(keeper.take_pushed(tenant()).is_none());
    }

    #[test]
    fn a_push_of_a_tenant_that_was_given_up_is_not_kept() {
        let clock = ManualClock::frozen(NOW);
        let mut keeper = Keeper::new(Leases::new(clock.clock()), Duration::from_millis(50));
        keeper.name(tenant());
        assert_eq!(renew(&mut keeper, &clock, 3), 1);
        let gone = Renewal { granted: HashMap::new(), ..renewal(3) };
        assert!(keeper.renewed(clock.clock().steady(), &[(tenant(), 3)], &gone).is_empty());
        assert!(keeper.pushed(tenant(), push(4)).is_none());
        assert!(keeper.waiting.is_empty(), "nobody will ever ask for it");
    }
}
