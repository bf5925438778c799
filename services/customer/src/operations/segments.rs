//! Segments: saved filters over basic fields; workers keep who is in them.

use revisit_bootstrap::{Principal, idempotency::Repeatable};
use revisit_core::id::SegmentId;
use revisit_permission::{Action, Layer, Row, Scope};
use uuid::Uuid;

use super::{allowed, customers::keep_answer};
use crate::{
    App,
    domain::{Error, filter},
    store::{self, segment_rows::Segment},
};

/// A segment and how many are in it, for who may know that.
pub type Counted = (Segment, i64);

/// A segment says to everybody who uses it who is in it, so it may ask about basic fields only.
async fn check_filter(app: &App, scope: &Scope, source: &str) -> Result<(), Error> {
    let read = app.store.database.read(scope, async |tx| {
        let fields = store::catalogue::fields(tx, scope.tenant()).await?;
        let refused = |rule: String| Error::invalid("segment.filter", rule);
        let filter = filter::parse(source, &fields).map_err(|refusal| refused(refusal.to_string()))?;
        if filter.is_basic() { Ok(()) } else { Err(refused("must ask about basic-layer fields only".to_owned())) }
    });
    read.await
}

pub async fn create(
    app: &App,
    who: &Principal,
    (name, filter): (String, String),
    repeat: Option<Repeatable>,
) -> Result<Counted, Error> {
    let scope = who.scope(Action::SegmentManage)?;
    let decided = who.decide(Action::SegmentManage, &Row::of_tenant(who.tenant()))?;
    check_filter(app, &scope, &filter).await?;
    let now = app.clock.wall();
    let segment = Segment { id: app.ids.next(now), name, filter, updated_at: now, version: 1 };
    let write = app.store.database.write(&decided, async |tx| {
        if let Some(repeat) = &repeat
            && let Some(first) = repeat.first_answer(tx, who.tenant(), who.subject()).await?
        {
            let id = SegmentId::from_uuid(Uuid::from_slice(&first).unwrap_or_default());
            let first = store::segment_rows::find(tx, &decided, who.tenant(), id).await?;
            return first.ok_or(Error::NoSuchSegment(id));
        }
        store::segment_rows::insert(tx, &decided, who.tenant(), &segment).await?;
        keep_answer(tx, who, repeat.as_ref(), segment.id).await?;
        Ok(segment)
    });
    let segment = write.await?;
    app.wake.notify_one();
    counted(app, who, segment).await
}

fn reader(who: &Principal) -> Result<Scope, Error> {
    Ok(who.scope(Action::CustomerView).or_else(|_| who.scope(Action::SegmentManage))?)
}

pub async fn get(app: &App, who: &Principal, id: SegmentId) -> Result<Counted, Error> {
    let scope = reader(who)?;
    let read =
        app.store.database.read(&scope, async |tx| store::segment_rows::find(tx, &scope, who.tenant(), id).await);
    counted(app, who, read.await?.ok_or(Error::NoSuchSegment(id))?).await
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
        answer.push(counted(app, who, segment).await?);
    }
    Ok((answer, more))
}

/// The count is told only to who may aggregate over the whole company, and leaves out the rows that a guard denies.
async fn counted(app: &App, who: &Principal, segment: Segment) -> Result<Counted, Error> {
    if allowed(who.decide(Action::CustomerAggregate, &Row::of_tenant(who.tenant())))?.is_none() {
        return Ok((segment, 0));
    }
    let scope = who.scope(Action::CustomerAggregate)?;
    // A segment asks about basic fields: where some row hides them, being counted would tell of them.
    if !scope.reads(Layer::Basic) {
        return Ok((segment, 0));
    }
    let id = segment.id;
    let read =
        app.store.database.read(&scope, async |tx| Ok::<_, Error>(store::segments::count(tx, &scope, id).await?));
    Ok((segment, read.await?))
}

pub async fn update(
    app: &App,
    who: &Principal,
    id: SegmentId,
    (name, filter): (String, String),
    etag: i64,
) -> Result<Counted, Error> {
    let scope = who.scope(Action::SegmentManage)?;
    let decided = who.decide(Action::SegmentManage, &Row::of_tenant(who.tenant()))?;
    check_filter(app, &scope, &filter).await?;
    let write = app.store.database.write(&decided, async |tx| {
        let known = store::segment_rows::find(tx, &decided, who.tenant(), id).await?.ok_or(Error::NoSuchSegment(id))?;
        if known.version != etag {
            return Err(Error::EtagStale { newest: known.version });
        }
        let segment = Segment { id, name, filter, updated_at: tx.now().await?, version: etag + 1 };
        store::segment_rows::update(tx, &decided, who.tenant(), &segment, None).await?;
        Ok(segment)
    });
    let segment = write.await?;
    app.wake.notify_one();
    counted(app, who, segment).await
}

pub async fn delete(app: &App, who: &Principal, id: SegmentId) -> Result<Counted, Error> {
    let decided = who.decide(Action::SegmentManage, &Row::of_tenant(who.tenant()))?;
    let write = app.store.database.write(&decided, async |tx| {
        let known = store::segment_rows::find(tx, &decided, who.tenant(), id).await?.ok_or(Error::NoSuchSegment(id))?;
        if store::segment_rows::is_watched(tx, who.tenant(), id).await? {
            return Err(Error::SegmentWatched(id));
        }
        let now = tx.now().await?;
        let segment = Segment { updated_at: now, version: known.version + 1, ..known };
        store::segment_rows::update(tx, &decided, who.tenant(), &segment, Some(now)).await?;
        Ok(segment)
    });
    let segment = write.await?;
    app.wake.notify_one();
    Ok((segment, 0))
}
