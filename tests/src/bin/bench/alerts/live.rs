//! How soon an alert is told: from the call that completes what is alarming until the alert is kept, and until it lies in an
//! auditor's inbox, rule by rule at the limits that ship, with all services in one process on a durable PostgreSQL.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_identity::alert::Rule;
use revisit_proto::{identity::v1 as identity, notification::v1 as notification};
use revisit_standalone::client::Person;
use revisit_tests::{
    measure::{Size, millis},
    world::{Ground, World},
};

use super::bursts::{self, Burst};

/// How often it is looked.
const LOOK: Duration = Duration::from_millis(2);
/// An alert that takes longer has been lost.
const LOST_AFTER: Duration = Duration::from_secs(30);

/// What the rounds of a rule took, in milliseconds.
pub struct Told {
    pub rule: Rule,
    /// Until the alert was kept.
    pub kept: Vec<f64>,
    /// Until it lay in an inbox.
    pub told: Vec<f64>,
}

/// Measures each rule in a company of its own; each round is about somebody else.
pub async fn measure(size: Size) -> Vec<Told> {
    let mut all = Vec::new();
    for rule in Rule::ALL {
        all.push(of(rule, size).await);
    }
    all
}

async fn of(rule: Rule, size: Size) -> Told {
    let world = World::on(Ground { settings: bursts::settings(rule), ..Ground::default() }).await;
    let auditor = world.hire("shen", "auditor", &world.root).await;
    let owner = bursts::plant(&world, rule).await;
    let mut told = Told { rule, kept: Vec::new(), told: Vec::new() };
    for round in 0..size.pick(2, 20, 40) {
        let burst = Burst::of(rule, (&world, &owner), round).await;
        for _ in 1..bursts::calls(rule) {
            burst.call(&world).await;
        }
        assert!(alerts(&auditor, &burst.who).await.is_empty(), "{} is told before its limit", rule.name());
        let clock = Clock::system();
        let began = clock.steady();
        burst.call(&world).await;
        until(async || !alerts(&auditor, &burst.who).await.is_empty()).await;
        told.kept.push(millis(clock.steady().since(began)));
        until(async || in_inbox(&auditor).await > round).await;
        told.told.push(millis(clock.steady().since(began)));
        assert_eq!(alerts(&auditor, &burst.who).await, [Some(rule)], "{} alone", rule.name());
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

/// The rules by which somebody was told of.
async fn alerts(auditor: &Person, about: &Person) -> Vec<Option<Rule>> {
    let request = identity::ListAlertsRequest { user_id: about.id.to_string(), ..Default::default() };
    let auditor = auditor.fresh().await.expect("a session");
    let alerts = answer(auditor.audit().list_alerts(request).await).expect("an auditor sees them").alerts;
    alerts.into_iter().map(|alert| Rule::numbered(alert.raised?.rule)).collect()
}

async fn in_inbox(auditor: &Person) -> usize {
    let request = notification::ListMessagesRequest { page_size: 1_000, ..Default::default() };
    let auditor = auditor.fresh().await.expect("a session");
    let messages = answer(auditor.inbox().list_messages(request).await).expect("an inbox").messages;
    messages.iter().filter(|it| it.kind() == notification::MessageKind::AlertRaised).count()
}
