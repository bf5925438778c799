//! What a batch may tell of customers that the importer may not read: of the hour's questions, and of a file only so much.

use revisit_bootstrap::{Principal, audit};
use revisit_core::id::CustomerId;
use revisit_permission::{Action, Permit, Scope};

use crate::{
    App,
    domain::{
        Error,
        matching::{BUDGET_PER_HOUR, import_answers},
    },
    operations::matching::{BUDGET_SPENT, HOUR_MICROS, answer_entry, stop_entry},
    store::{self, imports::Job},
};

/// How many more rows may turn out to be customers of others.
#[derive(Clone, Copy)]
pub struct Allowance {
    /// Before the file has told too much. The row that is one too many is told by the stop, and so it is counted.
    pub of_file: usize,
    /// Before the importer's questions of this hour are spent: then no row is looked up at all.
    pub of_hour: usize,
}

/// What is left of the budget; none for who may ask without bound.
pub async fn allowance(app: &App, who: &Principal, scope: &Scope, job: &Job) -> Result<Option<Allowance>, Error> {
    if who.scope(Action::CustomerProbe).is_ok() {
        return Ok(None);
    }
    let read = app.store.database.read(scope, async |tx| {
        let hour = tx.now().await?.micros().div_euclid(HOUR_MICROS);
        store::duty::questions(tx, scope, who.subject(), hour).await
    });
    let left = |all: i64, used: i64| usize::try_from(all - used).unwrap_or(0);
    let of_hour = left(BUDGET_PER_HOUR, read.await?);
    Ok(Some(Allowance { of_file: left(import_answers(job.row_count), job.foreign), of_hour }))
}

/// Takes what a batch tells from the questions of this hour. Another batch may have taken some since they were looked at:
/// then this one is done again.
pub async fn spend(
    tx: &revisit_bootstrap::Tx,
    permit: &impl Permit,
    job: &Job,
    (told, allowance): (&[CustomerId], Option<Allowance>),
) -> Result<(), Error> {
    if told.is_empty() {
        return Ok(());
    }
    let hour = tx.now().await?.micros().div_euclid(HOUR_MICROS);
    let asked = i64::try_from(told.len()).unwrap_or(i64::MAX);
    let used = store::duty::count_questions(tx, permit, (job.tenant, job.subject), (hour, asked)).await?;
    if allowance.is_some() && used > BUDGET_PER_HOUR { Err(store::save::match_race()) } else { Ok(()) }
}

/// What the log says of a batch: of whom it told, and that it was refused the rest of the file.
pub fn entries(who: &Principal, next: &Job, told: &[CustomerId]) -> Vec<audit::Entry> {
    let answer = (!told.is_empty()).then(|| answer_entry(who, told, next.foreign));
    let refusal = (next.stop_reason == BUDGET_SPENT).then(|| stop_entry(who));
    answer.into_iter().chain(refusal).collect()
}
