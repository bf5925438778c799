//! An identity of its own for each test: an initialised database, a process, and people who have logged in.

use std::time::Duration;

use revisit_bootstrap::{Process, Running, Shutdown, Sources};
use revisit_core::{Clock, Ids};
use revisit_proto::identity::v1::{
    self as pb, access_client::AccessClient, audit_client::AuditClient, auth_client::AuthClient,
    directory_client::DirectoryClient, external_resources_client::ExternalResourcesClient,
    external_types_client::ExternalTypesClient, hand_overs_client::HandOversClient,
};
use revisit_tests::databases::{Backend, TestDatabase};
use tempfile::TempDir;
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_types::StatusExt;

/// Key of the first company.
pub const COMPANY: &str = "acme";
/// Log-in name of its administrator.
pub const ADMINISTRATOR: &str = "boss";
/// Everybody's password.
pub const PASSWORD: &str = "a long enough password";
/// Sessions of one subject.
pub const SESSIONS_MAX: usize = 5;
/// Users that the other services hear of with the change itself.
pub const USERS_TOLD_MAX: usize = 3;
/// What customer and followup show when a test speaks for them.
pub const CUSTOMER_TOKEN: &str = "the service token of customer";
pub const FOLLOWUP_TOKEN: &str = "the service token of followup";
/// A key for what is kept of requests, 32 bytes in base64.
const INDEX_KEY: &str = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
/// How long a test waits for what is told by events.
const PATIENCE: Duration = Duration::from_secs(10);

/// Puts a token on each call.
#[derive(Clone)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

type Line = InterceptedService<Channel, Bearer>;

/// Somebody who has logged in.
#[derive(Clone)]
pub struct Person {
    /// What the log-in answered.
    pub tokens: pb::TokenPair,
    line: Line,
}

impl Person {
    fn new(channel: &Channel, tokens: pb::TokenPair) -> Self {
        let value = format!("Bearer {}", tokens.access_token).parse().expect("a token is ASCII");
        Self { line: InterceptedService::new(channel.clone(), Bearer(value)), tokens }
    }

    pub fn directory(&self) -> DirectoryClient<Line> {
        DirectoryClient::new(self.line.clone())
    }

    pub fn access(&self) -> AccessClient<Line> {
        AccessClient::new(self.line.clone())
    }

    pub fn auth(&self) -> AuthClient<Line> {
        AuthClient::new(self.line.clone())
    }

    pub fn audit(&self) -> AuditClient<Line> {
        AuditClient::new(self.line.clone())
    }

    pub fn external_types(&self) -> ExternalTypesClient<Line> {
        ExternalTypesClient::new(self.line.clone())
    }

    pub fn external_resources(&self) -> ExternalResourcesClient<Line> {
        ExternalResourcesClient::new(self.line.clone())
    }

    pub fn hand_overs(&self) -> HandOversClient<Line> {
        HandOversClient::new(self.line.clone())
    }
}

/// A running identity and its first company.
pub struct World {
    pub running: Running,
    pub channel: Channel,
    pub admin: Person,
    pub operator: Person,
    pub tenant: pb::Tenant,
    pub database: TestDatabase,
    pub folder: TempDir,
}

/// Runs a test in a fresh world on each database.
#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran")]
pub async fn on_each(test: impl AsyncFn(&World)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let world = World::start(backend).await;
        test(&world).await;
        world.end().await;
    }
}

pub fn settings(database: &TestDatabase, folder: &TempDir) -> String {
    format!(
        "[server]\nlisten = \"127.0.0.1:0\"\ndrain_seconds_max = 2\n\
         [telemetry]\nlog = \"warn\"\n\
         [database]\nurl = \"{}\"\ndurable = false\nmigrate = \"always\"\nconnections_max = 8\n\
         [identity]\nkeys_folder = \"{}/keys\"\nlease_ttl_millis = 1000\nsessions_max = {SESSIONS_MAX}\n\
         users_told_max = {USERS_TOLD_MAX}\npreview_policies_max = 100\n\
         audit_checkpoint_seconds = 1\n\
         [seal]\nindex_current = \"a\"\nindex_keys.a = \"{INDEX_KEY}\"\n\
         [callers]\ncustomer.token = \"{CUSTOMER_TOKEN}\"\nfollowup.token = \"{FOLLOWUP_TOKEN}\"\n",
        database.url,
        folder.path().display()
    )
}

