//! Tests of the client against real listeners of this machine.

#![cfg(test)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test runs itself again in a network of its own, and starts a TLS server"
)]

mod clients;
mod download;
mod host;
mod hostile_addresses;
mod limits;
mod names;
mod post;
mod proxies;
mod rebinding;
mod redirects;
mod rerun;
mod resume;
#[path = "../../../tests/src/skip.rs"]
mod skip;
mod tls;
