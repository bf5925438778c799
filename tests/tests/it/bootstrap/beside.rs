//! What a consumer counts in memory beside what it writes: prepared before the transaction, kept only with it.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, atomic::Ordering},
};

use revisit_bootstrap::consumer::{Around, Ended};
use revisit_event::Envelope;

use super::events::Pair;

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
    Around::locking(|event| Some(event.position))
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

#[test]
fn the_locks_of_a_transaction_are_taken_in_one_order_and_once() {
    let events = [7, 3, 7, 1].map(|position| Envelope { position, ..Envelope::default() });
    let around = Around::locking(|event| Some(event.position).filter(|it| *it != 1));
    assert_eq!(around.keys(&events).into_iter().collect::<Vec<_>>(), [3, 7]);
}
