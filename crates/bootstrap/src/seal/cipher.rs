//! One key and what it does: AES-256-GCM with a random nonce before the ciphertext.

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Generate, Nonce, Payload},
};
use revisit_core::Failure;
use zeroize::Zeroizing;

/// The first byte of everything sealed: which form it has.
const VERSION: u8 = 1;
/// Bytes of a nonce.
const NONCE: usize = 12;
/// Bytes of a key.
pub(super) const KEY: usize = 32;

/// A key that is wiped from memory when it is dropped.
#[derive(Clone)]
pub(super) struct Key(Zeroizing<[u8; KEY]>);

impl Key {
    /// A new key from the operating system's randomness: never from a seeded source.
    pub(super) fn draw() -> Self {
        Self(Zeroizing::new(revisit_core::Ids::random().bytes()))
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        Some(Self(Zeroizing::new(bytes.try_into().ok()?)))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0[..]
    }

    /// Seals a value that can be opened only in the same context.
    pub(super) fn seal(&self, context: &[u8], plain: &[u8]) -> Result<Vec<u8>, Failure> {
        let nonce = Nonce::<Aes256Gcm>::generate();
        let payload = Payload { msg: plain, aad: context };
        let sealed =
            self.cipher()?.encrypt(&nonce, payload).map_err(|_| Failure::internal("a value is too long to seal"))?;
        Ok([&[VERSION], nonce.as_slice(), &sealed].concat())
    }

    /// Opens a value; fails when it was changed or belongs to another context.
    pub(super) fn open(&self, context: &[u8], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Failure> {
        let broken = || Failure::internal("a sealed value cannot be opened");
        let (version, rest) = sealed.split_first().ok_or_else(broken)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE).ok_or_else(broken)?;
        if *version != VERSION {
            return Err(broken());
        }
        let nonce = Nonce::<Aes256Gcm>::try_from(nonce).map_err(|_| broken())?;
        let payload = Payload { msg: sealed, aad: context };
        self.cipher()?.decrypt(&nonce, payload).map(Zeroizing::new).map_err(|_| broken())
    }

    /// Seals another key.
    pub(super) fn seal_key(&self, context: &[u8], key: &Self) -> Result<Vec<u8>, Failure> {
        self.seal(context, key.bytes())
    }

    /// Opens another key.
    pub(super) fn open_key(&self, context: &[u8], wrapped: &[u8]) -> Result<Self, Failure> {
        let bytes = self.open(context, wrapped)?;
        Self::from_bytes(&bytes).ok_or_else(|| Failure::internal("a wrapped key has another length than a key"))
    }

    fn cipher(&self) -> Result<Aes256Gcm, Failure> {
        Aes256Gcm::new_from_slice(self.bytes()).map_err(Failure::internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_value_opens_only_unchanged_and_in_its_context() {
        let key = Key::draw();
        let sealed = key.seal(b"here", b"13800138000").expect("it is sealed");
        assert_eq!(&key.open(b"here", &sealed).expect("it opens")[..], b"13800138000");
        assert!(key.open(b"there", &sealed).is_err());
        assert!(Key::draw().open(b"here", &sealed).is_err());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            assert!(key.open(b"here", &changed).is_err(), "byte {at}");
            assert!(key.open(b"here", &sealed[..at]).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn the_same_value_is_never_sealed_alike() {
        let key = Key::draw();
        assert_ne!(key.seal(b"", b"x").expect("sealed"), key.seal(b"", b"x").expect("sealed"));
    }
}
