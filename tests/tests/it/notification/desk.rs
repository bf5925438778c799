//! The notification service at work, on a clock that stands still, between played peers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use prost::{Message as _, Name};
use revisit_bootstrap::{Database, Process, Running, Shutdown, Sources, Tx, answer};
use revisit_core::{
    Failure, Ids, ManualClock, Timestamp,
    id::{GrantId, SubjectId},
};
use revisit_event::{Draft, kind_of};
use revisit_permission::{
    Action, ActionSet, Change, Effect, Extent, Grant, Level, Levels, Origin, Removed, Subject, SubjectState, Template,
    Whom, Worker,
};
use revisit_proto::{
    followup::v1 as followup,
    identity::v1 as identity,
    notification::v1::{
        self as pb, deliveries_client::DeliveriesClient, endpoints_client::EndpointsClient, inbox_client::InboxClient,
        preferences_client::PreferencesClient, templates_client::TemplatesClient,
    },
};
use revisit_standalone::{mail_sink::MailSink, webhook_receiver::WebhookReceiver};
use revisit_tests::{
    databases::{Backend, TestDatabase},
    fake_identity::{FakeIdentity, unknown_id},
    heard,
    rights::guard,
};
use sea_orm::{ConnectOptions, ConnectionTrait, DatabaseConnection, Statement};
use tonic::{
    Request, Status,
    metadata::MetadataValue,
    transport::{Channel, Endpoint},
};
use uuid::Uuid;

use super::played::Played;

mod ground;

use ground::{place, services, settings};

/// Monday, 2027-01-04, 10:00 in Shanghai.
pub const BEGIN: Timestamp = Timestamp::from_micros(1_799_028_000_000_000);
/// How long a test waits for what takes milliseconds.
pub const PATIENCE: Duration = Duration::from_secs(30);

const WORKER: Worker = Worker::declare("test");

/// The service at work.
pub struct Desk {
    pub running: Running,
    pub manual: ManualClock,
    pub identity: FakeIdentity,
    pub played: Arc<Played>,
    pub sink: MailSink,
    pub receiver: WebhookReceiver,
    producers: BTreeMap<&'static str, Database>,
    database: TestDatabase,
    versions: AtomicU32,
}

/// Runs a test on each backend.
pub async fn at_each_desk(test: impl AsyncFn(&Desk)) {
    at_each_desk_with("", || ManualClock::at(BEGIN), test).await;
}

/// Runs a test on each backend with settings and clocks of its own.
pub async fn at_each_desk_with(settings: &str, clock: impl Fn() -> ManualClock, test: impl AsyncFn(&Desk)) {
    at_desks(&[Backend::Sqlite, Backend::Postgres], settings, clock, test).await;
}

/// Runs a test on some backends.
pub async fn at_each_desk_on(backends: &[Backend], test: impl AsyncFn(&Desk)) {
    at_desks(backends, "", || ManualClock::at(BEGIN), test).await;
}

#[expect(clippy::print_stdout, reason = "a failed test shows on what it ran")]
async fn at_desks(backends: &[Backend], settings: &str, clock: impl Fn() -> ManualClock, test: impl AsyncFn(&Desk)) {
    for backend in backends {
        println!("on {backend:?}");
        let desk = Desk::start(*backend, settings, clock()).await;
        test(&desk).await;
        desk.running.stop().await.expect("it stops without a fault");
        desk.database.close().await;
    }
}

impl Desk {
    async fn start(backend: Backend, own: &str, manual: ManualClock) -> Self {
        let sink = MailSink::start().await.expect("a free port");
        let receiver = WebhookReceiver::start().await.expect("a free port");
        let (identity, played) = (FakeIdentity::new(), Arc::new(Played::default()));
        let database = TestDatabase::new(backend).await;
        let (give, take) = std::sync::mpsc::channel();
        let services = services(&identity, &played, give);
        let mut layers = Process::manuals(&services, &[]).expect("the manuals are TOML");
        layers.add("test", &settings(&sink)).expect("TOML");
        layers.add("test", &place(&database).await).expect("TOML");
        layers.add("test", own).expect("TOML");
        let sources = Sources { clock: manual.clock(), ids: Ids::random() };
        let process = Process::new("test", &services, layers).expect("the configuration is valid");
        let running = process.start(sources, Shutdown::new()).await.expect("it starts");
        let producers = take.try_iter().collect();
        let versions = AtomicU32::new(1);
        let desk = Self { running, manual, identity, played, sink, receiver, producers, database, versions };
        desk.person(desk.identity.user, "mei", |_| ()).await;
        desk
    }

    /// Publishes an event of a service and waits until everything that follows is done.
    pub async fn emit<M: Name>(&self, source: &str, subject: Uuid, message: &M) {
        self.publish(source, subject, message).await;
        self.settle().await;
    }

    /// Publishes an event of a service.
    pub async fn publish<M: Name>(&self, source: &str, subject: Uuid, message: &M) {
        let draft = Draft::new(self.identity.tenant, subject, self.version(), message);
        self.repeat(source, draft).await;
    }

