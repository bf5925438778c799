//! The revision token: opaque to callers, made by identity for every write, shown to others as `at_least`.
//!
//! It is signed with the keys of the access tokens: version, key id, tenant, revision and incarnation, then 64 bytes of
//! Ed25519 signature over what comes before, all in base64url.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use revisit_core::id::TenantId;
use uuid::Uuid;

/// The only form so far.
const VERSION: u8 = 1;
/// Bytes of a signature.
const SIGNATURE: usize = 64;
/// Bytes of a token's text at the most.
const TEXT_MAX: usize = 512;
/// What a signature is made over begins with this, so that it can never be taken for an access token's.
const CONTEXT: &[u8] = b"revisit revision token\0";

/// A position in a tenant's permission log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevisionToken {
    /// The tenant.
    pub tenant: TenantId,
    /// The revision at or past which to decide.
    pub revision: i64,
    /// Incarnation of identity's database.
    pub incarnation: String,
    /// Id of the key that signs.
    pub key_id: String,
}

/// A token whose signature has not been looked at.
pub(crate) struct Unverified {
    pub(crate) token: RevisionToken,
    pub(crate) signed: Vec<u8>,
    pub(crate) signature: Vec<u8>,
}

impl RevisionToken {
    /// The text of the token. `sign` makes 64 bytes of Ed25519 signature over what it is given.
    pub fn encode<E>(&self, sign: impl FnOnce(&[u8]) -> Result<[u8; SIGNATURE], E>) -> Result<String, E> {
        let mut body = self.body();
        let signature = sign(&[CONTEXT, body.as_slice()].concat())?;
        body.extend_from_slice(&signature);
        Ok(URL_SAFE_NO_PAD.encode(body))
    }

    fn body(&self) -> Vec<u8> {
        let mut body = vec![VERSION];
        for text in [&self.key_id, &self.incarnation] {
            // Both are ours and short; one that is longer would only fail to verify.
            body.push(u8::try_from(text.len()).unwrap_or(u8::MAX));
            body.extend_from_slice(text.as_bytes());
        }
        body.extend_from_slice(self.tenant.uuid().as_bytes());
        body.extend_from_slice(&self.revision.to_be_bytes());
        body
    }

    pub(crate) fn decode(text: &str) -> Option<Unverified> {
        let bytes = (text.len() <= TEXT_MAX).then(|| URL_SAFE_NO_PAD.decode(text).ok()).flatten()?;
        let (body, signature) = bytes.split_at_checked(bytes.len().checked_sub(SIGNATURE)?)?;
        let (version, rest) = body.split_first()?;
        let (key_id, rest) = text_of(rest)?;
        let (incarnation, rest) = text_of(rest)?;
        let (tenant, revision) = rest.split_at_checked(16)?;
        let token = Self {
            tenant: TenantId::from_uuid(Uuid::from_slice(tenant).ok()?),
            revision: i64::from_be_bytes(revision.try_into().ok()?),
            incarnation,
            key_id,
        };
        let signed = [CONTEXT, body].concat();
        (*version == VERSION).then(|| Unverified { token, signed, signature: signature.to_vec() })
    }
}

fn text_of(bytes: &[u8]) -> Option<(String, &[u8])> {
    let (length, rest) = bytes.split_first()?;
    let (text, rest) = rest.split_at_checked(usize::from(*length))?;
    Some((String::from_utf8(text.to_vec()).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_as_it_was_written_and_a_cut_one_is_none() {
        let token = RevisionToken {
            tenant: TenantId::from_uuid(Uuid::from_u128(7)),
            revision: 42,
            incarnation: "first".to_owned(),
            key_id: "k1".to_owned(),
        };
        let text = token.encode(|_| Ok::<_, ()>([9; 64])).expect("it is signed");
        let read = RevisionToken::decode(&text).expect("it is whole");
        assert_eq!(read.token, token);
        assert_eq!(read.signature, [9; 64]);
        for length in 0..text.len() {
            assert!(RevisionToken::decode(&text[..length]).is_none_or(|cut| cut.token != token), "cut at {length}");
        }
    }
}
