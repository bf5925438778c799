//! Who has which key: looked for in the whole tenant, whatever the caller may see. What is answered to the caller is
//! decided in `operations::matching`.

use std::collections::BTreeSet;

use revisit_bootstrap::database::Tx;
use revisit_core::id::{CustomerId, TenantId};
use revisit_permission::Permit;
use sea_orm::{ColumnTrait, Condition, EntityTrait, ExprTrait, QueryFilter, QuerySelect};

use super::{
    Store,
    entity::{strong_key, weak_key},
    sealed,
};
use crate::domain::{Error, matching::Key};

/// Customers with one weak key that are looked at: a name that more share is no help in finding anybody.
const WEAK_MAX: u64 = 200;

/// Every customer that has one of the keys, as (customer, key).
pub async fn holders(
    tx: &Tx,
    store: &Store,
    _permit: &impl Permit,
    tenant: TenantId,
    keys: &BTreeSet<Key>,
) -> Result<Vec<(CustomerId, Key)>, Error> {
    let mut digests = std::collections::HashMap::new();
    let (mut strong, mut weak) = (Condition::any(), Vec::new());
    for kind in keys.iter().map(|key| key.kind).collect::<BTreeSet<_>>() {
        let mut of_kind = Vec::new();
        for key in keys.iter().filter(|key| key.kind == kind) {
            for digest in sealed::digests(store, tenant, key)? {
                digests.insert((kind as i16, digest.clone()), key);
                of_kind.push(digest);
            }
        }
        if kind.is_strong() {
            let one = strong_key::Column::Kind.eq(kind as i16).and(tx.among(strong_key::Column::Digest, of_kind));
            strong = strong.add(one);
        } else {
            weak.push((kind as i16, of_kind));
        }
    }
    let mut found: Vec<(CustomerId, Key)> = Vec::new();
    if !strong.is_empty() {
        let rows = strong_key::Entity::find()
            .filter(strong_key::Column::TenantId.eq(tenant.uuid()))
            .filter(strong)
            .all(&**tx)
            .await?;
        found.extend(rows.into_iter().filter_map(|row| {
            Some((CustomerId::from_uuid(row.customer_id), (*digests.get(&(row.kind, row.digest))?).clone()))
        }));
    }
    for (kind, of_kind) in weak {
        let bound = WEAK_MAX.saturating_mul(of_kind.len() as u64);
        let rows = weak_key::Entity::find()
            .filter(weak_key::Column::TenantId.eq(tenant.uuid()))
            .filter(weak_key::Column::Kind.eq(kind))
            .filter(tx.among(weak_key::Column::Digest, of_kind))
            .limit(bound)
            .all(&**tx)
            .await?;
        found.extend(rows.into_iter().filter_map(|row| {
            Some((CustomerId::from_uuid(row.customer_id), (*digests.get(&(row.kind, row.digest))?).clone()))
        }));
    }
    Ok(found)
}
