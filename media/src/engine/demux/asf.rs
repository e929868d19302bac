//! ASF header objects: the size of the file, the duration of truncated files, which FFmpeg ignores if the file size
//! differs from the header, and encryption.

use crate::engine::demux::broken_off::BrokenOff;
use crate::engine::file_bytes::{length, read, read_le};
use std::fs::File;
use std::io;

/// GUIDs of header objects (ASF specification, revision 01.20.06, §10).
const HEADER: [u8; 16] = *b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";
const FILE_PROPERTIES: [u8; 16] = *b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";
const CONTENT_ENCRYPTION: [u8; 16] = *b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e";
const EXTENDED_CONTENT_ENCRYPTION: [u8; 16] = *b"\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c";

/// Maximum number of header objects to read; files have about ten.
const MAX_OBJECTS: u32 = 1_000;

/// Broadcast flag of the file properties object: size and duration in the header are invalid.
const BROADCAST: u64 = 1;

/// Duration by the header of a truncated file; `None` if the file is not shorter than its header states.
pub(crate) fn broken_asf(file: &File) -> Option<BrokenOff> {
    let properties = find_object(file, &FILE_PROPERTIES).ok()?;
    let field = |offset: u64| read_le::<8>(file, properties + offset).ok();
    let (duration, preroll_ms) = (field(40)?, field(56)?);
    // The duration is in units of 100 ns and includes the preroll.
    let length_us = (duration / 10).saturating_sub(preroll_ms.saturating_mul(1_000));
    (header_bytes(file)? > length(file) && length_us > 0).then_some(BrokenOff {
        length_us,
        unknown_loss: None,
    })
}

/// Number of bytes of the file by its header; `None` if the header does not state it.
pub(crate) fn header_bytes(file: &File) -> Option<u64> {
    let properties = find_object(file, &FILE_PROPERTIES).ok()?;
    let field = |offset: u64| read_le::<8>(file, properties + offset).ok();
    let (bytes, flags) = (field(16)?, field(64)?);
    (flags & BROADCAST == 0 && bytes > 0).then_some(bytes)
}

/// Returns `true` if the header has a content encryption object.
pub(crate) fn is_encrypted(file: &File) -> bool {
    [CONTENT_ENCRYPTION, EXTENDED_CONTENT_ENCRYPTION]
        .iter()
        .any(|guid| find_object(file, guid).is_ok())
}

/// Finds a header object. Returns the file offset of its body, after GUID and size.
fn find_object(file: &File, wanted: &[u8; 16]) -> io::Result<u64> {
    let mut offset = 0;
    for _ in 0..MAX_OBJECTS {
        let guid: [u8; 16] = read(file, offset)?;
        let size = read_le::<8>(file, offset + 16)?;
        if guid == *wanted {
            return Ok(offset + 24);
        }
        // The header object contains the others, after its GUID, size, object count and two reserved bytes.
        let next = if guid == HEADER { 30 } else { size.max(24) };
        offset = offset.checked_add(next).ok_or(io::ErrorKind::InvalidData)?;
    }
    Err(io::ErrorKind::InvalidData.into())
}
