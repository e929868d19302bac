//! Tests that do not run on every machine or setup: each of them returns early through one of these functions.
//!
//! `./test` sets `TEST_REQUIRED=1`. Then a test that lacks a program or a privilege fails instead of being skipped, so
//! that a run without failures has run every test. Test binaries of other crates include this file.

#![allow(
    dead_code,
    unreachable_pub,
    reason = "the crates that include this file use parts of it"
)]
#![allow(clippy::disallowed_methods, reason = "./test sets TEST_REQUIRED in the environment")]
#![allow(clippy::print_stdout, reason = "a skipped test prints why")]

/// Skips a test because the machine lacks a program, a privilege or a device.
///
/// # Panics
/// With `TEST_REQUIRED=1`.
pub fn missing(what: &str) {
    let is_required = std::env::var("TEST_REQUIRED").is_ok_and(|value| value == "1");
    assert!(!is_required, "this test needs {what}, and TEST_REQUIRED=1 is set");
    println!("SKIPPED: needs {what}");
}

/// Skips a test on one setup because its subject exists only on the other one, on which `./test` runs it too.
pub fn other_setup(reason: &str) {
    println!("SKIPPED on this setup: {reason}");
}

/// Skips a test, or a part of it, that uses recorded clips. They are not part of the repository.
pub fn recorded_clips(path: &str) {
    println!("SKIPPED: the recorded clips `{path}` are not beside the repository");
}
