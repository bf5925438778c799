//! Blind indexes: HMAC-SHA-256 under a key derived per tenant and kind, so that equal values are found without being
//! read. They are low-entropy by nature, which is why their keys are apart from the database and its backups.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit, Mac};
use revisit_core::{Failure, id::TenantId};
use sha2::Sha256;
use zeroize::Zeroizing;

use super::{
    cipher::{KEY, Key},
    context,
    ring::Ring,
};

pub(super) fn all(ring: &Ring, tenant: TenantId, kind: &str, value: &[u8]) -> Result<Vec<[u8; 32]>, Failure> {
    ring.newest_first()
        .map(|key| {
            let key = derived(key, tenant, &context(&[b"blind index", kind.as_bytes()]))?;
            let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.bytes()).map_err(Failure::internal)?;
            mac.update(value);
            Ok(mac.finalize().into_bytes().into())
        })
        .collect()
}

/// A tenant's own key for one purpose.
pub(super) fn derived(key: &Key, tenant: TenantId, purpose: &[u8]) -> Result<Key, Failure> {
    let failed = || Failure::internal("a derived key has another length than expected");
    let mut derived = Zeroizing::new([0; KEY]);
    Hkdf::<Sha256>::new(Some(tenant.uuid().as_bytes()), key.bytes())
        .expand(purpose, &mut derived[..])
        .map_err(|_| failed())?;
    Key::from_bytes(&derived[..]).ok_or_else(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use uuid::Uuid;

    use super::*;
    use crate::config::Secret;

    #[test]
    fn an_index_differs_by_tenant_and_kind_and_the_current_key_comes_first() {
        let key = |byte| Secret::new(STANDARD.encode([byte; 32]));
        let named = BTreeMap::from([("old".to_owned(), key(1)), ("new".to_owned(), key(2))]);
        let ring = |current| Ring::new("keys", "current", &named, current).expect("the ring is whole");
        let tenant = |number| TenantId::from_uuid(Uuid::from_u128(number));
        let index = |current, number, kind| all(&ring(current), tenant(number), kind, b"138").expect("indexed");
        let first = index("new", 1, "phone");
        assert_eq!(first, index("old", 1, "phone").into_iter().rev().collect::<Vec<_>>());
        assert_ne!(first[0], index("new", 2, "phone")[0]);
        assert_ne!(first[0], index("new", 1, "account")[0]);
    }
}
