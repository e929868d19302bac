//! Streams of joined Matroska files whose codec is another one in a later file.
//!
//! *Problem.* FFmpeg reads the segments of a second file, but keeps the tracks of the first one and assigns blocks to
//! them by number. A decoder may accept packets of another codec: PCM accepts any bytes, and the result is loud noise.
//!
//! *Mechanism.* The tracks of each segment are compared with those of the first one. Where a track has another codec,
//! its packets in the byte range of this segment are left out, and their duration is a loss.

use crate::engine::demux::container::{is_matroska, streams_of_kind};
use crate::engine::demux::gap_detector::{HoleTotal, Holes};
use crate::engine::demux::matroska::{
    AUDIO, EBML, Element, ElementChain, SEGMENT, TRACK_ENTRY, TRACK_NUMBER, TRACK_TYPE, TRACKS, VIDEO, find,
    for_each_element, read_uint,
};
use crate::engine::ffi::parameters::MediaType;
use crate::engine::file_bytes::{length, read_range};
use crate::engine::time::to_us;
use ffmpeg_next::format::context::Input;
use ffmpeg_next::{Packet, Rational};
use std::fs::File;
use std::io;
use std::ops::Range;

// Element IDs (RFC 9559 §5.1.4.1).
const CODEC_ID: u64 = 0x86;
const AUDIO_SETTINGS: u64 = 0xe1;

/// Prefix of the codec IDs of uncompressed audio, whose samples depend on the settings of the track.
const PCM: &[u8] = b"A_PCM";

/// Maximum size in bytes of an element that is compared.
const MAX_BYTES: u64 = 1_024;

/// A track of a segment.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Track {
    number: u64,
    kind: u64,
    /// Codec ID, and the settings of uncompressed audio.
    codec: Vec<u8>,
}

/// A segment in which one stream has another codec.
#[derive(Clone, Debug)]
struct OtherCodec {
    stream: usize,
    /// Positions of the packets in the file.
    bytes: Range<u64>,
    /// Times of the packets of all streams in it, in microseconds; `None` before the first one.
    range_us: Option<Range<i64>>,
}

/// Selects the packets that the decoder of their stream must not get.
#[derive(Debug, Default)]
pub(crate) struct CodecChanges {
    others: Vec<OtherCodec>,
    /// Position of the latest packet. Those that a parser has split have none of their own.
    position: u64,
}

impl CodecChanges {
    /// Compares the tracks of the segments of an open source.
    pub(crate) fn of(input: &Input, source: &File) -> Self {
        if !is_matroska(input.format().name()) {
            return Self::default();
        }
        let segments = segments(source);
        let Some((_, first)) = segments.first() else {
            return Self::default();
        };
        let mut others = Vec::new();
        for (kind, track_type) in [(MediaType::Video, VIDEO), (MediaType::Audio, AUDIO)] {
            // The streams of FFmpeg are in the order of the tracks.
            let streams = streams_of_kind(input, kind);
            let tracks = first.iter().filter(|track| track.kind == track_type);
            for (stream, track) in streams.zip(tracks) {
                let changed = segments.iter().skip(1).filter(|(_, tracks)| {
                    let same_number = tracks.iter().find(|other| other.number == track.number);
                    same_number.is_some_and(|other| other != track)
                });
                others.extend(changed.map(|(bytes, _)| OtherCodec {
                    stream: stream.index(),
                    bytes: bytes.clone(),
                    range_us: None,
                }));
            }
        }
        Self { others, position: 0 }
    }

    /// Returns `true` if the codec of a packet is not that of its stream.
    pub(crate) fn is_other_codec(&mut self, packet: &Packet) -> bool {
        self.position = u64::try_from(packet.position()).unwrap_or(self.position);
        let mut others = self.others.iter();
        others.any(|other| other.stream == packet.stream() && other.bytes.contains(&self.position))
    }

    /// Records the latest packet of any stream after its timestamps were repaired. A parser may withhold packets of
    /// another codec, so that only the other streams show how long a segment lasts.
    pub(crate) fn record_packet(&mut self, packet: &Packet, base: Rational) {
        let Some(time) = packet
            .pts()
            .or_else(|| packet.dts())
            .filter(|_| !self.others.is_empty())
        else {
            return;
        };
        let at_us = to_us(time, base);
        let position = self.position;
        for other in self.others.iter_mut().filter(|other| other.bytes.contains(&position)) {
            let known = other.range_us.take().unwrap_or(at_us..at_us);
            other.range_us = Some(known.start.min(at_us)..known.end.max(at_us));
        }
    }

    /// Returns the total duration, inside `span_us`, of the packets that were left out of one video and one audio
    /// stream.
    pub(crate) fn holes(&self, [video, audio]: [Option<usize>; 2], span_us: &Range<i64>) -> Holes {
        let total = |stream: Option<usize>| {
            let mut total = HoleTotal::default();
            let others = self.others.iter().filter(|other| Some(other.stream) == stream);
            for range_us in others.filter_map(|other| other.range_us.as_ref()) {
                let from_us = range_us.start.max(span_us.start);
                let length_us = range_us.end.min(span_us.end).saturating_sub(from_us);
                if length_us > 0 {
                    total.add(length_us, from_us);
                }
            }
            total
        };
        let (lost_video, lost_audio) = (total(video), total(audio));
        let mut holes = Holes::default();
        if video.is_some() && lost_video.length_us == 0 {
            holes.audio = lost_audio;
        } else if lost_video.length_us > lost_audio.length_us {
            holes.all = lost_video;
        } else {
            holes.all = lost_audio;
        }
        holes
    }
}

/// The segments of a file: the ranges of their data, and their tracks; empty if there is only one.
fn segments(file: &File) -> Vec<(Range<u64>, Vec<Track>)> {
    let length = length(file);
    let mut bodies: Vec<Range<u64>> = Vec::new();
    // Bytes behind the segments are not of interest.
    for head in ElementChain::new(file, 0, &[]) {
        // A segment of unknown size ends where the next file begins.
        if let Some(last) = bodies.last_mut().filter(|last| head.id == EBML && last.end > head.at) {
            last.end = head.at;
        }
        if head.id == SEGMENT {
            bodies.push(head.body..head.end_or(u64::MAX).min(length));
        }
    }
    if bodies.len() < 2 {
        return Vec::new();
    }
    let with_tracks = bodies.into_iter().map(|body| {
        let tracks = tracks(file, body.clone()).unwrap_or_default();
        (body, tracks)
    });
    with_tracks.collect()
}

fn tracks(file: &File, segment: Range<u64>) -> io::Result<Vec<Track>> {
    let mut tracks = Vec::new();
    for_each_element(file, find(file, segment, TRACKS)?, |entry| {
        if entry.id == TRACK_ENTRY {
            tracks.extend(track(file, &entry).ok());
        }
        true
    })?;
    Ok(tracks)
}

fn track(file: &File, entry: &Element) -> io::Result<Track> {
    let number = |id: u64| find(file, entry.body.clone(), id).and_then(|body| read_uint(file, body));
    let mut codec = bytes(file, find(file, entry.body.clone(), CODEC_ID)?)?;
    if codec.starts_with(PCM) {
        codec.extend(bytes(file, find(file, entry.body.clone(), AUDIO_SETTINGS)?)?);
    }
    Ok(Track {
        number: number(TRACK_NUMBER)?,
        kind: number(TRACK_TYPE)?,
        codec,
    })
}

fn bytes(file: &File, body: Range<u64>) -> io::Result<Vec<u8>> {
    let end = body.end.min(body.start.saturating_add(MAX_BYTES));
    read_range(file, &(body.start..end))
}
