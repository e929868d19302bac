//! Wake-ups in memory and through a Redis of their own.

#![cfg(test)]

mod columns;
mod redis_away;
mod redis_server;
mod wakeups;
