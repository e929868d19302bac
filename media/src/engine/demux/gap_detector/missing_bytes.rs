//! Evidence in the bytes of a file that others are missing between two of its packets.

use crate::engine::demux::matroska::vint;
use std::fs::File;
use std::os::unix::fs::FileExt;

/// Most tags that are followed from one packet of a stream to the next.
const MOST_TAGS: u32 = 4_096;

/// Header of a tag, without the size of the tag before it (Adobe Flash Video File Format Specification 10.1 §E.4.1).
const TAG_BYTES: u64 = 11;

/// Audio, video, script data.
const TAG_KINDS: [u8; 3] = [8, 9, 18];

/// Returns `true` when the chain of FLV tags does not lead from the packet at one byte position to the packet at the other.
pub(crate) fn in_flv(source: &File, from: u64, to: u64) -> bool {
    let mut place = from;
    for _ in 0..MOST_TAGS {
        if place >= to {
            return place != to;
        }
        let Some([kind, high, middle, low]) = bytes_at(source, place) else {
            return true;
        };
        let body = u32::from_be_bytes([0, high, middle, low]);
        let next = place + TAG_BYTES + u64::from(body);
        let own_size = bytes_at(source, next).map(u32::from_be_bytes);
        // Some writers set the size of the previous tag to 0.
        let ends = own_size.is_some_and(|size| size == 0 || u64::from(size) == next - place);
        if !TAG_KINDS.contains(&kind) || !ends {
            return true;
        }
        place = next + 4;
    }
    false
}

/// Returns `true` when the Ogg pages at two byte positions belong to one logical stream and page sequence numbers between them are
/// left out (RFC 3533 §6). A chained stream has another serial number, or its pages are counted anew.
pub(crate) fn in_ogg(source: &File, from: u64, to: u64) -> bool {
    let pages = page_at(source, from).zip(page_at(source, to));
    pages.is_some_and(|((stream, number), (later_stream, later))| {
        stream == later_stream && later > number.saturating_add(1)
    })
}

/// The serial number of the stream of a page, and the number of the page in it.
fn page_at(source: &File, place: u64) -> Option<(u32, u32)> {
    let magic: [u8; 4] = bytes_at(source, place)?;
    let stream = u32::from_le_bytes(bytes_at(source, place + 14)?);
    let number = u32::from_le_bytes(bytes_at(source, place + 18)?);
    (magic == *b"OggS").then_some((stream, number))
}

/// Elements of Matroska whose children are looked at: `Segment`, `Cluster`, `BlockGroup`.
const PARENTS: [u64; 3] = [0x1853_8067, 0x1f43_b675, 0xa0];

/// `SimpleBlock` and `Block`.
const BLOCKS: [u64; 2] = [0xa3, 0xa1];

/// Returns `true` when the chain of Matroska elements does not lead from the block whose content is at one byte position to the block
/// whose content is at the other.
pub(crate) fn in_matroska(source: &File, from: u64, to: u64) -> bool {
    // The length of an element stands before its content; how many bytes it takes is tried.
    let ends = (2..=9).filter_map(|head| {
        let (id, after) = vint(source, from.checked_sub(head)?, true).ok()?;
        let (length, body) = vint(source, after, false).ok()?;
        (BLOCKS.contains(&id) && body == from).then(|| body.saturating_add(length))
    });
    let ends: Vec<_> = ends.collect();
    !ends.is_empty() && !ends.into_iter().any(|end| leads_to_block(source, end, to))
}

/// Returns `true` when elements follow each other from a position to the block whose content is at another, or there are too many.
fn leads_to_block(source: &File, from: u64, to: u64) -> bool {
    let mut at = from;
    for _ in 0..MOST_TAGS {
        let element = vint(source, at, true).and_then(|(id, after)| Ok((id, vint(source, after, false)?)));
        let Some((id, (length, body))) = element.ok().filter(|_| at < to) else {
            return false;
        };
        if BLOCKS.contains(&id) && body == to {
            return true;
        }
        at = if PARENTS.contains(&id) {
            body
        } else {
            body.saturating_add(length)
        };
    }
    true
}

fn bytes_at<const COUNT: usize>(source: &File, place: u64) -> Option<[u8; COUNT]> {
    let mut bytes = [0; COUNT];
    source.read_exact_at(&mut bytes, place).ok()?;
    Some(bytes)
}
