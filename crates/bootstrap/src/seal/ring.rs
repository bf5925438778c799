//! A ring of named keys from the configuration: one is current, older ones still open what they wrapped.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use revisit_core::Failure;
use zeroize::Zeroizing;

use super::cipher::Key;
use crate::config::{Secret, check};

/// Characters of a key's name: it is stored beside everything that it wraps.
const NAME_MAX: usize = 64;

pub(super) struct Ring {
    current: String,
    keys: BTreeMap<String, Key>,
}

impl Ring {
    /// Reads a ring; `keys_field` and `current_field` name its keys in the configuration.
    pub(super) fn new(
        keys_field: &str,
        current_field: &str,
        named: &BTreeMap<String, Secret>,
        current: &str,
    ) -> Result<Self, Failure> {
        let mut keys = BTreeMap::new();
        check(|input| {
            input.require(named.contains_key(current), current_field, &format!("must name one of {keys_field}"));
            for (name, secret) in named {
                let field = format!("{keys_field}.{name}");
                input.require((1..=NAME_MAX).contains(&name.len()), &field, "must have a name of 1 to 64 characters");
                let bytes = STANDARD.decode(secret.expose()).map(Zeroizing::new).ok();
                match bytes.and_then(|bytes| Key::from_bytes(&bytes)) {
                    Some(key) => {
                        keys.insert(name.clone(), key);
                    }
                    None => input.refuse(field, "must be 32 bytes in base64"),
                }
            }
        })?;
        Ok(Self { current: current.to_owned(), keys })
    }

    /// Name of the key for what is new.
    pub(super) fn current(&self) -> &str {
        &self.current
    }

    pub(super) fn find(&self, name: &str) -> Result<&Key, Failure> {
        self.keys.get(name).ok_or_else(|| Failure::internal(format!("the key ring has no key {name}")))
    }

    /// Every key, the current one first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Key> {
        let others = self.keys.iter().filter(|(name, _)| **name != self.current);
        self.keys.get(&self.current).into_iter().chain(others.map(|(_, key)| key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_without_its_current_key_or_with_a_short_one_is_refused_by_name() {
        let ring = |name: &str, value: &str| {
            let named = BTreeMap::from([(name.to_owned(), Secret::new(value))]);
            Ring::new("seal.keys", "seal.current", &named, "k1")
        };
        let whole = STANDARD.encode([7; 32]);
        assert!(ring("k1", &whole).is_ok());
        let fields = |result: Result<Ring, Failure>| {
            result.err().map(|failure| failure.violations.into_iter().map(|bad| bad.field).collect::<Vec<_>>())
        };
        assert_eq!(fields(ring("k2", &whole)), Some(vec!["seal.current".to_owned()]));
        assert_eq!(fields(ring("k1", "c2hvcnQ=")), Some(vec!["seal.keys.k1".to_owned()]));
    }
}
