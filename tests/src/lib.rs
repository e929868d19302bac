//! [`TestApp`]: a complete service for one test, with the real router on a TCP port and a real worker with media
//! children.
//!
//! Every test runs on both setups. By default a service uses SQLite, the queue in memory and a directory of files.
//! `./test` runs the tests a second time with `TEST_DATABASE_URL`, `TEST_REDIS_URL` and `TEST_STORAGE=s3`; then each
//! service gets a database, a logical Redis database and a bucket of its own. A test that needs a process of its own,
//! because it stops or kills it, uses [`server::Server`].

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a panic fails the test")]
#![allow(
    clippy::disallowed_methods,
    reason = "./test passes the addresses of servers in the environment, and tests start command-line tools"
)]
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a skipped test prints why")]

mod app;
mod backing_services;
mod bucket;
mod caller;
pub mod clip;
pub mod event_stream;
pub mod faulty_bucket;
pub mod file_host;
pub mod mutants;
pub mod port;
mod postgres;
mod presigned;
pub mod random;
pub mod receiver;
pub mod server;
pub mod skip;
mod small_disk;
mod snapshot;
mod tus;

pub use app::{Options, SECRET, TestApp, executable, media_executable};
pub use bucket::Bucket;
pub use caller::{Caller, MP4, PNG, Reply, image_form};
pub use postgres::Postgres;
pub use presigned::Presigned;
pub use small_disk::SmallDisk;
pub use snapshot::event_types;
pub use tus::Tus;
