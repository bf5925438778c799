//! Proving who one is: log-in with delay, token exchange with reuse detection, passwords by one-time link.

use std::time::Duration;

use revisit_bootstrap::{auth::Principal, database::Tx, idempotency};
use revisit_core::{
    Failure, Timestamp,
    id::{SessionId, SubjectId, TenantId, kind},
};
use revisit_permission::{SubjectKind, SubjectState};

use super::{
    attempts::{self, Attempt, Claim},
    audit::{self, Act, Actor},
    book::{Cause, Revised},
    sessions, users,
};
use crate::{
    App,
    domain::{
        Error, Session,
        log_in::{RefreshToken, Shown, hash_secret, judge},
    },
    keys::Named,
    store::{
        accounts::{self, Kept},
        organisation, sessions as rows,
    },
};

pub const LOG_IN: &str = "auth.log_in";
const CHANGE_PASSWORD: &str = "auth.change_password";

/// Name and password.
pub struct LogIn {
    pub tenant_key: String,
    pub username: String,
    pub password: String,
    pub device: String,
    /// Network address of the caller, as the connection has it.
    pub source: String,
}

/// A token for calls, and one for the next pair.
pub struct Tokens {
    pub access: String,
    pub access_until: Timestamp,
    pub refresh: String,
    pub refresh_until: Timestamp,
    pub tenant: TenantId,
    pub subject: SubjectId,
    pub session: SessionId,
}

pub async fn log_in(app: &App, input: LogIn) -> Result<Tokens, Error> {
    let LogIn { tenant_key, username, password, device, source } = input;
    let claim = Claim::new(vec![tenant_key.clone(), username.clone()], &source);
    let attempt = attempts::begin(app, claim, async |tx| {
        let Some(tenant) = organisation::tenant_by_key(tx, &tenant_key).await? else { return Ok(None) };
        let kept = accounts::by_username(tx, tenant.id, &username).await?;
        // The names of programs are no log-in names.
        Ok(Some((tenant.id, kept.filter(|kept| kept.account.kind == SubjectKind::User))))
    })
    .await?;
    finish(app, &attempt, (password, device)).await
}

pub async fn log_in_service_account(app: &App, id: SubjectId, secret: String, source: String) -> Result<Tokens, Error> {
    let claim = Claim::new(vec![id.to_string()], &source);
    let attempt = attempts::begin(app, claim, async |tx| {
        let found = accounts::service_account(tx, id).await?;
        Ok(found.map(|(tenant, kept)| (tenant, Some(kept))))
    })
    .await?;
    finish(app, &attempt, (secret, String::new())).await
}

/// Looks at the password, takes the count back when it is right, and opens a session.
async fn finish(app: &App, attempt: &Attempt, (password, device): (String, String)) -> Result<Tokens, Error> {
    let active = attempt.account().filter(|(_, kept)| kept.account.is_active());
    let hash = active.and_then(|(_, kept)| kept.secret_hash.clone());
    let right = verify(app, attempt, password, hash.clone()).await?;
    let Some((tenant, kept)) = attempt.account().filter(|_| right) else {
        attempt.failed(app).await?;
        return Err(Error::LogInRefused);
    };
    let id = kept.account.id;
    // Read again: it may have been stopped, or have got another password, while this one was compared.
    let again = async |tx: &Tx| {
        rows::lock(tx, tenant, id).await?;
        let again = accounts::by_id(tx, tenant, id).await?;
        again.filter(|it| it.account.is_active() && it.secret_hash == hash).ok_or(Error::LogInRefused)
    };
    let opened = app
        .store
        .write(&app.workers.log_in, async |tx| {
            let kept = again(tx).await?;
            let now = crate::store::now(tx).await?;
            let live = rows::live(tx, tenant, id, now, app.config.sessions_max).await?;
            if u64::try_from(live.len()).is_ok_and(|live| live >= app.config.sessions_max) {
                return Ok(None);
            }
            attempt.forgive(tx).await?;
            Ok(Some(open(app, tx, tenant, &kept, device.clone()).await?))
        })
        .await?;
    if let Some(tokens) = opened {
        return Ok(tokens);
    }
    // To end a session is a revision, which most log-ins need not wait for.
    let actor = Actor { subject: Some(id), session: None };
    let cause = Cause { actor, action: "auth.session_replaced", about: Some(id), ..Cause::default() };
    let replaced = app.revise(&app.workers.log_in, tenant, cause, async |tx, book| {
        let kept = again(tx).await?;
        sessions::make_room(tx, book, id, app.config.sessions_max).await?;
        attempt.forgive(tx).await?;
        open(app, tx, tenant, &kept, device).await
    });
    Ok(replaced.await?.value)
}

