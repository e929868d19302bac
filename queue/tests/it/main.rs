//! Tests of wake-ups and updates in memory and through a Redis server.

#![cfg(test)]

#[path = "../../../tests/src/port.rs"]
mod port;
mod queues;
mod redis_failures;
mod redis_server;
#[path = "../../../tests/src/skip.rs"]
mod skip;
mod updates;
mod wakeups;
