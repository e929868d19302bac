//! Stored files under typed keys, in a local directory or an S3 bucket.
//!
//! This is the only crate that depends on `object_store`. It does not read the environment and does not interpret the
//! content of files.

mod copy;
mod destination;
mod error;
mod folder;
mod key;
mod memory;
mod open;
mod pinned;
mod put;
mod put_file;
mod read;
mod resumable;
#[cfg(feature = "test-server")]
pub mod s3_server;
mod search_id;
mod signed_read;
mod storage;
mod upload;

pub use destination::{BucketAddress, Destination, DestinationError, DestinationFile};
pub use error::{Error, PutError};
pub use folder::{DONE, FAILED, Folder, FolderFile};
pub use key::{FileName, InvalidKey, Key, Prefix, Target};
pub use open::S3Credentials;
pub use pinned::{PathChanged, PinnedPaths};
pub use put::Stored;
pub use read::ByteStream;
pub use resumable::{Appender, Extent, Multipart, Position, Proceed, Progress};
pub use search_id::{InvalidSearchId, SearchId};
pub use storage::Storage;
