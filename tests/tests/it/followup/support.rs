//! A company of five people around the real follow-up service: tokens and rights come from a fake identity, customers
//! from events that the test puts on the bus.

mod closings;
mod customers;
mod freshness;
mod people;
mod reports;
mod time;

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use prost::Name;
use revisit_bootstrap::{Process, Running, Runtime, Service, Shutdown, Sources, Started, failure};
use revisit_core::{
    Clock, Failure, Id, Ids, ManualClock, Timestamp,
    id::{DepartmentId, SegmentId, SubjectId},
};
use revisit_event::kind_of;
use revisit_proto::{
    customer::v1::projections_server::ProjectionsServer,
    followup::v1::{
        self as pb, calendars_client::CalendarsClient, metrics_client::MetricsClient, plans_client::PlansClient,
        tasks_client::TasksClient,
    },
    identity::v1::{hand_overs_server::HandOversServer, leases_server::LeasesServer},
};
use revisit_tests::{
    databases::{Backend, TestDatabase},
    fake_identity::{FakeIdentity, KEY_ID},
    speaker::Speaker,
};
use sea_orm::{ConnectionTrait, Statement};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};

/// Monday, 2 March 2026, 08:00 in Shanghai.
pub const BEGIN: Timestamp = Timestamp::from_micros(1_772_409_600_000_000);
use closings::{Closings, Door};
use reports::Reports;
pub use time::shanghai;

#[derive(Clone, Serialize, Deserialize)]
struct Nothing {}

/// Everything.
pub struct Company {
    pub database: TestDatabase,
    pub clock: ManualClock,
    pub identity: FakeIdentity,
    pub replicas: Vec<Running>,
    pub store: DepartmentId,
    pub reports: Reports,
    pub closings: Closings,
    pub door: Door,
    people: BTreeMap<&'static str, SubjectId>,
    speaker: Speaker,
    ids: Ids,
    watching: Vec<JoinHandle<()>>,
}

/// One event of the outbox of followup.
#[derive(Clone, Debug)]
pub struct Told {
    pub shard: i32,
    pub position: i64,
    pub kind: String,
    pub data: Vec<u8>,
}

impl Told {
    /// The message, if it is one of this type.
    pub fn read<M: Name + Default>(&self) -> Option<M> {
        (self.kind == kind_of::<M>()).then(|| M::decode(self.data.as_slice()).expect("it was encoded"))
    }
}

/// Runs a test on each database with one replica.
#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran")]
pub async fn in_each_company(test: impl AsyncFn(&Company)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        println!("on {backend:?}");
        let company = Company::start(backend, 1).await;
        test(&company).await;
        company.stop().await;
    }
}

impl Company {
    /// Starts replicas on one fresh database. SQLite has one.
    pub async fn start(backend: Backend, replicas: usize) -> Self {
        let database = TestDatabase::new(backend).await;
        let clock = ManualClock::at(BEGIN);
        let identity = FakeIdentity::new();
        let ids = Ids::random();
        let now = Clock::system().wall();
        let mut company = Self {
            store: ids.next(now),
            people: ["admin", "boss", "manager", "rep", "colleague"].map(|name| (name, ids.next(now))).into(),
            speaker: Speaker::new(identity.tenant, &clock),
            watching: Vec::new(),
            reports: Reports::default(),
            closings: Closings::default(),
            door: Door::default(),
            replicas: Vec::new(),
            database,
            clock,
            identity,
            ids,
        };
        company.found();
        for _ in 0..replicas {
            let running = company.replica().await;
            company.watching.push(company.watch(&running));
            company.replicas.push(running);
        }
        company.hire().await;
        company
    }

