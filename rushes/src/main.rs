//! The executable.

use std::process::ExitCode;

fn main() -> ExitCode {
    rushes::main()
}
