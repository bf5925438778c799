//! An identity without a database: one tenant with one user, a lease that can be withheld, and a signing key.

use std::{
    collections::BTreeMap,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey, pkcs8::EncodePrivateKey};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use revisit_bootstrap::{
    RevisionToken,
    auth::{AUDIENCE, Claims, ISSUER},
};
use revisit_core::{
    Clock, Id, Ids,
    id::{SessionId, SubjectId, TenantId},
};
use revisit_permission::{Change, Subject, SubjectState};
use revisit_proto::identity::v1::{
    GetSnapshotRequest, GetSnapshotResponse, ListChangesRequest, ListChangesResponse, ListKeysRequest,
    ListKeysResponse, RenewLeaseRequest, RenewLeaseResponse, TenantRevision, WatchChangesRequest, WatchChangesResponse,
    leases_server::Leases,
};
use tokio::sync::broadcast;
use tokio_stream::{Stream, StreamExt, wrappers::BroadcastStream};
use tonic::{Request, Response, Status};

/// Id of the only signing key.
pub const KEY_ID: &str = "k1";

/// A fake identity. Clones are one.
#[derive(Clone)]
pub struct FakeIdentity {
    /// The tenant.
    pub tenant: TenantId,
    /// Its user.
    pub user: SubjectId,
    /// The user's session.
    pub session: SessionId,
    key: Arc<SigningKey>,
    clock: Clock,
    state: Arc<Mutex<State>>,
    changes: broadcast::Sender<WatchChangesResponse>,
}

/// What tests turn.
pub struct State {
    /// The log of the tenant; revision n is the n-th.
    pub log: Vec<Vec<Change>>,
    /// Time to live of a lease.
    pub ttl_millis: i64,
    /// Whether renewals are refused.
    pub away: bool,
    /// Whether snapshots and changes are withheld.
    pub silent: bool,
    /// Whether changes are pushed.
    pub pushes: bool,
    /// Incarnation of the database that it does not have.
    pub incarnation: String,
    /// What was acknowledged: holder → (renewals, revision of the tenant, whether it was named).
    pub holders: BTreeMap<String, (u64, Option<i64>)>,
    /// Revisions at which a snapshot was taken, with whether the holder had named the tenant before.
    pub snapshots: Vec<(i64, bool)>,
}

impl Default for FakeIdentity {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeIdentity {
    /// One tenant with one active user.
    pub fn new() -> Self {
        Self::on(Clock::system())
    }

    /// The same on a clock of the test's own: leases, and with them every decision, have its time.
    pub fn on(clock: Clock) -> Self {
        let ids = Ids::random();
        let now = clock.wall();
        let user = ids.next(now);
        let subject = Subject::user(user, "Mei", SubjectState::Active);
        Self {
            tenant: ids.next(now),
            user,
            session: ids.next(now),
            key: Arc::new(SigningKey::from_bytes(&ids.bytes())),
            clock,
            state: Arc::new(Mutex::new(State {
                log: vec![vec![Change::Subject(subject)]],
                ttl_millis: 2_000,
                away: false,
                silent: false,
                pushes: true,
                incarnation: "first".to_owned(),
                holders: BTreeMap::new(),
                snapshots: Vec::new(),
            })),
            changes: broadcast::channel(64).0,
        }
    }

    /// What tests turn.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics while it holds the state")
    }

    /// Commits a revision; answers its number.
    pub fn commit(&self, changes: Vec<Change>) -> i64 {
        let mut state = self.state();
        state.log.push(changes.clone());
        let revision = state.log.len() as i64;
        if state.pushes {
            // Nobody may listen yet.
            let _ = self.changes.send(self.revision(&state, revision, &changes));
        }
        revision
    }

    /// The claims of a token that is good now.
    pub fn claims(&self) -> Claims {
        let now = self.clock.wall().seconds();
        Claims {
            iss: ISSUER.to_owned(),
            aud: AUDIENCE.to_owned(),
            sub: self.user.to_string(),
            tid: self.tenant.to_string(),
            sid: self.session.to_string(),
            typ: "user".to_owned(),
            rev: 1,
            wnd: None,
            iat: now,
            nbf: now,
            exp: now + 300,
            jti: self.user.to_string(),
        }
    }

    /// A good access token of the user.
    pub fn token(&self) -> String {
        self.sign(&self.claims(), KEY_ID)
    }

