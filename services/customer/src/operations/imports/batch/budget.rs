//! What a batch may tell of customers that the importer may not read.

use revisit_bootstrap::Principal;
use revisit_permission::{Action, Scope};

use crate::{
    App,
    domain::{
        Error,
        matching::{BUDGET_PER_HOUR, ImportBudget},
    },
    operations::matching::HOUR_MICROS,
    store::{self, imports::Job},
};

/// Why a job stops whose rows are too often customers of others.
pub const BUDGET_SPENT: &str = "DUPLICATE_BUDGET";

/// What is left of the budget.
pub async fn allowance(app: &App, who: &Principal, scope: &Scope, job: &Job) -> Result<Option<usize>, Error> {
    if who.scope(Action::CustomerProbe).is_ok() {
        return Ok(None);
    }
    let left = match ImportBudget::of(job.row_count) {
        ImportBudget::OfFile(answers) => answers - job.foreign,
        ImportBudget::OfHour => {
            let read = app.store.database.read(scope, async |tx| {
                let hour = tx.now().await?.micros().div_euclid(HOUR_MICROS);
                store::duty::questions(tx, scope, who.subject(), hour).await
            });
            i64::from(job.foreign == 0 && read.await? < BUDGET_PER_HOUR)
        }
    };
    Ok(Some(usize::try_from(left).unwrap_or(0)))
}
