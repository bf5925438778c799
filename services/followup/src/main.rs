//! The follow-up service alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    revisit_bootstrap::command::main(revisit_followup::service())
}
