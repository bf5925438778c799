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
/// The age at which a set of keys is fetched again.
const SET_AGE_MAX: Duration = Duration::from_secs(60);
/// Time allowed for a fetch.
const FETCH_MAX: Duration = Duration::from_secs(2);
/// Keys of a set that are looked at.
const KEYS_MAX: usize = 64;

/// The keys that verify tokens. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Inner>);

struct Inner {
    known: ArcSwap<Known>,
    fetching: Mutex<()>,
    peers: Peers,
    clock: Clock,
}

#[derive(Default)]
struct Known {
    keys: HashMap<String, Arc<DecodingKey>>,
    fetched: Option<Steady>,
}

impl Keys {
    pub(crate) fn new(peers: Peers, clock: Clock) -> Self {
        Self(Arc::new(Inner { known: ArcSwap::default(), fetching: Mutex::default(), peers, clock }))
    }

    /// The key of this id; none when identity does not have it either.
    pub(crate) async fn find(&self, id: &str) -> Result<Option<Arc<DecodingKey>>, Failure> {
        if let Some(key) = self.known(id) {
            self.fetch_again_if_old();
            return Ok(Some(key));
        }
        // Held while fetching, so that calls that miss the same key wait for one fetch.
        let _fetching = self.0.fetching.lock().await;
        if self.known(id).is_none() && self.is_older_than(FETCH_EVERY) {
            self.fetch().await?;
        }
        Ok(self.known(id))
    }

    /// A key that was withdrawn stops to count when the set is fetched again. Beside the call, which need not wait for
    /// it; with identity away the known keys go on to count, and the lease bounds what they can do.
    fn fetch_again_if_old(&self) {
        if !self.is_older_than(SET_AGE_MAX) {
            return;
        }
        let keys = self.clone();
        tokio::spawn(async move {
            if let Ok(_fetching) = keys.0.fetching.try_lock()
                && let Err(failure) = keys.fetch().await
            {
                tracing::debug!(%failure, "identity's keys cannot be fetched again");
            }
        });
    }

    async fn fetch(&self) -> Result<(), Failure> {
        let now = self.0.clock.steady();
        let mut client = LeasesClient::new(self.0.peers.channel("identity").within(FETCH_MAX));
        let answer = status::answer(client.list_keys(ListKeysRequest {}).await)?;
        let set: JwkSet = serde_json::from_str(&answer.jwks_json).map_err(Failure::internal)?;
        self.0.known.store(Arc::new(Known { keys: ed25519(&set), fetched: Some(now) }));
        Ok(())
    }

    fn known(&self, id: &str) -> Option<Arc<DecodingKey>> {
        self.0.known.load().keys.get(id).map(Arc::clone)
    }

    fn is_older_than(&self, age: Duration) -> bool {
        self.0.known.load().fetched.is_none_or(|at| self.0.clock.steady().since(at) >= age)
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
