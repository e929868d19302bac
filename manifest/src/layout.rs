//! The packing and the format of a file, as they are stored with a checkpoint.

use serde::{Deserialize, Serialize};

/// Number of bytes by which a packing is recognized.
pub(crate) const MAGIC_BYTES: usize = 4;

/// The packing and the format of a file. They are stored with a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The compression of the file.
    pub packing: Packing,
    /// The format of the unpacked file.
    pub format: Format,
}

impl Layout {
    /// True if the file is not compressed, so that [`Reader::resume`](crate::Reader::resume) needs only the rest of it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.packing == Packing::Plain
    }
}

/// The compression of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Packing {
    /// Not compressed.
    Plain,
    /// gzip (RFC 1952), one or more members.
    Gzip,
    /// zstd (RFC 8878), one or more frames.
    Zstd,
}

/// The format of the unpacked file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum Format {
    /// CSV (RFC 4180) with a header.
    Csv {
        /// The delimiter of fields.
        delimiter: Delimiter,
        /// The names of the columns, as they are in the header.
        columns: Vec<String>,
    },
    /// JSON lines: one object per line.
    Jsonl,
}

/// The delimiter of the fields of CSV.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Delimiter {
    /// `,`
    Comma,
    /// `;`
    Semicolon,
    /// A tab.
    Tab,
}

impl Delimiter {
    pub(crate) const ALL: [Self; 3] = [Self::Comma, Self::Semicolon, Self::Tab];

    pub(crate) fn byte(self) -> u8 {
        match self {
            Self::Comma => b',',
            Self::Semicolon => b';',
            Self::Tab => b'\t',
        }
    }
}

impl Packing {
    /// The packing of a file with these first bytes.
    pub(crate) fn of(magic: &[u8]) -> Self {
        match magic {
            [0x1F, 0x8B, ..] => Self::Gzip,
            // A frame, and a skippable frame.
            [0x28, 0xB5, 0x2F, 0xFD] | [0x50..=0x5F, 0x2A, 0x4D, 0x18] => Self::Zstd,
            _ => Self::Plain,
        }
    }
}
