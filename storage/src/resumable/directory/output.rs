//! The file to which an upload is written, block by block.

use crate::error::is_full;
use crate::memory::ALIGNMENT;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::statvfs::fstatvfs;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Space of the file system that unfinished files leave free: this part of it, and at most this many bytes.
const RESERVE_PART: u64 = 16;
const RESERVE_BYTES: u64 = 16 << 20;

/// The locked file, and where its next block goes.
#[derive(Debug)]
pub(super) struct Output {
    file: File,
    /// Its file system may accept writes past the page cache.
    has_direct: bool,
    /// The file is set to such writes.
    is_direct: bool,
    at: u64,
}

impl Output {
    /// A locked file whose next block begins at `at`.
    pub(super) const fn new(file: File, at: u64) -> Self {
        Self {
            file,
            has_direct: true,
            is_direct: false,
            at,
        }
    }

    pub(super) const fn file(&self) -> &File {
        &self.file
    }

    pub(super) fn write(&mut self, block: &[u8]) -> io::Result<()> {
        check_free_space(&self.file)?;
        if !self.write_directly(block)? {
            self.set_direct(false)?;
            self.file.write_all_at(block, self.at)?;
        }
        self.at += block.len() as u64;
        Ok(())
    }

    /// Writes a block past the page cache, if its position, length and address are multiples of [`ALIGNMENT`]. Returns
    /// `false` if it is to be written through the page cache.
    fn write_directly(&mut self, block: &[u8]) -> io::Result<bool> {
        let is_aligned = self.at.is_multiple_of(ALIGNMENT as u64)
            && block.len().is_multiple_of(ALIGNMENT)
            && block.as_ptr().align_offset(ALIGNMENT) == 0;
        if !is_aligned || !self.has_direct {
            return Ok(false);
        }
        let written = self.set_direct(true);
        match written.and_then(|()| self.file.write_all_at(block, self.at)) {
            Ok(()) => Ok(true),
            Err(error) if is_full(error.kind()) => Err(error),
            // The file system has no such writes, or other rules for them. Another error comes again.
            Err(_) => {
                self.has_direct = false;
                Ok(false)
            }
        }
    }

    /// Sets the file itself, because some file systems refuse writes through another descriptor than that of the lock.
    fn set_direct(&mut self, is_direct: bool) -> io::Result<()> {
        if self.is_direct != is_direct {
            let flags = if is_direct { OFlag::O_DIRECT } else { OFlag::empty() };
            fcntl(&self.file, FcntlArg::F_SETFL(flags))?;
            self.is_direct = is_direct;
        }
        Ok(())
    }
}

/// Refuses more bytes when the file system has hardly any space left. Unfinished files stay on a full disk, and a
/// request that removes one needs space for rows in the database, which is on the same disk in a small setup.
fn check_free_space(file: &File) -> io::Result<()> {
    let disk = fstatvfs(file)?;
    // Numbers of blocks of one size.
    let (free, total) = (disk.blocks_available(), disk.blocks());
    let reserve = (total / RESERVE_PART).min(RESERVE_BYTES / disk.fragment_size().max(1));
    if free < reserve {
        return Err(io::ErrorKind::StorageFull.into());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a panic fails the test")]

    use super::*;
    use crate::memory::{BLOCK_BYTES, Memory};
    use bytes::Buf;

    #[test]
    fn blocks_are_written_past_the_page_cache_if_all_is_aligned_and_otherwise_through_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        let mut output = Output::new(File::create(&path).unwrap(), 0);
        let has_direct = output.set_direct(true).is_ok();
        let mut whole = Memory::new().buffer();
        whole.extend_from_slice(&[1; BLOCK_BYTES]);
        let mut odd = Memory::new().buffer();
        odd.extend_from_slice(&[2; BLOCK_BYTES]);
        odd.advance(1);
        let mut expected = Vec::new();
        for (block, is_aligned) in [(&whole, true), (&odd, false), (&whole, false)] {
            assert_eq!(output.write_directly(block).unwrap(), is_aligned && has_direct);
            output.write(block).unwrap();
            expected.extend_from_slice(block);
        }
        output.has_direct = false;
        output.write(&whole).unwrap();
        expected.extend_from_slice(&whole);
        assert!(std::fs::read(&path).unwrap() == expected);
    }
}
