//! Sealing: AES-256-GCM under a key per owner (a customer, a job), wrapped by a key per tenant, wrapped by the key ring
//! of the configuration. A sealed value is bound to its place, so that it opens nowhere else.
//!
//! Destroying an owner's key erases everything that was sealed under it. Keys of the ring never lie in the database.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use revisit_core::{Failure, Kind, id::TenantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{database::Tx, settings::SealConfig};

mod blind;
mod cipher;
mod requests;
mod ring;
mod store;

pub use requests::RequestKeys;

use cipher::Key;
use ring::Ring;

/// Tenant keys that are kept unwrapped in memory.
const TENANTS_MAX: usize = 10_000;
/// Owners of one [`Sealer::keys`].
pub const OWNERS_MAX: usize = 1_000;

/// Names of the index ring in the configuration.
const INDEX_KEYS: &str = "seal.index_keys";
const INDEX_CURRENT: &str = "seal.index_current";

/// Where a sealed value lies. Together with the tenant it is what the value is bound to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Name of the table.
    pub table: &'static str,
    /// Id of the row.
    pub row: Uuid,
    /// Name of the column.
    pub column: &'static str,
}

/// Seals and opens. Cheap to clone.
#[derive(Clone)]
pub struct Sealer(Arc<Inner>);

struct Inner {
    ring: Ring,
    index: Ring,
    tenants: Mutex<HashMap<TenantId, Key>>,
}

/// The keys of some owners of one tenant, unwrapped.
pub struct Keys {
    tenant: TenantId,
    owners: HashMap<Uuid, OwnerKey>,
}

/// The key of one owner.
enum OwnerKey {
    Live(Key),
    Destroyed,
}

impl Sealer {
    /// With the key rings of the configuration.
    pub fn new(config: &SealConfig) -> Result<Self, Failure> {
        let ring = Ring::new("seal.keys", "seal.current", &config.keys, &config.current)?;
        let index = Ring::new(INDEX_KEYS, INDEX_CURRENT, &config.index_keys, &config.index_current)?;
        Ok(Self(Arc::new(Inner { ring, index, tenants: Mutex::default() })))
    }

    /// The keys of owners for reading; an owner without one has none in the answer.
    pub async fn keys(&self, tx: &Tx, tenant: TenantId, owners: &[Uuid]) -> Result<Keys, Failure> {
        let mut keys = Keys { tenant, owners: HashMap::new() };
        let rows = store::owner_keys(tx, tenant, owners).await?;
        if rows.is_empty() {
            return Ok(keys);
        }
        let tenant_key = self.tenant_key(tx, tenant).await?;
        for (owner, wrapped) in rows {
            let key = match wrapped {
                Some(wrapped) => OwnerKey::Live(tenant_key.open_key(&owner_context(tenant, owner), &wrapped)?),
                None => OwnerKey::Destroyed,
            };
            keys.owners.insert(owner, key);
        }
        Ok(keys)
    }

    /// The keys of owners for writing; those that are missing are made.
    pub async fn keys_to_write(&self, tx: &Tx, tenant: TenantId, owners: &[Uuid]) -> Result<Keys, Failure> {
        let mut keys = self.keys(tx, tenant, owners).await?;
        let missing: BTreeSet<Uuid> = owners.iter().filter(|owner| !keys.owners.contains_key(owner)).copied().collect();
        if missing.is_empty() {
            return Ok(keys);
        }
        let tenant_key = self.tenant_key(tx, tenant).await?;
        let drawn: Vec<(Uuid, Key)> = missing.into_iter().map(|owner| (owner, Key::draw())).collect();
        let wrap = |(owner, key): &(Uuid, Key)| Ok((*owner, tenant_key.seal_key(&owner_context(tenant, *owner), key)?));
        let wrapped: Result<Vec<_>, Failure> = drawn.iter().map(wrap).collect();
        if store::keep_owner_keys(tx, tenant, wrapped?).await? < drawn.len() as u64 {
            // Another transaction was first with one of them: what is stored counts.
            return self.keys(tx, tenant, owners).await;
        }
        keys.owners.extend(drawn.into_iter().map(|(owner, key)| (owner, OwnerKey::Live(key))));
        Ok(keys)
    }

    /// Seals one value; the owner's key is made when it is missing.
    pub async fn seal(&self, tx: &Tx, owner: (TenantId, Uuid), place: Place, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let keys = self.keys_to_write(tx, owner.0, &[owner.1]).await?;
        keys.seal(owner.1, place, plain)
    }