    async fn repeat(&self, source: &str, draft: Draft) {
        let write = self.producers[source].write(&WORKER, async |tx: &Tx| {
            tx.emit(draft);
            Ok::<_, Failure>(())
        });
        write.await.expect("it is emitted");
    }

    /// The next askings for customers' names take so long, by the boot-time clock.
    pub fn delay_names(&self, times: u32, span: Duration) {
        let manual = self.manual.clone();
        let pass = Arc::new(move || manual.advance_steady(span));
        *self.played.meanwhile.lock().expect("no panic") = (times, Some(pass));
    }

    /// Changes rows behind the service's back, as another replica would; answers how many.
    pub async fn change(&self, text: &str) -> u64 {
        self.own().await.execute_unprepared(text).await.expect("the statement is well put").rows_affected()
    }

    /// A number that a question to the service's own database answers.
    pub async fn number(&self, text: &str) -> i64 {
        let own = self.own().await;
        let statement = Statement::from_string(own.get_database_backend(), text);
        let row = own.query_one_raw(statement).await.expect("the question is well put").expect("a row");
        row.try_get("", "n").expect("a number")
    }

    /// From now on keeps a copy of what the service tells.
    pub async fn listen(&self) {
        heard::listen(&self.own().await).await;
    }

    /// What the log has been told since the desk listens.
    pub async fn entries(&self) -> Vec<identity::AuditEntry> {
        let told = heard::told(&self.own().await).await;
        let entries = told.iter().filter(|(kind, _)| *kind == kind_of::<identity::AuditEntry>());
        entries.map(|(_, data)| identity::AuditEntry::decode(data.as_slice()).expect("it was encoded")).collect()
    }

    /// From now on a guard denies the user of the fake identity an action.
    pub async fn deny(&self, action: Action) {
        let guard = guard(Whom::Subject(self.identity.user), &[action], Effect::Deny);
        self.govern(vec![Change::Guard(guard)]).await;
    }

    /// A connection of the test's own to the service's database.
    pub async fn own(&self) -> DatabaseConnection {
        let url = match self.database.backend {
            Backend::Sqlite => self.database.url.replace("test.db", "notification.db"),
            Backend::Postgres => format!("{}?options[search_path]=notification", self.database.url),
        };
        let mut options = ConnectOptions::new(url);
        options.max_connections(1).sqlx_logging(false);
        sea_orm::Database::connect(options).await.expect("the database is there")
    }

    pub fn version(&self) -> i64 {
        self.versions.fetch_add(1, Ordering::SeqCst).into()
    }

