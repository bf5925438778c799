//! The binary: the service alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    revisit_bootstrap::command::main(revisit_notification::service())
}
