//! Appending: places are given under the shards' locks, rows go in by bounded batches.

use std::collections::BTreeMap;

use sea_orm::{ActiveValue::Set, DatabaseTransaction, DbErr, EntityTrait};

use super::{APPEND_MAX, Appended, DATA_BYTES_MAX, Outbox, entity, sql};
use crate::{
    draft::{Draft, Floor},
    shard,
};

/// Rows of one INSERT: twelve columns each, well under the 32,766 variables that SQLite binds.
const INSERT_MAX: usize = 500;

pub(super) async fn append(
    outbox: &Outbox,
    tx: &DatabaseTransaction,
    drafts: Vec<Draft>,
) -> Result<Vec<Appended>, DbErr> {
    if drafts.is_empty() {
        return Ok(Vec::new());
    }
    if drafts.len() > APPEND_MAX || drafts.iter().any(|draft| draft.data.len() > DATA_BYTES_MAX) {
        return Err(DbErr::Custom(format!("an append has at most {APPEND_MAX} events of {DATA_BYTES_MAX} bytes")));
    }
    let time = outbox.0.clock.wall();
    let drafts: Vec<(u32, Draft)> = drafts.into_iter().map(|draft| (shard(draft.tenant, draft.key), draft)).collect();
    let mut shards: Vec<u32> = drafts.iter().map(|(shard, _)| *shard).collect();
    shards.sort_unstable();
    shards.dedup();
    sql::lock(tx, &shards).await?;
    let mut newest: BTreeMap<u32, (i64, Option<i64>)> = BTreeMap::new();
    for row in sql::newest(tx, &shards).await? {
        let floor = floor(tx, &row, &drafts).await?;
        newest.insert(row.shard, (row.position, floor));
    }
    let mut appended = Vec::with_capacity(drafts.len());
    let mut rows = Vec::with_capacity(drafts.len());
    for (shard, draft) in drafts {
        let place = newest.entry(shard).or_default();
        place.0 += 1;
        let at = Appended { id: outbox.0.ids.next(time), shard, position: place.0 };
        rows.push(row(at, draft, time.micros(), place.1));
        appended.push(at);
    }
    let mut rows = rows.into_iter().peekable();
    while rows.peek().is_some() {
        let batch: Vec<_> = rows.by_ref().take(INSERT_MAX).collect();
        entity::Entity::insert_many(batch).exec_without_returning(tx).await?;
    }
    Ok(appended)
}

fn row(place: Appended, draft: Draft, time: i64, floor: Option<i64>) -> entity::ActiveModel {
    entity::ActiveModel {
        shard: Set(sql::shard_column(place.shard)),
        position: Set(place.position),
        id: Set(place.id.uuid()),
        tenant_id: Set(draft.tenant.uuid()),
        kind: Set(draft.kind),
        subject: Set(draft.subject),
        sequence: Set(draft.sequence),
        time: Set(time),
        traceparent: Set(draft.traceparent),
        data: Set(draft.data),
        floor: Set(floor),
        planted: Set(draft.planted),
    }
}

/// The floor of all rows that this append gives to a shard. Read under the shard's lock.
async fn floor(tx: &DatabaseTransaction, newest: &sql::Newest, drafts: &[(u32, Draft)]) -> Result<Option<i64>, DbErr> {
    let ours = || drafts.iter().filter(|(shard, _)| *shard == newest.shard).map(|(_, draft)| draft);
    let planted = ours().filter_map(|draft| draft.planted).min();
    let set = ours()
        .filter_map(|draft| match draft.floor {
            Floor::Set { floor, read_at } => Some((floor, read_at)),
            Floor::Inherit => None,
        })
        .reduce(|one, other| (one.0.min(other.0), one.1.min(other.1)));
    // A shard without a floor has none until a fire transaction finds one: anything may lie below.
    let inherited = newest.floor.map(|floor| planted.map_or(floor, |planted| floor.min(planted)));
    let Some((found, read_at)) = set else { return Ok(inherited) };
    let (rows, since) = sql::planted_after(tx, newest.shard, read_at).await?;
    if rows != newest.position - read_at {
        // Rows appended since were trimmed, and with them what they planted; only the newest row's floor still knows.
        return Ok(inherited.map(|inherited| inherited.min(found)));
    }
    Ok([Some(found), planted, since].into_iter().flatten().min())
}
