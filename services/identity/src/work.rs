//! What identity does without being asked: sweeping, chaining the audit log, driving hand-overs, telling of many users.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use revisit_bootstrap::{Consumer, Database, Rest, Runtime, Started, Work, consumer::Around};
use revisit_permission::Silence;

use crate::{
    App, NAME,
    operations::{self, alerts, chain, leases, log_in, pushes, stages, telling},
};

/// How often orders are looked for that nobody here was told of.
const HAND_OVERS: Duration = Duration::from_secs(1);
/// How often expired sessions and forgotten failures are deleted.
const SWEEP: Duration = Duration::from_secs(60);
/// How often is looked for audit logs with new entries.
const CHECKPOINTS: Duration = Duration::from_secs(1);
/// How often is looked for sessions that an alert wants ended.
const FREEZES: Duration = Duration::from_millis(500);
/// How often is asked whether a change concerned more users than it told of itself.
const TELLINGS: Duration = Duration::from_secs(1);

/// Adds the workers to what is served.
pub fn run(started: Started, app: &Arc<App>, database: &Database, runtime: &Runtime) -> Started {
    let (watching, prepared) = (Arc::clone(app), Arc::clone(app));
    let around = Around::locking(chain::lock_for)
        .before(move |events| {
            let (app, tenants) = (Arc::clone(&prepared), events.iter().filter_map(chain::chained).collect());
            async move { alerts::prepare(&app, tenants).await }
        })
        .after(move |how| watching.watch.ended(how));
    // An entry that is left out would be missed for ever: what cannot be chained is waited for.
    let consumer = Consumer::new(runtime, database)
        .from("identity")
        .from("customer")
        .from("followup")
        .from("notification")
        .within(around)
        .leaving_nothing_out();
    let (consume, chaining) = (app.workers.consume, Arc::clone(app));
    started
        .work(Work::new(
            "identity audit",
            consumer.run(consume, async move |tx, event| {
                stages::learn(tx, event).await?;
                chain::append(&chaining, tx, event).await
            }),
        ))
        .work(Work::new("identity checkpoints", checkpoints(Arc::clone(app), runtime.clone())))
        .work(Work::new("identity alerts", freezes(Arc::clone(app), runtime.clone())))
        .work(Work::new("identity hints", hints(Arc::clone(app), database.clone(), runtime.clone())))
        .work(Work::new("identity pushes", pushed(Arc::clone(app), runtime.clone())))
        .work(Work::new("identity leases", silent_leases(Arc::clone(app), runtime.clone())))
        .work(Work::new("identity sweep", expired(Arc::clone(app), runtime.clone())))
        .work(Work::new("identity hand-overs", hand_overs(Arc::clone(app), runtime.clone())))
        .work(Work::new("identity telling", tellings(Arc::clone(app), runtime.clone())))
        .rest(rest(app))
}

/// Makes the checkpoints of the audit logs that are due.
async fn checkpoints(app: Arc<App>, runtime: Runtime) {
    let marking = async {
        loop {
            if let Err(error) = chain::mark_due(&app).await {
                tracing::warn!(%error, "checkpoints of the audit log could not be made");
            }
            tokio::time::sleep(CHECKPOINTS).await;
        }
    };
    runtime.shutdown.or_draining(marking).await;
}

/// Ends the sessions that alerts want ended.
async fn freezes(app: Arc<App>, runtime: Runtime) {
    let freezing = async {
        let mut failing = BTreeSet::new();
        loop {
            if let Err(error) = alerts::freeze(&app, &mut failing).await {
                tracing::warn!(%error, "sessions that an alert names could not be ended");
            }
            tokio::time::sleep(FREEZES).await;
        }
    };
    runtime.shutdown.or_draining(freezing).await;
}

async fn hints(app: Arc<App>, database: Database, runtime: Runtime) {
    runtime.shutdown.or_draining(pushes::hear(&app, &database)).await;
}

async fn pushed(app: Arc<App>, runtime: Runtime) {
    runtime.shutdown.or_draining(pushes::push(&app)).await;
}

async fn silent_leases(app: Arc<App>, runtime: Runtime) {
    let silence = Mutex::new(Silence::default());
    let sweeping = async {
        loop {
            if let Err(error) = leases::sweep(&app, &silence).await {
                tracing::warn!(%error, "the lease rows could not be looked at");
            }
            tokio::time::sleep(leases::SWEEP).await;
        }
    };
    runtime.shutdown.or_draining(sweeping).await;
}

/// Drives the sagas; an order of another replica, or of before a restart, is found within the pause.
async fn hand_overs(app: Arc<App>, runtime: Runtime) {
    let driving = async {
        loop {
            match Box::pin(operations::hand_overs::drive(&app)).await {
                Ok(true) => continue,
                Ok(false) => (),
                Err(error) => tracing::warn!(%error, "the hand-overs could not be driven"),
            }
            tokio::select! {
                () = app.hand_overs.notified() => (),
                () = tokio::time::sleep(HAND_OVERS) => (),
            }
        }
    };
    runtime.shutdown.or_draining(driving).await;
}

/// Tells of the users that a large change has left over.
async fn tellings(app: Arc<App>, runtime: Runtime) {
    let telling = async {
        loop {
            match telling::go_on(&app).await {
                Ok(true) => continue,
                Ok(false) => (),
                Err(error) => tracing::warn!(%error, "the users of a company could not be told of"),
            }
            tokio::time::sleep(TELLINGS).await;
        }
    };
    runtime.shutdown.or_draining(telling).await;
}

/// At rest when no revocation waits to become effective and every user was told of. Nothing here waits for an instant of the wall.
fn rest(app: &Arc<App>) -> Rest {
    let app = Arc::clone(app);
    let settled = move || {
        let app = Arc::clone(&app);
        async move { operations::hand_overs::is_settled(&app).await && telling::is_settled(&app).await }
    };
    Rest::new(NAME, settled, || async { None })
}

async fn expired(app: Arc<App>, runtime: Runtime) {
    let sweeping = async {
        loop {
            if let Err(error) = log_in::sweep(&app).await {
                tracing::warn!(%error, "expired sessions could not be deleted");
            }
            tokio::time::sleep(SWEEP).await;
        }
    };
    runtime.shutdown.or_draining(sweeping).await;
}
