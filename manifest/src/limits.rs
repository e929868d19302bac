//! Limits of a manifest.

/// Unpacked size up to which [`Limits::ratio`] is not checked: repetitive files of a few rows exceed any ratio.
pub(crate) const RATIO_FREE_BYTES: u64 = 1 << 20;
/// Maximum number of columns of CSV.
pub(crate) const COLUMNS: usize = 1_000;
/// Maximum size of the header of CSV in bytes. It is stored with each checkpoint.
pub(crate) const HEADER_BYTES: usize = 64 << 10;

/// Limits of a manifest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum unpacked size in bytes, also of a plain file.
    pub unpacked_bytes: u64,
    /// Maximum unpacked size as a multiple of the packed size. Sizes up to 1 MiB are always accepted.
    pub ratio: u64,
    /// Maximum number of rows, bad ones included.
    pub rows: u64,
    /// Maximum size of a record in bytes, without its line break.
    pub record_bytes: usize,
}

impl Default for Limits {
    /// 10 GiB, 100 times the packed size, 5,000,000 rows, 1 MiB for a record.
    fn default() -> Self {
        Self {
            unpacked_bytes: 10 << 30,
            ratio: 100,
            rows: 5_000_000,
            record_bytes: 1 << 20,
        }
    }
}

impl Limits {
    /// The maximum unpacked size of a packed file.
    pub(crate) fn unpacked_from(&self, packed_bytes: u64) -> u64 {
        let by_ratio = packed_bytes.saturating_mul(self.ratio).max(RATIO_FREE_BYTES);
        self.unpacked_bytes.min(by_ratio)
    }
}