    /// Opens one value; none when the owner's key was destroyed.
    pub async fn open(
        &self,
        tx: &Tx,
        owner: (TenantId, Uuid),
        place: Place,
        sealed: &[u8],
    ) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        self.keys(tx, owner.0, &[owner.1]).await?.open(owner.1, place, sealed)
    }

    /// Destroys the key of an owner for good: what was sealed under it can never be opened again.
    pub async fn destroy(&self, tx: &Tx, tenant: TenantId, owner: Uuid) -> Result<(), Failure> {
        store::destroy_owner_key(tx, tenant, owner).await
    }

    /// Whether some tenant's key lies under an old key of the ring.
    pub async fn has_old_keys(&self, tx: &Tx) -> Result<bool, Failure> {
        Ok(!store::tenant_keys_not_under(tx, self.0.ring.current()).await?.is_empty())
    }

    /// Wraps tenant keys under the current key of the ring, while everything goes on; answers how many were old. To be
    /// called by a worker's transaction until it answers 0.
    pub async fn wrap_anew(&self, tx: &Tx) -> Result<usize, Failure> {
        let old = store::tenant_keys_not_under(tx, self.0.ring.current()).await?;
        for (tenant, under, wrapped) in &old {
            let key = self.0.ring.find(under)?.open_key(&tenant_context(*tenant), wrapped)?;
            let anew = self.0.ring.find(self.0.ring.current())?.seal_key(&tenant_context(*tenant), &key)?;
            store::replace_tenant_key(tx, *tenant, self.0.ring.current(), &anew).await?;
        }
        Ok(old.len())
    }

    /// The blind index of a normal form under every live key, the newest first: the first is stored, all are looked
    /// up. `kind` keeps, say, a phone's index apart from an account's.
    pub fn blind(&self, tenant: TenantId, kind: &str, normal_form: &str) -> Result<Vec<[u8; 32]>, Failure> {
        blind::all(&self.0.index, tenant, kind, normal_form.as_bytes())
    }

    async fn tenant_key(&self, tx: &Tx, tenant: TenantId) -> Result<Key, Failure> {
        if let Some(key) = self.tenants().get(&tenant) {
            return Ok(key.clone());
        }
        if tx.may_write() {
            if store::tenant_key(tx, tenant).await?.is_none() {
                let current = self.0.ring.current();
                let wrapped = self.0.ring.find(current)?.seal_key(&tenant_context(tenant), &Key::draw())?;
                store::keep_tenant_key(tx, tenant, current, &wrapped).await?;
            }
            // Never remembered from here: this transaction sees the key that it has made itself, and may be rolled
            // back. What would be sealed under a remembered key that no table holds could never be opened again.
            return self.stored_tenant_key(tx, tenant).await;
        }
        let key = self.stored_tenant_key(tx, tenant).await?;
        let mut tenants = self.tenants();
        if tenants.len() >= TENANTS_MAX {
            tenants.clear();
        }
        tenants.insert(tenant, key.clone());
        Ok(key)
    }

    async fn stored_tenant_key(&self, tx: &Tx, tenant: TenantId) -> Result<Key, Failure> {
        let stored = store::tenant_key(tx, tenant).await?;
        let (under, wrapped) = stored.ok_or_else(|| Failure::internal("the tenant's sealing key is missing"))?;
        self.0.ring.find(&under)?.open_key(&tenant_context(tenant), &wrapped)
    }

    fn tenants(&self) -> std::sync::MutexGuard<'_, HashMap<TenantId, Key>> {
        // Every change is one insertion or removal: a panic elsewhere leaves it whole.
        self.0.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Keys {
    /// Seals a value of `owner` for its place.
    pub fn seal(&self, owner: Uuid, place: Place, plain: &[u8]) -> Result<Vec<u8>, Failure> {
        match self.owners.get(&owner) {
            Some(OwnerKey::Live(key)) => key.seal(&self.context(owner, place), plain),
            Some(OwnerKey::Destroyed) => {
                Err(Failure::new(Kind::Precondition, "ERASED", "what belongs to this owner was erased"))
            }
            None => Err(Failure::internal("no sealing key was made for this owner")),
        }
    }

    /// Opens a value of `owner` from its place; none when the owner's key was destroyed. Fails when the value was
    /// changed or lies elsewhere than where it was sealed for.
    pub fn open(&self, owner: Uuid, place: Place, sealed: &[u8]) -> Result<Option<Zeroizing<Vec<u8>>>, Failure> {
        match self.owners.get(&owner) {
            Some(OwnerKey::Live(key)) => key.open(&self.context(owner, place), sealed).map(Some),
            Some(OwnerKey::Destroyed) => Ok(None),
            None => Err(Failure::internal("the sealing key of this owner is missing")),
        }
    }

    fn context(&self, owner: Uuid, place: Place) -> Vec<u8> {
        context(&[
            b"value",
            self.tenant.uuid().as_bytes(),
            owner.as_bytes(),
            place.table.as_bytes(),
            place.row.as_bytes(),
            place.column.as_bytes(),
        ])
    }
}

fn tenant_context(tenant: TenantId) -> Vec<u8> {
    context(&[b"tenant key", tenant.uuid().as_bytes()])
}

fn owner_context(tenant: TenantId, owner: Uuid) -> Vec<u8> {
    context(&[b"owner key", tenant.uuid().as_bytes(), owner.as_bytes()])
}

/// What a ciphertext is bound to: each part with its length before it, so that no two lists of parts look alike.
fn context(parts: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    bytes
}
