//! The sandbox, seen from inside and from outside.
//!
//! This program has no harness, because the child is this program too, and a child must have one thread when it starts.
//! `as:media` is what `rushes media` does, `as:attempts` tries what a stranger in a decoder would try, `as:encoders`
//! uses encoders that no recipe names yet, `as:foreign` makes a call of another architecture, `as:old` is `as:media` on
//! a kernel that lacks a call, `as:middle` starts a child and waits to be killed. Otherwise it tells the stories whose
//! names contain one of its arguments.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
#![allow(clippy::print_stdout, reason = "what a harness would print")]

mod attempts;
mod child;
mod confinement;
mod conversation;
mod encoders;
mod films;
mod raw;
mod stage;

use std::panic::catch_unwind;
use std::process::ExitCode;

type Story = (&'static str, fn());

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.first().map(String::as_str) {
        Some("as:media") => media::run(),
        Some("as:encoders") => encoders::run(),
        Some("as:foreign") => attempts::call_as_a_foreigner(),
        Some("as:old") => attempts::run_without(&arguments[1]),
        Some("as:middle") => child::wait_with_a_child(),
        Some("as:attempts") => attempts::run(&arguments[1..]),
        _ => tell(&arguments),
    }
}

fn tell(filters: &[String]) -> ExitCode {
    let filters: Vec<_> = filters.iter().filter(|filter| !filter.starts_with('-')).collect();
    let wanted = |(name, _): &&Story| filters.is_empty() || filters.iter().any(|filter| name.contains(filter.as_str()));
    let mut failed = 0;
    for (name, story) in [confinement::STORIES, conversation::STORIES, films::STORIES]
        .concat()
        .iter()
        .filter(wanted)
    {
        let good = catch_unwind(story).is_ok();
        println!("test {name} ... {}", if good { "ok" } else { "FAILED" });
        failed += usize::from(!good);
    }
    println!("test result: {failed} failed");
    if failed == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
