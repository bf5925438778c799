//! Proving who one is: log-in with delay, token exchange with reuse detection, passwords by one-time link.

use std::time::Duration;

use revisit_bootstrap::{
    auth::Principal,
    database::{Tx, fault},
};
use revisit_core::{
    Failure, Timestamp,
    id::{SessionId, SubjectId, TenantId, kind},
};
use revisit_permission::{SubjectKind, SubjectState};
use revisit_proto::identity::v1::AuditOutcome;

use super::{
    audit::{self, Act, Actor},
    book::{Cause, Revised},
    sessions, users,
};
use crate::{
    App,
    domain::{
        Error, Session,
        log_in::{By, Failures, RefreshToken, Shown, failure_key, hash_secret, judge},
    },
    keys::Named,
    store::{
        accounts::{self, Kept},
        organisation, sessions as rows,
    },
};

const LOG_IN: &str = "auth.log_in";

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

/// Counts of one attempt: by account and by source.
struct Counted(Vec<(By, Vec<u8>)>);

impl Counted {
    fn new(account: &[&str], source: &str) -> Self {
        let mut keys =
            vec![(By::Account, failure_key(By::Account, account)), (By::Source, failure_key(By::Source, &[source]))];
        // Locks are taken in one order everywhere.
        keys.sort_by(|(_, one), (_, other)| one.cmp(other));
        Self(keys)
    }

    /// Of somebody who has proved to be this account already.
    fn account(account: &[&str]) -> Self {
        Self(vec![(By::Account, failure_key(By::Account, account))])
    }
}

pub async fn log_in(app: &App, input: LogIn) -> Result<Tokens, Error> {
    let LogIn { tenant_key, username, password, device, source } = input;
    let counted = Counted::new(&[&tenant_key, &username], &source);
    let found = attempt(app, &counted, async |tx| {
        let Some(tenant) = organisation::tenant_by_key(tx, &tenant_key).await? else { return Ok(None) };
        let kept = accounts::by_username(tx, tenant.id, &username).await?;
        // The names of programs are no log-in names.
        Ok(Some((tenant.id, kept.filter(|kept| kept.account.kind == SubjectKind::User))))
    })
    .await?;
    finish(app, &counted, found, (password, device)).await
}

pub async fn log_in_service_account(app: &App, id: SubjectId, secret: String, source: String) -> Result<Tokens, Error> {
    let counted = Counted::new(&[&id.to_string()], &source);
    let found = attempt(app, &counted, async |tx| {
        let found = accounts::service_account(tx, id).await?;
        Ok(found.map(|(tenant, kept)| (tenant, Some(kept))))
    })
    .await?;
    finish(app, &counted, found, (secret, String::new())).await
}

/// A company, and the account in it if there is one.
type Found = Option<(TenantId, Option<Kept>)>;

/// Refuses an attempt that comes too early; else counts it as failed before the password is looked at, so that many
/// attempts at once cannot share one count.
async fn attempt(
    app: &App,
    counted: &Counted,
    find: impl AsyncFnOnce(&Tx) -> Result<Found, Failure>,
) -> Result<Found, Error> {
    app.store
        .write(&app.workers.log_in, async move |tx| {
            let now = crate::store::now(tx).await?;
            let mut known = Vec::with_capacity(counted.0.len());
            for (by, key) in &counted.0 {
                tx.lock(lock_of(key)).await.map_err(fault)?;
                known.push((*by, key, rows::failures(tx, key).await?));
            }
            let waits = known.iter().filter_map(|(_, _, failures)| failures.and_then(|it| it.wait(now)));
            if let Some(retry_after) = waits.max() {
                return Err(Error::LogInDelayed { retry_after });
            }
            for (by, key, failures) in known {
                let counted = failures.unwrap_or_default().failed(by, now);
                rows::set_failures(tx, key.clone(), counted, failures.is_some()).await?;
            }
            Ok(find(tx).await?)
        })
        .await
}

