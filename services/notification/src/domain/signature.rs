//! How a webhook is signed: Standard Webhooks, HMAC-SHA256 (`v1`) and Ed25519 (`v1a`), several keys at a time.

use base64::{Engine, engine::general_purpose::STANDARD};
use ed25519_dalek::{Signer, SigningKey};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

/// Bytes of a new key; the standard asks for 24 to 64, and an Ed25519 seed has 32.
const SECRET: usize = 32;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    Hmac = 1,
    Ed25519 = 2,
}

impl Algorithm {
    pub fn numbered(number: i32) -> Option<Self> {
        [Self::Hmac, Self::Ed25519].into_iter().find(|algorithm| *algorithm as i32 == number)
    }
}

/// A key that signs. Its bytes never reach a log: there is no `Debug`.
#[derive(Clone)]
pub enum Key {
    Hmac(Vec<u8>),
    Ed25519(Box<SigningKey>),
}

impl Key {
    /// A new key out of random bytes.
    pub fn new(algorithm: Algorithm, random: [u8; SECRET]) -> Self {
        match algorithm {
            Algorithm::Hmac => Self::Hmac(random.to_vec()),
            Algorithm::Ed25519 => Self::Ed25519(Box::new(SigningKey::from_bytes(&random))),
        }
    }

    /// From its text form: `whsec_...` or `whsk_...`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(secret) = text.strip_prefix("whsec_") {
            return STANDARD.decode(secret).ok().filter(|bytes| !bytes.is_empty()).map(Self::Hmac);
        }
        let pair: [u8; 64] = STANDARD.decode(text.strip_prefix("whsk_")?).ok()?.try_into().ok()?;
        SigningKey::from_keypair_bytes(&pair).ok().map(|key| Self::Ed25519(Box::new(key)))
    }

    /// The text form, to be sealed.
    pub fn secret(&self) -> String {
        match self {
            Self::Hmac(bytes) => format!("whsec_{}", STANDARD.encode(bytes)),
            Self::Ed25519(key) => format!("whsk_{}", STANDARD.encode(key.to_keypair_bytes())),
        }
    }

    /// What the receiver verifies with.
    pub fn verification(&self) -> String {
        match self {
            Self::Hmac(_) => self.secret(),
            Self::Ed25519(key) => format!("whpk_{}", STANDARD.encode(key.verifying_key().as_bytes())),
        }
    }

    fn sign(&self, content: &[u8]) -> Option<String> {
        match self {
            Self::Hmac(bytes) => {
                let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(bytes).ok()?;
                mac.update(content);
                Some(format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes())))
            }
            Self::Ed25519(key) => Some(format!("v1a,{}", STANDARD.encode(key.sign(content).to_bytes()))),
        }
    }
}

/// The header `webhook-signature`: one signature per key, so that a receiver may hold any of them.
pub fn signature(keys: &[Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut content = format!("{id}.{timestamp}.").into_bytes();
    content.extend_from_slice(body);
    keys.iter().filter_map(|key| key.sign(&content)).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const AT: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SHARED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const PAIR: &str = "whsk_6Xb/dCcHpPea21PS1N9VY/NZW723CEc77N4rJCubMbfVKIDij2HKpMKkioLlX0dRqSKJp4AJ6p9lMicMFs6Kvg==";
    const V1: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";
    const V1A: &str = "v1a,hnO3f9T8Ytu9HwrXslvumlUpqtNVqkhqw/enGzPCXe5BdqzCInXqYXFymVJaA7AZdpXwVLPo3mNl8EM+m7TBAg==";

    fn key(text: &str) -> Key {
        Key::parse(text).expect("a key")
    }

    #[test]
    fn the_published_vectors_come_out() {
        assert_eq!(signature(&[key(SHARED)], ID, AT, BODY), V1);
        assert_eq!(signature(&[key(PAIR)], ID, AT, BODY), V1A);
    }

    #[test]
    fn while_keys_rotate_every_one_of_them_signs() {
        let third = Key::new(Algorithm::Hmac, [7; 32]);
        let header = signature(&[key(SHARED), key(PAIR), third], ID, AT, BODY);
        let parts: Vec<_> = header.split(' ').collect();
        assert_eq!(parts.len(), 3);
        assert_eq!(&parts[..2], [V1, V1A]);
    }

    #[test]
    fn a_key_survives_its_text_form_and_a_public_key_cannot_sign() {
        for algorithm in [Algorithm::Hmac, Algorithm::Ed25519] {
            let made = Key::new(algorithm, [9; 32]);
            let read = key(&made.secret());
            assert_eq!(signature(&[made], ID, AT, BODY), signature(&[read], ID, AT, BODY));
        }
        let public = Key::new(Algorithm::Ed25519, [9; 32]).verification();
        assert!(public.starts_with("whpk_") && Key::parse(&public).is_none());
        assert!(Key::parse("whsec_").is_none());
    }
}
