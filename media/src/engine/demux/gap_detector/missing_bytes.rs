//! Checks of FLV tags and Ogg pages that show whether bytes of a file are missing between two of its packets.

use crate::engine::file_bytes::{be, read, read_be, read_le, read_range};
use std::fs::File;

/// Maximum number of FLV tags or Ogg pages to follow between two packets of a stream.
const MAX_TAGS: u32 = 4_096;

/// Size of an FLV tag header, without the size of the previous tag before it (Adobe Flash Video File Format
/// Specification 10.1 §E.4.1).
const TAG_HEADER_BYTES: u64 = 11;

/// FLV tag types: audio, video, script data.
const TAG_TYPES: [u8; 3] = [8, 9, 18];

/// Returns `true` if following the FLV tags by their sizes does not lead from the tag at one byte position to the tag
/// at the other.
pub(crate) fn in_flv(source: &File, from: u64, to: u64) -> bool {
    let mut offset = from;
    for _ in 0..MAX_TAGS {
        if offset >= to {
            return offset != to;
        }
        let Ok([tag_type, size @ ..]) = read::<4>(source, offset) else {
            return true;
        };
        let end = offset + TAG_HEADER_BYTES + be(&size);
        // The size of a tag is repeated after it. Some writers set it to 0.
        let is_complete = read_be::<4>(source, end).is_ok_and(|size| size == 0 || size == end - offset);
        if !TAG_TYPES.contains(&tag_type) || !is_complete {
            return true;
        }
        offset = end + 4;
    }
    false
}

/// Returns `true` if the Ogg pages at two byte positions belong to the same logical stream and page sequence numbers
/// between them are missing (RFC 3533 §6). A chained stream has another serial number, or its sequence numbers restart.
pub(crate) fn in_ogg(source: &File, from: u64, to: u64) -> bool {
    let Some((first, last)) = page_at(source, from).zip(page_at(source, to)) else {
        return false;
    };
    let (mut offset, mut number) = (from, first.sequence_number);
    // Not every page has the end of a packet, and there are pages of other streams in between.
    for _ in 0..MAX_TAGS {
        let Some(page) = page_at(source, offset).filter(|_| offset < to) else {
            break;
        };
        if page.serial_number == first.serial_number {
            if page.sequence_number > number.saturating_add(1) {
                return true;
            }
            number = page.sequence_number;
        }
        offset += page.bytes;
    }
    first.serial_number == last.serial_number && last.sequence_number > number.saturating_add(1)
}

/// Size of an Ogg page header without the segment table.
const PAGE_HEADER_BYTES: u64 = 27;

/// Fields of an Ogg page header.
struct OggPage {
    /// Serial number of the logical stream.
    serial_number: u64,
    sequence_number: u64,
    /// Size of the page.
    bytes: u64,
}

fn page_at(source: &File, offset: u64) -> Option<OggPage> {
    let [segments] = read(source, offset + PAGE_HEADER_BYTES - 1).ok()?;
    let table = offset + PAGE_HEADER_BYTES;
    let sizes = read_range(source, &(table..table + u64::from(segments))).ok()?;
    let page = OggPage {
        serial_number: read_le::<4>(source, offset + 14).ok()?,
        sequence_number: read_le::<4>(source, offset + 18).ok()?,
        bytes: PAGE_HEADER_BYTES + u64::from(segments) + sizes.iter().map(|size| u64::from(*size)).sum::<u64>(),
    };
    (read(source, offset).ok()? == *b"OggS").then_some(page)
}