    /// Waits until nothing is left to do now.
    pub async fn settle(&self) {
        let settled = async {
            while !self.running.settled().await.expect("the databases answer") {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(PATIENCE, settled).await.expect("it comes to rest");
    }

    /// Moves the wall by a span and waits until everything that became due is done.
    pub async fn advance(&self, span: Duration) {
        self.manual.set_wall(self.manual.clock().wall() + span);
        self.settle().await;
    }

    /// The earliest instant at which there is something to do.
    pub async fn next_due(&self) -> Option<Timestamp> {
        self.running.next_due().await
    }

    /// Tells of a user; `change` has the last word about it.
    pub async fn person(&self, user: SubjectId, name: &str, change: impl FnOnce(&mut identity::UserChanged)) {
        let mut message = identity::UserChanged {
            user_id: user.to_string(),
            version: self.version(),
            state: identity::SubjectState::Active.into(),
            display_name: name.to_owned(),
            email: format!("{name}@example.com"),
            time_zone: "Asia/Shanghai".to_owned(),
            locale: "en".to_owned(),
            ..Default::default()
        };
        change(&mut message);
        self.emit("identity", user.uuid(), &message).await;
    }

    /// Another active user, known to everybody.
    pub async fn colleague(&self, name: &str) -> SubjectId {
        let user: SubjectId = unknown_id();
        self.identity.commit(vec![Change::Subject(Subject::user(user, name, SubjectState::Active))]);
        self.person(user, name, |_| ()).await;
        user
    }

    /// Grants actions over the whole tenant to the user of the fake identity.
    pub async fn grant(&self, actions: &[Action]) -> Vec<GrantId> {
        let right = |action: &Action| Template {
            actions: ActionSet::of(&[*action]),
            extent: Extent::Tenant,
            stages: None,
            grades: None,
            external: None,
            levels: Levels::of(&[(revisit_permission::Layer::Basic, Level::Write)]),
        };
        let window = (Timestamp::MIN, Timestamp::MAX);
        let grant = |action| Grant::of(unknown_id(), self.identity.user, right(action), window, Origin::Direct);
        let grants: Vec<Grant> = actions.iter().map(grant).collect();
        let ids = grants.iter().map(|grant| grant.id).collect();
        self.govern(grants.into_iter().map(Change::Grant).collect()).await;
        ids
    }

    /// Takes a grant from the user of the fake identity.
    pub async fn revoke(&self, id: GrantId) {
        self.govern(vec![Change::Removed(Removed::Grant { id, holder: self.identity.user })]).await;
    }

    /// Makes changes of rights known to the service.
    async fn govern(&self, changes: Vec<Change>) {
        let revision = self.identity.commit(changes);
        self.running.runtime.lease.reach(self.identity.tenant, revision).await.expect("they arrive");
    }

    /// Lets a reader see a customer under a name.
    pub fn show(&self, reader: SubjectId, customer: Uuid, name: &str) {
        let key = (reader.to_string(), customer.to_string());
        self.played.names.lock().expect("no panic").insert(key, name.to_owned());
    }

    /// A reminder for the user about a customer that it may see as `Blue Tea`; answers its task.
    pub async fn remind(&self, kind: followup::ReminderKind) -> Uuid {
        let (task, customer) = (unknown_id::<()>().uuid(), unknown_id::<()>().uuid());
        self.show(self.identity.user, customer, "Blue Tea");
        self.publish("followup", task, &self.reminder(task, customer, kind)).await;
        task
    }

    /// The event of a reminder for the user.
    pub fn reminder(&self, task: Uuid, customer: Uuid, kind: followup::ReminderKind) -> followup::ReminderDue {
        let now = self.manual.clock().wall();
        followup::ReminderDue {
            task_id: task.to_string(),
            customer_id: customer.to_string(),
            recipient_id: self.identity.user.to_string(),
            kind: kind.into(),
            generation: 1,
            due_time_micros: (now + Duration::from_secs(3_600)).micros(),
            plan_name: "A weekly".to_owned(),
            expire_time_micros: (now + Duration::from_secs(3 * 86_400)).micros(),
            ordinal: 0,
        }
    }

    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.running.address)).expect("an address").connect_lazy()
    }

    pub fn deliveries(&self) -> DeliveriesClient<Channel> {
        DeliveriesClient::new(self.channel())
    }
    pub fn inbox(&self) -> InboxClient<Channel> {
        InboxClient::new(self.channel())
    }
    pub fn templates(&self) -> TemplatesClient<Channel> {
        TemplatesClient::new(self.channel())
    }
    pub fn preferences(&self) -> PreferencesClient<Channel> {
        PreferencesClient::new(self.channel())
    }
    pub fn endpoints(&self) -> EndpointsClient<Channel> {
        EndpointsClient::new(self.channel())
    }

    /// A request of the user.
    pub fn as_user<T>(&self, message: T) -> Request<T> {
        self.as_subject(self.identity.user, message)
    }

    /// A request of another user.
    pub fn as_subject<T>(&self, subject: SubjectId, message: T) -> Request<T> {
        let mut claims = self.identity.claims();
        claims.sub = subject.to_string();
        let token = self.identity.sign(&claims, revisit_tests::fake_identity::KEY_ID);
        let mut request = Request::new(message);
        let value = MetadataValue::try_from(format!("Bearer {token}")).expect("a token is ASCII");
        request.metadata_mut().insert("authorization", value);
        request
    }

    /// The deliveries of a task, by channel. The user needs the right to see them.
    pub async fn of_task(&self, task: Uuid) -> BTreeMap<pb::Channel, pb::Delivery> {
        let filter = pb::DeliveryFilter { task_id: task.to_string(), ..Default::default() };
        let request = pb::ListDeliveriesRequest { filter: Some(filter), ..Default::default() };
        let listed = answer(self.deliveries().list_deliveries(self.as_user(request)).await).expect("a page");
        listed.deliveries.into_iter().map(|delivery| (delivery.channel(), delivery)).collect()
    }

    /// The messages in the user's inbox, newest first.
    pub async fn messages(&self) -> Vec<pb::Message> {
        self.messages_of(self.identity.user).await
    }

    pub async fn messages_of(&self, user: SubjectId) -> Vec<pb::Message> {
        let request = pb::ListMessagesRequest { page_size: 1_000, ..Default::default() };
        answer(self.inbox().list_messages(self.as_subject(user, request)).await).expect("a page").messages
    }

    /// Registers the receiver as an endpoint for some kinds; answers it with its key.
    pub async fn endpoint(&self, kinds: &[pb::MessageKind]) -> pb::CreateEndpointResponse {
        let endpoint = pb::Endpoint {
            url: self.receiver.url(),
            kinds: kinds.iter().map(|kind| *kind as i32).collect(),
            ..Default::default()
        };
        let request = pb::CreateEndpointRequest { endpoint: Some(endpoint), ..Default::default() };
        answer(self.endpoints().create_endpoint(self.as_user(request)).await).expect("an endpoint")
    }
}

/// The subject of a mail, decoded as far as the tests need: they use ASCII.
pub fn subjects(desk: &Desk) -> Vec<String> {
    desk.sink.mails().iter().filter_map(|mail| mail.header("Subject")).collect()
}

/// The stable reason that a status carries.
pub fn reason(status: &Status) -> &'static str {
    revisit_bootstrap::failure(status).reason
}

/// An id as a caller would make one.
pub fn fresh() -> String {
    unknown_id::<()>().to_string()
}
