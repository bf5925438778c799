//! Bulk transfers: a persisted job in which every row is decided by itself, and the count of customers without a living
//! owner.

use std::collections::{BTreeMap, HashMap};

use revisit_bootstrap::{
    Principal, Tx, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::{
    Failure,
    id::{CustomerId, DepartmentId, JobId, SubjectId, TenantId},
};
use revisit_permission::{Action, Decided, Layer, Permit, Permits, Scope};
use uuid::Uuid;

use super::{Clear, entries, hidden, is_open, lifecycle::hand_to, living, require_write, rows_max};
use crate::{
    App,
    domain::{Error, customer::Customer, filter::Expr as Filter},
    store::{
        self,
        duty::OrphanReport,
        load::{Place, SortKey, Wanted},
        save::{Change, Handover},
        transfers::{Former, Job, Row, Settled, State, Target},
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
    // Who may transfer nothing is told so before anything about owners and departments.
    who.scope(Action::CustomerTransfer)?;
    let ids = match order.from {
        Some(from) => owned(app, who, from).await?,
        None => order.ids,
    };
    begin(app, who, (Target::To(order.owner, order.department), ids), order.reason, repeat).await
}

/// Writes down the job that takes another one back.
pub async fn undo(
    app: &App,
    who: &Principal,
    id: JobId,
    reason: String,
    repeat: Option<Repeatable>,
) -> Result<Job, Error> {
    let job = get(app, who, id).await?;
    if job.state == State::Running {
        return Err(Error::JobRunning);
    }
    let scope = who.scope(Action::CustomerTransfer)?;
    let read =
        app.store.database.read(&scope, async |tx| store::transfers::moved(tx, &scope, (job.tenant, job.id)).await);
    begin(app, who, (Target::BackFrom(job.id), read.await?), reason, repeat).await
}

async fn begin(
    app: &App,
    who: &Principal,
    (to, mut ids): (Target, Vec<CustomerId>),
    reason: String,
    repeat: Option<Repeatable>,
) -> Result<Job, Error> {
    let scope = who.scope(Action::CustomerTransfer)?;
    ids.sort_unstable();
    ids.dedup();
    let now = app.clock.wall();
    let job = Job {
        tenant: who.tenant(),
        id: app.ids.next(now),
        subject: who.subject(),
        to,
        reason,
        state: State::Running,
        total: i64::try_from(ids.len()).unwrap_or(i64::MAX),
        moved: 0,
        refused: 0,
        stop_reason: String::new(),
        created_at: now,
        ended_at: None,
    };
    let write = app.store.database.write(&scope, async |tx| {
        let find = async |id| {
            let id = JobId::from_uuid(id);
            store::transfers::find(tx, &scope, who.tenant(), id).await?.ok_or(Error::NoSuchJob(id))
        };
        let work = async || {
            require_open(app, who, &job.to)?;
            store::transfers::insert(tx, &scope, &job, &ids).await?;
            audit::record(tx, &app.ids, ordered(&scope, &job)).await?;
            Ok((job.id.uuid(), job))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    let job = write.await?;
    app.wake.notify_one();
    Ok(job)
}

/// The entry of an order, and of the job that it takes back. What is moved by it its chunks tell, row by row.
fn ordered(scope: &Scope, job: &Job) -> audit::Entry {
    let undone = match job.to {
        Target::To(..) => None,
        Target::BackFrom(undone) => Some(undone),
    };
    let jobs = std::iter::once(job.id).chain(undone).map(JobId::uuid);
    let entry = audit::Entry::new(scope.caller(), scope.action().name(), "bulk_transfer").about(jobs);
    entry.with(|message| {
        message.why.clone_from(&job.reason);
        message.revision = scope.revision();
    })
}

/// The right by which somebody looks at a job.
fn reader(who: &Principal, id: JobId) -> Result<Scope, Error> {
    who.scope(Action::CustomerTransfer).map_err(|failure| hidden(failure, Error::NoSuchJob(id)))
}

/// Refuses a target that takes nobody.
fn require_open(app: &App, who: &Principal, to: &Target) -> Result<(), Error> {
    let Target::To(owner, department) = to else { return Ok(()) };
    let reading = app.reading(who)?;
    living(&reading, *owner)?;
    if department.is_some_and(|department| !is_open(&reading, department)) {
        return Err(Error::invalid("department_id", "is not an open department"));
    }
    Ok(())
}

/// Everything of an owner that the caller may see and transfer.
async fn owned(app: &App, who: &Principal, from: SubjectId) -> Result<Vec<CustomerId>, Error> {
    let permit = (who.scope(Action::CustomerTransfer)?, who.scope(Action::CustomerView)?);
    let (scope, view) = &permit;
    let filter = crate::domain::filter::parse(&format!("owner_id == \"{from}\""), &[]).unwrap_or(Filter::Always(false));
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let wanted = Wanted { within: Some(view), ..Wanted::matching(&filter) };
        let read = app
            .store
            .database
            .read(&permit, async |tx| store::load::page(tx, scope, wanted, after.clone(), LIST_PAGE).await);
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
    let scope = reader(who, id)?;
    app.store.database.read(&scope, async |tx| find(tx, &scope, id).await).await
}

async fn find(tx: &Tx, scope: &Scope, id: JobId) -> Result<Job, Error> {
    let job = store::transfers::find(tx, scope, scope.tenant(), id).await?.ok_or(Error::NoSuchJob(id))?;
    let reaches_all = || scope.levels(&revisit_permission::Row::of_tenant(scope.tenant())).is_some();
    if job.subject == scope.caller().subject || reaches_all() { Ok(job) } else { Err(Error::NoSuchJob(id)) }
}

pub async fn rows(
    app: &App,
    who: &Principal,
    id: JobId,
    after: Option<Uuid>,
    size: usize,
) -> Result<(Vec<Row>, bool), Error> {
    let scope = reader(who, id)?;
    let read = app.store.database.read(&scope, async |tx| {
        let job = find(tx, &scope, id).await?;
        store::transfers::rows(tx, &scope, (job.tenant, job.id), after, (false, size as u64 + 1)).await
    });
    let mut rows = read.await?;
    let more = rows.len() > size;
    rows.truncate(size);
    Ok((rows, more))
}

/// Moves the next chunk of the oldest job of the next company; answers whether there was one.
pub async fn work(app: &App, turn: &mut Option<TenantId>) -> Result<bool, Error> {
    let worker = &app.workers.transfer;
    let last = *turn;
    let next = app.store.database.read(worker, async |tx| store::transfers::next(tx, worker, last).await).await?;
    let Some(job) = next else { return Ok(false) };
    *turn = Some(job.tenant);
    let Err(failure) = move_chunk(app, job.clone()).await.map_err(Failure::from) else { return Ok(true) };
    if failure.is_transient() {
        return Err(Error::Told(failure));
    }
    // It would come again for ever, and keep the company's other jobs waiting.
    tracing::warn!(job.id = %job.id, %failure, "a bulk transfer stops");
    let end = async |tx: &Tx| store::transfers::end(tx, worker, &job, Some(failure.reason)).await;
    app.store.database.write(worker, end).await?;
    Ok(true)
}

async fn move_chunk(app: &App, job: Job) -> Result<(), Error> {
    let worker = &app.workers.transfer;
    let size = rows_max(app, job.tenant).await?;
    let read = app
        .store
        .database
        .read(worker, async |tx| store::transfers::rows(tx, worker, (job.tenant, job.id), None, (true, size)).await);
    let ids: Vec<CustomerId> = read.await?.into_iter().map(|row| row.customer).collect();
    if ids.is_empty() {
        return app.store.database.write(worker, async |tx| store::transfers::end(tx, worker, &job, None).await).await;
    }
    let chunk = Chunk {
        app,
        who: Principal::named(&app.leases, job.tenant, job.subject),
        handover: Handover { reason: job.reason.clone(), audit_group: Some(job.id.uuid()) },
        former: match job.to {
            Target::To(..) => HashMap::new(),
            Target::BackFrom(undone) => {
                let of = (job.tenant, undone);
                let read = async |tx: &Tx| store::transfers::former(tx, worker, of, &ids).await;
                app.store.database.read(worker, read).await?
            }
        },
        job,
    };
    chunk.work(&ids).await
}

/// Rows of a job that are moved together.
struct Chunk<'a> {
    app: &'a App,
    job: Job,
    who: Principal,
    handover: Handover,
    /// Whose the rows were, when the job takes another one back.
    former: HashMap<CustomerId, Former>,
}

impl Chunk<'_> {
    /// Moves the rows, each decided by itself, and writes their results. All that may be moved is moved in one
    /// transaction; when somebody changes one of them meanwhile, the chunk is done row by row.
    async fn work(&self, ids: &[CustomerId]) -> Result<(), Error> {
        match self.move_rows(ids).await {
            Err(Error::EtagStale { .. }) if ids.len() > 1 => {
                for id in ids {
                    match self.move_rows(&[*id]).await {
                        Err(Error::EtagStale { .. }) => self.settle(&[(*id, Err("ETAG_STALE"))]).await?,
                        result => result?,
                    }
                }
                Ok(())
            }
            result => result,
        }
    }

    /// Rows and their results are one transaction: what was moved is known to have been moved, and from where.
    async fn move_rows(&self, ids: &[CustomerId]) -> Result<(), Error> {
        let (app, worker, tenant) = (self.app, &self.app.workers.transfer, self.job.tenant);
        let read = async |tx: &Tx| Ok::<_, Error>(store::load::for_worker(tx, worker, tenant, ids).await?);
        let known = app.store.database.read(worker, read).await?;
        let known: BTreeMap<CustomerId, Customer> = known.into_iter().map(|customer| (customer.id, customer)).collect();
        let (mut results, mut changes, mut permits) = (Vec::new(), Vec::new(), Vec::new());
        for id in ids {
            match self.plan(*id, known.get(id)) {
                Ok(Some((change, decided))) => {
                    results.push((*id, Ok(before(&change))));
                    changes.push(change);
                    permits.push(decided);
                }
                Ok(None) => results.push((*id, Ok(None))),
                Err(Error::Told(failure)) if failure.is_transient() => return Err(Error::Told(failure)),
                Err(error) => results.push((*id, Err(error.reason()))),
            }
        }
        if changes.is_empty() {
            return self.settle(&results).await;
        }
        let entries = self.entries(&permits);
        let permits = Permits(permits);
        let write = app.store.database.write(&permits, async |tx| {
            for entry in entries {
                audit::record(tx, &app.ids, entry).await?;
            }
            store::save::save(tx, &app.store, &permits, changes).await?;
            store::transfers::settle(tx, worker, &self.job, &results).await
        });
        write.await
    }

    /// One entry for the rows that the same right moves.
    fn entries(&self, permits: &[Decided]) -> Vec<audit::Entry> {
        let entry = |(decided, ids): (&Decided, Vec<CustomerId>)| {
            let entry = entries::transferred(decided, ids, &self.handover, &[]);
            entry.with(|message| message.source_event_id = self.job.id.to_string())
        };
        entries::by_right(permits).into_iter().map(entry).collect()
    }

    async fn settle(&self, results: &[Settled]) -> Result<(), Error> {
        let worker = &self.app.workers.transfer;
        let write = async |tx: &Tx| store::transfers::settle(tx, worker, &self.job, results).await;
        self.app.store.database.write(worker, write).await
    }

    fn plan(&self, id: CustomerId, customer: Option<&Customer>) -> Result<Option<(Change, Decided)>, Error> {
        let nobody = || Error::NoSuchCustomer(id);
        let customer = customer.filter(|customer| customer.deleted_at.is_none()).ok_or_else(nobody)?;
        // Who may not view the row learns nothing of it, not even that it may not be moved.
        self.who.decide(Action::CustomerView, &customer.row()).map_err(|failure| match failure.is_transient() {
            true => Error::Told(failure),
            false => nobody(),
        })?;
        let (owner, department) = self.target(customer)?;
        if customer.owner == Some(owner) && department.is_none_or(|department| customer.department == Some(department))
        {
            return Ok(None);
        }
        let change = Change::update(customer.clone(), customer.clone()).because(self.handover.clone());
        let mut change = hand_to(self.app, &self.who, change, (owner, department), self.app.clock.wall())?;
        let (caller, leases) = (&self.who.caller, &self.who.leases);
        let decided = caller.decide_change(leases, Action::CustomerTransfer, &customer.row(), &change.after.row())?;
        require_write(&decided.levels(), Layer::Basic, "owner_id")?;
        change.after.auth_rev = decided.revision();
        Ok(Some((change, decided)))
    }

    fn target(&self, customer: &Customer) -> Result<(SubjectId, Option<DepartmentId>), Error> {
        match self.job.to {
            Target::To(owner, department) => Ok((owner, department)),
            Target::BackFrom(_) => {
                let former = self.former.get(&customer.id).ok_or(Error::NoSuchCustomer(customer.id))?;
                if customer.ownership_epoch != former.epoch {
                    return Err(Error::OwnerChanged);
                }
                // A department that has been closed since takes nothing back: the owner's own does.
                let reading = self.app.reading(&self.who)?;
                let department = former.department.filter(|department| is_open(&reading, *department));
                Ok((former.owner.ok_or(Error::NoFormerOwner)?, department))
            }
        }
    }
}

/// Where a move takes its row from.
fn before(change: &Change) -> Option<Former> {
    let before = change.before.as_ref()?;
    Some(Former { owner: before.owner, department: before.department, epoch: change.after.ownership_epoch })
}

/// The last patrol's report: the count for who may count the customers of the whole company, and of the customers
/// those that the caller may view.
pub async fn orphans(app: &App, who: &Principal) -> Result<Option<OrphanReport>, Error> {
    let decided = who.decide(Action::CustomerAggregate, &revisit_permission::Row::of_tenant(who.tenant()))?;
    let read = app.store.database.read(&decided, async |tx| store::duty::orphan_report(tx, &decided).await);
    let Some(mut report) = read.await? else { return Ok(None) };
    let seen = super::customers::get_all(app, who, &report.customers, &Clear::default()).await?;
    // The count is told by the first right, after the customers were read by the other.
    decided.confirm().map_err(Failure::from)?;
    report.customers = seen.into_iter().map(|view| view.id()).collect();
    Ok(Some(report))
}
