//! The audit log: what identity itself did is emitted like everybody's entries; the entries of all services are chained
//! per tenant, and read under permission.

use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{
    Failure, Id, Ids, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use revisit_event::{Draft, Envelope, EnvelopeExt};
use revisit_permission::{Action, Change, Removed};
use revisit_proto::identity::v1::{self as pb, AuditOutcome};
use uuid::Uuid;

use super::book::Cause;
use crate::{
    App,
    domain::{
        Error,
        chain::{self, Broken, Link, Verifier},
    },
    store::{self, audit, keys, organisation},
};

/// Ids that one entry names.
const IDS_MAX: usize = 1_000;
/// Bytes of JSON in one entry; a revision that says more has several. Beside the ids, well within what an event holds.
const JSON_MAX: usize = 160 << 10;
/// Bytes of JSON of one thing, so that what it was and what it is fit into one entry.
const CHANGE_MAX: usize = 72 << 10;
/// Links of one read while verifying.
const VERIFY_MAX: u64 = 1_000;

/// Who did it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Actor {
    pub subject: Option<SubjectId>,
    pub session: Option<SessionId>,
}

impl Actor {
    pub fn of(who: &Principal) -> Self {
        Self { subject: Some(who.subject()), session: who.caller.session }
    }
}

/// What was done besides a change of the permission state: a log-in, a clear read.
#[derive(Clone, Debug)]
pub struct Act {
    pub actor: Actor,
    pub action: &'static str,
    pub resource: &'static str,
    pub ids: Vec<Uuid>,
    pub fields: Vec<String>,
    pub outcome: AuditOutcome,
    pub reason_code: &'static str,
    /// How many equal ones the entry stands for.
    pub count: i64,
}

impl Act {
    /// An act that succeeded.
    pub fn done(actor: Actor, action: &'static str, resource: &'static str, id: Uuid) -> Self {
        let (fields, outcome) = (Vec::new(), AuditOutcome::Done);
        Self { actor, action, resource, ids: vec![id], fields, outcome, reason_code: "", count: 1 }
    }
}

/// Emits the entry of an act in the transaction that does it.
pub async fn act(app: &App, tx: &Tx, tenant: TenantId, act: Act) -> Result<(), Error> {
    act_of(&app.ids, tx, tenant, act).await
}

/// The same before there is a running service.
pub async fn act_of(ids: &Ids, tx: &Tx, tenant: TenantId, act: Act) -> Result<(), Error> {
    let now = store::now(tx).await?;
    let entry = pb::AuditEntry {
        action: act.action.to_owned(),
        resource: act.resource.to_owned(),
        resource_ids: act.ids.iter().map(Uuid::to_string).collect(),
        fields: act.fields,
        outcome: act.outcome.into(),
        reason_code: act.reason_code.to_owned(),
        count: act.count,
        ..entry(ids.next::<revisit_core::id::kind::Event>(now).uuid(), act.actor, now)
    };
    emit(tx, tenant, &entry);
    Ok(())
}

/// Emits the entries of a revision: who, when, why, before and after. Each change comes with what it replaces.
pub fn revision(
    tx: &Tx,
    now: Timestamp,
    (tenant, number): (TenantId, i64),
    cause: &Cause,
    changes: &[(Option<Change>, &Change)],
) -> Result<(), Error> {
    let mut parts: Vec<Part> = vec![Part::default()];
    for (was, is) in changes {
        let (was, after) = (was.as_ref().map(json).transpose()?, json(is)?);
        if after.len() > CHANGE_MAX {
            return Err(Error::Refused { field: "request", rule: "says too much of one thing; divide it" });
        }
        let size = was.as_ref().map_or(0, String::len) + after.len();
        let is_full = |part: &Part| part.size + size > JSON_MAX || part.ids.len() >= IDS_MAX;
        if parts.last().is_none_or(is_full) {
            parts.push(Part::default());
        }
        if let Some(part) = parts.last_mut() {
            part.add(subject_of(is), size, (was, after));
        }
    }
    for (place, part) in (0_u32..).zip(parts) {
        // A revision is written once, so the ids of its entries follow from it.
        let (revision, place) = (number.to_be_bytes(), place.to_be_bytes());
        let id: revisit_core::id::EventId =
            Id::derived("revisit identity revision entry", &[tenant.uuid().as_bytes(), &revision, &place]);
        let entry = pb::AuditEntry {
            action: cause.action.to_owned(),
            resource: part.resource.to_owned(),
            resource_ids: part.ids,
            outcome: AuditOutcome::Done.into(),
            witness: cause.witness.clone(),
            revision: number,
            why: cause.why.clone(),
            before_json: array(&part.before),
            after_json: array(&part.after),
            ..entry(id.uuid(), cause.actor, now)
        };
        emit(tx, tenant, &entry);
    }
    Ok(())
}

