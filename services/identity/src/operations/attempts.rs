//! Attempts to prove who one is: counted before the secret is looked at, put off after failures, and audited alike
//! whether the name exists or not.

use std::time::Duration;

use revisit_bootstrap::database::{Tx, fault};
use revisit_core::{Failure, Timestamp, id::TenantId};
use revisit_proto::identity::v1::AuditOutcome;
use uuid::Uuid;

use super::audit::{self, Act, Actor};
use crate::{
    App,
    domain::{
        Error,
        log_in::{By, Failures, failure_key, network},
    },
    store::{accounts::Kept, sessions as rows},
};

/// What an entry about an attempt calls what it names, when nobody has the name.
pub const NAME_OF_NOBODY: &str = "username";

/// What an attempt is counted by, and who makes it.
pub struct Claim {
    actor: Actor,
    action: &'static str,
    name: Vec<String>,
    keys: Vec<(By, Vec<u8>)>,
}

impl Claim {
    /// Of somebody from a network address.
    pub fn new(name: Vec<String>, source: &str) -> Self {
        let mut keys = vec![account(&name), (By::Source, failure_key(By::Source, &[&network(source)]))];
        // Locks are taken in one order everywhere.
        keys.sort_by(|(_, one), (_, other)| one.cmp(other));
        Self { actor: Actor::default(), action: super::log_in::LOG_IN, name, keys }
    }

    /// Of somebody who has logged in and shows the password again: it counts with the log-ins of the same name.
    pub fn again(actor: Actor, action: &'static str, name: Vec<String>) -> Self {
        Self { actor, action, keys: vec![account(&name)], name }
    }
}

fn account(name: &[String]) -> (By, Vec<u8>) {
    let parts: Vec<&str> = name.iter().map(String::as_str).collect();
    (By::Account, failure_key(By::Account, &parts))
}

/// A company, and the account in it if there is one.
pub type Found = Option<(TenantId, Option<Kept>)>;

/// An attempt that has been counted as failed, until it proves right.
pub struct Attempt {
    claim: Claim,
    /// In whose log it stands.
    tenant: TenantId,
    about: (&'static str, Uuid),
    found: Found,
}

impl Attempt {
    fn new(app: &App, claim: Claim, found: Found) -> Self {
        let account = found.as_ref().and_then(|(_, kept)| kept.as_ref());
        // A name that nobody has may be a password in the wrong field: what stands in the log is a keyed digest.
        let about =
            account.map_or_else(|| (NAME_OF_NOBODY, app.keys.digest(&claim.name)), |it| ("user", it.account.id.uuid()));
        // What names no company of ours is the operators' to see, and costs as much as what does.
        let tenant = found.as_ref().map_or(app.authority.operator, |(tenant, _)| *tenant);
        Self { claim, tenant, about, found }
    }

    /// Whose secret is to be shown.
    pub fn account(&self) -> Option<(TenantId, &Kept)> {
        let (tenant, kept) = self.found.as_ref()?;
        Some((*tenant, kept.as_ref()?))
    }

    /// Writes that it failed.
    pub async fn failed(&self, app: &App) -> Result<(), Error> {
        app.store.write(&app.workers.log_in, async |tx| self.note(app, tx, ("LOG_IN_REFUSED", 1)).await).await
    }

    async fn note(&self, app: &App, tx: &Tx, (reason_code, count): (&'static str, i64)) -> Result<(), Error> {
        let (resource, id) = self.about;
        let done = Act::done(self.claim.actor, self.claim.action, resource, id);
        let entry = Act { outcome: AuditOutcome::Failed, reason_code, count, ..done };
        audit::act(app, tx, self.tenant, entry).await
    }

    /// The account's failures are forgotten; from the source only this attempt is taken back, or one good account
    /// would let a source try all others for ever.
    pub async fn forgive(&self, tx: &Tx) -> Result<(), Error> {
        for (by, key) in &self.claim.keys {
            match by {
                By::Account => {
                    tx.lock(lock_of(key)).await.map_err(fault)?;
                    rows::clear_failures(tx, key).await?;
                }
                By::Source => take_back(tx, key).await?,
            }
        }
        Ok(())
    }

    /// Takes back an attempt whose secret nobody has looked at.
    pub async fn undo(&self, app: &App) -> Result<(), Error> {
        let undo = async |tx: &Tx| {
            for (_, key) in &self.claim.keys {
                take_back(tx, key).await?;
            }
            Ok(())
        };
        app.store.write(&app.workers.log_in, undo).await
    }
}

async fn take_back(tx: &Tx, key: &[u8]) -> Result<(), Error> {
    tx.lock(lock_of(key)).await.map_err(fault)?;
    match rows::failures(tx, key).await? {
        Some(it) if it.count > 1 => {
            let less = Failures { count: it.count - 1, blocked_until: it.updated_at, ..it };
            Ok(rows::set_failures(tx, key.to_vec(), less, true).await?)
        }
        Some(_) | None => Ok(rows::clear_failures(tx, key).await?),
    }
}

fn lock_of(key: &[u8]) -> i64 {
    key.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Puts off an attempt that comes too early; else counts it as failed before the secret is looked at, so that many
/// attempts at once cannot share one count.
pub async fn begin(
    app: &App,
    claim: Claim,
    find: impl AsyncFnOnce(&Tx) -> Result<Found, Failure>,
) -> Result<Attempt, Error> {
    app.store
        .write(&app.workers.log_in, async move |tx| {
            let now = crate::store::now(tx).await?;
            let attempt = Attempt::new(app, claim, find(tx).await?);
            Ok(match count(app, tx, &attempt, now).await? {
                None => Ok(attempt),
                Some(retry_after) => Err(Error::LogInDelayed { retry_after }),
            })
        })
        .await?
}

/// Counts an attempt; answers how long it has to wait if it came too early. That is written at once, beyond a bound as a
/// number with the next attempt that is let through.
async fn count(app: &App, tx: &Tx, attempt: &Attempt, now: Timestamp) -> Result<Option<Duration>, Error> {
    let mut known = Vec::with_capacity(attempt.claim.keys.len());
    for (by, key) in &attempt.claim.keys {
        tx.lock(lock_of(key)).await.map_err(fault)?;
        known.push((*by, key, rows::failures(tx, key).await?));
    }
    let waits = known.iter().filter_map(|(_, key, kept)| kept.and_then(|it| Some((it.wait(now)?, *key, it))));
    if let Some((wait, key, kept)) = waits.max_by_key(|(wait, ..)| *wait) {
        let kept = kept.put_off();
        rows::set_failures(tx, key.clone(), kept, true).await?;
        if kept.tells() {
            attempt.note(app, tx, ("LOG_IN_DELAYED", 1)).await?;
        }
        return Ok(Some(wait));
    }
    for (by, key, kept) in known {
        let before = kept.unwrap_or_default();
        if before.untold() > 0 {
            attempt.note(app, tx, ("LOG_IN_DELAYED", before.untold())).await?;
        }
        rows::set_failures(tx, key.clone(), before.failed(by, now), kept.is_some()).await?;
    }
    Ok(None)
}