/// Compares a password. One that could not be compared was no attempt.
async fn verify(app: &App, attempt: &Attempt, password: String, hash: Option<String>) -> Result<bool, Error> {
    match app.passwords.verify(password, hash).await {
        Ok(right) => Ok(right),
        Err(error) => {
            attempt.undo(app).await?;
            Err(error)
        }
    }
}

/// Opens a session and audits it, in one transaction with what proved the right to it.
async fn open(app: &App, tx: &Tx, tenant: TenantId, kept: &Kept, device: String) -> Result<Tokens, Error> {
    let now = crate::store::now(tx).await?;
    let id = app.ids.next::<kind::Session>(now);
    let token = RefreshToken::first(&app.secrets, tenant, id);
    let session = Session {
        id,
        subject: kept.account.id,
        device,
        family_hash: token.family_hash(),
        refresh_hash: token.secret_hash(),
        created_at: now,
        refreshed_at: now,
        expires_at: now + app.config.refresh_token(),
        revoked_at: None,
    };
    rows::add(tx, tenant, &session).await?;
    let actor = Actor { subject: Some(kept.account.id), session: Some(id) };
    audit::act(app, tx, tenant, Act::done(actor, LOG_IN, "session", id.uuid())).await?;
    tokens(app, tx, (tenant, kept), (&session, &token), now).await
}

async fn tokens(
    app: &App,
    tx: &Tx,
    (tenant, kept): (TenantId, &Kept),
    (session, token): (&Session, &RefreshToken),
    now: Timestamp,
) -> Result<Tokens, Error> {
    let revision = organisation::tenant_by_id(tx, tenant).await?.ok_or(Error::NoSuchTenant)?.revision;
    let named = Named {
        tenant,
        subject: kept.account.id,
        session: session.id,
        is_user: kept.account.kind == SubjectKind::User,
        revision,
    };
    let (access, access_until) = app.keys.access_token(&named, &app.secrets, now, app.config.access_token())?;
    Ok(Tokens {
        access,
        access_until,
        refresh: token.encode(),
        refresh_until: session.expires_at,
        tenant,
        subject: kept.account.id,
        session: session.id,
    })
}

/// What a shown refresh token leads to.
enum Exchanged {
    Tokens(Box<Tokens>),
    Refused,
    /// Two hold the tokens of this subject's session.
    Stolen(SubjectId),
}

pub async fn refresh(app: &App, text: &str) -> Result<Tokens, Error> {
    let token = RefreshToken::decode(text).ok_or(Error::RefreshRefused)?;
    let exchanged = app.store.write(&app.workers.log_in, async |tx| exchange(app, tx, &token).await).await?;
    match exchanged {
        Exchanged::Tokens(tokens) => Ok(*tokens),
        Exchanged::Refused => Err(Error::RefreshRefused),
        Exchanged::Stolen(subject) => {
            // Whoever showed it came in as this subject; which of the two it was nobody knows.
            let actor = Actor { subject: Some(subject), session: Some(token.session) };
            let cause = Cause { actor, action: "auth.refresh_reused", about: Some(subject), ..Cause::default() };
            let end = app.revise(&app.workers.log_in, token.tenant, cause, async |tx, book| {
                sessions::end(tx, book, &[token.session]).await
            });
            end.await?;
            Err(Error::RefreshRefused)
        }
    }
}

async fn exchange(app: &App, tx: &Tx, token: &RefreshToken) -> Result<Exchanged, Error> {
    let now = crate::store::now(tx).await?;
    let Some(session) = rows::by_id(tx, token.tenant, token.session).await?.filter(|it| it.is_live(now)) else {
        return Ok(Exchanged::Refused);
    };
    match judge(token, &session.family_hash, &session.refresh_hash) {
        Shown::Forged => return Ok(Exchanged::Refused),
        Shown::Reused => return Ok(Exchanged::Stolen(session.subject)),
        Shown::Current => (),
    }
    let kept = accounts::by_id(tx, token.tenant, session.subject).await?;
    let Some(kept) = kept.filter(|kept| kept.account.is_active()) else { return Ok(Exchanged::Refused) };
    let next = token.next(&app.secrets);
    let renewed = Session {
        refresh_hash: next.secret_hash(),
        refreshed_at: now,
        expires_at: now + app.config.refresh_token(),
        ..session.clone()
    };
    // Two exchanges of one token at once: the second one finds the token used.
    if !rows::exchange(tx, token.tenant, &session, &renewed).await? {
        return Ok(Exchanged::Stolen(session.subject));
    }
    Ok(Exchanged::Tokens(Box::new(tokens(app, tx, (token.tenant, &kept), (&renewed, &next), now).await?)))
}

