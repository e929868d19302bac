//! The sandbox, seen from inside and from outside.
//!
//! This program has no harness, because the child is this program too, and a child must have one thread when it starts.
//! `as:media` is what `rushes media` does, `as:attempts` tries what a stranger in a decoder would try, `as:foreign`
//! makes a call of another architecture, `as:company` locks in beside another thread, `as:old` is `as:media` on a kernel that lacks a call, `as:middle` starts a
//! child and waits to be killed. Otherwise it tells the stories whose names contain one of its arguments.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::print_stdout, reason = "what a harness would print")]

mod attempts;
mod child;
mod confinement;
mod conversation;
mod crowds;
mod films;
mod memory;
mod raw;
mod stage;

use std::panic::catch_unwind;
use std::process::ExitCode;

type Story = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("as:media") => media::run(),
        Some("as:foreign") => attempts::call_as_a_foreigner(),
        Some("as:company") => attempts::run_in_company(),
        Some("as:old") => attempts::run_without(&arguments[1]),
        Some("as:middle") => child::wait_with_a_child(),
        Some("as:attempts") => attempts::run(&arguments[1..]),
        _ => tell(&arguments),
    }
}

/// Speaks as much of the language of Rust's own harness as `cargo test` and nextest need: `--list`, `--ignored`,
/// `--exact`, and parts of names.
fn tell(arguments: &[String]) -> ExitCode {
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    let filters: Vec<_> = arguments
        .iter()
        .filter(|argument| !argument.starts_with('-') && *argument != "terse")
        .collect();
    let wanted = |(name, _): &Story| {
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
    let mut stories = [
        confinement::STORIES,
        conversation::STORIES,
        crowds::STORIES,
        films::STORIES,
        memory::STORIES,
    ]
    .concat();
    stories.retain(wanted);
    if has("--list") {
        stories.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let good = |(name, story): &&Story| {
        let good = catch_unwind(story).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        good
    };
    let passed = stories.iter().filter(good).count();
    let failed = stories.len() - passed;
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out; finished"
    );
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
