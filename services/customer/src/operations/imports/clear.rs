//! Who gets what stands in an uploaded file: rows that are no customers yet, or never will be, hold contact values too.

use revisit_bootstrap::{Principal, audit};
use revisit_permission::{Action, Layer, Levels};

use super::{Previewed, reader, row};
use crate::{App, domain::Error, operations::allowed, store::imports::Job};

/// What who sent a file reads of it: all.
const SENT: Levels = Levels::READ;

/// At which levels somebody reads the file, if at all. Others than the uploader must import themselves and view imports at
/// a level that reads every layer that each row has: nobody knows what stands in a cell before it has become a customer.
/// What a column has beside, amounts and reviewed answers, is hidden cell by cell.
pub(super) fn reads_file(app: &App, who: &Principal, job: &Job) -> Result<Option<Levels>, Error> {
    if job.subject == who.subject() {
        return Ok(Some(SENT));
    }
    if allowed(who.scope(Action::CustomerImport))?.is_none() {
        return Ok(None);
    }
    let decided = allowed(who.decide(Action::ImportView, &row(app, who, job)?))?;
    let layers = [Layer::Basic, Layer::Sensitive, Layer::History];
    let levels = decided.map(|decided| decided.levels());
    Ok(levels.filter(|levels| layers.iter().all(|layer| levels.reads(*layer))))
}

/// Whether rejected rows are answered with their cells. If so, it is written down before the first of them leaves.
pub async fn disclose_rejected(app: &App, who: &Principal, job: &Job) -> Result<bool, Error> {
    let reads = reads_file(app, who, job)?.is_some();
    if reads && job.rejected > 0 {
        disclose(app, who, job, job.rejected).await?;
    }
    Ok(reads)
}

/// At which levels a preview shows values of the file. What somebody has just sent is shown to him without an entry.
pub(super) async fn disclose_preview(
    app: &App,
    who: &Principal,
    job: &Job,
    rows: &[Previewed],
) -> Result<Levels, Error> {
    let levels = reads_file(app, who, job)?;
    if levels.is_some() && job.subject != who.subject() {
        disclose(app, who, job, i64::try_from(rows.len()).unwrap_or(i64::MAX)).await?;
    }
    Ok(levels.unwrap_or(Levels::HIDDEN))
}

async fn disclose(app: &App, who: &Principal, job: &Job, rows: i64) -> Result<(), Error> {
    let scope = reader(who, job.id)?;
    let write = app.store.database.write(&scope, async |tx| {
        let entry = audit::Entry::new(&who.caller, Action::ImportView.name(), "import").about([job.id.uuid()]);
        let entry = entry.fields(job.mapping.iter().filter(|target| !target.is_empty()).cloned());
        let entry = entry.with(|message| {
            message.count = rows;
            message.revision = scope.revision();
        });
        audit::record(tx, &app.ids, entry).await?;
        Ok::<_, Error>(())
    });
    write.await
}
