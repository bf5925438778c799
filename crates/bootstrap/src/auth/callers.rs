//! Service tokens: what each service of this process shows, and what is accepted from each.

use std::{collections::BTreeMap, sync::Arc};

use http::HeaderValue;
use revisit_core::{Failure, Ids, Kind};

use crate::settings::{SERVICES, Settings};

/// The service tokens of a process. Cheap to clone.
#[derive(Clone)]
pub struct Callers(Arc<Tokens>);

struct Tokens {
    shown: BTreeMap<&'static str, HeaderValue>,
    accepted: Vec<(&'static str, blake3::Hash)>,
}

impl Callers {
    /// From the configuration; a service of this process without a token draws one.
    pub(crate) fn new(settings: &Settings, here: &[&'static str], ids: &Ids) -> Result<Self, Failure> {
        let mut tokens = Tokens { shown: BTreeMap::new(), accepted: Vec::new() };
        for service in SERVICES {
            let configured = settings.callers.get(service).map(|caller| caller.token.expose()).unwrap_or_default();
            let drawn = blake3::hash(&ids.bytes::<32>()).to_hex();
            let token = match (configured.is_empty(), here.contains(&service)) {
                (false, _) => configured,
                (true, true) => drawn.as_str(),
                (true, false) => continue,
            };
            let mut shown = HeaderValue::try_from(token)
                .map_err(|_| Failure::invalid_field(format!("callers.{service}.token"), "must be printable ASCII"))?;
            shown.set_sensitive(true);
            tokens.accepted.push((service, blake3::hash(token.as_bytes())));
            if here.contains(&service) {
                tokens.shown.insert(service, shown);
            }
        }
        Ok(Self(Arc::new(tokens)))
    }

    /// What `service` of this process shows to its peers.
    #[must_use]
    pub(crate) fn token_of(&self, service: &str) -> Option<HeaderValue> {
        self.0.shown.get(service).cloned()
    }

    /// Whose token it is. All are compared, each in constant time, so that time tells nothing about any.
    pub(crate) fn accept(&self, token: &HeaderValue) -> Result<&'static str, Failure> {
        let hash = blake3::hash(token.as_bytes());
        let found = self.0.accepted.iter().fold(None, |found, (service, accepted)| {
            // blake3 compares in constant time.
            if *accepted == hash { Some(*service) } else { found }
        });
        found.ok_or_else(|| Failure::new(Kind::Unauthenticated, "CALLER_UNKNOWN", "the service token is not known"))
    }
}
