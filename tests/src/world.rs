//! A whole Revisit inside a test: four services on a clock that stands still, a mail sink, a webhook receiver, people.

mod restart;

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use revisit_bootstrap::{Service, Shutdown, status::answer};
use revisit_core::{Failure, ManualClock, Timestamp};
use revisit_proto::{customer::v1 as customer, followup::v1 as followup, identity::v1 as identity};
use revisit_standalone::{
    Running, ScratchFolder, Setup,
    client::{Credentials, Person},
    mail_sink::MailSink,
    webhook_receiver::WebhookReceiver,
};
use sea_orm::ConnectionTrait;

use crate::databases::Backend;

pub use restart::Fate;

/// Password of everybody.
pub const PASSWORD: &str = "a-password-for-tests";
/// Key of the first company.
pub const TENANT: &str = "haitang";
/// Monday, 2027-01-04, 08:00 in Shanghai: an hour before people work.
const BEGIN: Timestamp = Timestamp::from_micros(1_799_020_800_000_000);
/// Databases of one world on PostgreSQL; connections of each. Many worlds share one server.
const SERVICES: [&str; 4] = ["identity", "customer", "followup", "notification"];
const CONNECTIONS: u32 = 6;
/// Role as which measured services connect: row security binds it, as it does not bind a superuser.
const SERVICE_ROLE: &str = "revisit_service";
/// What measured services are told: what ships, where a test's own settings differ from it.
const MEASURED: &str = "[identity]\nlease_ttl_millis = 2000\n";
const MEASURED_DATABASE: &str = "durable = true\nconnections_max = 16\nacquire_millis_max = 2000\n";

/// What a world that is measured stands on: PostgreSQL, the machine's own clock, writes that wait for the disk.
#[derive(Default)]
pub struct Ground {
    /// Settings laid over those of a test.
    pub settings: String,
    /// The services that run; all four when none is named.
    pub only: Vec<&'static str>,
    /// Other services in the same process.
    pub beside: Vec<Service>,
}

/// A running Revisit with one company, of which nothing but the administrator exists.
pub struct World {
    /// The services.
    pub running: Running,
    /// Where mail goes.
    pub sink: MailSink,
    /// Where webhooks go.
    pub receiver: WebhookReceiver,
    /// The company's administrator.
    pub admin: Person,
    /// Who makes companies.
    pub operator: Person,
    /// UUID of the root department.
    pub root: String,
    positions: BTreeMap<String, String>,
    databases: Databases,
    /// What it starts again from, and the clock that it stands still on.
    setup: Setup,
    manual: Option<ManualClock>,
    _folder: ScratchFolder,
}

/// Runs a journey on each backend.
#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran")]
pub async fn in_each_world(journey: impl AsyncFn(&World)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let world = World::start(backend).await;
        journey(&world).await;
        world.running.stop().await.expect("it stops without a fault");
    }
}

impl World {
    /// Starts everything on fresh databases, on a clock that stands still.
    pub async fn start(backend: Backend) -> Self {
        Self::start_with(backend, "").await
    }

    /// The same with settings laid over those of a test.
    pub async fn start_with(backend: Backend, settings: &str) -> Self {
        Self::with(
            backend,
            Some(ManualClock::at(BEGIN)),
            &Ground { settings: settings.to_owned(), ..Ground::default() },
        )
        .await
    }

    /// Starts everything on SQLite and on the machine's own clock, with settings laid over those of a test.
    pub async fn in_real_time(settings: &str) -> Self {
        Self::with(Backend::Sqlite, None, &Ground { settings: settings.to_owned(), ..Ground::default() }).await
    }

    /// Starts what is to be measured on fresh databases of PostgreSQL.
    pub async fn on(ground: Ground) -> Self {
        Self::with(Backend::Postgres, None, &ground).await
    }

    async fn with(backend: Backend, manual: Option<ManualClock>, ground: &Ground) -> Self {
        let sink = MailSink::start().await.expect("a free port");
        let receiver = WebhookReceiver::start().await.expect("a free port");
        let folder = ScratchFolder::make().expect("a folder");
        let setup = Setup::from_manuals()
            .and_then(|setup| setup.founding(TENANT, "海棠家居").throw_away(folder.path(), sink.address()))
            .and_then(|setup| setup.with("[telemetry]\nlog = \"warn\"\n"))
            .expect("the configuration is valid");
        let databases = match (backend, &manual) {
            (Backend::Sqlite, _) => Databases::default(),
            (Backend::Postgres, Some(_)) => Databases::fresh(None).await,
            // Whose clock is the machine's is measured: by the settings that ship, and bound by row security.
            (Backend::Postgres, None) => Databases::fresh(Some(SERVICE_ROLE)).await,
        };
        let measured = if databases.role.is_some() { MEASURED } else { "" };
        let setup = setup
            .with(&databases.settings)
            .and_then(|setup| setup.with(measured))
            .and_then(|setup| setup.with(&ground.settings))
            .and_then(|setup| if ground.only.is_empty() { Ok(setup) } else { setup.only(&ground.only) })
            .expect("the configuration is valid");
        let setup = ground.beside.iter().cloned().fold(setup, Setup::beside);
        let running = setup.clone().start(manual.clone(), Shutdown::new()).await.expect("it starts");
        let first = running.first_log_ins().expect("the databases were empty").clone();
        let accept = async |tenant: &str, username: &str, link: String| {
            let who = credentials(tenant, username);
            Person::accept(running.channel(), running.clock(), link, &who).await.expect("the link is good")
        };
        let admin = accept(&first.tenant, &first.administrator, first.administrator_link).await;
        let operator = accept(&first.operators, &first.operator, first.operator_link).await;
        let tenant = identity::GetTenantRequest { tenant_id: admin.tenant_id.to_string() };
        let tenant = answer(admin.directory().get_tenant(tenant).await).expect("the own company");
        let root = tenant.root_department_id;
        let positions = positions(&admin, &root).await;
        Self { running, sink, receiver, admin, operator, root, positions, databases, setup, manual, _folder: folder }
    }

