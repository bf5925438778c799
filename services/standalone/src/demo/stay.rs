//! `--stay`: the company goes on living, in real time from its ninetieth day on, until a signal.

use revisit_core::Failure;

use super::{
    Lived,
    company::{Company, PASSWORD, STAFF},
    story::Story,
};

/// People whose log-ins are shown first.
const SHOWN: [&str; 7] = ["mei", "lei", "hui", "wen", "zhao", "lin", "shen"];

/// Prints log-ins and calls to try, then serves until a signal.
pub async fn keep(lived: &Lived, story: &Story) -> Result<(), Failure> {
    let Lived { world, company, .. } = lived;
    let address = world.running.address();
    story.chapter("It stays: serving until Ctrl-C")?;
    story.tell(format!("gRPC at {address}, company {}, password of everybody: {PASSWORD}", company.key))?;
    for hire in STAFF.iter().filter(|hire| SHOWN.contains(&hire.username)) {
        story.tell(format!("  {:<6} {} ({}, {})", hire.username, hire.name, hire.role, hire.department))?;
    }
    story.tell("  admin  the company's administrator")?;
    let mei = company.person("mei").fresh().await?;
    story.tell("five calls to try (a token lasts five minutes; the first line gets a new one):")?;
    for line in lines(&address.to_string(), company, &mei.token()) {
        story.tell(line)?;
    }
    world.running.go_on_in_real_time().await
}

fn lines(address: &str, company: &Company, token: &str) -> [String; 5] {
    let log_in = format!(r#"{{"tenant_key":"{}","username":"mei","password":"{PASSWORD}"}}"#, company.key);
    let call = |data: &str, method: &str| {
        format!("grpcurl -plaintext -H \"authorization: Bearer $TOKEN\" -d '{data}' {address} revisit.{method}")
    };
    [
        format!("grpcurl -plaintext -d '{log_in}' {address} revisit.identity.v1.Auth/LogIn"),
        format!("TOKEN={token}; {}", call(r#"{"page_size":3}"#, "customer.v1.Customers/ListCustomers")),
        call(r#"{"page_size":3}"#, "followup.v1.Tasks/ListTasks"),
        call(r#"{"page_size":3}"#, "notification.v1.Inbox/ListMessages"),
        format!("grpcurl -plaintext {address} list"),
    ]
}
