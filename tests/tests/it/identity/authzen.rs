//! The AuthZEN listener: the shapes of the standard, its semantics and bounds, and the same answers as over gRPC.

use std::{net::SocketAddr, time::Duration};

use revisit_bootstrap::{Process, Shutdown, Sources};
use revisit_proto::identity::v1 as pb;
use revisit_tests::databases::Backend;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    access::{question, row},
    support::{World, layers},
};

mod external;
mod kinds;
mod standard;

const URL: &str = "https://pdp.acme.example";

/// What came back.
struct Answer {
    status: u16,
    head: String,
    body: Value,
}

/// A world whose second replica has the listener.
struct Listener {
    world: World,
    replica: revisit_bootstrap::Running,
    address: SocketAddr,
    mei: String,
    store: String,
}

/// Time for an answer, whatever the listener's own bounds are.
const ANSWER_MAX: Duration = Duration::from_secs(20);

impl Listener {
    async fn start(backend: Backend, settings: &str) -> Self {
        let world = World::start(backend).await;
        // A port that was free a moment ago: the configuration wants to know it beforehand.
        let port = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = port.local_addr().expect("it is bound");
        drop(port);
        let mut layers = layers(&world.database, &world.folder);
        let url = if settings.contains("url = ") { String::new() } else { format!("url = \"{URL}\"\n") };
        let text = format!("[identity.authzen]\nlisten = \"{address}\"\n{url}{settings}");
        layers.add("the listener", &text).expect("the settings are TOML");
        let process =
            Process::new("identity", &[revisit_identity::service()], layers).expect("the configuration is valid");
        let replica = process.start(Sources::default(), Shutdown::new()).await.expect("it starts");
        let root = world.tenant.root_department_id.clone();
        let store = world.department(&root, "Store").await.department_id;
        let mei = world.user("mei", &store, "Sales representative").await.user_id;
        world.user("lin", &store, "Sales manager").await;
        Self { world, replica, address, mei, store }
    }

    async fn send(&self, request: String) -> Answer {
        let mut line = TcpStream::connect(self.address).await.expect("it listens");
        line.write_all(request.as_bytes()).await.expect("it reads");
        let mut bytes = Vec::new();
        // A server that refuses a body may close before it was sent whole; one that never answers is a fault.
        let read = tokio::time::timeout(ANSWER_MAX, line.read_to_end(&mut bytes)).await;
        assert!(read.is_ok(), "no answer within {ANSWER_MAX:?}");
        let text = String::from_utf8(bytes).expect("UTF-8");
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text.as_str(), ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body = serde_json::from_str(body).unwrap_or(Value::Null);
        Answer { status, head: head.to_ascii_lowercase(), body }
    }

