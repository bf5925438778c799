//! Who gets what stands in an uploaded file: rows that are no customers yet, or never will be, hold contact values too.

use revisit_bootstrap::{Principal, audit};
use revisit_permission::{Action, Layer};

use super::{Previewed, reader, row};
use crate::{App, domain::Error, operations::allowed, store::imports::Job};

/// The uploader sent it. Others must import themselves and view imports at a level that reads every layer that a row
/// can have: nobody knows what stands in a cell before it has become a customer.
pub(super) fn reads_file(app: &App, who: &Principal, job: &Job) -> Result<bool, Error> {
    if job.subject == who.subject() {
        return Ok(true);
    }
    if allowed(who.scope(Action::CustomerImport))?.is_none() {
        return Ok(false);
    }
    let decided = allowed(who.decide(Action::ImportView, &row(app, who, job)?))?;
    let layers = [Layer::Basic, Layer::Sensitive, Layer::History];
    Ok(decided.is_some_and(|decided| layers.iter().all(|layer| decided.levels().reads(*layer))))
}

/// Whether rejected rows are answered with their cells. If so, it is written down before the first of them leaves.
pub async fn disclose_rejected(app: &App, who: &Principal, job: &Job) -> Result<bool, Error> {
    let reads = reads_file(app, who, job)?;
    if reads && job.rejected > 0 {
        disclose(app, who, job, job.rejected).await?;
    }
    Ok(reads)
}

/// Whether a preview shows values of the file. What somebody has just sent is shown to him without an entry.
pub(super) async fn disclose_preview(app: &App, who: &Principal, job: &Job, rows: &[Previewed]) -> Result<bool, Error> {
    let reads = reads_file(app, who, job)?;
    if reads && job.subject != who.subject() {
        disclose(app, who, job, i64::try_from(rows.len()).unwrap_or(i64::MAX)).await?;
    }
    Ok(reads)
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
