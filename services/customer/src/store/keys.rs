//! Who has which key: looked for in the whole tenant, whatever the caller may see. What is answered to the caller is
//! decided in `operations::matching`.

use std::collections::{BTreeMap, BTreeSet};

use revisit_bootstrap::database::Tx;
use revisit_core::id::{CustomerId, TenantId};
use revisit_permission::Permit;
use sea_orm::{ColumnTrait, ConnectionTrait, DbErr, EntityTrait, QueryFilter, QueryOrder, QuerySelect, QueryTrait};

use super::{
    Store,
    entity::{strong_key, weak_key},
    sealed,
};
use crate::domain::{
    Error,
    matching::{self, Key, KeyKind},
};

/// Customers with one weak key that are looked at: a name that more share is no help in finding anybody.
const WEAK_MAX: u64 = 200;
/// Customers whose weak keys are read together.
const LIKELY_READ: usize = 10_000;

/// The keys that are looked for, by what the database has of them.
type Wanted<'a> = BTreeMap<(i16, Vec<u8>), &'a Key>;

/// Of every customer that these keys make a match of, whichever records they come from, which of them it has.
///
/// One weak key makes no match, and both together begin with the company, which fewer share than a name: a person's
/// name is looked for among the customers of the company only.
pub async fn matchable(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    tenant: TenantId,
    keys: &BTreeSet<Key>,
) -> Result<Vec<(CustomerId, Key)>, Error> {
    Ok(matchable_of(tx, tenant, &wanted(store, tenant, keys)?).await?)
}

/// The same, and for each weak key some who have it, match or not.
pub async fn holders(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    tenant: TenantId,
    keys: &BTreeSet<Key>,
) -> Result<Vec<(CustomerId, Key)>, Error> {
    let wanted = wanted(store, tenant, keys)?;
    let mut found = matchable_of(tx, tenant, &wanted).await?;
    for kind in [KeyKind::Company, KeyKind::Person] {
        for row in weak_rows(tx, tenant, kind, &wanted).await? {
            found.extend(read(&wanted, row.customer_id, (row.kind, row.digest)));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

/// A key has a digest for each index key that is in use.
fn wanted<'a>(store: &Store, tenant: TenantId, keys: &'a BTreeSet<Key>) -> Result<Wanted<'a>, Error> {
    let mut wanted = Wanted::new();
    for key in keys {
        for digest in sealed::digests(store, tenant, key)? {
            wanted.insert((key.kind as i16, digest), key);
        }
    }
    Ok(wanted)
}

async fn matchable_of(tx: &Tx, tenant: TenantId, wanted: &Wanted<'_>) -> Result<Vec<(CustomerId, Key)>, DbErr> {
    let mut found = Vec::new();
    for row in strong_rows(tx, tenant, wanted).await? {
        found.extend(read(wanted, row.customer_id, (row.kind, row.digest)));
    }
    let colleagues = weak_rows(tx, tenant, KeyKind::Company, wanted).await?.into_iter().map(|row| row.customer_id);
    let likely: BTreeSet<_> = found.iter().map(|(customer, _)| customer.uuid()).chain(colleagues).collect();
    if likely.is_empty() || !wanted.values().any(|key| !key.kind.is_strong()) {
        return Ok(found);
    }
    let likely: Vec<_> = likely.into_iter().collect();
    for some in likely.chunks(LIKELY_READ) {
        let rows = weak_key::Entity::find()
            .filter(weak_key::Column::TenantId.eq(tenant.uuid()))
            .filter(tx.among(weak_key::Column::CustomerId, some.iter().copied()))
            .all(&**tx)
            .await?;
        found.extend(rows.into_iter().filter_map(|row| read(wanted, row.customer_id, (row.kind, row.digest))));
    }
    let matches = matching::matches(found.iter().map(|(customer, key)| (*customer, key.kind)));
    let matches: BTreeSet<CustomerId> = matches.into_iter().map(|(customer, _)| customer).collect();
    found.retain(|(customer, _)| matches.contains(customer));
    Ok(found)
}

fn read(wanted: &Wanted<'_>, customer: sea_orm::prelude::Uuid, key: (i16, Vec<u8>)) -> Option<(CustomerId, Key)> {
    Some((CustomerId::from_uuid(customer), Key::clone(wanted.get(&key)?)))
}

async fn strong_rows(tx: &Tx, tenant: TenantId, wanted: &Wanted<'_>) -> Result<Vec<strong_key::Model>, DbErr> {
    let mut by_kind: BTreeMap<i16, Vec<Vec<u8>>> = BTreeMap::new();
    for ((kind, digest), _) in wanted.iter().filter(|(_, key)| key.kind.is_strong()) {
        by_kind.entry(*kind).or_default().push(digest.clone());
    }
    let mut rows = Vec::new();
    for (kind, digests) in by_kind {
        let of_kind = strong_key::Entity::find()
            .filter(strong_key::Column::TenantId.eq(tenant.uuid()))
            .filter(strong_key::Column::Kind.eq(kind));
        let look_up = tx.look_up(of_kind.into_query(), strong_key::Column::Digest, digests);
        rows.extend(
            strong_key::Entity::find().from_raw_sql(tx.get_database_backend().build(&look_up)).all(&**tx).await?,
        );
    }
    Ok(rows)
}

/// Who has the weak keys of one kind, at most [`WEAK_MAX`] of each.
async fn weak_rows(
    tx: &Tx,
    tenant: TenantId,
    kind: KeyKind,
    wanted: &Wanted<'_>,
) -> Result<Vec<weak_key::Model>, DbErr> {
    let digests: Vec<Vec<u8>> =
        wanted.keys().filter(|(of, _)| *of == kind as i16).map(|(_, digest)| digest.clone()).collect();
    if digests.is_empty() {
        return Ok(Vec::new());
    }
    let of_kind = weak_key::Entity::find()
        .filter(weak_key::Column::TenantId.eq(tenant.uuid()))
        .filter(weak_key::Column::Kind.eq(kind as i16))
        .order_by_asc(weak_key::Column::CustomerId);
    if tx.is_postgres() {
        let look_up = tx.look_up_each(of_kind.into_query(), weak_key::Column::Digest, (digests, WEAK_MAX));
        return weak_key::Entity::find().from_raw_sql(tx.get_database_backend().build(&look_up)).all(&**tx).await;
    }
    let mut rows = Vec::new();
    for digest in digests {
        let of_key = of_kind.clone().filter(weak_key::Column::Digest.eq(digest)).limit(WEAK_MAX);
        rows.extend(of_key.all(&**tx).await?);
    }
    Ok(rows)
}