    async fn replica(&self) -> Running {
        let (fake, reports) = (self.identity.clone(), self.reports.clone());
        let (closings, door) = (self.closings.clone(), self.door.clone());
        let leases = Service::new(
            "identity",
            "[identity]",
            move |_: Nothing, _: Runtime| {
                let (fake, reports) = (fake.clone(), reports.clone());
                async move {
                    let served = Started::new().serve(LeasesServer::new(fake)).serve(HandOversServer::new(reports));
                    Ok(served.public(&["/revisit.identity.v1.Leases/ListKeys"]))
                }
            },
            |_: Nothing, _: Runtime| async { Ok(()) },
        );
        let customer = Service::new(
            "customer",
            "[customer]",
            move |_: Nothing, _: Runtime| {
                let (closings, door) = (closings.clone(), door.clone());
                async move { Ok(Started::new().serve(ProjectionsServer::new(closings)).serve(door)) }
            },
            |_: Nothing, _: Runtime| async { Ok(()) },
        );
        let services = [leases, customer, revisit_followup::service()];
        let mut layers = Process::manuals(&services, &[]).expect("the manuals are TOML");
        let url = self.database.url.replacen("sqlite://", "sqlite:", 1);
        let key = STANDARD.encode([7; 32]);
        // A consumer that never acknowledges: what was told stays in the outbox for the test to read.
        let text = format!(
            "server.listen = '127.0.0.1:0'\nserver.drain_seconds_max = 2\ntelemetry.log = 'warn'\n\
             [database]\nurl = '{url}'\nmigrate = 'always'\ndurable = false\n\
             [consumers]\nidentity = []\ncustomer = []\nfollowup = ['customer']\nnotification = []\n\
             [callers]\nidentity.token = 'token-of-identity'\nnotification.token = 'token-of-notification'\n\
             [followup]\ncontinuity_seconds = 1\n\
             [seal]\ncurrent = 'a'\nkeys.a = '{key}'\nindex_current = 'a'\nindex_keys.a = '{key}'\n"
        );
        layers.add("test", &text).expect("the test's configuration is TOML");
        let process = Process::new("test", &services, layers).expect("the configuration is valid");
        let sources = Sources { clock: self.clock.clock(), ids: Ids::random() };
        process.start(sources, Shutdown::new()).await.expect("it starts")
    }

    pub fn who(&self, name: &str) -> SubjectId {
        *self.people.get(name).expect("they work here")
    }

    pub fn new_id<K>(&self) -> Id<K> {
        self.ids.next(self.now())
    }

    /// An id that was made this instant by the time of the leases, which here is the machine's.
    pub fn fresh_id<K>(&self) -> Id<K> {
        self.ids.next(Clock::system().wall())
    }

    pub fn now(&self) -> Timestamp {
        self.clock.clock().wall()
    }

    fn first(&self) -> &Running {
        &self.replicas[0]
    }

    /// A line to the service, for whoever calls it otherwise than as a person.
    pub fn line(&self) -> Channel {
        self.channel(0)
    }

    /// A request of another service.
    pub fn as_service<T>(&self, service: &str, message: T) -> Request<T> {
        let mut request = Request::new(message);
        let token = format!("token-of-{service}").parse().expect("ASCII");
        request.metadata_mut().insert("x-revisit-caller", token);
        request
    }

    fn channel(&self, replica: usize) -> Channel {
        let address = self.replicas[replica].address;
        Endpoint::from_shared(format!("http://{address}")).expect("an address").connect_lazy()
    }

    /// A request of somebody.
    pub fn by<T>(&self, name: &str, message: T) -> Request<T> {
        let mut claims = self.identity.claims();
        claims.sub = self.who(name).to_string();
        claims.sid = self.who(name).to_string();
        let token = self.identity.sign(&claims, KEY_ID);
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    }

    pub fn plans(&self) -> PlansClient<Channel> {
        PlansClient::new(self.channel(0))
    }
    pub fn tasks(&self) -> TasksClient<Channel> {
        TasksClient::new(self.channel(0))
    }
    /// The tasks as served by one of several replicas.
    pub fn tasks_of(&self, replica: usize) -> TasksClient<Channel> {
        TasksClient::new(self.channel(replica % self.replicas.len()))
    }
    pub fn calendars(&self) -> CalendarsClient<Channel> {
        CalendarsClient::new(self.channel(0))
    }
    pub fn metrics(&self) -> MetricsClient<Channel> {
        MetricsClient::new(self.channel(0))
    }

    /// Rows of a question to the service's own database.
    pub async fn rows(&self, text: &str) -> Vec<sea_orm::QueryResult> {
        let reader = &self.database.reader;
        let statement = Statement::from_string(reader.get_database_backend(), text);
        reader.query_all_raw(statement).await.expect("the question is well put")
    }

    /// A number that a question answers.
    pub async fn number(&self, text: &str) -> i64 {
        self.rows(text).await[0].try_get("", "n").expect("a number")
    }

