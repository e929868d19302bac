//! Tests of the reader as its callers use it.

#![cfg(test)]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]

mod archives;
mod cases;
mod files;
mod properties;
