//! `tests/bench export`: how many rows of a long export leave after the right to it was told revoked, beside how fast one
//! leaves that nobody stops.
//!
//! Rows are counted where they arrive, by somebody who reads as fast as they come.

use revisit_bootstrap::status::answer;
use revisit_core::Clock;
use revisit_proto::{customer::v1 as pb, identity::v1 as identity};
use revisit_standalone::client::Person;
use revisit_tests::{
    databases::{connect_to, tidy},
    measure::{Line, Size, Table, figure, machine, median, per_second, percentile, say},
    world::World,
};
use tokio::{sync::watch, task::JoinHandle};

use crate::rows::{self, Company};

/// Rows that may leave after the end was told: those of the chunk that was under way.
const CHUNK_MAX: f64 = 500.0;

/// How an export has ended.
struct Ended {
    rows: u64,
    whole: bool,
}

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench export: {}\n", machine()));
    let mut ground = rows::alone(revisit_identity::NAME, Vec::new());
    ground.settings.push_str("[customer]\nexport_rows_max = 1000000\nexport_approval_rows = 1000000\n");
    let world = World::on(ground).await;
    let company = Company::found(&world, size == Size::Quick).await;
    let taker = world.roleless("taker").await;
    let rows = size.pick(4_000, 1_000_000, 1_000_000);
    rows::import(&company, rows, &watch::Sender::new(0)).await;
    rows::settle(&world).await;
    tidy(&connect_to(&world.database(revisit_customer::NAME)).await).await;
    let clock = Clock::system();
    let held = grant(&world, &taker).await;
    let began = clock.steady();
    let ended = begin(&taker, &watch::Sender::new(0)).await.await.expect("it does not panic");
    let rate = per_second(ended.rows, clock.steady().since(began));
    assert!(ended.whole, "nobody has stopped it");
    revoke(&world, held).await;
    let mut after = Vec::new();
    for round in 1..=size.pick(2, 10, 30) {
        let held = grant(&world, &taker).await;
        let arrived = watch::Sender::new(0);
        let export = begin(&taker, &arrived).await;
        // Each is stopped somewhere else.
        let until = rows::mixed(round) % (ended.rows / 2);
        arrived.subscribe().wait_for(|rows| *rows > until).await.expect("the export goes on");
        revoke(&world, held).await;
        let told = *arrived.borrow();
        let stopped = export.await.expect("it does not panic");
        assert!(!stopped.whole || told == ended.rows, "a revoked export has left whole");
        // One that had left before it was told says nothing.
        if !stopped.whole {
            after.push(figure(stopped.rows - told));
        }
    }
    assert!(!after.is_empty(), "each export was over before its right was");
    world.running.stop().await.expect("it stops without a fault");
    let mut table = Table::new(&["rows", "rows/s", "revocations", "rows after it was told, p50", "greatest"]);
    let (p50, greatest) = (median(&after), percentile(&after, 100));
    assert!(greatest <= CHUNK_MAX, "more than a chunk has left after it was told: {greatest} rows");
    let cells = [&ended.rows.to_string(), &format!("{rate:.0}"), &after.len().to_string()];
    table.row(&[cells[0], cells[1], cells[2], &format!("{p50:.0}"), &format!("{greatest:.0}")]);
    table.print();
    Line::default()
        .with("rows", ended.rows)
        .with("export_per_s", format!("{rate:.0}"))
        .with("after_told_p50", format!("{p50:.0}"))
        .with("after_told_max", format!("{greatest:.0}"))
        .print();
}

/// Begins an export that is read as fast as it comes; how many rows have arrived is told all the while.
async fn begin(taker: &Person, arrived: &watch::Sender<u64>) -> JoinHandle<Ended> {
    let request = pb::ExportCustomersRequest { reason: "it is measured".to_owned(), ..Default::default() };
    let taker = taker.fresh().await.expect("a session");
    let mut pieces = answer(taker.exports().export_customers(request).await).expect("it begins");
    let arrived = arrived.clone();
    tokio::spawn(async move {
        let mut lines = 0_u64;
        let whole = loop {
            match pieces.message().await {
                Ok(Some(piece)) => {
                    lines += piece.data.iter().filter(|byte| **byte == b'\n').count() as u64;
                    // The first line is the header.
                    arrived.send_replace(lines.saturating_sub(1));
                }
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        Ended { rows: lines.saturating_sub(1), whole }
    })
}

async fn grant(world: &World, taker: &Person) -> String {
    let request = identity::CreateGrantRequest {
        holder_id: taker.id.to_string(),
        right: Some(identity::GrantTemplate {
            actions: vec!["customer.view".to_owned(), "customer.export".to_owned()],
            extent: Some(identity::Extent { kind: identity::ExtentKind::Tenant.into(), ..Default::default() }),
            levels: Some(identity::LayerLevels {
                basic: identity::Level::Read.into(),
                sensitive: identity::Level::Masked.into(),
                ..Default::default()
            }),
            ..Default::default()
        }),
        reason: "it is measured".to_owned(),
        ..Default::default()
    };
    let admin = world.admin.fresh().await.expect("a session");
    let granted = answer(admin.access().create_grant(request).await).expect("it is granted");
    world.settle().await;
    granted.grant_id
}

/// Takes the right and waits until that is effective everywhere.
async fn revoke(world: &World, grant_id: String) {
    let target = Some(identity::revoke_and_wait_request::Target::GrantId(grant_id));
    let request = identity::RevokeAndWaitRequest { target, reason: "it is measured".to_owned() };
    let admin = world.admin.fresh().await.expect("a session");
    answer(admin.access().revoke_and_wait(request).await).expect("it is revoked");
}
