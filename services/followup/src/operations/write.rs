//! The one way in which people change something here: done once however often it is sent, and in the audit log with the
//! change or not at all. What the engine and the workers do by themselves has nobody who did it, and no entry.

use prost::Message;
use revisit_bootstrap::{
    audit::{self, Deed},
    database::Tx,
    idempotency::Once,
};
use revisit_core::Failure;
use revisit_permission::Permits;
use uuid::Uuid;

use crate::{App, domain::Error};

/// Tries of a change under which timers fire again and again; then the caller learns of it.
pub const TRIES: usize = 3;

/// What came of a change.
pub enum Made<T> {
    /// It was made: the answer, and what the log says.
    Changed(T, Deed),
    /// All was as wanted already.
    Unchanged(T),
    /// A timer fired meanwhile: the work begins again in a new transaction.
    Overtaken,
}

/// Changes something under what was decided, of which the first is what the log names. A repeat is given the first
/// answer.
pub async fn change<M: Message + Default>(
    app: &App,
    permits: &Permits,
    once: Once<'_>,
    work: impl AsyncFnOnce(&Tx) -> Result<Made<M>, Error>,
) -> Result<M, Error> {
    attempt(app, permits, once, work).await?.ok_or(Error::Stale)
}

/// The same for what a timer may overtake: then there is no answer, and the caller begins again, [`TRIES`] times.
pub async fn attempt<M: Message + Default>(
    app: &App,
    permits: &Permits,
    once: Once<'_>,
    work: impl AsyncFnOnce(&Tx) -> Result<Made<M>, Error>,
) -> Result<Option<M>, Error> {
    let write = app.database.write(permits, async |tx: &Tx| {
        if let Some(first) = once.first(tx).await? {
            return Ok(Some(M::decode(first.as_slice()).map_err(Failure::internal)?));
        }
        let Some(answer) = noted(app, tx, permits, work(tx).await?).await? else { return Ok::<_, Error>(None) };
        once.keep(tx, &answer.encode_to_vec()).await?;
        Ok(Some(answer))
    });
    write.await
}

/// The same within a transaction that was begun, for a row that a repeat reads again as it is then: what it says is for who
/// may read it by then.
pub async fn change_row<T>(
    (app, tx): (&App, &Tx),
    permits: &Permits,
    once: Once<'_>,
    find: impl AsyncFnOnce(Uuid) -> Result<T, Error>,
    work: impl AsyncFnOnce() -> Result<(Uuid, Made<T>), Error>,
) -> Result<T, Error> {
    let work = async || {
        let (row, done) = work().await?;
        Ok((row, noted(app, tx, permits, done).await?.ok_or(Error::Stale)?))
    };
    once.row(tx, find, work).await
}

/// The answer of what was done, with its entry.
async fn noted<T>(app: &App, tx: &Tx, permits: &Permits, done: Made<T>) -> Result<Option<T>, Error> {
    match done {
        Made::Changed(answer, deed) => {
            let decided = permits.0.first().ok_or_else(|| Failure::internal("a change was decided by nothing"))?;
            audit::record(tx, &app.ids, deed.by(decided)).await?;
            Ok(Some(answer))
        }
        Made::Unchanged(answer) => Ok(Some(answer)),
        Made::Overtaken => Ok(None),
    }
}
