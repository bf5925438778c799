//! The searches of the AuthZEN listener, as any service would send them for a viewer.

use std::net::SocketAddr;

use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{
    book::Book,
    company::{Company, Viewer},
};

/// An address that nobody listens on, and the settings by which identity does. A port that was free a moment ago: the
/// configuration wants to know it beforehand.
pub fn listener() -> (SocketAddr, String) {
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("it is bound");
    (address, format!("[identity.authzen]\nlisten = \"{address}\"\nurl = \"https://pdp.example.com\"\n"))
}

/// Who may, what somebody may see, and what they may do there, of users whose addresses differ and of a customer.
pub async fn searches(book: &mut Book, company: &Company, viewer: &Viewer) {
    let colleague = &viewer.colleagues[viewer.colleagues.len() - 1];
    let subject = json!({ "type": "user", "id": &*viewer.person.id });
    let user = json!({ "type": "user", "id": colleague });
    let customer = json!({ "type": "customer", "id": viewer.customers[0], "properties": {
        "owner_id": &*company.keeper.id, "department_id": viewer.department, "stage": "lead" } });
    for action in ["user.view", "user.manage", "customer.view"] {
        let row = if action == "customer.view" { &customer } else { &user };
        let action = json!({ "name": action });
        let anybody = json!({ "type": "user" });
        for (search, body) in [
            ("subject", json!({ "subject": anybody, "action": action, "resource": row })),
            ("resource", json!({ "subject": subject, "action": action, "resource": anybody })),
            ("resource", json!({ "subject": subject, "action": action, "resource": anybody, "page": { "limit": 1 } })),
            ("action", json!({ "subject": subject, "resource": row })),
        ] {
            let asked = book.named(&body.to_string());
            let (status, answer) = post(company.authzen, viewer, search, &body).await;
            let results = answer["results"].as_array().cloned().unwrap_or_default();
            let more = answer["page"]["next_token"].as_str().is_some_and(|token| !token.is_empty());
            // The other parts of an answer are no results: the token of its page, which is the service's own.
            let refused = if status == 200 { String::new() } else { answer.to_string() };
            let call = format!("authzen/search/{search}");
            book.note(&call, &asked, &format!("{status} {} more: {more} {refused}", results.len()));
            book.sorted(&call, &asked, results.iter().map(Value::to_string).collect());
            assert!(status != 400 && status != 401, "what is refused says nothing: {search} {body} {answer}");
        }
    }
}

/// What a search is answered: the status and the body.
async fn post(address: SocketAddr, viewer: &Viewer, search: &str, body: &Value) -> (u16, Value) {
    let (token, body) = (viewer.person.fresh().await.expect("a session").token(), body.to_string());
    let mut line = TcpStream::connect(address).await.expect("it listens");
    let head = format!(
        "POST /access/v1/search/{search} HTTP/1.1\r\nhost: pdp\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    line.write_all((head + &body).as_bytes()).await.expect("it reads");
    let mut text = String::new();
    line.read_to_string(&mut text).await.expect("an answer");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head and a body");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, serde_json::from_str(body).unwrap_or(Value::Null))
}