/// The layers of one process.
pub fn layers(database: &TestDatabase, folder: &TempDir) -> revisit_bootstrap::config::Layers {
    let services = [revisit_identity::service()];
    let mut layers = Process::manuals(&services, &[]).expect("the manuals are TOML");
    layers.add("the test", &settings(database, folder)).expect("the settings are TOML");
    layers
}

/// Runs `init` on a database.
pub async fn init(
    database: &TestDatabase,
    folder: &TempDir,
) -> Result<revisit_identity::Initialised, revisit_core::Failure> {
    let mut layers = layers(database, folder);
    let config: revisit_identity::Config = layers.take("identity").expect("the section is valid");
    let settings: revisit_bootstrap::Settings = layers.finish().expect("the settings are valid");
    let first = revisit_identity::First {
        tenant_key: COMPANY.to_owned(),
        tenant_name: "Acme".to_owned(),
        administrator: ADMINISTRATOR.to_owned(),
        administrator_email: "boss@acme.example".to_owned(),
        operator_email: "operator@revisit.example".to_owned(),
        region: String::new(),
    };
    revisit_identity::init(&config, &settings.database, (Clock::system(), Ids::random()), &first).await
}

impl World {
    pub async fn start(backend: Backend) -> Self {
        let database = TestDatabase::new(backend).await;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let made = init(&database, &folder).await.expect("it is initialised");
        let running = replica(&database, &folder).await;
        let channel = channel(&running);
        let admin = first_log_in(&channel, COMPANY, ADMINISTRATOR, &made.tenant.password_token).await;
        let operators = (revisit_identity::OPERATORS, revisit_identity::OPERATOR);
        let operator = first_log_in(&channel, operators.0, operators.1, &made.operator.password_token).await;
        let tenant_id = admin.tokens.tenant_id.clone();
        let tenant = admin.directory().get_tenant(pb::GetTenantRequest { tenant_id }).await;
        let tenant = tenant.expect("everybody sees the own company").into_inner();
        Self { running, channel, admin, operator, tenant, database, folder }
    }

    /// Another replica on the same database.
    pub async fn replica(&self) -> Running {
        replica(&self.database, &self.folder).await
    }

    /// Where the files of this world lie.
    pub const fn folder(&self) -> &TempDir {
        &self.folder
    }

    pub async fn end(self) {
        self.running.stop().await.expect("it ends in order");
        self.database.close().await;
    }

    /// A client without a token.
    pub fn auth(&self) -> AuthClient<Channel> {
        AuthClient::new(self.channel.clone())
    }

    pub async fn log_in(&self, username: &str) -> Person {
        log_in(&self.channel, COMPANY, username).await.expect("the log-in is good")
    }

    /// The position of a shipped role, which is declared at the root.
    pub async fn position(&self, name: &str) -> String {
        let request = pb::ListPositionsRequest::default();
        let positions = self.admin.directory().list_positions(request).await.expect("they are listed").into_inner();
        positions.positions.into_iter().find(|it| it.name == name).expect("it ships").position_id
    }

    /// The shipped role of a key.
    pub async fn role(&self, key: &str) -> String {
        let request = pb::ListRolesRequest::default();
        let roles = self.admin.access().list_roles(request).await.expect("they are listed").into_inner();
        roles.roles.into_iter().find(|it| it.key == key).expect("it ships").role_id
    }

