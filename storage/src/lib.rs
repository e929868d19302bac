//! Files in a local directory or a bucket, behind typed keys.
//! The only crate that names `object_store`; it never reads the environment and never looks inside a file.

mod adopt;
mod copy;
mod error;
mod key;
mod memory;
mod open;
mod pinned;
mod put;
mod read;
#[cfg(feature = "test-server")]
pub mod s3_server;
mod storage;
mod upload;

pub use error::{Error, PutError};
pub use key::{BadKey, FileName, Key, Prefix, Target};
pub use open::S3Credentials;
pub use pinned::{Moved, Pinned};
pub use put::Stored;
pub use read::ByteStream;
pub use storage::Storage;
