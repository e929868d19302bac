//! Segmenter: cuts one rendition of an adaptive stream into CMAF segments.
//!
//! *Problem.* The renditions of an adaptive stream must be cut at the same times, and each segment must begin with a
//! keyframe. The playlists need the exact size and duration of each segment. FFmpeg's own HLS muxer decides alone where
//! it cuts, from its target duration, and cannot follow the boundaries of another rendition.
//!
//! *Mechanism.* FFmpeg's MP4 muxer writes fragments into memory and ends a fragment only when told to. Before each
//! packet the segmenter applies its [`SegmentRule`]; at a boundary it flushes the fragment and stores it as a file, or
//! appends it to the single file of the rendition. The initialization section is flushed in the same way before the
//! first segment.
//!
//! *Invariants.* The durations of all segments add up to the end of the rendition: a segment ends where the next one
//! begins, and the first one begins at 0 in all renditions, also if its first packet is late. A rendition that follows
//! others never passes the time up to which their boundaries are final.

use crate::engine::error;
use crate::engine::ffi::output;
use crate::engine::mux::segment_boundaries::{MILLISECOND_ROUNDING_US, SegmentBoundaries};
use crate::engine::time::to_us;
use domain::Failure;
use ffmpeg_next::format::context::{Output, StreamIo};
use ffmpeg_next::{Dictionary, Packet, format};
use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// Flags of FFmpeg's MP4 muxer: the segmenter ends each fragment, and there is no index at the end of the file. The
/// initialization section waits for the first packet, which carries the encoder delay of audio.
const MOVFLAGS: &str = "+frag_custom+empty_moov+default_base_moof+delay_moov+skip_trailer";

/// The rule that decides where segments begin.
#[derive(Clone, Debug)]
pub(crate) enum SegmentRule {
    /// At every keyframe. The boundaries are published for followers.
    Keyframes(SegmentBoundaries),
    /// At the first keyframe at or after each multiple of `interval_us`. The boundaries are published for followers.
    Interval {
        interval_us: u64,
        boundaries: SegmentBoundaries,
    },
    /// At the first packet at or after each boundary of another rendition.
    Follow(SegmentBoundaries),
}

impl SegmentRule {
    /// Returns the rule of an audio rendition that is cut with this video rendition.
    pub(crate) fn follower(&self) -> Self {
        let (Self::Keyframes(boundaries) | Self::Interval { boundaries, .. } | Self::Follow(boundaries)) = self;
        Self::Follow(boundaries.clone())
    }
}

/// The files of a rendition that is to be written.
#[derive(Clone, Debug)]
pub(crate) struct RenditionTarget {
    pub(crate) directory: PathBuf,
    /// Common prefix of its file names.
    pub(crate) stem: String,
    /// Set if all segments are byte ranges of one file.
    pub(crate) single_file: bool,
    pub(crate) rule: SegmentRule,
}

/// A finished rendition, as its playlist describes it.
#[derive(Clone, Debug)]
pub(crate) struct Rendition {
    pub(crate) stem: String,
    pub(crate) single_file: bool,
    /// Codec string for the `CODECS` attribute (RFC 6381).
    pub(crate) codec: String,
    /// Size of the initialization section in bytes.
    pub(crate) init_bytes: u64,
    pub(crate) segments: Vec<Segment>,
}

/// A segment of a rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Segment {
    pub(crate) bytes: u64,
    pub(crate) duration_us: u64,
}

impl Rendition {
    /// Returns the name of the file with the initialization section.
    pub(crate) fn init_file(&self) -> String {
        let Self { stem, single_file, .. } = self;
        format!("{stem}{}.mp4", if *single_file { "" } else { "-init" })
    }

    /// Returns the name of the file with the segment at an index.
    pub(crate) fn segment_file(&self, index: usize) -> String {
        if self.single_file {
            self.init_file()
        } else {
            format!("{}-{:04}.m4s", self.stem, index + 1)
        }
    }
}

/// Cuts the output of one muxer into segments.
pub(crate) struct Segmenter {
    directory: PathBuf,
    rule: SegmentRule,
    buffer: SharedBuffer,
    rendition: Rendition,
    /// Start of the current segment in microseconds; `None` before its first packet.
    start_us: Option<u64>,
    /// Latest end of a packet so far in microseconds.
    end_us: u64,
}

impl Segmenter {
    /// Opens a muxer that writes into memory, and the segmenter that stores its output.
    pub(crate) fn open(target: RenditionTarget) -> Result<(Output, Self), Failure> {
        let failed = |error| error::engine_failure("muxer", error);
        let buffer = SharedBuffer::default();
        let stream = StreamIo::from_write(buffer.clone()).map_err(failed)?;
        let output = format::output_to_stream(stream, None, Some("mp4")).map_err(failed)?;
        let segmenter = Self {
            directory: target.directory,
            rule: target.rule,
            buffer,
            rendition: Rendition {
                stem: target.stem,
                single_file: target.single_file,
                codec: String::new(),
                init_bytes: 0,
                segments: Vec::new(),
            },
            start_us: None,
            end_us: 0,
        };
        Ok((output, segmenter))
    }

