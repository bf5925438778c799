//! Log-in rules: how long failures delay the next attempt, what a password must be, what a refresh token is.

use std::{
    net::{IpAddr, Ipv6Addr},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use revisit_core::{
    Ids, Input, Timestamp,
    id::{SessionId, TenantId},
};
use uuid::Uuid;

/// Failures of one account that cost nothing: people mistype.
const ACCOUNT_FREE: i64 = 4;
/// Failures of one source that cost nothing: a whole office may share an address.
const SOURCE_FREE: i64 = 30;
/// The longest delay, so that nobody can lock another out for good.
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// After so long without a failure the count starts anew.
pub const FORGET_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Attempts of one wait that come too early and are told one by one, so that an alert about them does not wait either. Of a
/// flood the rest is only counted.
const EARLY_TOLD_MAX: i64 = 64;

/// What failures are counted by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum By {
    Account,
    Source,
}

/// How long the next attempt must wait after so many failures: doubling from one second.
#[must_use]
pub fn delay(by: By, failures: i64) -> Duration {
    let free = match by {
        By::Account => ACCOUNT_FREE,
        By::Source => SOURCE_FREE,
    };
    let beyond = failures.saturating_sub(free);
    if beyond <= 0 {
        return Duration::ZERO;
    }
    // Twenty doublings are far beyond the bound.
    let doublings = u32::try_from(beyond - 1).unwrap_or(u32::MAX).min(20);
    Duration::from_secs(1 << doublings).min(DELAY_MAX)
}

