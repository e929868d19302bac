//! Tests of wake-ups in memory and through a Redis server.

#![cfg(test)]

mod queues;
mod redis_failures;
mod redis_server;
mod wakeups;
