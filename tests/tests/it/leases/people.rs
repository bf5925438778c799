//! Who has a right and loses it, in each of the ways in which one is lost; and who keeps it.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use revisit_bootstrap::status::answer;
use revisit_core::{Clock, Failure, Kind, Steady};
use revisit_proto::identity::v1::{
    self as pb, access_client::AccessClient, auth_client::AuthClient, directory_client::DirectoryClient,
    revoke_and_wait_request::Target,
};
use revisit_tests::world::{TENANT, World, credentials};
use tonic::{Code, Request, Response, Status, transport::Channel};

use super::{
    fleet::{Fleet, REPLICAS},
    watch::{Right, Watch},
};

/// Time for a call to identity: a revocation waits for the leases of the silent.
const CALL_MAX: Duration = Duration::from_secs(10);
/// Tries of a call, and the pause between them: an identity that was stopped may hold a company's row until it goes on.
const TRIES_MAX: usize = 20;
const PAUSE: Duration = Duration::from_millis(200);

/// How a right is lost.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loss {
    Grant,
    Session,
    Suspension,
    /// It is kept.
    Never,
}

/// One person, and what asks for it, at each replica.
pub struct Holder {
    pub loss: Loss,
    id: String,
    username: String,
    pub watches: Vec<Watch>,
    /// The grant or session of now.
    held: String,
}

/// All of them, and the administrator.
pub struct People {
    administrator: String,
    customer_id: String,
    pub holders: Vec<Holder>,
}

/// Who is told what to do, and the session for it.
pub struct Line {
    channel: Channel,
    token: Arc<str>,
}

