//! One batch of an import: read from where the last one ended, clean, match, decide, write, all in one transaction.
//!
//! A killed import begins again at the batch that was not committed.

mod budget;
mod place;

use std::collections::{BTreeSet, HashMap};

use revisit_bootstrap::{Principal, Tx, audit};
use revisit_core::{
    Failure, Input, Timestamp,
    id::{CustomerId, DepartmentId},
};
use revisit_permission::{Change as PolicyChange, Decided, Permits, Reading, Veiled};

use budget::{Allowance, allowance};

use super::{
    may_import,
    take_back::take_back,
    targets,
    turns::{Turn, Turns, is_race},
};
use crate::{
    App,
    domain::{
        Error,
        customer::Customer,
        import::{self, RowDraft, Sheet, Target},
        matching::Key,
        sheet::{self, Record, Splitter},
    },
    operations::{
        customers::{self, Catalogue, compose},
        entries,
        matching::BUDGET_SPENT,
        region, rows_max,
    },
    store::{
        self,
        imports::{Job, Row, RowResult, State, sent},
        save::Change,
    },
};

/// Bytes of the records of one batch at the most, the last one excepted: a batch of the longest rows is a small one.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Does one batch of the oldest job of the next company.
pub async fn work(app: &App, turns: &mut Turns) -> Result<Turn, Error> {
    let worker = &app.workers.import;
    let last = turns.last;
    let next = app.store.database.read(worker, async |tx| store::imports::next(tx, worker, last).await).await?;
    let Some(job) = next else {
        turns.forgive_all();
        return Ok(Turn::Nothing);
    };
    turns.last = Some(job.tenant);
    let who = Principal::named(&app.leases, job.tenant, job.subject);
    let done = match job.state {
        State::Reverting => take_back(app, &who, &job).await,
        State::Ready | State::Running | State::Done | State::Stopped | State::Reverted => batch(app, &who, &job).await,
    };
    let lost = done.as_ref().is_err_and(is_race);
    if lost && !turns.lose(&job) {
        return Ok(Turn::Lost);
    }
    turns.forgive(job.tenant);
    match done.map_err(Failure::from) {
        Ok(()) => Ok(Turn::Done),
        // What passes by itself is tried again.
        Err(failure) if failure.is_transient() && !lost => Err(Error::Told(failure)),
        Err(failure) => stop(app, &job, &failure).await,
    }
}

/// Ends a job whose batch would fail again for ever (a right that the importer has lost, a fault of ours) or loses again
/// and again, and keeps the company's other imports waiting.
async fn stop(app: &App, job: &Job, failure: &Failure) -> Result<Turn, Error> {
    tracing::warn!(job.id = %job.id, %failure, "an import stops");
    let worker = &app.workers.import;
    let stopped = ended(app, job, State::Stopped, failure.reason);
    let write = async |tx: &Tx| {
        store::imports::update(tx, worker, job, &stopped).await?;
        // Nobody will read it, and it takes of what the company may upload.
        store::imports::files::drop_file(tx, worker, job).await
    };
    app.store.database.write(worker, write).await?;
    Ok(Turn::Done)
}

pub fn ended(app: &App, job: &Job, state: State, reason: &str) -> Job {
    Job { state, stop_reason: reason.to_owned(), ended_at: Some(app.clock.wall()), ..job.clone() }
}

/// What a batch works with.
struct Context<'a> {
    app: &'a App,
    who: &'a Principal,
    job: &'a Job,
    reading: Reading,
    catalogue: Catalogue,
    mapping: Vec<Option<Target>>,
    departments: HashMap<String, DepartmentId>,
    /// How many more rows may turn out to be customers of others; none for who may ask without bound.
    allowance: Option<Allowance>,
    now: Timestamp,
}

/// A row that can be read, on its way to a customer.
struct Candidate {
    number: i64,
    raw: Veiled<Vec<u8>>,
    draft: RowDraft,
    customer: Customer,
    keys: BTreeSet<Key>,
}

/// What a batch has come to.
#[derive(Default)]
struct Outcome {
    rows: Vec<Row>,
    changes: Vec<Change>,
    /// The right to make the change at this place.
    permits: Vec<Decided>,
    /// The fields that the row at this place would write of a customer who was there; of a new one none.
    named: Vec<BTreeSet<String>>,
    /// What changes need beside it, and the fields that they write by it: the right to give a customer to somebody else, and
    /// the right to note.
    also: Vec<(Decided, BTreeSet<String>)>,
    /// Which row made the change at this place, for rows of the batch that mean the same customer.
    made: Vec<i64>,
    /// Customers of others that rows tell of.
    foreign: Vec<CustomerId>,
    /// The row at which the budget was spent: neither it nor a later one has a result.
    cut_at: Option<i64>,
}

