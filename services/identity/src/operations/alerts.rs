//! Alerts: each entry is weighed as it is chained, in the same transaction; what is alarming is kept, told, and if it is so
//! configured ends somebody's sessions.

mod watch;

use std::collections::BTreeSet;

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure, Id, Timestamp,
    id::{EventId, SubjectId, TenantId},
};
use revisit_event::Draft;
use revisit_permission::{Action, Assigned, Change, Row};
use revisit_proto::identity::v1::{self as pb, AuditOutcome};
use uuid::Uuid;

use super::{attempts::NAME_OF_NOBODY, book::Cause, sessions};
use crate::{
    App,
    domain::{
        Error,
        alert::{Alert, Engine, Outcome, Reaction, Rule, Seen},
        chain::{Head, Link},
    },
    store::{
        accounts,
        alerts::{self, Kept, Wanted},
        organisation,
    },
};

pub use watch::{Watch, prepare};

/// Alerts of one read whose sessions are to end, and reads of one round.
const FREEZE_MAX: u64 = 100;
const FREEZE_READS_MAX: usize = 100;

/// Weighs an entry that is being chained behind `head`. The caller holds the chain's lock.
pub async fn weigh(app: &App, tx: &Tx, tenant: TenantId, (head, link): (&Head, &Link)) -> Result<(), Failure> {
    let mut engine = watch::at(app, tx, tenant, head).await?;
    let seen = seen(&link.entry, app.clock.wall());
    let raised = seen.map(|seen| engine.take(link.number, &seen, &app.watch.limits)).unwrap_or_default();
    (engine.number, engine.hash) = (link.number, link.hash.clone());
    let told = tell(tx, tenant, (&mut engine, link.number), raised).await;
    // Also when that failed: what was counted is taken back with the transaction.
    app.watch.put(tenant, engine);
    told
}

async fn tell(
    tx: &Tx,
    tenant: TenantId,
    (engine, number): (&mut Engine, i64),
    raised: Vec<Alert>,
) -> Result<(), Failure> {
    for alert in raised {
        if let Some(before) = raise(tx, tenant, number, &alert).await? {
            engine.was_told(&alert, before);
        }
    }
    Ok(())
}

/// An entry as the rules see it; one that nobody can read weighs nothing. Nothing has happened after `now`: a clock that
/// is ahead must not move a window past what comes.
pub fn seen(bytes: &[u8], now: Timestamp) -> Option<Seen> {
    let entry = pb::AuditEntry::decode(bytes).ok()?;
    let outcome = match entry.outcome() {
        AuditOutcome::Unspecified => return None,
        AuditOutcome::Done => Outcome::Done,
        AuditOutcome::Denied => Outcome::Denied,
        AuditOutcome::Failed => Outcome::Failed,
    };
    Some(Seen {
        time: Timestamp::from_micros(entry.time_micros).min(now),
        subject: entry.subject_id.parse().ok(),
        outcome,
        count: u64::try_from(entry.count).unwrap_or(0),
        rows: entry.resource_ids.iter().filter_map(|id| id.parse().ok()).collect(),
        names_nobody: entry.resource == NAME_OF_NOBODY,
        names_fields: !entry.fields.is_empty(),
        gives_to: gives_to(&entry),
        own_accounts: entry.own_account_ids.iter().filter_map(|id| id.parse().ok()).collect(),
        action: entry.action,
        reason: entry.reason_code,
    })
}

/// Whom a change of rights gives some: by a grant, by a role, or by a position that they did not have.
fn gives_to(entry: &pb::AuditEntry) -> BTreeSet<Uuid> {
    // An entry of another service holds no changes; neither does what is gone.
    let read = |json: &str| serde_json::from_str::<Vec<Change>>(json).unwrap_or_default();
    let before = read(&entry.before_json);
    read(&entry.after_json).iter().filter_map(|change| holder(change, &before)).map(Id::uuid).collect()
}

pub fn holder(change: &Change, before: &[Change]) -> Option<SubjectId> {
    match change {
        Change::Grant(new) => {
            let known = before.iter().any(|it| matches!(it, Change::Grant(old) if old.id == new.id));
            (!known).then_some(new.holder)
        }
        Change::RoleAssignment(new) => {
            let added = matches!(new.assigned, Assigned::Added { .. });
            (added && !before.contains(change)).then_some(new.subject)
        }
        Change::Subject(new) => {
            // Who is new gets what comes with the post from who makes the account.
            let old = |it: &&Change| matches!(it, Change::Subject(old) if old.id == new.id);
            let Some(Change::Subject(had)) = before.iter().find(old) else { return None };
            new.positions.iter().any(|position| !had.positions.contains(position)).then_some(new.id)
        }
        Change::Tenant(_)
        | Change::Department(_)
        | Change::Position(_)
        | Change::Role(_)
        | Change::Team(_)
        | Change::Guard(_)
        | Change::ExternalType(_)
        | Change::SessionRevoked { .. }
        | Change::Removed(_) => None,
    }
}

