//! Reading anew what identity, customer and followup know: for a database that has lost, or never had, events that their
//! outboxes have let go. Events that arrive meanwhile are newer or the same, and versions tell. It may break off
//! anywhere and begins anew then.
//!
//! What was to be told, preferences, templates and endpoints have their only place here: they come back from a backup.

use std::collections::{BTreeMap, HashSet};

use revisit_bootstrap::snapshots::Pages;
use revisit_core::{
    Failure,
    id::{TaskId, TenantId},
};

use super::consume::{close_task, learn_customer, learn_task, learn_user, required};
use crate::{
    App,
    store::people::{self, Task},
};

/// Tasks of one question and one transaction.
const TASKS_MAX: u64 = 500;

/// Reads anew what is known of a source.
pub async fn from_source(app: &App, source: &str) -> Result<(), Failure> {
    match source {
        "identity" => users(app).await,
        "customer" => customers(app).await,
        "followup" => {
            close_what_is_over(app).await?;
            open_tasks(app).await
        }
        _ => Ok(()),
    }
}

/// Nobody is welcomed again: only an event says that somebody begins.
async fn users(app: &App) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.users().await? {
        let write = app.store.write(&app.workers.rebuild, async |tx| {
            for fact in &page {
                if let Some(user) = &fact.user {
                    learn_user(app, tx, required(&fact.tenant_id, "tenant_id")?, user).await?;
                }
            }
            Ok(())
        });
        write.await?;
    }
    Ok(())
}

async fn customers(app: &App) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.customers().await? {
        let write = app.store.write(&app.workers.rebuild, async |tx| {
            for fact in &page {
                if let Some(facts) = &fact.facts {
                    learn_customer(tx, required(&fact.tenant_id, "tenant_id")?, facts).await?;
                }
            }
            Ok(())
        });
        write.await?;
    }
    Ok(())
}

async fn open_tasks(app: &App) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.open_tasks().await? {
        let write = app.store.write(&app.workers.rebuild, async |tx| {
            for open in &page {
                if let Some(task) = &open.task {
                    learn_task(tx, required(&open.tenant_id, "tenant_id")?, task).await?;
                }
            }
            Ok(())
        });
        write.await?;
    }
    Ok(())
}

/// A backup believes tasks to be open that have ended since. They are asked for one by one, because a task that is only
/// missing from a list may have opened behind it; one that has ended never opens again.
async fn close_what_is_over(app: &App) -> Result<(), Failure> {
    let worker = &app.workers.rebuild;
    let mut after = None;
    loop {
        let believed = app.store.read(worker, async |tx| Ok(people::open_tasks(tx, after, TASKS_MAX).await?)).await?;
        let Some((tenant, last)) = believed.last() else { return Ok(()) };
        after = Some((*tenant, last.id));
        let mut tenants: BTreeMap<TenantId, Vec<Task>> = BTreeMap::new();
        for (tenant, task) in believed {
            tenants.entry(tenant).or_default().push(task);
        }
        for (tenant, mut tasks) in tenants {
            let open = still_open(app, tenant, &tasks).await?;
            tasks.retain(|task| !open.contains(&task.id));
            let write = app.store.write(worker, async |tx| {
                for task in &tasks {
                    close_task(tx, tenant, task).await?;
                }
                Ok(())
            });
            write.await?;
        }
    }
}

async fn still_open(app: &App, tenant: TenantId, tasks: &[Task]) -> Result<HashSet<TaskId>, Failure> {
    let ids: Vec<TaskId> = tasks.iter().map(|task| task.id).collect();
    let (mut pages, mut open) = (Pages::of(&app.peers), HashSet::new());
    while let Some(page) = pages.still_open(tenant, &ids).await? {
        for task in page.iter().filter_map(|found| found.task.as_ref()) {
            open.insert(required(&task.task_id, "task_id")?);
        }
    }
    Ok(open)
}
