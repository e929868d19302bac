//! Tests of the entities on SQLite or, if `TEST_DATABASE_URL` is set, on Postgres.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod accounts;
mod claims;
mod connection_errors;
mod costs;
mod damaged_files;
mod deliveries;
mod delivery_outcomes;
mod events;
mod fetches;
mod full_disk;
mod guest_links;
mod idempotency;
mod images;
mod library;
mod library_log;
mod migrations;
#[path = "../../../tests/src/port.rs"]
mod port;
mod proxy;
mod races;
mod seed;
mod sharing;
#[path = "../../../tests/src/skip.rs"]
mod skip;
mod state_machine;
mod task_details;
mod transactions;
mod uploads;
mod watched_files;