fn lock_of(key: &[u8]) -> i64 {
    key.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Looks at the password, takes the count back when it is right, and opens a session.
async fn finish(
    app: &App,
    counted: &Counted,
    found: Found,
    (password, device): (String, String),
) -> Result<Tokens, Error> {
    let kept = found.as_ref().and_then(|(_, kept)| kept.as_ref());
    let hash = kept.filter(|kept| kept.account.is_active()).and_then(|kept| kept.secret_hash.clone());
    let right = app.passwords.verify(password, hash.clone()).await?;
    let Some((tenant, kept)) = found else { return Err(Error::LogInRefused) };
    let Some(kept) = kept.filter(|_| right) else {
        return refuse(app, tenant, Actor::default()).await;
    };
    app.store
        .write(&app.workers.log_in, async |tx| {
            // Read again: it may have been stopped, or have got another password, while this one was compared.
            let again = accounts::by_id(tx, tenant, kept.account.id).await?;
            let again =
                again.filter(|it| it.account.is_active() && it.secret_hash == hash).ok_or(Error::LogInRefused)?;
            forgive(tx, counted).await?;
            open(app, tx, tenant, &again, device).await
        })
        .await
}

async fn refuse(app: &App, tenant: TenantId, actor: Actor) -> Result<Tokens, Error> {
    let entry = Act {
        outcome: AuditOutcome::Failed,
        reason_code: "LOG_IN_REFUSED",
        ..Act::done(actor, LOG_IN, "session", tenant.uuid())
    };
    app.store.write(&app.workers.log_in, async |tx| audit::act(app, tx, tenant, entry).await).await?;
    Err(Error::LogInRefused)
}

/// The account's failures are forgotten; from the source only this attempt is taken back, or one good account would
/// let a source try all others for ever.
async fn forgive(tx: &Tx, counted: &Counted) -> Result<(), Error> {
    for (by, key) in &counted.0 {
        tx.lock(lock_of(key)).await.map_err(fault)?;
        match (by, rows::failures(tx, key).await?) {
            (_, None) => (),
            (By::Source, Some(it)) if it.count > 1 => {
                let less = Failures { count: it.count - 1, blocked_until: it.updated_at, ..it };
                rows::set_failures(tx, key.clone(), less, true).await?;
            }
            (By::Account | By::Source, Some(_)) => rows::clear_failures(tx, key).await?,
        }
    }
    Ok(())
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
    /// Two hold the tokens of this session.
    Stolen,
}

pub async fn refresh(app: &App, text: &str) -> Result<Tokens, Error> {
    let token = RefreshToken::decode(text).ok_or(Error::RefreshRefused)?;
    let exchanged = app.store.write(&app.workers.log_in, async |tx| exchange(app, tx, &token).await).await?;
    match exchanged {
        Exchanged::Tokens(tokens) => Ok(*tokens),
        Exchanged::Refused => Err(Error::RefreshRefused),
        Exchanged::Stolen => {
            let cause = Cause { action: "auth.refresh_reused", ..Cause::default() };
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
        Shown::Reused => return Ok(Exchanged::Stolen),
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
        return Ok(Exchanged::Stolen);
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
    let (tenant, id) = owner.ok_or(Error::PasswordLinkRefused)?;
    let kept = app.passwords.hash(password.clone()).await?;
    let actor = Actor { subject: Some(id), session: None };
    let cause = Cause { actor, action: "auth.set_password", ..Cause::default() };
    app.revise(worker, tenant, cause, async |tx, book| {
        // Under the tenant's lock: of two uses of one link the second finds it gone.
        let still = accounts::link(tx, &hash, book.now).await?;
        still.filter(|owner| *owner == (tenant, id)).ok_or(Error::PasswordLinkRefused)?;
        let mut user = users::find(tx, book, id).await.map_err(|_| Error::PasswordLinkRefused)?;
        refuse_own_name(&password, &user.account.username)?;
        match user.account.state {
            SubjectState::Invited => user.account.state = SubjectState::Active,
            SubjectState::Active | SubjectState::Suspended => (),
            SubjectState::Left => return Err(Error::PasswordLinkRefused),
        }
        user.secret_hash = Some(kept);
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
    let counted = Counted::account(&[&tenant.to_string(), &id.to_string()]);
    let found = attempt(app, &counted, async |tx| Ok(Some((tenant, accounts::by_id(tx, tenant, id).await?))));
    let kept = found.await?.and_then(|(_, kept)| kept).ok_or(Error::NoSuchUser)?;
    if !app.passwords.verify(current, kept.secret_hash.clone()).await? {
        return Err(Error::Refused { field: "current_password", rule: "is not the password of now" });
    }
    let hash = app.passwords.hash(new.clone()).await?;
    app.revise(&permit, tenant, Cause::new(who, "auth.change_password", ""), async |tx, book| {
        let mut user = users::find(tx, book, id).await?;
        refuse_own_name(&new, &user.account.username)?;
        user.secret_hash = Some(hash);
        forgive(tx, &counted).await?;
        sessions::end_all(tx, book, id, who.caller.session).await?;
        users::save(tx, book, &mut user).await
    })
    .await
}

/// How long rows are kept that nobody asks for any more.
const KEEP: Duration = Duration::from_secs(24 * 3600);

/// Deletes expired sessions and forgotten failures.
pub async fn sweep(app: &App) -> Result<(), Error> {
    app.store
        .write(&app.workers.sweep, async |tx| {
            let now = crate::store::now(tx).await?;
            Ok(rows::sweep(tx, now - KEEP, now - crate::domain::log_in::FORGET_AFTER).await?)
        })
        .await
}
