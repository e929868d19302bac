//! Checks of FLV tags and Ogg pages that show whether bytes of a file are missing between two of its packets.

use crate::engine::demux::matroska::read_vint;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Maximum number of FLV tags to follow between two packets of a stream.
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
        let Some([tag_type, high, middle, low]) = bytes_at(source, offset) else {
            return true;
        };
        let body = u32::from_be_bytes([0, high, middle, low]);
        let end = offset + TAG_HEADER_BYTES + u64::from(body);
        let stored_size = bytes_at(source, end).map(u32::from_be_bytes);
        // The size of a tag is repeated after it. Some writers set it to 0.
        let is_complete = stored_size.is_some_and(|size| size == 0 || u64::from(size) == end - offset);
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
    let pages = page_at(source, from).zip(page_at(source, to));
    pages.is_some_and(|(first, second)| {
        first.serial_number == second.serial_number && second.sequence_number > first.sequence_number.saturating_add(1)
    })
}

/// Fields of an Ogg page header.
struct OggPage {
    /// Serial number of the logical stream.
    serial_number: u32,
    sequence_number: u32,
}

fn page_at(source: &File, offset: u64) -> Option<OggPage> {
    let magic: [u8; 4] = bytes_at(source, offset)?;
    let page = OggPage {
        serial_number: u32::from_le_bytes(bytes_at(source, offset + 14)?),
        sequence_number: u32::from_le_bytes(bytes_at(source, offset + 18)?),
    };
    (magic == *b"OggS").then_some(page)
}

/// IDs of Matroska elements whose children are visited: `Segment`, `Cluster`, `BlockGroup`.
const PARENT_IDS: [u64; 3] = [0x1853_8067, 0x1f43_b675, 0xa0];

/// IDs of `SimpleBlock` and `Block`.
const BLOCK_IDS: [u64; 2] = [0xa3, 0xa1];

/// Returns `true` if the chain of Matroska elements does not lead from the block with its body at offset `from` to the
/// block with its body at offset `to`.
pub(crate) fn in_matroska(source: &File, from: u64, to: u64) -> bool {
    // The size of an element is before its body, in one to eight bytes.
    let ends = (2..=9).filter_map(|head_bytes| {
        let (id, after_id) = read_vint(source, from.checked_sub(head_bytes)?, true).ok()?;
        let (length, body) = read_vint(source, after_id, false).ok()?;
        (BLOCK_IDS.contains(&id) && body == from).then(|| body.saturating_add(length))
    });
    let ends: Vec<_> = ends.collect();
    !ends.is_empty() && !ends.into_iter().any(|end| leads_to_block(source, end, to))
}

/// Returns `true` if elements follow each other from an offset to the block with its body at offset `to`, or if there
/// are too many elements in between to tell.
fn leads_to_block(source: &File, from: u64, to: u64) -> bool {
    let mut offset = from;
    for _ in 0..MAX_TAGS {
        let element =
            read_vint(source, offset, true).and_then(|(id, after_id)| Ok((id, read_vint(source, after_id, false)?)));
        let Some((id, (length, body))) = element.ok().filter(|_| offset < to) else {
            return false;
        };
        if BLOCK_IDS.contains(&id) && body == to {
            return true;
        }
        offset = if PARENT_IDS.contains(&id) {
            body
        } else {
            body.saturating_add(length)
        };
    }
    true
}

fn bytes_at<const COUNT: usize>(source: &File, offset: u64) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    source.read_exact_at(&mut bytes, offset).ok()?;
    Some(bytes)
}
