//! Signing keys: private halves in files of mode 0600, public halves for everybody; access tokens and revision tokens.

use std::{
    fs::{self, OpenOptions},
    io::Write,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
    time::Duration,
};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use ed25519_dalek::{Signature, Signer, SigningKey, VerifyingKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use revisit_bootstrap::auth::{AUDIENCE, Claims, ISSUER, RevisionToken};
use revisit_core::{
    Failure, Ids, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use serde_json::json;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What stands before the 32 secret bytes in the PKCS#8 form of an Ed25519 key (RFC 8410).
const PKCS8_PREFIX: [u8; 16] =
    [0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20];
const PEM_BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const PEM_END: &str = "-----END PRIVATE KEY-----";

/// A public half, as everybody may know it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PublicKey {
    pub kid: String,
    pub bytes: Vec<u8>,
}

impl PublicKey {
    /// Whether its private half has signed these bytes.
    #[must_use]
    pub fn verifies(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let key = <[u8; 32]>::try_from(self.bytes.as_slice()).ok().and_then(|it| VerifyingKey::from_bytes(&it).ok());
        let signature = Signature::from_slice(signature).ok();
        key.zip(signature).is_some_and(|(key, signature)| key.verify_strict(bytes, &signature).is_ok())
    }
}

/// The key that signs now. Cheap to clone.
#[derive(Clone)]
pub struct Keys(Arc<Signing>);

struct Signing {
    kid: String,
    key: SigningKey,
    jwt: EncodingKey,
}

/// Whom an access token names.
#[derive(Clone, Copy, Debug)]
pub struct Named {
    pub tenant: TenantId,
    pub subject: SubjectId,
    pub session: SessionId,
    /// Whether it is a person; else a service account.
    pub is_user: bool,
    /// The tenant's revision at issue.
    pub revision: i64,
}

impl Keys {
    /// Draws a key and writes it into `folder`. An existing file is never overwritten.
    pub fn create(folder: &Path, secrets: &Ids) -> Result<(Self, PublicKey), Failure> {
        let keys = Self::from_key(SigningKey::from_bytes(&secrets.bytes()));
        let unwritable =
            |error: std::io::Error| Failure::internal(error).with("keys_folder", folder.display().to_string());
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
        let path = folder.join(format!("{}.pem", keys.0.kid));
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(unwritable)?;
        file.write_all(keys.pem().as_bytes()).map_err(unwritable)?;
        // The database will name this key as soon as the caller commits; the file must not be lost by then.
        file.sync_all().map_err(unwritable)?;
        let public = keys.public();
        Ok((keys, public))
    }

    /// Reads the newest of `known` whose file is there.
    pub fn read(folder: &Path, known: &[PublicKey]) -> Result<Self, Failure> {
        for public in known {
            let path = folder.join(format!("{}.pem", public.kid));
            let Ok(text) = fs::read_to_string(&path).map(Zeroizing::new) else { continue };
            let keys = Self::from_key(read_pem(&text).ok_or_else(|| unreadable(&path))?);
            if keys.public() != *public {
                return Err(unreadable(&path));
            }
            return Ok(keys);
        }
        Err(Failure::unavailable(
            "SIGNING_KEY_MISSING",
            format!("the folder {} holds no signing key that the database knows", folder.display()),
        ))
    }

    fn from_key(key: SigningKey) -> Self {
        let kid = hex(&blake3::hash(key.verifying_key().as_bytes()).as_bytes()[..8]);
        let jwt = EncodingKey::from_ed_der(&pkcs8(&key));
        Self(Arc::new(Signing { kid, key, jwt }))
    }

    /// What stands for a name that nobody may read: equal names have equal digests, and only who has the key can try
    /// which name it was.
    #[must_use]
    pub fn digest(&self, parts: &[String]) -> Uuid {
        let key = blake3::derive_key("revisit identity digests of names", self.0.key.as_bytes());
        let mut hasher = blake3::Hasher::new_keyed(&key);
        for part in parts {
            hasher.update(&(part.len() as u64).to_be_bytes());
            hasher.update(part.as_bytes());
        }
        uuid::Builder::from_custom_bytes(hasher.finalize().as_bytes().first_chunk().copied().unwrap_or_default())
            .into_uuid()
    }

    fn pem(&self) -> Zeroizing<String> {
        Zeroizing::new(format!("{PEM_BEGIN}\n{}\n{PEM_END}\n", STANDARD.encode(&*pkcs8(&self.0.key))))
    }

    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey { kid: self.0.kid.clone(), bytes: self.0.key.verifying_key().as_bytes().to_vec() }
    }

    /// Name of the key that signs.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.0.kid
    }

    /// Signs what says itself what it is: an entry of the audit log, its end, a checkpoint.
    #[must_use]
    pub fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        self.0.key.sign(bytes).to_bytes().to_vec()
    }

    /// The token of a revision.
    pub fn revision_token(&self, tenant: TenantId, revision: i64, incarnation: Uuid) -> Result<String, Failure> {
        let (key_id, incarnation) = (self.0.kid.clone(), incarnation.to_string());
        RevisionToken { tenant, revision, incarnation, key_id }.encode(|bytes| Ok(self.0.key.sign(bytes).to_bytes()))
    }

    /// An access token that is good from `now` for `span`, and its end.
    pub fn access_token(
        &self,
        named: &Named,
        secrets: &Ids,
        now: Timestamp,
        span: Duration,
    ) -> Result<(String, Timestamp), Failure> {
        let end = Timestamp::from_seconds((now + span).seconds());
        let claims = Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: named.subject.to_string(),
            tid: named.tenant.to_string(),
            sid: named.session.to_string(),
            typ: if named.is_user { "user" } else { "service_account" }.to_owned(),
            rev: named.revision,
            wnd: None,
            iat: now.seconds(),
            nbf: now.seconds(),
            exp: end.seconds(),
            jti: hex(&secrets.bytes::<16>()),
        };
        let header = Header { kid: Some(self.0.kid.clone()), ..Header::new(Algorithm::EdDSA) };
        Ok((jsonwebtoken::encode(&header, &claims, &self.0.jwt).map_err(Failure::internal)?, end))
    }
}

