//! The product's own binary once more, for tests that start and stop a real process. Cargo tells a package where the
//! binaries of that package lie and of no other one, and what lies about in the target folder may be an old one.

use std::process::ExitCode;

fn main() -> ExitCode {
    revisit_standalone::program::main()
}
