//! Tests of the storage, each on a directory and on a bucket.

#![cfg(test)]

mod adopting;
mod column;
mod copying;
mod failures;
mod reading;
mod writing;
