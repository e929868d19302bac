//! What an installation accepts.

use serde::{Deserialize, Serialize};

/// Bounds of a source and of an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Largest upload in bytes.
    pub max_upload_bytes: u64,
    /// Longest source in microseconds.
    pub max_duration_us: u64,
    /// Most streams of a source.
    pub max_streams: usize,
    /// Most pixels of one picture.
    pub max_pixels: u64,
}

impl Default for Limits {
    /// 5 GiB, 4 hours, 16 streams, 8192 × 8192 pixels.
    fn default() -> Self {
        Self {
            max_upload_bytes: 5 << 30,
            max_duration_us: 4 * 3_600 * 1_000_000,
            max_streams: 16,
            max_pixels: 8_192 * 8_192,
        }
    }
}
