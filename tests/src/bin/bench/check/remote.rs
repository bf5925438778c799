//! The same question over gRPC: `Access.Check`, and as many as a batch may have at once by `Access.BatchCheck`, beside an
//! empty call that passes the same layers, in turns.

use std::time::Duration;

use revisit_bootstrap::status::answer;
use revisit_proto::identity::v1 as pb;
use revisit_standalone::client::Person;
use revisit_tests::{
    measure::{Size, Table, figure, median, per_second, processor_time, say},
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
/// A batch keeps a thread for longer: as many at once as there are of those.
const BATCH_WIDTH: Width = Width { connections: 2, streams: 1 };
const CHECK: &str = "/revisit.identity.v1.Access/Check";
const BATCH: &str = "/revisit.identity.v1.Access/BatchCheck";
/// Questions of one batch: as many as it may have.
const BATCH_MAX: usize = 1_000;

/// What the rounds have shown.
pub struct Remote {
    pub check_per_second: f64,
    pub empty_per_second: f64,
    pub ratio: f64,
    pub batch_per_second: f64,
}

/// One round of one call: how many a second, and what the server has used for each.
#[derive(Clone, Copy)]
struct Rate {
    per_second: f64,
    server_micros: f64,
}

/// Measures the calls in turns.
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
    let (mut checks, mut empties, mut batches) = (Vec::new(), Vec::new(), Vec::new());
    let asked = answer(rep.access().check(question.clone()).await).expect("an answer");
    assert!(asked.allowed, "a denial is another question: {asked:?}");
    let batch = pb::BatchCheckRequest { checks: questions(&question) };
    let asked = answer(rep.access().batch_check(batch.clone()).await).expect("answers").results;
    let allowed = |it: &&pb::BatchCheckResult| match &it.result {
        Some(pb::batch_check_result::Result::Answer(answer)) => answer.allowed,
        _ => false,
    };
    assert_eq!(asked.iter().filter(allowed).count(), BATCH_MAX / 2, "half of them are allowed");
    let ask = async |question: Question, width| rate(&callers, question, width, span).await;
    let check = async || ask(Question::new(CHECK, Code::Ok).of(fresh(&rep).await, &question), WIDTH).await;
    let empty = async || ask(Question::new(floor::EMPTY, Code::Ok).of(fresh(&rep).await, &()), WIDTH).await;
    let batch = async || ask(Question::new(BATCH, Code::Ok).of(fresh(&rep).await, &batch), BATCH_WIDTH).await;
    // The first round of each only warms up.
    for round in 0..=rounds {
        let (empty, check) = match round % 2 {
            0 => (empty().await, check().await),
            _ => {
                let check = check().await;
                (empty().await, check)
            }
        };
        let batch = batch().await;
        if round > 0 {
            empties.push(empty);
            checks.push(check);
            batches.push(batch);
        }
    }
    drop(callers);
    world.running.stop().await.expect("it stops without a fault");
    told(&checks, &empties, &batches)
}

/// The same question about as many rows, of which every second one is nobody's that the asker may see.
fn questions(question: &pb::CheckRequest) -> Vec<pb::CheckRequest> {
    let about = |number: usize| {
        let mut question = question.clone();
        if let Some(row) = &mut question.row {
            row.row_id = format!("0190a0a0-0000-7000-8000-{number:012}");
            if number % 2 == 1 {
                row.owner_id.clear();
                row.department_id.clear();
            }
        }
        question
    };
    (0..BATCH_MAX).map(about).collect()
}

async fn fresh(who: &Person) -> &Person {
    who.fresh().await.expect("a session")
}

fn told(checks: &[Rate], empties: &[Rate], batches: &[Rate]) -> Remote {
    let middle = |rates: &[Rate], read: fn(&Rate) -> f64| median(&rates.iter().map(read).collect::<Vec<_>>());
    let pairs = checks.iter().zip(empties);
    let ratio = median(&pairs.clone().map(|(check, empty)| check.per_second / empty.per_second).collect::<Vec<_>>());
    let server = median(&pairs.map(|(check, empty)| empty.server_micros / check.server_micros).collect::<Vec<_>>());
    let mut table = Table::new(&["over gRPC", "rounds", "calls/s", "answers/s", "server µs an answer"]);
    let of_batch = figure(BATCH_MAX as u64);
    for (name, rates, answers) in
        [("Access.Check", checks, 1.0), ("Access.BatchCheck", batches, of_batch), ("empty call", empties, 1.0)]
    {
        let calls = middle(rates, |rate| rate.per_second);
        table.row(&[
            name,
            &rates.len().to_string(),
            &format!("{calls:.0}"),
            &format!("{:.0}", calls * answers),
            &format!("{:.2}", middle(rates, |rate| rate.server_micros) / answers),
        ]);
    }
    say("\n");
    table.print();
    say(&format!("ratio of calls/s {ratio:.3}; of the server's processor time {server:.3}\n\n"));
    Remote {
        check_per_second: middle(checks, |rate| rate.per_second),
        empty_per_second: middle(empties, |rate| rate.per_second),
        ratio,
        batch_per_second: middle(batches, |rate| rate.per_second) * of_batch,
    }
}

/// Calls as fast as the answers come, for a span.
async fn rate(callers: &Callers, question: Question, width: Width, span: Duration) -> Rate {
    let mut used = Duration::ZERO;
    let run = callers.run(question, width, Until::Span(span), || used = processor_time(SERVER)).await;
    let used = processor_time(SERVER).saturating_sub(used);
    let count = run.calls.len() as u64;
    Rate { per_second: per_second(count, run.took), server_micros: 1e6 / per_second(count, used) }
}
