//! The binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    revisit_standalone::program::main()
}
