//! What the service does without being asked: consuming events, dispatching deliveries lane by lane, morning digests,
//! replays. Work is found by query; a notice that something was planned only makes it faster.

mod claim;
mod greet;
mod measure;
mod prepare;
mod replay;
mod send;

pub use prepare::words_place;

use std::{collections::HashSet, sync::Arc, sync::atomic::Ordering, time::Duration};

use revisit_bootstrap::{Consumer, Database, Rest, Runtime, Started, Tx, Work, idempotency};
use revisit_core::Timestamp;
use revisit_event::Envelope;
use tokio::task::JoinSet;

use crate::{
    App, NAME,
    domain::{Channel, Error},
    operations::{consume, digest, rebuild},
    store::{claims, digests, history, now, replays},
};

/// How often the dispatcher looks without a notice: the safety net under the notices.
const LOOK: Duration = Duration::from_millis(500);
/// How soon it looks again after a notice, which comes before the commit that it speaks of; the pause then doubles.
const LOOK_AGAIN: Duration = Duration::from_millis(2);
/// Lanes that one look may find.
const LANES_MAX: i64 = 1_000;
/// Batches that a lane works off before others have a turn.
const ROUNDS_MAX: usize = 16;
/// How often digests and replays are looked at.
const TICK: Duration = Duration::from_secs(1);

/// Adds the workers to what is served.
pub fn run(started: Started, app: &Arc<App>, database: &Database, runtime: &Runtime) -> Started {
    let consumer = Consumer::new(runtime, database).from("identity").from("customer").from("followup");
    let (consuming, rebuilding, worker) = (Arc::clone(app), Arc::clone(app), app.workers.consume);
    let applying = consumer
        .rebuilt_by(move |source| {
            let app = Arc::clone(&rebuilding);
            async move { rebuild::from_source(&app, source).await }
        })
        .run(worker, async move |tx: &Tx, event: &Envelope| consume::apply(&consuming, tx, event).await);
    started
        .work(Work::new("notification consume", applying))
        .work(Work::new("notification dispatch", dispatch(Arc::clone(app), runtime.clone())))
        .work(Work::new("notification clockwork", clockwork(Arc::clone(app), runtime.clone())))
        .work(Work::new("notification measure", measure::run(Arc::clone(app), runtime.clone())))
        .work(Work::new("notification sweep", sweep(Arc::clone(app), runtime.clone())))
        .rest(rest(app))
}

/// Finds lanes with work and has a batch of each worked off, every lane by itself: a receiver that hangs holds up its
/// own lane and no other.
async fn dispatch(app: Arc<App>, runtime: Runtime) {
    let mut busy: HashSet<String> = HashSet::new();
    let mut batches: JoinSet<String> = JoinSet::new();
    let mut pause = LOOK;
    while !runtime.shutdown.is_draining() {
        for lane in due_lanes(&app).await {
            if !may_start(&app, &busy, &lane) {
                continue;
            }
            busy.insert(lane.clone());
            app.under_way.fetch_add(1, Ordering::SeqCst);
            let app = Arc::clone(&app);
            batches.spawn(async move {
                work_off(&app, &lane).await;
                app.under_way.fetch_sub(1, Ordering::SeqCst);
                lane
            });
        }
        let next = next_due(&app).await.unwrap_or(Timestamp::MAX);
        tokio::select! {
            () = runtime.shutdown.draining() => {}
            () = app.planned.notified() => pause = LOOK_AGAIN,
            () = app.clock.sleep_until(next), if next > app.clock.wall() => {}
            () = tokio::time::sleep(pause) => pause = (pause * 2).min(LOOK),
            Some(ended) = batches.join_next() => match ended {
                Ok(lane) => { busy.remove(&lane); }
                // A batch that panicked leaves its claims to their end; the process must not go on without saying so.
                Err(panic) => std::panic::resume_unwind(panic.into_panic()),
            },
        }
    }
    // What is being called is waited for: the drain of the process bounds it.
    while batches.join_next().await.is_some() {}
}

/// Inbox and mail always have a place; endpoints share a number of places, so that they cannot take those two.
fn may_start(app: &App, busy: &HashSet<String>, lane: &str) -> bool {
    if busy.contains(lane) {
        return false;
    }
    let is_endpoint = |lane: &str| lane.starts_with(Channel::Webhook.name());
    let endpoints = busy.iter().filter(|lane| is_endpoint(lane)).count();
    !is_endpoint(lane) || endpoints < app.config.webhook.endpoints_max
}

async fn due_lanes(app: &App) -> Vec<String> {
    let lanes = app.store.read(&app.workers.claim, async |tx| {
        let now = now(tx).await?;
        Ok(claims::due_lanes(tx, now, LANES_MAX).await?)
    });
    told(lanes.await, "the dispatcher cannot look for work").unwrap_or_default()
}

