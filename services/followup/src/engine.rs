//! When the fire transaction runs: at the next due instant that is known, at a hint, and when the relay, which looks at
//! the database each half second anyway, sees something planned that is earlier. A missed hint costs that half second.

use std::time::Duration;

use revisit_bootstrap::{database::Tx, idempotency, shutdown::Shutdown};
use revisit_core::{Failure, Timestamp};
use revisit_event::Outbox;
use revisit_permission::Worker;
use tokio::sync::watch;

use crate::{
    App, fire,
    measures::Measures,
    operations::{hand_over, sweeps},
    store::{hand_overs, plans, timers},
};

/// Pause after a pass that failed.
const LOOK_AGAIN: Duration = Duration::from_millis(500);
/// The last net, under a relay that has come to a stop.
const LOOK_ANYWAY: Duration = Duration::from_mins(2);
/// Pause when what is due is busy or not due yet by the database's clock.
const BUSY: Duration = Duration::from_millis(5);
/// Rounds of one pass; then whoever waits for the engine's word has its turn.
const ROUNDS_MAX: usize = 1_000;

/// Fires until draining begins.
pub async fn run(app: App, worker: Worker, shutdown: Shutdown) {
    let mut outage = false;
    let Some(mut planned) = app.database.outbox().map(Outbox::planned) else { return };
    let firing = async {
        loop {
            // What is seen from now on is news: the pass itself sees all that was there before.
            planned.mark_unchanged();
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
                () = tokio::time::sleep(if outage { LOOK_AGAIN } else { LOOK_ANYWAY }) => {}
                () = sooner(&mut planned, next) => {}
                () = due => {}
            }
        }
    };
    shutdown.or_draining(firing).await;
}

/// Waits until something is planned before the instant that is waited for.
async fn sooner(planned: &mut watch::Receiver<Option<Timestamp>>, next: Option<Timestamp>) {
    while planned.changed().await.is_ok() {
        let earliest = *planned.borrow_and_update();
        if earliest.is_some_and(|at| next.is_none_or(|next| at < next)) {
            return;
        }
    }
    // The relay has ended, and so does the process.
    std::future::pending().await
}

/// What there is to do, found by one reading transaction: a quiet engine never takes SQLite's only writer.
struct Outlook {
    now: Timestamp,
    /// Shards whose first timer is due.
    due: Vec<timers::Due>,
    /// The first timer of all.
    timer: Option<Timestamp>,
    sweeping: bool,
    hand_over: Option<Timestamp>,
    /// Whether answers to repeated requests have had their time.
    forgetting: bool,
}

impl Outlook {
    async fn read(app: &App, worker: &Worker) -> Result<Self, Failure> {
        let now = app.clock.wall();
        let read = app.database.read(worker, async |tx: &Tx| {
            let heads = timers::heads(tx).await?;
            Ok::<_, Failure>(Self {
                now,
                due: heads.iter().copied().filter(|(_, at)| *at <= now).collect(),
                timer: heads.iter().map(|(_, at)| *at).min(),
                sweeping: plans::has_sweep(tx).await?,
                hand_over: hand_overs::next_at(tx).await?,
                forgetting: idempotency::any_expired(tx).await?,
            })
        });
        read.await
    }

    fn hands_over(&self) -> bool {
        self.hand_over.is_some_and(|at| at <= self.now)
    }

    fn is_quiet(&self) -> bool {
        self.due.is_empty() && !self.sweeping && !self.hands_over() && !self.forgetting
    }

    /// How long the oldest work of each kind has waited.
    fn tell_waits(&self, measures: &Measures) {
        let wait = |at: Option<Timestamp>| at.map_or(Duration::ZERO, |at| self.now.since(at));
        measures.waits("timer", wait(self.timer));
        measures.waits("hand_over", wait(self.hand_over));
    }

    fn next(&self) -> Option<Timestamp> {
        [self.timer, self.hand_over].into_iter().flatten().min()
    }
}

/// Does all that there is to do, a piece of each kind in turn, so that none keeps the others waiting. Answers when
/// there is something to do again.
pub async fn pass(app: &App, worker: &Worker) -> Result<Option<Timestamp>, Failure> {
    for _ in 0..ROUNDS_MAX {
        let found = Outlook::read(app, worker).await?;
        found.tell_waits(&app.measures);
        if found.is_quiet() {
            return Ok(found.next());
        }
        let mut moved = false;
        if !found.due.is_empty() {
            let fired = fire::fire(app, worker, &found.due).await?;
            moved |= fired.claimed > fired.skipped;
        }
        if found.sweeping {
            moved |= sweeps::step(app, worker).await?;
        }
        if found.hands_over() {
            moved |= hand_over::step(app, worker).await?;
        }
        if found.forgetting {
            app.database.write(worker, async |tx: &Tx| idempotency::sweep(tx).await).await?;
            moved = true;
        }
        if !moved && found.due.is_empty() {
            // Another replica has the rest in hand; it is looked at again with the next wake.
            return Ok(found.next().filter(|at| *at > found.now));
        }
        if !moved {
            tokio::time::sleep(BUSY).await;
        }
    }
    Ok(Some(app.clock.wall()))
}

/// Whether nothing is due, swept or handed over now. Wakes the engine otherwise.
pub async fn settled(app: &App, worker: &Worker) -> Result<bool, Failure> {
    let settled = Outlook::read(app, worker).await?.is_quiet();
    if !settled {
        app.wake.notify_one();
    }
    Ok(settled)
}

/// The earliest instant at which the engine has work.
pub async fn next_due(app: &App, worker: &Worker) -> Result<Option<Timestamp>, Failure> {
    Ok(Outlook::read(app, worker).await?.next())
}