    async fn post_as(&self, token: &str, path: &str, body: &str) -> Answer {
        let length = body.len();
        self.send(format!(
            "POST {path} HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: application/json\r\nx-request-id: r-17\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    async fn post(&self, path: &str, body: &Value) -> Answer {
        self.post_as(&self.world.admin.tokens.access_token, path, &body.to_string()).await
    }

    /// A customer of mei's, as a resource.
    fn customer(&self) -> Value {
        json!({ "type": "customer", "id": uuid::Uuid::from_u128(1).to_string(), "properties": {
            "owner_id": self.mei, "department_id": self.store, "stage": "lead" } })
    }

    fn user(&self) -> Value {
        json!({ "type": "user", "id": self.mei })
    }

    async fn end(self) {
        self.replica.stop().await.expect("it ends in order");
        self.world.end().await;
    }
}

async fn on_each(settings: &str, test: impl AsyncFn(&Listener)) {
    for backend in [Backend::Sqlite, Backend::Postgres] {
        let listener = Listener::start(backend, settings).await;
        test(&listener).await;
        listener.end().await;
    }
}

fn decisions(answer: &Answer) -> Vec<bool> {
    let of = |it: &Value| it["decision"].as_bool().expect("each decides");
    answer.body["evaluations"].as_array().expect("several").iter().map(of).collect()
}

fn ids(answer: &Answer, key: &str) -> Vec<String> {
    let results = answer.body["results"].as_array().expect("results");
    results.iter().map(|it| it[key].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn discovery_names_every_endpoint_and_needs_no_token() {
    on_each("", async |listener| {
        let path = "/.well-known/authzen-configuration";
        let answer = listener.send(format!("GET {path} HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\n\r\n")).await;
        assert_eq!((answer.status, &answer.body["policy_decision_point"]), (200, &json!(URL)));
        assert!(answer.head.contains("content-type: application/json"), "{}", answer.head);
        for (name, path) in [
            ("access_evaluation_endpoint", "evaluation"),
            ("access_evaluations_endpoint", "evaluations"),
            ("search_subject_endpoint", "search/subject"),
            ("search_resource_endpoint", "search/resource"),
            ("search_action_endpoint", "search/action"),
        ] {
            assert_eq!(answer.body[name], json!(format!("{URL}/access/v1/{path}")));
        }
    })
    .await;
}

#[tokio::test]
async fn an_evaluation_decides_as_a_check_does_and_echoes_the_requests_name() {
    on_each("", async |listener| {
        let ask = async |action: &str| {
            let body = json!({ "subject": listener.user(), "action": { "name": action },
                "resource": listener.customer(), "context": { "time": "2027-01-04T08:00:00Z" } });
            listener.post("/access/v1/evaluation", &body).await
        };
        for action in ["customer.view", "customer.delete", "task.view", "customer.fly"] {
            let answer = ask(action).await;
            assert_eq!(answer.status, 200, "{action}: {}", answer.body);
            assert!(answer.head.contains("x-request-id: r-17"), "{}", answer.head);
            let attributes =
                pb::RowAttributes { department_id: listener.store.clone(), ..row(&listener.world, &listener.mei) };
            let check = question(&listener.mei, action, attributes);
            let checked = listener.world.admin.access().check(check).await.expect("it is answered").into_inner();
            // A task action is not about customers, so as a question about one it is denied.
            let expected = checked.allowed && action.starts_with("customer.");
            assert_eq!(answer.body["decision"], json!(expected), "{action}: {}", answer.body);
        }
        let view = ask("customer.view").await;
        assert_eq!(view.body["context"]["levels"]["basic"], json!("write"));
        assert!(
            view.body["context"]["witness"].as_str().is_some_and(|it| it.starts_with("position:")),
            "{}",
            view.body
        );
        assert_eq!(ask("customer.delete").await.body["context"]["reason"], json!("operation"));
    })
    .await;
}

#[tokio::test]
async fn several_evaluations_take_defaults_and_end_where_the_semantic_says() {
    on_each("", async |listener| {
        let ask = async |semantic: Option<&str>| {
            let actions = ["customer.view", "customer.delete", "customer.update"];
            let mut body = json!({
                "subject": listener.user(), "resource": listener.customer(), "action": { "name": "customer.view" },
                "evaluations": actions.map(|name| json!({ "action": { "name": name } })) });
            body["evaluations"][0] = json!({});
            if let Some(semantic) = semantic {
                body["options"] = json!({ "evaluations_semantic": semantic });
            }
            listener.post("/access/v1/evaluations", &body).await
        };
        assert_eq!(decisions(&ask(None).await), [true, false, true]);
        assert_eq!(decisions(&ask(Some("execute_all")).await), [true, false, true]);
        assert_eq!(decisions(&ask(Some("deny_on_first_deny")).await), [true, false]);
        assert_eq!(decisions(&ask(Some("permit_on_first_permit")).await), [true]);
        assert_eq!(ask(Some("flip_a_coin")).await.status, 400);
        let one = json!({ "subject": listener.user(), "resource": listener.customer(), "action": { "name": "customer.view" } });
        assert_eq!(listener.post("/access/v1/evaluations", &one).await.body["decision"], json!(true), "without a list it is one");
        let stranger = json!({ "type": "user", "id": uuid::Uuid::from_u128(9).to_string() });
        let mixed = json!({ "resource": listener.customer(), "action": { "name": "customer.view" },
            "evaluations": [{ "subject": listener.user() }, { "subject": stranger }, {}] });
        let mixed = listener.post("/access/v1/evaluations", &mixed).await;
        assert_eq!(decisions(&mixed), [true, false, false]);
        let errors = mixed.body["evaluations"].as_array().expect("several").iter().map(|it| it["context"]["error"]["status"].clone());
        assert_eq!(errors.collect::<Vec<_>>(), [Value::Null, json!(404), json!(400)]);
    })
    .await;
}

#[tokio::test]
async fn searches_find_what_evaluations_permit_page_by_page() {
    on_each("", async |listener| {
        let body = |token: &str, limit: u32| {
            json!({ "subject": { "type": "user" }, "action": { "name": "customer.view" },
                "resource": listener.customer(), "page": { "token": token, "limit": limit } })
        };
        let path = "/access/v1/search/subject";
        let all = ids(&listener.post(path, &body("", 0)).await, "id");
        assert!(all.len() == 2 && all.contains(&listener.mei), "mei and her manager: {all:?}");
        let (mut paged, mut token) = (Vec::new(), String::new());
        loop {
            let page = listener.post(path, &body(&token, 1)).await;
            paged.extend(ids(&page, "id"));
            token = page.body["page"]["next_token"].as_str().expect("always there").to_owned();
            if token.is_empty() {
                break;
            }
            let other = json!({ "subject": { "type": "user" }, "action": { "name": "customer.update" },
                "resource": listener.customer(), "page": { "token": token } });
            assert_eq!(listener.post(path, &other).await.status, 400, "a token belongs to its search");
        }
        assert_eq!(paged, all);
        let programs = json!({ "subject": { "type": "service_account" }, "action": { "name": "customer.view" },
            "resource": listener.customer() });
        assert_eq!(ids(&listener.post(path, &programs).await, "id"), Vec::<String>::new());

        let actions = json!({ "subject": listener.user(), "resource": listener.customer() });
        let actions = ids(&listener.post("/access/v1/search/action", &actions).await, "name");
        assert!(
            actions.contains(&"customer.update".to_owned()) && !actions.contains(&"customer.delete".to_owned()),
            "{actions:?}"
        );
        for action in &actions {
            let body =
                json!({ "subject": listener.user(), "action": { "name": action }, "resource": listener.customer() });
            assert_eq!(listener.post("/access/v1/evaluation", &body).await.body["decision"], json!(true), "{action}");
        }

        let rows = async |kind: &str, action: &str| {
            let body =
                json!({ "subject": listener.user(), "action": { "name": action }, "resource": { "type": kind } });
            listener.post("/access/v1/search/resource", &body).await
        };
        let departments = ids(&rows("department", "department.view").await, "id");
        assert!(departments.len() == 2 && departments.contains(&listener.store), "{departments:?}");
        assert_eq!(ids(&rows("user", "user.view").await, "id").len(), 3, "boss, mei and lin");
        assert_eq!(ids(&rows("user", "user.manage").await, "id"), Vec::<String>::new());
        assert_eq!(rows("customer", "customer.view").await.status, 400, "identity keeps no customers");
    })
    .await;
}

#[tokio::test]
async fn who_is_unknown_or_asks_about_others_is_refused_by_status() {
    on_each("", async |listener| {
        let body = json!({ "subject": listener.user(), "action": { "name": "customer.view" }, "resource": listener.customer() });
        let (path, text) = ("/access/v1/evaluation", body.to_string());
        for token in ["", "nonsense"] {
            let answer = listener.post_as(token, path, &text).await;
            assert!(answer.status == 401 && answer.head.contains("www-authenticate: bearer"), "{}", answer.head);
            assert!(answer.body.is_string(), "an error is a message: {}", answer.body);
        }
        let world = &listener.world;
        let mei = world.log_in("mei").await;
        assert_eq!(listener.post_as(&mei.tokens.access_token, path, &text).await.status, 200, "about herself");
        let length = text.len();
        let small = listener.send(format!(
            "POST {path} HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\nauthorization: bearer {}\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{text}",
            mei.tokens.access_token
        ));
        assert_eq!(small.await.status, 200, "a scheme is the same in small letters");
        let mut answers = Vec::new();
        for id in [&listener.world.tenant.administrator_id, &uuid::Uuid::from_u128(9).to_string()] {
            let other = json!({ "subject": { "type": "user", "id": id }, "action": { "name": "customer.view" },
                "resource": listener.customer(), });
            let answer = listener.post_as(&mei.tokens.access_token, path, &other.to_string()).await;
            answers.push((answer.status, answer.body));
        }
        assert!(answers[0].0 == 403 && answers[0] == answers[1], "nobody learns who exists: {answers:?}");
        let search = json!({ "subject": { "type": "user" }, "action": { "name": "customer.view" }, "resource": listener.customer() });
        let search = listener.post_as(&mei.tokens.access_token, "/access/v1/search/subject", &search.to_string()).await;
        assert_eq!(search.status, 403);
        let auditor = world.user("eyes", &listener.store, "Auditor").await.username;
        let auditor = world.log_in(&auditor).await;
        let written = async || {
            let subject_id = listener.mei.clone();
            let request = pb::ListEntriesRequest { subject_id, ..pb::ListEntriesRequest::default() };
            let found = auditor.audit().list_entries(request).await.ok()?.into_inner().entries;
            let denied = |it: &pb::AuditEntry| it.action == "grant.explain" && it.outcome() == pb::AuditOutcome::Denied;
            found.iter().filter_map(|it| it.entry.as_ref()).any(denied).then_some(())
        };
        world.eventually("the refusal is in the audit log", written).await;
    })
    .await;
}

#[tokio::test]
async fn bad_input_is_refused_by_its_field_and_bounds_are_kept() {
    on_each("body_kibibytes_max = 4\n", async |listener| {
        let evaluate = async |body: Value| listener.post("/access/v1/evaluation", &body).await;
        let good = json!({ "subject": listener.user(), "action": { "name": "customer.view" }, "resource": listener.customer() });
        let spoil = |path: &str, value: Value| {
            let mut body = good.clone();
            *body.pointer_mut(path).expect("it is there") = value;
            body
        };
        for (path, value, told) in [
            ("/subject/id", json!("mei"), "subject.id"),
            ("/subject/type", json!("robot"), "subject.type"),
            ("/resource/id", json!("7"), "resource.id"),
            ("/resource/properties/owner_id", json!("mei"), "resource.properties.owner_id"),
            ("/resource/properties", json!({ "ownerId": "x" }), "ownerId"),
            ("/resource", json!(7), "body"),
            ("/subject", json!(["user", listener.mei]), "an object"),
            ("/resource/properties", json!([listener.mei, listener.store]), "an object"),
            ("", json!([listener.user(), { "name": "customer.view" }, listener.customer()]), "an object"),
        ] {
            let answer = evaluate(spoil(path, value)).await;
            let message = answer.body.as_str().unwrap_or_default().to_owned();
            assert!(answer.status == 400 && message.contains(told), "{path}: {} {message}", answer.status);
        }
        assert_eq!(evaluate(json!({})).await.status, 400);
        let token = &listener.world.admin.tokens.access_token;
        assert_eq!(listener.post_as(token, "/access/v1/evaluation", "{").await.status, 400);
        let deep = "[".repeat(2_000);
        assert_eq!(listener.post_as(token, "/access/v1/evaluation", &deep).await.status, 400);
        let large = format!("{{\"padding\": \"{}\"}}", "x".repeat(5_000));
        assert_eq!(listener.post_as(token, "/access/v1/evaluation", &large).await.status, 413);
        let plain = listener.send(format!(
            "POST /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
             content-type: text/plain\r\ncontent-length: 2\r\n\r\n{{}}"
        ));
        assert_eq!(plain.await.status, 400);
        let get = listener.send("GET /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\n\r\n".to_owned());
        assert_eq!(get.await.status, 405);
    })
    .await;
}

#[tokio::test]
async fn a_request_that_never_ends_is_given_up_and_takes_up_no_room_but_its_senders() {
    let settings = "seconds_max = 1\nconcurrency_max = 1\ncalls_per_subject_max = 1\n";
    let listener = Listener::start(Backend::Sqlite, settings).await;
    let mei = listener.world.log_in("mei").await.tokens.access_token;
    let token = &listener.world.admin.tokens.access_token;
    let head = format!(
        "POST /access/v1/evaluation HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 10\r\n\r\n"
    );
    let body =
        json!({ "subject": listener.user(), "action": { "name": "customer.view" }, "resource": listener.customer() });
    let other = async {
        // Until the first request has come, the next one is answered.
        loop {
            let answer = listener.post("/access/v1/evaluation", &body).await;
            if answer.status != 200 {
                let beside = listener.post_as(&mei, "/access/v1/evaluation", &body.to_string()).await;
                return (answer.status, beside.status);
            }
        }
    };
    let (slow, (refused, beside)) = tokio::join!(listener.send(head), other);
    assert_eq!((slow.status, refused, beside), (504, 429, 200), "somebody else is answered meanwhile");
    assert_eq!(listener.post("/access/v1/evaluation", &body).await.status, 200, "the place is free again");
    listener.end().await;
}