impl Line {
    /// A call, again until it is answered, or refused for a reason.
    async fn call<M: Clone, T, F>(&self, message: M, call: impl Fn(Channel, Request<M>) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<Response<T>, Status>>,
    {
        let mut tries = 1;
        loop {
            let mut request = Request::new(message.clone());
            let value = format!("Bearer {}", self.token).parse().expect("a token is ASCII");
            request.metadata_mut().insert("authorization", value);
            request.set_timeout(CALL_MAX);
            let called = tokio::time::timeout(CALL_MAX, call(self.channel.clone(), request)).await;
            let called = called.unwrap_or_else(|_| Err(Status::deadline_exceeded("nobody answers")));
            match called {
                Err(status) if is_no_answer(status.code()) && tries < TRIES_MAX => tries += 1,
                called => return answer(called),
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// Whether the connection broke, or somebody who is away was needed.
fn is_no_answer(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown | Code::Aborted)
}

impl People {
    /// Hires them and makes the customer whom they ask for.
    pub async fn hire(world: &World) -> Self {
        let mut holders = Vec::new();
        for (loss, username) in
            [(Loss::Grant, "gu"), (Loss::Session, "lin"), (Loss::Suspension, "jun"), (Loss::Never, "bo")]
        {
            let person = match loss {
                Loss::Grant => world.roleless(username).await,
                Loss::Session | Loss::Suspension | Loss::Never => {
                    world.hire(username, "regional_manager", &world.root).await
                }
            };
            let (id, username) = (person.id.to_string(), username.to_owned());
            holders.push(Holder { loss, id, username, watches: Vec::new(), held: String::new() });
        }
        let owner = world.log_in(TENANT, "bo").await.expect("a session");
        let customer = world.customer(&owner, "王芳", "13800001001").await;
        let administrator = world.admin.username.to_string();
        Self { administrator, customer_id: customer.customer_id, holders }
    }

    /// Each begins to ask each replica.
    pub async fn come(mut self, fleet: &Fleet) -> Self {
        for holder in &mut self.holders {
            let begin = |place: usize| {
                let name = format!("{} at customer {place}", holder.username);
                Watch::begin(name, fleet.customers[place].channel(), &self.customer_id)
            };
            holder.watches = (0..REPLICAS).map(begin).collect();
        }
        self
    }

    /// Everybody who asks.
    pub fn watches(&self) -> impl Iterator<Item = &Watch> {
        self.holders.iter().flat_map(|holder| &holder.watches)
    }

    /// Gives everybody the right, by way of an identity, and waits until every replica allows. Answers the session of
    /// who gives, who takes it back: to log in then would take longer than some leases.
    pub async fn give(&mut self, identity: &Channel) -> Line {
        let admin = self.administrator(identity).await;
        for holder in &mut self.holders {
            let mut quiet = Vec::new();
            for watch in &holder.watches {
                quiet.push(watch.quiet().await);
            }
            holder.give(&admin).await;
            let session = log_in(identity, &holder.username).await;
            holder.watches.iter().for_each(|watch| watch.come_with(&session.access_token));
            if holder.loss == Loss::Session {
                holder.held = session.session_id;
            }
        }
        self.until(Right::There, |_| true).await;
        admin
    }

    /// Waits until everybody of whom it is asked is answered so at every replica.
    pub async fn until(&self, right: Right, of: impl Fn(Loss) -> bool) {
        let since = Clock::system().steady();
        for watch in self.holders.iter().filter(|holder| of(holder.loss)).flat_map(|holder| &holder.watches) {
            watch.until(right, since).await;
        }
    }

    /// Takes the rights back, all at once; answers of each when that was told and how.
    pub async fn revoke(&self, admin: &Line) -> Vec<Told> {
        let losers = self.holders.iter().filter(|holder| holder.loss != Loss::Never);
        let revocations = losers.map(|holder| holder.revoke(admin));
        join_all(revocations).await.into_iter().flatten().collect()
    }

    async fn administrator(&self, identity: &Channel) -> Line {
        let session = log_in(identity, &self.administrator).await;
        Line { channel: identity.clone(), token: session.access_token.into() }
    }
}

/// That a right is taken back everywhere.
#[derive(Clone, Copy)]
pub struct Told {
    pub loss: Loss,
    pub at: Steady,
    pub acknowledged: bool,
}

/// Logs somebody in, as soon as that is possible.
async fn log_in(identity: &Channel, username: &str) -> pb::TokenPair {
    let who = credentials(TENANT, username);
    let line = Line { channel: identity.clone(), token: "nobody".into() };
    let request = pb::LogInRequest {
        tenant_key: who.tenant,
        username: who.username,
        password: who.password,
        device: "a test".to_owned(),
    };
    let call = |channel, request| async move { AuthClient::new(channel).log_in(request).await };
    line.call(request, call).await.expect("the password is good")
}

impl Holder {
    async fn give(&mut self, admin: &Line) {
        match self.loss {
            Loss::Grant => {
                let request = grant(&self.id);
                let call = |channel, request| async move { AccessClient::new(channel).create_grant(request).await };
                self.held = admin.call(request, call).await.expect("it is granted").grant_id;
            }
            Loss::Suspension => {
                let request = pb::ReactivateUserRequest { user_id: self.id.clone(), ..Default::default() };
                let call =
                    |channel, request| async move { DirectoryClient::new(channel).reactivate_user(request).await };
                // Active already in the first round, and after a revocation that was not answered.
                if let Err(failure) = admin.call(request, call).await {
                    assert_eq!(failure.reason, "USER_STATE", "{failure:?}");
                }
            }
            Loss::Session | Loss::Never => {}
        }
    }

    /// Nothing when the first try was not answered, and a later one finds nothing left to take.
    async fn revoke(&self, admin: &Line) -> Option<Told> {
        let target = match self.loss {
            Loss::Grant => Target::GrantId(self.held.clone()),
            Loss::Session => Target::SessionId(self.held.clone()),
            Loss::Suspension | Loss::Never => Target::UserId(self.id.clone()),
        };
        let request = pb::RevokeAndWaitRequest { target: Some(target), reason: "a test".to_owned() };
        let call = |channel, request| async move { AccessClient::new(channel).revoke_and_wait(request).await };
        let revoked = admin.call(request, call).await;
        let at = Clock::system().steady();
        match revoked {
            Ok(revoked) => Some(Told { loss: self.loss, at, acknowledged: revoked.acknowledged }),
            Err(failure) => {
                assert!(matches!(failure.kind, Kind::NotFound | Kind::Precondition), "{failure:?}");
                None
            }
        }
    }
}

fn grant(holder_id: &str) -> pb::CreateGrantRequest {
    pb::CreateGrantRequest {
        holder_id: holder_id.to_owned(),
        right: Some(pb::GrantTemplate {
            actions: vec!["customer.view".to_owned()],
            extent: Some(pb::Extent { kind: pb::ExtentKind::Tenant.into(), ..Default::default() }),
            levels: Some(pb::LayerLevels { basic: pb::Level::Read.into(), ..Default::default() }),
            ..Default::default()
        }),
        reason: "a test".to_owned(),
        ..Default::default()
    }
}
