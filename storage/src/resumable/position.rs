//! The state of an unfinished file between two requests.

use crate::error::Error;
use crate::key::Key;
use crate::memory::BLOCK_BYTES;
use std::sync::Arc;

/// The durable bytes of an unfinished file.
#[derive(Clone, Debug)]
pub struct Position {
    /// The key of the file.
    pub key: Key,
    /// Number of durable bytes.
    pub bytes: u64,
    /// The state of the hash; `None` at the beginning.
    pub hash_state: Option<String>,
    /// The multipart upload, in a bucket.
    pub multipart: Option<Multipart>,
}

/// The multipart upload of an unfinished file in a bucket.
#[derive(Clone, Debug)]
pub struct Multipart {
    /// The name that the bucket has given to it.
    pub id: String,
    /// Size of all parts except the last.
    pub part_bytes: u64,
    /// The key of the bytes behind the last whole part.
    pub tail: Option<Key>,
}

impl Multipart {
    /// The bytes of the whole parts of a file that has this many.
    pub(super) fn whole_bytes(&self, bytes: u64) -> u64 {
        bytes - bytes % self.part_bytes.max(1)
    }
}

/// The next position of a file.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// Number of durable bytes.
    pub bytes: u64,
    /// The state of the hash.
    pub hash_state: String,
    /// New parts: number and content id.
    pub parts: Vec<(u32, String)>,
    /// The key of the bytes behind the last whole part.
    pub tail: Option<Key>,
}

/// The extent of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// The bytes that are durable without a pause in the writing: in a bucket the whole parts, in a directory the bytes
    /// up to the checkpoint before. More bytes follow.
    Ready,
    /// All bytes, with others to follow in a later request.
    Everything,
    /// All bytes, the last of the file included.
    End,
}

/// A function that is called between the pieces of a copy. It returns `false` to end the copy.
pub type Proceed = Arc<dyn Fn() -> bool + Send + Sync>;

/// The error of a file that is gone.
pub(super) fn not_found(key: &Key) -> Error {
    Error::NotFound { key: key.to_string() }
}

/// The error of a file that another request writes to.
pub(super) fn in_use(key: &Key) -> Error {
    Error::InUse { key: key.to_string() }
}

/// The bytes of a chunk that fit into a block that has `filled` bytes, and the others.
pub(super) fn split_for_block(chunk: &[u8], filled: usize) -> (&[u8], &[u8]) {
    chunk.split_at((BLOCK_BYTES - filled).min(chunk.len()))
}
