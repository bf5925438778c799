//! What lies sealed: contact points, values of sensitive fields, texts of the timeline and of orders, uploads.
//!
//! Each customer's are under the customer's own key, a job's under the job's. This is the only file that knows how a
//! sealed value is placed, and so the only one that could put it where it does not open.

use std::collections::{BTreeSet, HashMap};

use revisit_bootstrap::{database::Tx, seal::Place};
use revisit_core::id::{ContactPointId, CustomerId, FieldId, TenantId, TimelineEntryId};
use revisit_permission::{Purpose, Veiled};
use sea_orm::{ColumnTrait, EntityTrait, QueryFilter, QueryOrder};
use uuid::Uuid;

use super::{
    Store, catalogue,
    entity::{contact_point, field_value, timeline_entry},
    rows,
};
use crate::domain::{
    Error,
    contact::{ContactPoint, ContactType, ContactValue},
    customer::Customer,
    field::Value,
    matching::Key,
    timeline::Entry,
};

/// Between what was typed and its normal form.
const SEPARATOR: char = '\u{1f}';

const fn contact(row: Uuid) -> Place {
    Place { table: "contact_point", row, column: "sealed" }
}

const fn value(field: Uuid) -> Place {
    Place { table: "field_value", row: field, column: "sealed" }
}

const fn entry(row: Uuid) -> Place {
    Place { table: "timeline_entry", row, column: "sealed" }
}

const fn order(row: Uuid) -> Place {
    Place { table: "customer_order", row, column: "sealed" }
}

fn text(plain: &[u8]) -> String {
    String::from_utf8_lossy(plain).into_owned()
}

/// Adds what lies sealed to customers of one tenant. What was erased stays away.
pub(super) async fn open(tx: &Tx, store: &Store, customers: &mut [&mut Customer]) -> Result<(), Error> {
    let Some(tenant) = customers.first().map(|customer| customer.tenant) else { return Ok(()) };
    let ids: Vec<Uuid> = customers.iter().map(|customer| customer.id.uuid()).collect();
    let place: HashMap<Uuid, usize> = ids.iter().enumerate().map(|(place, id)| (*id, place)).collect();
    let points = contact_point::Entity::find()
        .filter(contact_point::Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(contact_point::Column::CustomerId, ids.iter().copied()))
        .order_by_asc(contact_point::Column::Ordinal)
        .all(&**tx)
        .await?;
    let values = field_value::Entity::find()
        .filter(field_value::Column::TenantId.eq(tenant.uuid()))
        .filter(tx.among(field_value::Column::CustomerId, ids.iter().copied()))
        .filter(field_value::Column::Sealed.is_not_null())
        .all(&**tx)
        .await?;
    if points.is_empty() && values.is_empty() {
        return Ok(());
    }
    let keys = store.sealer.keys(tx, tenant, &ids).await?;
    for row in points {
        let Some(plain) = keys.open(row.customer_id, contact(row.contact_point_id), &row.sealed)? else { continue };
        let plain = text(&plain);
        let (input, normal_form) = plain.split_once(SEPARATOR).unwrap_or((&plain, &plain));
        let kind = ContactType::from_stored(row.kind).unwrap_or(ContactType::Company);
        customers[place[&row.customer_id]].contact_points.push(ContactPoint {
            id: ContactPointId::from_uuid(row.contact_point_id),
            kind,
            value: ContactValue::veiled(kind, input.to_owned(), normal_form.to_owned()),
            verified: row.verified,
            primary: row.is_primary,
        });
    }
    let fields = if values.is_empty() { Vec::new() } else { catalogue::fields(tx, tenant).await? };
    for row in values {
        let sealed = row.sealed.as_deref().unwrap_or_default();
        let Some(plain) = keys.open(row.customer_id, value(row.field_id), sealed)? else { continue };
        let field = fields.iter().find(|field| field.id.uuid() == row.field_id);
        if let Some((field, value)) = field.and_then(|field| Some((field, rows::from_sealed(field, &text(&plain))?))) {
            customers[place[&row.customer_id]].fields.push((field.id, Veiled::new(field.layer, value)));
        }
    }
    Ok(())
}

pub(super) async fn contact_rows(
    tx: &Tx,
    store: &Store,
    customers: &[&Customer],
) -> Result<Vec<contact_point::Model>, Error> {
    let with_points = customers.iter().filter(|customer| !customer.contact_points.is_empty());
    let (tenant, owners) = owners(with_points.map(|customer| (customer.tenant, customer.id)));
    let keys = store.sealer.keys_to_write(tx, tenant, &owners).await?;
    let mut sealed = Vec::new();
    for customer in customers {
        for (ordinal, point) in customer.contact_points.iter().enumerate() {
            let value = point.value.lift(Purpose::Store);
            let plain = format!("{}{SEPARATOR}{}", value.input, value.normal_form);
            sealed.push(contact_point::Model {
                tenant_id: customer.tenant.uuid(),
                customer_id: customer.id.uuid(),
                contact_point_id: point.id.uuid(),
                kind: point.kind as i16,
                ordinal: i16::try_from(ordinal).unwrap_or(i16::MAX),
                sealed: keys.seal(customer.id.uuid(), contact(point.id.uuid()), plain.as_bytes())?,
                verified: point.verified,
                is_primary: point.primary,
            });
        }
    }
    Ok(sealed)
}

