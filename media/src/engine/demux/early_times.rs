//! Times before 0 of video in Matroska.
//!
//! A block may be shown before 0: its time is signed and counts from that of its cluster (RFC 9559 §10.2). FFmpeg
//! reports no timestamp for such a block. Without reordered frames it computes the missing timestamps from the first
//! one after them; with B-frames the packets have none. So the timestamps of video and audio are read from the file
//! here.

use crate::engine::demux::container::{is_matroska, streams_of_kind};
use crate::engine::demux::matroska;
use crate::engine::ffi::open;
use crate::engine::ffi::parameters::MediaType;
use crate::engine::time::from_us;
use ffmpeg_next::format::context::Input;
use std::collections::VecDeque;
use std::fs::File;

/// Times of the first packets of one stream up to the last one before 0, in its units and in the order of its packets.
pub(crate) struct EarlyTimes {
    pub(crate) stream: usize,
    pub(crate) times: VecDeque<i64>,
}

/// Reads the times before 0 of a file that has such video.
pub(crate) fn find(source: &File, input: &Input) -> Vec<EarlyTimes> {
    if !is_matroska(input.format().name()) {
        return Vec::new();
    }
    let mut all = read(source, input, MediaType::Video, matroska::VIDEO);
    if !all.is_empty() {
        all.extend(read(source, input, MediaType::Audio, matroska::AUDIO));
    }
    all
}

/// Reads the times of all streams of a kind. The streams of FFmpeg are in the order of the tracks.
fn read(source: &File, input: &Input, kind: MediaType, track_type: u64) -> Vec<EarlyTimes> {
    let streams = streams_of_kind(input, kind).enumerate();
    let found = streams.filter_map(|(index, stream)| {
        let (times, delay_ns) = matroska::early_times(source, track_type, index).ok()?;
        let delay_us = i64::try_from(delay_ns / 1_000).unwrap_or(0);
        let delay = from_us(delay_us, stream.time_base());
        (!times.is_empty()).then(|| EarlyTimes {
            stream: stream.index(),
            times: times.into_iter().map(|time| time.saturating_sub(delay)).collect(),
        })
    });
    found.collect()
}

/// Sets the start of streams that begin before 0.
pub(crate) fn apply_starts(source: &File, input: &mut Input) {
    for EarlyTimes { stream, times } in find(source, input) {
        if let Some(first) = times.into_iter().min() {
            open::begin_at(input, stream, first);
        }
    }
}
