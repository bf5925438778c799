//! The public keys of identity: fetched when a token names one that is not known, at most once a second.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, JwkSet},
};
use revisit_core::{Clock, Failure, Steady};
use revisit_proto::identity::v1::{ListKeysRequest, leases_client::LeasesClient};
use tokio::sync::Mutex;

use crate::{client::Peers, status};

/// The least time between two fetches: a made-up key id must not make us ask identity for each call.
const FETCH_EVERY: Duration = Duration::from_secs(1);
/// Time allowed for a fetch.
const FETCH_MAX: Duration = Duration::from_secs(2);
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 64;

/// The keys that verify tokens. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    known: ArcSwap<HashMap<String, Arc<DecodingKey>>>,
    fetched: Mutex<Option<Steady>>,
    peers: Peers,
    clock: Clock,
}

impl Keys {
    pub(crate) fn new(peers: Peers, clock: Clock) -> Self {
        Self(Arc::new(Inner { known: ArcSwap::default(), fetched: Mutex::default(), peers, clock }))
    }

    /// The key of this id; none when identity does not have it either.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Arc<DecodingKey>>, Failure> {
        if let Some(key) = self.0.known.load().get(id) {
            return Ok(Some(Arc::clone(key)));
        }
        // Held while fetching, so that calls that miss the same key wait for one fetch.
        let mut fetched = self.0.fetched.lock().await;
        if let Some(key) = self.0.known.load().get(id) {
            return Ok(Some(Arc::clone(key)));
        }
        let now = self.0.clock.steady();
        if fetched.is_some_and(|at| now.since(at) < FETCH_EVERY) {
            return Ok(None);
        }
        let mut client = LeasesClient::new(self.0.peers.channel("identity").within(FETCH_MAX));
        let answer = status::answer(client.list_keys(ListKeysRequest {}).await)?;
        let set: JwkSet = serde_json::from_str(&answer.jwks_json).map_err(Failure::internal)?;
        *fetched = Some(now);
        self.0.known.store(Arc::new(ed25519(&set)));
        Ok(self.0.known.load().get(id).map(Arc::clone))
    }
}

/// The Ed25519 keys of a set; anything else could only weaken us.
fn ed25519(set: &JwkSet) -> HashMap<String, Arc<DecodingKey>> {
    let key = |jwk: &jsonwebtoken::jwk::Jwk| {
        let id = jwk.common.key_id.clone()?;
        let AlgorithmParameters::OctetKeyPair(pair) = &jwk.algorithm else { return None };
        (pair.curve == EllipticCurve::Ed25519)
            .then(|| DecodingKey::from_ed_components(&pair.x).ok())
            .flatten()
            .map(|key| (id, Arc::new(key)))
    };
    set.keys.iter().take(KEYS_MAX).filter_map(key).collect()
}
