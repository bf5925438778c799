//! What was last read of each tenant's log, shared by writers and by those who ask for snapshots.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use revisit_bootstrap::database::Tx;
use revisit_core::id::TenantId;
use revisit_permission::Facts;

use crate::{
    domain::Error,
    store::{
        self,
        log::{self, Revision},
    },
};

/// Companies whose log is remembered at once.
const LEDGERS_MAX: usize = 10_000;
/// Revisions of one read of the log.
const LOG_MAX: u64 = 500;
/// Long logs that are read at once, of companies that do not share a place by chance.
const LONG_MAX: usize = 32;

/// Facts are shared structures, so a clone is cheap and a writer that fails leaves nothing behind.
#[derive(Default)]
pub struct Ledgers {
    held: Mutex<HashMap<TenantId, (i64, Facts)>>,
    /// Held by whoever reads a company's log a long way: the others wait and go on from there, and do not all read the same.
    long: [tokio::sync::Mutex<()>; LONG_MAX],
}

impl Ledgers {
    /// The facts of a tenant at the newest revision that this transaction sees.
    pub async fn read(&self, tx: &Tx, tenant: TenantId) -> Result<(i64, Facts), Error> {
        let mut reading = Reading::of(self, tenant);
        let from = reading.revision;
        if !reading.on(tx).await? {
            reading.alone().await;
            while !reading.on(tx).await? {}
        }
        if reading.revision > from {
            // What no token outlives is not carried along for ever.
            reading.facts.forget_sessions(store::now(tx).await?);
        }
        Ok((reading.revision, reading.facts.clone()))
    }

    fn held(&self, tenant: TenantId) -> (i64, Facts) {
        self.lock().get(&tenant).cloned().unwrap_or_else(|| (0, Facts::new(tenant)))
    }

    fn keep(&self, tenant: TenantId, revision: i64, facts: &Facts) {
        let mut held = self.lock();
        if held.len() >= LEDGERS_MAX && !held.contains_key(&tenant) {
            // Rare, and every one of them is read anew when it is asked for.
            held.clear();
        }
        let newest = held.entry(tenant).or_insert_with(|| (0, Facts::new(tenant)));
        if newest.0 < revision {
            *newest = (revision, facts.clone());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, (i64, Facts)>> {
        // Each change is one insertion or removal: a panic elsewhere leaves it whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One reading of a log. However it ends, what it has read stays read: a long log takes longer than a call may, and a call
/// that is given up at its deadline would otherwise begin again for ever.
struct Reading<'a> {
    ledgers: &'a Ledgers,
    tenant: TenantId,
    revision: i64,
    facts: Facts,
    /// Let go of after what was read is kept, as fields are.
    alone: Option<tokio::sync::MutexGuard<'a, ()>>,
}

impl<'a> Reading<'a> {
    fn of(ledgers: &'a Ledgers, tenant: TenantId) -> Self {
        let (revision, facts) = ledgers.held(tenant);
        Self { ledgers, tenant, revision, facts, alone: None }
    }

    /// Waits until nobody else reads a long way of this log, and goes on from there.
    async fn alone(&mut self) {
        let place = usize::from(self.tenant.uuid().as_bytes()[15]) % LONG_MAX;
        self.alone = Some(self.ledgers.long[place].lock().await);
        self.overtake();
    }

    fn overtake(&mut self) {
        let (revision, facts) = self.ledgers.held(self.tenant);
        if revision > self.revision {
            (self.revision, self.facts) = (revision, facts);
        }
    }

    /// Reads the next revisions; answers whether these were the last.
    async fn on(&mut self, tx: &Tx) -> Result<bool, Error> {
        let next = log::after(tx, self.tenant, self.revision, LOG_MAX).await?;
        self.take(&next);
        Ok((next.len() as u64) < LOG_MAX)
    }

    fn take(&mut self, next: &[Revision]) {
        for revision in next {
            revision.changes.iter().for_each(|change| self.facts.apply(change));
            self.revision = revision.number;
        }
    }
}

impl Drop for Reading<'_> {
    fn drop(&mut self) {
        if self.revision > 0 {
            self.ledgers.keep(self.tenant, self.revision, &self.facts);
        }
    }
}

#[cfg(test)]
mod tests {
    use revisit_core::{Ids, Timestamp};
    use revisit_permission::{Change, Subject, SubjectState};

    use super::*;

    #[test]
    fn a_reading_that_is_given_up_has_not_read_for_nothing() {
        let (ledgers, ids) = (Ledgers::default(), Ids::seeded(1));
        let (tenant, mei) = (ids.next(Timestamp::MIN), ids.next(Timestamp::MIN));
        let hired = Change::Subject(Subject::user(mei, "梅", SubjectState::Active));
        let mut reading = Reading::of(&ledgers, tenant);
        reading.take(&[Revision { number: 7, changes: vec![hired] }]);
        // As a call's future goes at its deadline.
        drop(reading);
        let (revision, facts) = ledgers.held(tenant);
        assert_eq!(revision, 7);
        assert!(facts.subject(mei).is_some(), "what was read is forgotten");
    }

    #[tokio::test]
    async fn who_waits_for_a_long_reading_goes_on_from_its_end() {
        let (ledgers, tenant) = (Ledgers::default(), Ids::seeded(1).next(Timestamp::MIN));
        let mut first = Reading::of(&ledgers, tenant);
        first.alone().await;
        let waits = async {
            let mut second = Reading::of(&ledgers, tenant);
            second.alone().await;
            second.revision
        };
        let reads = async {
            tokio::task::yield_now().await;
            first.take(&[Revision { number: 7, changes: Vec::new() }]);
            drop(first);
        };
        assert_eq!(tokio::join!(waits, reads).0, 7);
    }

    #[test]
    fn a_reading_never_takes_back_what_another_has_read_further() {
        let (ledgers, tenant) = (Ledgers::default(), Ids::seeded(1).next(Timestamp::MIN));
        let (mut slow, mut fast) = (Reading::of(&ledgers, tenant), Reading::of(&ledgers, tenant));
        slow.take(&[Revision { number: 1, changes: Vec::new() }]);
        fast.take(&[Revision { number: 2, changes: Vec::new() }]);
        drop(fast);
        slow.overtake();
        assert_eq!(slow.revision, 2);
        slow.revision = 1;
        drop(slow);
        assert_eq!(ledgers.held(tenant).0, 2);
    }
}
