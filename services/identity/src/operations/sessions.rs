//! Sessions: who sees them, and ending them as a revision that every service learns of.

use std::time::Duration;

use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure,
    id::{SessionId, SubjectId},
};
use revisit_permission::{Change, Decided};

use super::{
    book::{Book, Cause, Revised},
    users,
};
use crate::{
    App,
    domain::{Error, Session},
    store::sessions,
};

/// Sessions that are listed, and that one statement ends: as many as the configuration allows a subject at the most.
pub const SESSIONS_MAX: u64 = 1_000;
/// How long an access token outlives its session at the most, with the tolerance of who verifies it.
const TOKEN_LIFE: Duration = Duration::from_secs(5 * 60 + 10);

/// Ends sessions of a subject inside a revision, all but one if named; answers how many.
pub async fn end_all(tx: &Tx, book: &mut Book, subject: SubjectId, except: Option<SessionId>) -> Result<usize, Error> {
    let tenant = book.tenant.id;
    // A log-in that runs now has either committed its session, or finds what comes of this.
    sessions::lock(tx, tenant, subject).await?;
    let mut count = 0;
    // Each round ends at least one, so there is a last one.
    loop {
        let live = sessions::live(tx, tenant, subject, book.now, SESSIONS_MAX).await?;
        let ended: Vec<SessionId> = live.iter().map(|it| it.id).filter(|id| Some(*id) != except).collect();
        if ended.is_empty() {
            return Ok(count);
        }
        end(tx, book, &ended).await?;
        count += ended.len();
    }
}

/// Ends the oldest sessions of a subject inside a revision until there is room for one more.
pub async fn make_room(tx: &Tx, book: &mut Book, subject: SubjectId, sessions_max: u64) -> Result<(), Error> {
    let live = sessions::live(tx, book.tenant.id, subject, book.now, SESSIONS_MAX).await?;
    let kept = usize::try_from(sessions_max.saturating_sub(1)).unwrap_or(usize::MAX);
    let ended: Vec<SessionId> = live.iter().skip(kept).map(|it| it.id).collect();
    end(tx, book, &ended).await
}

/// Ends these sessions inside a revision.
pub async fn end(tx: &Tx, book: &mut Book, ended: &[SessionId]) -> Result<(), Error> {
    for session in ended {
        book.add(Change::SessionRevoked { session: *session, until: book.now + TOKEN_LIFE })?;
    }
    Ok(sessions::revoke(tx, book.tenant.id, ended, book.now).await?)
}

/// The right over the sessions of somebody: one's own, or those of a user whom one may stop.
pub async fn over(app: &App, who: &Principal, subject: SubjectId) -> Result<Decided, Error> {
    if subject == who.subject() {
        return Ok(who.caller.own(&who.leases).map_err(Failure::from)?);
    }
    Ok(users::stoppable(app, who, subject).await?.0)
}

pub async fn list(app: &App, who: &Principal, subject: Option<SubjectId>) -> Result<Vec<Session>, Error> {
    let subject = subject.unwrap_or(who.subject());
    let permit = over(app, who, subject).await?;
    app.store
        .read(&permit, async |tx| {
            let now = crate::store::now(tx).await?;
            Ok(sessions::live(tx, who.tenant(), subject, now, SESSIONS_MAX).await?)
        })
        .await
}

/// Ends one session. One that the caller may not end does not exist.
pub async fn revoke(app: &App, who: &Principal, id: SessionId, why: String) -> Result<Revised<()>, Error> {
    let tenant = who.tenant();
    let own = who.caller.own(&who.leases).map_err(Failure::from)?;
    let session = app.store.read(&own, async |tx| Ok(sessions::by_id(tx, tenant, id).await?)).await?;
    let session = session.ok_or(Error::NoSuchSession)?;
    let permit = over(app, who, session.subject).await.map_err(hide)?;
    let cause = Cause { about: Some(session.subject), ..Cause::new(who, "auth.revoke_session", why) };
    app.revise(&permit, tenant, cause, async |tx, book| {
        let session = sessions::by_id(tx, tenant, id).await?.ok_or(Error::NoSuchSession)?;
        if session.is_live(book.now) {
            end(tx, book, &[id]).await?;
        }
        Ok(())
    })
    .await
}

/// A session of somebody whom the caller may not manage answers like one that does not exist.
pub fn hide(error: Error) -> Error {
    let denied = matches!(&error, Error::Beneath(failure) if failure.kind == revisit_core::Kind::Denied);
    if denied || matches!(error, Error::NoSuchUser) { Error::NoSuchSession } else { error }
}

/// Ends the caller's own session; a repeat changes nothing.
pub async fn log_out(app: &App, who: &Principal) -> Result<Revised<()>, Error> {
    let permit = who.caller.own(&who.leases).map_err(Failure::from)?;
    let session = who.caller.session.ok_or(Error::NoSuchSession)?;
    let cause = Cause { about: Some(who.subject()), ..Cause::new(who, "auth.log_out", "") };
    app.revise(&permit, who.tenant(), cause, async |tx, book| end(tx, book, &[session]).await).await
}
