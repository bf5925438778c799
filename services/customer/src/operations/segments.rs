//! Segments: saved filters over basic fields; workers keep who is in them.

use revisit_bootstrap::{
    Principal, Tx,
    audit::{self, Deed},
    idempotency::{Once, Repeatable},
};
use revisit_core::id::SegmentId;
use revisit_permission::{Action, Decided, Layer, Row, Scope};
use uuid::Uuid;

use super::allowed;
use crate::{
    App,
    domain::{Error, filter},
    store::{self, segment_rows::Segment},
};

/// A segment and how many are in it, for who may know that.
pub type Counted = (Segment, i64);

/// A segment says to everybody who uses it who is in it, so it may ask about basic fields only.
async fn check_filter(tx: &Tx, who: &Principal, source: &str) -> Result<(), Error> {
    let fields = store::catalogue::fields(tx, who.tenant()).await?;
    let refused = |rule: String| Error::invalid("segment.filter", rule);
    let filter = filter::parse(source, &fields).map_err(|refusal| refused(refusal.to_string()))?;
    if filter.is_basic() { Ok(()) } else { Err(refused("must ask about basic-layer fields only".to_owned())) }
}

/// Writes one segment, and these fields of it, once. A repeat finds it whether or not it was deleted since.
async fn write(
    app: &App,
    who: &Principal,
    repeat: Option<Repeatable>,
    fields: &[&str],
    work: impl AsyncFnOnce(&Tx, &Decided) -> Result<Segment, Error>,
) -> Result<Segment, Error> {
    let decided = who.decide(Action::SegmentManage, &Row::of_tenant(who.tenant()))?;
    let write = app.store.database.write(&decided, async |tx| {
        let find = async |id| {
            let id = SegmentId::from_uuid(id);
            store::segment_rows::find_any(tx, &decided, who.tenant(), id).await?.ok_or(Error::NoSuchSegment(id))
        };
        let work = async || {
            let segment = work(tx, &decided).await?;
            let deed = Deed::on("segment", [segment.id.uuid()]).fields(fields.iter().copied());
            audit::record(tx, &app.ids, deed.by(&decided)).await?;
            Ok((segment.id.uuid(), segment))
        };
        Once::new(who, repeat.as_ref()).row(tx, find, work).await
    });
    let segment = write.await?;
    app.wake.notify_one();
    Ok(segment)
}

pub async fn create(
    app: &App,
    who: &Principal,
    (name, filter): (String, String),
    repeat: Option<Repeatable>,
) -> Result<Counted, Error> {
    let now = app.clock.wall();
    let segment = Segment { id: app.ids.next(now), name, filter, updated_at: now, version: 1 };
    let segment = write(app, who, repeat, &[], async |tx, decided| {
        check_filter(tx, who, &segment.filter).await?;
        store::segment_rows::insert(tx, decided, who.tenant(), &segment).await?;
        Ok(segment)
    });
    let segment = segment.await?;
    counted(app, who, &reader(who)?, segment).await
}

fn reader(who: &Principal) -> Result<Scope, Error> {
    Ok(who.scope(Action::CustomerView).or_else(|_| who.scope(Action::SegmentManage))?)
}

pub async fn get(app: &App, who: &Principal, id: SegmentId) -> Result<Counted, Error> {
    let scope = reader(who)?;
    let read =
        app.store.database.read(&scope, async |tx| store::segment_rows::find(tx, &scope, who.tenant(), id).await);
    let segment = read.await?.ok_or(Error::NoSuchSegment(id))?;
    counted(app, who, &scope, segment).await
}

pub async fn list(app: &App, who: &Principal, after: Option<Uuid>, size: usize) -> Result<(Vec<Counted>, bool), Error> {
    let scope = reader(who)?;
    let read = app
        .store
        .database
        .read(&scope, async |tx| store::segment_rows::page(tx, &scope, who.tenant(), after, size as u64 + 1).await);
    let mut segments = read.await?;
    let more = segments.len() > size;
    segments.truncate(size);
    let mut answer = Vec::new();
    for segment in segments {
        answer.push(counted(app, who, &scope, segment).await?);
    }
    Ok((answer, more))
}

/// The count is told only to who may aggregate over the whole company, and leaves out the rows that a guard denies. By
/// then the reader must see the segment still.
async fn counted(app: &App, who: &Principal, reader: &Scope, segment: Segment) -> Result<Counted, Error> {
    let counts = allowed(who.scope(Action::CustomerAggregate))?;
    let counts = counts.filter(|scope| scope.levels(&Row::of_tenant(who.tenant())).is_some());
    // A segment asks about basic fields: where some row hides them, being counted would tell of them.
    let Some(counts) = counts.filter(|scope| scope.reads(Layer::Basic)) else { return Ok((segment, 0)) };
    let (id, permit) = (segment.id, (reader.clone(), counts));
    let read =
        app.store.database.read(&permit, async |tx| Ok::<_, Error>(store::segments::count(tx, &permit.1, id).await?));
    Ok((segment, read.await?))
}

pub async fn update(
    app: &App,
    who: &Principal,
    (id, etag): (SegmentId, i64),
    (name, filter): (String, String),
    repeat: Option<Repeatable>,
) -> Result<Counted, Error> {
    let segment = write(app, who, repeat, &["name", "filter"], async |tx, decided| {
        check_filter(tx, who, &filter).await?;
        let known = store::segment_rows::find(tx, decided, who.tenant(), id).await?.ok_or(Error::NoSuchSegment(id))?;
        if known.version != etag {
            return Err(Error::EtagStale { newest: known.version });
        }
        let segment = Segment { id, name, filter, updated_at: tx.now().await?, version: etag + 1 };
        store::segment_rows::update(tx, decided, who.tenant(), &segment, None).await?;
        Ok(segment)
    });
    let segment = segment.await?;
    counted(app, who, &reader(who)?, segment).await
}

pub async fn delete(app: &App, who: &Principal, id: SegmentId, repeat: Option<Repeatable>) -> Result<Counted, Error> {
    let segment = write(app, who, repeat, &["delete_time"], async |tx, decided| {
        let known = store::segment_rows::find(tx, decided, who.tenant(), id).await?.ok_or(Error::NoSuchSegment(id))?;
        if store::segment_rows::is_watched(tx, who.tenant(), id).await? {
            return Err(Error::SegmentWatched(id));
        }
        let now = tx.now().await?;
        let segment = Segment { updated_at: now, version: known.version + 1, ..known };
        store::segment_rows::update(tx, decided, who.tenant(), &segment, Some(now)).await?;
        Ok(segment)
    });
    Ok((segment.await?, 0))
}
