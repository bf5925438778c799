//! Imports: a file becomes a persisted job; a worker turns its rows into customers, batch by batch.

mod batch;
mod clear;
mod take_back;
mod turns;
mod upload;

use revisit_bootstrap::{
    Principal, Tx, audit,
    idempotency::{Once, Repeatable},
};
use revisit_core::{Input, id::JobId};
use revisit_permission::{Action, Decided, Layer, Levels, Purpose, Row as PolicyRow, Scope, Veiled};

pub use batch::work;
pub use clear::disclose_rejected;
pub use turns::{Turn, Turns};
pub use upload::{Upload, finish};

use super::{allowed, hidden};
use crate::{
    App,
    domain::{
        Error,
        field::Field,
        import::{self, PREVIEW_ROWS, Sheet, Target},
        sheet::{self, Splitter},
    },
    store::{
        self,
        imports::{Job, Row, RowResult, State},
    },
};

/// What a row of a preview would become.
pub struct Previewed {
    pub row: Row,
    pub changes: Vec<Veiled<String>>,
}

/// What trying a file has shown.
#[derive(Default)]
pub struct DryRun {
    /// The first rows, and of the later ones those that would be rejected: [`PREVIEW_ROWS`] of each at the most.
    pub rows: Vec<Previewed>,
    pub tried: i64,
    pub rejected: i64,
    /// At which its reader is shown what cleaning changes.
    pub levels: Levels,
}

/// Bytes of a file that are tried: some ten thousand rows, a tenth of a second.
const DRY_RUN_BYTES: usize = 4 * upload::CHUNK;

/// By what somebody looks at a job: who may have to do with imports at all, and with this one.
pub type Look = (Scope, Decided);

/// The job, for who uploaded it and for who may see imports of the whole company.
pub async fn get(app: &App, who: &Principal, id: JobId) -> Result<Job, Error> {
    look(app, who, id).await.map(|(job, _)| job)
}

async fn look(app: &App, who: &Principal, id: JobId) -> Result<(Job, Look), Error> {
    app.reading(who)?;
    let scope = reader(who, id)?;
    let read = async |tx: &Tx| store::imports::find(tx, &scope, who.tenant(), id).await;
    let job = app.store.database.read(&scope, read).await?.ok_or(Error::NoSuchJob(id))?;
    let decided = match job.subject == who.subject() {
        true => Some(who.caller.own(&who.leases)?),
        false => allowed(who.decide(Action::ImportView, &row(app, who, &job)?))?,
    };
    Ok((job, (scope, decided.ok_or(Error::NoSuchJob(id))?)))
}

/// What policy looks at: a job belongs to its uploader, where the uploader works.
fn row(app: &App, who: &Principal, job: &Job) -> Result<PolicyRow, Error> {
    let department = app.reading(who)?.snapshot.subject(job.subject).and_then(|facts| facts.subject.department);
    Ok(PolicyRow::new(job.tenant, job.id).with_owner(job.subject).with_department(department))
}

fn reader(who: &Principal, id: JobId) -> Result<Scope, Error> {
    let scope = who.scope(Action::CustomerImport).or_else(|_| who.scope(Action::ImportView));
    scope.map_err(|failure| hidden(failure, Error::NoSuchJob(id)))
}

/// Sets where the columns go; only before the start.
pub async fn set_mapping(
    app: &App,
    who: &Principal,
    (id, mapping): (JobId, Vec<(usize, String)>),
    repeat: Option<Repeatable>,
) -> Result<Job, Error> {
    change(app, who, id, repeat, async |tx, before| {
        require_state(before, State::Ready)?;
        let fields = store::catalogue::fields(tx, who.tenant()).await?;
        let mut input = Input::default();
        let mut job = before.clone();
        job.mapping = vec![String::new(); job.headers.len()];
        for (index, (column, target)) in mapping.iter().enumerate() {
            let path = format!("mapping[{index}]");
            input.require(*column < job.headers.len(), &format!("{path}.column"), "is not a column of the file");
            let known = target.is_empty() || Target::parse(target, &fields).is_some();
            input.require(known, &format!("{path}.target"), "is not a target");
            if let Some(place) = job.mapping.get_mut(*column) {
                target.clone_into(place);
            }
        }
        input.finish()?;
        Ok((job.mapping != before.mapping).then_some(job))
    })
    .await
}

