//! Stories of rows, on SQLite and, where `TEST_DATABASE_URL` names one, on Postgres.

#![cfg(test)]
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod accounts;
mod claims;
mod costs;
mod desk;
mod full;
mod idempotency;
mod images;
mod life;
mod proxy;
mod races;
mod refused;
mod seed;
mod sharing;
mod transactions;
