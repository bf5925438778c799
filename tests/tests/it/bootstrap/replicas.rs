//! What a consumer learns of events that another replica of its service has applied.

use std::{sync::atomic::Ordering, time::Duration};

use revisit_bootstrap::{Tx, database::fault};
use revisit_core::Failure;
use revisit_event::{Stream, inbox};
use sea_orm::{ConnectionTrait, Statement};

use super::{database::WORKER, events::Pair};

/// Tries after which the next one is eight seconds away; the first two come at once.
const TRIES: u32 = 7;
/// How long those tries may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// Sooner than the next try.
const SOON: Duration = Duration::from_secs(6);

async fn until(patience: Duration, is_so: impl Fn() -> bool) {
    let waiting = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(patience, waiting).await.expect("it comes to be");
}

#[tokio::test]
async fn a_replica_is_fresh_when_another_one_has_applied_what_it_could_not() {
    let pair = Pair::start().await;
    pair.unlucky.store(true, Ordering::SeqCst);
    pair.emit(13..14).await;
    until(PATIENCE, || pair.tried.load(Ordering::SeqCst) >= TRIES).await;
    assert!(pair.freshness.require("customer").is_err(), "it waits for the event");
    let place = pair.producer.read(&WORKER, async |tx: &Tx| {
        let text = "SELECT shard, (SELECT incarnation FROM outbox_incarnation) AS incarnation FROM outbox";
        let text = Statement::from_string(tx.get_database_backend(), text);
        let row = tx.query_one_raw(text).await.map_err(fault)?.expect("one event");
        let shard: i32 = row.try_get("", "shard").map_err(fault)?;
        let incarnation = row.try_get("", "incarnation").map_err(fault)?;
        Ok::<_, Failure>(Stream { source: "customer".into(), incarnation, shard: shard.cast_unsigned() })
    });
    let place = place.await.expect("it is there");
    // Another replica commits its effect and its progress; this one still fails, and nothing else comes.
    let applied =
        pair.consumer.write(&WORKER, async |tx: &Tx| inbox::begin_at(tx, "followup", &place, 1).await.map_err(fault));
    applied.await.expect("it is written");
    until(SOON, || pair.freshness.require("customer").is_ok()).await;
    assert!(pair.unlucky.load(Ordering::SeqCst), "it could not be applied here");
}
