//! Timeline entries: written with what they tell of, read newest first, text sealed.

use revisit_bootstrap::database::Tx;
use revisit_core::{
    Timestamp,
    id::{CustomerId, SubjectId, TenantId, TimelineEntryId},
};
use revisit_permission::{Decided, Layer, Purpose, Veiled};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder, QuerySelect};
use uuid::Uuid;

use super::{Store, entity::timeline_entry, save::insert_all_on, sealed};
use crate::domain::{
    Error,
    timeline::{Direction, Entry, EntryKind, Words},
};

/// Place in a timeline: where the next page begins.
pub type Place = (i64, Uuid);

pub fn place_bytes((at, id): Place) -> Vec<u8> {
    let mut bytes = at.to_be_bytes().to_vec();
    bytes.extend_from_slice(id.as_bytes());
    bytes
}

pub fn read_place(bytes: &[u8]) -> Option<Place> {
    let (at, id) = bytes.split_at_checked(8)?;
    Some((i64::from_be_bytes(at.try_into().ok()?), Uuid::from_slice(id).ok()?))
}

/// Inserts entries; one that is there already (an event that came twice, say) is left as it is.
pub(super) async fn insert(tx: &Tx, store: &Store, entries: &[&Entry]) -> Result<(), Error> {
    if entries.is_empty() {
        return Ok(());
    }
    let texts: Vec<_> =
        entries.iter().filter_map(|entry| Some((*entry, entry.words.lift(Purpose::Store).text.as_deref()?))).collect();
    let sealed = sealed::entry_texts(tx, store, &texts).await?;
    let rows = entries.iter().map(|entry| timeline_entry::Model {
        tenant_id: entry.tenant.uuid(),
        customer_id: entry.customer.uuid(),
        happened_at: entry.happened_at.micros(),
        entry_id: entry.id.uuid(),
        kind: entry.kind as i16,
        layer: entry.words.layer().name().to_owned(),
        actor_id: entry.actor.map(SubjectId::uuid),
        channel: entry.channel.clone(),
        direction: entry.direction.map(|direction| direction as i16),
        sealed: sealed.get(&entry.id).cloned(),
        from_value: entry.words.lift(Purpose::Store).from.clone(),
        to_value: entry.words.lift(Purpose::Store).to.clone(),
        reference_id: entry.reference,
    });
    let once = sea_orm::sea_query::OnConflict::new().do_nothing().to_owned();
    insert_all_on::<timeline_entry::Entity, _>(tx, rows.collect(), Some(once)).await?;
    Ok(())
}

/// Adds an entry of its own, beside any change of the record.
pub async fn add(tx: &Tx, store: &Store, _permit: &Decided, entry: &Entry) -> Result<(), Error> {
    insert(tx, store, &[entry]).await
}

/// Adds an entry that another service's event tells of.
pub async fn add_heard(
    tx: &Tx,
    store: &Store,
    _worker: &revisit_permission::Worker,
    entry: &Entry,
) -> Result<(), Error> {
    insert(tx, store, &[entry]).await
}

/// A page of a customer's entries of the given layers, newest first, texts opened; `decided` is about the customer.
pub async fn page(
    tx: &Tx,
    store: &Store,
    decided: &Decided,
    customer: CustomerId,
    (layers, after, size): (&[Layer], Option<Place>, u64),
) -> Result<Vec<Entry>, Error> {
    use sea_orm::sea_query::{Condition, Expr, ExprTrait};
    if !decided.covers(customer.uuid()) {
        return Err(Error::NoSuchCustomer(customer));
    }
    let mut select = timeline_entry::Entity::find()
        .filter(timeline_entry::Column::TenantId.eq(decided.tenant().uuid()))
        .filter(timeline_entry::Column::CustomerId.eq(customer.uuid()))
        .filter(timeline_entry::Column::Layer.is_in(layers.iter().map(|layer| layer.name())));
    if let Some((at, id)) = after {
        let column = |column: timeline_entry::Column| Expr::col(column);
        let earlier = column(timeline_entry::Column::HappenedAt).lt(at);
        let same =
            column(timeline_entry::Column::HappenedAt).eq(at).and(column(timeline_entry::Column::EntryId).lt(id));
        select = select.filter(Condition::any().add(earlier).add(same));
    }
    let rows = select
        .order_by_desc(timeline_entry::Column::HappenedAt)
        .order_by_desc(timeline_entry::Column::EntryId)
        .limit(size)
        .all(&**tx)
        .await?;
    let texts = sealed::open_entries(tx, store, decided.tenant(), &rows).await?;
    Ok(rows.into_iter().filter_map(|row| entry(row, &texts)).collect())
}

/// One entry of a customer, its text opened; `decided` is about the customer.
pub async fn find(
    tx: &Tx,
    store: &Store,
    decided: &Decided,
    customer: CustomerId,
    id: TimelineEntryId,
) -> Result<Option<Entry>, Error> {
    if !decided.covers(customer.uuid()) {
        return Err(Error::NoSuchCustomer(customer));
    }
    let rows = timeline_entry::Entity::find()
        .filter(timeline_entry::Column::TenantId.eq(decided.tenant().uuid()))
        .filter(timeline_entry::Column::CustomerId.eq(customer.uuid()))
        .filter(timeline_entry::Column::EntryId.eq(id.uuid()))
        .all(&**tx)
        .await?;
    let texts = sealed::open_entries(tx, store, decided.tenant(), &rows).await?;
    Ok(rows.into_iter().find_map(|row| entry(row, &texts)))
}

/// An entry of a kind that this version does not know is left out.
fn entry(row: timeline_entry::Model, texts: &std::collections::HashMap<Uuid, String>) -> Option<Entry> {
    let words = Words { text: texts.get(&row.entry_id).cloned(), from: row.from_value, to: row.to_value };
    Some(Entry {
        tenant: TenantId::from_uuid(row.tenant_id),
        id: TimelineEntryId::from_uuid(row.entry_id),
        customer: CustomerId::from_uuid(row.customer_id),
        kind: EntryKind::from_stored(row.kind)?,
        words: Veiled::new(Layer::parse(&row.layer)?, words),
        happened_at: Timestamp::from_micros(row.happened_at),
        actor: row.actor_id.map(SubjectId::from_uuid),
        channel: row.channel,
        direction: row.direction.and_then(Direction::from_stored),
        reference: row.reference_id,
    })
}
