//! The audit log: what identity itself did is emitted like everybody's entries; the log is read under permission.

use std::collections::BTreeSet;

use revisit_bootstrap::{address, auth::Principal, database::Tx};
use revisit_core::{
    Failure, Id, Ids, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use revisit_event::Draft;
use revisit_permission::{Action, Change};
use revisit_proto::identity::v1::{self as pb, AuditOutcome};
use uuid::Uuid;

use super::{about::about, book::Cause};
use crate::{
    App,
    domain::Error,
    store::{
        self,
        audit_search::{self, Found, Place, Wanted},
    },
};

/// Ids that one entry names.
pub const IDS_MAX: usize = 1_000;
/// Bytes of JSON in one entry; a revision that says more has several. Beside the ids, well within what an event holds.
const JSON_MAX: usize = 160 << 10;
/// Bytes of JSON of one thing, so that what it was and what it is fit into one entry.
const CHANGE_MAX: usize = 72 << 10;

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
    /// In the actor's words.
    pub why: String,
}

impl Act {
    /// An act that succeeded.
    pub fn done(actor: Actor, action: &'static str, resource: &'static str, id: Uuid) -> Self {
        let (fields, outcome) = (Vec::new(), AuditOutcome::Done);
        let (ids, why) = (vec![id], String::new());
        Self { actor, action, resource, ids, fields, outcome, reason_code: "", count: 1, why }
    }

    /// With the actor's words.
    pub fn because(self, why: &str) -> Self {
        Self { why: why.to_owned(), ..self }
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
        why: act.why,
        ..entry(ids.next::<revisit_core::id::kind::Event>(now).uuid(), act.actor, now)
    };
    emit(tx, tenant, &entry);
    Ok(())
}

/// Emits the entries of a revision: who, when, why, before and after. Each change comes with what it replaces; `own` are the
/// accounts among those that are given rights which are the actor's own.
pub fn revision(
    tx: &Tx,
    now: Timestamp,
    (tenant, number): (TenantId, i64),
    (cause, own): (&Cause, &BTreeSet<SubjectId>),
    changes: &[(Option<Change>, &Change)],
) -> Result<(), Error> {
    let mut parts: Vec<Part> = vec![Part::default()];
    for (was, is) in changes {
        let (resource, ids) = about(was.as_ref(), is);
        let (was, after) = (was.as_ref().map(json).transpose()?, json(is)?);
        if after.len() > CHANGE_MAX {
            return Err(Error::Refused { field: "request", rule: "says too much of one thing; divide it" });
        }
        let size = was.as_ref().map_or(0, String::len) + after.len();
        let is_full = |part: &Part| part.size + size > JSON_MAX || part.ids.len() + ids.len() >= IDS_MAX;
        if parts.last().is_none_or(is_full) {
            parts.push(Part::default());
        }
        if let Some(part) = parts.last_mut() {
            part.add((resource, ids), size, (was, after));
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
            resource_ids: part.ids.iter().chain(&cause.about.map(Id::uuid)).map(Uuid::to_string).collect(),
            outcome: AuditOutcome::Done.into(),
            witness: cause.witness.clone(),
            revision: number,
            why: cause.why.clone(),
            source_event_id: cause.source.map(|it| it.to_string()).unwrap_or_default(),
            own_account_ids: own.iter().take(IDS_MAX).map(ToString::to_string).collect(),
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
    ids: Vec<Uuid>,
    size: usize,
    before: Vec<String>,
    after: Vec<String>,
}

impl Part {
    fn add(&mut self, (resource, ids): (&'static str, Vec<Uuid>), size: usize, (was, is): (Option<String>, String)) {
        if self.after.is_empty() {
            self.resource = resource;
        }
        for id in ids {
            if !self.ids.contains(&id) {
                self.ids.push(id);
            }
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
        caller_address: address::current(),
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

/// A page of the log.
pub struct Listed {
    pub entries: Vec<Found>,
    pub next: Option<Place>,
}

pub async fn list(app: &App, who: &Principal, mut wanted: Wanted) -> Result<Listed, Error> {
    let permit = who.decide(Action::AuditView, &revisit_permission::Row::of_tenant(who.tenant()))?;
    let size = wanted.limit;
    wanted.limit += 1;
    let search = async |tx: &Tx| Ok(audit_search::page(tx, who.tenant(), &wanted).await?);
    let mut entries = app.store.read(&permit, search).await?;
    let more = u64::try_from(entries.len()).is_ok_and(|found| found > size);
    entries.truncate(usize::try_from(size).unwrap_or(usize::MAX));
    let next = entries.last().filter(|_| more).map(|last| last.place);
    Ok(Listed { entries, next })
}
