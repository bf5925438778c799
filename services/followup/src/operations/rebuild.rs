//! Building the projection anew from what identity and customer know: for a database that has lost, or never had, events
//! that their outboxes have let go. Events that arrive meanwhile are newer or the same, and versions tell.

use revisit_bootstrap::{database::Tx, snapshots::Pages};
use revisit_core::Failure;
use revisit_permission::Worker;
use revisit_proto::customer::v1 as customer;

use super::{
    consume::{department, facts_of, learn, required},
    customers, planner,
};
use crate::{
    App,
    store::{people, plans, projection},
};

/// Reads anew what is known of a source.
pub async fn from_source(app: &App, worker: &Worker, source: &str) -> Result<(), Failure> {
    if source == "identity" {
        users(app, worker).await?;
        departments(app, worker).await
    } else {
        customers(app, worker).await?;
        members(app, worker).await
    }
}

async fn users(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.users().await? {
        let write = app.database.write(worker, async |tx: &Tx| {
            for fact in &page {
                if let Some(user) = &fact.user {
                    learn(app, tx, required(&fact.tenant_id)?, user).await?;
                }
            }
            Ok::<_, Failure>(())
        });
        write.await?;
    }
    Ok(())
}

async fn departments(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.departments().await? {
        let write = app.database.write(worker, async |tx: &Tx| {
            for fact in &page {
                if let Some(found) = &fact.department {
                    people::save_department(tx, required(&fact.tenant_id)?, &department(found)?).await?;
                }
            }
            Ok::<_, Failure>(())
        });
        write.await?;
    }
    Ok(())
}

async fn customers(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.customers().await? {
        let write = app.database.write(worker, async |tx: &Tx| {
            for fact in &page {
                if let Some(facts) = &fact.facts {
                    customers::take_in(app, tx, facts_of(required(&fact.tenant_id)?, facts)?, "").await?;
                }
            }
            Ok::<_, Failure>(())
        });
        write.await?;
    }
    Ok(())
}

async fn members(app: &App, worker: &Worker) -> Result<(), Failure> {
    let mut pages = Pages::of(&app.peers);
    while let Some(page) = pages.members().await? {
        let write = app.database.write(worker, async |tx: &Tx| {
            for member in &page {
                join(app, tx, member).await?;
            }
            Ok::<_, Failure>(())
        });
        write.await?;
    }
    Ok(())
}

async fn join(app: &App, tx: &Tx, member: &customer::SegmentMember) -> Result<(), Failure> {
    let (tenant, segment) = (required(&member.tenant_id)?, required(&member.segment_id)?);
    let id = required(&member.customer_id)?;
    let known = projection::customer(tx, tenant, id, projection::Hold::Change).await?;
    let news = projection::cross(tx, tenant, (segment, id), (member.crossing, true)).await?;
    let (Some(customer), true) = (known, news) else { return Ok(()) };
    let now = app.now(tx).await?;
    for plan in plans::of_segment(tx, tenant, segment).await? {
        planner::enrol(app, tx, &plan, &customer, now).await?;
    }
    Ok(())
}