/// What one entry says of a revision.
#[derive(Default)]
struct Part {
    resource: &'static str,
    ids: Vec<String>,
    size: usize,
    before: Vec<String>,
    after: Vec<String>,
}

impl Part {
    fn add(&mut self, (resource, id): (&'static str, Uuid), size: usize, (was, is): (Option<String>, String)) {
        if self.after.is_empty() {
            self.resource = resource;
        }
        let id = id.to_string();
        if self.ids.last() != Some(&id) {
            self.ids.push(id);
        }
        self.size += size;
        self.before.extend(was);
        self.after.push(is);
    }
}

/// A JSON list of what is JSON already; empty when there is nothing.
fn array(items: &[String]) -> String {
    if items.is_empty() { String::new() } else { format!("[{}]", items.join(",")) }
}

fn entry(id: Uuid, actor: Actor, now: Timestamp) -> pb::AuditEntry {
    let traceparent = revisit_event::trace::traceparent();
    pb::AuditEntry {
        entry_id: id.to_string(),
        subject_id: actor.subject.map(|it| it.to_string()).unwrap_or_default(),
        session_id: actor.session.map(|it| it.to_string()).unwrap_or_default(),
        time_micros: now.micros(),
        trace_id: traceparent.split('-').nth(1).unwrap_or_default().to_owned(),
        ..pb::AuditEntry::default()
    }
}

fn emit(tx: &Tx, tenant: TenantId, entry: &pb::AuditEntry) {
    // What nobody in particular did shares a shard; the rest is spread by who did it.
    let key = entry.subject_id.parse().unwrap_or(tenant.uuid());
    let id = entry.entry_id.parse().unwrap_or(tenant.uuid());
    tx.emit(Draft::new(tenant, id, 1, entry).keyed(key));
}

fn json(change: &Change) -> Result<String, Failure> {
    serde_json::to_string(change).map_err(Failure::internal)
}

/// What a change is about.
fn subject_of(change: &Change) -> (&'static str, Uuid) {
    match change {
        Change::Tenant(tenant) => ("tenant", tenant.administrator.map_or(Uuid::nil(), Id::uuid)),
        Change::Department(it) => ("department", it.id.uuid()),
        Change::Subject(it) => ("user", it.id.uuid()),
        Change::Position(it) => ("position", it.id.uuid()),
        Change::Role(it) => ("role", it.id.uuid()),
        Change::RoleAssignment(it) => ("user", it.subject.uuid()),
        Change::Team(it) => ("team", it.id.uuid()),
        Change::Grant(it) => ("grant", it.id.uuid()),
        Change::Guard(it) => ("guard", it.id.uuid()),
        Change::SessionRevoked { session, .. } => ("session", session.uuid()),
        Change::Removed(removed) => match removed {
            Removed::Department(id) => ("department", id.uuid()),
            Removed::Subject(id) => ("user", id.uuid()),
            Removed::Position(id) => ("position", id.uuid()),
            Removed::Role(id) => ("role", id.uuid()),
            Removed::RoleAssignment { subject, .. } => ("user", subject.uuid()),
            Removed::Team(id) => ("team", id.uuid()),
            Removed::Grant { id, .. } => ("grant", id.uuid()),
            Removed::Guard(id) => ("guard", id.uuid()),
        },
    }
}

/// Appends an entry of any service to its tenant's chain. The consumer's inbox makes a repeat harmless.
pub async fn chain(app: &App, tx: &Tx, event: &Envelope) -> Result<(), Failure> {
    let Some(entry) = event.read::<pb::AuditEntry>()? else { return Ok(()) };
    let tenant = event.tenant()?;
    // Entries of one tenant come from many shards at once; the chain has one end.
    tx.lock(chain_lock(tenant)).await.map_err(revisit_bootstrap::database::fault)?;
    let last = audit::last(tx, tenant).await?;
    let (number, before) = last.map_or((1, Vec::new()), |last| (last.number + 1, last.hash));
    let bytes = entry.encode_to_vec();
    let hash = chain::hash(&before, tenant, (number, &event.source, &bytes));
    let chained = audit::Chained {
        link: Link { number, source: event.source.clone(), entry: bytes, hash },
        event: event.id()?.uuid(),
        subject: entry.subject_id.parse().ok(),
        action: entry.action,
        rows: entry.resource_ids.iter().filter_map(|id| id.parse().ok()).take(IDS_MAX).collect(),
        time: Timestamp::from_micros(entry.time_micros),
    };
    let end = app.keys.sign_end(tenant, number, &chained.link.hash);
    audit::append(tx, tenant, chained, end).await
}

fn chain_lock(tenant: TenantId) -> i64 {
    let hash = blake3::derive_key("revisit identity audit chain lock", tenant.uuid().as_bytes());
    hash.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// A page of the log.
pub struct Listed {
    pub entries: Vec<Link>,
    pub next: Option<i64>,
}

pub async fn list(app: &App, who: &Principal, mut wanted: audit::Wanted) -> Result<Listed, Error> {
    let permit = who.decide(Action::AuditView, &revisit_permission::Row::of_tenant(who.tenant()))?;
    let size = wanted.limit;
    wanted.limit += 1;
    let mut entries = app.store.read(&permit, async |tx| Ok(audit::page(tx, who.tenant(), &wanted).await?)).await?;
    let more = u64::try_from(entries.len()).is_ok_and(|found| found > size);
    entries.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let next = entries.last().filter(|_| more).map(|last| last.number);
    Ok(Listed { entries, next })
}

/// What `audit verify` found in one tenant's chain.
pub struct Verdict {
    pub tenant: TenantId,
    pub entries: i64,
    pub broken: Option<Broken>,
}

/// Follows every chain from its beginning.
pub async fn verify(store: &store::Store, worker: &revisit_permission::Worker) -> Result<Vec<Verdict>, Error> {
    let mut verdicts = Vec::new();
    let mut after = None;
    loop {
        let tenants = store.read(worker, async |tx| Ok(organisation::tenants(tx, after, VERIFY_MAX).await?)).await?;
        let Some(last) = tenants.last() else { return Ok(verdicts) };
        after = Some(last.id);
        for tenant in tenants {
            verdicts.push(verify_tenant(store, worker, tenant.id).await?);
        }
    }
}

async fn verify_tenant(
    store: &store::Store,
    worker: &revisit_permission::Worker,
    tenant: TenantId,
) -> Result<Verdict, Error> {
    let mut verifier = Verifier::new(tenant);
    let mut entries = 0;
    loop {
        // The mark is read with the last links: entries may be appended meanwhile.
        let read = store.read(worker, async |tx| {
            let links = audit::after(tx, tenant, entries, VERIFY_MAX).await?;
            Ok((links, audit::end(tx, tenant).await?, keys::ever(tx).await?))
        });
        let (links, end, keys) = read.await?;
        if links.is_empty() {
            let verifies = |end: &chain::End, bytes: &[u8]| {
                keys.iter().any(|key| key.kid == end.kid && key.verifies(bytes, &end.signature))
            };
            let broken = verifier.finish(end.as_ref(), verifies).err();
            return Ok(Verdict { tenant, entries, broken });
        }
        for link in &links {
            if let Err(broken) = verifier.follow(link) {
                return Ok(Verdict { tenant, entries, broken: Some(broken) });
            }
            entries = link.number;
        }
    }
}