async fn next_due(app: &App) -> Option<Timestamp> {
    let next = app.store.read(&app.workers.claim, async |tx| Ok(claims::next_due(tx).await?));
    told(next.await, "the dispatcher cannot look for work").flatten()
}

async fn work_off(app: &App, lane: &str) {
    for _ in 0..ROUNDS_MAX {
        match batch(app, lane).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) => {
                tracing::warn!(lane, %error, "a batch of deliveries was left to its claim");
                return;
            }
        }
    }
}

/// One batch: claim, decide and write, send. Answers whether there may be more.
async fn batch(app: &App, lane: &str) -> Result<bool, Error> {
    let claim = claim::claim(app, lane).await?;
    let found = claim.found;
    if !claim.jobs.is_empty() {
        let prepared = prepare::prepare(app, claim.jobs).await?;
        send::send(app, claim.sent, prepared).await?;
    }
    Ok(found)
}

/// Digests and replays.
async fn clockwork(app: Arc<App>, runtime: Runtime) {
    let ticking = async {
        loop {
            let digests = told(digest::round(&app).await, "digests wait").unwrap_or(false);
            let replays = told(replay::step(&app).await, "replays wait").unwrap_or(false);
            if digests || replays {
                continue;
            }
            let next = told(next_digest(&app).await, "digests wait").flatten().unwrap_or(Timestamp::MAX);
            tokio::select! {
                () = app.ticked.notified() => {}
                () = app.clock.sleep_until(next), if next > app.clock.wall() => {}
                () = tokio::time::sleep(TICK) => {}
            }
        }
    };
    runtime.shutdown.or_draining(ticking).await;
}

async fn sweep(app: Arc<App>, runtime: Runtime) {
    let sweeping = async {
        loop {
            told(sweep_once(&app).await, "the sweep waits");
            tokio::time::sleep(Duration::from_secs(app.config.sweep_seconds)).await;
        }
    };
    runtime.shutdown.or_draining(sweeping).await;
}

/// Removes answers that are no longer kept and deliveries that ended long ago, and wraps keys under an old ring key
/// anew. Asks by reading first, and writes a bounded piece at a time: others wait for SQLite's only writer.
async fn sweep_once(app: &App) -> Result<(), Error> {
    let worker = &app.workers.sweep;
    while app.store.read(worker, async |tx| Ok(idempotency::any_expired(tx).await?)).await? {
        app.store.write(worker, async |tx| Ok(idempotency::sweep(tx).await?)).await?;
    }
    let ended = app.clock.wall() - app.config.history();
    while app.store.read(worker, async |tx| Ok(history::any_ended(tx, ended).await?)).await? {
        if app.store.write(worker, async |tx| Ok(history::sweep(tx, ended).await?)).await? == 0 {
            // Another replica has them in hand.
            break;
        }
    }
    while app.store.read(worker, async |tx| Ok(app.sealer.has_old_keys(tx).await?)).await? {
        app.store.write(worker, async |tx| Ok(app.sealer.wrap_anew(tx).await?)).await?;
    }
    Ok(())
}

async fn next_digest(app: &App) -> Result<Option<Timestamp>, Error> {
    app.store.read(&app.workers.digest, async |tx| Ok(digests::next_due(tx).await?)).await
}

fn told<T>(result: Result<T, Error>, what: &str) -> Option<T> {
    result.inspect_err(|error| tracing::warn!(%error, "{what}")).ok()
}

fn rest(app: &Arc<App>) -> Rest {
    let (settled, due) = (Arc::clone(app), Arc::clone(app));
    Rest::new(
        NAME,
        move || {
            let app = Arc::clone(&settled);
            async move { told(is_settled(&app).await, "rest cannot be told").unwrap_or(false) }
        },
        move || {
            let app = Arc::clone(&due);
            async move {
                let digest = told(next_digest(&app).await, "the next digest cannot be told").flatten();
                [next_due(&app).await, digest].into_iter().flatten().min()
            }
        },
    )
}

/// Nothing is due, claimed or being called. What is due is pointed out to who does it: whoever asks is waiting for it.
async fn is_settled(app: &App) -> Result<bool, Error> {
    if app.under_way.load(Ordering::SeqCst) > 0 {
        return Ok(false);
    }
    let (ticks, deliveries) = app
        .store
        .read(&app.workers.rest, async |tx| {
            let now = now(tx).await?;
            let digest_due = digests::next_due(tx).await?.is_some_and(|at| at <= now);
            Ok((digest_due || replays::any_open(tx).await?, claims::is_busy(tx, now).await?))
        })
        .await?;
    if ticks {
        app.ticked.notify_one();
    }
    if deliveries {
        app.planned.notify_one();
    }
    Ok(!ticks && !deliveries)
}
