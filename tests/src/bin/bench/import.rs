//! `tests/bench import`: a file with planted duplicates through the real client stream into PostgreSQL, beside COPY of
//! the rows that it made into the same tables and indexes.
//!
//! A round runs from the first byte of the upload until every row has its result: read, cleaned, checked, matched
//! against the whole tenant, decided, sealed, indexed, with its events in the outbox. In the measured rounds identity
//! and customer run, as customer would in production; one more round runs all four services in the same process, which
//! then also apply every event on the same cores.

use std::time::Duration;

use revisit_core::Clock;
use revisit_proto::customer::v1 as pb;
use revisit_tests::{
    measure::{Line, Size, Table, machine, median, per_second, resident_mib, say},
    world::{Ground, World},
};
use tokio::sync::watch;

use crate::rows::{self, Company};

mod copy;

use copy::Copy;

/// How often memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What one import has shown.
struct Round {
    per_second: f64,
    job: pb::ImportJob,
    /// Memory of the process right before, in MiB.
    before: f64,
    /// Greatest memory of the process while it had not passed a quarter of the rows, half of them, all of them.
    memory: [f64; 3],
}

/// Measures and prints.
pub async fn measure(size: Size) {
    say(&format!("bench import: {}\n", machine()));
    let (rows, rounds) = (size.pick(2_000, 100_000, 1_000_000), size.pick(1, 3, 3));
    // Warms up and makes what is copied: nobody has acknowledged its events, so that they are copied too.
    let world = World::on(rows::alone("followup", Vec::new())).await;
    Box::pin(import(&world, rows, size)).await;
    let copy = Copy::of(&world).await;
    world.running.stop().await.expect("it stops without a fault");
    let (mut imports, mut copies) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let world = World::on(rows::alone("identity", Vec::new())).await;
        imports.push(Box::pin(import(&world, rows, size)).await);
        world.running.stop().await.expect("it stops without a fault");
        copies.push(copy.run(rows).await);
    }
    let world = World::on(Ground::default()).await;
    let together = Box::pin(import(&world, rows, size)).await;
    world.running.stop().await.expect("it stops without a fault");
    told(rows, &imports, &copies, &together);
}

async fn import(world: &World, rows: u64, size: Size) -> Round {
    let company = Company::found(world, size == Size::Quick).await;
    let progress = watch::Sender::new(0);
    let watching = tokio::spawn(memory(progress.subscribe(), rows));
    let before = resident_mib();
    let clock = Clock::system();
    let began = clock.steady();
    let job = rows::import(&company, rows, &progress).await;
    let took = clock.steady().since(began);
    drop(progress);
    let memory = watching.await.expect("it does not panic");
    assert_eq!(job.row_count, i64::try_from(rows).unwrap_or(0), "rows of the file");
    assert_eq!(job.rejected_count, 0, "rows that break a rule: {job:?}");
    Round { per_second: per_second(rows, took), job, before, memory }
}

/// Looks at the memory of the process until the import has ended.
async fn memory(mut progress: watch::Receiver<u64>, rows: u64) -> [f64; 3] {
    let mut greatest = [0.0_f64; 3];
    loop {
        let done = *progress.borrow();
        let part = if done <= rows / 4 { 0 } else { 1 + usize::from(done > rows / 2) };
        let held = resident_mib();
        // What was held in an earlier part counts in the later ones too: each is a peak so far.
        greatest[part..].iter_mut().for_each(|peak| *peak = peak.max(held));
        // Who tells the progress is gone: the import has ended.
        if progress.has_changed().is_err() {
            return greatest;
        }
        let _ = tokio::time::timeout(LOOK_EVERY, progress.changed()).await;
    }
}

fn told(rows: u64, imports: &[Round], copies: &[f64], together: &Round) {
    let rates: Vec<f64> = imports.iter().map(|round| round.per_second).collect();
    let ratios: Vec<f64> = rates.iter().zip(copies).map(|(import, copy)| import / copy).collect();
    let found = |job: &pb::ImportJob| job.merged_count + job.duplicate_count;
    let peak = |round: &Round| round.memory[2];
    let mut table =
        Table::new(&["", "rows/s", "created", "merged", "duplicate", "MiB before", "at 25 %", "50 %", "100 %"]);
    let described = |name: String, round: &Round| {
        let mut cells = vec![name, format!("{:.0}", round.per_second)];
        let job = &round.job;
        cells.extend([job.created_count, job.merged_count, job.duplicate_count].map(|count| count.to_string()));
        cells.extend(std::iter::once(&round.before).chain(&round.memory).map(|mib| format!("{mib:.0}")));
        cells
    };
    let mut lines = Vec::new();
    for (number, (round, copy)) in imports.iter().zip(copies).enumerate() {
        lines.push(described(format!("import {}", number + 1), round));
        lines.push(vec![format!("COPY {}", number + 1), format!("{copy:.0}")]);
    }
    lines.push(described("import, four services in the process".to_owned(), together));
    for line in &lines {
        table.row(&line.iter().map(String::as_str).collect::<Vec<_>>());
    }
    table.print();
    let planted = rows::planted(rows);
    say(&format!("{rows} rows, {planted} planted duplicates; ended with {}\n\n", machine()));
    // The round that is furthest from what was planted is what is told.
    let rounds = imports.iter().chain([together]).map(|round| found(&round.job));
    let found = rounds.max_by_key(|found| found.abs_diff(planted.cast_signed()));
    let peak = imports.iter().map(peak).fold(0.0, f64::max);
    Line::default()
        .with("rows", rows)
        .with("rows_per_s", format!("{:.0}", median(&rates)))
        .with("copy_rows_per_s", format!("{:.0}", median(copies)))
        .with("ratio", format!("{:.3}", median(&ratios)))
        .with("duplicates_found", found.unwrap_or_default())
        .with("duplicates_planted", planted)
        .with("peak_mib", format!("{peak:.0}"))
        .print();
}
