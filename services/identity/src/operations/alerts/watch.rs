//! What is remembered of each company between entries, and how it is known again: read before a transaction begins, so that
//! nobody waits for it, and kept once the transaction is committed.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use revisit_bootstrap::{consumer::Ended, database::Tx};
use revisit_core::{Failure, Kind, id::TenantId};

use super::seen;
use crate::{
    App,
    domain::{
        alert::{Engine, Limits, Rule},
        chain::Head,
    },
    store::{
        alerts,
        audit::{self, OUTCOMES, Size},
    },
};

/// Companies that are remembered at once.
const COMPANIES_MAX: usize = 1_000;
/// What is read again of one outcome when a company is not remembered: who floods the log with failed log-ins leaves what
/// was done and denied to be read.
const AGAIN: Most = Most { entries: 20_000, bytes: 64 << 20 };
/// Entries and bytes of one read.
const READ_MAX: usize = 1_000;
const READ_BYTES_MAX: u64 = 4 << 20;
/// What is read while the chain is locked, when another replica has chained it meanwhile.
const NEAR: Most = Most { entries: 500, bytes: 4 << 20 };
/// Reads of what was chained meanwhile, before the transaction is tried.
const ROUNDS_MAX: usize = 5;

/// Entries and bytes that are read at the most.
#[derive(Clone, Copy)]
struct Most {
    entries: u64,
    bytes: u64,
}

/// What is remembered of each company. Losing it costs reading the log again.
pub struct Watch {
    pub limits: Limits,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    engines: HashMap<TenantId, Engine>,
    /// Whose entries the transaction under way chains. A process chains in one transaction at a time.
    open: BTreeSet<TenantId>,
}

