//! One of the two companies: made by steps that are the same in both, with values that are not.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use revisit_bootstrap::status::answer;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity, notification::v1 as notification};
use revisit_standalone::client::Person;
use revisit_tests::{databases::Backend, world::World};

use super::{searches, told};

/// Service tokens of these tests.
///
/// No alert is raised by the refusals themselves: how many of them it counts depends on which service's entries reach
/// identity first, and on nothing hidden.
const CALLERS: &str = "[callers]\ncustomer.token = \"token-of-customer\"\nfollowup.token = \"token-of-followup\"\n\
                       notification.token = \"token-of-notification\"\n[identity.alerts]\n\
                       denied_burst = { count = 100000, window_seconds = 300, freeze = false }\n";
/// Customers of each department.
pub const EACH: usize = 3;

/// Which of the two.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Side {
    One,
    Other,
}

impl Side {
    /// What one company says where the other says something else.
    pub fn or<T>(self, one: T, other: T) -> T {
        match self {
            Self::One => one,
            Self::Other => other,
        }
    }
}

/// Somebody who sees the customers of one department at levels of their own.
pub struct Viewer {
    pub name: &'static str,
    pub person: Person,
    /// Customers of the department, by number.
    pub customers: Vec<String>,
    /// Tasks of these customers: the first two are done, the last is open.
    pub tasks: Vec<String>,
    pub orders: Vec<String>,
    pub department: String,
    /// Users of the department.
    pub colleagues: Vec<String>,
}

pub struct Company {
    pub world: World,
    pub side: Side,
    /// Names of ids, without dashes.
    pub names: BTreeMap<String, String>,
    pub segment: String,
    pub plan: String,
    pub auditor: Person,
    pub importer: Person,
    pub heard: told::Heard,
    pub keeper: Person,
    pub cashier: Person,
    /// Where identity answers over HTTP.
    pub authzen: SocketAddr,
    viewers: Vec<Viewer>,
}

/// Levels by layer: basic, sensitive, history, financial, review.
pub type Given = [identity::Level; 5];

const HIDDEN: identity::Level = identity::Level::Hidden;
const MASKED: identity::Level = identity::Level::Masked;
const READ: identity::Level = identity::Level::Read;
const WRITE: identity::Level = identity::Level::Write;

/// What a viewer reads by, and what may be written of the basic layer beside.
const READING: [&str; 5] =
    ["customer.view", "customer.aggregate", "customer.export", "customer.order_view", "customer.restore"];
const WRITING: [&str; 4] = ["customer.update", "customer.tag", "customer.delete", "customer.stage"];

/// Viewers: who sees basic facts alone, contact values masked, the history but no amounts, what a task lends, and who was
/// given everything and is bound by guards.
pub const VIEWERS: [(&str, Given); 5] = [
    ("basic", [READ, HIDDEN, HIDDEN, HIDDEN, HIDDEN]),
    ("masked", [READ, MASKED, HIDDEN, HIDDEN, HIDDEN]),
    ("told", [READ, HIDDEN, READ, HIDDEN, HIDDEN]),
    ("lent", [READ, READ, READ, READ, HIDDEN]),
    ("capped", [READ, READ, READ, READ, READ]),
];
/// What guards leave to the last one.
const CAP: Given = [WRITE, MASKED, HIDDEN, HIDDEN, HIDDEN];

/// Whether a viewer is shown masked values: those have to be masked alike, and to be there in both companies.
pub fn is_masked(viewer: &str) -> bool {
    matches!(viewer, "masked" | "capped")
}

impl Company {
    pub async fn found(backend: Backend, side: Side) -> Self {
        let (authzen, listening) = searches::listener();
        let world = World::start_with(backend, &format!("{CALLERS}{listening}")).await;
        let heard = told::Heard::listen(&world, backend).await;
        let admin = world.admin.clone();
        let keeper = world.roleless("keeper").await;
        let cashier = world.roleless("cashier").await;
        let importer = world.roleless("importer").await;
        let auditor = world.hire("auditor", "auditor", &world.root).await;
        let mut company = Self {
            segment: String::new(),
            plan: String::new(),
            names: BTreeMap::new(),
            viewers: Vec::new(),
            world,
            side,
            auditor,
            importer,
            keeper,
            cashier,
            authzen,
            heard,
        };
        company.rights().await;
        company.fields().await;
        let endpoint = notification::Endpoint {
            url: company.world.receiver.url(),
            kinds: (2..=9).collect(),
            ..Default::default()
        };
        let request = notification::CreateEndpointRequest {
            endpoint: Some(endpoint),
            algorithm: notification::KeyAlgorithm::HmacSha256.into(),
            ..Default::default()
        };
        answer(admin.endpoints().create_endpoint(request).await).expect("an endpoint");
        let plan = company.world.plan("grade_c_conversion").await;
        company.call(&plan.plan_id, "plan");
        company.segment = plan.definition.expect("a definition").segment_id;
        company.plan = plan.plan_id;
        for (name, given) in VIEWERS {
            company.staff(name, given).await;
        }
        company.world.advance(Duration::from_secs(7_200)).await;
        company
    }

