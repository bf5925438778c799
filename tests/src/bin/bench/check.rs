//! `tests/bench check`: what a decision costs, in process by reference and as a question over gRPC.

use std::{hint::black_box, time::Duration};

use revisit_core::{Clock, Timestamp};
use revisit_permission::Snapshot;
use revisit_tests::measure::{Line, Size, Table, figure, machine, median, per_second, percentile, say};

mod company;
mod remote;

pub use remote::SERVER;

use company::{Company, Question};

/// Rounds whose median is quoted.
const ROUNDS: usize = 5;

/// What one round of decisions has shown.
struct Round {
    per_second: f64,
    p50: f64,
    p99: f64,
}

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench check: {}\n", machine()));
    let local = decisions(size);
    let remote = Box::pin(remote::measure(size)).await;
    Line::default()
        .with("inproc_checks_per_s", format!("{:.0}", local.per_second))
        .with("check_p50_ns", format!("{:.0}", local.p50))
        .with("check_p99_ns", format!("{:.0}", local.p99))
        .with("grpc_check_per_s", format!("{:.0}", remote.check_per_second))
        .with("grpc_empty_per_s", format!("{:.0}", remote.empty_per_second))
        .with("grpc_ratio", format!("{:.3}", remote.ratio))
        .with("grpc_batch_check_per_s", format!("{:.0}", remote.batch_per_second))
        .print();
}

/// Decides over a realistic company; the row comes by reference, the clock's own cost is taken off.
fn decisions(size: Size) -> Round {
    let clock = Clock::system();
    let company = Company::found(size);
    let began = clock.steady();
    let snapshot = Snapshot::compile(&company.facts, 1);
    let compiled = clock.steady().since(began);
    let now = Timestamp::from_seconds(1_800_000_000);
    let questions = company.questions(&snapshot, now, size.pick(2_000, 200_000, 1_000_000));
    let mut table = Table::new(&["in process", "rounds", "checks/s", "p50 ns", "p99 ns", "clock ns"]);
    let (mut rounds, mut clocks) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let own = clock_cost(&clock);
        rounds.push(round(&snapshot, &company, &questions, now, own));
        clocks.push(own);
    }
    let middle = |read: fn(&Round) -> f64| median(&rounds.iter().map(read).collect::<Vec<_>>());
    let middle = Round {
        per_second: middle(|round| round.per_second),
        p50: middle(|round| round.p50),
        p99: middle(|round| round.p99),
    };
    table.row(&[
        "snapshot.decide",
        &ROUNDS.to_string(),
        &format!("{:.0}", middle.per_second),
        &format!("{:.0}", middle.p50),
        &format!("{:.0}", middle.p99),
        &format!("{:.0}", median(&clocks)),
    ]);
    say(&format!(
        "{}, {} rows, {} questions of which half are allowed; compiled in {compiled:.1?}\n",
        company.described(),
        company.rows.len(),
        questions.len()
    ));
    table.print();
    middle
}

fn round(snapshot: &Snapshot, company: &Company, questions: &[Question], now: Timestamp, own: f64) -> Round {
    let clock = Clock::system();
    let decide = |question: &Question| {
        let row = &company.rows[question.row];
        black_box(snapshot.decide(question.subject, question.action, row, now)).allowed
    };
    let began = clock.steady();
    let allowed = questions.iter().filter(|question| decide(question)).count();
    let took = clock.steady().since(began);
    // The very answers that they were drawn for: a decision that differs would measure something else.
    assert_eq!(allowed, questions.iter().filter(|question| question.allowed).count(), "a decision has changed");
    let mut nanos = Vec::with_capacity(questions.len());
    for question in questions {
        let began = clock.steady();
        black_box(decide(question));
        nanos.push((nanos_of(clock.steady().since(began)) - own).max(0.0));
    }
    Round {
        per_second: per_second(questions.len() as u64, took),
        p50: percentile(&nanos, 50),
        p99: percentile(&nanos, 99),
    }
}

/// What reading the clock twice costs by itself.
fn clock_cost(clock: &Clock) -> f64 {
    let once = |_| {
        let began = clock.steady();
        nanos_of(clock.steady().since(began))
    };
    median(&(0..10_001).map(once).collect::<Vec<_>>())
}

fn nanos_of(span: Duration) -> f64 {
    figure(u64::try_from(span.as_nanos()).unwrap_or(u64::MAX))
}