async fn batch(app: &App, who: &Principal, job: &Job) -> Result<(), Error> {
    let scope = may_import(who)?;
    let catalogue = customers::catalogue(app, &scope).await?;
    let reading = app.reading(who)?;
    let mapping = targets(&job.mapping, &catalogue.fields);
    let context = Context {
        app,
        who,
        job,
        departments: departments(&reading, &mapping),
        allowance: allowance(app, who, &scope, job).await?,
        mapping,
        catalogue,
        reading,
        now: app.clock.wall(),
    };
    let size = usize::try_from(rows_max(app, job.tenant).await?).unwrap_or(1);
    let (records, end_of_file) = records(app, &scope, job, size).await?;
    let ends: Vec<i64> = records.iter().map(|record| i64::try_from(record.end).unwrap_or(i64::MAX)).collect();
    let mut outcome = Outcome::default();
    let mut candidates = Vec::new();
    for (index, record) in records.into_iter().enumerate() {
        match context.candidate(job.next_row + i64::try_from(index).unwrap_or(0) + 1, record)? {
            Ok(candidate) => candidates.push(candidate),
            Err(row) => outcome.rows.push(row),
        }
    }
    context.place(candidates, &scope, &mut outcome).await?;
    if let Some(cut) = outcome.cut_at {
        outcome.rows.retain(|row| row.number < cut);
    }
    let count = outcome.cut_at.map_or(ends.len(), |cut| usize::try_from(cut - 1 - job.next_row).unwrap_or(0));
    let after = ends[..count].last().copied().unwrap_or(job.next_position);
    let next_row = job.next_row + i64::try_from(count).unwrap_or(i64::MAX);
    let mut next = Job { next_row, next_position: after, ..job.clone() };
    next.foreign += i64::try_from(outcome.foreign.len()).unwrap_or(0);
    for row in &outcome.rows {
        match row.result {
            RowResult::Created => next.created += 1,
            RowResult::Merged => next.merged += 1,
            RowResult::Duplicate => next.duplicate += 1,
            RowResult::Rejected => next.rejected += 1,
        }
    }
    if outcome.cut_at.is_some() {
        next = ended(app, &next, State::Stopped, BUDGET_SPENT);
    } else if end_of_file {
        next = ended(app, &next, State::Done, "");
    }
    context.commit(&scope, outcome, &next).await
}

/// Open departments by name, if a column names departments.
fn departments(reading: &Reading, mapping: &[Option<Target>]) -> HashMap<String, DepartmentId> {
    if !mapping.contains(&Some(Target::Department)) {
        return HashMap::new();
    }
    let facts = reading.snapshot.facts().changes().into_iter();
    facts
        .filter_map(|fact| match fact {
            PolicyChange::Department(department) if !department.disabled => Some((department.name, department.id)),
            PolicyChange::Tenant(_)
            | PolicyChange::Department(_)
            | PolicyChange::Subject(_)
            | PolicyChange::Position(_)
            | PolicyChange::Role(_)
            | PolicyChange::RoleAssignment(_)
            | PolicyChange::Team(_)
            | PolicyChange::Grant(_)
            | PolicyChange::Guard(_)
            | PolicyChange::ExternalType(_)
            | PolicyChange::SessionRevoked { .. }
            | PolicyChange::Removed(_) => None,
        })
        .collect()
}

/// The next records of the file, at most a batch of them by number and by bytes, and whether the file ends behind them.
async fn records(
    app: &App,
    scope: &revisit_permission::Scope,
    job: &Job,
    size: usize,
) -> Result<(Vec<Record>, bool), Error> {
    let key = (job.tenant, job.id);
    let mut splitter = Splitter::new(job.delimiter, u64::try_from(job.next_position).unwrap_or(0));
    let (mut records, mut position, mut bytes) = (Vec::new(), job.next_position, 0);
    loop {
        let read = app
            .store
            .database
            .read(scope, async |tx| store::imports::files::chunk_at(tx, &app.store, scope, key, position).await);
        let piece = read.await?.and_then(|(start, bytes)| {
            let skipped = usize::try_from(position - start).unwrap_or(usize::MAX);
            bytes.get(skipped..).filter(|rest| !rest.is_empty()).map(<[u8]>::to_vec)
        });
        let end = piece.is_none();
        if let Some(piece) = piece {
            position += i64::try_from(piece.len()).unwrap_or(0);
            splitter.push(&piece);
        }
        while records.len() < size && bytes < BATCH_BYTES_MAX {
            match splitter.next(end) {
                Some(record) => {
                    bytes += record.content.as_ref().map_or(0, Vec::len);
                    records.push(record);
                }
                None if end => return Ok((records, true)),
                None => break,
            }
        }
        if records.len() >= size || bytes >= BATCH_BYTES_MAX {
            return Ok((records, false));
        }
    }
}

