//! Tests of the storage, each on a directory and on a bucket.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "a test starts servers and command-line tools")]

mod column;
mod copying;
mod destination;
mod failures;
mod folder;
mod presigned;
mod put_file;
mod reading;
mod resumable;
#[path = "../../../tests/src/skip.rs"]
mod skip;
mod writing;
