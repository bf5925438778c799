//! Bulk transfers: a persisted job in which every row is decided by itself, and the count of customers without a living
//! owner.

use std::collections::BTreeMap;

use revisit_bootstrap::{Principal, audit, idempotency::Repeatable};
use revisit_core::id::{CustomerId, DepartmentId, JobId, SubjectId};
use revisit_permission::{Action, Decided, Permits};
use uuid::Uuid;

use super::{change::transfer_entry, lifecycle::hand_to, living};
use crate::{
    App,
    domain::{Error, customer::Customer, filter::Expr as Filter},
    store::{
        self,
        duty::OrphanReport,
        load::{Deleted, Order as Sort, Place, SortKey, Wanted},
        save::{Change, Handover},
        transfers::{Job, Row, State},
    },
};

/// Rows of one job at the most.
pub const ROWS_MAX: usize = 10_000;
/// Rows that are listed together when a job is made of everything that somebody owns.
const LIST_PAGE: usize = 1_000;

/// What is ordered.
pub struct Order {
    pub ids: Vec<CustomerId>,
    pub from: Option<SubjectId>,
    pub owner: SubjectId,
    pub department: Option<DepartmentId>,
    pub reason: String,
}

/// Writes the job down; a worker does it.
pub async fn create(app: &App, who: &Principal, order: Order, repeat: Option<Repeatable>) -> Result<Job, Error> {
    let scope = who.scope(Action::CustomerTransfer)?;
    living(&app.reading(who)?, order.owner)?;
    let mut ids = match order.from {
        Some(from) => owned(app, &scope, from).await?,
        None => order.ids,
    };
    ids.sort_unstable();
    ids.dedup();
    let now = app.clock.wall();
    let job = Job {
        tenant: who.tenant(),
        id: app.ids.next(now),
        subject: who.subject(),
        owner: order.owner,
        department: order.department,
        reason: order.reason,
        state: State::Running,
        total: i64::try_from(ids.len()).unwrap_or(i64::MAX),
        moved: 0,
        refused: 0,
        stop_reason: String::new(),
        created_at: now,
        ended_at: None,
    };
    let write = app.store.database.write(&scope, async |tx| {
        if let Some(repeat) = &repeat
            && let Some(first) = repeat.first_answer(tx, who.tenant(), who.subject()).await?
        {
            let id = JobId::from_uuid(Uuid::from_slice(&first).unwrap_or_default());
            let first = store::transfers::find(tx, &scope, who.tenant(), id).await?;
            return first.ok_or(Error::NoSuchJob(id));
        }
        store::transfers::insert(tx, &scope, &job, &ids).await?;
        super::customers::keep_answer(tx, who, repeat.as_ref(), job.id).await?;
        Ok::<_, Error>(job)
    });
    let job = write.await?;
    app.wake.notify_one();
    Ok(job)
}

/// Everything of an owner that the caller may transfer.
async fn owned(app: &App, scope: &revisit_permission::Scope, from: SubjectId) -> Result<Vec<CustomerId>, Error> {
    let filter = crate::domain::filter::parse(&format!("owner_id == \"{from}\""), &[]).unwrap_or(Filter::Always(false));
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let wanted = Wanted { filter: &filter, order: Sort::OLDEST_FIRST, deleted: Deleted::Without, only: None };
        let read = app
            .store
            .database
            .read(scope, async |tx| store::load::page(tx, scope, wanted, after.clone(), LIST_PAGE).await);
        let (rows, more) = read.await?;
        after = rows.last().map(|(customer, _)| Place::of(customer, SortKey::CreateTime));
        ids.extend(rows.into_iter().map(|(customer, _)| customer.id));
        if ids.len() > ROWS_MAX {
            return Err(Error::TooMany { what: "customers", max: ROWS_MAX });
        }
        if !more {
            return Ok(ids);
        }
    }
}

/// The job, for who ordered it and for who may transfer anything of the company.
pub async fn get(app: &App, who: &Principal, id: JobId) -> Result<Job, Error> {
    let scope = who.scope(Action::CustomerTransfer).map_err(|_| Error::NoSuchJob(id))?;
    let read = app.store.database.read(&scope, async |tx| store::transfers::find(tx, &scope, who.tenant(), id).await);
    let job = read.await?.ok_or(Error::NoSuchJob(id))?;
    let all = revisit_permission::Row::of_tenant(who.tenant());
    if job.subject != who.subject() && who.decide(Action::CustomerTransfer, &all).is_err() {
        return Err(Error::NoSuchJob(id));
    }
    Ok(job)
}

pub async fn rows(
    app: &App,
    who: &Principal,
    id: JobId,
    after: Option<Uuid>,
    size: usize,
) -> Result<(Vec<Row>, bool), Error> {
    let job = get(app, who, id).await?;
    let scope = who.scope(Action::CustomerTransfer)?;
    let read = app.store.database.read(&scope, async |tx| {
        store::transfers::rows(tx, &scope, (job.tenant, job.id), after, (false, size as u64 + 1)).await
    });
    let mut rows = read.await?;
    let more = rows.len() > size;
    rows.truncate(size);
    Ok((rows, more))
}

