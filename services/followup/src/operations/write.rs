//! The one way in which people change something here: done once however often it is sent, and in the audit log with the
//! change or not at all. What the engine and the workers do by themselves has nobody who did it, and no entry.

use prost::Message;
use revisit_bootstrap::{
    audit::{self, Deed},
    database::{Standing, Tx},
    idempotency::Once,
};
use revisit_core::Failure;
use revisit_permission::Permits;
use uuid::Uuid;

use super::rights::Rights;
use crate::{App, domain::Error};

/// Tries of a change under which timers fire again and again; then the caller learns of it.
pub const TRIES: usize = 3;

/// What came of a change.
pub enum Made<T> {
    /// It was made: the answer, what the log says, and by what rights, of which the log names the first.
    Changed(T, Deed, Rights),
    /// All was as wanted already: the answer, and by what rights.
    Unchanged(T, Rights),
    /// A timer fired meanwhile: the work begins again in a new transaction.
    Overtaken,
}

/// Whether a request comes for the first time.
pub enum Sent {
    First,
    /// The row that the first one made, where it made one that the request does not name.
    Again(Option<Uuid>),
}

/// Changes something that nobody sees more or less of than others. A repeat is given the first answer, under what was
/// decided before the work, which has none to do then; the work itself stands on what it decides.
pub async fn change<M: Message + Default>(
    app: &App,
    permits: &Permits,
    once: Once<'_>,
    work: impl AsyncFnOnce(&Tx) -> Result<Made<M>, Error>,
) -> Result<M, Error> {
    let write = app.database.write_decided(permits, async |tx: &Tx| {
        if let Some(first) = once.first(tx).await? {
            return Ok::<_, Error>((Some(M::decode(first.as_slice()).map_err(Failure::internal)?), None));
        }
        let (answer, standing) = noted(app, tx, work(tx).await?).await?;
        if let Some(answer) = &answer {
            once.keep(tx, &answer.encode_to_vec()).await?;
        }
        Ok((answer, standing))
    });
    write.await?.ok_or(Error::Stale)
}

/// Changes rows of which not everybody sees the same: a repeat reads them again, because what they say is for who may
/// read it by then. The work is told whether it is one, and changes nothing then; it answers also which row it made, if
/// the request does not name it. A timer may overtake it: then there is no answer, and the caller begins again, [`TRIES`]
/// times.
pub async fn attempt<T>(
    app: &App,
    permits: &Permits,
    once: Once<'_>,
    work: impl AsyncFnOnce(&Tx, Sent) -> Result<Made<(T, Option<Uuid>)>, Error>,
) -> Result<Option<T>, Error> {
    let write = app.database.write_decided(permits, async |tx: &Tx| {
        let first = once.first(tx).await?;
        let is_first = first.is_none();
        let row = first.filter(|kept| !kept.is_empty()).map(|kept| Uuid::from_slice(&kept)).transpose();
        let sent = if is_first { Sent::First } else { Sent::Again(row.map_err(Failure::internal)?) };
        let (answer, standing) = noted(app, tx, work(tx, sent).await?).await?;
        let Some((answer, made)) = answer else { return Ok::<_, Error>((None, standing)) };
        if is_first {
            once.keep(tx, made.as_ref().map_or(&[], |row| row.as_bytes())).await?;
        }
        Ok((Some(answer), standing))
    });
    write.await
}

/// The answer of what was done, with its entry, and what it stands on.
async fn noted<T>(app: &App, tx: &Tx, done: Made<T>) -> Result<(Option<T>, Option<Standing>), Error> {
    match done {
        Made::Changed(answer, deed, rights) => {
            let decided = rights.first().ok_or_else(|| Failure::internal("a change was decided by nothing"))?;
            audit::record(tx, &app.ids, deed.by(decided)).await?;
            Ok((Some(answer), Some(rights.standing())))
        }
        Made::Unchanged(answer, rights) => Ok((Some(answer), Some(rights.standing()))),
        Made::Overtaken => Ok((None, None)),
    }
}