/// The row in which failures are counted: a hash, so that the table tells nobody who tried to log in from where.
#[must_use]
pub fn failure_key(by: By, parts: &[&str]) -> Vec<u8> {
    let mut hasher = blake3::Hasher::new_derive_key(match by {
        By::Account => "revisit identity log-in failures by account",
        By::Source => "revisit identity log-in failures by source",
    });
    for part in parts {
        hasher.update(&(part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().as_bytes().to_vec()
}

/// What failures of an address are counted under: itself, or the network of 64 bits that it lies in, of which a
/// subscriber has all addresses.
#[must_use]
pub fn network(address: &str) -> String {
    match address.parse::<IpAddr>().map(|it| it.to_canonical()) {
        Ok(IpAddr::V6(it)) => Ipv6Addr::from_bits(it.to_bits() >> 64 << 64).to_string(),
        Ok(IpAddr::V4(it)) => it.to_string(),
        Err(_) => address.to_owned(),
    }
}

/// How often something failed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Failures {
    pub count: i64,
    pub blocked_until: Timestamp,
    pub updated_at: Timestamp,
    /// Attempts that came too early since then.
    pub put_off: i64,
}

impl Failures {
    /// One more.
    #[must_use]
    pub fn failed(self, by: By, now: Timestamp) -> Self {
        let count = if now.since(self.updated_at) > FORGET_AFTER { 1 } else { self.count.saturating_add(1) };
        Self { count, blocked_until: now + delay(by, count), updated_at: now, put_off: 0 }
    }

    /// One more that came too early. It makes nobody wait longer.
    #[must_use]
    pub const fn put_off(self) -> Self {
        Self { put_off: self.put_off.saturating_add(1), ..self }
    }

    /// Whether the last one that came too early is told by itself.
    #[must_use]
    pub const fn tells(self) -> bool {
        self.put_off <= EARLY_TOLD_MAX
    }

    /// How many came too early and have not been told.
    #[must_use]
    pub fn untold(self) -> i64 {
        self.put_off.saturating_sub(EARLY_TOLD_MAX).max(0)
    }

    /// How long to wait still, if at all.
    #[must_use]
    pub fn wait(self, now: Timestamp) -> Option<Duration> {
        Some(self.blocked_until.since(now)).filter(|wait| !wait.is_zero())
    }
}

/// Characters of a password at the most: argon2 takes any length, a request should not.
pub const PASSWORD_MAX: usize = 256;
const PASSWORD_MIN: usize = 10;

/// Reads a new password; what it must not equal is checked where the user is known.
pub fn read_password(input: &mut Input, field: &str, text: String) -> String {
    let length = text.chars().count();
    if length == 0 {
        input.refuse(field, "is required");
    } else if !(PASSWORD_MIN..=PASSWORD_MAX).contains(&length) {
        input.refuse(field, format!("must have {PASSWORD_MIN} to {PASSWORD_MAX} characters"));
    }
    text
}

/// A one-time secret: 32 random bytes in base64url, of which only a hash is kept.
#[must_use]
pub fn draw_secret(secrets: &Ids) -> String {
    URL_SAFE_NO_PAD.encode(secrets.bytes::<SECRET>())
}

/// What is kept of a secret that is random in full, so that a fast hash will do.
#[must_use]
pub fn hash_secret(secret: &str) -> Vec<u8> {
    blake3::derive_key("revisit identity one-time secrets", secret.as_bytes()).to_vec()
}

/// Bytes of a secret part.
const SECRET: usize = 32;
/// Bytes of a refresh token: tenant, session, family, secret.
const TOKEN: usize = 16 + 16 + SECRET + SECRET;

/// A refresh token. The family part stays the same for the life of a session: who shows the right family and a wrong
/// secret shows a token that was good once, so it was copied. Who only knows the session's id cannot do that.
#[derive(Clone, PartialEq, Eq)]
pub struct RefreshToken {
    pub tenant: TenantId,
    pub session: SessionId,
    family: [u8; SECRET],
    secret: [u8; SECRET],
}

impl RefreshToken {
    #[must_use]
    pub fn first(secrets: &Ids, tenant: TenantId, session: SessionId) -> Self {
        Self { tenant, session, family: secrets.bytes(), secret: secrets.bytes() }
    }

    /// The next token of the same session.
    #[must_use]
    pub fn next(&self, secrets: &Ids) -> Self {
        Self { secret: secrets.bytes(), ..self.clone() }
    }

    #[must_use]
    pub fn family_hash(&self) -> Vec<u8> {
        blake3::derive_key("revisit identity refresh family", &self.family).to_vec()
    }

    #[must_use]
    pub fn secret_hash(&self) -> Vec<u8> {
        blake3::derive_key("revisit identity refresh secret", &self.secret).to_vec()
    }

    #[must_use]
    pub fn encode(&self) -> String {
        let mut bytes = Vec::with_capacity(TOKEN);
        bytes.extend_from_slice(self.tenant.uuid().as_bytes());
        bytes.extend_from_slice(self.session.uuid().as_bytes());
        bytes.extend_from_slice(&self.family);
        bytes.extend_from_slice(&self.secret);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes: [u8; TOKEN] = URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?;
        let (ids, secrets) = bytes.split_at(32);
        Some(Self {
            tenant: TenantId::from_uuid(Uuid::from_slice(&ids[..16]).ok()?),
            session: SessionId::from_uuid(Uuid::from_slice(&ids[16..]).ok()?),
            family: secrets[..SECRET].try_into().ok()?,
            secret: secrets[SECRET..].try_into().ok()?,
        })
    }
}

/// What a shown refresh token means.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shown {
    /// It is the one that is good.
    Current,
    /// It was good once: two hold the session's tokens.
    Reused,
    /// It never was.
    Forged,
}

/// Compares a token with what the session keeps, in constant time.
#[must_use]
pub fn judge(token: &RefreshToken, family_hash: &[u8], refresh_hash: &[u8]) -> Shown {
    match (same(&token.family_hash(), family_hash), same(&token.secret_hash(), refresh_hash)) {
        (true, true) => Shown::Current,
        (true, false) => Shown::Reused,
        (false, _) => Shown::Forged,
    }
}

fn same(one: &[u8], other: &[u8]) -> bool {
    // Hashes of hashes compare in constant time, and no caller chooses them.
    blake3::hash(one) == blake3::hash(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_seconds(seconds)
    }

    #[test]
    fn failures_from_one_network_of_64_bits_are_counted_together() {
        assert_eq!(network("2001:db8:1:2:3:4:5:6"), network("2001:db8:1:2::1"));
        assert_ne!(network("2001:db8:1:2::1"), network("2001:db8:1:3::1"));
        assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"), "one address in two forms");
        assert_eq!(network(""), "", "inside the process nobody has one");
    }

    #[test]
    fn the_first_failures_cost_nothing_and_later_ones_double_up_to_a_bound() {
        assert_eq!(delay(By::Account, 4), Duration::ZERO);
        assert_eq!(delay(By::Account, 5), Duration::from_secs(1));
        assert_eq!(delay(By::Account, 8), Duration::from_secs(8));
        assert_eq!(delay(By::Account, i64::MAX), DELAY_MAX);
        assert_eq!(delay(By::Source, 30), Duration::ZERO);
        assert_eq!(delay(By::Source, 32), Duration::from_secs(2));
    }

    #[test]
    fn failures_are_forgotten_after_a_quiet_day() {
        let mut failures = Failures::default();
        for _ in 0..8 {
            failures = failures.failed(By::Account, at(1_000));
        }
        assert_eq!(failures.wait(at(1_000)), Some(Duration::from_secs(8)));
        assert_eq!(failures.wait(at(1_008)), None);
        assert_eq!(failures.failed(By::Account, at(1_000 + 25 * 3600)).count, 1);
    }

    #[test]
    fn of_those_that_come_too_early_so_many_are_told_at_once_and_the_rest_as_a_number() {
        let mut failures = Failures::default().failed(By::Account, at(1_000));
        let told = (0..100).filter(|_| {
            failures = failures.put_off();
            failures.tells()
        });
        assert_eq!((told.count(), failures.untold()), (64, 36));
        assert_eq!(failures.failed(By::Account, at(1_001)).untold(), 0, "the next wait counts anew");
    }

    #[test]
    fn a_used_refresh_token_is_told_from_a_forged_one() {
        let ids = Ids::seeded(1);
        let tenant = ids.next(at(0));
        let session = ids.next(at(0));
        let first = RefreshToken::first(&ids, tenant, session);
        let second = first.next(&ids);
        let (family, secret) = (second.family_hash(), second.secret_hash());
        assert_eq!(judge(&second, &family, &secret), Shown::Current);
        assert_eq!(judge(&first, &family, &secret), Shown::Reused);
        let forged = RefreshToken::first(&ids, tenant, session);
        assert_eq!(judge(&forged, &family, &secret), Shown::Forged);
        let read = RefreshToken::decode(&second.encode());
        assert!(read == Some(second));
        assert!(RefreshToken::decode("nonsense").is_none());
    }

    #[test]
    fn a_short_or_endless_password_is_refused() {
        for (text, refused) in [("", true), ("short", true), ("long enough", false), (&"x".repeat(257), true)] {
            let mut input = Input::default();
            let _ = read_password(&mut input, "password", text.to_owned());
            assert_eq!(!input.violations().is_empty(), refused, "{text}");
        }
    }
}
