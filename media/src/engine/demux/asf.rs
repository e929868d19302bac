//! Header of ASF files, for files that are shorter than it says: FFmpeg ignores the length of a file that has another size.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// The objects of the ASF specification, revision 01.20.06, by their identifiers.
const HEADER: [u8; 16] = *b"\x30\x26\xb2\x75\x8e\x66\xcf\x11\xa6\xd9\x00\xaa\x00\x62\xce\x6c";
const FILE_PROPERTIES: [u8; 16] = *b"\xa1\xdc\xab\x8c\x47\xa9\xcf\x11\x8e\xe4\x00\xc0\x0c\x20\x53\x65";
const CONTENT_ENCRYPTION: [u8; 16] = *b"\xfb\xb3\x11\x22\x23\xbd\xd2\x11\xb4\xb7\x00\xa0\xc9\x55\xfc\x6e";
const EXTENDED_CONTENT_ENCRYPTION: [u8; 16] = *b"\x14\xe6\x8a\x29\x22\x26\x17\x4c\xb9\x35\xda\xe0\x7e\xe9\x28\x9c";

/// Objects of a header looked at; there are about ten.
const MAX_OBJECTS: u32 = 1_000;

/// Flag of a header that was written before the rest, and tells neither size nor length.
const BROADCAST: u64 = 1;

/// How long a file would be, in microseconds, that is shorter than its header says; `None` for any other.
pub(crate) fn header_duration_us(file: &File) -> Option<u64> {
    let bytes = file.metadata().ok()?.len();
    let properties = properties(file).ok()?;
    let field = |at: u64| number(file, properties + at).ok();
    let (size, length, preroll_ms, flags) = (field(16)?, field(40)?, field(56)?, field(64)?);
    // In tenths of microseconds, from before the preroll.
    let length_us = (length / 10).saturating_sub(preroll_ms.saturating_mul(1_000));
    (flags & BROADCAST == 0 && size > bytes && length_us > 0).then_some(length_us)
}

/// Bytes of the file by its header, when that tells.
pub(crate) fn header_bytes(file: &File) -> Option<u64> {
    let properties = properties(file).ok()?;
    let field = |at: u64| number(file, properties + at).ok();
    let (size, flags) = (field(16)?, field(64)?);
    (flags & BROADCAST == 0 && size > 0).then_some(size)
}

/// Whether the header has an object that tells how the content is encrypted.
pub(crate) fn is_protected(file: &File) -> bool {
    [CONTENT_ENCRYPTION, EXTENDED_CONTENT_ENCRYPTION]
        .iter()
        .any(|name| object(file, name).is_ok())
}

/// Where the body of the file properties object begins.
fn properties(file: &File) -> io::Result<u64> {
    object(file, &FILE_PROPERTIES)
}

/// Where the body of an object of the header begins.
fn object(file: &File, wanted: &[u8; 16]) -> io::Result<u64> {
    let mut at = 0;
    for _ in 0..MAX_OBJECTS {
        let mut name = [0; 16];
        file.read_exact_at(&mut name, at)?;
        let length = number(file, at + 16)?;
        if name == *wanted {
            return Ok(at + 24);
        }
        // The header holds the others, after their number and two bytes.
        let next = if name == HEADER { 30 } else { length.max(24) };
        at = at.checked_add(next).ok_or(io::ErrorKind::InvalidData)?;
    }
    Err(io::ErrorKind::InvalidData.into())
}

fn number(file: &File, at: u64) -> io::Result<u64> {
    let mut bytes = [0; 8];
    file.read_exact_at(&mut bytes, at)?;
    Ok(u64::from_le_bytes(bytes))
}
