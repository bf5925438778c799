//! The audit: who did what to what, and by what right. Never a value.
//!
//! An entry is an event in the outbox of the service that serves the call, in the transaction of the act, or for a read
//! in one of its own before the answer leaves: without its entry there is no answer.

use revisit_core::{Failure, Ids, id};
use revisit_event::Draft;
use revisit_permission::{Action, Caller, Decided, Decision, GrantRef, Witness};
use revisit_proto::identity::v1::{AuditEntry, AuditOutcome};
use uuid::Uuid;

use crate::{
    address,
    database::{Tx, fault},
};

/// Ids of one entry; a larger act writes several.
pub const RESOURCE_IDS_MAX: usize = 1_000;

/// What an act on one's own is called that has no name of its own.
const OWN: &str = "own.update";

/// One entry, before it is recorded.
#[derive(Clone, Debug)]
pub struct Entry {
    caller: Caller,
    message: AuditEntry,
}

impl Entry {
    /// `action` is a name of the permission registry or an act of the service itself; `resource` the type acted on.
    #[must_use]
    pub fn new(caller: &Caller, action: &str, resource: &str) -> Self {
        let message = AuditEntry {
            subject_id: caller.subject.to_string(),
            session_id: caller.session.map(|session| session.to_string()).unwrap_or_default(),
            action: action.to_owned(),
            resource: resource.to_owned(),
            outcome: AuditOutcome::Done.into(),
            caller_address: address::current(),
            ..AuditEntry::default()
        };
        Self { caller: caller.clone(), message }
    }

    /// What was acted on; what is beyond [`RESOURCE_IDS_MAX`] belongs into another entry.
    #[must_use]
    pub fn about(mut self, ids: impl IntoIterator<Item = Uuid>) -> Self {
        self.message.resource_ids = ids.into_iter().take(RESOURCE_IDS_MAX).map(|id| id.to_string()).collect();
        self
    }

    /// Which fields were read clear or changed: names, never values.
    #[must_use]
    pub fn fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.message.fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// What decided.
    #[must_use]
    pub fn decided(mut self, decision: &Decision) -> Self {
        self.message.witness = witness(&decision.witness);
        self.message.revision = decision.revision;
        self
    }

    /// That it was refused by enforcement, or failed.
    #[must_use]
    pub fn refused(mut self, outcome: AuditOutcome, reason: &str) -> Self {
        self.message.outcome = outcome.into();
        reason.clone_into(&mut self.message.reason_code);
        self
    }

    /// Anything else that the message holds.
    #[must_use]
    pub fn with(mut self, change: impl FnOnce(&mut AuditEntry)) -> Self {
        change(&mut self.message);
        self
    }
}

/// What somebody has done: all that an entry says of it beside who did it and by what right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    act: Option<&'static str>,
    resource: &'static str,
    ids: Vec<Uuid>,
    fields: Vec<String>,
}

impl Deed {
    /// Of these rows.
    #[must_use]
    pub fn on(resource: &'static str, ids: impl IntoIterator<Item = Uuid>) -> Self {
        Self { act: None, resource, ids: ids.into_iter().collect(), fields: Vec::new() }
    }

    /// Which fields were written, or read clear. Not those of a new row: which it has would tell who reads the log what is there.
    #[must_use]
    pub fn fields(mut self, names: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.fields = names.into_iter().map(Into::into).collect();
        self
    }

    /// The name of an act that no action of the registry stands for: what people do to what is their own.
    #[must_use]
    pub const fn named(mut self, act: &'static str) -> Self {
        self.act = Some(act);
        self
    }

    /// The entry, when this decided.
    #[must_use]
    pub fn by(self, decided: &Decided) -> Entry {
        let action = self.act.or(decided.action().map(Action::name)).unwrap_or(OWN);
        let entry = Entry::new(decided.caller(), action, self.resource).about(self.ids).fields(self.fields);
        match decided.decisions().first() {
            Some(decision) => entry.decided(decision),
            None => entry,
        }
    }
}

/// Appends an entry to the outbox of the transaction's database.
pub async fn record(tx: &Tx, ids: &Ids, entry: Entry) -> Result<(), Failure> {
    let now = tx.now().await.map_err(fault)?;
    let entry_id = ids.next::<id::kind::Event>(now);
    let Entry { caller, mut message } = entry;
    message.entry_id = entry_id.to_string();
    message.time_micros = now.micros();
    // The second part of `00-<trace>-<span>-<flags>`.
    message.trace_id = revisit_event::trace::traceparent().split('-').nth(1).unwrap_or_default().to_owned();
    tx.emit(Draft::new(caller.tenant, entry_id.uuid(), 1, &message));
    Ok(())
}

/// What decided, in the words of an entry.
#[must_use]
pub fn witness(witness: &Witness) -> String {
    match witness {
        Witness::Grant(grant) => grant_name(grant),
        Witness::Own => "own profile".to_owned(),
        Witness::Guard(guard) => format!("guard:{guard}"),
        Witness::NearestMiss { axis, grant: Some(grant) } => format!("{} on {}", grant_name(grant), axis.name()),
        Witness::NearestMiss { axis, grant: None } => format!("no grant: {}", axis.name()),
        Witness::Inactive => "subject not active".to_owned(),
        Witness::UnknownSubject => "subject not known".to_owned(),
        Witness::OtherTenant => "other tenant".to_owned(),
        Witness::Behind => "row newer than revision".to_owned(),
    }
}

fn grant_name(grant: &GrantRef) -> String {
    match grant {
        GrantRef::Grant(id) => format!("grant:{id}"),
        GrantRef::Role { role, template } => format!("role:{role}#{template}"),
        GrantRef::Position { position, role, template } => format!("position:{position}/role:{role}#{template}"),
    }
}
