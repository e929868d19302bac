//! A whole service for one test: the real router on a real port, a real worker with real children, and either column
//! of the house: SQLite, memory and a directory, or the Postgres, Redis and S3 that `./test` names in the environment.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]
#![allow(
    clippy::disallowed_methods,
    reason = "tests are told their servers by ./test, and start tools"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "tests say what they skip")]

mod app;
mod caller;
pub mod clip;
mod column;
mod everything;
pub mod mutants;
mod postgres;
pub mod random;
pub mod server;
mod small_disk;

pub use app::{Options, SECRET, TestApp, program};
pub use caller::{Caller, MP4, PNG, Reply, image_form};
pub use postgres::Postgres;
pub use small_disk::SmallDisk;