    /// Returns the options of the muxer.
    pub(crate) fn muxer_options() -> Dictionary<'static> {
        [("movflags", MOVFLAGS), ("flush_packets", "1")].into_iter().collect()
    }

    /// Ends the current segment if the next packet begins another one. Must be called before each packet is written.
    pub(crate) fn before_packet(
        &mut self,
        packet: &Packet,
        time_base: ffmpeg_next::Rational,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let pts = packet.pts().unwrap_or(0);
        let pts_us = clamped_us(pts, time_base);
        let end_us = clamped_us(pts.saturating_add(packet.duration()), time_base);
        if self
            .start_us
            .is_some_and(|start_us| self.is_boundary(start_us, packet.is_key(), pts_us))
        {
            self.end_segment(pts_us, output)?;
            if let Some(boundaries) = self.published_boundaries() {
                boundaries.add(pts_us);
            }
        }
        if let Some(boundaries) = self.published_boundaries() {
            // No later packet has a pts before this dts, so no boundary can follow before it.
            boundaries.set_final_until(clamped_us(packet.dts().unwrap_or(0), time_base));
        }
        self.start_us.get_or_insert(pts_us);
        self.end_us = self.end_us.max(end_us);
        Ok(())
    }

    /// Returns `true` if a packet begins a new segment after one that began at `start_us`.
    fn is_boundary(&self, start_us: u64, is_key: bool, pts_us: u64) -> bool {
        match &self.rule {
            SegmentRule::Keyframes(_) => is_key,
            SegmentRule::Interval { interval_us, .. } => {
                // A keyframe at a multiple may be rounded down by the source; it still counts as at the multiple.
                let multiple = |us: u64| (us + MILLISECOND_ROUNDING_US) / interval_us;
                is_key && multiple(pts_us) > multiple(start_us)
            }
            SegmentRule::Follow(boundaries) => boundaries.has_between(start_us, pts_us),
        }
    }

    /// Returns the boundaries that this rendition decides; `None` if it follows another one.
    const fn published_boundaries(&self) -> Option<&SegmentBoundaries> {
        match &self.rule {
            SegmentRule::Keyframes(boundaries) | SegmentRule::Interval { boundaries, .. } => Some(boundaries),
            SegmentRule::Follow(_) => None,
        }
    }

    /// Returns `true` if all boundaries up to a packet are known. Otherwise the packet must be held back.
    pub(crate) fn is_boundary_known(&self, packet: &Packet, time_base: ffmpeg_next::Rational) -> bool {
        match &self.rule {
            SegmentRule::Keyframes(_) | SegmentRule::Interval { .. } => true,
            SegmentRule::Follow(boundaries) => {
                boundaries.is_final_until(clamped_us(packet.pts().unwrap_or(0), time_base))
            }
        }
    }

    /// Ends the last segment and releases the followers.
    pub(crate) fn finish(mut self, output: &mut Output) -> Result<Rendition, Failure> {
        if self.start_us.is_some() {
            self.end_segment(self.end_us, output)?;
        }
        if let Some(boundaries) = self.published_boundaries() {
            boundaries.set_final_until(u64::MAX);
        }
        Ok(self.rendition)
    }

    fn end_segment(&mut self, end_us: u64, output: &mut Output) -> Result<(), Failure> {
        let mut start_us = self.start_us.take().unwrap_or(end_us);
        if self.rendition.segments.is_empty() {
            // All renditions begin at 0. If the first packet is late, the first segment is longer, so that the
            // following segments keep their times.
            start_us = 0;
        }
        if self.rendition.init_bytes == 0 {
            let init = self.flush(output)?;
            self.rendition.codec =
                codec_string(&init).ok_or_else(|| error::missing_component("a codec for adaptive streams"))?;
            self.rendition.init_bytes = init.len() as u64;
            self.store(&self.rendition.init_file(), &init)?;
        }
        let segment = self.flush(output)?;
        self.store(&self.rendition.segment_file(self.rendition.segments.len()), &segment)?;
        self.rendition.segments.push(Segment {
            bytes: segment.len() as u64,
            duration_us: end_us.saturating_sub(start_us),
        });
        Ok(())
    }

    /// Ends the current fragment and returns its bytes; at first the initialization section.
    fn flush(&self, output: &mut Output) -> Result<Vec<u8>, Failure> {
        output::flush_fragment(output).map_err(|error| error::engine_failure("muxer", error))?;
        Ok(self.buffer.take())
    }

    /// Creates a file, or appends to the single file of the rendition.
    fn store(&self, file: &str, bytes: &[u8]) -> Result<(), Failure> {
        let opened = File::options()
            .append(true)
            .create(true)
            .open(self.directory.join(file));
        opened
            .and_then(|mut opened| opened.write_all(bytes))
            .map_err(|error| error::io_failure(file, &error))
    }
}

/// Converts a timestamp to microseconds. Negative times are those of encoder delay, which is not played; they become 0.
fn clamped_us(timestamp: i64, time_base: ffmpeg_next::Rational) -> u64 {
    u64::try_from(to_us(timestamp, time_base)).unwrap_or(0)
}

/// Bytes that the muxer has written since the last flush. Clones share the same bytes.
#[derive(Clone, Default)]
struct SharedBuffer(Arc<Mutex<Vec<u8>>>);

impl SharedBuffer {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Write for SharedBuffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the codec string (RFC 6381) of an initialization section: profile, constraints and level of H.264 from
/// `avcC` (ISO/IEC 14496-15), or the object type of AAC from `esds` (ISO/IEC 14496-14). `None` for any other codec.
pub(crate) fn codec_string(init: &[u8]) -> Option<String> {
    /// Offset of the `DecoderSpecificInfo` tag after the name of the `esds` box, as FFmpeg writes it: descriptor
    /// lengths have four bytes.
    const DECODER_INFO_OFFSET: usize = 30;
    let after = |name: &[u8; 4]| {
        let at = init.windows(4).position(|window| window == name)?;
        init.get(at + 4..)
    };
    if let Some([1, profile, constraints, level, ..]) = after(b"avcC") {
        return Some(format!("avc1.{profile:02x}{constraints:02x}{level:02x}"));
    }
    match after(b"esds")?.get(DECODER_INFO_OFFSET..)? {
        [5, _, _, _, _, first, ..] => Some(format!("mp4a.40.{}", first >> 3)),
        _ => None,
    }
}
