//! Alerts: each entry is weighed as it is chained, in the same transaction; what is alarming is kept, told, and if it is so
//! configured ends somebody's sessions.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

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

use super::{book::Cause, sessions};
use crate::{
    App,
    domain::{
        Error,
        alert::{Alert, Engine, Limits, Outcome, Reaction, Rule, Seen},
        chain::{Head, Link},
    },
    store::{
        accounts,
        alerts::{self, Kept, Wanted},
        audit, organisation,
    },
};

/// Companies that are remembered at once.
const ENGINES_MAX: usize = 1_000;
/// Entries that are read again at the most after a restart, or when another replica has chained them.
const CATCH_UP_MAX: i64 = 20_000;
/// Entries of one read.
const READ_MAX: u64 = 1_000;
/// Alerts of one read whose sessions are to end, and reads of one round.
const FREEZE_MAX: u64 = 100;
const FREEZE_READS_MAX: usize = 100;

/// What is remembered of each company. Losing it costs reading the log again.
pub struct Watch {
    limits: Limits,
    engines: Mutex<HashMap<TenantId, Engine>>,
}

impl Watch {
    pub fn new(limits: Limits) -> Self {
        Self { limits, engines: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TenantId, Engine>> {
        // Each change is one insertion or removal: a panic elsewhere leaves it whole.
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Weighs an entry that is being chained behind `head`. The caller holds the chain's lock.
pub async fn weigh(app: &App, tx: &Tx, tenant: TenantId, (head, link): (&Head, &Link)) -> Result<(), Failure> {
    // Taken out: an entry that fails on the way leaves nothing behind, and the log is read again.
    let known = app.watch.lock().remove(&tenant);
    let now = app.clock.wall();
    let mut engine = caught_up(app, tx, (tenant, head, now), known).await?;
    let raised =
        seen(&link.entry, now).map(|seen| engine.take(link.number, &seen, &app.watch.limits)).unwrap_or_default();
    (engine.number, engine.hash) = (link.number, link.hash.clone());
    for alert in raised {
        raise(tx, tenant, link.number, &alert).await?;
    }
    let mut engines = app.watch.lock();
    if engines.len() >= ENGINES_MAX {
        // Whose it is does not matter: it is read again when it is needed.
        let some = engines.keys().next().copied();
        some.map(|some| engines.remove(&some));
    }
    engines.insert(tenant, engine);
    Ok(())
}

/// The engine with every entry up to the head. What it tells on the way was told when those were chained.
async fn caught_up(
    app: &App,
    tx: &Tx,
    (tenant, head, now): (TenantId, &Head, Timestamp),
    known: Option<Engine>,
) -> Result<Engine, Failure> {
    let mut engine = match known {
        Some(engine) if is_of(tx, tenant, &engine, head).await? => engine,
        Some(_) | None => {
            // An alert of a window before keeps one of this window silent: both are read.
            let from = audit::first_after(tx, tenant, now - app.watch.limits.horizon() * 2).await?;
            let from = from.map_or(head.number, |first| (first - 1).min(head.number));
            Engine::after(from.max(head.number - CATCH_UP_MAX).max(0))
        }
    };
    while engine.number < head.number {
        let entries = audit::entries_after(tx, tenant, engine.number, READ_MAX).await?;
        let Some((last, _)) = entries.last() else { break };
        engine.number = *last;
        for (number, entry) in &entries {
            if let Some(seen) = seen(entry, now) {
                engine.take(*number, &seen, &app.watch.limits);
            }
        }
    }
    Ok(engine)
}

/// Whether an engine has seen this chain and no other: the transaction that chained what it last saw may have come to
/// nothing, and another replica may have chained something else there.
async fn is_of(tx: &Tx, tenant: TenantId, engine: &Engine, head: &Head) -> Result<bool, Failure> {
    if engine.number == head.number {
        return Ok(engine.hash == head.hash);
    }
    let near = engine.number < head.number && head.number - engine.number <= CATCH_UP_MAX;
    Ok(near && audit::hash_of(tx, tenant, engine.number).await?.is_some_and(|hash| hash == engine.hash))
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
        names_fields: !entry.fields.is_empty(),
        gives_to: gives_to(&entry),
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

fn holder(change: &Change, before: &[Change]) -> Option<SubjectId> {
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

async fn raise(tx: &Tx, tenant: TenantId, number: i64, alert: &Alert) -> Result<(), Failure> {
    let (rule, window) = (alert.rule as i32, alert.limit.window);
    // What ends sessions is told each time: it has counted from the last time on.
    let once = alert.limit.reaction == Reaction::Tell;
    if once && alerts::told_after(tx, tenant, (rule, alert.about), alert.time - window).await? {
        return Ok(());
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
    Ok(())
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

/// Ends the sessions that alerts want ended, the oldest alert first. One that cannot be acted on keeps no other waiting.
pub async fn freeze(app: &App) -> Result<(), Error> {
    let mut after = None;
    for _ in 0..FREEZE_READS_MAX {
        let read = async |tx: &Tx| Ok::<_, Error>(alerts::freezing(tx, after, FREEZE_MAX).await?);
        let wanted = app.store.read(&app.workers.freeze, read).await?;
        let Some((_, last)) = wanted.last() else { return Ok(()) };
        after = Some((last.time, last.id));
        for (tenant, alert) in &wanted {
            if let Err(error) = end_sessions(app, *tenant, alert).await {
                tracing::warn!(%error, alert.id = %alert.id, "sessions that an alert names could not be ended");
            }
        }
    }
    Ok(())
}

async fn end_sessions(app: &App, tenant: TenantId, alert: &Kept) -> Result<(), Error> {
    let user: SubjectId = Id::from_uuid(alert.about);
    let why = Rule::numbered(alert.rule).map(Rule::name).unwrap_or_default();
    let cause = Cause { action: "auth.alert_freeze", why: format!("alert {why} {}", alert.id), ..Cause::default() };
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