    /// The settings that name its databases, to start something else on the same data.
    #[must_use]
    pub fn database_settings(&self) -> &str {
        &self.databases.settings
    }

    /// Name of a service's database, on PostgreSQL.
    #[must_use]
    pub fn database(&self, service: &str) -> String {
        format!("{}_{service}", self.databases.name)
    }

    /// The instant of now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.running.now()
    }

    /// Where its SQLite databases lie.
    #[must_use]
    pub fn folder(&self) -> &std::path::Path {
        self._folder.path()
    }

    /// Waits until nothing is left to do now.
    pub async fn settle(&self) {
        self.running.settle().await.expect("it comes to rest");
    }

    /// Moves the clock from due instant to due instant until `end`.
    pub async fn advance_to(&self, end: Timestamp) {
        self.settle().await;
        loop {
            let now = self.now();
            let due = self.running.next_due().await.filter(|due| *due > now && *due < end);
            self.running.advance_to(due.unwrap_or(end)).await.expect("it comes to rest");
            if due.is_none() {
                return;
            }
        }
    }

    /// Moves the clock by a span.
    pub async fn advance(&self, span: Duration) {
        self.advance_to(self.now() + span).await;
    }

    /// Logs somebody in anew.
    pub async fn log_in(&self, tenant: &str, username: &str) -> Result<Person, Failure> {
        Person::log_in(self.running.channel(), self.running.clock(), &credentials(tenant, username)).await
    }

    /// Adds a department below another.
    pub async fn department(&self, name: &str, parent_id: &str) -> String {
        let request = identity::CreateDepartmentRequest {
            parent_id: parent_id.to_owned(),
            name: name.to_owned(),
            ..Default::default()
        };
        answer(self.admin.directory().create_department(request).await).expect("a department").department_id
    }

    /// Hires somebody with a shipped role and logs them in; they have a mail address.
    pub async fn hire(&self, username: &str, role: &str, department_id: &str) -> Person {
        let request = identity::CreateUserRequest {
            username: username.to_owned(),
            display_name: username.to_owned(),
            email: format!("{username}@{TENANT}.example"),
            department_id: department_id.to_owned(),
            position_ids: self.positions.get(role).cloned().into_iter().collect(),
            ..Default::default()
        };
        let made = answer(self.admin.directory().create_user(request).await).expect("a user");
        let who = credentials(TENANT, username);
        let (channel, clock) = (self.running.channel(), self.running.clock());
        let person = Person::accept(channel, clock, made.password_token, &who).await.expect("the link is good");
        self.settle().await;
        person
    }

    /// Hires somebody and takes the only role away.
    pub async fn roleless(&self, username: &str) -> Person {
        let person = self.hire(username, "sales_rep", &self.root).await;
        let request = identity::ListRoleAssignmentsRequest { user_id: person.id.to_string() };
        let held = answer(self.admin.access().list_role_assignments(request).await).expect("roles").assignments;
        for assignment in held {
            let request = identity::SetRoleOverrideRequest {
                user_id: person.id.to_string(),
                role_id: assignment.role_id,
                source: identity::RoleSource::Removed.into(),
                ..Default::default()
            };
            answer(self.admin.access().set_role_override(request).await).expect("it is taken away");
        }
        self.settle().await;
        person
    }

    /// Makes somebody the head of a department.
    pub async fn appoint(&self, head: &Person, department_id: &str) {
        let department = identity::Department {
            department_id: department_id.to_owned(),
            head_id: head.id.to_string(),
            ..Default::default()
        };
        let request = identity::UpdateDepartmentRequest {
            department: Some(department),
            update_mask: mask(&["head_id"]),
            ..Default::default()
        };
        answer(self.admin.directory().update_department(request).await).expect("a head");
        self.settle().await;
    }

    /// Creates a customer with a telephone number; its creator owns it.
    pub async fn customer(&self, owner: &Person, name: &str, phone: &str) -> customer::Customer {
        let point = customer::ContactPoint {
            r#type: customer::ContactType::Phone as i32,
            value: phone.to_owned(),
            ..Default::default()
        };
        let row = customer::Customer {
            kind: customer::CustomerKind::Person as i32,
            name: name.to_owned(),
            contact_points: vec![point],
            ..Default::default()
        };
        let request = customer::CreateCustomerRequest { customer: Some(row), ..Default::default() };
        let owner = owner.fresh().await.expect("a session");
        let made = answer(owner.customers().create_customer(request).await).expect("a customer");
        self.settle().await;
        made
    }

    /// Asks for a customer's clear contact values.
    pub async fn ask(&self, who: &Person, customer_id: &str) -> Result<customer::Customer, Failure> {
        let request =
            customer::GetCustomerRequest { customer_id: customer_id.to_owned(), read_mask: mask(&["contact_points"]) };
        answer(who.fresh().await?.customers().get_customer(request).await)
    }

    /// Publishes a plan for all leads from a shipped template.
    pub async fn plan(&self, template_key: &str) -> followup::Plan {
        let admin = self.admin.fresh().await.expect("a session");
        let segment = customer::Segment {
            name: template_key.to_owned(),
            filter: "stage == \"lead\"".to_owned(),
            ..Default::default()
        };
        let request = customer::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
        let segment = answer(admin.segments().create_segment(request).await).expect("a segment");
        self.settle().await;
        let definition = followup::PlanDefinition { segment_id: segment.segment_id, ..Default::default() };
        let request = followup::CreatePlanRequest {
            name: "转化".to_owned(),
            definition: Some(definition),
            template_key: template_key.to_owned(),
            ..Default::default()
        };
        let plan = answer(admin.plans().create_plan(request).await).expect("a plan");
        let request = followup::PublishPlanRequest { plan_id: plan.plan_id, ..Default::default() };
        let plan = answer(admin.plans().publish_plan(request).await).expect("a published plan");
        self.settle().await;
        plan
    }

    /// The tasks of somebody's reach in a state.
    pub async fn tasks(&self, who: &Person, state: followup::TaskState) -> Vec<followup::Task> {
        let request = followup::ListTasksRequest { page_size: 1_000, states: vec![state as i32], ..Default::default() };
        let who = who.fresh().await.expect("a session");
        answer(who.tasks().list_tasks(request).await).expect("tasks").tasks
    }
}

