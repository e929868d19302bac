//! The elements that follow a block of a Matroska file (RFC 9559): whether they lead to another block, and what is
//! behind the last block.

use crate::engine::demux::matroska::{BLOCK, BLOCK_GROUP, CLUSTER, EBML, ElementChain, Head, SEGMENT, SIMPLE_BLOCK};
use crate::engine::file_bytes::length;
use std::fs::File;

/// Maximum number of elements to follow.
const MAX_ELEMENTS: u32 = 4_096;

/// IDs of elements whose children are visited.
const PARENT_IDS: &[u64] = &[SEGMENT, CLUSTER, BLOCK_GROUP];

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
    let heads = (2..=9).filter_map(|head_bytes| Head::read(source, from.checked_sub(head_bytes)?).ok());
    heads
        .filter(|head| BLOCK_IDS.contains(&head.id) && head.body == from)
        .map(|head| head.end_or(0))
        .collect()
}

/// The elements from an offset on.
fn elements(source: &File, from: u64) -> ElementChain<'_> {
    ElementChain::new(source, from, PARENT_IDS).up_to(MAX_ELEMENTS)
}

/// Returns `true` if elements follow each other from an offset to the block with its body at offset `to`, or if there
/// are too many elements in between to tell.
fn leads_to_block(source: &File, from: u64, to: u64) -> bool {
    let mut count = 0;
    for head in elements(source, from).take_while(|head| head.at < to) {
        if BLOCK_IDS.contains(&head.id) && head.body == to {
            return true;
        }
        count += 1;
    }
    count == MAX_ELEMENTS
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
    let length = length(source);
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
    let found = elements(source, from).find_map(|head| {
        let is_media = PARENT_IDS.contains(&head.id) || BLOCK_IDS.contains(&head.id);
        if head.id == EBML {
            Some(Tail::File(head.at))
        } else {
            (is_media && head.end_or(0) > length).then_some(Tail::Cut)
        }
    });
    found.unwrap_or(Tail::Empty)
}