impl Watch {
    pub fn new(limits: Limits) -> Self {
        Self { limits, known: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        // Each change is whole in itself: a panic elsewhere leaves nothing half done.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what the transaction has counted, or takes it back.
    pub fn ended(&self, how: Ended) {
        let mut known = self.lock();
        for tenant in std::mem::take(&mut known.open) {
            let Some(engine) = known.engines.get_mut(&tenant) else { continue };
            match how {
                Ended::Committed => engine.close(),
                Ended::RolledBack => engine.take_back(),
            }
        }
    }

    /// Puts back what was taken out.
    pub fn put(&self, tenant: TenantId, engine: Engine) {
        self.lock().engines.insert(tenant, engine);
    }

    /// Makes room for companies that are about to be read; whose goes does not matter.
    fn make_room(&self, tenants: &BTreeSet<TenantId>) {
        let mut known = self.lock();
        let beyond = (known.engines.len() + tenants.len()).saturating_sub(COMPANIES_MAX);
        let others: Vec<TenantId> =
            known.engines.keys().filter(|it| !tenants.contains(it)).take(beyond).copied().collect();
        others.iter().for_each(|other| drop(known.engines.remove(other)));
    }
}

/// Reads what is not remembered of the companies whose entries are about to be chained. Nothing is locked yet.
pub async fn prepare(app: &App, tenants: BTreeSet<TenantId>) -> Result<(), Failure> {
    // A transaction that was given up on the way told nobody how it ended.
    app.watch.ended(Ended::RolledBack);
    app.watch.make_room(&tenants);
    for tenant in tenants {
        if app.watch.lock().engines.contains_key(&tenant) {
            continue;
        }
        let engine = app.store.read(&app.workers.consume, async |tx| Ok(read_again(app, tx, tenant).await?)).await?;
        app.watch.put(tenant, engine);
    }
    Ok(())
}

/// The engine of a company at the head of its chain, taken out of what is remembered. The caller holds the chain's lock;
/// what cannot be had with little reading is refused, and is read again before the next try.
pub async fn at(app: &App, tx: &Tx, tenant: TenantId, head: &Head) -> Result<Engine, Failure> {
    let (known, is_open) = {
        let mut known = app.watch.lock();
        (known.engines.remove(&tenant), known.open.contains(&tenant))
    };
    let mut engine = known.ok_or_else(behind)?;
    if !is_open {
        if !goes_on(app, tx, tenant, (&mut engine, head), NEAR).await? {
            return Err(behind());
        }
        engine.open();
        app.watch.lock().open.insert(tenant);
    }
    Ok(engine)
}

fn behind() -> Failure {
    Failure::new(Kind::Unavailable, "ALERTS_BEHIND", "the log has to be read again before it goes on")
}

/// Takes an engine on to the head if that is no further than `most`; answers whether it stands there.
async fn goes_on(
    app: &App,
    tx: &Tx,
    tenant: TenantId,
    (engine, head): (&mut Engine, &Head),
    most: Most,
) -> Result<bool, Failure> {
    if engine.number == head.number {
        return Ok(engine.hash == head.hash);
    }
    // What it last saw may have come to nothing, and another replica may have chained something else there.
    let same =
        engine.number == 0 || audit::hash_of(tx, tenant, engine.number).await?.is_some_and(|hash| hash == engine.hash);
    let sizes = audit::sizes_after(tx, tenant, engine.number, most.entries + 1).await?;
    let is_near = sizes.len() as u64 <= most.entries && sizes.iter().map(|(_, size)| size).sum::<u64>() <= most.bytes;
    if !same || engine.number > head.number || !is_near {
        return Ok(false);
    }
    recall(app, tx, tenant, (engine, &sizes)).await?;
    (engine.number, engine.hash) = (head.number, head.hash.clone());
    Ok(true)
}

/// Reads the log of a company again, as far back as the rules reach.
async fn read_again(app: &App, tx: &Tx, tenant: TenantId) -> Result<Engine, Failure> {
    let mut head = audit::head(tx, tenant).await?;
    let after = app.clock.wall() - app.watch.limits.reach();
    let mut found = Vec::new();
    for outcome in OUTCOMES {
        let newest = audit::newest(tx, tenant, (outcome, after), AGAIN.entries).await?;
        found.extend(within(newest, AGAIN.bytes).into_iter().filter(|(number, _)| *number <= head.number));
    }
    found.sort_unstable();
    let mut engine = Engine::default();
    recall(app, tx, tenant, (&mut engine, &found)).await?;
    (engine.number, engine.hash) = (head.number, head.hash);
    // Others go on meanwhile.
    for _ in 0..ROUNDS_MAX {
        head = audit::head(tx, tenant).await?;
        if head.number == engine.number || !goes_on(app, tx, tenant, (&mut engine, &head), AGAIN).await? {
            break;
        }
    }
    Ok(engine)
}

/// Weighs entries that were chained before, with what was told of them then.
async fn recall(
    app: &App,
    tx: &Tx,
    tenant: TenantId,
    (engine, entries): (&mut Engine, &[Size]),
) -> Result<(), Failure> {
    for numbers in reads(entries) {
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { continue };
        let mut told: BTreeMap<i64, BTreeSet<_>> = BTreeMap::new();
        for (number, rule, about) in alerts::told_at(tx, tenant, (*first, *last)).await? {
            told.entry(number).or_default().extend(Rule::numbered(rule).map(|rule| (rule, about)));
        }
        for (number, entry) in audit::entries(tx, tenant, &numbers).await? {
            if let Some(seen) = seen(&entry, app.clock.wall()) {
                engine.recall(number, &seen, &app.watch.limits, &told.remove(&number).unwrap_or_default());
            }
        }
    }
    Ok(())
}

/// Of entries, newest first, those that fit into so many bytes.
fn within(newest_first: Vec<Size>, bytes_max: u64) -> Vec<Size> {
    let mut bytes = 0_u64;
    newest_first
        .into_iter()
        .take_while(|(_, size)| {
            bytes = bytes.saturating_add(*size);
            bytes <= bytes_max
        })
        .collect()
}

/// The numbers of entries, cut into reads.
fn reads(entries: &[Size]) -> Vec<Vec<i64>> {
    let mut reads: Vec<Vec<i64>> = Vec::new();
    let mut bytes = 0_u64;
    for (number, size) in entries {
        bytes = bytes.saturating_add(*size);
        match reads.last_mut().filter(|read| read.len() < READ_MAX && bytes <= READ_BYTES_MAX) {
            Some(read) => read.push(*number),
            None => {
                bytes = *size;
                reads.push(vec![*number]);
            }
        }
    }
    reads
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_read_holds_so_many_entries_and_bytes_and_one_entry_at_least() {
        let large = READ_BYTES_MAX + 1;
        assert_eq!(reads(&[(1, large), (2, large), (3, 1), (4, 1)]), [vec![1], vec![2], vec![3, 4]]);
        let many: Vec<Size> = (1..=2_500).map(|number| (number, 1)).collect();
        assert_eq!(reads(&many).iter().map(Vec::len).collect::<Vec<_>>(), [1_000, 1_000, 500]);
        assert!(reads(&[]).is_empty());
    }

    #[test]
    fn what_is_read_again_is_the_newest_that_fits() {
        assert_eq!(within(vec![(9, 2), (8, 2), (7, 2)], 5), [(9, 2), (8, 2)]);
        assert_eq!(within(vec![(9, 6)], 5), []);
    }
}
