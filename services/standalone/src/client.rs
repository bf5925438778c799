//! A person's line to Revisit: one channel, that person's own token on every call, and log-in that lasts for months.
//!
//! The demo, the journeys and nothing else use it. It knows the public contract only.

use std::{
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::Duration,
};

use revisit_bootstrap::status::answer;
use revisit_core::{Clock, Failure, Kind, Timestamp};
use revisit_proto::{
    customer::v1 as customer, followup::v1 as followup, identity::v1 as identity, notification::v1 as notification,
};
use tonic::{
    Request, Response, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::Channel,
};

/// A token is renewed when less than this is left of it, in microseconds.
const FRESH_FOR: i64 = 60_000_000;

/// How often a call that is put off is made.
const TRIES_MAX: u32 = 100;
/// Pause before it is made again.
const PAUSE: Duration = Duration::from_millis(100);

/// Puts the token of now on a call.
#[derive(Clone, Default)]
pub struct Bearer(Arc<RwLock<Option<MetadataValue<Ascii>>>>);

impl Bearer {
    fn set(&self, token: &str) -> Result<(), Failure> {
        let value = format!("Bearer {token}").parse().map_err(|_| Failure::internal("a token is not ASCII"))?;
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(value);
        Ok(())
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &*self.0.read().unwrap_or_else(PoisonError::into_inner) {
            request.metadata_mut().insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A channel on which a person's token goes along.
pub type Line = InterceptedService<Channel, Bearer>;

/// Somebody who has logged in. Cheap to clone; clones share the session.
#[derive(Clone)]
pub struct Person {
    /// Log-in name.
    pub username: Arc<str>,
    /// UUID of the user.
    pub id: Arc<str>,
    /// UUID of the company.
    pub tenant_id: Arc<str>,
    line: Line,
    bearer: Bearer,
    session: Arc<Mutex<Session>>,
    renewing: Arc<tokio::sync::Mutex<()>>,
    credentials: Arc<Credentials>,
    public: Channel,
    clock: Clock,
}

struct Session {
    refresh_token: String,
    ends: Timestamp,
}

/// What somebody types to log in.
#[derive(Clone)]
pub struct Credentials {
    /// Key of the company; empty for a service account.
    pub tenant: String,
    /// Log-in name, or the UUID of a service account.
    pub username: String,
    /// Password or secret.
    pub password: String,
}

impl Credentials {
    /// Those of a service account.
    #[must_use]
    pub fn account(id: &str, secret: &str) -> Self {
        Self { tenant: String::new(), username: id.to_owned(), password: secret.to_owned() }
    }

    async fn present(&self, channel: Channel) -> Result<identity::TokenPair, Failure> {
        let mut auth = identity::auth_client::AuthClient::new(channel);
        let (name, password) = (self.username.clone(), self.password.clone());
        if self.tenant.is_empty() {
            let request = identity::LogInServiceAccountRequest { service_account_id: name, secret: password };
            return answer(auth.log_in_service_account(request).await);
        }
        let tenant_key = self.tenant.clone();
        let request = identity::LogInRequest { tenant_key, username: name, password, device: "demo".to_owned() };
        answer(auth.log_in(request).await)
    }
}

impl Person {
    /// Logs in.
    pub async fn log_in(channel: Channel, clock: Clock, who: &Credentials) -> Result<Self, Failure> {
        let pair = who.present(channel.clone()).await?;
        let bearer = Bearer::default();
        let person = Self {
            username: who.username.as_str().into(),
            id: pair.subject_id.as_str().into(),
            tenant_id: pair.tenant_id.as_str().into(),
            line: InterceptedService::new(channel.clone(), bearer.clone()),
            bearer,
            session: Arc::new(Mutex::new(Session { refresh_token: String::new(), ends: Timestamp::MIN })),
            renewing: Arc::default(),
            credentials: Arc::new(who.clone()),
            public: channel,
            clock,
        };
        person.take(pair)?;
        Ok(person)
    }

    /// Sets the password of a one-time link, then logs in with it.
    pub async fn accept(channel: Channel, clock: Clock, link: String, who: &Credentials) -> Result<Self, Failure> {
        let request = identity::SetPasswordRequest { password_token: link, password: who.password.clone() };
        answer(identity::auth_client::AuthClient::new(channel.clone()).set_password(request).await)?;
        Self::log_in(channel, clock, who).await
    }

    /// Renews the token when it is about to end, or logs in again when the session has run out. A refresh token works
    /// once, so one renewal at a time.
    pub async fn fresh(&self) -> Result<&Self, Failure> {
        let _one = self.renewing.lock().await;
        let refresh_token = {
            let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
            if self.clock.wall().micros() + FRESH_FOR < session.ends.micros() {
                return Ok(self);
            }
            session.refresh_token.clone()
        };
        let mut auth = identity::auth_client::AuthClient::new(self.public.clone());
        let pair = match answer(auth.refresh(identity::RefreshRequest { refresh_token }).await) {
            Err(failure) if failure.kind == Kind::Unauthenticated => {
                self.credentials.present(self.public.clone()).await
            }
            renewed => renewed,
        };
        self.take(pair?)?;
        Ok(self)
    }

    fn take(&self, pair: identity::TokenPair) -> Result<(), Failure> {
        self.bearer.set(&pair.access_token)?;
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        session.refresh_token = pair.refresh_token;
        session.ends = pair.access_token_expire_time.map_or(Timestamp::MIN, instant);
        Ok(())
    }

    /// Logs the same person in over another line: what they talked to has started again elsewhere.
    pub async fn over(&self, channel: Channel) -> Result<Self, Failure> {
        Self::log_in(channel, self.clock.clone(), &self.credentials).await
    }

    /// The instant of now, as this person's watch has it.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.clock.wall()
    }

    /// The line itself, for clients that have no method here.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// The access token of now, to be shown to somebody who wants to try a call by hand.
    #[must_use]
    pub fn token(&self) -> String {
        let value = self.bearer.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        value
            .and_then(|value| value.to_str().ok().map(|text| text.trim_start_matches("Bearer ").to_owned()))
            .unwrap_or_default()
    }
}

/// Makes a call until it is not put off any more ([`Kind::Unavailable`]), for ten seconds and its own time: on a busy
/// machine news of another service may come too late for one call and in time for the next. A call that writes must
/// carry a `request_id`, or be one that changes nothing the second time.
pub async fn patiently<R: Clone, T, F>(request: R, call: impl Fn(R) -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    for _ in 1..TRIES_MAX {
        match answer(call(request.clone()).await) {
            Err(failure) if failure.kind == Kind::Unavailable => tokio::time::sleep(PAUSE).await,
            answer => return answer,
        }
    }
    answer(call(request).await)
}

/// An instant from the wire.
#[must_use]
pub fn instant(time: prost_types::Timestamp) -> Timestamp {
    Timestamp::from_micros(time.seconds.saturating_mul(1_000_000) + i64::from(time.nanos) / 1_000)
}

/// Declares one method per gRPC service: its client on the person's line.
macro_rules! clients {
    ($($name:ident: $package:ident::$module:ident::$client:ident;)*) => {
        impl Person {
            $(
                /// A client of that service.
                #[must_use]
                pub fn $name(&self) -> $package::$module::$client<Line> {
                    $package::$module::$client::new(self.line.clone())
                }
            )*
        }
    };
}

clients! {
    directory: identity::directory_client::DirectoryClient;
    access: identity::access_client::AccessClient;
    auth: identity::auth_client::AuthClient;
    audit: identity::audit_client::AuditClient;
    hand_overs: identity::hand_overs_client::HandOversClient;
    customers: customer::customers_client::CustomersClient;
    ownership: customer::ownership_client::OwnershipClient;
    orders: customer::orders_client::OrdersClient;
    timeline: customer::timeline_client::TimelineClient;
    catalogue: customer::catalogue_client::CatalogueClient;
    segments: customer::segments_client::SegmentsClient;
    imports: customer::import_client::ImportClient;
    exports: customer::export_client::ExportClient;
    plans: followup::plans_client::PlansClient;
    tasks: followup::tasks_client::TasksClient;
    calendars: followup::calendars_client::CalendarsClient;
    metrics: followup::metrics_client::MetricsClient;
    deliveries: notification::deliveries_client::DeliveriesClient;
    endpoints: notification::endpoints_client::EndpointsClient;
    inbox: notification::inbox_client::InboxClient;
    preferences: notification::preferences_client::PreferencesClient;
    templates: notification::templates_client::TemplatesClient;
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_call_that_is_put_off_is_made_again_and_one_that_is_refused_is_not() {
        let made = AtomicU32::new(0);
        let call = |wish: u32| {
            let turn = made.fetch_add(1, Ordering::Relaxed);
            async move {
                match (turn, wish) {
                    (0..2, _) => Err(Status::unavailable("not now")),
                    (_, 0) => Err(Status::permission_denied("not you")),
                    (_, wish) => Ok(Response::new(wish)),
                }
            }
        };
        assert_eq!(patiently(7, call).await.expect("an answer"), 7);
        assert_eq!(made.load(Ordering::Relaxed), 3);
        assert_eq!(patiently(0, call).await.expect_err("a refusal").kind, Kind::Denied);
        assert_eq!(made.load(Ordering::Relaxed), 4);
    }
}
