//! `tests/bench NAME`: what things cost, each beside its floor in one run.
#![expect(clippy::expect_used, reason = "a measurement that cannot go on ends, and says why")]

use std::process::ExitCode;

use revisit_tests::measure::{Asked, say};

mod alerts;
mod audit;
mod callers;
mod check;
mod detection;
mod export;
mod floor;
mod import;
mod list;
mod revoke;
mod rows;
mod rpc;

const USAGE: &str = "usage: tests/bench import | list | export | check | rpc | revoke | audit | alerts | detection [--quick | --full]\n";

fn main() -> ExitCode {
    let Some(asked) = Asked::read(std::env::args()) else {
        say(USAGE);
        return ExitCode::FAILURE;
    };
    // Named, so that the time which the server has used is told apart from that of who calls it.
    let server = tokio::runtime::Builder::new_multi_thread().thread_name(check::SERVER).enable_all().build();
    server.expect("threads can be made").block_on(async {
        match asked.name.as_str() {
            "import" => Box::pin(import::measure(asked.size)).await,
            "list" => Box::pin(list::measure(asked.size)).await,
            "export" => Box::pin(export::measure(asked.size)).await,
            "check" => Box::pin(check::measure(asked.size)).await,
            "audit" => Box::pin(audit::measure(asked.size)).await,
            "detection" => detection::measure(asked.size),
            "alerts" => Box::pin(alerts::measure(asked.size)).await,
            "revoke" => Box::pin(revoke::measure(asked.size)).await,
            "rpc" => Box::pin(rpc::measure(asked.size)).await,
            _ => {
                say(USAGE);
                return ExitCode::FAILURE;
            }
        }
        ExitCode::SUCCESS
    })
}
