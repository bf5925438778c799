//! `tests/storm NAME`: what is lost when things break off at any point. Ends with a failure when anything was.
#![expect(clippy::expect_used, reason = "a storm that cannot go on ends, and says why")]

use std::process::ExitCode;

use revisit_tests::measure::{Asked, say};

mod lease;
mod offboard;

const USAGE: &str = "usage: tests/storm offboard | lease [--quick | --full]\n";

fn main() -> ExitCode {
    let Some(Asked { name, size, binary: Some(binary) }) = Asked::read(std::env::args()) else {
        say(USAGE);
        return ExitCode::FAILURE;
    };
    let threads = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("threads can be made");
    match name.as_str() {
        "lease" => lease::storm(size),
        "offboard" => threads.block_on(Box::pin(offboard::storm(size, &binary))),
        _ => {
            say(USAGE);
            ExitCode::FAILURE
        }
    }
}
