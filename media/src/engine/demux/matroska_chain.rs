//! The chain of elements that follow a block of a Matroska file (RFC 9559): whether it leads to another block, and what
//! is behind the last block.

use crate::engine::demux::matroska::{BLOCK, BLOCK_GROUP, CLUSTER, EBML, SEGMENT, SIMPLE_BLOCK, head};
use std::fs::File;

/// Maximum number of elements to follow.
const MAX_ELEMENTS: u32 = 4_096;

/// IDs of elements whose children are visited.
const PARENT_IDS: [u64; 3] = [SEGMENT, CLUSTER, BLOCK_GROUP];

/// IDs of elements with the data of a packet.
const BLOCK_IDS: [u64; 2] = [SIMPLE_BLOCK, BLOCK];

/// Returns `true` if bytes are missing between two blocks whose bodies are at these offsets: the elements do not lead
/// from one to the other.
pub(crate) fn is_broken(source: &File, from: u64, to: u64) -> bool {
    let ends = block_ends(source, from);
    !ends.is_empty() && !ends.into_iter().any(|end| leads_to_block(source, end, to))
}

/// Offsets at which the block with its body at this offset may end. The size of an element is before its body, in one
/// to eight bytes.
fn block_ends(source: &File, from: u64) -> Vec<u64> {
    let ends = (2..=9).filter_map(|head_bytes| {
        let (id, size, body) = head(source, from.checked_sub(head_bytes)?).ok()?;
        (BLOCK_IDS.contains(&id) && body == from).then(|| body.saturating_add(size.unwrap_or(0)))
    });
    ends.collect()
}

/// Returns `true` if elements follow each other from an offset to the block with its body at offset `to`, or if there
/// are too many elements in between to tell.
fn leads_to_block(source: &File, from: u64, to: u64) -> bool {
    let mut offset = from;
    for _ in 0..MAX_ELEMENTS {
        let Some((id, size, body)) = head(source, offset).ok().filter(|_| offset < to) else {
            return false;
        };
        if BLOCK_IDS.contains(&id) && body == to {
            return true;
        }
        offset = next_offset(id, size, body);
    }
    true
}

/// Offset of the element to visit after one with this ID, size and body.
fn next_offset(id: u64, size: Option<u64>, body: u64) -> u64 {
    if PARENT_IDS.contains(&id) {
        body
    } else {
        body.saturating_add(size.unwrap_or(0))
    }
}

/// The content of a file behind the last block that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// No media.
    Empty,
    /// A cluster or block that extends beyond the end of the file.
    Cut,
    /// Another file, which begins at this offset.
    File(u64),
}

/// Determines the content of a file after the block with its body at offset `from`.
pub(crate) fn tail(source: &File, from: u64) -> Tail {
    let length = source.metadata().map_or(0, |metadata| metadata.len());
    let tails: Vec<_> = block_ends(source, from)
        .into_iter()
        .map(|end| tail_from(source, end, length))
        .collect();
    // Of the offsets at which the block may end, a wrong one does not lead to the end of the file.
    if tails.contains(&Tail::Empty) {
        return Tail::Empty;
    }
    tails.first().copied().unwrap_or(Tail::Empty)
}

fn tail_from(source: &File, from: u64, length: u64) -> Tail {
    let mut offset = from;
    for _ in 0..MAX_ELEMENTS {
        let Ok((id, size, body)) = head(source, offset) else {
            return Tail::Empty;
        };
        let is_media = PARENT_IDS.contains(&id) || BLOCK_IDS.contains(&id);
        if id == EBML {
            return Tail::File(offset);
        }
        if is_media && body.saturating_add(size.unwrap_or(0)) > length {
            return Tail::Cut;
        }
        offset = next_offset(id, size, body);
    }
    Tail::Empty
}