    /// What followup has told so far, shard by shard in order.
    pub async fn told(&self) -> Vec<Told> {
        let rows = self.rows("SELECT shard, position, kind, data FROM outbox ORDER BY shard, position").await;
        let told = |row: &sea_orm::QueryResult| Told {
            shard: row.try_get("", "shard").expect("a shard"),
            position: row.try_get("", "position").expect("a position"),
            kind: row.try_get("", "kind").expect("a kind"),
            data: row.try_get("", "data").expect("data"),
        };
        rows.iter().map(told).collect()
    }

    /// All messages of one type.
    pub async fn heard<M: Name + Default>(&self) -> Vec<M> {
        self.told().await.iter().filter_map(Told::read).collect()
    }

    /// Publishes a shipped plan for a segment.
    pub async fn publish(&self, template_key: &str, segment: SegmentId) -> pb::Plan {
        let request = pb::CreatePlanRequest {
            name: template_key.into(),
            template_key: template_key.into(),
            definition: Some(pb::PlanDefinition { segment_id: segment.to_string(), ..Default::default() }),
            ..Default::default()
        };
        self.publish_plan(request).await
    }

    /// A published plan of a shipped template that is changed first.
    pub async fn publish_changed(
        &self,
        template_key: &str,
        segment: SegmentId,
        change: impl FnOnce(&mut pb::PlanDefinition),
    ) -> pb::Plan {
        let request = self.by("admin", pb::ListPlanTemplatesRequest {});
        let templates = self.plans().list_plan_templates(request).await.expect("a list").into_inner().templates;
        let template = templates.into_iter().find(|template| template.key == template_key).expect("it is shipped");
        let mut definition = template.definition.expect("it says something");
        definition.segment_id = segment.to_string();
        change(&mut definition);
        let definition = Some(definition);
        self.publish_plan(pb::CreatePlanRequest { name: template_key.into(), definition, ..Default::default() }).await
    }

    async fn publish_plan(&self, request: pb::CreatePlanRequest) -> pb::Plan {
        let plan = self.plans().create_plan(self.by("admin", request)).await.expect("a draft").into_inner();
        let request = pb::PublishPlanRequest { plan_id: plan.plan_id, ..Default::default() };
        let plan = self.plans().publish_plan(self.by("admin", request)).await.expect("a version").into_inner();
        self.settle().await;
        plan
    }

    /// Tasks of somebody's reach in some states.
    pub async fn list(&self, who: &str, states: &[pb::TaskState]) -> Vec<pb::Task> {
        let states = states.iter().map(|state| (*state).into()).collect();
        let request = pb::ListTasksRequest { states, page_size: 1_000, ..Default::default() };
        let list = async || self.tasks().list_tasks(self.by(who, request.clone())).await;
        self.freshly(list).await.expect("a list").tasks
    }

    /// No live task without its timer, no timer without its task.
    pub async fn assert_timers_fit(&self) {
        let tasks = "SELECT count(*) AS n FROM task t WHERE (t.timer_at IS NOT NULL OR t.state = 'scheduled') AND NOT \
                     EXISTS (SELECT 1 FROM timer m WHERE m.task_id = t.task_id AND m.fire_at = t.timer_at AND m.kind = \
                     t.timer_kind AND m.generation = t.version)";
        assert_eq!(self.number(tasks).await, 0, "a live task lacks its timer");
        let timers = "SELECT count(*) AS n FROM timer m WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.task_id = \
                      m.task_id AND t.timer_at = m.fire_at AND t.timer_kind = m.kind AND t.version = m.generation AND \
                      t.state IN ('scheduled', 'open'))";
        assert_eq!(self.number(timers).await, 0, "a timer lacks its task");
    }

    pub async fn stop(self) {
        self.watching.iter().for_each(JoinHandle::abort);
        for running in self.replicas {
            running.stop().await.expect("it stops without a fault");
        }
        self.database.close().await;
    }
}

/// The stable reason that a status carries.
pub fn reason(status: &Status) -> &'static str {
    failure(status).reason
}

/// The fields that a status finds fault with.
pub fn fields(status: &Status) -> Vec<String> {
    let failure: Failure = failure(status);
    failure.violations.into_iter().map(|violation| violation.field).collect()
}

/// An instant as the wire has it.
pub fn wire(at: Timestamp) -> Option<prost_types::Timestamp> {
    Some(revisit_bootstrap::wire::time(at))
}

/// An instant as it came over the wire.
pub fn instant(time: Option<prost_types::Timestamp>) -> Timestamp {
    let time = time.expect("it is there");
    Timestamp::from_micros(time.seconds * 1_000_000 + i64::from(time.nanos) / 1_000)
}
