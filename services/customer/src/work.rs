//! The workers of this service: one loop for jobs that wait for nothing but their turn, one for what time makes due.

use std::{sync::Arc, time::Duration};

use revisit_bootstrap::{Consumer, Database, Rest, Runtime, Started, Tx, Work};
use revisit_core::{Timestamp, id::TenantId};
use revisit_event::Envelope;

use crate::{
    App, NAME,
    domain::Error,
    operations::{consume, hand_over, imports, nightly, transfers},
    store,
};

/// How long jobs rest when nobody wakes them: another replica may have written one.
const IDLE: Duration = Duration::from_secs(1);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(1);
/// Pause after a lost race when there is nothing else to do: each try costs a whole batch, and whoever wins may have more.
const PAUSE_LOST: Duration = Duration::from_millis(100);

/// Adds the workers to what is started.
pub fn run(started: Started, app: &Arc<App>, database: &Database, runtime: &Runtime) -> Started {
    let consuming = Arc::clone(app);
    let consume = Consumer::new(runtime, database)
        .from("identity")
        .from("followup")
        .run(app.workers.consume, async move |tx: &Tx, event: &Envelope| consume::apply(&consuming, tx, event).await);
    started
        .work(Work::new("consume", consume))
        .work(Work::new("jobs", jobs(Arc::clone(app), runtime.clone())))
        .work(Work::new("clockwork", clockwork(Arc::clone(app), runtime.clone())))
        .rest(resting(app))
}

async fn jobs(app: Arc<App>, runtime: Runtime) {
    let working = async {
        let mut turns = Turns::default();
        loop {
            // On the heap: the states of all kinds of work together are large.
            match Box::pin(step(&app, &mut turns)).await {
                Step { failed: true, .. } => tokio::time::sleep(PAUSE).await,
                Step { busy: true, .. } => {}
                Step { lost: true, .. } => tokio::time::sleep(PAUSE_LOST).await,
                Step { .. } => {
                    let _ = tokio::time::timeout(IDLE, app.wake.notified()).await;
                }
            }
        }
    };
    runtime.shutdown.or_draining(working).await;
}

/// Whose job of each kind was worked on last: the next one is that of the next company.
#[derive(Default)]
struct Turns {
    import: imports::Turns,
    transfer: Option<TenantId>,
}

/// What a round of work came to.
#[derive(Default)]
struct Step {
    busy: bool,
    lost: bool,
    failed: bool,
}

impl Step {
    fn add(&mut self, done: Result<bool, Error>) {
        match done {
            Ok(busy) => self.busy |= busy,
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::warn!(%error, cause, "a job waits and tries again");
                self.failed = true;
            }
        }
    }
}

/// One piece of each kind of work: no kind waits for another, and none ends the round when it fails.
async fn step(app: &App, turns: &mut Turns) -> Step {
    let mut step = Step::default();
    let import = imports::work(app, &mut turns.import).await;
    step.lost = matches!(import, Ok(imports::Turn::Lost));
    step.add(import.map(|turn| turn == imports::Turn::Done));
    step.add(transfers::work(app, &mut turns.transfer).await);
    step.add(hand_over::work(app).await);
    step.add(sweep(app).await);
    step
}

/// The next chunk of a segment that waits to be swept, and of members that wait to be told of.
async fn sweep(app: &App) -> Result<bool, Error> {
    let (sweep, database) = (&app.workers.sweep, &app.store.database);
    if !database.read(sweep, async |tx| store::segment_rows::is_unswept(tx, sweep).await).await? {
        return Ok(false);
    }
    let size = app.config.batch_rows as u64;
    let swept = database.write(sweep, async |tx| store::segment_rows::sweep(tx, sweep, size).await).await?;
    let told = database.write(sweep, async |tx| store::segment_rows::tell_watched(tx, sweep, size).await).await?;
    Ok(swept || told)
}

/// When each piece of the clockwork is due again. It is remembered here only: after a restart everything is due.
struct Due {
    patrol: Timestamp,
    regrade: Timestamp,
    sweep: Timestamp,
}

/// Patrols, grades and sweeps, each at its interval of wall time.
async fn clockwork(app: Arc<App>, runtime: Runtime) {
    let now = app.clock.wall();
    let mut due = Due { patrol: now, regrade: now, sweep: now + hours(app.config.sweep_hours) };
    let working = async {
        loop {
            if let Err(error) = tick(&app, &mut due).await {
                tracing::warn!(%error, "the clockwork waits and tries again");
                tokio::time::sleep(PAUSE).await;
            } else {
                app.clock.sleep_until(due.patrol.min(due.regrade).min(due.sweep)).await;
            }
        }
    };
    runtime.shutdown.or_draining(working).await;
}

const fn hours(hours: u64) -> Duration {
    Duration::from_secs(hours * 3_600)
}

async fn tick(app: &App, due: &mut Due) -> Result<(), Error> {
    let now = app.clock.wall();
    if now >= due.regrade {
        while nightly::regrade(app).await? {}
        nightly::forget(app).await?;
        due.regrade = now + hours(app.config.regrade_hours);
    }
    if now >= due.patrol {
        nightly::patrol(app).await?;
        due.patrol = now + Duration::from_secs(app.config.patrol_seconds);
    }
    if now >= due.sweep {
        let worker = &app.workers.sweep;
        let write = app.store.database.write(worker, async |tx| store::segment_rows::sweep_again(tx, worker).await);
        write.await?;
        app.wake.notify_one();
        due.sweep = now + hours(app.config.sweep_hours);
    }
    Ok(())
}

/// At rest: no job has anything to do.
fn resting(app: &Arc<App>) -> Rest {
    let (asked, due) = (Arc::clone(app), Arc::clone(app));
    Rest::new(
        NAME,
        move || {
            let app = Arc::clone(&asked);
            async move { is_settled(&app).await.unwrap_or(false) }
        },
        move || {
            let app = Arc::clone(&due);
            async move { hand_over::next_due(&app).await.ok().flatten() }
        },
    )
}

async fn is_settled(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.sweep;
    let now = app.clock.wall();
    app.store
        .database
        .read(worker, async |tx| {
            Ok(!store::segment_rows::is_unswept(tx, worker).await?
                && store::transfers::next(tx, worker, None).await?.is_none()
                && store::hand_overs::due(tx, &app.workers.hand_over, now).await?.is_none()
                && !store::imports::any_running(tx, worker).await?)
        })
        .await
}