/// Rows of values; those of sealed fields hold nothing but the sealed value.
pub(super) async fn value_rows(
    tx: &Tx,
    store: &Store,
    values: &[(&Customer, &(FieldId, Veiled<Value>))],
) -> Result<Vec<field_value::Model>, Error> {
    let Some(tenant) = values.first().map(|(customer, _)| customer.tenant) else { return Ok(Vec::new()) };
    let fields = catalogue::fields(tx, tenant).await?;
    let is_sealed = |id: FieldId| fields.iter().any(|field| field.id == id && field.is_sealed());
    let to_seal = values.iter().filter(|(_, (field, _))| is_sealed(*field));
    let (_, owners) = owners(to_seal.map(|(customer, _)| (customer.tenant, customer.id)));
    let keys = store.sealer.keys_to_write(tx, tenant, &owners).await?;
    let mut added = Vec::new();
    for (customer, (field, plain)) in values {
        let plain = plain.lift(Purpose::Store);
        if !is_sealed(*field) {
            added.extend(rows::value_rows(customer, *field, Some(plain)));
            continue;
        }
        let sealed = keys.seal(customer.id.uuid(), value(field.uuid()), rows::sealed_text(plain).as_bytes())?;
        for row in rows::value_rows(customer, *field, None) {
            added.push(field_value::Model { sealed: Some(sealed.clone()), ..row });
        }
    }
    Ok(added)
}

pub(super) async fn entry_texts(
    tx: &Tx,
    store: &Store,
    texts: &[(&Entry, &str)],
) -> Result<HashMap<TimelineEntryId, Vec<u8>>, Error> {
    let mut sealed = HashMap::new();
    for group in texts.chunk_by(|(one, _), (other, _)| one.tenant == other.tenant) {
        let (tenant, owners) = owners(group.iter().map(|(entry, _)| (entry.tenant, entry.customer)));
        let keys = store.sealer.keys_to_write(tx, tenant, &owners).await?;
        for (of, text) in group {
            sealed.insert(of.id, keys.seal(of.customer.uuid(), entry(of.id.uuid()), text.as_bytes())?);
        }
    }
    Ok(sealed)
}

pub(super) async fn open_entries(
    tx: &Tx,
    store: &Store,
    tenant: TenantId,
    rows: &[timeline_entry::Model],
) -> Result<HashMap<Uuid, String>, Error> {
    let sealed: Vec<_> = rows.iter().filter_map(|row| Some((row, row.sealed.as_deref()?))).collect();
    let (_, owners) = owners(sealed.iter().map(|(row, _)| (tenant, CustomerId::from_uuid(row.customer_id))));
    let keys = store.sealer.keys(tx, tenant, &owners).await?;
    let mut texts = HashMap::new();
    for (row, sealed) in sealed {
        if let Some(plain) = keys.open(row.customer_id, entry(row.entry_id), sealed)? {
            texts.insert(row.entry_id, text(&plain));
        }
    }
    Ok(texts)
}

/// Seals what an order's description says.
pub(super) async fn seal_order(
    tx: &Tx,
    store: &Store,
    owner: (TenantId, CustomerId),
    id: Uuid,
    plain: &str,
) -> Result<Vec<u8>, Error> {
    Ok(store.sealer.seal(tx, (owner.0, owner.1.uuid()), order(id), plain.as_bytes()).await?)
}

pub(super) async fn open_order(
    tx: &Tx,
    store: &Store,
    owner: (TenantId, Uuid),
    id: Uuid,
    sealed: &[u8],
) -> Result<Option<String>, Error> {
    Ok(store.sealer.open(tx, owner, order(id), sealed).await?.map(|plain| text(&plain)))
}

/// The blind index under which a key is stored.
pub(super) fn newest_digest(store: &Store, tenant: TenantId, key: &Key) -> Result<Vec<u8>, Error> {
    let digests = store.sealer.blind(tenant, key.kind.name(), &key.normal_form)?;
    Ok(digests.first().map(|digest| digest.to_vec()).unwrap_or_default())
}

/// The blind indexes under which a key may lie: one for each live index key.
pub(super) fn digests(store: &Store, tenant: TenantId, key: &Key) -> Result<Vec<Vec<u8>>, Error> {
    Ok(store.sealer.blind(tenant, key.kind.name(), &key.normal_form)?.iter().map(|digest| digest.to_vec()).collect())
}

/// Owners without repeats, and their tenant. Callers deal with one tenant at a time.
fn owners(of: impl Iterator<Item = (TenantId, CustomerId)>) -> (TenantId, Vec<Uuid>) {
    let mut tenant = TenantId::from_uuid(Uuid::nil());
    let mut ids = BTreeSet::new();
    for (its, customer) in of {
        tenant = its;
        ids.insert(customer.uuid());
    }
    (tenant, ids.into_iter().collect())
}
