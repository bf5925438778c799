//! How soon an alert is told: from the call that is refused until the alert is kept, and until it lies in an auditor's
//! inbox, with all services in one process on a durable PostgreSQL.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_proto::{customer::v1 as customer, identity::v1 as identity, notification::v1 as notification};
use revisit_standalone::client::Person;
use revisit_tests::{
    measure::{Size, millis},
    world::{Ground, World},
};

/// One refusal is alarming, so that each round has one call.
const SETTINGS: &str = "[identity.alerts]\ndenied_burst = { count = 1, window_seconds = 600, freeze = false }\nself_grant = { count = 0, \
     window_seconds = 600, freeze = false }\n";
/// How often it is looked.
const LOOK: Duration = Duration::from_millis(2);
/// An alert that takes longer has been lost.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// What the rounds took, in milliseconds.
#[derive(Default)]
pub struct Told {
    /// Until the alert was kept.
    pub kept: Vec<f64>,
    /// Until it lay in an inbox.
    pub told: Vec<f64>,
}

/// Measures; each round is about somebody else.
pub async fn measure(size: Size) -> Told {
    let world = World::on(Ground { settings: SETTINGS.to_owned(), ..Ground::default() }).await;
    let auditor = world.hire("shen", "auditor", &world.root).await;
    let mut told = Told::default();
    for round in 0..size.pick(3, 40, 200) {
        let name = format!("person{round}");
        let person = world.hire(&name, "sales_rep", &world.root).await;
        let clock = Clock::system();
        let began = clock.steady();
        let export = customer::ExportCustomersRequest { reason: "to take along".to_owned(), ..Default::default() };
        answer(person.exports().export_customers(export).await).map(drop).expect_err("not theirs to export");
        let id = person.id.to_string();
        until(async || kept(&auditor, &id).await).await;
        told.kept.push(millis(clock.steady().since(began)));
        until(async || in_inbox(&auditor).await > round).await;
        told.told.push(millis(clock.steady().since(began)));
    }
    world.running.stop().await.expect("it stops without a fault");
    told
}

async fn until(holds: impl AsyncFn() -> bool) {
    let looking = async {
        while !holds().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(LOST_AFTER, looking).await.expect("an alert comes");
}

async fn kept(auditor: &Person, user: &str) -> bool {
    let request = identity::ListAlertsRequest { user_id: user.to_owned(), ..Default::default() };
    !answer(auditor.audit().list_alerts(request).await).expect("an auditor sees them").alerts.is_empty()
}

async fn in_inbox(auditor: &Person) -> usize {
    let request = notification::ListMessagesRequest { page_size: 1_000, ..Default::default() };
    let messages = answer(auditor.inbox().list_messages(request).await).expect("an inbox").messages;
    messages.iter().filter(|it| it.kind() == notification::MessageKind::AlertRaised).count()
}
