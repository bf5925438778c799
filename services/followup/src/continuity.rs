//! The monitor of continuity: looks by itself for customers and tasks without a person responsible, tells the log and a
//! metric, and remembers when it last looked.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use revisit_bootstrap::{database::Tx, shutdown::Shutdown, telemetry::Level};
use revisit_core::{Failure, Timestamp, id::TenantId};
use revisit_permission::Worker;

use crate::{
    App,
    store::{figures, people},
};

/// Grades whose customers are never to be without an owner or a next task.
pub const GRADES: [&str; 2] = ["A", "B"];
/// Tenants of one look.
const TENANTS_MAX: u64 = 10_000;

/// What the monitor has last seen. Cheap to clone.
#[derive(Clone, Default)]
pub struct Monitor(Arc<Mutex<BTreeMap<TenantId, Seen>>>);

/// One look at a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Seen {
    pub at: Timestamp,
    pub ownerless: i64,
    pub taskless: i64,
    pub orphan_tasks: i64,
}

impl Seen {
    fn same(&self, other: &Self) -> bool {
        (self.ownerless, self.taskless, self.orphan_tasks) == (other.ownerless, other.taskless, other.orphan_tasks)
    }

    /// How many are without somebody or something.
    pub const fn gaps(&self) -> i64 {
        self.ownerless + self.taskless + self.orphan_tasks
    }

    const fn is_whole(&self) -> bool {
        self.gaps() == 0
    }
}

impl Monitor {
    /// The last look at a tenant.
    pub fn last(&self, tenant: TenantId) -> Option<Seen> {
        self.lock().get(&tenant).copied()
    }

    /// Keeps a look; answers the one before.
    fn keep(&self, tenant: TenantId, seen: Seen) -> Option<Seen> {
        self.lock().insert(tenant, seen)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<TenantId, Seen>> {
        // An insert is whole or has not happened.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks again and again until draining begins.
pub async fn run(app: App, worker: Worker, shutdown: Shutdown) {
    let every = Duration::from_secs(app.config.continuity_seconds);
    let level = Level::new("followup.continuity", "gap");
    let watching = async {
        loop {
            if let Err(failure) = look(&app, &worker, &level).await {
                tracing::warn!(%failure, "the monitor of continuity waits and looks again");
            }
            tokio::time::sleep(every).await;
        }
    };
    shutdown.or_draining(watching).await;
}

async fn look(app: &App, worker: &Worker, level: &Level) -> Result<(), Failure> {
    let tenants = app.database.read(worker, async |tx: &Tx| people::tenants(tx, TENANTS_MAX).await).await?;
    let grades = GRADES.map(str::to_owned);
    let (mut ownerless, mut taskless, mut orphan_tasks) = (0, 0, 0);
    for tenant in tenants {
        let seen = app.database.read(worker, async |tx: &Tx| {
            let found = figures::continuity(tx, tenant, &grades, 0).await?;
            Ok::<_, Failure>(Seen {
                at: app.now(tx).await?,
                ownerless: found.ownerless,
                taskless: found.taskless,
                orphan_tasks: found.orphan_tasks,
            })
        });
        let seen = seen.await?;
        ownerless += seen.ownerless;
        taskless += seen.taskless;
        orphan_tasks += seen.orphan_tasks;
        tell(tenant, &seen, app.continuity.keep(tenant, seen));
    }
    level.set("ownerless_customers", ownerless);
    level.set("taskless_customers", taskless);
    level.set("orphan_tasks", orphan_tasks);
    Ok(())
}

/// A change is told once; the metric says each time how it stands.
fn tell(tenant: TenantId, seen: &Seen, before: Option<Seen>) {
    let Seen { ownerless, taskless, orphan_tasks, .. } = *seen;
    if before.is_some_and(|before| before.same(seen)) || (before.is_none() && seen.is_whole()) {
        return;
    }
    if seen.is_whole() {
        tracing::info!(tenant.id = %tenant, "everybody and everything has a person responsible again");
    } else {
        tracing::error!(tenant.id = %tenant, ownerless, taskless, orphan_tasks, "somebody is without a person responsible or a next task");
    }
}
