//! What a consumer counts in memory beside what it writes: prepared before the transaction, kept only with it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering},
};

use revisit_bootstrap::{
    Tx,
    consumer::{Around, Ended},
};
use revisit_core::Failure;
use revisit_event::{Draft, Envelope};
use revisit_proto::customer::v1::OwnerChanged;
use revisit_tests::{
    databases::{Backend, TestDatabase, connect_to, texts},
    fake_identity::unknown_id,
};
use sea_orm::{ConnectionTrait, DatabaseTransaction, DbBackend, Statement, TransactionTrait};

use super::{database::WORKER, events::Pair};

/// A count of effects.
#[derive(Default)]
pub struct Beside {
    prepared: BTreeSet<String>,
    /// Counted by the transaction under way.
    open: u32,
    kept: u32,
    rolled_back: u32,
}

impl Beside {
    /// Counts an effect; answers whether it was prepared.
    pub fn count(&mut self, event: &Envelope) -> bool {
        self.open += 1;
        self.prepared.contains(&event.id)
    }

    fn ended(&mut self, how: Ended) {
        let counted = std::mem::take(&mut self.open);
        match how {
            Ended::Committed => self.kept += counted,
            Ended::RolledBack => self.rolled_back += 1,
        }
        self.prepared.clear();
    }
}

/// Keeps the count around each transaction.
pub fn around(beside: &Arc<Mutex<Beside>>) -> Around {
    let (preparing, ending) = (Arc::clone(beside), Arc::clone(beside));
    Around::locking(|event| Some(event.sequence))
        .before(move |events| {
            let ids: Vec<String> = events.iter().map(|event| event.id.clone()).collect();
            let beside = Arc::clone(&preparing);
            async move {
                beside.lock().expect("not poisoned").prepared.extend(ids);
                Ok(())
            }
        })
        .after(move |how| ending.lock().expect("not poisoned").ended(how))
}

#[tokio::test]
async fn what_is_counted_beside_a_transaction_is_kept_only_when_that_is_committed() {
    let pair = Pair::start().await;
    pair.unlucky.store(true, Ordering::SeqCst);
    pair.emit(0..40).await;
    pair.until(async || pair.notes().await == 39).await;
    pair.unlucky.store(false, Ordering::SeqCst);
    pair.settled().await;
    let beside = pair.beside.lock().expect("not poisoned");
    assert!(beside.rolled_back > 0, "one of them failed at first");
    assert_eq!((beside.kept, beside.open), (40, 0));
}

/// Sequences of two events of one shard, and the keys of their locks.
const LOCKS: [i64; 2] = [1_000_001, 1_000_002];

/// Whether somebody else gets a lock.
async fn takes(other: &DatabaseTransaction, key: i64) -> bool {
    let text = format!("SELECT pg_try_advisory_xact_lock({key}) AS taken");
    let row = other.query_one_raw(Statement::from_string(DbBackend::Postgres, text)).await.expect("it answers");
    row.expect("a row").try_get::<bool>("", "taken").expect("whether it is taken")
}

#[tokio::test]
async fn a_transaction_has_the_locks_of_all_its_events_and_waits_for_none_while_it_holds_a_later_one() {
    let database = TestDatabase::new(Backend::Postgres).await;
    let services =
        ["identity", "customer", "followup"].map(|service| (service, format!("{}_{service}", name(&database))));
    for (_, name) in &services {
        let create = format!("CREATE DATABASE {name} TEMPLATE template0");
        database.writer.execute_unprepared(&create).await.expect("it is made");
    }
    let settings = format!("database.url = '{}_{{service}}'\ndatabase.migrate = 'always'", database.url);
    let pair = Pair::start_with(tempfile::tempdir().expect("a folder"), &settings, Arc::default()).await;
    let line = connect_to(&services[2].1).await;
    let (first, second) = (LOCKS[0], LOCKS[1]);
    // Whichever of the two somebody else has: the first is asked for before the second is held, and the second beside it.
    for (round, (others, free)) in [(first, true), (second, false)].into_iter().enumerate() {
        let other = line.begin().await.expect("it begins");
        assert!(takes(&other, others).await, "nobody has it yet");
        let (tenant, customer) = (unknown_id(), unknown_id::<()>().uuid());
        let emitted = pair.producer.write(&WORKER, async |tx: &Tx| {
            // The event of the later lock comes first.
            for sequence in [second, first] {
                tx.emit(Draft::new(tenant, customer, sequence, &OwnerChanged::default()));
            }
            Ok::<_, Failure>(())
        });
        emitted.await.expect("they are emitted");
        let waiting = format!(
            "SELECT objid::text FROM pg_locks WHERE locktype = 'advisory' AND objid = {others} AND NOT granted"
        );
        pair.until(async || !texts(&database.writer, &waiting).await.is_empty()).await;
        let rest = if others == first { second } else { first };
        assert_eq!(takes(&other, rest).await, free, "round {round}");
        other.rollback().await.expect("it ends");
        pair.settled().await;
    }
    assert_eq!(pair.notes().await, 4);
    pair.running.stop().await.expect("it stops");
    line.close().await.expect("it closes");
    for (_, name) in &services {
        let drop = format!("DROP DATABASE {name} WITH (FORCE)");
        database.writer.execute_unprepared(&drop).await.expect("it goes");
    }
    database.close().await;
}

fn name(database: &TestDatabase) -> &str {
    database.url.rsplit_once('/').map_or("", |(_, name)| name)
}

#[test]
fn the_locks_of_a_transaction_are_taken_in_one_order_and_once() {
    let events = [7, 3, 7, 1].map(|position| Envelope { position, ..Envelope::default() });
    let around = Around::locking(|event| Some(event.position).filter(|it| *it != 1));
    assert_eq!(around.keys(&events).into_iter().collect::<Vec<_>>(), [3, 7]);
}