impl Context<'_> {
    fn sheet(&self) -> Sheet<'_> {
        let region = region(&self.reading);
        Sheet { mapping: &self.mapping, fields: &self.catalogue.fields, region }
    }

    /// A row cleaned and checked by itself, or its rejection.
    fn candidate(&self, number: i64, record: Record) -> Result<Result<Candidate, Row>, Error> {
        let raw = record.content.as_ref().ok().cloned();
        let reject = |violations: Vec<(String, String)>| Row {
            number,
            result: RowResult::Rejected,
            customer: None,
            duplicate_of: None,
            violations,
            raw: Some(sent(raw.clone().unwrap_or_default())),
        };
        let broken = |rule: &str| reject(vec![("row".to_owned(), rule.to_owned())]);
        let read = record.content.and_then(|bytes| {
            let cells = sheet::cells(&bytes, self.job.delimiter, self.job.encoding)?;
            if cells.len() > self.mapping.len() { Err("has more cells than the header") } else { Ok((bytes, cells)) }
        });
        let (bytes, cells) = match read {
            Ok(read) => read,
            Err(rule) => return Ok(Err(broken(rule))),
        };
        let mut input = Input::default();
        let mut draft = import::read_row(&cells, &self.sheet(), &mut input);
        self.set_department(&mut draft, &mut input);
        let told = |input: &Input| {
            input.violations().iter().map(|bad| (bad.field.clone(), bad.rule.clone())).collect::<Vec<_>>()
        };
        if !input.violations().is_empty() {
            return Ok(Err(reject(told(&input))));
        }
        let mut customer = match compose(self.app, self.who, &draft.draft, &self.catalogue).map_err(Failure::from) {
            Ok(customer) => customer,
            Err(failure) if failure.is_transient() => return Err(Error::Told(failure)),
            Err(failure) => {
                let told = failure.violations.iter().map(|bad| (bad.field.clone(), bad.rule.clone()));
                let told: Vec<_> = told.collect();
                let told = if told.is_empty() { vec![("row".to_owned(), failure.reason.to_owned())] } else { told };
                return Ok(Err(reject(told)));
            }
        };
        (customer.import_job, customer.import_version) = (Some(self.job.id), Some(1));
        let keys = customer.keys();
        Ok(Ok(Candidate { number, raw: sent(bytes), draft, customer, keys }))
    }

    /// A department of record is named or identified.
    fn set_department(&self, draft: &mut RowDraft, input: &mut Input) {
        let Some(named) = &draft.department else { return };
        let known = self.departments.get(named).copied().or_else(|| {
            let id: DepartmentId = named.parse().ok()?;
            self.reading.snapshot.department(id).map(|department| department.id)
        });
        match known {
            Some(department) => draft.draft.department = Some(department),
            None => input.refuse("department", "is not an open department"),
        }
    }

    /// Customers, results and the job's progress are one transaction.
    async fn commit(&self, scope: &revisit_permission::Scope, outcome: Outcome, next: &Job) -> Result<(), Error> {
        let Outcome { mut rows, changes, mut permits, named, also, foreign, .. } = outcome;
        rows.sort_by_key(|row| row.number);
        let (app, job) = (self.app, self.job);
        if permits.is_empty() {
            let write = app.store.database.write(scope, async |tx| self.keep(tx, scope, (&rows, &foreign), next).await);
            return write.await;
        }
        let also_named = also.iter().map(|(decided, fields)| (decided, fields));
        let entries = entries::written(permits.iter().zip(&named).chain(also_named));
        permits.extend(also.into_iter().map(|(decided, _)| decided));
        let permits = Permits(permits);
        let write = app.store.database.write(&permits, async |tx| {
            self.keep(tx, &permits, (&rows, &foreign), next).await?;
            for entry in entries {
                audit::record(tx, &app.ids, entry).await?;
            }
            store::save::save(tx, &app.store, &permits, changes).await?;
            Ok::<_, Error>(())
        });
        tracing::debug!(job.id = %job.id, rows = rows.len(), "a batch was imported");
        write.await
    }

    async fn keep(
        &self,
        tx: &Tx,
        permit: &impl revisit_permission::Permit,
        (rows, foreign): (&[Row], &[CustomerId]),
        next: &Job,
    ) -> Result<(), Error> {
        tx.plan_anew().await?;
        store::imports::update(tx, permit, self.job, next).await?;
        store::imports::insert_rows(tx, &self.app.store, permit, self.job, rows).await?;
        if next.ended_at.is_some() {
            store::imports::files::drop_file(tx, permit, self.job).await?;
        }
        budget::spend(tx, permit, self.job, (foreign, self.allowance)).await?;
        for entry in budget::entries(self.who, next, foreign) {
            audit::record(tx, &self.app.ids, entry).await?;
        }
        Ok(())
    }
}
