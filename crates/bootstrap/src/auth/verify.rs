//! Verifying access tokens and revision tokens: signature by identity's key, then times, log-in window and session by
//! the leased permission state.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use jsonwebtoken::{Algorithm, Validation};
use revisit_core::{
    Failure, Kind, Timestamp,
    id::{SessionId, SubjectId, TenantId},
};
use revisit_permission::{Caller, Leases};
use serde::{Deserialize, Serialize};

use super::{Principal, keys::Keys, revision::RevisionToken};
use crate::lease::{LeaseClient, stale};

/// `iss` of every access token.
pub const ISSUER: &str = "revisit";
/// `aud` of every access token.
pub const AUDIENCE: &str = "revisit";
/// How far the times of a token and of the lease may lie apart.
const TOLERANCE: Duration = Duration::from_secs(2);
/// The longest life of a token; a longer one was not made by identity as it should be.
const LIFE_MAX: Duration = Duration::from_secs(5 * 60);
/// Bytes of a token at the most.
const TOKEN_MAX: usize = 4_096;
/// Verified tokens that are remembered until they expire.
const CACHE_MAX: usize = 10_000;

/// What an access token says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Claims {
    /// Issuer: [`ISSUER`].
    pub iss: String,
    /// Audience: [`AUDIENCE`].
    pub aud: String,
    /// Subject id.
    pub sub: String,
    /// Tenant id.
    pub tid: String,
    /// Session id.
    pub sid: String,
    /// `user` or `service_account`.
    pub typ: String,
    /// Permission revision at issue.
    pub rev: i64,
    /// End of the log-in window in seconds since the epoch, when the subject has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wnd: Option<i64>,
    /// Issued at, in seconds since the epoch (database time).
    pub iat: i64,
    /// Not before.
    pub nbf: i64,
    /// Expires.
    pub exp: i64,
    /// Id of the token.
    pub jti: String,
}

/// A token whose signature and shape are good; its times and session are looked at on every call.
#[derive(Clone)]
struct Verified {
    tenant: TenantId,
    subject: SubjectId,
    session: SessionId,
    revision: i64,
    not_before: Timestamp,
    expires: Timestamp,
    window_ends: Option<Timestamp>,
}

/// Verifies tokens. Cheap to clone.
#[derive(Clone)]
pub struct Verifier(Arc<Inner>);

struct Inner {
    keys: Keys,
    lease: LeaseClient,
    /// By hash of the token, so that memory holds none.
    cache: Mutex<HashMap<[u8; 32], Verified>>,
}

impl Verifier {
    pub(crate) fn new(keys: Keys, lease: LeaseClient) -> Self {
        Self(Arc::new(Inner { keys, lease, cache: Mutex::default() }))
    }

    pub(crate) fn leases(&self) -> &Leases {
        self.0.lease.leases()
    }

    /// Who shows this `authorization` on a listener of its own service, and what decides for it.
    pub async fn principal(&self, authorization: &HeaderValue) -> Result<Principal, Failure> {
        let caller = self.caller(authorization).await?;
        let (leases, authorization) = (self.leases().clone(), Some(authorization.clone()));
        Ok(Principal { caller, leases, service: None, authorization, deadline: None })
    }

    /// Who shows this `authorization`.
    pub(crate) async fn caller(&self, authorization: &HeaderValue) -> Result<Caller, Failure> {
        let text = authorization.to_str().map_err(|_| invalid())?;
        let token = bearer(text).filter(|token| token.len() <= TOKEN_MAX).ok_or_else(invalid)?;
        let key = *blake3::hash(token.as_bytes()).as_bytes();
        let known = self.cache().get(&key).cloned();
        let verified = match known {
            Some(verified) => verified,
            None => self.verify(token).await?,
        };
        self.0.lease.hold(verified.tenant).await.map_err(unknown_tenant)?;
        // A snapshot behind the token's revision may not know of the session's end yet.
        self.0.lease.reach(verified.tenant, verified.revision).await?;
        let reading = self.leases().read(verified.tenant).map_err(|_| stale())?;
        in_time(&verified, reading.now)?;
        if reading.snapshot.is_session_revoked(verified.session) {
            return Err(Failure::new(Kind::Unauthenticated, "SESSION_REVOKED", "the session has ended; log in again"));
        }
        self.remember(key, &verified, reading.now);
        let caller = Caller::with_session(verified.tenant, verified.subject, verified.session, verified.revision);
        Ok(Caller { window_end: verified.window_ends, ..caller })
    }

    /// Waits a bounded time until what a revision token names is loaded. Of another tenant than the caller's, or of a
    /// former incarnation, it is refused.
    pub async fn at_least(&self, token: &str, tenant: Option<TenantId>) -> Result<i64, Failure> {
        let refused = || Failure::invalid_field(super::AT_LEAST_HEADER, "is not a valid revision token");
        let unverified = RevisionToken::decode(token).ok_or_else(refused)?;
        let key = self.0.keys.find(&unverified.token.key_id).await?.ok_or_else(refused)?;
        let signature = URL_SAFE_NO_PAD.encode(&unverified.signature);
        let valid = jsonwebtoken::crypto::verify(&signature, &unverified.signed, &key, Algorithm::EdDSA);
        let token = unverified.token;
        if !valid.unwrap_or(false) || tenant.is_some_and(|tenant| tenant != token.tenant) {
            return Err(refused());
        }
        self.0.lease.hold(token.tenant).await?;
        if self.0.lease.incarnation().is_some_and(|incarnation| incarnation != token.incarnation) {
            return Err(refused());
        }
        self.0.lease.reach(token.tenant, token.revision).await?;
        Ok(token.revision)
    }