    /// A token with these claims under this key id.
    pub fn sign(&self, claims: &Claims, key_id: &str) -> String {
        let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::EdDSA) };
        let der = self.key.to_pkcs8_der().expect("a key has a form");
        jsonwebtoken::encode(&header, claims, &EncodingKey::from_ed_der(der.as_bytes())).expect("claims are JSON")
    }

    /// The token of a revision of a tenant.
    pub fn revision_token(&self, tenant: TenantId, revision: i64) -> String {
        let incarnation = self.state().incarnation.clone();
        let token = RevisionToken { tenant, revision, incarnation, key_id: KEY_ID.to_owned() };
        token.encode(|bytes| Ok::<_, ()>(self.key.sign(bytes).to_bytes())).expect("it is signed")
    }

    fn revision(&self, state: &State, revision: i64, changes: &[Change]) -> WatchChangesResponse {
        let (tenant_id, incarnation) = (self.tenant.to_string(), state.incarnation.clone());
        WatchChangesResponse { tenant_id, revision, changes: json(changes), incarnation }
    }

    fn known(&self, tenant_id: &str) -> Result<(), Status> {
        if tenant_id == self.tenant.to_string() { Ok(()) } else { Err(Status::not_found("no such tenant")) }
    }
}

fn json(changes: &[Change]) -> Vec<Vec<u8>> {
    changes.iter().map(|change| serde_json::to_vec(change).expect("a change is JSON")).collect()
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl Leases for FakeIdentity {
    type GetSnapshotStream = Streamed<GetSnapshotResponse>;
    type WatchChangesStream = Streamed<WatchChangesResponse>;

    async fn renew_lease(&self, request: Request<RenewLeaseRequest>) -> Result<Response<RenewLeaseResponse>, Status> {
        let request = request.into_inner();
        let mut state = self.state();
        if state.away {
            return Err(Status::unavailable("away"));
        }
        let named = request.tenants.iter().find(|named| self.known(&named.tenant_id).is_ok());
        let holder = state.holders.entry(request.holder).or_default();
        *holder = (holder.0 + 1, named.map(|named| named.revision));
        let revision = state.log.len() as i64;
        let tenants = named.map(|named| TenantRevision { tenant_id: named.tenant_id.clone(), revision });
        Ok(Response::new(RenewLeaseResponse {
            ttl_millis: state.ttl_millis,
            database_time_micros: self.clock.wall().micros(),
            tenants: tenants.into_iter().collect(),
            incarnation: state.incarnation.clone(),
        }))
    }

    async fn get_snapshot(
        &self,
        request: Request<GetSnapshotRequest>,
    ) -> Result<Response<Self::GetSnapshotStream>, Status> {
        self.known(&request.get_ref().tenant_id)?;
        let mut state = self.state();
        if state.silent {
            return Err(Status::unavailable("silent"));
        }
        let revision = state.log.len() as i64;
        let named = state.holders.values().any(|(_, named)| named.is_some());
        state.snapshots.push((revision, named));
        let parts: Vec<_> = state
            .log
            .iter()
            .map(|changes| {
                Ok(GetSnapshotResponse { revision, changes: json(changes), incarnation: state.incarnation.clone() })
            })
            .collect();
        Ok(Response::new(Box::pin(tokio_stream::iter(parts))))
    }

    async fn watch_changes(
        &self,
        _: Request<WatchChangesRequest>,
    ) -> Result<Response<Self::WatchChangesStream>, Status> {
        let changes = BroadcastStream::new(self.changes.subscribe());
        Ok(Response::new(Box::pin(changes.filter_map(|change| change.ok().map(Ok)))))
    }

    async fn list_changes(
        &self,
        request: Request<ListChangesRequest>,
    ) -> Result<Response<ListChangesResponse>, Status> {
        let request = request.into_inner();
        self.known(&request.tenant_id)?;
        let state = self.state();
        if state.silent {
            return Err(Status::unavailable("silent"));
        }
        let after = usize::try_from(request.after_revision).unwrap_or(0);
        let later = state.log.iter().enumerate().skip(after);
        let revisions = later.map(|(index, changes)| self.revision(&state, index as i64 + 1, changes)).collect();
        Ok(Response::new(ListChangesResponse { revisions }))
    }

    async fn list_keys(&self, _: Request<ListKeysRequest>) -> Result<Response<ListKeysResponse>, Status> {
        let x = URL_SAFE_NO_PAD.encode(self.key.verifying_key().as_bytes());
        let key = serde_json::json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA", "kid": KEY_ID, "x": x });
        Ok(Response::new(ListKeysResponse { jwks_json: serde_json::json!({ "keys": [key] }).to_string() }))
    }
}

/// An id that nothing has.
pub fn unknown_id<K>() -> Id<K> {
    Ids::random().next(Clock::system().wall())
}