/// The log-in of somebody.
#[must_use]
pub fn credentials(tenant: &str, username: &str) -> Credentials {
    Credentials { tenant: tenant.to_owned(), username: username.to_owned(), password: PASSWORD.to_owned() }
}

/// A field mask.
#[must_use]
pub fn mask(paths: &[&str]) -> Option<prost_types::FieldMask> {
    Some(prost_types::FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() })
}

/// One position per shipped role, declared at the root.
async fn positions(admin: &Person, root: &str) -> BTreeMap<String, String> {
    let request = identity::ListRolesRequest { page_size: 1_000, ..Default::default() };
    let roles = answer(admin.access().list_roles(request).await).expect("roles").roles;
    let mut positions = BTreeMap::new();
    for role in roles {
        let request = identity::CreatePositionRequest {
            department_id: root.to_owned(),
            name: role.display_name,
            role_ids: vec![role.role_id],
            ..Default::default()
        };
        let position = answer(admin.directory().create_position(request).await).expect("a position");
        positions.insert(role.key, position.position_id);
    }
    positions
}

/// The databases of one world on PostgreSQL.
#[derive(Default)]
struct Databases {
    /// What their names begin with.
    name: String,
    /// Who owns them, when it is not whoever the tests connect as.
    role: Option<&'static str>,
    /// The settings that name them.
    settings: String,
}

impl Databases {
    /// Fresh ones on the server of the tests.
    async fn fresh(role: Option<&'static str>) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let server = crate::databases::postgres_server();
        let name = format!("revisit_world_{}_{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut statements = Vec::new();
        if let Some(role) = role {
            // Other runs on the same server may make it at the same time.
            statements.push(format!(
                "DO $$ BEGIN CREATE ROLE {role} LOGIN; \
                 EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$"
            ));
        }
        for service in SERVICES {
            let owner = role.map(|role| format!(" OWNER {role}")).unwrap_or_default();
            statements.push(format!("DROP DATABASE IF EXISTS {name}_{service} WITH (FORCE)"));
            statements.push(format!("CREATE DATABASE {name}_{service} TEMPLATE template0{owner}"));
        }
        let admin = sea_orm::Database::connect(&server).await.expect("the server of the tests answers");
        for statement in statements {
            admin.execute_unprepared(&statement).await.expect("the server of the tests lets us make databases");
        }
        let (before, _) = server.rsplit_once('/').expect("the address names a database");
        let (before, rest) = match (role, before.split_once('@')) {
            (Some(role), Some((_, host))) => (format!("postgres://{role}@{host}"), MEASURED_DATABASE.to_owned()),
            _ => (before.to_owned(), format!("connections_max = {CONNECTIONS}\n")),
        };
        let settings = format!("[database]\nurl = \"{before}/{name}_{{service}}\"\nmigrate = \"always\"\n{rest}");
        Self { name, role, settings }
    }
}
