//! What is kept of requests that may be repeated: a keyed digest of the body, and the first answer, sealed.
//!
//! A bare hash would let whoever has the tables try out numbers and names, and an answer may hold a secret that is told
//! once. The keys are derived from the index ring, per tenant and apart from those of blind indexes.

use std::sync::Arc;

use revisit_core::{Failure, id::TenantId};
use zeroize::Zeroizing;

use super::{INDEX_CURRENT, INDEX_KEYS, blind, cipher::Key, context, ring::Ring};
use crate::settings::SealConfig;

/// What tells the digests of bodies from blind indexes.
const BODY: &str = "request body";
/// What tells the keys of answers from those of indexes.
const ANSWER: &[u8] = b"request answer";

/// The keys for what is kept of requests. Cheap to clone.
#[derive(Clone)]
pub struct RequestKeys(Arc<Ring>);

impl RequestKeys {
    /// From the index keys of the configuration.
    pub fn new(config: &SealConfig) -> Result<Self, Failure> {
        let ring = Ring::new(INDEX_KEYS, INDEX_CURRENT, &config.index_keys, &config.index_current)?;
        Ok(Self(Arc::new(ring)))
    }

    /// The digests of a body under every live key, the newest first: the first is stored, all are compared.
    pub(crate) fn digests(&self, tenant: TenantId, body: &[u8]) -> Result<Vec<[u8; 32]>, Failure> {
        blind::all(&self.0, tenant, BODY, body)
    }

    /// Seals an answer; `of` is the request that it opens for again.
    pub(crate) fn seal(&self, tenant: TenantId, of: &[u8], answer: &[u8]) -> Result<Vec<u8>, Failure> {
        let key = self.0.newest_first().next().ok_or_else(|| Failure::internal("the ring has no current key"))?;
        answer_key(key, tenant)?.seal(&context(&[of]), answer)
    }

    /// Opens what some live key has sealed for the same request.
    pub(crate) fn open(&self, tenant: TenantId, of: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let of = context(&[of]);
        for key in self.0.newest_first() {
            if let Ok(answer) = answer_key(key, tenant)?.open(&of, sealed) {
                return Ok(answer);
            }
        }
        Err(Failure::internal("a kept answer opens under no key of the ring"))
    }
}

fn answer_key(key: &Key, tenant: TenantId) -> Result<Key, Failure> {
    blind::derived(key, tenant, &context(&[ANSWER]))
}
