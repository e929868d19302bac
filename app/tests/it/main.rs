//! Use cases without HTTP, on SQLite and a directory.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod fetched;
mod fetched_changes;
mod fixture;
#[path = "../../../outbound/tests/it/host.rs"]
#[allow(dead_code, reason = "the tests of `outbound` use all of it")]
mod host;
mod idempotency;
mod library;
#[path = "../../../outbound/tests/it/names.rs"]
#[allow(dead_code, reason = "the tests of `outbound` use all of it")]
mod names;
mod tasks;
mod watch;
mod webhooks;
