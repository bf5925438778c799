//! Chaining: the entries of all services, each in its place, and a checkpoint each minute and at each thousandth entry.

use std::{collections::BTreeSet, time::Duration};

use prost::Message;
use revisit_bootstrap::{
    checkpoint,
    database::{Tx, fault},
};
use revisit_core::{Failure, Timestamp, id::TenantId};
use revisit_event::{Draft, Envelope, EnvelopeExt, Stream, inbox};
use revisit_proto::identity::v1 as pb;

use super::audit::IDS_MAX;
use crate::{
    App, NAME,
    domain::{
        Error,
        chain::{End, Index, Link, Origin, end_bytes, entry_bytes},
        checkpoint::{Checkpoint, ENTRIES_MAX, Reach},
    },
    store::{self, audit},
};

/// Names of fields that an entry is found by; more is cut off.
const FIELDS_MAX: usize = 200;
/// Companies that get a checkpoint in one round.
const ROUND_MAX: u64 = 200;

/// What an entry is found by. One that cannot be read is chained all the same, and found by its number alone.
pub fn index(bytes: &[u8]) -> Index {
    let Ok(entry) = pb::AuditEntry::decode(bytes) else { return Index::default() };
    Index {
        subject: entry.subject_id.parse().ok(),
        action: entry.action,
        outcome: entry.outcome,
        time: Timestamp::from_micros(entry.time_micros),
        rows: entry.resource_ids.iter().filter_map(|id| id.parse().ok()).take(IDS_MAX).collect(),
        fields: entry.fields.into_iter().take(FIELDS_MAX).collect::<BTreeSet<_>>(),
    }
}

/// Whose chain an event is appended to; none if it is no entry.
pub fn chained(event: &Envelope) -> Option<TenantId> {
    (event.r#type == revisit_event::kind_of::<pb::AuditEntry>()).then(|| event.tenant().ok()).flatten()
}

/// The lock of the chain that an event is appended to. Entries of one tenant come from many shards at once; the chain has
/// one end.
pub fn lock_for(event: &Envelope) -> Option<i64> {
    chained(event).map(lock_of)
}

/// Appends an entry of any service to its tenant's chain. The caller holds the lock; its inbox makes a repeat harmless.
pub async fn append(app: &App, tx: &Tx, event: &Envelope) -> Result<(), Failure> {
    if event.r#type != revisit_event::kind_of::<pb::AuditEntry>() {
        return Ok(());
    }
    let tenant = event.tenant()?;
    let head = audit::head(tx, tenant).await?;
    let stream = event.stream()?;
    let origin = Origin { source: event.source.clone(), incarnation: stream.incarnation, shard: stream.shard };
    let number = head.number + 1;
    let hash = head.hash_next(tenant, (&origin, event.position), &event.data);
    let signature = app.keys.sign(&entry_bytes(tenant, number, &hash));
    let signed_end = app.keys.sign(&end_bytes(tenant, number, &hash));
    let end = End { number, kid: app.keys.kid().to_owned(), signature: signed_end };
    let (position, entry, index) = (event.position, event.data.clone(), index(&event.data));
    let link = Link { number, origin, position, entry, index, hash, signature };
    super::alerts::weigh(app, tx, tenant, (&head, &link)).await?;
    audit::append(tx, tenant, link, end).await?;
    if number % ENTRIES_MAX == 0 { mark(app, tx, tenant).await } else { Ok(()) }
}

fn lock_of(tenant: TenantId) -> i64 {
    let hash = blake3::derive_key("revisit identity audit chain lock", tenant.uuid().as_bytes());
    hash.first_chunk().map_or(0, |bytes| i64::from_be_bytes(*bytes))
}

/// Makes the checkpoints that are due: of every company with new entries whose last one is a minute old.
pub async fn mark_due(app: &App) -> Result<(), Error> {
    let worker = &app.workers.consume;
    let due = app.store.read(worker, async |tx| {
        let before = store::now(tx).await? - Duration::from_secs(app.config.audit_checkpoint_seconds);
        Ok(audit::unmarked(tx, before, ROUND_MAX).await?)
    });
    for tenant in due.await? {
        app.store
            .write(worker, async |tx| {
                tx.lock(lock_of(tenant)).await.map_err(fault)?;
                Ok(mark(app, tx, tenant).await?)
            })
            .await?;
    }
    Ok(())
}

/// Makes a checkpoint of what was chained since the last one. The caller holds the chain's lock.
async fn mark(app: &App, tx: &Tx, tenant: TenantId) -> Result<(), Failure> {
    let last = checkpoint::newest(tx, tenant).await?.unwrap_or_default();
    let head = audit::head(tx, tenant).await?;
    if head.number <= last.entry_number {
        return Ok(());
    }
    let mut reaches = Vec::new();
    for (origin, entries) in audit::origins_after(tx, tenant, last.entry_number).await? {
        let Origin { source, incarnation, shard } = &origin;
        let stream = Stream { source: source.as_str().into(), incarnation: *incarnation, shard: *shard };
        // What the progress has passed was applied by others who held the lock before us: it is in the chain.
        let position = inbox::progress(&**tx, NAME, &stream).await.map_err(fault)?;
        reaches.push(Reach { origin, position, entries });
    }
    let mut made = Checkpoint {
        number: last.number + 1,
        entry_number: head.number,
        hash: head.hash,
        time: store::now(tx).await?,
        reaches,
        kid: app.keys.kid().to_owned(),
        signature: Vec::new(),
    };
    made.signature = app.keys.sign(&made.bytes(tenant));
    let told = tell(&made);
    checkpoint::keep(tx, tenant, &told).await?;
    tx.emit(Draft::new(tenant, tenant.uuid(), made.number, &told));
    Ok(())
}

fn tell(it: &Checkpoint) -> pb::AuditCheckpoint {
    let reach = |it: &Reach| pb::AuditReach {
        source: it.origin.source.clone(),
        incarnation: it.origin.incarnation.to_string(),
        shard: it.origin.shard,
        position: it.position,
        entries: it.entries,
    };
    pb::AuditCheckpoint {
        number: it.number,
        entry_number: it.entry_number,
        hash: it.hash.clone(),
        time_micros: it.time.micros(),
        reaches: it.reaches.iter().map(reach).collect(),
        key_id: it.kid.clone(),
        signature: it.signature.clone(),
    }
}

/// A checkpoint as a service tells it. What cannot be read was never signed like that.
pub fn read(it: pb::AuditCheckpoint) -> Checkpoint {
    let reach = |it: pb::AuditReach| {
        let incarnation = it.incarnation.parse().unwrap_or_default();
        let origin = Origin { source: it.source, incarnation, shard: it.shard };
        Reach { origin, position: it.position, entries: it.entries }
    };
    Checkpoint {
        number: it.number,
        entry_number: it.entry_number,
        hash: it.hash,
        time: Timestamp::from_micros(it.time_micros),
        reaches: it.reaches.into_iter().map(reach).collect(),
        kid: it.key_id,
        signature: it.signature,
    }
}
