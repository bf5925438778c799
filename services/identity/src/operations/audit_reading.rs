//! Taking the log out, and asking who has read a row. Both are acts that stand in the log themselves.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use futures::{Stream, stream};
use prost::Message;
use revisit_bootstrap::{auth::Principal, database::Tx};
use revisit_core::{Failure, Timestamp};
use revisit_permission::{Action, Decided, Row};
use revisit_proto::identity::v1::{self as pb, AuditOutcome};
use uuid::Uuid;

use super::audit::{self, Act, Actor};
use crate::{
    App,
    domain::Error,
    store::audit_search::{self, Found, Place, Wanted},
};

/// Entries of one piece of an export: the right is decided anew for each.
const CHUNK: u64 = 500;
/// Entries that an export holds at the most: who wants more narrows the filter.
pub const EXPORT_MAX: u64 = 1_000_000;
/// Entries about one row that are looked at, newest first, and those of one read.
const READ_MAX: usize = 20_000;
const READ_CHUNK: u64 = 1_000;
/// Readers that are told.
const READERS_MAX: usize = 10_000;

/// A piece of an export.
pub struct Piece {
    pub first: bool,
    /// By what it was decided.
    pub permit: Decided,
    pub entries: Vec<Found>,
}

fn permit(who: &Principal) -> Result<Decided, Failure> {
    who.decide(Action::AuditView, &Row::of_tenant(who.tenant()))
}

/// Answers the entries piece by piece, newest first; before a piece leaves, the log says how many are in it.
pub async fn export(
    app: Arc<App>,
    who: Principal,
    wanted: Wanted,
    reason: String,
) -> Result<impl Stream<Item = Result<Piece, Error>> + Send + 'static, Error> {
    permit(&who)?;
    let state = Some((app, who, None::<Place>, 0_u64));
    Ok(stream::try_unfold(state, move |state| {
        let (wanted, reason) = (wanted.clone(), reason.clone());
        async move {
            let Some((app, who, after, sent)) = state else { return Ok(None) };
            let permit = self::permit(&who)?;
            let wanted = Wanted { after, limit: CHUNK + 1, ..wanted };
            let search = async |tx: &Tx| Ok(audit_search::page(tx, who.tenant(), &wanted).await?);
            let mut entries: Vec<Found> = app.store.read(&permit, search).await?;
            let more = entries.len() as u64 > CHUNK;
            entries.truncate(usize::try_from(CHUNK).unwrap_or(usize::MAX));
            let sent = sent + entries.len() as u64;
            if more && sent >= EXPORT_MAX {
                return Err(Error::ExportCap);
            }
            let count = i64::try_from(entries.len()).unwrap_or(i64::MAX);
            note(&app, &who, &permit, ("audit.export", Uuid::nil(), &reason), count).await?;
            let next = entries.last().filter(|_| more).map(|last| last.place);
            let piece = Piece { first: after.is_none(), permit, entries };
            Ok(Some((piece, next.map(|next| (app, who, Some(next), sent)))))
        }
    }))
}

/// Writes that the log was read in such a way, before anything is answered.
async fn note(
    app: &App,
    who: &Principal,
    permit: &Decided,
    (action, about, why): (&'static str, Uuid, &str),
    count: i64,
) -> Result<(), Error> {
    let act = Act { count, ..Act::done(Actor::of(who), action, "audit", about).because(why) };
    app.store.write(permit, async |tx| audit::act(app, tx, who.tenant(), act).await).await
}

/// Somebody who has read a row.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reader {
    pub subject: Uuid,
    pub first: Timestamp,
    pub last: Timestamp,
    pub count: i64,
    pub fields: BTreeSet<String>,
    pub actions: BTreeSet<String>,
}

/// Who has read a row in a time, and whether there was more about it than was looked at.
pub async fn readers(
    app: &App,
    who: &Principal,
    (row, from, until): (Uuid, Option<Timestamp>, Option<Timestamp>),
) -> Result<(Vec<Reader>, bool), Error> {
    // Who may explain what somebody may see, may know who has.
    let permit = permit(who)
        .or_else(|denied| who.decide(Action::AccessExplain, &Row::of_tenant(who.tenant())).map_err(|_| denied))?;
    note(app, who, &permit, ("audit.list_readers", row, ""), 1).await?;
    let mut readers: BTreeMap<Uuid, Reader> = BTreeMap::new();
    let mut wanted = Wanted {
        resource: Some(row),
        outcome: Some(AuditOutcome::Done.into()),
        from,
        until,
        limit: READ_CHUNK,
        ..Wanted::default()
    };
    let mut looked_at = 0;
    loop {
        let search = async |tx: &Tx| Ok(audit_search::page(tx, who.tenant(), &wanted).await?);
        let found: Vec<Found> = app.store.read(&permit, search).await?;
        looked_at += found.len();
        for entry in &found {
            note_reader(&mut readers, entry)?;
        }
        wanted.after = found.last().map(|last| last.place);
        let full = found.len() as u64 == READ_CHUNK;
        if !full || looked_at >= READ_MAX || readers.len() > READERS_MAX {
            let truncated = full || readers.len() > READERS_MAX;
            return Ok((readers.into_values().take(READERS_MAX).collect(), truncated));
        }
    }
}

/// A clear read, or an export with clear values, names the fields; everything else is no reading.
fn note_reader(readers: &mut BTreeMap<Uuid, Reader>, found: &Found) -> Result<(), Failure> {
    let entry = pb::AuditEntry::decode(found.entry.as_slice()).map_err(Failure::internal)?;
    let reads = entry.action.ends_with(".view") || entry.action.ends_with(".export");
    let Some(subject) = entry.subject_id.parse().ok().filter(|_| reads && !entry.fields.is_empty()) else {
        return Ok(());
    };
    let at = found.place.time;
    let reader = readers.entry(subject).or_insert_with(|| Reader {
        subject,
        first: at,
        last: at,
        count: 0,
        fields: BTreeSet::new(),
        actions: BTreeSet::new(),
    });
    (reader.first, reader.last) = (reader.first.min(at), reader.last.max(at));
    reader.count += 1;
    reader.fields.extend(entry.fields);
    reader.actions.insert(entry.action);
    Ok(())
}