    pub fn viewers(&self) -> &[Viewer] {
        &self.viewers
    }

    pub fn call(&mut self, id: &str, name: &str) {
        self.names.insert(id.replace('-', ""), name.to_owned());
    }

    async fn rights(&self) {
        let tenant = || identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() };
        let keeps = [
            "customer.view",
            "customer.create",
            "customer.update",
            "customer.note",
            "customer.assign",
            "customer.delete",
        ];
        self.grant(&self.keeper, &keeps, tenant(), [WRITE, WRITE, WRITE, HIDDEN, WRITE]).await;
        let works = ["task.view", "task.create", "task.complete", "task.update", "task.review"];
        self.grant(&self.keeper, &works, tenant(), [WRITE, WRITE, WRITE, HIDDEN, WRITE]).await;
        let pays = ["customer.view", "customer.update", "customer.order_view", "customer.order_record"];
        self.grant(&self.cashier, &pays, tenant(), [READ, HIDDEN, HIDDEN, WRITE, HIDDEN]).await;
        let imports = ["customer.view", "customer.create", "customer.update", "customer.import", "customer.assign"];
        self.grant(&self.importer, &imports, tenant(), [WRITE, HIDDEN, HIDDEN, HIDDEN, HIDDEN]).await;
    }

    async fn grant(&self, holder: &Person, actions: &[&str], extent: identity::Extent, given: Given) {
        let right = identity::GrantTemplate {
            actions: names(actions),
            extent: Some(extent),
            levels: Some(levels(given)),
            ..Default::default()
        };
        let (holder_id, reason) = (holder.id.to_string(), "a test".to_owned());
        let request = identity::CreateGrantRequest { holder_id, right: Some(right), reason, ..Default::default() };
        let admin = self.world.admin.fresh().await.expect("a session");
        answer(admin.access().create_grant(request).await).expect("granted");
    }

    /// Caps what somebody gets of the rows of a department.
    async fn cap(&self, whom: &Person, actions: &[&str], department: &str) {
        let target = identity::GuardTarget {
            whom: Some(identity::guard_target::Whom::SubjectId(whom.id.to_string())),
            ..Default::default()
        };
        let guard = identity::Guard {
            target: Some(target),
            actions: names(actions),
            condition: Some(identity::RowCondition { department_id: department.to_owned(), ..Default::default() }),
            cap: Some(levels(CAP)),
            reason: "a test".to_owned(),
            ..Default::default()
        };
        let request = identity::CreateGuardRequest { guard: Some(guard), ..Default::default() };
        let admin = self.world.admin.fresh().await.expect("a session");
        answer(admin.access().create_guard(request).await).expect("a guard");
    }

    /// A custom field of each layer, and one that everybody reads.
    async fn fields(&self) {
        let fields = [
            ("hall", "basic", customer::FieldType::Text),
            ("id_card", "sensitive", customer::FieldType::Text),
            ("talk", "history", customer::FieldType::Text),
            ("mood", "history", customer::FieldType::Number),
            ("budget", "financial", customer::FieldType::Number),
            ("limit", "financial", customer::FieldType::Money),
            ("fit", "review", customer::FieldType::Truth),
        ];
        for (key, layer, kind) in fields {
            let field = customer::Field {
                key: key.to_owned(),
                title: key.to_owned(),
                layer: layer.to_owned(),
                r#type: kind.into(),
                ..Default::default()
            };
            let request = customer::CreateFieldRequest { field: Some(field), ..Default::default() };
            answer(self.world.admin.catalogue().create_field(request).await).expect("a field");
        }
    }

    /// Users of the department at the levels of the viewer, who may change what is basic of them; and everything that may be
    /// asked about rights.
    async fn rights_over_people(&self, person: &Person, department: &str, given: Given) {
        let extent = |kind: identity::ExtentKind, department_id: &str| identity::Extent {
            kind: kind.into(),
            department_id: department_id.to_owned(),
            ..Default::default()
        };
        let here = || extent(identity::ExtentKind::Department, department);
        let everywhere = || extent(identity::ExtentKind::Tenant, "");
        // What a task lends is of customers.
        let sensitive = match person.username.as_ref() {
            "lent" => HIDDEN,
            "capped" => WRITE,
            _ => given[1],
        };
        self.grant(person, &["user.view", "user.manage"], here(), [WRITE, sensitive, HIDDEN, HIDDEN, HIDDEN]).await;
        self.grant(person, &["user.hand_over_manage"], here(), [WRITE, HIDDEN, HIDDEN, HIDDEN, HIDDEN]).await;
        for actions in [&["grant.explain", "grant.view"][..], &["role.view"], &["department.view"]] {
            self.grant(person, actions, everywhere(), [READ, HIDDEN, HIDDEN, HIDDEN, HIDDEN]).await;
        }
    }

    /// A department with its customers, and who looks at it.
    async fn staff(&mut self, name: &'static str, given: Given) {
        let department = self.world.department(name, &self.world.root).await;
        let person = self.world.roleless(name).await;
        self.call(&department, &format!("department of {name}"));
        self.call(&person.id, name);
        let here = |kind: identity::ExtentKind| identity::Extent {
            kind: kind.into(),
            department_id: if kind == identity::ExtentKind::Department { department.clone() } else { String::new() },
            ..Default::default()
        };
        let lent = name == "lent";
        let reach = if lent { identity::ExtentKind::Task } else { identity::ExtentKind::Department };
        let reading = if lent { &READING[..1] } else { &READING[..] };
        self.grant(&person, reading, here(reach), given).await;
        let work = if lent { identity::ExtentKind::Own } else { identity::ExtentKind::Department };
        self.grant(&person, &["task.view"], here(work), given).await;
        let history = if name == "told" { READ } else { HIDDEN };
        self.grant(&person, &["metrics.view"], here(work), [READ, HIDDEN, history, HIDDEN, HIDDEN]).await;
        let tenant = identity::ExtentKind::Tenant;
        self.grant(&person, &["plan.view"], here(tenant), [READ, HIDDEN, HIDDEN, HIDDEN, HIDDEN]).await;
        self.grant(&person, &["segment.manage"], here(tenant), [WRITE, HIDDEN, HIDDEN, HIDDEN, HIDDEN]).await;
        self.grant(&person, &["delivery.view"], here(tenant), [READ, HIDDEN, HIDDEN, HIDDEN, HIDDEN]).await;
        if !lent {
            let given = [WRITE, HIDDEN, HIDDEN, HIDDEN, HIDDEN];
            self.grant(&person, &WRITING, here(work), given).await;
            self.grant(&person, &["task.complete", "task.update", "task.create", "task.cancel"], here(work), given)
                .await;
            self.grant(&person, &["customer.transfer", "customer.assign"], here(work), given).await;
        }
        self.rights_over_people(&person, &department, given).await;
        if name == "capped" {
            self.cap(&person, &[&READING[..], &WRITING[..]].concat(), &department).await;
            for actions in [&["task.view"][..], &["metrics.view"], &["user.view", "user.manage"]] {
                self.cap(&person, actions, &department).await;
            }
        }
        let mut viewer = Viewer {
            name,
            person,
            customers: Vec::new(),
            tasks: Vec::new(),
            orders: Vec::new(),
            department: department.clone(),
            colleagues: Vec::new(),
        };
        self.colleagues(&mut viewer).await;
        for number in 1..=EACH {
            self.customer(&mut viewer, &department, number).await;
        }
        self.viewers.push(viewer);
    }
}

fn names(actions: &[&str]) -> Vec<String> {
    actions.iter().map(|action| (*action).to_owned()).collect()
}

fn levels(given: Given) -> identity::LayerLevels {
    let [basic, sensitive, history, financial, review] = given.map(i32::from);
    identity::LayerLevels { basic, sensitive, history, financial, review }
}
