//! The customer service alone.

use std::process::ExitCode;

fn main() -> ExitCode {
    revisit_customer::program().run()
}
