//! When the fire transaction runs: at the next due instant that is known, at a hint, and at the latest after half a
//! second. A missed hint costs that half second and nothing else.

use std::time::Duration;

use revisit_bootstrap::{database::Tx, shutdown::Shutdown};
use revisit_core::{Failure, Timestamp};
use revisit_permission::Worker;

use crate::{
    App, fire,
    operations::{hand_over, sweeps},
    store::{hand_overs, plans, timers},
};

/// The safety net: a timer that another replica planted is seen this late at the most.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// Pause when what is due is busy or not due yet by the database's clock.
const BUSY: Duration = Duration::from_millis(5);
/// Transactions without a look at sweeps and hand-overs.
const ROUNDS_MAX: usize = 1_000;

/// Fires until draining begins.
pub async fn run(app: App, worker: Worker, shutdown: Shutdown) {
    let mut outage = false;
    let firing = async {
        loop {
            let next = match pass(&app, &worker).await {
                Ok(next) => {
                    outage = false;
                    next
                }
                Err(failure) => {
                    if !std::mem::replace(&mut outage, true) {
                        tracing::warn!(%failure, "the engine waits and tries again");
                    }
                    None
                }
            };
            let due = async {
                match next {
                    Some(at) => app.clock.sleep_until(at).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = app.wake.notified() => {}
                () = tokio::time::sleep(LOOK_AGAIN) => {}
                () = due => {}
            }
        }
    };
    shutdown.or_draining(firing).await;
}

/// Does all that is due. Answers when there is something to do again.
pub async fn pass(app: &App, worker: &Worker) -> Result<Option<Timestamp>, Failure> {
    let mut next = None;
    for _ in 0..ROUNDS_MAX {
        let now = app.clock.wall();
        let heads = app.database.read(worker, async |tx: &Tx| timers::heads(tx).await).await?;
        let due: Vec<u32> = heads.iter().filter(|(_, at)| *at <= now).map(|(shard, _)| *shard).collect();
        next = heads.iter().map(|(_, at)| *at).min();
        if due.is_empty() {
            break;
        }
        let fired = fire::fire(app, worker, &due).await?;
        if fired.claimed == fired.skipped {
            tokio::time::sleep(BUSY).await;
        }
    }
    while sweeps::step(app, worker).await? {}
    let again = hand_over::step(app, worker).await?;
    Ok([next, again].into_iter().flatten().min())
}

/// Whether nothing is due, swept or handed over now. Wakes the engine otherwise.
pub async fn settled(app: &App, worker: &Worker) -> Result<bool, Failure> {
    let now = app.clock.wall();
    let next = next_due(app, worker).await?;
    let sweeping = app.database.read(worker, async |tx: &Tx| plans::has_sweep(tx).await).await?;
    let settled = !sweeping && next.is_none_or(|next| next > now);
    if !settled {
        app.wake.notify_one();
    }
    Ok(settled)
}

/// The earliest instant at which the engine has work.
pub async fn next_due(app: &App, worker: &Worker) -> Result<Option<Timestamp>, Failure> {
    let read = async |tx: &Tx| -> Result<Option<Timestamp>, Failure> {
        let head = timers::heads(tx).await?.into_iter().map(|(_, at)| at).min();
        Ok([head, hand_overs::next_at(tx).await?].into_iter().flatten().min())
    };
    app.database.read(worker, read).await
}