/// Sets a password with a one-time token; an invited user is active from then on.
pub async fn set_password(app: &App, token: &str, password: String) -> Result<Revised<()>, Error> {
    let hash = hash_secret(token);
    let worker = &app.workers.log_in;
    let owner = app
        .store
        .read(worker, async |tx| {
            let now = crate::store::now(tx).await?;
            Ok(accounts::link(tx, &hash, now).await?)
        })
        .await?;
    let ((tenant, id), _) = owner.ok_or(Error::PasswordLinkRefused)?;
    let kept = app.passwords.hash(password.clone()).await?;
    let actor = Actor { subject: Some(id), session: None };
    let cause = Cause { actor, action: "auth.set_password", ..Cause::default() };
    app.revise(worker, tenant, cause, async |tx, book| {
        // Under the tenant's lock: of two uses of one link the second finds it gone.
        let still = accounts::link(tx, &hash, book.now).await?;
        let still = still.filter(|(owner, _)| *owner == (tenant, id));
        let (_, drawn_by) = still.ok_or(Error::PasswordLinkRefused)?;
        let mut user = users::find(tx, book, id).await.map_err(|_| Error::PasswordLinkRefused)?;
        refuse_own_name(&password, &user.account.username)?;
        user.secret_by = match user.account.state {
            // Everybody begins by an invitation that somebody else has drawn: with the first password, which the link
            // gives once, the account is its owner's.
            SubjectState::Invited => None,
            // Who draws a link for somebody who came in without it may have set the password by it.
            SubjectState::Active => drawn_by,
            SubjectState::Suspended | SubjectState::Left => return Err(Error::PasswordLinkRefused),
        };
        (user.account.state, user.secret_hash) = (SubjectState::Active, Some(kept));
        accounts::drop_links(tx, tenant, id).await?;
        sessions::end_all(tx, book, id, None).await?;
        users::save(tx, book, &mut user).await
    })
    .await
}

fn refuse_own_name(password: &str, username: &str) -> Result<(), Error> {
    if password.to_lowercase() == username {
        return Err(Error::Refused { field: "password", rule: "must not be the username" });
    }
    Ok(())
}

/// Changes the caller's own password; the other sessions end. A wrong current password counts like a failed log-in.
pub async fn change_password(app: &App, who: &Principal, current: String, new: String) -> Result<Revised<()>, Error> {
    let permit = who.caller.own(&who.leases).map_err(Failure::from)?;
    let (tenant, id) = (who.tenant(), who.subject());
    let name = app
        .store
        .read(&permit, async |tx| {
            let company = organisation::tenant_by_id(tx, tenant).await?.ok_or(Error::NoSuchTenant)?;
            let kept = accounts::by_id(tx, tenant, id).await?.ok_or(Error::NoSuchUser)?;
            Ok(vec![company.key, kept.account.username])
        })
        .await?;
    let claim = Claim::again(Actor::of(who), CHANGE_PASSWORD, name);
    let attempt =
        attempts::begin(app, claim, async |tx| Ok(Some((tenant, accounts::by_id(tx, tenant, id).await?)))).await?;
    let kept = attempt.account().and_then(|(_, kept)| kept.secret_hash.clone());
    if !verify(app, &attempt, current, kept).await? {
        attempt.failed(app).await?;
        return Err(Error::Refused { field: "current_password", rule: "is not the password of now" });
    }
    let hash = app.passwords.hash(new.clone()).await?;
    app.revise(&permit, tenant, Cause::new(who, CHANGE_PASSWORD, ""), async |tx, book| {
        let mut user = users::find(tx, book, id).await?;
        refuse_own_name(&new, &user.account.username)?;
        (user.secret_hash, user.secret_by) = (Some(hash), None);
        // First the lock of the sessions, then those of the counts: in the order of a log-in.
        sessions::end_all(tx, book, id, who.caller.session).await?;
        attempt.forgive(tx).await?;
        users::save(tx, book, &mut user).await
    })
    .await
}

/// How long rows are kept that nobody asks for any more.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// Rounds of one sweep of kept answers; the next sweep goes on.
const ROUNDS_MAX: usize = 100;

/// Deletes expired sessions, forgotten failures and answers that are kept for repeats no longer.
pub async fn sweep(app: &App) -> Result<(), Error> {
    let worker = &app.workers.sweep;
    for _ in 0..ROUNDS_MAX {
        let expired = app.store.read(worker, async |tx| Ok(idempotency::any_expired(tx).await?)).await?;
        if !expired || !app.store.write(worker, async |tx| Ok(idempotency::sweep(tx).await?)).await? {
            break;
        }
    }
    app.store
        .write(&app.workers.sweep, async |tx| {
            let now = crate::store::now(tx).await?;
            Ok(rows::sweep(tx, now - KEEP, now - crate::domain::log_in::FORGET_AFTER).await?)
        })
        .await
}
