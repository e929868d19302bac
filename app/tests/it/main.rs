//! Use cases without HTTP, on SQLite and a directory.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod fixture;
mod idempotency;
mod library;
mod tasks;
