//! Webhooks by HTTP: signed as Standard Webhooks says, never redirected, never through a proxy, and only to addresses
//! that we may connect to.

use std::{io, time::Duration};

use reqwest::{Client, StatusCode, Url, header, redirect};
use revisit_core::{Clock, Failure, Timestamp};

use super::{Answer, resolve::Resolver};
use crate::{
    config::Webhook as Config,
    domain::{
        Outcome,
        outbound::literal_address,
        signature::{Key, signature},
    },
};

/// Bytes of a receiver's answer that are read; the rest does not interest us.
const ANSWER_MAX: usize = 4 << 10;
/// Time for a connection, inside the time for a call.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// A call that is ready to be made.
#[derive(Clone)]
pub struct Hook {
    pub url: String,
    /// The same at every try, so that a receiver knows a repeat.
    pub id: String,
    pub body: Vec<u8>,
    pub keys: Vec<Key>,
}

/// The way to receivers.
pub struct Webhooks {
    client: Client,
    resolver: Resolver,
    clock: Clock,
}

impl Webhooks {
    pub fn new(config: &Config, resolver: Resolver, clock: Clock) -> Result<Self, Failure> {
        let client = Client::builder()
            .dns_resolver(resolver.clone())
            .redirect(redirect::Policy::none())
            .no_proxy()
            .timeout(config.timeout())
            .connect_timeout(CONNECT_MAX)
            .pool_max_idle_per_host(config.calls_max)
            .user_agent("Revisit-Webhooks/1")
            .build()
            .map_err(Failure::internal)?;
        Ok(Self { client, resolver, clock })
    }

    /// Calls a receiver once.
    pub async fn call(&self, hook: &Hook) -> Answer {
        let Ok(url) = hook.url.parse::<Url>() else { return Answer::new(Outcome::Permanent, "url_malformed") };
        // The operator's exceptions may have changed since the URL was registered, and a host that is an address is
        // never resolved.
        if self.resolver.outbound().read_url(&hook.url).is_err() {
            return Answer::new(Outcome::Transient, "address_forbidden");
        }
        if literal_address(&url).is_some_and(|address| !self.resolver.outbound().permits(address)) {
            return Answer::new(Outcome::Transient, "address_forbidden");
        }
        let now = self.clock.wall();
        let at = now.seconds();
        let request = self
            .client
            .post(url)
            .header(header::CONTENT_TYPE, "application/json")
            .header("webhook-id", &hook.id)
            .header("webhook-timestamp", at)
            .header("webhook-signature", signature(&hook.keys, &hook.id, at, &hook.body))
            .body(hook.body.clone());
        match request.send().await {
            Ok(response) => answer(response, now).await,
            Err(error) => failed(&error),
        }
    }
}

async fn answer(mut response: reqwest::Response, now: Timestamp) -> Answer {
    let status = response.status();
    let retry_after = retry_after(response.headers(), now);
    // Read and drop a bounded part, so that the connection can be used again.
    let mut read = 0;
    while read < ANSWER_MAX {
        match response.chunk().await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) | Err(_) => break,
        }
    }
    let outcome = match (status, retry_after) {
        (status, _) if status.is_success() => Outcome::Accepted,
        (StatusCode::GONE, _) => Outcome::Permanent,
        (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, Some(until)) => Outcome::Throttled(until),
        // A redirect is not followed, and a refusal may be a deployment gone wrong: the schedule gives it three days.
        _ => Outcome::Transient,
    };
    Answer { outcome, code: status.as_u16().to_string(), gone: status == StatusCode::GONE }
}

fn retry_after(headers: &header::HeaderMap, now: Timestamp) -> Option<Timestamp> {
    // The form with a date is not sent by any receiver that we know of; it counts as absent.
    let seconds: u64 = headers.get(header::RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(now + Duration::from_secs(seconds))
}

fn failed(error: &reqwest::Error) -> Answer {
    if is_forbidden(error) {
        return Answer::new(Outcome::Transient, "address_forbidden");
    }
    if error.is_connect() {
        return Answer::new(Outcome::Transient, "connection_failed");
    }
    // Once connected, the receiver may have read the call.
    let code = if error.is_timeout() { "timeout" } else { "connection_lost" };
    Answer::new(Outcome::Ambiguous, code)
}

fn is_forbidden(error: &reqwest::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        let refused = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if refused == Some(io::ErrorKind::PermissionDenied) {
            return true;
        }
        source = error.source();
    }
    false
}