/// Keeps an alert and tells it; if it was told within its window, answers when, and does nothing.
async fn raise(tx: &Tx, tenant: TenantId, number: i64, alert: &Alert) -> Result<Option<Timestamp>, Failure> {
    let (rule, window) = (alert.rule as i32, alert.limit.window);
    // What ends sessions is told each time: it has counted from the last time on. Of what tells once, only what lies
    // beyond all that is read again is not remembered.
    if alert.limit.reaction == Reaction::Tell
        && let Some(before) = alerts::told_after(tx, tenant, (rule, alert.about), alert.time - window).await?
    {
        return Ok(Some(before));
    }
    let (number_bytes, rule_bytes, company) = (number.to_be_bytes(), rule.to_be_bytes(), tenant.uuid());
    let key: [&[u8]; 4] = [company.as_bytes(), &number_bytes, &rule_bytes, alert.about.as_bytes()];
    let id: EventId = Id::derived("revisit identity alert", &key);
    let is_user = accounts::by_id(tx, tenant, Id::from_uuid(alert.about)).await?.is_some();
    let reaction = match alert.limit.reaction {
        Reaction::Tell => alerts::Reaction::Told,
        Reaction::Freeze => alerts::Reaction::Freezing,
    };
    let kept = Kept {
        id: id.uuid(),
        rule,
        about: alert.about,
        counted: i64::try_from(alert.counted).unwrap_or(i64::MAX),
        threshold: i64::try_from(alert.limit.count).unwrap_or(i64::MAX),
        window_seconds: i64::try_from(window.as_secs()).unwrap_or(i64::MAX),
        entry_number: number,
        time: alert.time,
        reaction,
    };
    alerts::add(tx, tenant, &kept).await?;
    tracing::warn!(tenant.id = %tenant, alert.rule = alert.rule.name(), alert.id = %kept.id, "an alert was raised");
    tx.emit(Draft::new(tenant, id.uuid(), 1, &show(&kept, is_user)));
    Ok(None)
}

/// As it is told; a name that nobody has is nobody's id.
fn show(it: &Kept, is_user: bool) -> pb::AlertRaised {
    pb::AlertRaised {
        alert_id: it.id.to_string(),
        rule: it.rule,
        user_id: if is_user { it.about.to_string() } else { String::new() },
        counted: it.counted,
        threshold: it.threshold,
        window_seconds: it.window_seconds,
        entry_number: it.entry_number,
        time_micros: it.time.micros(),
    }
}

/// Ends the sessions that alerts want ended, the oldest alert first. One that cannot be acted on keeps no other waiting,
/// is tried again, and is logged once; `failing` remembers which have been.
pub async fn freeze(app: &App, failing: &mut BTreeSet<Uuid>) -> Result<(), Error> {
    let (mut after, mut still) = (None, BTreeSet::new());
    for _ in 0..FREEZE_READS_MAX {
        let read = async |tx: &Tx| Ok::<_, Error>(alerts::freezing(tx, after, FREEZE_MAX).await?);
        let wanted = app.store.read(&app.workers.freeze, read).await?;
        let Some((_, last)) = wanted.last() else { break };
        after = Some((last.time, last.id));
        for (tenant, alert) in &wanted {
            let ended = end_sessions(app, *tenant, alert).await;
            if let Err(error) = ended {
                if failing.insert(alert.id) {
                    tracing::warn!(%error, alert.id = %alert.id, "sessions that an alert names cannot be ended yet");
                }
                still.insert(alert.id);
            }
        }
    }
    // What was acted on is done with, so no more is remembered than one round reads.
    *failing = still;
    Ok(())
}

async fn end_sessions(app: &App, tenant: TenantId, alert: &Kept) -> Result<(), Error> {
    let user: SubjectId = Id::from_uuid(alert.about);
    let why = Rule::numbered(alert.rule).map(Rule::name).unwrap_or_default();
    let why = format!("alert {why} {}", alert.id);
    let (about, source) = (Some(user), Some(alert.id));
    let cause = Cause { action: "auth.alert_freeze", why, about, source, ..Cause::default() };
    let ended = app.revise(&app.workers.freeze, tenant, cause, async |tx, book| {
        let company = organisation::tenant_by_id(tx, tenant).await?.ok_or(Error::NoSuchTenant)?;
        let is_known = accounts::by_id(tx, tenant, user).await?.is_some();
        // A company without anybody who can come in could not even look into it.
        let spared = company.administrator == user || !is_known;
        let reaction = if spared { alerts::Reaction::Spared } else { alerts::Reaction::Frozen };
        if alerts::react(tx, tenant, alert.id, reaction).await? && !spared {
            sessions::end_all(tx, book, user, None).await?;
        }
        Ok(())
    });
    ended.await.map(drop)
}

/// A page of alerts.
pub struct Listed {
    pub alerts: Vec<pb::Alert>,
    pub next: Option<(Timestamp, Uuid)>,
}

pub async fn list(app: &App, who: &Principal, mut wanted: Wanted) -> Result<Listed, Error> {
    let tenant = who.tenant();
    let permit = who.decide(Action::AuditView, &Row::of_tenant(tenant))?;
    let size = usize::try_from(wanted.limit).unwrap_or(usize::MAX);
    wanted.limit += 1;
    let read = app.store.read(&permit, async |tx| {
        let mut found = alerts::page(tx, tenant, &wanted).await?;
        let more = found.len() > size;
        found.truncate(size);
        let next = found.last().filter(|_| more).map(|last| (last.time, last.id));
        let about: Vec<SubjectId> = found.iter().map(|it| Id::from_uuid(it.about)).collect();
        let users: BTreeSet<Uuid> =
            accounts::by_ids(tx, tenant, &about).await?.iter().map(|account| account.id.uuid()).collect();
        let shown =
            |it: &Kept| pb::Alert { raised: Some(show(it, users.contains(&it.about))), reaction: it.reaction as i32 };
        Ok(Listed { alerts: found.iter().map(shown).collect(), next })
    });
    read.await
}
