//! The identity service alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    revisit_identity::program().run()
}
