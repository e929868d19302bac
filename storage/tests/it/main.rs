//! Stories of stored files, each on a directory and on a bucket.

#![cfg(test)]

mod adopting;
mod column;
mod copying;
mod reading;
mod trouble;
mod writing;
