//! The product's own binaries once more, for tests that start and stop real processes: by what name it is called decides
//! which of them it is. Cargo tells a package where the binaries of that package lie and of no other one, and what lies
//! about in the target folder may be an old one.

use std::process::ExitCode;

fn main() -> ExitCode {
    match std::env::args().next().as_deref() {
        Some("identity") => revisit_identity::program().run(),
        Some("customer") => revisit_customer::program().run(),
        Some(_) | None => revisit_standalone::program::main(),
    }
}
