//! Keyframes of a source: distances by the index of the container, and closed or open GOPs by the slice headers.
//!
//! The plan needs them to decide if packets can be copied: segments of an adaptive output, and spans, can only begin at
//! a keyframe of a closed GOP. The index is complete and cheap to read; slice headers of a sample of keyframes show if
//! GOPs are closed.

use crate::engine::cancel::Cancel;
use crate::engine::demux::container::{is_matroska, is_mp4};
use crate::engine::demux::nal;
use crate::engine::demux::packets::next_packet;
use crate::engine::ffi::packet;
use crate::engine::ffi::parameters::{self, CodecFacts};
use crate::engine::time::to_us;
use domain::Failure;
use domain::probe::Keyframes;
use ffmpeg_next::format::context::Input;
use std::ops::Range;

/// Maximum number of keyframes whose slice headers are checked, spread over the file: an encoder makes either closed or
/// open GOPs.
const MAX_CHECKED_KEYFRAMES: usize = 24;

/// Packets read after a seek to find the keyframe; a file with more packets before it contradicts its index.
const MAX_PACKETS: u32 = 200;

/// Reads the keyframes of a video stream. `range_us` is its start and end in source time, in microseconds. `None` when
/// the container has no index (such as a fragmented MP4) or its packets cannot be copied to another container.
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
    let (time_base, samples) = (source.time_base(), source.frames());
    let format = input.format();
    let container = format.name();
    let indexed = is_matroska(container) || is_mp4(container) && samples > 0;
    if !indexed || !is_configured(&facts) {
        return Ok(None);
    }
    // FFmpeg reads the index of Matroska (Cues) at the first seek.
    let _ = packet::seek_stream(input, stream, 0);
    let index = Index::read(input, stream);
    let Some(last) = index.keyframes.last().filter(|_| index.is_one_run) else {
        return Ok(None);
    };
    let us = |time: i64| to_us(time, time_base);
    let gaps = index.keyframes.windows(2).map(|pair| match pair {
        [from, to] => us(*to).saturating_sub(us(*from)),
        _ => 0,
    });
    // An index may hold decoding times, which are earlier than presentation times.
    let first_keyframe = index.keyframes.first().filter(|_| !index.has_hidden_packets);
    let lag_us = first_keyframe.map_or(0, |first| range_us.start.saturating_sub(us(*first)).max(0));
    let to_the_end = range_us.end.saturating_sub(us(*last)).saturating_sub(lag_us);
    let longest = gaps.chain([to_the_end]).max().unwrap_or(0);
    Ok(Some(Keyframes {
        first: index.starts_with_keyframe,
        hidden: index.has_hidden_packets,
        closed: has_closed_gops(input, stream, &facts, &index.keyframes, cancel)?,
        longest_us: u64::try_from(longest).unwrap_or(0),
    }))
}

/// Returns `true` when the container has the decoder configuration in the form that other containers need: for H.264
/// and HEVC the record of ISO/IEC 14496-15 (`avcC`, `hvcC`), whose first byte, the version, is 1.
fn is_configured(facts: &CodecFacts) -> bool {
    match facts.name {
        "h264" | "hevc" => facts.extradata_first_byte == Some(1),
        "av1" => facts.extradata_first_byte.is_some(),
        _ => true,
    }
}

/// Index of a stream.
#[derive(Debug, Default)]
struct Index {
    /// Times of the keyframes, in the time base of the stream.
    keyframes: Vec<i64>,
    /// `true` when the first packet is a keyframe.
    starts_with_keyframe: bool,
    /// `true` when an edit list hides packets before the first one shown.
    has_hidden_packets: bool,
    /// `true` when times increase and the shown packets are one run. Several edits cannot be copied.
    is_one_run: bool,
}

impl Index {
    fn read(input: &Input, stream: usize) -> Self {
        let mut index = Self {
            is_one_run: true,
            ..Self::default()
        };
        let (mut last, mut has_shown, mut is_second_edit) = (None, false, false);
        packet::for_each_index_entry(input, stream, |entry| {
            index.starts_with_keyframe |= last.is_none() && entry.key;
            index.has_hidden_packets |= last.is_none() && entry.hidden;
            // At both ends of an edit, hidden and shown packets are mixed because of reordering. A hidden keyframe
            // after shown packets begins another edit.
            is_second_edit |= has_shown && entry.hidden && entry.key;
            has_shown |= !entry.hidden;
            index.is_one_run &= last.is_none_or(|last| last < entry.time) && (entry.hidden || !is_second_edit);
            last = Some(entry.time);
            if entry.key {
                index.keyframes.push(entry.time);
            }
        });
        index
    }
}

/// Returns `true` when all checked keyframes begin closed GOPs.
fn has_closed_gops(
    input: &mut Input,
    stream: usize,
    facts: &CodecFacts,
    keyframes: &[i64],
    cancel: &Cancel,
) -> Result<bool, Failure> {
    let slice_kind = match facts.name {
        "h264" => nal::is_h264_idr_slice,
        "hevc" => nal::is_hevc_idr_slice,
        // In these codecs no frame after a keyframe refers to a frame before it.
        "vp8" | "vp9" | "av1" => return Ok(true),
        _ => return Ok(false),
    };
    let step = keyframes.len().div_ceil(MAX_CHECKED_KEYFRAMES).max(1);
    for time in keyframes.iter().step_by(step) {
        if packet::seek_stream(input, stream, *time).is_err() {
            return Ok(false);
        }
        let mut read = 0;
        let closed = loop {
            let Some(packet) = next_packet(input, cancel)?.filter(|_| read < MAX_PACKETS) else {
                break false;
            };
            if packet.stream() == stream {
                break packet.is_key() && packet.data().is_some_and(|data| nal::starts_with_idr(data, slice_kind));
            }
            read += 1;
        };
        if !closed {
            return Ok(false);
        }
    }
    Ok(true)
}
