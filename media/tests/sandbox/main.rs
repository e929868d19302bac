//! Tests of the sandbox and of the media child, from inside the process and from outside.
//!
//! The program has no test harness: it is also the executable of the child, and a child must be single-threaded when
//! `main` begins. The first argument selects a mode:
//!
//! | mode | does |
//! |---|---|
//! | `mode:media` | runs the media child, as `rushes-media` does |
//! | `mode:fork-server` | runs the fork server, as `rushes-media fork-server` does |
//! | `mode:attacks` | confines itself and tries what an attacker in a decoder would try |
//! | `mode:foreign-architecture` | confines itself and makes a system call of another architecture |
//! | `mode:second-thread` | confines itself while another thread runs |
//! | `mode:old-kernel CALL` | runs the media child on a simulated kernel without a system call |
//! | `mode:short-machine RESOURCE` | runs the media child on a simulated machine that lacks this resource |
//! | `mode:parent` | starts a media child and waits to be killed |
//!
//! Without a mode it runs the tests whose names contain one of its arguments.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::disallowed_methods, reason = "a test starts servers and command-line tools")]
#![allow(clippy::print_stdout, reason = "prints the results, as a test harness does")]

mod attacks;
mod child;
mod confinement;
mod fixture;
mod forks;
mod many_streams;
mod memory;
mod protocol;
mod shortage;
#[path = "../../../tests/src/skip.rs"]
mod skip;
mod syscalls;
mod transcodes;

use fixture::Test;
use std::panic::catch_unwind;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("mode:media") => media::run(),
        Some("mode:fork-server") => media::serve_forks(),
        Some("mode:foreign-architecture") => attacks::call_foreign_architecture(),
        Some("mode:second-thread") => attacks::confine_beside_thread(),
        Some("mode:old-kernel") => attacks::run_on_old_kernel(&arguments[1]),
        Some("mode:short-machine") => shortage::run_on_short_machine(&arguments[1..]),
        Some("mode:parent") => child::run_parent(),
        Some("mode:attacks") => attacks::run(&arguments[1..]),
        _ => run_tests(&arguments),
    }
}

/// Runs or lists the tests. Supports the options of Rust's test harness that `cargo test` and nextest use: `--list`,
/// `--ignored`, `--exact`, and filters by parts of names.
fn run_tests(arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && *argument != "terse")
        .collect();
    let wanted = |(name, _): &Test| {
        let exact = has("--exact");
        let fits = |filter: &&String| {
            if exact {
                *name == filter.as_str()
            } else {
                name.contains(filter.as_str())
            }
        };
        !has("--ignored") && (filters.is_empty() || filters.iter().any(fits))
    };
    let mut tests = [
        confinement::TESTS,
        protocol::TESTS,
        forks::TESTS,
        many_streams::TESTS,
        transcodes::TESTS,
        memory::TESTS,
        shortage::TESTS,
    ]
    .concat();
    tests.retain(wanted);
    if has("--list") {
        tests.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let passes = |(name, test): &&Test| {
        let passed = catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        passed
    };
    let passed = tests.iter().filter(passes).count();
    let failed = tests.len() - passed;
    let result = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {result}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