/// Starts a job, once.
pub async fn start(app: &App, who: &Principal, id: JobId, repeat: Option<Repeatable>) -> Result<Job, Error> {
    change(app, who, id, repeat, async |_, before| {
        if before.state != State::Ready {
            return Ok(None);
        }
        let named = before.mapping.iter().any(|target| target == "name" || target == "company");
        if !named {
            return Err(Error::invalid("mapping", "must have a column for name or company"));
        }
        Ok(Some(Job { state: State::Running, ..before.clone() }))
    })
    .await
}

/// Begins to take an import back, once.
pub async fn revert(app: &App, who: &Principal, id: JobId, repeat: Option<Repeatable>) -> Result<Job, Error> {
    change(app, who, id, repeat, async |_, before| match before.state {
        State::Reverting | State::Reverted => Ok(None),
        State::Done | State::Stopped => Ok(Some(Job { state: State::Reverting, ended_at: None, ..before.clone() })),
        State::Ready | State::Running => Err(Error::ImportState { state: before.state.name() }),
    })
    .await
}

/// Changes a job that the caller uploaded, once, to what `plan` makes of it; to `None` when there is nothing to do.
async fn change(
    app: &App,
    who: &Principal,
    id: JobId,
    repeat: Option<Repeatable>,
    plan: impl AsyncFnOnce(&Tx, &Job) -> Result<Option<Job>, Error>,
) -> Result<Job, Error> {
    let before = own(app, who, id).await?;
    let scope = who.scope(Action::CustomerImport)?;
    let write = app.store.database.write(&scope, async |tx| {
        let find = async |_| store::imports::find(tx, &scope, who.tenant(), id).await?.ok_or(Error::NoSuchJob(id));
        let work = async || {
            let Some(job) = plan(tx, &before).await? else { return Ok((id.uuid(), before)) };
            store::imports::update(tx, &scope, &before, &job).await?;
            let field = if job.state == before.state { "mapping" } else { "state" };
            audit::record(tx, &app.ids, entry(&scope, id).fields([field])).await?;
            Ok((id.uuid(), job))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    let job = write.await?;
    app.wake.notify_one();
    Ok(job)
}

/// The entry of what somebody does to a job. What it makes of customers its batches tell.
fn entry(scope: &Scope, id: JobId) -> audit::Entry {
    let entry = audit::Entry::new(scope.caller(), scope.action().name(), "import").about([id.uuid()]);
    entry.with(|message| message.revision = scope.revision())
}

/// A job that the caller uploaded: others may look at it at most.
async fn own(app: &App, who: &Principal, id: JobId) -> Result<Job, Error> {
    let job = get(app, who, id).await?;
    who.scope(Action::CustomerImport)?;
    if job.subject == who.subject() { Ok(job) } else { Err(Error::NoSuchJob(id)) }
}

fn require_state(job: &Job, state: State) -> Result<(), Error> {
    if job.state == state { Ok(()) } else { Err(Error::ImportState { state: job.state.name() }) }
}

/// Results of a job.
pub struct Listed {
    pub job: Job,
    pub rows: Vec<Row>,
    pub more: bool,
    /// By what they were read.
    pub look: Look,
    /// At which their reader is shown their cells.
    levels: Levels,
    /// Of each column.
    layers: Vec<Layer>,
}

impl Listed {
    /// The cells of a rejected row, and the levels at which they are shown. A record that falls into no cells may hold values
    /// of any layer: it is shown whole to who reads them all.
    pub fn cells(&self, row: &Row) -> (Vec<Veiled<String>>, Levels) {
        let Some(raw) = &row.raw else { return (Vec::new(), Levels::HIDDEN) };
        let raw = raw.lift(Purpose::Part);
        match sheet::cells(raw, self.job.delimiter, self.job.encoding) {
            Ok(cells) => (import::veiled(cells, &self.layers), self.levels),
            Err(_) => {
                let reads_all = Layer::ALL.iter().all(|layer| self.levels.reads(*layer));
                let whole = String::from_utf8_lossy(raw).into_owned();
                (import::veiled(vec![whole], &[]), if reads_all { self.levels } else { Levels::HIDDEN })
            }
        }
    }
}

/// A page of results; with their cells only for who reads the file still.
pub async fn rows(
    app: &App,
    who: &Principal,
    id: JobId,
    (after, size, result, raw): (i64, usize, Option<RowResult>, bool),
) -> Result<Listed, Error> {
    let (job, look) = look(app, who, id).await?;
    let levels = if raw { clear::reads_file(app, who, &job)?.ok_or(Error::NoSuchJob(id))? } else { Levels::HIDDEN };
    let wanted = (after, size as u64 + 1, result, raw);
    let read = app.store.database.read(&look, async |tx| {
        let fields = if raw { store::catalogue::fields(tx, who.tenant()).await? } else { Vec::new() };
        Ok::<_, Error>((store::imports::rows(tx, &app.store, &look.0, &job, wanted).await?, fields))
    });
    let (mut rows, fields) = read.await?;
    let more = rows.len() > size;
    rows.truncate(size);
    let layers = import::layers(&job.mapping, &fields);
    Ok(Listed { job, rows, more, look, levels, layers })
}

/// What the rows would become under the mapping, tried over the first [`DRY_RUN_BYTES`] of the file. It looks at the file
/// only: what the company has already is told by the import itself, whose answers have a budget.
pub async fn dry_run(app: &App, who: &Principal, job: &Job) -> Result<DryRun, Error> {
    let scope = reader(who, job.id)?;
    let read = app.store.database.read(&scope, async |tx| {
        let fields = store::catalogue::fields(tx, who.tenant()).await?;
        let mut bytes = Vec::new();
        while bytes.len() < DRY_RUN_BYTES {
            let position = i64::try_from(bytes.len()).unwrap_or(i64::MAX);
            let key = (job.tenant, job.id);
            let chunk = store::imports::files::chunk_at(tx, &app.store, &scope, key, position).await?;
            let more =
                chunk.and_then(|(start, chunk)| Some(chunk.get(usize::try_from(position - start).ok()?..)?.to_vec()));
            match more.filter(|more| !more.is_empty()) {
                Some(more) => bytes.extend(more),
                None => return Ok::<_, Error>((fields, bytes, true)),
            }
        }
        Ok((fields, bytes, false))
    });
    let (fields, bytes, is_whole) = read.await?;
    let mapping = targets(&job.mapping, &fields);
    let sheet = Sheet { mapping: &mapping, fields: &fields, region: app.region(who)? };
    let mut splitter = Splitter::new(job.delimiter, 0);
    splitter.push(&bytes);
    let mut run = DryRun::default();
    // The header stands first.
    let _ = splitter.next(false);
    while let Some(record) = splitter.next(is_whole) {
        run.tried += 1;
        let row = preview_row(job, run.tried, record, &sheet);
        let is_rejected = row.row.result == RowResult::Rejected;
        run.rejected += i64::from(is_rejected);
        if run.rows.len() < PREVIEW_ROWS || (is_rejected && run.rows.len() < 2 * PREVIEW_ROWS) {
            run.rows.push(row);
        }
    }
    run.levels = clear::disclose_preview(app, who, job, &run.rows).await?;
    Ok(run)
}

fn preview_row(job: &Job, number: i64, record: sheet::Record, sheet: &Sheet<'_>) -> Previewed {
    let cells = record.content.and_then(|bytes| sheet::cells(&bytes, job.delimiter, job.encoding));
    let (violations, changes) = match cells {
        Err(rule) => (vec![("row".to_owned(), rule.to_owned())], Vec::new()),
        Ok(cells) => {
            let mut input = Input::default();
            let _ = import::read_row(&cells, sheet, &mut input);
            let violations = input.violations().iter().map(|bad| (bad.field.clone(), bad.rule.clone())).collect();
            (violations, import::changes(&cells, sheet))
        }
    };
    let result = if violations.is_empty() { RowResult::Created } else { RowResult::Rejected };
    Previewed { row: Row { number, result, customer: None, duplicate_of: None, violations, raw: None }, changes }
}

/// The targets that a job names; one whose field was retired meanwhile is left out.
pub fn targets(mapping: &[String], fields: &[Field]) -> Vec<Option<Target>> {
    mapping.iter().map(|name| Target::parse(name, fields)).collect()
}

/// The proof that the importer may still import: what every batch is begun with.
pub fn may_import(who: &Principal) -> Result<Scope, Error> {
    Ok(who.scope(Action::CustomerImport)?)
}