    /// A department below another one.
    pub async fn department(&self, parent_id: &str, name: &str) -> pb::Department {
        let (parent_id, name) = (parent_id.to_owned(), name.to_owned());
        let request = pb::CreateDepartmentRequest { parent_id, name, ..pb::CreateDepartmentRequest::default() };
        self.admin.directory().create_department(request).await.expect("it is made").into_inner()
    }

    /// A user who has set a password.
    pub async fn user(&self, username: &str, department_id: &str, position: &str) -> pb::User {
        let request = self.new_user(username, department_id, position).await;
        let made = self.admin.directory().create_user(request).await.expect("it is made").into_inner();
        set_password(&self.channel, &made.password_token).await.expect("the token is good");
        made.user.expect("the answer holds the user")
    }

    /// A request for a user.
    pub async fn new_user(&self, username: &str, department_id: &str, position: &str) -> pb::CreateUserRequest {
        pb::CreateUserRequest {
            username: username.to_owned(),
            display_name: username.to_owned(),
            email: format!("{username}@acme.example"),
            department_id: department_id.to_owned(),
            position_ids: vec![self.position(position).await],
            ..pb::CreateUserRequest::default()
        }
    }

    /// Asks until the answer is there.
    pub async fn eventually<T>(&self, what: &str, ask: impl AsyncFn() -> Option<T>) -> T {
        let asking = async {
            loop {
                if let Some(found) = ask().await {
                    return found;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(PATIENCE, asking).await.expect(what)
    }
}

pub async fn replica(database: &TestDatabase, folder: &TempDir) -> Running {
    let process = Process::new("identity", &[revisit_identity::service()], layers(database, folder));
    let process = process.expect("the configuration is valid");
    process.start(Sources::default(), Shutdown::new()).await.expect("it starts")
}

pub fn channel(running: &Running) -> Channel {
    Endpoint::from_shared(format!("http://{}", running.address)).expect("an address").connect_lazy()
}

pub async fn set_password(channel: &Channel, token: &str) -> Result<pb::SetPasswordResponse, Status> {
    let (password_token, password) = (token.to_owned(), PASSWORD.to_owned());
    let request = pb::SetPasswordRequest { password_token, password };
    Ok(AuthClient::new(channel.clone()).set_password(request).await?.into_inner())
}

pub async fn log_in(channel: &Channel, tenant_key: &str, username: &str) -> Result<Person, Status> {
    let tokens = try_password(channel, (tenant_key, username), PASSWORD).await?;
    Ok(Person::new(channel, tokens))
}

pub async fn try_password(
    channel: &Channel,
    (tenant_key, username): (&str, &str),
    password: &str,
) -> Result<pb::TokenPair, Status> {
    let request = pb::LogInRequest {
        tenant_key: tenant_key.to_owned(),
        username: username.to_owned(),
        password: password.to_owned(),
        device: "a test".to_owned(),
    };
    Ok(AuthClient::new(channel.clone()).log_in(request).await?.into_inner())
}

pub async fn first_log_in(channel: &Channel, tenant_key: &str, username: &str, token: &str) -> Person {
    set_password(channel, token).await.expect("the token is good");
    log_in(channel, tenant_key, username).await.expect("the log-in is good")
}

/// Code and reason of a refusal.
pub fn refusal<T>(result: Result<T, Status>) -> (Code, String) {
    let status = result.err().expect("it is refused");
    let reason = status.get_error_details().error_info().map(|info| info.reason.clone()).unwrap_or_default();
    (status.code(), reason)
}

/// The fields that a refusal names.
pub fn fields<T>(result: Result<T, Status>) -> Vec<String> {
    let status = result.err().expect("it is refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_error_details();
    let bad = details.bad_request().map(|bad| bad.field_violations.clone()).unwrap_or_default();
    bad.into_iter().map(|violation| violation.field).collect()
}

/// A refusal as code and reason, to compare with [`refusal`].
pub fn refused(code: Code, reason: &str) -> (Code, String) {
    (code, reason.to_owned())
}