    async fn verify(&self, token: &str) -> Result<Verified, Failure> {
        let header = jsonwebtoken::decode_header(token).map_err(|_| invalid())?;
        // No other algorithm, whatever the token asks for.
        if header.alg != Algorithm::EdDSA {
            return Err(invalid());
        }
        let id = header.kid.ok_or_else(invalid)?;
        let key = self.0.keys.find(&id).await?.ok_or_else(invalid)?;
        let mut rules = Validation::new(Algorithm::EdDSA);
        rules.set_issuer(&[ISSUER]);
        rules.set_audience(&[AUDIENCE]);
        rules.set_required_spec_claims(&["iss", "aud", "sub", "exp", "nbf"]);
        // The times are looked at on every call, in database time and not by this machine's wall.
        rules.validate_exp = false;
        rules.validate_nbf = false;
        let claims = jsonwebtoken::decode::<Claims>(token, &key, &rules).map_err(|_| invalid())?.claims;
        read(&claims).ok_or_else(invalid)
    }

    fn remember(&self, key: [u8; 32], verified: &Verified, now: Timestamp) {
        let mut cache = self.cache();
        if cache.len() >= CACHE_MAX && !cache.contains_key(&key) {
            cache.retain(|_, verified| verified.expires > now);
            // Still full: everybody verifies once more, which costs time and is never wrong.
            if cache.len() >= CACHE_MAX {
                cache.clear();
            }
        }
        cache.insert(key, verified.clone());
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Verified>> {
        // Every change is one insertion or removal: a panic elsewhere leaves it whole.
        self.0.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(claims: &Claims) -> Option<Verified> {
    let (not_before, expires) = (Timestamp::from_seconds(claims.nbf), Timestamp::from_seconds(claims.exp));
    let known_type = claims.typ == "user" || claims.typ == "service_account";
    let short = expires.since(Timestamp::from_seconds(claims.iat)) <= LIFE_MAX;
    (known_type && short).then_some(())?;
    Some(Verified {
        tenant: claims.tid.parse().ok()?,
        subject: claims.sub.parse().ok()?,
        session: claims.sid.parse().ok()?,
        revision: claims.rev,
        not_before,
        expires,
        window_ends: claims.wnd.map(Timestamp::from_seconds),
    })
}

fn in_time(verified: &Verified, now: Timestamp) -> Result<(), Failure> {
    if now + TOLERANCE < verified.not_before {
        return Err(invalid());
    }
    if now >= verified.expires + TOLERANCE {
        return Err(Failure::new(Kind::Unauthenticated, "TOKEN_EXPIRED", "the access token has expired"));
    }
    if verified.window_ends.is_some_and(|end| now >= end) {
        return Err(Failure::new(Kind::Unauthenticated, "LOGIN_WINDOW_CLOSED", "the log-in window has closed"));
    }
    Ok(())
}

/// What follows the scheme, whose name is the same in capitals and small letters (RFC 9110, 11.1).
fn bearer(authorization: &str) -> Option<&str> {
    let (scheme, token) = authorization.split_once(' ')?;
    scheme.eq_ignore_ascii_case("Bearer").then_some(token)
}

fn invalid() -> Failure {
    Failure::new(Kind::Unauthenticated, "TOKEN_INVALID", "the access token is not valid")
}

/// A token that names a tenant which does not exist any more is no reason to tell so.
fn unknown_tenant(failure: Failure) -> Failure {
    if failure.kind == Kind::NotFound { invalid() } else { failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claims() -> Claims {
        let id = || uuid::Uuid::from_u128(5).to_string();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: id(),
            tid: id(),
            sid: id(),
            typ: "user".to_owned(),
            rev: 1,
            wnd: Some(250),
            iat: 100,
            nbf: 100,
            exp: 400,
            jti: id(),
        }
    }

    fn refusal(at: i64) -> Option<&'static str> {
        let verified = read(&claims()).expect("the claims are good");
        in_time(&verified, Timestamp::from_seconds(at)).err().map(|failure| failure.reason)
    }

    #[test]
    fn a_token_counts_between_its_times_with_two_seconds_of_tolerance_and_inside_its_window() {
        assert_eq!(refusal(97), Some("TOKEN_INVALID"));
        assert_eq!(refusal(98), None);
        assert_eq!(refusal(249), None);
        assert_eq!(refusal(250), Some("LOGIN_WINDOW_CLOSED"));
        assert_eq!(refusal(402), Some("TOKEN_EXPIRED"));
    }

    #[test]
    fn a_token_of_an_unknown_type_or_of_a_longer_life_is_refused() {
        assert!(read(&Claims { typ: "root".to_owned(), ..claims() }).is_none());
        assert!(read(&Claims { exp: 401, ..claims() }).is_none());
        assert!(read(&Claims { tid: String::new(), ..claims() }).is_none());
    }
}
