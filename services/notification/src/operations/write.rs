//! The one way in which people change something here: in the audit log with the change or not at all. What workers do by
//! themselves has nobody who did it, and no entry.

use revisit_bootstrap::{
    Tx,
    audit::{self, Deed},
};
use revisit_core::Failure;
use revisit_permission::Permits;

use crate::{App, domain::Error};

/// What came of a change.
pub enum Made<T> {
    /// It was made: the answer, and what the log says.
    Changed(T, Deed),
    /// All was as wanted already.
    Unchanged(T),
}

/// Changes something under what was decided, of which the first is what the log names.
pub async fn change<T>(
    app: &App,
    permits: &Permits,
    work: impl AsyncFnOnce(&Tx) -> Result<Made<T>, Error>,
) -> Result<T, Error> {
    let write = app.store.write(permits, async |tx| match work(tx).await? {
        Made::Changed(answer, deed) => {
            let decided = permits.0.first().ok_or_else(|| Failure::internal("a change was decided by nothing"))?;
            audit::record(tx, &app.ids, deed.by(decided)).await?;
            Ok(answer)
        }
        Made::Unchanged(answer) => Ok(answer),
    });
    write.await
}
