//! `tests/storm lease`: schedules of faults against the lease, in a simulation whose clocks stand still until they are
//! moved. What decides, keeps and tells is the product's own code; the network, the machines and the database are models.
//!
//! The claim: once identity has told that a revocation is effective, nobody allows by what was revoked, whatever was
//! lost, doubled, late, paused, killed, cut off or set to another time. When everything is whole again, everybody answers
//! anew.

use std::process::ExitCode;

use revisit_tests::measure::{Line, Size, Table, machine, say};

mod fault;
mod model;
mod node;
mod run;

use fault::Fault;
use run::{Run, Seen};

/// Schedules that are told of when they break the claim.
const TOLD_MAX: usize = 5;

/// Runs the schedules, prints, and fails when one of them broke the claim.
pub fn storm(size: Size) -> ExitCode {
    say(&format!("storm lease: {}\n", machine()));
    let schedules: u64 = size.pick(300, 10_000, 100_000);
    let mut all = Seen::default();
    let mut told = 0;
    for seed in 0..schedules {
        let seen = Run::new(seed).until_all_is_whole();
        if (!seen.stale.is_empty() || !seen.stuck.is_empty()) && told < TOLD_MAX {
            told += 1;
            say(&format!("schedule {seed}:\n  {}\n", [&seen.stale[..], &seen.stuck[..]].concat().join("\n  ")));
        }
        all.add(&seen);
    }
    let mut table = Table::new(&["what happened", "times"]);
    for (fault, times) in Fault::ALL.iter().zip(all.faults) {
        table.row(&[fault.name(), &times.to_string()]);
    }
    let counts = [
        ("allowed", all.allowed),
        ("denied", all.denied),
        ("unavailable", all.unavailable),
        ("revocations", all.revocations),
        ("told: all had acknowledged", all.acknowledged),
        ("told: the leases had run out", all.run_out),
        ("rows of silent holders deleted", all.deleted),
        ("pushes lost", all.lost),
        ("pushes sent twice", all.doubled),
        ("pushes taken as they came", all.applied),
        ("pushes that made a holder ask", all.asked),
        ("pushes of what was held, or loaded already", all.left_alone),
    ];
    for (what, times) in counts {
        table.row(&[what, &times.to_string()]);
    }
    table.print();
    Line::default()
        .with("schedules", schedules)
        .with("stale_allows", all.stale.len())
        .with("stuck", all.stuck.len())
        .with("effective_max_ms", all.effective_max / 1_000)
        .print();
    // A storm in which something never happened has not tried it.
    let whole = counts.iter().all(|(_, times)| *times > 0) && all.faults.iter().all(|times| *times > 0);
    if !whole {
        say("something never happened: these schedules prove less than they should\n");
    }
    if all.stale.is_empty() && all.stuck.is_empty() && whole { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