/// Works on jobs until none is running; answers whether there was one.
pub async fn work(app: &App) -> Result<bool, Error> {
    let worker = &app.workers.transfer;
    let jobs = app.store.database.read(worker, async |tx| store::transfers::running(tx, worker, 1).await).await?;
    let Some(job) = jobs.into_iter().next() else { return Ok(false) };
    let size = app.config.batch_rows as u64;
    let read = app
        .store
        .database
        .read(worker, async |tx| store::transfers::rows(tx, worker, (job.tenant, job.id), None, (true, size)).await);
    let ids: Vec<CustomerId> = read.await?.into_iter().map(|row| row.customer).collect();
    if ids.is_empty() {
        app.store.database.write(worker, async |tx| store::transfers::end(tx, worker, &job, None).await).await?;
        return Ok(true);
    }
    let who = Principal::named(&app.leases, job.tenant, job.subject);
    let handover = Handover { reason: job.reason.clone(), audit_group: Some(job.id.uuid()) };
    let to = (job.owner, job.department);
    let results = move_all(app, &who, &ids, to, (&handover, Action::CustomerTransfer)).await?;
    app.store.database.write(worker, async |tx| store::transfers::settle(tx, worker, &job, &results).await).await?;
    Ok(true)
}

/// Moves a chunk of customers, each decided by itself; answers a result for each.
///
/// All that may be moved is moved in one transaction. When somebody changes one of them meanwhile, the chunk is done
/// row by row.
pub async fn move_all(
    app: &App,
    who: &Principal,
    ids: &[CustomerId],
    to: (SubjectId, Option<DepartmentId>),
    (handover, action): (&Handover, Action),
) -> Result<Vec<(CustomerId, Result<(), &'static str>)>, Error> {
    match move_chunk(app, who, ids, to, (handover, action)).await {
        Err(Error::EtagStale { .. }) if ids.len() > 1 => {
            let mut results = Vec::new();
            for id in ids {
                match move_chunk(app, who, &[*id], to, (handover, action)).await {
                    Ok(one) => results.extend(one),
                    Err(Error::EtagStale { .. }) => results.push((*id, Err("ETAG_STALE"))),
                    Err(error) => return Err(error),
                }
            }
            Ok(results)
        }
        result => result,
    }
}

async fn move_chunk(
    app: &App,
    who: &Principal,
    ids: &[CustomerId],
    to: (SubjectId, Option<DepartmentId>),
    (handover, action): (&Handover, Action),
) -> Result<Vec<(CustomerId, Result<(), &'static str>)>, Error> {
    let worker = &app.workers.transfer;
    let tenant = who.tenant();
    let read = app
        .store
        .database
        .read(worker, async |tx| Ok::<_, Error>(store::load::for_worker(tx, worker, tenant, ids).await?));
    let known: BTreeMap<CustomerId, Customer> =
        read.await?.into_iter().map(|customer| (customer.id, customer)).collect();
    let (mut results, mut changes, mut permits) = (Vec::new(), Vec::new(), Vec::new());
    for id in ids {
        match plan_move(app, who, known.get(id), to, (handover, action)) {
            Ok(Some((change, decided))) => {
                results.push((*id, Ok(())));
                changes.push(change);
                permits.push(decided);
            }
            // It is there already: a chunk that was moved and not settled is done again.
            Ok(None) => results.push((*id, Ok(()))),
            Err(Error::Told(failure)) if failure.is_transient() => return Err(Error::Told(failure)),
            Err(error) => results.push((*id, Err(error.reason()))),
        }
    }
    if changes.is_empty() {
        return Ok(results);
    }
    let moved: Vec<CustomerId> = changes.iter().map(|change| change.after.id).collect();
    let entry = transfer_entry(who, &permits[0], &moved, handover);
    let group = handover.audit_group.map(|group| group.to_string()).unwrap_or_default();
    let entry = entry.with(|message| message.source_event_id = group);
    let permits = Permits(permits);
    let write = app.store.database.write(&permits, async |tx| {
        audit::record(tx, &app.ids, entry).await?;
        store::save::save(tx, &app.store, &permits, changes).await
    });
    write.await?;
    Ok(results)
}

fn plan_move(
    app: &App,
    who: &Principal,
    customer: Option<&Customer>,
    to: (SubjectId, Option<DepartmentId>),
    (handover, action): (&Handover, Action),
) -> Result<Option<(Change, Decided)>, Error> {
    let nobody = || Error::NoSuchCustomer(CustomerId::from_uuid(Uuid::nil()));
    let customer = customer.filter(|customer| customer.deleted_at.is_none()).ok_or_else(nobody)?;
    // Who may not view the row learns nothing of it, not even that it may not be moved.
    who.decide(Action::CustomerView, &customer.row()).map_err(|failure| match failure.is_transient() {
        true => Error::Told(failure),
        false => nobody(),
    })?;
    if customer.owner == Some(to.0) && to.1.is_none_or(|department| customer.department == Some(department)) {
        return Ok(None);
    }
    let change = Change::update(customer.clone(), customer.clone()).because(handover.clone());
    let mut change = hand_to(app, who, change, to, app.clock.wall())?;
    let decided = who.caller.decide_change(&who.leases, action, &customer.row(), &change.after.row())?;
    change.after.auth_rev = decided.revision();
    Ok(Some((change, decided)))
}

/// The last patrol's report: for who may count the customers of the whole company.
pub async fn orphans(app: &App, who: &Principal) -> Result<Option<OrphanReport>, Error> {
    let decided = who.decide(Action::CustomerAggregate, &revisit_permission::Row::of_tenant(who.tenant()))?;
    app.store.database.read(&decided, async |tx| store::duty::orphan_report(tx, &decided).await).await
}
