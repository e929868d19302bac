//! Stories of the doorbell, in memory and through a Redis of their own.

#![cfg(test)]

mod doorbell;
mod listener;
mod redis_away;
mod redis_server;