/// A JSON Web Key Set (RFC 7517) of Ed25519 keys (RFC 8037).
#[must_use]
pub fn jwks(keys: &[PublicKey]) -> String {
    let keys: Vec<_> = keys
        .iter()
        .map(|key| {
            let x = URL_SAFE_NO_PAD.encode(&key.bytes);
            json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "use": "sig", "kid": key.kid, "x": x })
        })
        .collect();
    json!({ "keys": keys }).to_string()
}

fn pkcs8(key: &SigningKey) -> Zeroizing<Vec<u8>> {
    let mut der = Zeroizing::new(PKCS8_PREFIX.to_vec());
    der.extend_from_slice(key.as_bytes());
    der
}

fn read_pem(text: &str) -> Option<SigningKey> {
    let body = text.trim().strip_prefix(PEM_BEGIN)?.strip_suffix(PEM_END)?;
    let der = Zeroizing::new(STANDARD.decode(body.trim()).ok()?);
    let secret: [u8; 32] = der.strip_prefix(&PKCS8_PREFIX)?.try_into().ok()?;
    Some(SigningKey::from_bytes(&secret))
}

fn unreadable(path: &Path) -> Failure {
    Failure::internal(format!("{} is no signing key, or not the one that the database knows", path.display()))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use jsonwebtoken::{DecodingKey, Validation};

    use super::*;

    #[test]
    fn a_key_survives_its_file_which_only_the_owner_may_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let (_, public) = Keys::create(folder.path(), &Ids::random()).expect("it is written");
        let file = folder.path().join(format!("{}.pem", public.kid));
        assert_eq!(fs::metadata(&file).expect("it is there").permissions().mode() & 0o777, 0o600);
        let read = Keys::read(folder.path(), std::slice::from_ref(&public)).expect("it is read");
        assert_eq!(read.public(), public);
        assert!(Keys::read(folder.path(), &[]).is_err());
    }

    #[test]
    fn an_access_token_is_verified_with_the_published_key() {
        let ids = Ids::random();
        let keys = Keys::from_key(SigningKey::from_bytes(&ids.bytes()));
        let now = Timestamp::from_seconds(4_000_000_000);
        let named =
            Named { tenant: ids.next(now), subject: ids.next(now), session: ids.next(now), is_user: true, revision: 7 };
        let (token, end) = keys.access_token(&named, &ids, now, Duration::from_secs(300)).expect("it is signed");
        assert_eq!(end, Timestamp::from_seconds(4_000_000_300));
        let set: serde_json::Value = serde_json::from_str(&jwks(&[keys.public()])).expect("JSON");
        let key = DecodingKey::from_ed_components(set["keys"][0]["x"].as_str().expect("a text")).expect("a key");
        let mut validation = Validation::new(Algorithm::EdDSA);
        validation.set_audience(&["revisit"]);
        let read = jsonwebtoken::decode::<serde_json::Value>(&token, &key, &validation).expect("it verifies");
        assert_eq!(read.claims["rev"], 7);
        assert_eq!(read.claims["typ"], "user");
    }
}
