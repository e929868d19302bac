//! The structure of a file that FFmpeg does not expose: fragments of MP4, and files that were appended to raw FLAC.
//!
//! It is read once when a source is opened, because that may take a pass over the whole file. FFmpeg reads the file
//! with edits that follow from it; what is missing is needed later.

use crate::engine::cancel::Cancel;
use crate::engine::demux::edited_file::ByteEdits;
use crate::engine::demux::flac_files;
use crate::engine::demux::fragments::{self, Chain};
use domain::Failure;
use std::fs::File;

/// The structure of a file, without the edits.
#[derive(Debug)]
pub(crate) enum FileStructure {
    /// Boxes of MP4. Files of other formats have none.
    Boxes(Chain),
    /// Raw FLAC.
    Flac {
        /// Length of several files in microseconds; 0 for a single one, and if it is not known.
        joined_length_us: u64,
    },
    /// A transport stream.
    Packets,
}

impl FileStructure {
    /// Reads the structure of a file that is no transport stream, and returns the edits to read it with.
    ///
    /// # Errors
    /// [`domain::Code::Unavailable`] if the work is canceled.
    pub(crate) fn read(file: &File, cancel: &Cancel) -> Result<(ByteEdits, Self), Failure> {
        if flac_files::has_flac_header(file) {
            let headers = flac_files::read_headers(file, cancel)?;
            let joined_length_us = flac_files::joined_length_us(&headers).unwrap_or(0);
            return Ok((flac_files::edits(file, &headers), Self::Flac { joined_length_us }));
        }
        let mut chain = fragments::read_chain(file, cancel)?;
        Ok((std::mem::take(&mut chain.edits), Self::Boxes(chain)))
    }

    /// The boxes of an MP4.
    pub(crate) const fn boxes(&self) -> Option<&Chain> {
        match self {
            Self::Boxes(chain) => Some(chain),
            Self::Flac { .. } | Self::Packets => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::FileExt;

    #[test]
    fn reading_the_structure_stops_when_the_work_is_canceled() {
        let mut flac = b"fLaC\x80\0\0\x22".to_vec();
        flac.extend([0; 10]);
        flac.extend((48_000_u64 << 44 | 48_000).to_be_bytes());
        flac.extend([0; 16]);
        flac.extend([0xff, 0xf8]);
        for bytes in [b"\0\0\0\x08free\0\0\0\x08free".to_vec(), flac.repeat(2)] {
            let file = tempfile::tempfile().unwrap();
            file.write_all_at(&bytes, 0).unwrap();
            let cancel = Cancel::new();
            assert!(FileStructure::read(&file, &cancel).is_ok());
            cancel.raise();
            assert!(FileStructure::read(&file, &cancel).is_err());
        }
    }
}
