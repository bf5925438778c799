//! The same question over gRPC: `Access.Check` beside an empty call that passes the same layers, in turns.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_proto::identity::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::{
    measure::{Size, Table, median, per_second, processor_time, say},
    world::World,
};
use tonic::Code;

use crate::{
    callers::{Callers, Question, Until, Width},
    floor, rows,
};

/// How the threads of the server are called.
pub const SERVER: &str = "server";
const WIDTH: Width = Width { connections: 4, streams: 16 };
const CHECK: &str = "/revisit.identity.v1.Access/Check";

/// What the rounds have shown.
pub struct Remote {
    pub check_per_second: f64,
    pub empty_per_second: f64,
    pub ratio: f64,
}

/// One round of one call: how many a second, and what the server has used for each.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    server_micros: f64,
}

/// Measures both calls in turns.
pub async fn measure(size: Size) -> Remote {
    let world = World::on(rows::alone(revisit_identity::NAME, vec![floor::service()])).await;
    let store = world.department("store", &world.root).await;
    let rep = world.hire("mei", "sales_rep", &store).await;
    let question = pb::CheckRequest {
        action: "customer.view".to_owned(),
        row: Some(pb::RowAttributes {
            row_id: "0190a0a0-0000-7000-8000-000000000001".to_owned(),
            owner_id: rep.id.to_string(),
            department_id: store,
            stage: "lead".to_owned(),
            grade: "C".to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    };
    let callers = Callers::of(&format!("http://{}", world.running.address()));
    let (rounds, span) = (size.pick(2, 15, 31), Duration::from_millis(size.pick(200, 1_000, 2_000)));
    let (mut checks, mut empties) = (Vec::new(), Vec::new());
    let asked = answer(rep.access().check(question.clone()).await).expect("an answer");
    assert!(asked.allowed, "a denial is another question: {asked:?}");
    let check = async || rate(&callers, Question::new(CHECK, Code::Ok).of(fresh(&rep).await, &question), span).await;
    let empty = async || rate(&callers, Question::new(floor::EMPTY, Code::Ok).of(fresh(&rep).await, &()), span).await;
    // The first round of each only warms up.
    for round in 0..=rounds {
        let (empty, check) = match round % 2 {
            0 => (empty().await, check().await),
            _ => {
                let check = check().await;
                (empty().await, check)
            }
        };
        if round > 0 {
            empties.push(empty);
            checks.push(check);
        }
    }
    drop(callers);
    world.running.stop().await.expect("it stops without a fault");
    told(&checks, &empties)
}

async fn fresh(who: &Person) -> &Person {
    who.fresh().await.expect("a session")
}

fn told(checks: &[Rate], empties: &[Rate]) -> Remote {
    let middle = |rates: &[Rate], read: fn(&Rate) -> f64| median(&rates.iter().map(read).collect::<Vec<_>>());
    let pairs = checks.iter().zip(empties);
    let ratio = median(&pairs.clone().map(|(check, empty)| check.per_second / empty.per_second).collect::<Vec<_>>());
    let server = median(&pairs.map(|(check, empty)| empty.server_micros / check.server_micros).collect::<Vec<_>>());
    let mut table = Table::new(&["over gRPC", "rounds", "calls/s", "server µs a call"]);
    for (name, rates) in [("Access.Check", checks), ("empty call", empties)] {
        table.row(&[
            name,
            &rates.len().to_string(),
            &format!("{:.0}", middle(rates, |rate| rate.per_second)),
            &format!("{:.1}", middle(rates, |rate| rate.server_micros)),
        ]);
    }
    say("\n");
    table.print();
    say(&format!("ratio of calls/s {ratio:.3}; of the server's processor time {server:.3}\n\n"));
    Remote {
        check_per_second: middle(checks, |rate| rate.per_second),
        empty_per_second: middle(empties, |rate| rate.per_second),
        ratio,
    }
}

/// Calls as fast as the answers come, for a span.
async fn rate(callers: &Callers, question: Question, span: Duration) -> Rate {
    let mut used = Duration::ZERO;
    let run = callers.run(question, WIDTH, Until::Span(span), || used = processor_time(SERVER)).await;
    let used = processor_time(SERVER).saturating_sub(used);
    let count = run.calls.len() as u64;
    Rate { per_second: per_second(count, run.took), server_micros: 1e6 / per_second(count, used) }
}
