//! Keyframes of a source: those of its index, and whether their groups of pictures are closed.

use crate::engine::cancel::Cancel;
use crate::engine::demux::nal;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::packet;
use crate::engine::ffi::parameters::{self, CodecFacts};
use crate::engine::time::to_us;
use domain::Failure;
use domain::probe::Keyframes;
use ffmpeg_next::format::context::Input;
use std::ops::Range;

/// Keyframes looked at, spread over the whole: an encoder closes all groups of pictures or leaves all open.
const MAX_CHECKED_KEYFRAMES: usize = 24;

/// Packets read for one keyframe; more come before it only in a file that is not what its index says.
const MAX_PACKETS: u32 = 200;

/// Tells where the pictures of a stream, shown within a range of the source's clock in microseconds, can be entered. `None` when the
/// container has no index of them, as a fragmented file, or packets that another container would not take.
///
/// # Errors
/// When the work is canceled.
pub(crate) fn read(
    input: &mut Input,
    stream: usize,
    range_us: Range<i64>,
    cancel: &Cancel,
) -> Result<Option<Keyframes>, Failure> {
    let Some(source) = input.stream(stream) else {
        return Ok(None);
    };
    let facts = parameters::codec_facts(&source.parameters());
    let (base, samples) = (source.time_base(), source.frames());
    let format = input.format();
    let container = format.name();
    let indexed = container.starts_with("matroska") || container.starts_with("mov") && samples > 0;
    if !indexed || !is_configured(&facts) {
        return Ok(None);
    }
    // Matroska's index is read when it is first used.
    let _ = packet::seek_stream(input, stream, 0);
    let index = Index::read(input, stream);
    let Some(last) = index.keys.last().filter(|_| index.orderly) else {
        return Ok(None);
    };
    let us = |time: i64| to_us(time, base);
    let gaps = index.keys.windows(2).map(|pair| match pair {
        [from, to] => us(*to).saturating_sub(us(*from)),
        _ => 0,
    });
    // An index may count when pictures are decoded, some time before they are shown.
    let first = index.keys.first().filter(|_| !index.hidden);
    let lag_us = first.map_or(0, |first| range_us.start.saturating_sub(us(*first)).max(0));
    let to_the_end = range_us.end.saturating_sub(us(*last)).saturating_sub(lag_us);
    let longest = gaps.chain([to_the_end]).max().unwrap_or(0);
    Ok(Some(Keyframes {
        first: index.first,
        hidden: index.hidden,
        closed: has_closed_gops(input, stream, &facts, &index.keys, cancel)?,
        longest_us: u64::try_from(longest).unwrap_or(0),
    }))
}

/// Whether the container carries the decoder's configuration as another one takes it: with H.264 and HEVC the
/// record of ISO/IEC 14496-15, whose version is 1.
fn is_configured(facts: &CodecFacts) -> bool {
    match facts.name {
        "h264" | "hevc" => facts.extradata_first_byte == Some(1),
        "av1" => facts.extradata_first_byte.is_some(),
        _ => true,
    }
}

/// What the index of a stream tells.
#[derive(Debug, Default)]
struct Index {
    /// Times of the keyframes.
    keys: Vec<i64>,
    /// Whether its first packet is one of them.
    first: bool,
    /// Whether an edit list hides packets before the first one shown.
    hidden: bool,
    /// Whether times only grow, and what is shown is one run: several edits make files that no copy can tell.
    orderly: bool,
}

impl Index {
    fn read(input: &Input, stream: usize) -> Self {
        let mut index = Self {
            orderly: true,
            ..Self::default()
        };
        let (mut last, mut shown, mut hidden_again) = (None, false, false);
        packet::for_each_index_entry(input, stream, |entry| {
            index.first |= last.is_none() && entry.key;
            index.hidden |= last.is_none() && entry.hidden;
            // Around either end of an edit, hidden packets and shown ones stand mixed, but with a keyframe among the
            // hidden ones another edit begins.
            hidden_again |= shown && entry.hidden && entry.key;
            shown |= !entry.hidden;
            index.orderly &= last.is_none_or(|last| last < entry.time) && (entry.hidden || !hidden_again);
            last = Some(entry.time);
            if entry.key {
                index.keys.push(entry.time);
            }
        });
        index
    }
}

/// Whether the keyframes looked at begin closed groups of pictures.
fn has_closed_gops(
    input: &mut Input,
    stream: usize,
    facts: &CodecFacts,
    keys: &[i64],
    cancel: &Cancel,
) -> Result<bool, Failure> {
    let unit = match facts.name {
        "h264" => nal::is_h264_idr_slice,
        "hevc" => nal::is_hevc_idr_slice,
        // Keyframes of these forget all that was before.
        "vp8" | "vp9" | "av1" => return Ok(true),
        _ => return Ok(false),
    };
    let step = keys.len().div_ceil(MAX_CHECKED_KEYFRAMES).max(1);
    for time in keys.iter().step_by(step) {
        if packet::seek_stream(input, stream, *time).is_err() {
            return Ok(false);
        }
        let mut read = 0;
        let closed = loop {
            let Some(packet) = next_packet(input, cancel)?.filter(|_| read < MAX_PACKETS) else {
                break false;
            };
            if packet.stream() == stream {
                break packet.is_key() && packet.data().is_some_and(|data| nal::starts_with_idr(data, unit));
            }
            read += 1;
        };
        if !closed {
            return Ok(false);
        }
    }
    Ok(true)
}
