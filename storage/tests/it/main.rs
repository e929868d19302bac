//! Tests of the storage, each on a directory and on a bucket.

#![cfg(test)]

mod column;
mod copying;
mod failures;
mod put_file;
mod reading;
mod writing;
